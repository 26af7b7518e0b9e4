"""Geometry: which pixels a window covers, and which positions are interchangeable.

The one border rule, for rows and columns separately: two positions are interchangeable exactly
when their clipped windows coincide in shape and offset. A coordinate whose window reaches past a
border is fixed; otherwise it is interior and ranges over all interior coordinates (eq. 41, Fig. 9).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from elslib.checks import check_fields

Border = Literal["fixed", "circular", "aware"]
"""Which training positions a query pixel may use.

`fixed`: its own location only, window clipped (LS). `circular`: every location, window wrapped
(ELS). `aware`: every location with the same clipped window (border-aware ELS).
"""

# A window twice as large as an image sees all of it; a slip of the hand must not fill the memory.
LARGEST_SIDE = 9999
MOST_BITS = 30  # of side ** boxes, whose square is a whole number of 64 bits


@dataclass(frozen=True)
class Window:
    """What a query pixel compares with training patches, and for which pixels it speaks.

    A hard window counts each pixel of a square alike; `Window(5)` is what the number 5 stands for.
    A softer one counts a pixel at (i, j) from the centre with the precision::

        q(i, j) = amplitude * profile(i) * profile(j),    profile(0) = 1,

    where the profile is a box convolved with itself: once more, a pyramid; twice more, nearly a
    Gaussian. So `||x - alpha p||^2` becomes `sum q (x - alpha p)^2`. Outside the image are zeros,
    in the noisy image and in the training images; where the border is circular, both go round.

    Raises ValueError for other numbers.

    Attributes
    ----------
    side
        odd side of the box
    boxes
        how many boxes are convolved: 1 is hard, 2 a pyramid
    amplitude
        of the precision, positive; below 1 the posterior is tempered
    response
        odd side f: a pixel is the mean of what the windows of the f x f pixels around it expect of
        it; 1 asks its own window alone
    edge
        odd side of the hard window whose border rule holds; None: `side`
    """

    side: int
    boxes: int = 1
    amplitude: float = 1.0
    response: int = 1
    edge: int | None = None

    def __post_init__(self):
        check_fields(self)
        _check_side("window", self.side)
        _check_side("response", self.response)
        if self.edge is not None:
            _check_side("edge", self.edge)
        if self.boxes < 1:
            raise ValueError(
                f"boxes must be a whole number of at least 1, got {self.boxes}; 1 is a hard "
                f"window, 2 a pyramid."
            )
        if self.boxes * math.log2(self.side) > MOST_BITS:
            raise ValueError(
                f"boxes must be at most {int(MOST_BITS / math.log2(self.side))} with a side of "
                f"{self.side}, got {self.boxes}: more are too large a number; a few are nearly a "
                f"Gaussian."
            )
        if not 0 < self.amplitude < math.inf:
            raise ValueError(
                f"amplitude must be positive and finite, got {self.amplitude!r}; 1 leaves the "
                f"precision at the centre as it is."
            )

    @property
    def reach(self) -> int:
        """How far from its centre it sees."""
        return self.boxes * (self.side // 2)

    @property
    def support(self) -> int:
        """Side of the square that it sees."""
        return 2 * self.reach + 1

    @property
    def border_side(self) -> int:
        """Side of the hard window whose border rule holds."""
        return self.side if self.edge is None else self.edge

    @property
    def is_hard(self) -> bool:
        """Whether its side says it all, of a square with the border rule of that side."""
        return replace(self, edge=None) == Window(self.side) and self.border_side == self.side

    @property
    def centre_weight(self) -> int:
        """How often the convolved boxes count the centre, along one axis."""
        return int(self._counts()[self.reach])

    def precision(self) -> Float[Tensor, "support support"]:
        """q, float64."""
        counts = self._counts()
        return self.amplitude * counts[:, None] * counts / self.centre_weight**2

    def _counts(self) -> Tensor:
        """How often the convolved boxes count each pixel along one axis."""
        return torch.from_numpy(reduce(np.convolve, [np.ones(self.side)] * self.boxes))


Side = int | Window | None
"""A hard window by its odd side, any window by its description, or None, the whole image."""


def as_window(window: Side) -> Window | None:
    """The description of a window. ValueError for a side that is not odd."""
    return window if window is None or isinstance(window, Window) else Window(window)


def _check_side(name: str, side: int) -> None:
    if side < 1 or side % 2 == 0:
        raise ValueError(
            f"{name} must be an odd positive integer{' or None' * (name == 'window')}, got "
            f"{side!r}; a window is centred on a pixel, so use 3, 5, 7, ... or None for the whole "
            f"image."
        )
    if side > LARGEST_SIDE:
        raise ValueError(
            f"{name} must be at most {LARGEST_SIDE}, got {side}; None is the whole image."
        )


@dataclass(frozen=True)
class AxisClass:
    """Positions `start <= i < stop` with one shape of window, `i - before..i + after`."""

    start: int
    stop: int
    before: int
    after: int

    @property
    def size(self) -> int:
        """Number of positions."""
        return self.stop - self.start

    @property
    def extent(self) -> int:
        """Number of window pixels along this axis."""
        return self.before + self.after + 1


def check_window(window: Side, height: int, width: int, border: str) -> None:
    """Raise ValueError unless `window` is None (whole image) or one that the border allows."""
    if border not in get_args(Border):
        raise ValueError(
            f"border must be one of {', '.join(get_args(Border))}, got {border!r}; "
            f"'aware' is the rule for zero-padded networks."
        )
    window = as_window(window)
    if window is None or border != "circular":
        return
    for name, side in (("window", window.support), ("response", window.response)):
        if side > min(height, width):
            raise ValueError(
                f"{name} must be at most the image side for border='circular', got {side} on "
                f"{height}x{width}; a larger one counts pixels twice. Use None for the whole image."
            )


def axis_classes(side: int, window: int | Window, border: Border) -> list[AxisClass]:
    """Coordinates along an axis of length `side`, grouped by their (clipped) windows, in order.

    Members of a class are interchangeable, unless `border` is "fixed".
    """
    r = (window.border_side if isinstance(window, Window) else window) // 2
    if border == "circular":
        return [AxisClass(0, side, r, r)]
    alone = [AxisClass(i, i + 1, min(r, i), min(r, side - 1 - i)) for i in range(side)]
    if side - r <= r:
        return alone
    return alone[:r] + [AxisClass(r, side - r, r, r)] + alone[side - r :]


def position_classes(
    height: int, width: int, window: int | Window, border: Border
) -> Iterator[tuple[AxisClass, AxisClass]]:
    """Every (row class, column class); together they cover each pixel exactly once."""
    columns = axis_classes(width, window, border)
    for rows in axis_classes(height, window, border):
        for cols in columns:
            yield rows, cols


def admissible_count(height: int, width: int, window: Side, border: Border) -> Tensor:
    """Admissible positions per training image for each query pixel: int64 [h, w]."""
    check_window(window, height, width, border)
    if border == "fixed":
        return torch.ones(height, width, dtype=torch.int64, device="cpu")
    rows, cols = (
        [some.size for some in axis_classes(side, window or 2 * side - 1, border)
         for _ in range(some.size)]
        for side in (height, width)
    )  # fmt: skip
    down, across = (torch.tensor(some, dtype=torch.int64, device="cpu") for some in (rows, cols))
    return down[:, None] * across
