"""Images of one's own, as tensors: a folder of pictures, arrays, a torch Dataset."""

from collections.abc import Sequence
from contextlib import suppress
from operator import index
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm.auto import tqdm

from elslib.checks import brief, check_choice
from elslib.data.pixels import is_boolean, warn_caller

Fit = Literal["crop", "squash", "pad"]
Mode = Literal["RGB", "L"]
Layout = Literal["NCHW", "NHWC", "NHW"]
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

Read = tuple[Tensor, Tensor | None, tuple[str, ...]]


def read_folder(folder: Path | str, size: int | tuple[int, int], fit: Fit, mode: Mode) -> Read:
    """Bytes [n, c, h, w] of a folder's pictures, their classes and the names of these; see
    `ImageSet.from_folder`."""
    check_choice("fit", fit, Fit)
    check_choice("mode", mode, Mode)
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"size must be a side in pixels, or (height, width), got {size!r}.")
    h, w = sides
    files, labels, names = _pictures_in(Path(folder))
    shape = (len(files), len(mode), h, w)  # "RGB" is 3, "L" is 1
    pixels = torch.empty(shape, dtype=torch.uint8, device="cpu")
    for i, file in enumerate(tqdm(files, desc=Path(folder).name, disable=None)):
        picture = _fitted(_read_picture(file, mode), (w, h), fit)
        pixels[i] = torch.from_numpy(np.array(picture)).reshape(h, w, -1).permute(2, 0, 1)
    return pixels, None if labels is None else _numbers(labels), names


