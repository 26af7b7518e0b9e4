"""Geometry: which pixels a window covers, which positions are interchangeable, which scale when.

The one border rule, for rows and columns separately: two positions are interchangeable exactly
when their clipped windows coincide in shape and offset. A coordinate whose window reaches past a
border is fixed; otherwise it is interior and ranges over all interior coordinates (eq. 41, Fig. 9).
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
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


@dataclass(frozen=True)
class ScaleTable:
    """The locality scale over time: t -> odd window side, None meaning the whole image.

    `times` increases (low noise first). `lower` and `upper` hold the quartiles of a calibration,
    `source` says where the table is from. Between entries the nearest one holds (ties: the lower
    t); below the first entry its window holds; above the last the table raises.
    """

    times: tuple[float, ...]
    windows: tuple[int | None, ...]
    source: str
    lower: tuple[float, ...] | None = None
    upper: tuple[float, ...] | None = None

    def __post_init__(self):
        if not self.times or len(self.times) != len(self.windows):
            raise ValueError(
                f"times and windows must have the same length of at least 1, got "
                f"{len(self.times)} and {len(self.windows)}; give one window per time."
            )
        if not all(0 <= t <= 1 for t in self.times):
            raise ValueError(f"times must lie in [0, 1], got {self.times}; 1 is pure noise.")
        if any(b <= a for a, b in zip(self.times, self.times[1:], strict=False)):
            raise ValueError(f"times must increase, got {self.times}; list low noise first.")
        for window in self.windows:
            check_window(window, 1, 1, "fixed")

    def window_at(self, t: float) -> int | None:
        """The window side at time t. ValueError above the last entry."""
        if t > self.times[-1] + 1e-6:  # a float32 time may stand a little above its entry
            raise ValueError(
                f"t must be at most {self.times[-1]}, the last entry of the scale table "
                f"({self.source}), got {t}; calibrate up to t = 1."
            )
        nearest = min(range(len(self.times)), key=lambda i: round(abs(self.times[i] - t), 6))
        return self.windows[nearest]

    def widened(self, smallest: int, below: float) -> "ScaleTable":
        """The same table with windows of at least `smallest` (odd) at times under `below`.

        Quartiles are dropped: they belong to the windows as calibrated. Raises ValueError for an
        even window, and if no entry lies under `below`.
        """
        if not any(t < below for t in self.times):
            raise ValueError(f"below must exceed the first entry, {self.times[0]}, got {below}.")
        wider = tuple(
            max(window, smallest) if window is not None and t < below else window
            for t, window in zip(self.times, self.windows, strict=True)
        )
        source = f"{self.source}, at least {smallest} below t = {below}"
        return ScaleTable(self.times, wider, source)

    def scaled(self, factor: float) -> "ScaleTable":
        """The same table with each side times `factor`: the nearest odd side, at least 1.

        Ties take the smaller side, as calibration does, so a factor of 2 doubles the reach
        r = (side - 1) / 2. The whole image stays whole. Quartiles are dropped: they belong to the
        windows as calibrated. Raises ValueError unless `factor` is positive and finite.
        """
        if not 0 < factor < math.inf:
            raise ValueError(
                f"factor must be positive and finite, got {factor}; 1 leaves the windows as is."
            )
        sides = (
            None if window is None else max(1, 2 * math.ceil(factor * window / 2) - 1)
            for window in self.windows
        )
        return ScaleTable(self.times, tuple(sides), f"{self.source}, sides times {factor:g}")

    def json(self) -> dict:
        """The table as a dictionary that `json.dump` takes and `load` reads back."""
        return asdict(self)

    @classmethod
    def load(cls, path: Path) -> "ScaleTable":
        """Read a table from a json file that holds its fields, and perhaps more.

        Raises FileNotFoundError for a missing file and ValueError for one that is no scale table.
        """
        try:
            content = json.loads(Path(path).read_text())
            return cls(
                times=tuple(content["times"]),
                windows=tuple(content["windows"]),
                source=content["source"],
                lower=content["lower"] and tuple(content["lower"]),
                upper=content["upper"] and tuple(content["upper"]),
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} must hold a scale table with times, windows and source ({error}); "
                f"calibrate again."
            ) from error


def constant_scale(window: int | None) -> ScaleTable:
    """The same window at every t in [0, 1]."""
    return ScaleTable((1.0,), (window,), "constant")
