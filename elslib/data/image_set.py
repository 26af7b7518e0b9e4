"""ImageSet: training images with what identifies them, and how pixels become one."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import InitVar, dataclass, field, replace
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from elslib.checks import check_fields, checked
from elslib.data.own_images import (
    Fit,
    Layout,
    Mode,
    as_labels,
    as_pixels,
    read_dataset,
    read_folder,
)
from elslib.data.pixels import (
    Which,
    check_labels,
    check_pixels,
    check_range,
    class_number,
    from_uint8,
    numbers_of,
    sha256_of,
)

SIDE = 32


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Training images in [-1, 1] with what identifies them.

    `from_folder`, `from_arrays` and `from_dataset` make one of pictures, arrays, and datasets of
    torch. What is prepared of the pixels is kept with them: do not change them in place. Indexing
    gives sets, too: `images[5]`, of one image, `images[2:7]`, and all that `select` takes.

    Attributes
    ----------
    pixels
        float32 or float64 [n, c, h, w], finite, within `bounds`
    labels
        int64 [n], one class number each, or None
    class_names
        name of class y at position y
    sha256
        of the pixels and labels; a loaded set's is of its bytes, equal on every machine
    bounds
        smallest and largest value of a pixel; None admits all finite ones, as latents have
    digest
        when making one: the sha256, if it is known already
    """

    pixels: Float[Tensor, "n c h w"]
    labels: Int[Tensor, " n"] | None = None
    class_names: tuple[str, ...] = ()
    name: str = "unnamed"
    sha256: str = field(init=False)
    digest: InitVar[str | None] = None
    bounds: tuple[float, float] | None = field(default=(-1.0, 1.0), kw_only=True)
    # What machines prepare of each class: all that are made of one set share it.
    _prepared: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict:
        """Without what can be prepared again."""
        return {**self.__dict__, "_prepared": {}}

    def __post_init__(self, digest: str | None):
        check_pixels(self.pixels, are_latents=self.bounds is None)
        check_fields(self)
        check_range(self.pixels, self.bounds, made_here=digest is None)
        check_labels(self.labels, len(self.pixels), self.class_names)
        if self.labels is not None:  # a byte would hold class 300 for class 44
            object.__setattr__(self, "labels", self.labels.long())
        object.__setattr__(self, "sha256", digest or sha256_of(self.pixels, self.labels))

    @classmethod
    def from_uint8(
        cls,
        pixels: UInt8[Tensor, "n c h w"],
        labels: Int[Tensor, " n"] | None = None,
        class_names: tuple[str, ...] = (),
        name: str = "unnamed",
    ) -> "ImageSet":
        """The set of images whose pixels are bytes 0..255, scaled to [-1, 1], at their own size.

        Raises ValueError for pixels of another type, and for what a set refuses.
        """
        if pixels.dtype != torch.uint8:
            raise ValueError(
                f"pixels must be uint8, got {pixels.dtype}; floats in [-1, 1] go to ImageSet."
            )
        labels = labels.long() if isinstance(labels, Tensor) else labels
        return cls(from_uint8(pixels), labels, class_names, name, sha256_of(pixels, labels))

    @classmethod
    @checked
    def from_arrays(
        cls,
        images: np.ndarray | Tensor,
        labels: np.ndarray | Tensor | Sequence[int] | None = None,
        class_names: Sequence[str] = (),
        name: str = "unnamed",
        *,
        layout: Layout = "NCHW",
        value_range: tuple[float, float] | None = None,
        bounds: tuple[float, float] | None = (-1.0, 1.0),
    ) -> "ImageSet":
        """The set of images in a numpy array or a tensor, copied; bytes 0..255 or floats.

        `layout` names the order of the axes; `value_range` says which floats are black and white,
        by default -1 and 1. Raises ValueError for axes and types that do not fit, and for what a
        set refuses.
        """
        pixels = as_pixels(images, layout, value_range)
        if isinstance(labels, Tensor):
            numbers = labels.clone()
        else:
            numbers = None if labels is None else as_labels(labels)
        if pixels.dtype == torch.uint8:
            return cls.from_uint8(pixels, numbers, tuple(class_names), name)
        return cls(pixels, numbers, tuple(class_names), name, bounds=bounds)

    @classmethod
    @checked
    def from_folder(
        cls,
        path: Path | str,
        size: int | tuple[int, int] = SIDE,
        fit: Fit = "crop",
        mode: Mode = "RGB",
    ) -> "ImageSet":
        """The pictures of a folder, PNG, JPEG or WebP, sorted by name; its subfolders are classes.

        Each is turned upright, laid on white where it is transparent, brought to 8 bits a channel,
        and to `size` pixels, a side or (height, width): cut about its middle ("crop"), distorted
        ("squash"), or with black margins ("pad"). Warns of files that are no pictures. Raises
        FileNotFoundError without the folder; ValueError for a broken file, an animation, a folder
        with both pictures and subfolders, and one that holds none.
        """
        pixels, labels, class_names = read_folder(path, size, fit, mode)
        return cls.from_uint8(pixels, labels, class_names, str(path))

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        name: str = "unnamed",
        *,
        value_range: tuple[float, float] | None = None,
        bounds: tuple[float, float] | None = (-1.0, 1.0),
    ) -> "ImageSet":
        """All items of a torch Dataset: images, or tuples of an image and its class.

        Images are tensors or arrays [c, h, w] or Pillow's, all of one size; names are those of
        `dataset.classes`. With ToTensor() in its transform say `value_range=(0, 1)`. Raises
        ValueError for other items and for what `from_arrays` refuses.
        """
        pixels, labels, names = read_dataset(dataset)
        return cls.from_arrays(pixels, labels, names, name, value_range=value_range, bounds=bounds)

    def __repr__(self) -> str:
        classes = "" if self.labels is None else f", classes={len(self.labels.unique())}"
        shape = tuple(self.pixels.shape[1:])
        return f"ImageSet({self.name!r}, n={len(self)}, shape={shape}{classes})"

    def __len__(self) -> int:
        return len(self.pixels)

    def __eq__(self, other: object) -> bool:
        """By what identifies the images, and what is computed with them: so machines compare."""
        return isinstance(other, ImageSet) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple:
        x = self.pixels  # of resized ones the sha256 is that of the bytes that they were
        return self.sha256, self.class_names, self.name, x.shape, x.dtype, x.device

    def __getitem__(self, which: Which | slice) -> "ImageSet":
        return self.select(range(len(self))[which] if isinstance(which, slice) else which)

    def __iter__(self) -> Iterator["ImageSet"]:
        return (self.select([i]) for i in range(len(self)))

    def select(self, which: Which) -> "ImageSet":
        """The images of these numbers, in this order, or those where a mask is true; copied.

        A mask is a tensor, an array or a list of n truth values. Negative numbers count from the
        end. Raises ValueError for none, and for numbers that no image has.
        """
        chosen = numbers_of(which, len(self), self.name)
        if len(chosen) == 0:
            raise ValueError(f"which must name at least one image of {self.name!r}, got none.")
        return self._part(chosen, f"[{hashlib.sha256(chosen.numpy().data).hexdigest()[:16]}]")

    def without(self, which: Which) -> "ImageSet":
        """All images but those; `which` and errors as of `select`."""
        kept = torch.ones(len(self), dtype=torch.bool, device="cpu")
        kept[numbers_of(which, len(self), self.name)] = False
        return self.select(kept)

    def with_mirrored(self) -> "ImageSet":
        """Each image followed by its mirror image, left for right, of the same class.

        A theory on them predicts a network that was trained with random flips.
        """
        pixels = torch.stack([self.pixels, self.pixels.flip(-1)], 1).flatten(0, 1)
        labels = None if self.labels is None else self.labels.repeat_interleave(2)
        return replace(self, pixels=pixels, labels=labels, digest=f"{self.sha256}+mirrored")

    def class_name(self, label: SupportsIndex) -> str:
        """The name of a class; "class 3" if the set names none, as one of your own may.

        ValueError for a number that has no name in a set that names its classes.
        """
        label = class_number(label)
        if not self.class_names:
            return f"class {label}"
        if not 0 <= label < len(self.class_names):
            raise ValueError(
                f"label must lie in 0..{len(self.class_names) - 1}, the classes that {self.name!r} "
                f"names, got {label}."
            )
        return self.class_names[label]

    def subset(self, label: SupportsIndex | None) -> "ImageSet":
        """The images of one class, in order; all for None. Those of a class that is scattered are
        copied. ValueError if there is none, and for what is no class number."""
        if label is None:
            return self
        return self._part(_slice(self.of_class(label)), f":{index(label)}")

    def of_class(self, label: SupportsIndex) -> Int[Tensor, " n"]:
        """Which images are of a class, in order; the errors of `subset`."""
        if isinstance(label, str) and label in self.class_names:
            raise ValueError(
                f"label must be the number of a class, got its name {label!r}; write "
                f"{self.class_names.index(label)}."
            )
        label = class_number(label)
        if self.labels is None:
            raise ValueError(
                f"label must be None, got {label}: the images of {self.name!r} have no labels; "
                f"give them some, or wrap the network that asks without classes; a number of steps "
                f"is n_steps=."
            )
        chosen = (self.labels == label).nonzero()[:, 0]
        if len(chosen) == 0:
            present = sorted(set(self.labels.tolist()))
            raise ValueError(
                f"label must be a class of {self.name!r}, got {label}; it has {present}."
            )
        return chosen

    @checked
    def first(self, n: int) -> "ImageSet":
        """The first n images. ValueError unless 1 <= n <= len(self)."""
        if not 1 <= n <= len(self):
            raise ValueError(f"n must lie in 1..{len(self)}, the size of {self.name!r}, got {n}.")
        if n == len(self):
            return self
        return self._part(slice(n), f"[:{n}]")

    def shard(self, i: int, n: int) -> "ImageSet":
        """The i-th of n parts, neighbours together, their sizes alike up to one image.

        Raises ValueError unless 0 <= i < n <= len(self).
        """
        part = self.shard_slice(i, n)
        return self._part(part, f"[{part.start}:{part.stop}]")

    @checked
    def shard_slice(self, i: int, n: int) -> slice:
        """Which images `shard(i, n)` has; the same errors."""
        if not 0 <= i < n <= len(self):
            raise ValueError(
                f"a shard must be one of at most {len(self)}, as many as there are images of "
                f"{self.name!r}, got number {i} of {n}."
            )
        return slice(len(self) * i // n, len(self) * (i + 1) // n)

    def _part(self, chosen: Tensor | slice, what: str) -> "ImageSet":
        labels = None if self.labels is None else self.labels[chosen]
        return replace(
            self, pixels=self.pixels[chosen], labels=labels, digest=f"{self.sha256}{what}"
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None):
        """The same set with its images on another device or in another float dtype."""
        labels = None if self.labels is None else self.labels.to(device)
        images = self.pixels.to(device=device, dtype=dtype)
        return replace(self, pixels=images, labels=labels, digest=self.sha256)


def _slice(numbers: Tensor) -> Tensor | slice:
    """As a slice, which copies nothing, if the increasing numbers have no gap."""
    first, last = int(numbers[0]), int(numbers[-1])
    return slice(first, last + 1) if last - first + 1 == len(numbers) else numbers


def resized_set(
    pixels: UInt8[Tensor, "n c h w"],
    labels: Int[Tensor, " n"] | None,
    class_names: tuple[str, ...],
    name: str,
) -> ImageSet:
    """The ImageSet of a named set's bytes 0..255, which its sha256 is of: resized to 32x32
    (antialiased bilinear), scaled to [-1, 1]."""
    if pixels.shape[2:] == (SIDE, SIDE):
        return ImageSet.from_uint8(pixels, labels, class_names, name)
    images = pixels.float()
    images = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    images = (images / 127.5 - 1).clamp_(-1, 1)  # bilinear weights sum to 1 only up to rounding
    return ImageSet(images, labels, class_names, name, sha256_of(pixels, labels))