def _pictures_in(folder: Path) -> tuple[list[Path], list[int] | None, tuple[str, ...]]:
    """The pictures of a folder, sorted by name; with subfolders, the class of each, too."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} must be a folder of pictures, but there is none.")
    entries = sorted(path for path in folder.iterdir() if _is_visible(path))
    classes = [path for path in entries if path.is_dir()]
    loose, others = _sorted_out([path for path in entries if path.is_file()])
    by_class = []
    for path in classes:
        inside = sorted(p for p in path.rglob("*") if p.is_file() and _is_visible(p, below=path))
        pictures, rest = _sorted_out(inside)
        below = sorted({p.relative_to(path).parts[0] for p in pictures if p.parent != path})
        if len(below) > 1:  # such as train/ with the classes in it
            warn_caller(
                f"{path} counts as one class with all its subfolders, such as {below[0]} and "
                f"{below[1]}; give {path} itself if they are the classes."
            )
        others += rest
        by_class.append(pictures)
        if not pictures:
            raise ValueError(
                f"{path} must hold pictures of its class ({', '.join(SUFFIXES)}), got none; remove "
                f"the folder, or fill it."
            )
    if loose and classes:
        raise ValueError(
            f"{folder} must hold pictures, or one subfolder for each class, got both, such as "
            f"{loose[0].name} and {classes[0].name}/; move one of them away."
        )
    if not classes and not loose:
        raise ValueError(f"{folder} must hold pictures ({', '.join(SUFFIXES)}), got none.")
    if others:
        warn_caller(
            f"{len(others)} files in {folder} are passed over, such as {others[0].name}; pictures "
            f"end in {', '.join(SUFFIXES)}."
        )
    if not classes:
        return loose, None, ()
    labels = [y for y, pictures in enumerate(by_class) for _ in pictures]
    return sum(by_class, []), labels, tuple(path.name for path in classes)


def _is_visible(path: Path, below: Path | None = None) -> bool:
    """Not what systems leave behind, nor in such a folder: .DS_Store, __MACOSX, Thumbs.db."""
    names = path.relative_to(below or path.parent).parts
    return not any(name.startswith((".", "__")) or name.lower() == "thumbs.db" for name in names)


def _sorted_out(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    return pictures, [path for path in files if path not in set(pictures)]


def _read_picture(file: Path, mode: Mode) -> Image.Image:
    """One upright picture of this mode."""
    try:
        with Image.open(file) as opened:
            if opened.format in ("PNG", "WEBP") and getattr(opened, "n_frames", 1) > 1:
                raise ValueError(f"{file} must be one picture, got an animation; keep one frame.")
            return _converted(ImageOps.exif_transpose(opened), mode, file)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{file} must be a whole picture, but is corrupt or of another kind ({error}); "
            f"restore it or take it out of the folder."
        ) from error


def _converted(picture: Image.Image, mode: Mode, what: object) -> Image.Image:
    """In 8 bits a channel, transparency laid on white."""
    if picture.mode.startswith("I"):  # 16 bits of grey
        grey = np.asarray(picture).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65_535:
            raise ValueError(f"{what} must have 8 or 16 bits a channel, got {grey.max()}.")
        picture = Image.fromarray((grey / 257).round().astype(np.uint8))
    if picture.mode in ("F", "LAB", "HSV"):
        raise ValueError(
            f"{what} must be grey, RGB, CMYK or of a palette, got mode {picture.mode!r}; save it "
            f"as RGB."
        )
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    if mode == "L" and picture.mode != "L":
        picture = picture.convert("RGB")  # else the black ink of CMYK is lost
    return picture.convert(mode)


def _fitted(picture: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    smooth = Image.Resampling.BILINEAR  # Pillow's averages over all pixels that it merges
    if fit == "crop":
        return ImageOps.fit(picture, size, smooth)
    if fit == "pad":
        return ImageOps.pad(picture, size, smooth)
    return picture.resize(size, smooth)


def read_dataset(dataset: Any) -> Read:
    """The pixels [n, c, h, w], bytes or floats, of a torch Dataset, its classes, and the names of
    these; see `ImageSet.from_dataset`."""
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__") or not len(dataset):
        raise ValueError(
            f"dataset must have a length of at least 1 and items by number, as torch's map-style "
            f"datasets have, got {type(dataset).__name__}."
        )
    images, labels, others = [], [], []
    for i in range(len(dataset)):
        item = dataset[i]
        image, *rest = item if isinstance(item, tuple | list) else (item,)
        images.append(_item(image, i))
        if images[i].shape != images[0].shape or images[i].dtype != images[0].dtype:
            raise ValueError(
                f"dataset must hold images of one shape and dtype, got "
                f"{tuple(images[0].shape)} {images[0].dtype} first and {tuple(images[i].shape)} "
                f"{images[i].dtype} at {i}; resize them in its transform."
            )
        if rest:
            number = None
            with suppress(TypeError, ValueError):
                number = None if is_boolean(rest[0]) else index(rest[0])
            (others if number is None else labels).append(rest[0] if number is None else number)
    if labels and len(labels) < len(images):
        raise ValueError(
            f"dataset must give every image a class number or none of them, got {len(labels)} of "
            f"{len(images)}."
        )
    if others:
        warn_caller(
            f"the set has no labels: what stands beside the images of the dataset is no class "
            f"number, such as {brief(others[0])}; a target_transform can make whole numbers of it."
        )
    names = tuple(str(name) for name in getattr(dataset, "classes", ()) or ())
    return torch.stack(images), _numbers(labels) if labels else None, names if labels else ()


def _numbers(labels: list[int]) -> Tensor:
    return torch.tensor(labels, dtype=torch.int64, device="cpu")


def _item(image: Any, i: int) -> Tensor:
    """One image [c, h, w] of a dataset."""
    if isinstance(image, Image.Image):
        plain = _converted(image, "L" if image.mode == "L" else "RGB", f"item {i} of the dataset")
        array = np.array(plain)
        return torch.from_numpy(array).reshape(*array.shape[:2], -1).permute(2, 0, 1)
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(image)
    if not isinstance(image, Tensor) or image.ndim != 3:
        shape = f" of shape {tuple(image.shape)}" if isinstance(image, Tensor) else ""
        raise ValueError(
            f"items of the dataset must be images [c, h, w], or tuples that begin with one, got "
            f"{type(image).__name__}{shape} at {i}."
        )
    return image


def as_labels(labels: np.ndarray | Sequence[int]) -> Tensor:
    """The class numbers that an array or a list holds; see `ImageSet.from_arrays`."""
    numbers = np.asarray(labels)
    if numbers.dtype.kind not in "iu" or (numbers.size and numbers.max() >= 2**63):
        raise ValueError(
            f"labels must be whole numbers, got {numbers.dtype}; class_names, labels = "
            f"np.unique(labels, return_inverse=True) makes them of names."
        )
    return torch.from_numpy(numbers.astype(np.int64))


def as_pixels(
    images: np.ndarray | Tensor, layout: Layout, value_range: tuple[float, float] | None
) -> Tensor:
    """Images [n, c, h, w] of an array in this layout: bytes as they are, floats as float32, with
    `value_range` brought to [-1, 1]; see `ImageSet.from_arrays`."""
    check_choice("layout", layout, Layout)
    if isinstance(images, np.ndarray):
        own = np.dtype(np.float32) if images.dtype.kind == "f" else images.dtype.newbyteorder("=")
        images = torch.from_numpy(images.astype(own)) if images.dtype.kind in "uif" else images
    elif isinstance(images, Tensor):
        images = images.detach()
        images = images.clone() if images.dtype == torch.float32 else images  # others are converted
    if not isinstance(images, Tensor):
        what = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(
            f"images must be a numpy array or a torch tensor of numbers, got {what}; numpy.stack "
            f"makes one of a list."
        )
    if images.ndim != len(layout):
        raise ValueError(
            f"images must have the axes {layout}, got the shape {tuple(images.shape)}; one image "
            f"is x[None], grey ones are x[:, None], and layout= names another order, one of "
            f"{', '.join(get_args(Layout))}."
        )
    if layout != "NCHW":
        images = images.permute(0, 3, 1, 2) if layout == "NHWC" else images[:, None]
    if images.dtype == torch.uint8:
        if value_range is not None:
            raise ValueError(f"value_range must be None for bytes, 0..255, got {value_range}.")
        return images.contiguous()
    if not images.is_floating_point():
        raise ValueError(
            f"images must be uint8, 0..255, or floating point, got {images.dtype}; convert them."
        )
    images = images.float()
    if value_range is not None:
        low, high = value_range
        if not high > low:
            raise ValueError(f"value_range must be (low, high), low < high, got {value_range}.")
        images = (images - low) / (high - low) * 2 - 1
    return images.contiguous()
