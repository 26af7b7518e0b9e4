"""Image sets: the embedded files, the full sets in their true on-disk formats, and every error."""

import gzip
import hashlib
import json
import pickle
import shutil
import struct
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.datasets as tv
from click.testing import CliRunner
from PIL import Image

from elslib import cli, datasets
from elslib.images import ImageSet, from_pixels

SIZES = {
    "fashion_mnist_10k/train": 10_000,
    "fashion_mnist_test_1k/test": 1_000,
    "mnist_5k/train": 4_500,
    "mnist_5k/held_out": 500,
    "noto_emoji/train": 1_473,
    "noto_emoji/held_out": 163,
}
CORRUPT = "are corrupt or truncated .*; delete them and run `elslib data fetch"


def labels_of(images):
    assert images.labels is not None
    return images.labels.tolist()


# ---- embedded sets


@pytest.mark.parametrize("name", datasets.manifest())
def test_embedded_file_matches_manifest(name):
    """Every npz has the manifest's sha256 and shape, holds bytes, and has images of every class."""
    about = datasets.manifest()[name]
    path = datasets.data_folder() / about["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == about["sha256"]
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["images"].dtype == np.uint8
        assert list(arrays["images"].shape) == about["shape"]
        assert arrays["labels"].shape == (about["shape"][0],)
        assert set(arrays["labels"].tolist()) == set(range(len(about["class_names"])))


@pytest.mark.parametrize("name", SIZES)
def test_embedded_set_meets_contract(name):
    """A loaded set is float32 [n, c, 32, 32] in [-1, 1], its labels int64 class numbers."""
    images = datasets.load(name)
    channels = 3 if name.startswith("noto") else 1
    assert images.name == name
    assert images.images.shape == (SIZES[name], channels, 32, 32)
    assert images.images.dtype == torch.float32
    low, high = images.images.aminmax()
    assert low == -1 and 0.9 < high <= 1
    assert images.labels is not None and images.labels.dtype == torch.int64
    assert images.labels.shape == (SIZES[name],)
    assert 0 <= images.labels.min() and images.labels.max() < len(images.class_names)


@pytest.mark.parametrize("name", datasets.manifest())
def test_default_split_is_the_first(name):
    """A name without a split means the manifest's first split."""
    first = next(iter(datasets.manifest()[name]["splits"]))
    assert datasets.load(name).name == f"{name}/{first}"
    assert datasets.load(name).sha256 == datasets.load(f"{name}/{first}").sha256


@pytest.mark.parametrize("name", ["mnist_5k", "noto_emoji"])
def test_held_out_rows_are_disjoint_from_training_rows(name):
    """Train and held-out are different rows of the file, and together all of them, in order."""
    about = datasets.manifest()[name]
    rows = [set(range(*bounds)) for bounds in about["splits"].values()]
    assert len(rows) == 2 and not rows[0] & rows[1]
    assert rows[0] | rows[1] == set(range(about["shape"][0]))
    with np.load(datasets.data_folder() / about["file"], allow_pickle=False) as arrays:
        pixels, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    for split, bounds in about["splits"].items():
        images = datasets.load(f"{name}/{split}")
        expected = from_pixels(pixels[slice(*bounds)], labels[slice(*bounds)].long(), (), "")
        assert torch.equal(images.images, expected.images)
        assert labels_of(images) == labels_of(expected)


def test_emoji_pixels_are_the_bytes():
    """Images that are 32x32 already are scaled only: byte b becomes b / 127.5 - 1."""
    about = datasets.manifest()["noto_emoji"]
    with np.load(datasets.data_folder() / about["file"], allow_pickle=False) as arrays:
        pixels = arrays["images"][:100].astype(np.float64)
    images = datasets.load("noto_emoji").first(100).images
    assert np.abs(images.numpy() - (pixels / 127.5 - 1)).max() < 1e-6


def test_embedded_files_stay_small():
    """All npz files of data/ together take less than 32 MB of the repository."""
    assert sum(path.stat().st_size for path in datasets.data_folder().rglob("*.npz")) < 32e6


# ---- full sets


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty cache folder, on a machine without Debian's copy and without the network."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "DEBIAN_FASHION", tmp_path / "no-debian")
    nowhere = f"{(tmp_path / 'nowhere').as_uri()}/"
    monkeypatch.setattr(tv.MNIST, "mirrors", [nowhere])
    monkeypatch.setattr(tv.FashionMNIST, "mirrors", [nowhere])
    monkeypatch.setattr(tv.CIFAR10, "url", nowhere + "cifar-10-python.tar.gz")
    monkeypatch.setitem(sys.modules, "gdown", None)  # CelebA's downloader
    return tmp_path / "cache"


def constant_images(values, *shape):
    """One image per value, that value everywhere: uint8 [n, *shape]."""
    return np.stack([np.full(shape, value, np.uint8) for value in values])


def write_idx(path, array, pack: Callable[[bytes], bytes] = bytes):
    """An array of bytes in MNIST's idx format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(pack(header + array.tobytes()))


def write_idx_set(folder, suffix="", pack: Callable[[bytes], bytes] = bytes):
    """Both splits: train has 3 images of values 0, 51, 255 (labels 7, 0, 9), test 2 (0, 255)."""
    for split, values, labels in (("train", (0, 51, 255), (7, 0, 9)), ("t10k", (0, 255), (1, 2))):
        images = constant_images(values, 28, 28)
        write_idx(folder / f"{split}-images-idx3-ubyte{suffix}", images, pack)
        write_idx(folder / f"{split}-labels-idx1-ubyte{suffix}", np.array(labels, np.uint8), pack)


def write_cifar(root, monkeypatch):
    """Five training batches and one test batch of two images, with their md5s for torchvision."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for i, name in enumerate(names):
        images = constant_images((40 * i, 255), 3, 32, 32)
        images[1, 1:] = 0  # the second image of every batch is pure red
        batch = {"data": images.reshape(2, 3072), "labels": [i, 9], "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {"label_names": list(datasets.CIFAR10_CLASSES)}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(tv.CIFAR10, "train_list", [[name, md5[name]] for name in names[:5]])
    monkeypatch.setattr(tv.CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(tv.CIFAR10, "meta", {**tv.CIFAR10.meta, "md5": md5["batches.meta"]})
    return folder


def write_celeba(root, monkeypatch):
    """Four photographs, 178x218, white with a centred square of 100 pixels in gray 60, 80, ...

    The first two are of the training split, the last two of the test split.
    """
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06}.jpg" for i in range(1, 5)]
    for i, name in enumerate(names):
        photo = np.full((218, 178, 3), 255, np.uint8)
        photo[59:159, 39:139] = 60 + 20 * i
        Image.fromarray(photo).save(folder / "img_align_celeba" / name, quality=100)

    def table(file, values, header=""):
        rows = "".join(f"{name} {value}\n" for name, value in zip(names, values, strict=True))
        count = f"{len(names)}\n" if header else ""
        (folder / file).write_text(f"{count}{header}{rows}")

    table("list_eval_partition.txt", [0, 0, 2, 2])
    table("identity_CelebA.txt", [11, 12, 13, 14])
    table("list_bbox_celeba.txt", ["95 71 226 313"] * 4, "image_id x_1 y_1 width height\n")
    points = " ".join(f"{p}_{axis}" for p in ("lefteye", "righteye", "nose") for axis in "xy")
    table("list_landmarks_align_celeba.txt", ["69 109 106 113 77 142"] * 4, points + "\n")
    table("list_attr_celeba.txt", ["-1  1"] * 4, "Smiling Young\n")
    unchecked = [(file_id, None, name) for file_id, _, name in tv.CelebA.file_list]
    monkeypatch.setattr(tv.CelebA, "file_list", unchecked)
    return folder


def gray(value):
    return value / 127.5 - 1


def assert_idx_set(name, class_names):
    train, test = datasets.load(name), datasets.load(f"{name}/test")
    assert train.name == f"{name}/train" and test.name == f"{name}/test"
    assert train.images.shape == (3, 1, 32, 32) and train.images.dtype == torch.float32
    for image, value in zip(train.images, (0, 51, 255), strict=True):
        assert torch.allclose(image, torch.tensor(gray(value)), atol=1e-5)
    assert labels_of(train) == [7, 0, 9]
    assert train.class_names == class_names
    assert labels_of(test) == [1, 2]
    assert [float(image.mean().round(decimals=4)) for image in test.images] == [-1, 1]


def test_mnist_loads_from_idx_files(root):
    """MNIST comes through from raw idx files: pixel values, labels, both splits."""
    assert "mnist/train" not in datasets.present()
    write_idx_set(root / "MNIST" / "raw")
    assert_idx_set("mnist", datasets.DIGITS)
    assert "mnist/train" in datasets.present()


def test_fashion_mnist_loads_from_idx_files(root):
    """FashionMNIST comes through from raw idx files: pixel values, labels, both splits."""
    write_idx_set(root / "FashionMNIST" / "raw")
    assert_idx_set("fashion_mnist", datasets.FASHION_CLASSES)


def test_fashion_mnist_loads_from_debian_package(root, monkeypatch, tmp_path):
    """FashionMNIST comes through from Debian's gzipped idx files, and nothing is unpacked there."""
    write_idx_set(tmp_path / "debian", ".gz", gzip.compress)
    before = sorted((tmp_path / "debian").iterdir())
    monkeypatch.setattr(datasets, "DEBIAN_FASHION", tmp_path / "debian")
    assert_idx_set("fashion_mnist", datasets.FASHION_CLASSES)
    assert sorted((tmp_path / "debian").iterdir()) == before
    assert "fashion_mnist/train" in datasets.present()
    assert not root.exists()


def test_fetching_a_set_that_is_here_says_what_it_has(root):
    """Its folder, and of both splits the shape and the hash; without a network."""
    write_idx_set(root / "FashionMNIST" / "raw")
    fetch = ["data", "fetch", "fashion_mnist", "--json"]
    said = [
        json.loads(CliRunner().invoke(cli.main, arguments).stdout)
        for arguments in ([*fetch, "--dry-run"], fetch)
    ]
    assert said[0] == {"folder": str(root), "here": True}
    for split in ("train", "test"):
        images = datasets.load(f"fashion_mnist/{split}")
        assert said[1][split] == {"shape": list(images.images.shape), "sha256": images.sha256}


def test_fashion_mnist_prefers_the_cache_to_debian(root, monkeypatch, tmp_path):
    """Files in the cache folder win over Debian's."""
    write_idx_set(root / "FashionMNIST" / "raw")
    (tmp_path / "debian").mkdir()  # empty, so that reading from it would fail
    monkeypatch.setattr(datasets, "DEBIAN_FASHION", tmp_path / "debian")
    assert_idx_set("fashion_mnist", datasets.FASHION_CLASSES)


def test_cifar10_loads_from_pickled_batches(root, monkeypatch):
    """CIFAR10 comes through from its batches: order, colour planes, labels, both splits."""
    write_cifar(root, monkeypatch)
    train, test = datasets.load("cifar10"), datasets.load("cifar10/test")
    assert train.images.shape == (10, 3, 32, 32)
    assert labels_of(train) == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert train.class_names == datasets.CIFAR10_CLASSES
    for i in range(5):
        assert torch.allclose(train.images[2 * i], torch.tensor(gray(40 * i)), atol=1e-6)
    red = train.images[1]
    assert (red[0] == 1).all() and (red[1:] == -1).all()
    assert labels_of(test) == [5, 9]
    assert torch.allclose(test.images[0], torch.tensor(gray(200)), atol=1e-6)


def test_celeba_loads_from_photographs(root, monkeypatch):
    """CelebA comes through from its jpegs: split, order, gray values, no labels."""
    write_celeba(root, monkeypatch)
    train, test = datasets.load("celeba"), datasets.load("celeba/test")
    assert train.images.shape == test.images.shape == (2, 3, 32, 32)
    assert train.labels is None and train.class_names == ()
    for image, value in zip([*train.images, *test.images], (60, 80, 100, 120), strict=True):
        # 178 pixels wide, so the square of 100 ends 7 cells of 5.56 pixels from the border.
        assert torch.allclose(image[:, 8:24, 8:24], torch.tensor(gray(value)), atol=0.02)
        assert torch.allclose(image[:, :6], torch.tensor(1.0), atol=0.02)


def test_celeba_crop_is_honoured(root, monkeypatch):
    """A crop of 100 pixels sees only the centred square of 100 pixels; one of 178 its margin."""
    write_celeba(root, monkeypatch)
    pixels, labels, class_names = datasets.celeba(root, "train", crop=100)
    assert labels is None and class_names == ()
    assert pixels.dtype == torch.uint8 and pixels.shape == (2, 3, 32, 32)
    assert (pixels[0].int() - 60).abs().max() <= 2
    assert (pixels[1].int() - 80).abs().max() <= 2
    wide, _, _ = datasets.celeba(root, "train", crop=178)
    assert (wide[:, :, 0].int() - 255).abs().max() <= 2


@pytest.mark.parametrize("crop", [0, -1, 179])
def test_celeba_crop_out_of_range(root, crop):
    """A crop outside the photograph is refused before anything is read."""
    with pytest.raises(ValueError, match=rf"crop must lie in 1\.\.178.*got {crop}\."):
        datasets.celeba(root, "train", crop=crop)


def test_celeba_second_load_uses_kept_array(root, monkeypatch):
    """Decoding is done once per split and crop: the photographs may go, the result stays."""
    folder = write_celeba(root, monkeypatch)
    first = datasets.load("celeba")
    assert [path.name for path in root.glob("*.npy")] == ["celeba-train-crop178.npy"]
    shutil.rmtree(folder)
    second = datasets.load("celeba")
    assert torch.equal(second.images, first.images) and second.sha256 == first.sha256
    with pytest.raises(FileNotFoundError, match="elslib data fetch celeba"):
        datasets.load("celeba/test")


def test_cache_folder_defaults_to_home(monkeypatch, tmp_path):
    """Without ELSLIB_DATA, or with an empty one, the cache is ~/.cache/elslib."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in (None, ""):
        monkeypatch.delenv("ELSLIB_DATA", raising=False)
        if value is not None:
            monkeypatch.setenv("ELSLIB_DATA", value)
        assert datasets.cache_folder() == tmp_path / ".cache" / "elslib"


# ---- errors of load


def test_unknown_name():
    """An unknown set is refused with the names of the known ones."""
    with pytest.raises(ValueError, match="got 'imagenet'; known: fashion_mnist_10k.*celeba"):
        datasets.load("imagenet")


def test_unknown_split():
    """An unknown split is refused with the names of the known ones."""
    with pytest.raises(ValueError, match="split of mnist_5k must be one of train, held_out.*test"):
        datasets.load("mnist_5k/test")
    with pytest.raises(ValueError, match="split of mnist must be train or test, got 'held_out'"):
        datasets.load("mnist/held_out")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A data folder of the test's own: the library outside a checkout, ELSLIB_DATA set to it."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(datasets.data_folder() / "manifest.json", folder)
    shutil.copy(datasets.data_folder() / "mnist_5k.npz", folder)
    installed = tmp_path / "site-packages" / "elslib" / "datasets.py"
    monkeypatch.setattr(datasets, "__file__", str(installed))
    monkeypatch.setenv("ELSLIB_DATA", str(folder))
    return folder


def test_data_folder_outside_a_checkout(elsewhere):
    """ELSLIB_DATA finds the embedded sets for a library that is installed without them."""
    assert datasets.data_folder() == elsewhere
    assert len(datasets.load("mnist_5k/held_out")) == 500


def test_no_data_folder_at_all(elsewhere):
    """Outside a checkout and without the files, the error says how to get them."""
    (elsewhere / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="Clone it and set ELSLIB_DATA"):
        datasets.data_folder()
    with pytest.raises(FileNotFoundError, match="Clone it and set ELSLIB_DATA"):
        datasets.load("mnist_5k")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_truncated_embedded_file(elsewhere, kept):
    """A truncated npz is refused by its sha256, whatever is left of it."""
    path = elsewhere / "mnist_5k.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"mnist_5k.npz must have the sha256.*\d+ bytes.*restore"):
        datasets.load("mnist_5k")


def test_missing_embedded_file(elsewhere):
    """A missing npz is named, with the way to restore it."""
    with pytest.raises(FileNotFoundError, match="noto_emoji.npz is missing; restore it"):
        datasets.load("noto_emoji")


@pytest.mark.parametrize("name", datasets.FULL_SETS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_full_set_that_is_not_there(root, name, split):
    """A full set that was never fetched: the error names the command and the folder."""
    with pytest.raises(FileNotFoundError, match=f"{name} is not in .*elslib data fetch {name}"):
        datasets.load(f"{name}/{split}")


@pytest.mark.parametrize("name", datasets.FULL_SETS)
def test_download_without_network(root, name):
    """A failed download is a ConnectionError with a way out, and leaves nothing that loads."""
    with pytest.raises(ConnectionError, match=f"(?s){name} could not be downloaded.*embedded set"):
        datasets.load(name, download=True)
    with pytest.raises(FileNotFoundError, match="elslib data fetch"):
        datasets.load(name)


def truncate(path, kept=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])


def other_dtype(path):
    """An idx file of 32-bit integers where bytes belong."""
    header = struct.pack(">BBBB3I", 0, 0, 12, 3, 1, 2, 2)
    path.write_bytes(header + bytes(16))


IDX_CORRUPTIONS = {
    "truncated images": ("images-idx3", truncate),
    "images without header": ("images-idx3", lambda path: path.write_bytes(b"")),
    "images that are text": ("images-idx3", lambda path: path.write_text("<html>busy</html>")),
    "images of another dtype": ("images-idx3", other_dtype),
    "truncated labels": ("labels-idx1", lambda path: truncate(path, 0.9)),
}


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("corruption", IDX_CORRUPTIONS)
def test_corrupt_idx_file(root, corruption, download):
    """A broken idx file is called broken, not missing, and not a failure of the network."""
    raw = root / "MNIST" / "raw"
    write_idx_set(raw)
    file, corrupt = IDX_CORRUPTIONS[corruption]
    corrupt(raw / f"train-{file}-ubyte")
    with pytest.raises(ValueError, match=f"mnist .*{CORRUPT} mnist"):
        datasets.load("mnist", download=download)


def flip_middle(path):
    """Damage the compressed stream, not gzip's header."""
    content = bytearray(path.read_bytes())
    for i in range(20, len(content) - 8):
        content[i] ^= 0xFF
    path.write_bytes(content)


DEBIAN_CORRUPTIONS = {
    "truncated": truncate,
    "not gzip": lambda path: path.write_bytes(b"not gzip at all"),
    "damaged stream": flip_middle,
}


@pytest.mark.parametrize("corruption", DEBIAN_CORRUPTIONS)
def test_corrupt_debian_file(root, monkeypatch, tmp_path, corruption):
    """A broken file of Debian's package is called broken."""
    write_idx_set(tmp_path / "debian", ".gz", gzip.compress)
    monkeypatch.setattr(datasets, "DEBIAN_FASHION", tmp_path / "debian")
    DEBIAN_CORRUPTIONS[corruption](tmp_path / "debian" / "train-images-idx3-ubyte.gz")
    with pytest.raises(ValueError, match="corrupt or truncated"):
        datasets.load("fashion_mnist")


@pytest.mark.parametrize("file", ["data_batch_3", "batches.meta"])
def test_corrupt_cifar10_file(root, monkeypatch, file):
    """A truncated CIFAR10 batch is called broken."""
    truncate(write_cifar(root, monkeypatch) / file)
    with pytest.raises(ValueError, match=f"cifar10 .*{CORRUPT} cifar10"):
        datasets.load("cifar10")


CELEBA_CORRUPTIONS = {
    "truncated photograph": ("celeba/img_align_celeba/000002.jpg", truncate),
    "photograph that is text": (
        "celeba/img_align_celeba/000001.jpg",
        lambda path: path.write_text("<html>quota exceeded</html>"),
    ),
    "table that is text": (
        "celeba/list_attr_celeba.txt",
        lambda path: path.write_text("<html>\n<body>\nquota exceeded\n"),
    ),
}


@pytest.mark.parametrize("corruption", CELEBA_CORRUPTIONS)
def test_corrupt_celeba_file(root, monkeypatch, corruption):
    """A broken photograph or table is called broken, and no array is kept of it."""
    write_celeba(root, monkeypatch)
    file, corrupt = CELEBA_CORRUPTIONS[corruption]
    corrupt(root / file)
    with pytest.raises(ValueError, match=f"celeba .*{CORRUPT} celeba"):
        datasets.load("celeba")
    assert not list(root.glob("*.npy"))


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5])
def test_corrupt_kept_celeba_array(root, monkeypatch, kept):
    """A truncated array beside the photographs is called broken."""
    write_celeba(root, monkeypatch)
    datasets.load("celeba")
    truncate(root / "celeba-train-crop178.npy", kept)
    with pytest.raises(ValueError, match=f"celeba .*{CORRUPT} celeba"):
        datasets.load("celeba")


