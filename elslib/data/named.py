"""Image sets by name: embedded, imported, full, or a file or folder of one's own."""

import hashlib
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from elslib.checks import checked
from elslib.data.folders import cache_folder, data_folder
from elslib.data.full_sets import CLASS_NAMES, FULL_SETS, _load_full, is_here
from elslib.data.image_set import ImageSet, resized_set
from elslib.io import read_json

SHEET_COLUMNS = 100
BROKEN_NPZ = (ValueError, EOFError, TypeError, AttributeError, OSError, zipfile.BadZipFile)
FILES = (".npy", ".npz")
# Their terms forbid passing them on.
PRIVATE = ("celeba", "celeba_10k")


def manifest() -> dict[str, dict]:
    """What data/manifest.json says of each embedded set: source, licence, sha256, shape, splits."""
    return read_json(data_folder() / "manifest.json", "restore it, with `git checkout -- data`")


def imported() -> list[str]:
    """Names of the sets that were imported into `sets/` of the cache folder, one json each."""
    return sorted(file.stem for file in (cache_folder() / "sets").glob("*.json"))


def imported_manifest(name: str) -> dict:
    """What was written of an imported set: files, shape, source, licence, classes, splits.

    ValueError for a file that does not say these.
    """
    path, remedy = cache_folder() / "sets" / f"{name}.json", "delete it and import the set again"
    about, told = read_json(path, remedy), {"shape", "class_names"}
    if not told <= about.keys() or not all(
        isinstance(about.get(key), dict) and about[key] for key in ("files", "splits")
    ):
        raise ValueError(f"{path} must describe an image set, but lacks something; {remedy}.")
    return about


def embedded() -> list[str]:
    """Names of the embedded sets; none where they are not, as beside an installed wheel."""
    try:
        return list(manifest())
    except FileNotFoundError:
        return []


def present() -> list[str]:
    """Names, with their first split, of all sets that are here."""
    names = dict.fromkeys((*embedded(), *imported(), *filter(is_here, FULL_SETS)))
    return [with_split(name) for name in names]


def _listed(name: str) -> tuple[Path, dict] | None:
    """Where the files of a set are, and what is written of it; None for one that nobody lists.

    Embedded sets come first, so that no import stands in for one.
    """
    if name in embedded():
        return data_folder(), manifest()[name]
    sets = cache_folder() / "sets"
    return (sets, imported_manifest(name)) if (sets / f"{name}.json").is_file() else None


def with_split(name: str) -> str:
    """The name of an image set with its split, the first one if it names none.

    What is no image set stays as it is.
    """
    if "/" in name or name.endswith(FILES):  # which need no manifest, nor do full sets
        return name
    if name in FULL_SETS:
        return f"{name}/train"
    listed = _listed(name)
    return f"{name}/{next(iter(listed[1]['splits']))}" if listed else name


def is_path(name: str) -> bool:
    """Whether a name means a file or a folder of one's own, rather than a set."""
    of = name.partition("/")[0]
    return name.endswith(FILES) or not (of in FULL_SETS or _listed(of))


def class_names(name: str) -> Sequence[str]:
    """Names of the classes of a set, which need not be here if it is a full one; none if nobody
    says them."""
    of = name.partition("/")[0]
    listed = _listed(of)
    return listed[1]["class_names"] if listed else CLASS_NAMES.get(of, ())


def may_be_shown(name: str) -> bool:
    """Whether pictures of a set may be kept in results, committed and put on pages."""
    return name.partition("/")[0] not in PRIVATE


def second_split(name: str) -> str | None:
    """The name of the images that a set holds out beside its first split; None if it holds none, or
    if another split is asked for."""
    of, _, split = with_split(name).partition("/")
    if is_path(name):
        return None
    listed = _listed(of)
    splits = list(listed[1]["splits"]) if listed else ["train", "test"]
    return f"{of}/{splits[1]}" if split == splits[0] and len(splits) > 1 else None


