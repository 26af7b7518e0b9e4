"""The training patches: images, and what every evaluation needs of them, prepared once."""

from collections.abc import Iterator
from functools import cached_property
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.checks import checked

# Bytes of training images that are read together. A set in a memory-mapped file is so read from
# its beginning to its end, stays in the file, and may be larger than the memory.
CHUNK = 2**28
BROKEN_IMAGES = (
    "images must be finite, got NaN or infinity in at least one; drop the broken images."
)


@final
class PatchDictionary:
    """All patches of some training images, of any size: what a noisy image is compared with.

    What engines need again at each call is made when first asked for, and kept here. So keep a
    dictionary for as long as its images serve, and do not change them meanwhile.

    Parameters
    ----------
    images
        float [n, c, h, w], n >= 1, without gradient, contiguous: those given, or a copy
    """

    images: Float[Tensor, "n c h w"]

    @checked
    def __init__(self, images: Float[Tensor, "n c h w"]):
        """Raises ValueError if there is no image, or no pixel in it."""
        if len(images) == 0:
            raise ValueError("images must hold at least one training image, got none.")
        if images.numel() == 0:
            raise ValueError(f"images must hold pixels, got the shape {tuple(images.shape)}.")
        self.images = images.detach().contiguous()

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, *shape = self.images.shape
        about = f"{n} images, {' x '.join(map(str, shape))}"
        return f"PatchDictionary({about}, {self.images.dtype}, {self.images.device})"

    def shares_memory(self, images: Tensor) -> bool:
        """Whether the images lie within those, so that nothing was copied."""
        return self.images.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()

    def chunks(self, size: int | None = None) -> Iterator[tuple[int, Tensor]]:
        """The number of its first image, and the images, of each of the parts that are read
        together: `size` images, by default CHUNK bytes."""
        size = size or max(1, CHUNK // self.images[0].nbytes)
        for first in range(0, len(self), size):
            yield first, self.images[first : first + size]

    def check_finite(self) -> None:
        """Raise ValueError if an image holds NaN or infinity."""
        if not self._is_finite:
            raise ValueError(BROKEN_IMAGES)

    @cached_property
    def _is_finite(self) -> bool:
        return all(bool(torch.isfinite(part).all()) for _, part in self.chunks())

    @cached_property
    def centre(self) -> Float[Tensor, "1 c 1 1"]:
        """The mean of each channel. An offset common to x and alpha p changes no difference."""
        return self.images.mean(dim=(0, 2, 3), keepdim=True)

    @cached_property
    def largest_square(self) -> float:
        """The largest sum of squares of an image less the centre, in float64."""
        norm, double = torch.linalg.vector_norm, torch.float64
        return max(
            float(norm(part - self.centre, dim=(1, 2, 3), dtype=double).max()) ** 2
            for _, part in self.chunks()
        )

    def by_brightness(self, first: int, last: int) -> Int[Tensor, " n"]:
        """The numbers of the images first .. last - 1, from dark to bright: engines sum up those
        together that are about equally bright."""
        order = self._by_brightness
        whole = last - first == len(self)
        return order if whole else order[(order >= first) & (order < last)]

    @cached_property
    def _by_brightness(self) -> Tensor:
        return torch.cat([part.mean((1, 2, 3)) for _, part in self.chunks()]).argsort()
