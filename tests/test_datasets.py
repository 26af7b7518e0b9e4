"""Image sets: the embedded files, the full sets in their true on-disk formats, and every error."""

import errno
import gzip
import hashlib
import json
import os
import pickle
import shutil
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets as tv
from click.testing import CliRunner
from PIL import Image

from elslib import cli
from elslib.data import folders, full_sets, named
from elslib.data.image_set import ImageSet, resized_set

SIZES = {
    "fashion_mnist_10k/train": 10_000,
    "fashion_mnist_test_1k/test": 1_000,
    "mnist_5k/train": 4_500,
    "mnist_5k/held_out": 500,
    "noto_emoji/train": 1_473,
    "noto_emoji/held_out": 163,
    "cifar10_10k/train": 10_000,
    "cifar10_test_1k/test": 1_000,
}
CORRUPT = "are corrupt or truncated .*; delete them and run `elslib data fetch"


def labels_of(images):
    assert images.labels is not None
    return images.labels.tolist()


# ---- embedded sets


@pytest.mark.parametrize("name", named.manifest())
def test_embedded_file_matches_manifest(name):
    """Every file has the manifest's sha256 and shape, bytes, and images of every class."""
    about = named.manifest()[name]
    paths = [folders.data_folder() / file for file in about["files"]]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert digests == list(about["files"].values())
    pixels, labels = named.read_arrays(paths, about["shape"])
    assert pixels.dtype == torch.uint8 and list(pixels.shape) == about["shape"]
    assert labels is not None and labels.shape == (about["shape"][0],)
    assert set(labels.tolist()) == set(range(len(about["class_names"])))


@pytest.mark.parametrize("name", SIZES)
def test_embedded_set_meets_contract(name):
    """A loaded set is float32 [n, c, 32, 32] in [-1, 1], its labels int64 class numbers."""
    images = named.load(name)
    channels = 3 if name.startswith(("noto", "cifar10")) else 1
    assert images.name == name
    assert images.pixels.shape == (SIZES[name], channels, 32, 32)
    assert images.pixels.dtype == torch.float32
    low, high = images.pixels.aminmax()
    assert low == -1 and 0.9 < high <= 1
    assert images.labels is not None and images.labels.dtype == torch.int64
    assert images.labels.shape == (SIZES[name],)
    assert 0 <= images.labels.min() and images.labels.max() < len(images.class_names)


@pytest.mark.parametrize("name", named.manifest())
def test_default_split_is_the_first(name):
    """A name without a split means the manifest's first split."""
    first = next(iter(named.manifest()[name]["splits"]))
    assert named.load(name).name == f"{name}/{first}"
    assert named.load(name).sha256 == named.load(f"{name}/{first}").sha256


@pytest.mark.parametrize("name", ["mnist_5k", "noto_emoji"])
def test_held_out_rows_are_disjoint_from_training_rows(name):
    """Train and held-out are different rows of the file, and together all of them, in order."""
    about = named.manifest()[name]
    rows = [set(range(*bounds)) for bounds in about["splits"].values()]
    assert len(rows) == 2 and not rows[0] & rows[1]
    assert rows[0] | rows[1] == set(range(about["shape"][0]))
    with np.load(folders.data_folder() / next(iter(about["files"])), allow_pickle=False) as arrays:
        pixels, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    for split, bounds in about["splits"].items():
        images = named.load(f"{name}/{split}")
        expected = resized_set(pixels[slice(*bounds)], labels[slice(*bounds)].long(), (), "")
        assert torch.equal(images.pixels, expected.pixels)
        assert labels_of(images) == labels_of(expected)


def test_emoji_pixels_are_the_bytes():
    """Images that are 32x32 already are scaled only: byte b becomes b / 127.5 - 1."""
    about = named.manifest()["noto_emoji"]
    with np.load(folders.data_folder() / next(iter(about["files"])), allow_pickle=False) as arrays:
        pixels = arrays["images"][:100].astype(np.float64)
    images = named.load("noto_emoji").first(100).pixels
    assert np.abs(images.numpy() - (pixels / 127.5 - 1)).max() < 1e-6