@checked
def load(name: str | Path, *, download: bool = False) -> ImageSet:
    """A named image set: `"mnist_5k"`, or one of its splits, `"mnist_5k/held_out"`; or your own.

    At 32x32: embedded, fashion_mnist_10k, fashion_mnist_test_1k, mnist_5k, noto_emoji,
    cifar10_10k, cifar10_test_1k (splits in data/manifest.json; the first one is the default), and
    full sets, fashion_mnist, mnist, cifar10, celeba, each with splits train and test; looked for in
    the cache folder (environment variable ELSLIB_DATA), FashionMNIST also where Debian puts it, and
    fetched only if `download`. At their own size: what `elslib data import` put into `sets/` of the
    cache folder.

    A file `PATH.npy` of float32 [n, c, h, w] in [-1, 1], as numpy saves it, with classes in
    `PATH.labels.npy` if that is there: it is mapped, not read, so it may exceed the memory (keep
    the images of a class together: a class that is scattered is copied). `PATH.npy` of bytes, or
    `PATH.npz` with images (bytes, or floats in [-1, 1]), perhaps labels and class_names, is read.
    A folder of pictures is read as `ImageSet.from_folder` does, at 32x32.

    Raises ValueError for an unknown name or split and for a broken file, FileNotFoundError for a
    set that is not here, ConnectionError if a download fails.
    """
    if isinstance(name, Path):  # never the name of a set
        name = str(name) if "/" in str(name) else f"./{name}"
    if name.endswith(FILES):
        return _archive(Path(name)) if name.endswith(".npz") else _map(Path(name))
    of, _, split = with_split(name).partition("/")
    if of in FULL_SETS:
        return _load_full(of, split, download)
    if listed := _listed(of):
        return _load_listed(of, split, *listed)
    if Path(name).is_dir():
        return ImageSet.from_folder(name)
    if not (known := [*embedded(), *imported()]):
        manifest()  # says why there are none
    raise ValueError(
        f"name must be a known image set, got {name!r}; known: {', '.join([*known, *FULL_SETS])}; "
        f"or a folder of pictures, or a .npy or .npz file."
    )


def _map(path: Path) -> ImageSet:
    """Images of a file that stays on disk."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; numpy.save writes such a file.")
    images = _array(path, "r")
    classes = _labels(path.with_suffix(".labels.npy"))
    if images.dtype == np.uint8:
        return ImageSet.from_arrays(images, classes, name=str(path))
    if images.dtype != np.float32 or images.ndim != 4 or not images.flags.c_contiguous:
        raise ValueError(
            f"{path} must hold float32 [n, c, h, w] in C order, got {images.dtype} "
            f"{images.shape}; save it with numpy.ascontiguousarray(x, dtype=numpy.float32)."
        )
    with warnings.catch_warnings():
        # A mapping that could be written to would count against the memory. Nothing writes.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        mapped = torch.from_numpy(images)
    return ImageSet(mapped, classes, name=str(path))


def _labels(path: Path) -> Tensor | None:
    """The classes in a file, if it is there."""
    if not path.is_file():
        return None
    numbers = _array(path)
    if numbers.dtype.kind not in "iu":
        raise ValueError(f"{path} must hold integers, got {numbers.dtype}.")
    return torch.from_numpy(numbers.astype(np.int64))


def _archive(path: Path) -> ImageSet:
    """Images of an npz, with their classes and the names of these."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; numpy.savez(path, images=x) writes one.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except BROKEN_NPZ as error:
        raise ValueError(f"{path} must be an npz as numpy.savez writes it ({error}).") from error
    if "images" not in found or not found.keys() <= {"images", "labels", "class_names"}:
        raise ValueError(
            f"{path} must hold images, and may hold labels and class_names, got "
            f"{', '.join(found) or 'nothing'}."
        )
    names = [str(name) for name in found.get("class_names", ())]
    return ImageSet.from_arrays(found["images"], found.get("labels"), names, str(path))


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
    made = ImageSet.from_uint8 if folder.name == "sets" else resized_set
    return made(pixels, labels, tuple(about["class_names"]), f"{name}/{split}")


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
            found = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        return found["images"], found["labels"].long() if "labels" in found else None
    with Image.open(first) as sheet:
        cells = torch.from_numpy(np.asarray(sheet.convert("RGB")).copy())
    n, c, h, w = shape
    size = (-(-n // SHEET_COLUMNS) * h, SHEET_COLUMNS * w, c)
    if cells.shape != size:
        raise ValueError(
            f"{first} must be a sheet of {size[0]}x{size[1]} pixels, {SHEET_COLUMNS} images of "
            f"{h}x{w} in a row, got {cells.shape[0]}x{cells.shape[1]}; restore it."
        )
    cells = cells.reshape(-1, h, cells.shape[1] // w, w, c).permute(0, 2, 4, 1, 3)
    pixels = cells.reshape(-1, c, h, w)[:n].contiguous()
    return pixels, torch.from_numpy(np.load(rest[0])).long() if rest else None