# ---- ImageSet


def ramp(n=6, side=4):
    """n different images, none of them constant, with labels 0, 1, 2, 0, 1, 2."""
    images = torch.linspace(-1, 1, n * side * side).reshape(n, 1, side, side)
    return ImageSet(images, torch.arange(n) % 3, ("a", "b", "c"), "ramp")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_images_must_be_finite(bad):
    """A single NaN or infinity is refused."""
    images = torch.zeros(2, 1, 4, 4)
    images[1, 0, 3, 2] = bad
    with pytest.raises(ValueError, match="images must be finite, got NaN or infinity"):
        ImageSet(images)


@pytest.mark.parametrize("bad", [-1.01, 1.01, 255.0])
def test_images_must_lie_in_range(bad):
    """Pixels outside [-1, 1] are refused with the range found and how to scale, never clamped."""
    images = torch.zeros(2, 1, 4, 4)
    images[1, 0, 3, 2] = bad
    with pytest.raises(ValueError, match=r"must lie in \[-1, 1\], got \[.*\]; scale .* / 127.5"):
        ImageSet(images)


@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 4), (2, 1, 1, 4, 4), (0, 1, 4, 4)])
def test_images_must_have_four_axes(as_installed, shape):
    """Anything but a non-empty [n, c, h, w] is refused with the shape found."""
    with pytest.raises(ValueError, match=r"images must be .* shape \[n, c, h, w\] with n >= 1"):
        ImageSet(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_images_must_be_floating_point(as_installed, dtype):
    """Bytes and other integers are refused: their scale is not [-1, 1]."""
    with pytest.raises(ValueError, match=f"images must be floating point.*got {dtype}"):
        ImageSet(torch.zeros(2, 1, 4, 4, dtype=dtype))


@pytest.mark.parametrize("n", [1, 3])
def test_labels_must_match_images(as_installed, n):
    """One label per image, no fewer and no more."""
    with pytest.raises(ValueError, match=rf"one class number per image, got shape \({n},\) for 2"):
        ImageSet(torch.zeros(2, 1, 4, 4), torch.zeros(n, dtype=torch.int64))


def test_subset_of_a_class_nobody_has():
    """The subset of an absent class is refused with the classes that are present."""
    with pytest.raises(ValueError, match=r"label must be a class of 'ramp', got 3; it has \[0, 1,"):
        ramp().subset(3)
    with pytest.raises(ValueError, match="got -1"):
        ramp().subset(-1)


@pytest.mark.parametrize(
    "label",
    [torch.tensor([0, 1]), torch.tensor([1]), np.array([1, 0]), [1], True, np.True_,
     torch.tensor(True), 1.0, np.float32(1), torch.tensor(1.0), "1"],
)  # fmt: skip
def test_a_class_is_one_whole_number(as_installed, label):
    """Several would be compared image by image; booleans and floats as 0 and 1."""
    whole = ramp()
    for ask in (whole.subset, whole.of_class, whole.class_name):
        with pytest.raises(ValueError, match="label must be the number of one class, got .*; for"):
            ask(label)


@pytest.mark.parametrize("label", [1, np.int64(1), np.uint8(1), np.array(1), torch.tensor(1)])
def test_a_class_may_be_an_integer_of_any_kind(label):
    """NumPy's and torch's as Python's."""
    part = ramp().subset(label)
    assert torch.equal(part.images, ramp().subset(1).images)
    assert part.sha256 == ramp().subset(1).sha256


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.complex64])
def test_labels_must_be_whole_numbers(as_installed, dtype):
    """Floats would have classes between the classes."""
    with pytest.raises(ValueError, match=rf"labels must be whole numbers, got {dtype}; convert"):
        ImageSet(torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=dtype))