def test_the_embedded_photographs_are_the_first_of_cifar10():
    """Labels begin as in the original files, pixels have the means that everybody knows."""
    images = named.load("cifar10_10k")
    assert labels_of(images)[:10] == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert images.class_names == full_sets.CIFAR10_CLASSES
    means = images.pixels.mean((0, 2, 3)) / 2 + 0.5
    assert torch.allclose(means, torch.tensor([0.4914, 0.4822, 0.4465]), atol=5e-3)


def test_a_sheet_is_read_in_order(tmp_path):
    """A hundred images in a row, row after row; the last row need not be full."""
    cells = torch.randint(256, (130, 3, 4, 5), dtype=torch.uint8)
    whole = torch.zeros(200, 3, 4, 5, dtype=torch.uint8)
    whole[:130] = cells
    sheet = whole.reshape(2, 100, 3, 4, 5).permute(0, 3, 1, 4, 2).reshape(8, 500, 3)
    Image.fromarray(sheet.numpy()).save(tmp_path / "a.webp", lossless=True)
    pixels, labels = named.read_arrays([tmp_path / "a.webp"], [130, 3, 4, 5])
    assert torch.equal(pixels, cells) and labels is None
    with pytest.raises(ValueError, match="must be a sheet of 12x500 pixels, .* got 8x500; restore"):
        named.read_arrays([tmp_path / "a.webp"], [230, 3, 4, 5])


def test_an_imported_set(root):
    """What lies in `sets/` of the cache folder is loaded by name, and its file is checked."""
    folder = root / "sets"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((32, 3200, 3), 51, np.uint8)).save(folder / "mine.webp", lossless=True)
    content = (folder / "mine.webp").read_bytes()
    about = {
        "files": {"mine.webp": hashlib.sha256(content).hexdigest()},
        "shape": [90, 3, 32, 32],
        "class_names": [],
        "splits": {"train": [0, 80], "held_out": [80, 90]},
    }
    (folder / "mine.json").write_text(json.dumps(about))
    images = named.load("mine")
    assert images.name == "mine/train" and images.labels is None and len(images) == 80
    assert torch.allclose(images.pixels, torch.tensor(gray(51)))
    assert "mine/train" in named.present() and len(named.load("mine/held_out")) == 10
    (folder / "mine.webp").write_bytes(content[:-3])
    with pytest.raises(ValueError, match="must have the sha256 of its manifest.*import it again"):
        named.load("mine")


# ---- full sets


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty cache folder, on a machine without Debian's copy and without the network."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(full_sets, "DEBIAN_FASHION", tmp_path / "no-debian")
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


def write_cifar(root, monkeypatch, packed=False):
    """Five training batches and one test batch of two images, with their md5s for torchvision and
    the digests of their content; `packed`: the same as our own two files."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for i, name in enumerate(names):
        images = constant_images((40 * i, 255), 3, 32, 32)
        images[1, 1:] = 0  # the second image of every batch is pure red
        batch = {"data": images.reshape(2, 3072), "labels": [i, 9], "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {"label_names": list(full_sets.CIFAR10_CLASSES)}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(tv.CIFAR10, "train_list", [[name, md5[name]] for name in names[:5]])
    monkeypatch.setattr(tv.CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(tv.CIFAR10, "meta", {**tv.CIFAR10.meta, "md5": md5["batches.meta"]})
    digests = {}
    for split, some in (("train", names[:5]), ("test", names[5:])):
        batches = [pickle.loads((folder / name).read_bytes()) for name in some]
        pixels: Any = np.concatenate([batch["data"] for batch in batches])
        pixels = pixels.reshape(-1, 3, 32, 32)
        labels = np.concatenate([batch["labels"] for batch in batches]).astype(np.uint8)
        digests[split] = tuple(hashlib.sha256(x.tobytes()).hexdigest() for x in (pixels, labels))
        if packed:
            np.savez(root / f"cifar10-{split}.npz", images=pixels, labels=labels)
    monkeypatch.setattr(full_sets, "CIFAR10_SHA256", digests)
    if packed:
        shutil.rmtree(folder)
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
    train, test = named.load(name), named.load(f"{name}/test")
    assert train.name == f"{name}/train" and test.name == f"{name}/test"
    assert train.pixels.shape == (3, 1, 32, 32) and train.pixels.dtype == torch.float32
    for image, value in zip(train.pixels, (0, 51, 255), strict=True):
        assert torch.allclose(image, torch.tensor(gray(value)), atol=1e-5)
    assert labels_of(train) == [7, 0, 9]
    assert train.class_names == class_names
    assert labels_of(test) == [1, 2]
    assert [float(image.mean().round(decimals=4)) for image in test.pixels] == [-1, 1]


def test_mnist_loads_from_idx_files(root):
    """MNIST comes through from raw idx files: pixel values, labels, both splits."""
    assert "mnist/train" not in named.present()
    write_idx_set(root / "MNIST" / "raw")
    assert_idx_set("mnist", full_sets.DIGITS)
    assert "mnist/train" in named.present()


def test_fashion_mnist_loads_from_idx_files(root):
    """FashionMNIST comes through from raw idx files: pixel values, labels, both splits."""
    write_idx_set(root / "FashionMNIST" / "raw")
    assert_idx_set("fashion_mnist", full_sets.FASHION_CLASSES)


def test_fashion_mnist_loads_from_debian_package(root, monkeypatch, tmp_path):
    """FashionMNIST comes through from Debian's gzipped idx files, and nothing is unpacked there."""
    write_idx_set(tmp_path / "debian", ".gz", gzip.compress)
    before = sorted((tmp_path / "debian").iterdir())
    monkeypatch.setattr(full_sets, "DEBIAN_FASHION", tmp_path / "debian")
    assert_idx_set("fashion_mnist", full_sets.FASHION_CLASSES)
    assert sorted((tmp_path / "debian").iterdir()) == before
    assert "fashion_mnist/train" in named.present()
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
        images = named.load(f"fashion_mnist/{split}")
        assert said[1][split] == {"shape": list(images.pixels.shape), "sha256": images.sha256}


