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


def present() -> list[str]:
    """Names, with their first split, of the embedded sets and the full ones that are here."""
    return [with_split(name) for name in (*manifest(), *filter(is_here, FULL_SETS))]


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
    embedded = manifest()
    return f"{name}/{next(iter(embedded[name]['splits']))}" if name in embedded else name


def load(name: str, *, download: bool = False) -> ImageSet:
    """A named image set at 32x32: `"mnist_5k"`, or one of its splits, `"mnist_5k/held_out"`.

    Embedded: fashion_mnist_10k, fashion_mnist_test_1k, mnist_5k, noto_emoji (splits in
    data/manifest.json; the first one is the default). Full sets: fashion_mnist, mnist, cifar10,
    celeba, each with splits train and test; looked for in the cache folder (environment variable
    ELSLIB_DATA), FashionMNIST also where Debian puts it, and fetched only if `download`. And any
    file `PATH.npy` of float32 [n, c, h, w] in [-1, 1], as numpy saves it, with classes in
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
    embedded = manifest()
    if name in embedded:
        return _load_embedded(name, split, embedded[name])
    raise ValueError(
        f"name must be a known image set, got {name!r}; known: "
        f"{', '.join([*embedded, *FULL_SETS])}."
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


def _load_embedded(name: str, split: str, about: dict) -> ImageSet:
    splits = about["splits"]
    if split not in splits:
        raise ValueError(f"split of {name} must be one of {', '.join(splits)}, got {split!r}.")
    path = data_folder() / about["file"]
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; restore it with `git checkout -- data`.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != about["sha256"]:
        raise ValueError(
            f"{path} must have the sha256 of data/manifest.json, but is corrupt or truncated "
            f"({path.stat().st_size} bytes); restore it with `git checkout -- data`."
        )
    first, last = splits[split]
    with np.load(path, allow_pickle=False) as arrays:
        pixels = torch.from_numpy(arrays["images"][first:last])
        labels = torch.from_numpy(arrays["labels"][first:last]).long()
    return from_pixels(pixels, labels, tuple(about["class_names"]), f"{name}/{split}")


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
    data = tv.CIFAR10(str(root), train=split == "train", download=download)
    return (
        torch.from_numpy(data.data).permute(0, 3, 1, 2),
        torch.tensor(data.targets),
        CIFAR10_CLASSES,
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
    """How a full set is read, and which files below the cache folder it consists of."""

    read: Callable[[Path, str, bool], Loaded]
    files: tuple[str, ...]

    def is_in(self, root: Path) -> bool:
        """Whether all files are there."""
        return all((root / file).exists() for file in self.files)


def _idx_files(folder: str) -> tuple[str, ...]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(f"{folder}/raw/{part}-ubyte" for part in parts)


CIFAR10_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
CELEBA_FILES = ("img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt")
FULL_SETS = {
    "fashion_mnist": FullSet(_fashion, _idx_files("FashionMNIST")),
    "mnist": FullSet(_mnist, _idx_files("MNIST")),
    "cifar10": FullSet(_cifar10, tuple(f"cifar-10-batches-py/{file}" for file in CIFAR10_FILES)),
    "celeba": FullSet(celeba, tuple(f"celeba/{file}" for file in CELEBA_FILES)),
}