def test_subset_of_unlabelled_images():
    """A set without labels has no subsets."""
    with pytest.raises(ValueError, match="label must be None: the images of 'plain' have no label"):
        ImageSet(torch.zeros(2, 1, 4, 4), name="plain").subset(0)


@pytest.mark.parametrize("n", [0, -1, 7])
def test_first_out_of_range(n):
    """first(n) asks for 1 to all of the images."""
    with pytest.raises(ValueError, match=rf"n must lie in 1\.\.6, the size of 'ramp', got {n}"):
        ramp().first(n)


def test_subset_keeps_the_rows_of_its_class_in_order():
    """On a small set, after other cuts, and on real data."""
    whole = ramp()
    for label in range(3):
        part = whole.subset(label)
        assert labels_of(part) == [label, label]
        assert torch.equal(part.images, whole.images[[label, label + 3]])
        assert torch.equal(part.to(dtype=torch.float64).first(1).images, part.images[:1].double())
    assert torch.equal(whole.first(5).subset(2).images, whole.images[2:3])
    assert whole.first(6) is whole
    emoji = datasets.load("noto_emoji")
    rows = torch.tensor(labels_of(emoji)).eq(2)
    assert torch.equal(emoji.subset(2).images, emoji.images[rows])


def test_sha256_is_of_the_content():
    """Equal pixels and labels have equal sha256; one pixel, one label or the shape changes it."""
    pixels = torch.arange(2 * 32 * 32).remainder(256).to(torch.uint8).reshape(2, 1, 32, 32)
    labels = torch.tensor([0, 1])
    one = from_pixels(pixels, labels, (), "one")
    assert one.sha256 == from_pixels(pixels.clone(), labels.clone(), (), "two").sha256
    changed = pixels.clone()
    changed[1, 0, 31, 31] ^= 1
    others = [
        from_pixels(changed, labels, (), "one"),
        from_pixels(pixels, labels.flip(0), (), "one"),
        from_pixels(pixels, None, (), "one"),
        from_pixels(pixels.transpose(0, 1), None, (), "one"),
        one.subset(0),
        one.subset(1),
        one.first(1),
    ]
    assert len({one.sha256, *(other.sha256 for other in others)}) == len(others) + 1
    assert ImageSet(one.images).sha256 == ImageSet(one.images.clone()).sha256
    assert ImageSet(one.images).sha256 != ImageSet(-one.images).sha256