def test_fashion_mnist_prefers_the_cache_to_debian(root, monkeypatch, tmp_path):
    """Files in the cache folder win over Debian's."""
    write_idx_set(root / "FashionMNIST" / "raw")
    (tmp_path / "debian").mkdir()  # empty, so that reading from it would fail
    monkeypatch.setattr(full_sets, "DEBIAN_FASHION", tmp_path / "debian")
    assert_idx_set("fashion_mnist", full_sets.FASHION_CLASSES)


@pytest.mark.parametrize("packed", [False, True])
def test_cifar10_loads_from_all_its_files(root, monkeypatch, packed):
    """CIFAR10 comes through from its batches, or packed: order, colour planes, labels, splits."""
    write_cifar(root, monkeypatch, packed)
    assert "cifar10/train" in named.present()
    train, test = named.load("cifar10"), named.load("cifar10/test")
    assert train.pixels.shape == (10, 3, 32, 32)
    assert labels_of(train) == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert train.class_names == full_sets.CIFAR10_CLASSES
    for i in range(5):
        assert torch.allclose(train.pixels[2 * i], torch.tensor(gray(40 * i)), atol=1e-6)
    red = train.pixels[1]
    assert (red[0] == 1).all() and (red[1:] == -1).all()
    assert labels_of(test) == [5, 9]
    assert torch.allclose(test.pixels[0], torch.tensor(gray(200)), atol=1e-6)


@pytest.mark.parametrize("what", ["images", "labels"])
def test_other_images_are_not_cifar10(root, monkeypatch, what):
    """Whatever the route, the content is checked: one pixel or one label off is refused."""
    write_cifar(root, monkeypatch, packed=True)
    path = root / "cifar10-train.npz"
    arrays = dict(np.load(path))
    arrays[what].flat[0] += 1
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=f"train {what} of cifar10 must have the sha256 .* others"):
        named.load("cifar10")
    named.load("cifar10/test")


def test_classes_are_named_without_the_images(root):
    """Of embedded sets by their manifest, of full ones by heart; nobody names those of faces."""
    assert named.class_names("noto_emoji/train") == list(named.load("noto_emoji").class_names)
    assert named.class_names("cifar10/train")[5] == "dog"
    assert tuple(named.class_names("celeba")) == ()


def test_celeba_loads_from_photographs(root, monkeypatch):
    """CelebA comes through from its jpegs: split, order, gray values, no labels."""
    write_celeba(root, monkeypatch)
    train, test = named.load("celeba"), named.load("celeba/test")
    assert train.pixels.shape == test.pixels.shape == (2, 3, 32, 32)
    assert train.labels is None and train.class_names == ()
    for image, value in zip([*train.pixels, *test.pixels], (60, 80, 100, 120), strict=True):
        # 178 pixels wide, so the square of 100 ends 7 cells of 5.56 pixels from the border.
        assert torch.allclose(image[:, 8:24, 8:24], torch.tensor(gray(value)), atol=0.02)
        assert torch.allclose(image[:, :6], torch.tensor(1.0), atol=0.02)


