"""The full image sets, through torchvision or from our own files, checked by content.

Torchvision is imported where it reads: it takes a second, and embedded sets do without.
"""

import gzip
import hashlib
import pickle
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elslib.data.folders import cache_folder
from elslib.data.image_set import SIDE, ImageSet, resized_set
from elslib.io import part_of

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

DIGITS = tuple(str(digit) for digit in range(10))
CLASS_NAMES = {"fashion_mnist": FASHION_CLASSES, "cifar10": CIFAR10_CLASSES, "mnist": DIGITS}

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

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")

CELEBA_SIZE = (178, 218)
CELEBA_CROP = 178


def is_here(name: str) -> bool:
    """Whether a full set can be read without fetching it."""
    debian = name == "fashion_mnist" and DEBIAN_FASHION.is_dir()
    return debian or FULL_SETS[name].is_in(cache_folder())


def _load_full(name: str, split: str, download: bool) -> ImageSet:
    if split not in ("train", "test"):
        raise ValueError(f"split of {name} must be train or test, got {split!r}.")
    root, full_set = cache_folder(), FULL_SETS[name]
    try:
        pixels, labels, class_names = full_set.read(root, split, download)
    except OtherImages:
        raise
    except (OSError, RuntimeError, *BROKEN) as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
            raise _of_the_system(error, name) from error
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
            f"{name} is not in {root} ({full_set.lacks(root) or error}). Fetch it with "
            f"`elslib data fetch {name}` or load({name!r}, download=True), or set ELSLIB_DATA to "
            f"the folder that holds it."
        ) from error
    return resized_set(pixels, labels, class_names, f"{name}/{split}")


def _of_the_system(error: OSError, name: str) -> OSError:
    """An error with a number: no permission, a full disk. The files themselves may be sound."""
    file = error.filename or "a file"
    return type(error)(
        f"{file} could not be read or written for {name}: {error.strerror}; see to that, or set "
        f"ELSLIB_DATA to another folder. The files of {name} may be sound."
    )


class OtherImages(ValueError):
    """Files that are sound, but not those of the set."""


# What reading a broken file raises, in torchvision and below it.
BROKEN = (
    AssertionError, ValueError, TypeError, KeyError, EOFError, zlib.error, gzip.BadGzipFile,
    zipfile.BadZipFile, pickle.UnpicklingError, struct.error,
)  # fmt: skip

Loaded = tuple[Tensor, Tensor | None, tuple[str, ...]]


def _mnist(root: Path, split: str, download: bool) -> Loaded:
    from torchvision.datasets import MNIST

    data = MNIST(str(root), train=split == "train", download=download)
    return data.data[:, None], data.targets, DIGITS


def _fashion(root: Path, split: str, download: bool) -> Loaded:
    if not FULL_SETS["fashion_mnist"].is_in(root) and DEBIAN_FASHION.is_dir():
        return _fashion_debian(split)
    from torchvision.datasets import FashionMNIST

    data = FashionMNIST(str(root), train=split == "train", download=download)
    return data.data[:, None], data.targets, FASHION_CLASSES


def _fashion_debian(split: str) -> Loaded:
    """Debian keeps the files gzipped; torchvision reads them unpacked."""
    from torchvision.datasets import FashionMNIST

    with tempfile.TemporaryDirectory() as root:
        raw = Path(root) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for path in DEBIAN_FASHION.glob("*-ubyte.gz"):
            (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        data = FashionMNIST(root, train=split == "train")
    return data.data[:, None], data.targets, FASHION_CLASSES


def _cifar10(root: Path, split: str, download: bool) -> Loaded:
    """From our own file, if the script made it of the package, or from the original batches."""
    packed = root / f"cifar10-{split}.npz"
    if packed.is_file():
        with packed.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            pixels, labels = (torch.from_numpy(arrays[key]) for key in ("images", "labels"))
    else:
        from torchvision.datasets import CIFAR10

        data = CIFAR10(str(root), train=split == "train", download=download)
        pixels = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
        labels = torch.tensor(data.targets, dtype=torch.int64, device="cpu")
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

    Decoding 160,000 files takes minutes, so the result is kept beside them, where that can be
    written. Raises ValueError unless 1 <= crop <= 178, the photographs' width, and for photographs
    of another size.
    """
    if not 1 <= crop <= CELEBA_CROP:
        raise ValueError(f"crop must lie in 1..{CELEBA_CROP}, the photographs' width, got {crop}.")
    kept = root / f"celeba-{split}-crop{crop}.npy"
    if kept.is_file():
        return torch.from_numpy(np.load(kept, allow_pickle=False)), None, ()
    if download and not FULL_SETS["celeba"].is_in(root) and not find_spec("gdown"):
        raise RuntimeError("gdown must be installed for that: pip install 'elslib[celeba]'")
    from torchvision.datasets import CelebA
    from torchvision.transforms import functional as TF

    data = CelebA(str(root), split=split, target_type=[], download=download)
    pixels = torch.empty(len(data), 3, SIDE, SIDE, dtype=torch.uint8, device="cpu")
    for i in tqdm(range(len(data)), desc="celeba", disable=None):
        with data[i][0] as picture:
            if picture.size != CELEBA_SIZE:
                raise OtherImages(
                    f"photographs of celeba must be {CELEBA_SIZE[0]}x{CELEBA_SIZE[1]}, aligned and "
                    f"cropped, got {picture.size[0]}x{picture.size[1]} in {data.filename[i]}: cut "
                    f"to {crop} pixels it would be another picture, or have a black frame."
                )
            photo = TF.pil_to_tensor(picture.convert("RGB"))  # some are grey or CMYK
        pixels[i] = TF.resize(TF.center_crop(photo, [crop]), [SIDE, SIDE], antialias=True)
    try:
        with part_of(kept) as part:
            with part.open("wb") as file:
                np.save(file, pixels.numpy())
            part.replace(kept)
    except OSError as error:  # a folder of somebody else's, a full disk
        warnings.warn(f"celeba is not kept decoded ({error}); it will be again.", stacklevel=2)
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

    def lacks(self, root: Path) -> str:
        """Which of its files are missing, if others are there."""
        missing = [file for file in self.files if not (root / file).exists()]
        return f"without {', '.join(missing)}" if 0 < len(missing) < len(self.files) else ""


def _idx_files(folder: str) -> tuple[str, ...]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(f"{folder}/raw/{part}-ubyte" for part in parts)


CIFAR10_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")

CELEBA_FILES = (
    "img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt", "identity_CelebA.txt",
    "list_bbox_celeba.txt", "list_landmarks_align_celeba.txt",
)  # fmt: skip

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
