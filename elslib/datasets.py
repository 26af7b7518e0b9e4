"""Named image sets: those embedded in this repository, and the full ones through torchvision."""

import gzip
import hashlib
import json
import os
import tempfile
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torchvision.datasets as tv
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as TF
from tqdm.auto import tqdm

from elslib.images import SIDE, ImageSet, from_pixels
from elslib.records import part_of

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
DIGITS = tuple(str(digit) for digit in range(10))
CIFAR10_SHA256 = {
    # Of the bytes of the images, [n, 3, 32, 32] in the original order, and of their labels.
    "train": (
        "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
        "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    ),
    "test": (
        "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
        "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    ),
}
SHEET_COLUMNS = 100
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
CELEBA_CROP = 178


def data_folder() -> Path:
    """The checkout's data/ folder. FileNotFoundError, saying how to get it, outside a checkout."""
    for folder in (Path(__file__).parents[1] / "data", cache_folder()):
        if (folder / "manifest.json").is_file():
            return folder
    raise FileNotFoundError(
        f"the embedded image sets are not here: they belong to the repository, not to the wheel. "
        f"Clone it and set ELSLIB_DATA to its data/ folder (now {cache_folder()}), or use a full "
        f"set, for example load('fashion_mnist', download=True)."
    )


def cache_folder() -> Path:
    """Where full sets are looked for and downloaded to: ELSLIB_DATA, else ~/.cache/elslib."""
    return Path(os.environ.get("ELSLIB_DATA") or Path.home() / ".cache" / "elslib")


def manifest() -> dict[str, dict]:
    """What data/manifest.json says of each embedded set: source, licence, sha256, shape, splits."""
    return json.loads((data_folder() / "manifest.json").read_text())


def imported() -> dict[str, dict]:
    """The same of each set that was imported into `sets/` of the cache folder, one json each."""
    files = sorted((cache_folder() / "sets").glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}


def present() -> list[str]:
    """Names, with their first split, of all sets that are here."""
    names = (*manifest(), *imported(), *filter(is_here, FULL_SETS))
    return [with_split(name) for name in names]


def is_here(name: str) -> bool:
    """Whether a full set can be read without fetching it."""
    debian = name == "fashion_mnist" and DEBIAN_FASHION.is_dir()
    return debian or FULL_SETS[name].is_in(cache_folder())


def with_split(name: str) -> str:
    """The name of an image set with its split, the first one if it names none.

    What is no image set stays as it is.
    """
    if "/" in name:  # and full sets need no manifest
        return name
    if name in FULL_SETS:
        return f"{name}/train"
    known = imported()
    known = known if name in known else manifest()
    return f"{name}/{next(iter(known[name]['splits']))}" if name in known else name


def load(name: str, *, download: bool = False) -> ImageSet:
    """A named image set at 32x32: `"mnist_5k"`, or one of its splits, `"mnist_5k/held_out"`.

    Embedded: fashion_mnist_10k, fashion_mnist_test_1k, mnist_5k, noto_emoji, cifar10_10k,
    cifar10_test_1k (splits in data/manifest.json; the first one is the default), and what was
    imported into `sets/` of the cache folder, such as celeba_10k. Full sets: fashion_mnist, mnist,
    cifar10, celeba, each with splits train and test; looked for in the cache folder (environment
    variable ELSLIB_DATA), FashionMNIST also where Debian puts it, and fetched only if `download`.
    And any file `PATH.npy` of float32 [n, c, h, w] in [-1, 1], as numpy saves it, with classes in
    `PATH.labels.npy` if that is there: it is mapped, not read, so it may exceed the memory (keep
    the images of a class together: a class that is scattered is copied). Raises ValueError for an
    unknown name or split and for a broken file, FileNotFoundError for a set that is not here,
    ConnectionError if a download fails.
    """
    if name.endswith(".npy"):
        return _map(Path(name))
    name, _, split = with_split(name).partition("/")
    if name in FULL_SETS:
        return _load_full(name, split, download)
    if name in (known := imported()):  # which needs no manifest either
        return _load_listed(name, split, cache_folder() / "sets", known[name])
    if name in (known := manifest()):
        return _load_listed(name, split, data_folder(), known[name])
    raise ValueError(
        f"name must be a known image set, got {name!r}; known: "
        f"{', '.join([*manifest(), *imported(), *FULL_SETS])}."
    )


def _map(path: Path) -> ImageSet:
    """Images of a file that stays on disk."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; numpy.save writes such a file.")
    images = _array(path, "r")
    if images.dtype != np.float32 or images.ndim != 4 or not images.flags.c_contiguous:
        raise ValueError(
            f"{path} must hold float32 [n, c, h, w] in C order, got {images.dtype} "
            f"{images.shape}; save it with numpy.ascontiguousarray(x, dtype=numpy.float32)."
        )
    labels, classes = path.with_suffix(".labels.npy"), None
    if labels.is_file():
        numbers = _array(labels)
        if numbers.dtype.kind not in "iu":
            raise ValueError(f"{labels} must hold integers, got {numbers.dtype}.")
        classes = torch.from_numpy(numbers.astype(np.int64))
    with warnings.catch_warnings():
        # A mapping that could be written to would count against the memory. Nothing writes.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        mapped = torch.from_numpy(images)
    return ImageSet(mapped, classes, name=str(path))


def _array(path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    try:
        found = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} must be an array as numpy.save writes it ({error}).") from error
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{path} must be one array as numpy.save writes it, got an archive (npz).")
    return found


def _load_listed(name: str, split: str, folder: Path, about: dict) -> ImageSet:
    """A set that a manifest describes, its files in `folder`."""
    splits = about["splits"]
    if split not in splits:
        raise ValueError(f"split of {name} must be one of {', '.join(splits)}, got {split!r}.")
    for file, sha256 in about["files"].items():
        path = folder / file
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; restore it, {_restore(folder)}.")
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise ValueError(
                f"{path} must have the sha256 of its manifest, but is corrupt or truncated "
                f"({path.stat().st_size} bytes); restore it, {_restore(folder)}."
            )
    pixels, labels = read_arrays([folder / file for file in about["files"]], about["shape"])
    part = slice(*splits[split])
    pixels, labels = pixels[part], None if labels is None else labels[part]
    return from_pixels(pixels, labels, tuple(about["class_names"]), f"{name}/{split}")


def _restore(folder: Path) -> str:
    return "import it again" if folder.name == "sets" else "with `git checkout -- data`"


def read_arrays(files: list[Path], shape: list[int]) -> tuple[Tensor, Tensor | None]:
    """The bytes [n, c, h, w] and the labels that the files of a set hold.

    One npz has both. A sheet, `NAME.webp`, has images in reading order, a hundred in a row; labels
    stand beside it in `NAME.labels.npy`, if there are any.
    """
    first, *rest = files
    if first.suffix == ".npz":
        with np.load(first, allow_pickle=False) as arrays:
            pixels, labels = (torch.from_numpy(arrays[key]) for key in ("images", "labels"))
        return pixels, labels.long()
    with Image.open(first) as sheet:
        cells = torch.from_numpy(np.asarray(sheet.convert("RGB")).copy())
    n, c, h, w = shape
    cells = cells.reshape(-1, h, cells.shape[1] // w, w, c).permute(0, 2, 4, 1, 3)
    pixels = cells.reshape(-1, c, h, w)[:n].contiguous()
    return pixels, torch.from_numpy(np.load(rest[0])).long() if rest else None


def _load_full(name: str, split: str, download: bool) -> ImageSet:
    if split not in ("train", "test"):
        raise ValueError(f"split of {name} must be train or test, got {split!r}.")
    root, full_set = cache_folder(), FULL_SETS[name]
    try:
        pixels, labels, class_names = full_set.read(root, split, download)
    except (OSError, RuntimeError, *BROKEN) as error:
        if isinstance(error, BROKEN) or full_set.is_in(root):
            raise ValueError(
                f"the files of {name} in {root} are corrupt or truncated ({error}); delete them "
                f"and run `elslib data fetch {name}`."
            ) from error
        if download:
            raise ConnectionError(
                f"{name} could not be downloaded ({error}). Without a network, put the files that "
                f"torchvision expects under {root} (or set ELSLIB_DATA), or use an embedded set "
                f"such as fashion_mnist_10k."
            ) from error
        raise FileNotFoundError(
            f"{name} is not in {root} ({error}). Fetch it with `elslib data fetch {name}` or "
            f"load({name!r}, download=True), or set ELSLIB_DATA to the folder that holds it."
        ) from error
    return from_pixels(pixels, labels, class_names, f"{name}/{split}")


# What reading a broken file raises, in torchvision and below it.
BROKEN = (AssertionError, ValueError, TypeError, EOFError, zlib.error, gzip.BadGzipFile)
Loaded = tuple[Tensor, Tensor | None, tuple[str, ...]]


def _mnist(root: Path, split: str, download: bool) -> Loaded:
    data = tv.MNIST(str(root), train=split == "train", download=download)
    return data.data[:, None], data.targets, DIGITS


def _fashion(root: Path, split: str, download: bool) -> Loaded:
    if not FULL_SETS["fashion_mnist"].is_in(root) and DEBIAN_FASHION.is_dir():
        return _fashion_debian(split)
    data = tv.FashionMNIST(str(root), train=split == "train", download=download)
    return data.data[:, None], data.targets, FASHION_CLASSES


def _fashion_debian(split: str) -> Loaded:
    """Debian keeps the files gzipped; torchvision reads them unpacked."""
    with tempfile.TemporaryDirectory() as root:
        raw = Path(root) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for path in DEBIAN_FASHION.glob("*-ubyte.gz"):
            (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        data = tv.FashionMNIST(root, train=split == "train")
    return data.data[:, None], data.targets, FASHION_CLASSES


def _cifar10(root: Path, split: str, download: bool) -> Loaded:
    """From our own file, if the script made it of the package, or from the original batches."""
    packed = root / f"cifar10-{split}.npz"
    if packed.is_file():
        with np.load(packed, allow_pickle=False) as arrays:
            pixels, labels = (torch.from_numpy(arrays[key]) for key in ("images", "labels"))
    else:
        data = tv.CIFAR10(str(root), train=split == "train", download=download)
        pixels = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
        labels = torch.tensor(data.targets)
    check_cifar10(pixels.numpy(), labels.numpy(), split)
    return pixels, labels.long(), CIFAR10_CLASSES


def check_cifar10(pixels: np.ndarray, labels: np.ndarray, split: str) -> None:
    """Raise ValueError unless uint8 [n, 3, 32, 32] and its labels are CIFAR10, byte by byte."""
    for what, array, sha256 in zip(
        ("images", "labels"), (pixels, labels.astype(np.uint8)), CIFAR10_SHA256[split], strict=True
    ):
        found = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
        if found != sha256:
            raise ValueError(
                f"the {split} {what} of cifar10 must have the sha256 {sha256[:16]}..., got "
                f"{found[:16]}...: these are others"
            )


def celeba(
    root: Path, split: str = "train", download: bool = False, crop: int = CELEBA_CROP
) -> Loaded:
    """CelebA faces, uint8 [n, 3, 32, 32] without labels: centre crop of `crop` pixels, resized.

    Decoding 160,000 files takes minutes, so the result is kept beside them. Raises ValueError
    unless 1 <= crop <= 178, the photographs' width.
    """
    if not 1 <= crop <= CELEBA_CROP:
        raise ValueError(f"crop must lie in 1..{CELEBA_CROP}, the photographs' width, got {crop}.")
    kept = root / f"celeba-{split}-crop{crop}.npy"
    if kept.is_file():
        return torch.from_numpy(np.load(kept, allow_pickle=False)), None, ()
    data = tv.CelebA(str(root), split=split, target_type=[], download=download)
    pixels = torch.empty(len(data), 3, SIDE, SIDE, dtype=torch.uint8)
    for i in tqdm(range(len(data)), desc="celeba", disable=None):
        with data[i][0] as picture:
            photo = TF.pil_to_tensor(picture)
        pixels[i] = TF.resize(TF.center_crop(photo, [crop]), [SIDE, SIDE], antialias=True)
    with part_of(kept) as part:
        with part.open("wb") as file:
            np.save(file, pixels.numpy())
        part.replace(kept)
    return pixels, None, ()


@dataclass(frozen=True)
class FullSet:
    """How a full set is read, and which files below the cache folder it consists of, or may."""

    read: Callable[[Path, str, bool], Loaded]
    files: tuple[str, ...]
    packed: tuple[str, ...] = ()

    def is_in(self, root: Path) -> bool:
        """Whether all files are there, or all of the packed ones that hold the same."""
        return any(
            names and all((root / file).exists() for file in names)
            for names in (self.files, self.packed)
        )


def _idx_files(folder: str) -> tuple[str, ...]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(f"{folder}/raw/{part}-ubyte" for part in parts)


CIFAR10_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
CELEBA_FILES = ("img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt")
FULL_SETS = {
    "fashion_mnist": FullSet(_fashion, _idx_files("FashionMNIST")),
    "mnist": FullSet(_mnist, _idx_files("MNIST")),
    "cifar10": FullSet(
        _cifar10,
        tuple(f"cifar-10-batches-py/{file}" for file in CIFAR10_FILES),
        tuple(f"cifar10-{split}.npz" for split in CIFAR10_SHA256),
    ),
    "celeba": FullSet(celeba, tuple(f"celeba/{file}" for file in CELEBA_FILES)),
}