def test_celeba_crop_is_honoured(root, monkeypatch):
    """A crop of 100 pixels sees only the centred square of 100 pixels; one of 178 its margin."""
    write_celeba(root, monkeypatch)
    pixels, labels, class_names = full_sets.celeba(root, "train", crop=100)
    assert labels is None and class_names == ()
    assert pixels.dtype == torch.uint8 and pixels.shape == (2, 3, 32, 32)
    assert (pixels[0].int() - 60).abs().max() <= 2
    assert (pixels[1].int() - 80).abs().max() <= 2
    wide, _, _ = full_sets.celeba(root, "train", crop=178)
    assert (wide[:, :, 0].int() - 255).abs().max() <= 2


@pytest.mark.parametrize("crop", [0, -1, 179])
def test_celeba_crop_out_of_range(root, crop):
    """A crop outside the photograph is refused before anything is read."""
    with pytest.raises(ValueError, match=rf"crop must lie in 1\.\.178.*got {crop}\."):
        full_sets.celeba(root, "train", crop=crop)


def test_celeba_second_load_uses_kept_array(root, monkeypatch):
    """Decoding is done once per split and crop: the photographs may go, the result stays."""
    folder = write_celeba(root, monkeypatch)
    first = named.load("celeba")
    assert [path.name for path in root.glob("*.npy")] == ["celeba-train-crop178.npy"]
    shutil.rmtree(folder)
    second = named.load("celeba")
    assert torch.equal(second.pixels, first.pixels) and second.sha256 == first.sha256
    with pytest.raises(FileNotFoundError, match="elslib data fetch celeba"):
        named.load("celeba/test")