def test_sha256_is_independent_of_memory_layout():
    """The same pixels in another memory order are the same images."""
    pixels = torch.arange(3 * 3 * 32 * 32).remainder(251).to(torch.uint8).reshape(3, 3, 32, 32)
    permuted = pixels.to(memory_format=torch.channels_last)
    assert from_pixels(pixels, None, (), "").sha256 == from_pixels(permuted, None, (), "").sha256


@pytest.mark.parametrize("side", [28, 32, 64, 178])
def test_resizing_keeps_constants(side):
    """An image of one byte is that value everywhere after resizing, also black and white."""
    values = (0, 1, 127, 254, 255)
    pixels = torch.from_numpy(constant_images(values, 3, side, side))
    images = from_pixels(pixels, None, (), "").images
    assert images.shape == (5, 3, 32, 32)
    for image, value in zip(images, values, strict=True):
        assert torch.allclose(image, torch.tensor(gray(value)), atol=1e-5)


def test_a_mapped_file(tmp_path):
    """Images stay in the file, classes come from beside it; broken files are named."""
    path = tmp_path / "set.npy"
    pixels = np.linspace(-1, 1, 6 * 2 * 4 * 5, dtype=np.float32).reshape(6, 2, 4, 5)
    np.save(path, pixels)
    mapped = datasets.load(str(path))
    assert torch.equal(mapped.images, torch.from_numpy(pixels)) and mapped.labels is None
    assert mapped.sha256 == ImageSet(torch.from_numpy(pixels)).sha256
    np.save(tmp_path / "set.labels.npy", np.array([0, 0, 0, 1, 1, 0]))
    mapped = datasets.load(str(path))
    part = mapped.subset(1).images
    assert part.data_ptr() == mapped.images[3].data_ptr()  # neighbours: nothing is copied
    assert torch.equal(mapped.subset(0).images, torch.from_numpy(pixels[[0, 1, 2, 5]]))
    with pytest.raises(FileNotFoundError, match="nowhere.npy is missing; numpy.save writes"):
        datasets.load(str(tmp_path / "nowhere.npy"))
    np.save(path, pixels.astype(np.float64))
    with pytest.raises(ValueError, match="must hold float32 .* in C order, got float64"):
        datasets.load(str(path))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="must be an array as numpy.save writes it"):
        datasets.load(str(path))
    with path.open("wb") as file:
        np.savez(file, pixels)
    with pytest.raises(ValueError, match=r"must be one array as .*, got an archive \(npz\)"):
        datasets.load(str(path))


