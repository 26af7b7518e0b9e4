"""Geometry: which pixels a window covers, which positions are interchangeable, which scale when.

The one border rule, for rows and columns separately: two positions are interchangeable exactly
when their clipped windows coincide in shape and offset. A coordinate whose window reaches past a
border is fixed; otherwise it is interior and ranges over all interior coordinates (eq. 41, Fig. 9).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Border = Literal["fixed", "circular", "aware"]
"""Which training positions a query pixel may use.

`fixed`: its own location only, window clipped (LS). `circular`: every location, window wrapped
(ELS). `aware`: every location with the same clipped window (border-aware ELS).
"""


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


def check_window(window: int | None, height: int, width: int, border: str) -> None:
    """Raise ValueError unless `window` is None (whole image) or an odd side the border allows."""
    if border not in get_args(Border):
        raise ValueError(
            f"border must be one of {', '.join(get_args(Border))}, got {border!r}; "
            f"'aware' is the rule for zero-padded networks."
        )
    if window is None:
        return
    if not isinstance(window, int) or window < 1 or window % 2 == 0:
        raise ValueError(
            f"window must be an odd positive integer or None, got {window!r}; "
            f"a window is centred on a pixel, so use 3, 5, 7, ... or None for the whole image."
        )
    if border == "circular" and window > min(height, width):
        raise ValueError(
            f"window must be at most the image side for border='circular', got {window} on "
            f"{height}x{width}; a larger one counts pixels twice. Use None for the whole image."
        )


def axis_classes(side: int, window: int, border: Border) -> list[AxisClass]:
    """Coordinates along an axis of length `side`, grouped by their (clipped) windows, in order.

    Members of a class are interchangeable, unless `border` is "fixed".
    """
    r = window // 2
    if border == "circular":
        return [AxisClass(0, side, r, r)]
    alone = [AxisClass(i, i + 1, min(r, i), min(r, side - 1 - i)) for i in range(side)]
    if side - r <= r:
        return alone
    return alone[:r] + [AxisClass(r, side - r, r, r)] + alone[side - r :]


def position_classes(
    height: int, width: int, window: int, border: Border
) -> Iterator[tuple[AxisClass, AxisClass]]:
    """Every (row class, column class); together they cover each pixel exactly once."""
    columns = axis_classes(width, window, border)
    for rows in axis_classes(height, window, border):
        for cols in columns:
            yield rows, cols


def admissible_count(height: int, width: int, window: int | None, border: Border) -> Tensor:
    """Admissible positions per training image for each query pixel: int64 [h, w]."""
    check_window(window, height, width, border)
    if window is None:
        return torch.full((height, width), height * width if border == "circular" else 1)
    count = torch.ones(height, width, dtype=torch.int64)
    if border == "fixed":
        return count
    for rows, cols in position_classes(height, width, window, border):
        count[rows.start : rows.stop, cols.start : cols.stop] = rows.size * cols.size
    return count