def test_cache_folder_defaults_to_home(monkeypatch, tmp_path):
    """Without ELSLIB_DATA, or with an empty one, the cache is ~/.cache/elslib."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in (None, ""):
        monkeypatch.delenv("ELSLIB_DATA", raising=False)
        if value is not None:
            monkeypatch.setenv("ELSLIB_DATA", value)
        assert folders.cache_folder() == tmp_path / ".cache" / "elslib"


# ---- errors of load


def test_unknown_name():
    """An unknown set is refused with the names of the known ones."""
    with pytest.raises(ValueError, match="got 'imagenet'; known: fashion_mnist_10k.*celeba"):
        named.load("imagenet")


def test_unknown_split():
    """An unknown split is refused with the names of the known ones."""
    with pytest.raises(ValueError, match="split of mnist_5k must be one of train, held_out.*test"):
        named.load("mnist_5k/test")
    with pytest.raises(ValueError, match="split of mnist must be train or test, got 'held_out'"):
        named.load("mnist/held_out")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A data folder of the test's own: the library outside a checkout, ELSLIB_DATA set to it."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(folders.data_folder() / "manifest.json", folder)
    shutil.copy(folders.data_folder() / "mnist_5k.npz", folder)
    installed = tmp_path / "site-packages" / "elslib" / "data" / "folders.py"
    monkeypatch.setattr(folders, "__file__", str(installed))
    monkeypatch.setenv("ELSLIB_DATA", str(folder))
    return folder


def test_data_folder_outside_a_checkout(elsewhere):
    """ELSLIB_DATA finds the embedded sets for a library that is installed without them."""
    assert folders.data_folder() == elsewhere
    assert len(named.load("mnist_5k/held_out")) == 500


def test_no_data_folder_at_all(elsewhere):
    """Outside a checkout and without the files, the error says how to get them."""
    (elsewhere / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="Clone it and set ELSLIB_DATA"):
        folders.data_folder()
    with pytest.raises(FileNotFoundError, match="Clone it and set ELSLIB_DATA"):
        named.load("mnist_5k")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_truncated_embedded_file(elsewhere, kept):
    """A truncated npz is refused by its sha256, whatever is left of it."""
    path = elsewhere / "mnist_5k.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"mnist_5k.npz must have the sha256.*\d+ bytes.*restore"):
        named.load("mnist_5k")


def test_missing_embedded_file(elsewhere):
    """A missing npz is named, with the way to restore it."""
    with pytest.raises(FileNotFoundError, match="noto_emoji.npz is missing; restore it"):
        named.load("noto_emoji")


@pytest.mark.parametrize("name", full_sets.FULL_SETS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_full_set_that_is_not_there(root, name, split):
    """A full set that was never fetched: the error names the command and the folder."""
    with pytest.raises(FileNotFoundError, match=f"{name} is not in .*elslib data fetch {name}"):
        named.load(f"{name}/{split}")


@pytest.mark.parametrize("name", full_sets.FULL_SETS)
def test_download_without_network(root, name):
    """A failed download is a ConnectionError with a way out, and leaves nothing that loads."""
    with pytest.raises(ConnectionError, match=f"(?s){name} could not be downloaded.*embedded set"):
        named.load(name, download=True)
    with pytest.raises(FileNotFoundError, match="elslib data fetch"):
        named.load(name)


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
        named.load("mnist", download=download)


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
    monkeypatch.setattr(full_sets, "DEBIAN_FASHION", tmp_path / "debian")
    DEBIAN_CORRUPTIONS[corruption](tmp_path / "debian" / "train-images-idx3-ubyte.gz")
    with pytest.raises(ValueError, match="corrupt or truncated"):
        named.load("fashion_mnist")


@pytest.mark.parametrize("file", ["data_batch_3", "batches.meta"])
def test_corrupt_cifar10_file(root, monkeypatch, file):
    """A truncated CIFAR10 batch is called broken."""
    truncate(write_cifar(root, monkeypatch) / file)
    with pytest.raises(ValueError, match=f"cifar10 .*{CORRUPT} cifar10"):
        named.load("cifar10")


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
        named.load("celeba")
    assert not list(root.glob("*.npy"))


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5])
def test_corrupt_kept_celeba_array(root, monkeypatch, kept):
    """A truncated array beside the photographs is called broken."""
    write_celeba(root, monkeypatch)
    named.load("celeba")
    truncate(root / "celeba-train-crop178.npy", kept)
    with pytest.raises(ValueError, match=f"celeba .*{CORRUPT} celeba"):
        named.load("celeba")


def test_celeba_is_used_where_it_cannot_be_kept(root, monkeypatch):
    """A folder of somebody else's, or a full disk: decoded all the same, with one warning."""
    write_celeba(root, monkeypatch)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    expected = full_sets.celeba(root)[0]
    (root / "celeba-train-crop178.npy").unlink()
    monkeypatch.setattr(full_sets.np, "save", full)
    with pytest.warns(UserWarning, match="celeba is not kept decoded .*No space left") as caught:
        assert torch.equal(full_sets.celeba(root)[0], expected)
    assert len(caught) == 1 and not list(root.glob("*.npy"))


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_celeba_photographs_of_other_kinds(root, monkeypatch, mode):
    """JPEGs of printers and grey ones are photographs, too."""
    path = write_celeba(root, monkeypatch) / "img_align_celeba" / "000001.jpg"
    with Image.open(path) as photo:
        photo.convert(mode).save(path, quality=100)
    assert float((named.load("celeba").pixels[0, :, 16, 16] - gray(60)).abs().max()) < 0.05


@pytest.mark.parametrize("size", [(64, 64), (178, 178), (409, 687)])
def test_celeba_prepared_at_another_size(root, monkeypatch, size):
    """No black frame, no other cut, and no word of corruption."""
    path = write_celeba(root, monkeypatch) / "img_align_celeba" / "000002.jpg"
    Image.new("RGB", size).save(path)
    with pytest.raises(ValueError, match=f"must be 178x218.* got {size[0]}x{size[1]} in 000002"):
        named.load("celeba")
    assert not list(root.glob("*.npy"))


def test_a_set_without_one_of_its_files(root, monkeypatch):
    """Named, instead of telling to delete the others."""
    (write_celeba(root, monkeypatch) / "list_bbox_celeba.txt").unlink()
    with pytest.raises(FileNotFoundError, match="without celeba/list_bbox_celeba.txt.*fetch"):
        named.load("celeba")


SYSTEM = {errno.EACCES: PermissionError, errno.ENOSPC: OSError, errno.EIO: OSError}


