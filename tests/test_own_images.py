"""Images of one's own: folders, arrays, datasets, imports; every slip named."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from elslib import cli
from elslib.data import folders, named
from elslib.data.image_set import ImageSet, resized_set
from elslib.data.import_set import import_folder
from elslib.denoisers.baselines import WienerFilter

RED, GREY = (255, 0, 0), 51


def save(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def plain(color, size=(8, 8), mode="RGB"):
    return Image.new(mode, size, color)


@pytest.fixture
def photos(tmp_path):
    """Two classes of pictures of many sizes and kinds."""
    root = tmp_path / "photos"
    for i in range(6):
        save(root / "cats" / f"{i}.png", plain((40 * i, 0, 0), (20 + i, 30)))
        save(root / "dogs" / "big" / f"{i}.JPG", plain((0, 40 * i, 0), (40, 20 + i)))
    return root


def test_a_folder_of_classes(photos):
    """Subfolders are classes, deeper folders belong to theirs; pictures in the order of names."""
    images = ImageSet.from_folder(photos, size=16)
    assert images.class_names == ("cats", "dogs") and images.name == str(photos)
    assert images.pixels.shape == (12, 3, 16, 16) and images.pixels.dtype == torch.float32
    assert images.labels is not None and images.labels.tolist() == [0] * 6 + [1] * 6
    assert torch.allclose(images.pixels[2, 0], torch.tensor(80 / 127.5 - 1))
    again = ImageSet.from_folder(str(photos), size=16)
    assert again.sha256 == images.sha256 == ImageSet.from_folder(photos, 16, mode="RGB").sha256
    assert ImageSet.from_folder(photos, (24, 40)).pixels.shape == (12, 3, 24, 40)


def half_and_half():
    """16 wide, 8 high: black left, white right."""
    picture = plain(0, (16, 8), "L")
    picture.paste(255, (8, 0, 16, 8))
    return picture


@pytest.mark.parametrize(
    "fit,expected",
    [
        # The middle square of 8: four black columns, four white ones.
        ("crop", [[-1] * 4 + [1] * 4] * 8),
        # Rows 0, 1 and 6, 7 are margins, of 4 rows between them half is black.
        ("pad", [[-1] * 8] * 2 + [[-1] * 4 + [1] * 4] * 4 + [[-1] * 8] * 2),
        ("squash", [[-1] * 4 + [1] * 4] * 8),
    ],
)
def test_three_ways_to_fit(tmp_path, fit, expected):
    """To the pixel, but for the edge, where two pixels are averaged."""
    save(tmp_path / "a.png", half_and_half())
    found = ImageSet.from_folder(tmp_path, 8, fit, "L").pixels[0, 0]
    off = (found - torch.tensor(expected, dtype=torch.float32)).abs()
    off[:, 3:5] = 0
    assert off.max() < 0.01
    if fit == "crop":  # nothing was resized
        assert torch.equal(found[0], torch.tensor(expected[0]).float())


def test_kinds_of_pictures(tmp_path):
    """Each becomes the grey that it shows: 16 bits, palette, alpha, CMYK, one bit, WebP."""
    sixteen = Image.fromarray(np.full((8, 8), GREY * 257, np.uint16))
    glass = Image.new("RGBA", (8, 8), (0, 0, 0, 204))  # four fifths of black on white: 51
    grey = plain((GREY,) * 3)
    kinds = {
        "1-sixteen.png": sixteen,
        "2-palette.png": grey.convert("P", palette=Image.Palette.ADAPTIVE),
        "3-glass.png": glass,
        "4-cmyk.jpg": grey.convert("CMYK"),
        "5-webp.webp": grey,
        "6-la.png": Image.new("LA", (8, 8), (GREY, 255)),
    }
    for name, picture in kinds.items():
        save(tmp_path / name, picture, **({"lossless": True} if "webp" in name else {}))
    for mode, channels in (("RGB", 3), ("L", 1)):
        images = Slip.from_folder(tmp_path, 8, mode=mode).pixels
        assert images.shape == (6, channels, 8, 8)
        assert (images - (GREY / 127.5 - 1)).abs().max() <= 2.1 / 127.5  # jpeg
    white = Image.fromarray(np.full((8, 8), 65_535, np.uint16))
    save(tmp_path / "white" / "w.png", white)
    assert (ImageSet.from_folder(tmp_path / "white", 8).pixels == 1).all()


def test_pictures_are_turned_upright(tmp_path):
    """Cameras say in the file which side is up."""
    exif = Image.Exif()
    exif[274] = 3  # upside down
    save(tmp_path / "a.png", half_and_half(), exif=exif)
    found = ImageSet.from_folder(tmp_path, (8, 16), mode="L").pixels[0, 0, 0]
    assert found.tolist() == [1.0] * 8 + [-1.0] * 8


def test_folders_that_are_refused(as_installed, photos, tmp_path):
    """By the file or the folder that is wrong."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty must hold pictures \(.png, .*\), got none"):
        ImageSet.from_folder(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="nowhere must be a folder of pictures"):
        ImageSet.from_folder(tmp_path / "nowhere")
    for options, message in (
        ({"fit": "stretch"}, "fit must be one of crop, squash, pad, got 'stretch'"),
        ({"mode": "CMYK"}, "mode must be one of RGB, L, got 'CMYK'"),
        ({"size": 0}, r"size must be a side in pixels, or \(height, width\), got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Slip.from_folder(photos, **options)
    loose = save(photos / "loose.png", plain(RED))
    with pytest.raises(ValueError, match="got both, such as loose.png and cats/; move one"):
        ImageSet.from_folder(photos)
    loose.unlink()
    (photos / "birds").mkdir()
    with pytest.raises(ValueError, match="birds must hold pictures of its class"):
        ImageSet.from_folder(photos)
    broken = photos / "birds" / "b.png"
    content = (photos / "cats" / "0.png").read_bytes()
    for wrong in (content[: len(content) // 2], b"<html>", b""):
        broken.write_bytes(wrong)
        with pytest.raises(ValueError, match="b.png must be a whole picture, but is corrupt or of"):
            ImageSet.from_folder(photos)
    frames = [plain(RED), plain("blue")]
    frames[0].save(broken.with_suffix(".webp"), save_all=True, append_images=frames[1:])
    broken.unlink()
    with pytest.raises(ValueError, match="b.webp must be one picture, got an animation"):
        ImageSet.from_folder(photos)


def test_files_that_are_no_pictures_are_passed_over(photos):
    """With a warning; what systems leave behind without one."""
    (photos / ".DS_Store").write_text("")
    (photos / "cats" / "Thumbs.db").write_text("")
    assert len(ImageSet.from_folder(photos)) == 12
    (photos / "cats" / "notes.txt").write_text("")
    with pytest.warns(UserWarning, match="1 files in .* are passed over, such as notes.txt"):
        assert len(ImageSet.from_folder(photos)) == 12


def test_classes_one_folder_too_deep_are_warned_of(photos):
    """As in train/cats and train/dogs, given the folder around train."""
    with pytest.warns(UserWarning, match="one class .* such as cats and dogs; give"):
        images = ImageSet.from_folder(photos.parent)
    assert len(images) == 12 and len(images.class_names) == 1


Slip: Any = ImageSet  # for what type checkers refuse, too
BYTES = np.random.default_rng(0).integers(256, size=(5, 3, 6, 7), dtype=np.uint8)
EXPECTED = torch.from_numpy(BYTES) / 127.5 - 1


@pytest.mark.parametrize(
    "images,options",
    [
        (BYTES, {}),
        (torch.from_numpy(BYTES), {}),
        (BYTES.transpose(0, 2, 3, 1), {"layout": "NHWC"}),
        (BYTES / 127.5 - 1, {}),
        (BYTES / 255, {"value_range": (0, 1)}),
        (torch.from_numpy(BYTES) / 255, {"value_range": (0, 1)}),
        (BYTES.astype(np.float32), {"value_range": (0, 255)}),
    ],
)
def test_arrays(images, options):
    """Bytes and floats, of numpy and torch, in each order."""
    found = ImageSet.from_arrays(images, [0, 1, 0, 1, 0], ["a", "b"], "mine", **options)
    assert (found.pixels - EXPECTED).abs().max() < 1e-6 and found.pixels.dtype == torch.float32
    assert found.class_name(1) == "b" and found.name == "mine"
    grey = ImageSet.from_arrays(BYTES[:, 0], layout="NHW").pixels
    assert torch.equal(grey, EXPECTED[:, :1])


def test_latents():
    """Any number of channels, any finite values; parts of the set, too."""
    latents = torch.randn(4, 16, 8, 8) * 5
    images = ImageSet(latents, bounds=None)
    assert (
        float(images[2:].pixels.abs().max()) > 1 and images.to(dtype=torch.float64).bounds is None
    )
    assert ImageSet.from_arrays(latents.numpy(), bounds=None).sha256 == images.sha256
    assert ImageSet(latents, bounds=(-100, 100)).bounds == (-100, 100)
    assert len(ImageSet(latents[..., :4], bounds=None)) == 4  # any sides
    with pytest.raises(ValueError, match="and give latents with bounds=None"):
        ImageSet(latents)
    with pytest.raises(ValueError, match=r"pixels must lie in \[-5, 5\], got"):
        ImageSet(latents, bounds=(-5, 5))
    with pytest.raises(ValueError, match="pixels must be finite"):
        ImageSet(latents * torch.inf, bounds=None)


SLIPS = {
    "numpy": (lambda: Slip(np.zeros((2, 1, 4, 4))), "must be a torch tensor, got ndarray; nu"),
    "list": (lambda: Slip([[0.0]]), "pixels must be a torch tensor, got list"),
    "bytes": (lambda: Slip(torch.from_numpy(BYTES)), "got torch.uint8; give bytes 0..255 to"),
    "half": (
        lambda: Slip(EXPECTED.half()),
        "pixels must be float32 or float64, got torch.float16; convert with .float()",
    ),
    "gradient": (
        lambda: Slip(EXPECTED.clone().requires_grad_()),
        "pixels must not require gradients; give pixels.detach",
    ),
    "channels last": (
        lambda: Slip(EXPECTED.permute(0, 2, 3, 1)),
        r"got \(5, 6, 7, 3\), which look like \[n, h, w, c\]; write .*x.transpose\(0, 3, 1, 2\)",
    ),
    "one image": (lambda: Slip(EXPECTED[0]), r"one image is x\[None\], grey ones are x\[:, None"),
    "names of labels": (
        lambda: Slip.from_arrays(BYTES, list("abcab")),
        r"labels must be whole numbers, got <U1; .* = np.unique\(labels, return_inverse=True\)",
    ),
    "labels without a name": (
        lambda: Slip(EXPECTED, torch.arange(5), ("a", "b")),
        r"labels must lie in 0..1, places among the class names, got 0..4; name every class, or",
    ),
    "no class": (
        lambda: Slip(EXPECTED, torch.arange(5) - 1),
        "labels must be class numbers from 0 on, got -1; select the images that have one",
    ),
    "name of a class": (
        lambda: ImageSet(EXPECTED, torch.arange(5) % 2, ("a", "b")).subset("b"),  # pyright: ignore
        "label must be the number of a class, got its name 'b'; write 1",
    ),
    "list of labels": (
        lambda: Slip(EXPECTED, [0, 1, 0, 1, 0]),
        r"labels must be a torch tensor, got list; write torch.tensor\(labels\)",
    ),
    "axes": (
        lambda: Slip.from_arrays(BYTES[0]),
        r"must have the axes NCHW, got the shape \(3.*x\[None\], grey ones are x\[:, None\], and",
    ),
    "layout": (lambda: Slip.from_arrays(BYTES, layout="HWC"), "layout must be one of NCHW, "),
    "integers": (
        lambda: Slip.from_arrays(BYTES.astype(np.int32)),
        "images must be uint8, 0..255, or floating point, got torch.int32",
    ),
    "strings": (lambda: Slip.from_arrays(np.array(["a"])), "must be a numpy array or a torch"),
    "list of arrays": (lambda: Slip.from_arrays([BYTES]), "got list; numpy.stack makes one"),
    "range of bytes": (
        lambda: Slip.from_arrays(BYTES, value_range=(0, 1)),
        r"value_range must be None for bytes, 0..255, got \(0.0, 1.0\)",
    ),
    "range": (
        lambda: Slip.from_arrays(BYTES / 255, value_range=(1, 0)),
        r"value_range must be \(low, high\), low < high, got \(1.0, 0.0\)",
    ),
    "no dataset": (lambda: Slip.from_dataset(iter([1])), "dataset must have a length of at"),
    "empty dataset": (lambda: Slip.from_dataset([]), "dataset must have a length of at least"),
    "dataset of paths": (
        lambda: Slip.from_dataset(["a.png"]),
        r"must be images \[c, h, w\], or tuples that begin with one, got str at 0",
    ),
    "dataset of sizes": (
        lambda: Slip.from_dataset([EXPECTED[0], EXPECTED[0, :, 1:]]),
        r"one shape and dtype, got \(3, 6, 7\) .* first and \(3, 5, 7\) .* at 1; resize",
    ),
    "labels of some": (
        lambda: Slip.from_dataset([(EXPECTED[0], 1), (EXPECTED[0], "b")]),
        "give every image a class number or none of them, got 1 of 2",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_are_named(as_installed, slip):
    """With the remedy."""
    make, message = SLIPS[slip]
    with pytest.raises(ValueError, match=message):
        make()


def test_pixels_in_0_to_1_are_warned_of(as_installed, photos):
    """Once, where they are made; not for a part of images, which may be bright."""
    bright = torch.linspace(0, 1, 32).reshape(2, 1, 4, 4)
    (photos / "notes.txt").write_text("no picture")
    for make, message in (
        (lambda: ImageSet(bright), r"\* 2 - 1, or by value_range=\(0, 1\) of from_arrays and fro"),
        (lambda: ImageSet.from_arrays(bright.numpy()), "lie in"),
        (lambda: ImageSet.from_dataset(list(bright)), "lie in"),
        (lambda: ImageSet.from_folder(photos, 4), "passed over"),
    ):
        with pytest.warns(UserWarning, match=message) as caught:
            make()
        assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match=r"lie in \[0, 1\]: those of \[0, 1\].*by \* 2 - 1"):
        images = ImageSet(torch.linspace(0, 1, 32).reshape(2, 1, 4, 4))
    assert len(images[:1]) == 1
    ImageSet(torch.linspace(0, 1, 32).reshape(2, 1, 4, 4), bounds=(0, 1))
    ImageSet(torch.full((2, 1, 4, 4), 0.5))


class Pairs(torch.utils.data.Dataset):
    """Pictures as Pillow has them, with their classes."""

    classes = ("no", "yes")

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return Image.fromarray(BYTES[i].transpose(1, 2, 0)), i % 2


def test_datasets():
    """Of Pillow's pictures, of tensors, with and without classes."""
    images = ImageSet.from_dataset(Pairs(), "pairs")
    assert torch.equal(images.pixels, EXPECTED) and images.class_names == ("no", "yes")
    assert images.labels is not None and images.labels.tolist() == [0, 1, 0, 1, 0]
    tensors = torch.utils.data.TensorDataset(EXPECTED, torch.arange(5))
    found = ImageSet.from_dataset(tensors)
    assert torch.equal(found.pixels, EXPECTED) and found.labels is not None
    zero_to_one = [np.float32(image / 255) for image in BYTES]
    found = ImageSet.from_dataset(zero_to_one, value_range=(0, 1))
    assert torch.allclose(found.pixels, EXPECTED, atol=1e-6) and found.labels is None


def test_parts():
    """One, a range, a choice, a mask, and all but a choice; each with a sha256 of its own."""
    images = ImageSet(EXPECTED, torch.arange(5) % 2, ("a", "b"), "mine")
    parts = {
        (3,): images[3],
        (4,): images[-1],
        (1, 2): images[1:3],
        (4, 0): images.select([4, 0]),
        (1, 3): images.select(torch.tensor([False, True, False, True, False])),
        (0, 1, 3): images.without([2, -1]),
        (0, 2, 4): images.without(images.labels == 1),  # pyright: ignore
    }
    for numbers, part in parts.items():
        assert torch.equal(part.pixels, EXPECTED[list(numbers)]) and part.class_names == ("a", "b")
        assert part.labels is not None and part.labels.tolist() == [i % 2 for i in numbers]
    assert len({images.sha256, *(part.sha256 for part in parts.values())}) == 1 + len(parts)
    assert [part.sha256 for part in images] == [images[i].sha256 for i in range(5)]


MASK = [False, True, False, False, True]
SAME = {
    "list": MASK, "tuple": tuple(MASK), "array": np.array(MASK), "mask": torch.tensor(MASK),
    "truth values": [np.bool_(chosen) for chosen in MASK], "numbers": [1, -1],
    "range": range(1, 5, 3),
}  # fmt: skip


@pytest.mark.parametrize("which", SAME.values(), ids=SAME)
def test_a_choice_in_any_container(which):
    """Truth values are no numbers: True is not image 1."""
    images = ImageSet(EXPECTED, name="mine")
    for part in (images.select(which), images[which], images.without([0, 2, 3])):
        assert torch.equal(part.pixels, EXPECTED[[1, 4]])
    assert torch.equal(images.without(which).pixels, EXPECTED[[0, 2, 3]])
    one = torch.tensor(3)
    assert images.select(one) == images.select(3) == images.select(np.int64(3)) == images[3]


@pytest.mark.parametrize(
    "ask,message",
    [
        (lambda s: s[5], r"which must hold numbers in 0..4, the images of 'mine', got 5"),
        (lambda s: s.select([]), "which must name at least one image of 'mine', got none"),
        (lambda s: s.without(range(5)), "which must name at least one image"),
        (lambda s: s["a"], "which must be numbers of images, or a mask, got"),
        (lambda s: s[1.5], r"got 1.5; 3, \[3, 5\], 2:5, or labels == 1 are"),
        (lambda s: s[[[1]]], r"or a mask, got \[\[1\]\]; 3, "),
        (lambda s: s.select([True, False, 1, 0, 1]), "of 5 images, got 5 entries with truth val"),
        (lambda s: s.without([True, False]), "mask of 5 images, got 2 entries .*; write one f"),
        (lambda s: s.select(torch.ones(4, dtype=torch.bool)), "must be a mask of 5 images, got"),
    ],
)
def test_parts_that_are_refused(as_installed, ask, message):
    """With the size of the set, or the way to ask."""
    with pytest.raises(ValueError, match=message):
        ask(ImageSet(EXPECTED, name="mine"))


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def test_import_then_load(photos, tmp_path, monkeypatch):
    """By name, with its classes and both parts, at its own size; the manifest has the digest."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path / "cache"))
    options = ("--size", 16, "--fit", "squash", "--held-out", 0.25)
    done = run("data", "import", photos, "--name", "mine", *options)
    assert done.exit_code == 0 and "splits train: 0, 9" in done.output, done.output
    assert {f.name for f in (tmp_path / "cache" / "sets").iterdir()} == {"mine.npz", "mine.json"}
    train, held_out = named.load("mine"), named.load("mine/held_out")
    assert train.name == "mine/train" and train.class_names == ("cats", "dogs")
    assert (len(train), len(held_out)) == (9, 3) and train.pixels.shape[1:] == (3, 16, 16)
    whole = ImageSet.from_folder(photos, 16, "squash").pixels
    both = torch.cat([train.pixels, held_out.pixels])
    assert torch.equal(both.flatten(1).sort(0).values, whole.flatten(1).sort(0).values)
    assert train.labels is not None and train.labels.tolist() == sorted(train.labels.tolist())
    assert "mine/train" in named.present() and "mine " in run("data", "list").output
    again = run("data", "import", photos, "--name", "mine")
    assert again.exit_code == 2 and "name must not be taken, got 'mine'" in again.output
    path = tmp_path / "cache" / "sets" / "mine.npz"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="must have the sha256 of its manifest.*import it again"):
        named.load("mine")
    for name, share, message in (
        ("a/b", 0.1, "name must be one word of letters, digits, _ and -, got 'a/b'"),
        ("mnist", 0.1, "name must not be taken, got 'mnist'"),
        ("other", 1, r"held_out must lie in \[0, 1\), a share of the images, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            import_folder(photos, name, held_out=share)
    import_folder(photos, "all", held_out=0)
    assert len(named.load("all")) == 12


@pytest.mark.parametrize("content", ["{no", "", "[]", "\udcff", "{}", '{"files": {}, "splits": 3}'])
def test_a_broken_manifest_of_an_imported_set_is_named(tmp_path, monkeypatch, content):
    """By whatever reads it, with what to do."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path))
    path = tmp_path / "sets" / "mine.json"
    path.parent.mkdir()
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    for read in (named.load, named.with_split, named.second_split):
        with pytest.raises(ValueError, match=r"mine\.json .*delete it and import the set again"):
            read("mine")
    done = run("data", "list")
    assert done.exit_code == 2 and str(path) in done.output


def test_folders_and_archives_are_loaded_by_their_path(photos, tmp_path, monkeypatch):
    """As every --dataset takes them; names keep their classes."""
    assert named.load(str(photos)).pixels.shape == (12, 3, 32, 32)
    monkeypatch.chdir(tmp_path)
    assert named.load("photos").name == "photos" == named.with_split("photos")
    path = tmp_path / "set.npz"
    labels = np.arange(5) % 2
    np.savez(path, images=BYTES, labels=labels, class_names=np.array(["a", "b"]))
    images = named.load(str(path))
    assert torch.equal(images.pixels, EXPECTED) and images.class_names == ("a", "b")
    np.savez(path, images=BYTES / 127.5 - 1)
    assert torch.allclose(named.load(str(path)).pixels, EXPECTED, atol=1e-6)
    np.savez(path, pixels=BYTES)
    with pytest.raises(ValueError, match="must hold images, and may hold labels .* got pixels"):
        named.load(str(path))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match="must be an npz as numpy.savez writes it"):
        named.load(str(path))
    with pytest.raises(FileNotFoundError, match="other.npz is missing; numpy.savez"):
        named.load("other.npz")
    np.save(tmp_path / "bytes.npy", BYTES)
    assert torch.equal(named.load("bytes.npy").pixels, EXPECTED)
    with pytest.raises(ValueError, match="'nowhere'; known: .*; or a folder of pictures, or a .np"):
        named.load("nowhere")


def test_data_list_needs_no_checkout(tmp_path, monkeypatch):
    """As beside an installed wheel."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path))
    monkeypatch.setattr(folders, "__file__", str(tmp_path / "elslib" / "data" / "folders.py"))
    done = run("data", "list")
    assert done.exit_code == 0 and "full sets" in done.output, done.output


def test_hidden_folders_of_a_class_are_left_out(photos):
    """What a file manager or an archive leaves in them is no picture of the class."""
    for hidden in (".thumbnails", "__MACOSX", "big/.cache"):
        save(photos / "cats" / hidden / "0.png", plain(RED))
    labels = ImageSet.from_folder(photos, 8).labels
    assert labels is not None and labels.tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32])
def test_class_numbers_of_any_type(as_installed, kind):
    """300 is not class 44, -1 not 255; the set is the one of int64 labels."""
    pixels = torch.zeros(4, 1, 2, 2)
    labels = torch.tensor([0, 1, 44, 127])
    images = ImageSet(pixels, labels.to(kind))
    assert cast(Any, images.labels).dtype == torch.int64 and images == ImageSet(pixels, labels)
    for wrong in (300, -1):
        with pytest.raises(ValueError, match=f"label must be a class of .*, got {wrong}"):
            images.of_class(wrong)
    assert ImageSet.from_uint8(pixels.byte(), labels.to(kind)) == ImageSet.from_uint8(
        pixels.byte(), labels
    )


def test_tensors_are_copied():
    """A buffer that is used again does not change the set."""
    pixels, labels = torch.zeros(2, 1, 2, 2), torch.tensor([0, 1])
    images = ImageSet.from_arrays(pixels, labels)
    pixels.fill_(1)
    labels.fill_(1)
    assert float(images.pixels.max()) == 0 and cast(Any, images.labels).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [np.longdouble, ">f4", np.float16])
def test_floats_of_any_type(dtype):
    """Torch has none of these kinds, or a coarser one."""
    images = ImageSet.from_arrays(np.full((1, 1, 2, 2), -0.5, dtype))
    assert images.pixels.dtype == torch.float32 and float(images.pixels.max()) == -0.5


def test_labels_that_are_no_numbers_are_said():
    """A dataset whose second entries are none gives a set without labels, and a word of it."""
    pixels = torch.zeros(1, 2, 2) - 1
    for others in ([0.0, 1.0], ["a", "b"], [True, False], [torch.tensor([1, 0])] * 2):
        with pytest.warns(UserWarning, match="the set has no labels"):
            images = ImageSet.from_dataset([(pixels, y) for y in others])
        assert images.labels is None
    with pytest.raises(ValueError, match="labels must be whole numbers"):
        ImageSet.from_arrays(torch.zeros(1, 1, 2, 2), np.array([2**63], dtype=np.uint64))


@pytest.mark.parametrize("held_out", [0.3, 0.6, 0.9])
def test_every_class_keeps_an_image(tmp_path, monkeypatch, held_out):
    """However large the share that is held out, and however rare the class."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path / "cache"))
    for name, count in (("a", 9), ("b", 1), ("c", 1), ("d", 2)):
        for i in range(count):
            save(tmp_path / "photos" / name / f"{i}.png", plain((20 * i, 0, 0)))
    import_folder(tmp_path / "photos", "rare", 8, held_out=held_out)
    train, rest = named.load("rare"), named.load("rare/held_out")
    assert set(cast(Any, train.labels).tolist()) == {0, 1, 2, 3}
    assert len(train) + len(rest) == 13 and len(rest) == min(round(13 * held_out), 9)


def test_resized_bytes_are_another_set():
    """Their sha256 is that of the bytes; what is prepared of one does not serve the other."""
    raw = torch.randint(256, (6, 1, 10, 10), generator=torch.Generator().manual_seed(0)).byte()
    small, large = ImageSet.from_uint8(raw, name="m"), resized_set(raw, None, (), "m")
    assert small.sha256 == large.sha256 and small != large
    for images in (small, large):
        shape = (1, *images.pixels.shape[1:])
        assert WienerFilter(images)(torch.zeros(shape), 0.5).shape == shape
