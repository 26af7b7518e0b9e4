"""What pixels and labels of a set must be, their sha256, and bytes as floats and back."""

import hashlib
import math
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from operator import index
from typing import Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor


def warn_caller(message: str) -> None:
    """Warn, with the place of the first caller outside the library."""
    frame, level = sys._getframe(1), 2
    inside = "elslib", "jaxtyping", "beartype"  # the last two check shapes in between, in tests
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def check_pixels(pixels: Tensor, are_latents: bool = False) -> None:
    """Raise ValueError unless these are images [n, c, h, w] of a type that sums are exact in.

    Of latents any order of the axes is believed.
    """
    if not isinstance(pixels, Tensor):
        raise ValueError(
            f"pixels must be a torch tensor, got {type(pixels).__name__}; numpy arrays go to "
            f"ImageSet.from_arrays, folders to ImageSet.from_folder."
        )
    if not pixels.is_floating_point():
        raise ValueError(
            f"pixels must be floating point, in [-1, 1], got {pixels.dtype}; give bytes 0..255 to "
            f"ImageSet.from_uint8."
        )
    if pixels.ndim != 4 or pixels.numel() == 0:
        raise ValueError(
            f"pixels must be floating point of shape [n, c, h, w] with n >= 1 and no side 0, got "
            f"{pixels.dtype} {tuple(pixels.shape)}; one image is x[None], grey ones are x[:, None]."
        )
    _, c, h, w = pixels.shape
    if w <= 4 < min(c, h) and not are_latents:
        raise ValueError(
            f"pixels must have the axes [n, c, h, w], got {tuple(pixels.shape)}, which look like "
            f"[n, h, w, c]; write ImageSet.from_arrays(x, layout='NHWC'), or save "
            f"x.transpose(0, 3, 1, 2) in numpy's file."
        )
    if pixels.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"pixels must be float32 or float64, got {pixels.dtype}; convert with .float()."
        )
    if pixels.requires_grad:
        raise ValueError("pixels must not require gradients; give pixels.detach().")


def check_range(
    pixels: Tensor, bounds: tuple[float, float] | None, made_here: bool = False
) -> None:
    """Raise ValueError unless all pixels are finite and within the bounds; warn of those that
    seem to lie in [0, 1] if they are just made.

    No step here copies them: they may be a file larger than the memory.
    """
    low, high = (float(bound) for bound in pixels.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("pixels must be finite, got NaN or infinity; drop the broken images.")
    if bounds is None:
        return
    least, most = bounds
    if low < least - 1e-6 or high > most + 1e-6:
        raise ValueError(
            f"pixels must lie in [{least:g}, {most:g}], got [{low:.4g}, {high:.4g}]; scale pixels "
            f"in 0..255 by / 127.5 - 1, and give latents with bounds=None."
        )
    if made_here and least < 0 <= low < high <= 1:
        warn_caller(
            f"pixels lie in [{low:.3g}, {high:.3g}]: those of [0, 1], as ToTensor() makes them, "
            f"must be brought to [-1, 1] by * 2 - 1, or by value_range=(0, 1) of from_arrays and "
            f"from_dataset."
        )


def check_labels(labels: Tensor | None, n: int, names: Sequence[str]) -> None:
    """Raise ValueError unless these are the class numbers of n images, places among the names."""
    if labels is None:
        return
    if not isinstance(labels, Tensor):
        raise ValueError(
            f"labels must be a torch tensor, got {type(labels).__name__}; write "
            f"torch.tensor(labels)."
        )
    if labels.shape != (n,):
        raise ValueError(
            f"labels must hold one class number per image, got shape {tuple(labels.shape)} for "
            f"{n} images."
        )
    if not holds_integers(labels):
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}; convert with .long().")
    low, high = (int(label) for label in labels.aminmax())
    if low < 0:
        raise ValueError(
            f"labels must be class numbers from 0 on, got {low}; select the images that have one, "
            f"or leave labels out."
        )
    if names and high >= len(names):
        raise ValueError(
            f"labels must lie in 0..{len(names) - 1}, places among the class names, got "
            f"{low}..{high}; name every class, or leave class_names out."
        )


def holds_integers(labels: Tensor) -> bool:
    """Whether a tensor is of a type of whole numbers; truth values are none."""
    kind = labels.dtype
    return not (kind.is_floating_point or kind.is_complex or kind == torch.bool)


def class_number(label: SupportsIndex) -> int:
    """A class as a Python integer: one number, also NumPy's or a tensor's.

    Raises ValueError for several, for booleans and for all that is not whole: they would compare
    with labels one by one, or as 0 and 1.
    """
    number = None
    if getattr(label, "ndim", 0) == 0 and not is_boolean(label):
        with suppress(TypeError):
            number = index(label)
    if number is None:
        raise ValueError(
            f"label must be the number of one class, got {label!r}; for several classes ask one by "
            f"one, or call a machine with a tensor [b], one class per image."
        )
    return number


# Numbers of images, one or several, or a mask: one truth value per image.
Which = SupportsIndex | Sequence[SupportsIndex | np.bool_] | np.ndarray | Tensor


def numbers_of(which: Which, n: int, name: str) -> Int[Tensor, " k"]:
    """The numbers in 0..n-1 that a choice of n images names: `ImageSet.select`."""
    given: Any = which.tolist() if isinstance(which, np.ndarray | Tensor) else which
    try:
        entries = [given] if isinstance(given, SupportsIndex) else list(given)
        if any(map(is_boolean, entries)):
            if len(entries) != n or not all(map(is_boolean, entries)):
                raise ValueError(
                    f"which must be a mask of {n} images, got {len(entries)} entries with truth "
                    f"values among them; write one for every image, or numbers alone."
                )
            entries = [i for i, chosen in enumerate(entries) if chosen]
        numbers = [index(i) for i in entries]
    except TypeError as error:
        raise ValueError(
            f"which must be numbers of images, or a mask, got {which!r}; 3, [3, 5], 2:5, or "
            f"labels == 1 are."
        ) from error
    if wrong := [i for i in numbers if not -n <= i < n]:
        raise ValueError(
            f"which must hold numbers in 0..{n - 1}, the images of {name!r}, got {wrong[0]}."
        )
    return torch.tensor(numbers, dtype=torch.int64, device="cpu") % n


def is_boolean(value: object) -> bool:
    """Whether it is one truth value, or a tensor of some: what Python takes for 0 and 1."""
    return isinstance(value, bool | np.bool_) or (
        isinstance(value, Tensor) and value.dtype == torch.bool
    )


def to_uint8(images: Float[Tensor, "*n c h w"]) -> UInt8[Tensor, "*n c h w"]:
    """Bytes 0..255 of images in [-1, 1], on the CPU; values beyond count as the nearest inside."""
    return ((images.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()


def from_uint8(pixels: UInt8[Tensor, "*n c h w"]) -> Float[Tensor, "*n c h w"]:
    """Images in [-1, 1] of bytes 0..255: what `to_uint8` undoes."""
    return pixels.float() / 127.5 - 1


def sha256_of(pixels: Tensor, labels: Tensor | None) -> str:
    """Of the shape, the pixels and the labels."""
    digest = hashlib.sha256(str(tuple(pixels.shape)).encode())
    for part in (pixels, labels):
        if part is not None:
            digest.update(part.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