@pytest.mark.parametrize("number", SYSTEM)
def test_errors_of_the_system_are_no_corruption(root, monkeypatch, number):
    """No permission, no space, a broken disk: the file and the cause, and no word of deleting."""
    write_celeba(root, monkeypatch)

    def refused(*_, **__):
        raise OSError(number, os.strerror(number), "photo.jpg")

    monkeypatch.setattr("torchvision.transforms.functional.pil_to_tensor", refused)
    with pytest.raises(
        SYSTEM[number], match=f"photo.jpg could .*: {os.strerror(number)}"
    ) as caught:
        named.load("celeba")
    assert "delete" not in str(caught.value) and "\n" not in str(caught.value)


def test_what_a_download_needs_is_named(root, monkeypatch):
    """Torchvision fetches celeba by a package that is none of its own; an extra brings it."""
    monkeypatch.setattr(full_sets, "find_spec", lambda name: None)
    with pytest.raises(ConnectionError, match=r"gdown must be installed .* 'elslib\[celeba\]'"):
        named.load("celeba", download=True)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 and no more"])
def test_a_broken_packed_set(root, content):
    """Of our own making, and as easily cut short."""
    root.mkdir()
    for split in ("train", "test"):
        (root / f"cifar10-{split}.npz").write_bytes(content)
    with pytest.raises(ValueError, match=f"cifar10 .*{CORRUPT} cifar10"):
        named.load("cifar10")


def test_a_user_without_a_home(monkeypatch):
    """Neither HOME nor an entry in passwd, as in a container: the embedded sets load all the same,
    and what is fetched goes to a temporary folder of that user."""

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ELSLIB_DATA", raising=False)
    monkeypatch.setattr(folders.Path, "home", nowhere)
    assert folders.cache_folder().name == f"elslib-{os.getuid()}"
    assert len(named.load("noto_emoji/held_out")) > 0


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
    with pytest.raises(ValueError, match="pixels must be finite, got NaN or infinity"):
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
    with pytest.raises(ValueError, match=r"pixels must be .* shape \[n, c, h, w\] with n >= 1"):
        ImageSet(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_images_must_be_floating_point(as_installed, dtype):
    """Bytes and other integers are refused: their scale is not [-1, 1]."""
    with pytest.raises(ValueError, match=f"pixels must be floating point.*got {dtype}"):
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
    assert torch.equal(part.pixels, ramp().subset(1).pixels)
    assert part.sha256 == ramp().subset(1).sha256


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.complex64])
def test_labels_must_be_whole_numbers(as_installed, dtype):
    """Floats would have classes between the classes."""
    with pytest.raises(ValueError, match=rf"labels must be whole numbers, got {dtype}; convert"):
        ImageSet(torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=dtype))


def test_subset_of_unlabelled_images():
    """A set without labels has no subsets."""
    with pytest.raises(ValueError, match="label must be None, got 0: the images of 'plain' have"):
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
        assert torch.equal(part.pixels, whole.pixels[[label, label + 3]])
        assert torch.equal(part.to(dtype=torch.float64).first(1).pixels, part.pixels[:1].double())
    assert torch.equal(whole.first(5).subset(2).pixels, whole.pixels[2:3])
    assert whole.first(6) is whole
    emoji = named.load("noto_emoji")
    rows = torch.tensor(labels_of(emoji)).eq(2)
    assert torch.equal(emoji.subset(2).pixels, emoji.pixels[rows])


def test_sha256_is_of_the_content():
    """Equal pixels and labels have equal sha256; one pixel, one label or the shape changes it."""
    pixels = torch.arange(2 * 32 * 32).remainder(256).to(torch.uint8).reshape(2, 1, 32, 32)
    labels = torch.tensor([0, 1])
    one = resized_set(pixels, labels, (), "one")
    assert one.sha256 == resized_set(pixels.clone(), labels.clone(), (), "two").sha256
    changed = pixels.clone()
    changed[1, 0, 31, 31] ^= 1
    others = [
        resized_set(changed, labels, (), "one"),
        resized_set(pixels, labels.flip(0), (), "one"),
        resized_set(pixels, None, (), "one"),
        resized_set(pixels.transpose(0, 1), None, (), "one"),
        one.subset(0),
        one.subset(1),
        one.first(1),
    ]
    assert len({one.sha256, *(other.sha256 for other in others)}) == len(others) + 1
    assert ImageSet(one.pixels).sha256 == ImageSet(one.pixels.clone()).sha256
    assert ImageSet(one.pixels).sha256 != ImageSet(-one.pixels).sha256