def test_shards():
    """Together the whole, alike in size; more of them than images are refused."""
    whole = ramp(7)
    parts = [whole.shard(i, 3) for i in range(3)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert {len(part) for part in parts} == {2, 3}
    assert len({part.sha256 for part in parts}) == 3
    for i, n in ((3, 3), (-1, 3), (0, 8)):
        with pytest.raises(ValueError, match=f"at most 7, .* got number {i} of {n}"):
            whole.shard(i, n)


def test_a_file_larger_than_the_memory_can_be_mapped(tmp_path):
    """A sparse one of a terabyte. Loading would read it for its checks, so only the mapping."""
    path = tmp_path / "set.npy"
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1, 32, 32), np.float32))
    shape = (2**28, 1, 32, 32)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
        file.truncate(file.tell() + 4 * 2**38)
    mapped = datasets._array(path, "r")
    assert mapped.shape == shape and mapped[-1].sum() == 0


@pytest.mark.parametrize("name", ["cifar10", "cifar10/train", "cifar10/test"])
def test_full_sets_need_no_checkout(tmp_path, monkeypatch, name):
    """An installed wheel has no manifest."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "manifest", None)
    with pytest.raises(FileNotFoundError, match="cifar10 is not in"):
        datasets.load(name)


def test_a_set_is_also_called_by_its_first_split():
    """With what names none, and what is no set, as it is."""
    names = ["noto_emoji", "noto_emoji/held_out", "mnist", "mnist/test", "cats"]
    found = [datasets.with_split(name) for name in names]
    assert found == ["noto_emoji/train", names[1], "mnist/train", names[3], "cats"]


def test_other_images_have_another_sha256():
    """`replace` keeps no hash of images that are no more; moving them keeps it."""
    one = ImageSet(torch.rand(3, 1, 4, 4))
    assert replace(one, images=-one.images).sha256 == ImageSet(-one.images).sha256 != one.sha256
    assert one.to(dtype=torch.float64).sha256 == one.sha256


def test_a_class_without_a_name_has_one():
    """Sets of one's own may have labels and no names."""
    images, labels = torch.zeros(2, 1, 4, 4), torch.tensor([0, 3])
    assert ImageSet(images, labels).class_name(3) == "class 3"
    named = ImageSet(images, labels, ("a", "b", "c", "d"))
    assert named.class_name(3) == "d"
    for label in (-1, 4):
        with pytest.raises(ValueError, match=rf"label must lie in 0..3, the .* got {label}\."):
            named.class_name(label)