def test_sha256_is_independent_of_memory_layout():
    """The same pixels in another memory order are the same images."""
    pixels = torch.arange(3 * 3 * 32 * 32).remainder(251).to(torch.uint8).reshape(3, 3, 32, 32)
    permuted = pixels.to(memory_format=torch.channels_last)
    assert resized_set(pixels, None, (), "").sha256 == resized_set(permuted, None, (), "").sha256


@pytest.mark.parametrize("side", [28, 32, 64, 178])
def test_resizing_keeps_constants(side):
    """An image of one byte is that value everywhere after resizing, also black and white."""
    values = (0, 1, 127, 254, 255)
    pixels = torch.from_numpy(constant_images(values, 3, side, side))
    images = resized_set(pixels, None, (), "").pixels
    assert images.shape == (5, 3, 32, 32)
    for image, value in zip(images, values, strict=True):
        assert torch.allclose(image, torch.tensor(gray(value)), atol=1e-5)


def test_a_mapped_file(tmp_path):
    """Images stay in the file, classes come from beside it; broken files are named."""
    path = tmp_path / "set.npy"
    pixels = np.linspace(-1, 1, 6 * 2 * 4 * 5, dtype=np.float32).reshape(6, 2, 4, 5)
    np.save(path, pixels)
    mapped = named.load(str(path))
    assert torch.equal(mapped.pixels, torch.from_numpy(pixels)) and mapped.labels is None
    assert mapped.sha256 == ImageSet(torch.from_numpy(pixels)).sha256
    np.save(tmp_path / "set.labels.npy", np.array([0, 0, 0, 1, 1, 0]))
    mapped = named.load(str(path))
    part = mapped.subset(1).pixels
    assert part.data_ptr() == mapped.pixels[3].data_ptr()  # neighbours: nothing is copied
    assert torch.equal(mapped.subset(0).pixels, torch.from_numpy(pixels[[0, 1, 2, 5]]))
    with pytest.raises(FileNotFoundError, match="nowhere.npy is missing; numpy.save writes"):
        named.load(str(tmp_path / "nowhere.npy"))
    np.save(path, pixels.astype(np.float64))
    with pytest.raises(ValueError, match="must hold float32 .* in C order, got float64"):
        named.load(str(path))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="must be an array as numpy.save writes it"):
        named.load(str(path))
    with path.open("wb") as file:
        np.savez(file, pixels)
    with pytest.raises(ValueError, match=r"must be one array as .*, got an archive \(npz\)"):
        named.load(str(path))


def test_shards():
    """Together the whole, alike in size; more of them than images are refused."""
    whole = ramp(7)
    parts = [whole.shard(i, 3) for i in range(3)]
    assert torch.equal(torch.cat([part.pixels for part in parts]), whole.pixels)
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
    mapped = named._array(path, "r")
    assert mapped.shape == shape and mapped[-1].sum() == 0


@pytest.mark.parametrize("name", ["cifar10", "cifar10/train", "cifar10/test"])
def test_full_sets_need_no_checkout(tmp_path, monkeypatch, name):
    """An installed wheel has no manifest."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path))
    monkeypatch.setattr(named, "manifest", None)
    with pytest.raises(FileNotFoundError, match="cifar10 is not in"):
        named.load(name)


def test_a_set_is_also_called_by_its_first_split():
    """With what names none, and what is no set, as it is."""
    names = ["noto_emoji", "noto_emoji/held_out", "mnist", "mnist/test", "cats"]
    found = [named.with_split(name) for name in names]
    assert found == ["noto_emoji/train", names[1], "mnist/train", names[3], "cats"]


def test_a_file_is_called_by_its_name_without_a_manifest(monkeypatch):
    """Outside a checkout there is none."""
    monkeypatch.setattr(named, "manifest", None)
    assert named.with_split("mine.npy") == "mine.npy"


def test_other_images_have_another_sha256():
    """`replace` keeps no hash of images that are no more; moving them keeps it."""
    one = ImageSet(torch.rand(3, 1, 4, 4) * 2 - 1)
    assert replace(one, pixels=-one.pixels).sha256 == ImageSet(-one.pixels).sha256 != one.sha256
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
