"""ScaleTable: which window at which noise, calibrated, published or constant."""

import json
import math
from bisect import bisect_left
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from textwrap import shorten

from elslib.checks import check_fields, checked
from elslib.io import read_json, write_json
from elslib.schedules import times_of
from elslib.windows import Side, Window, check_window


@dataclass(frozen=True)
class ScaleTable:
    """The locality scale over time: t -> window, by its odd side, or None, the whole image.

    A window that is not hard stands there as a `Window`. `times` increases (low noise first).
    `lower` and `upper` hold the quartiles of a calibration, `source` says where the table is from.
    Between entries the nearest one holds (ties: the lower t); below the first entry its window
    holds; above the last the table raises.
    """

    times: tuple[float, ...]
    windows: tuple[Side, ...]
    source: str = "by hand"
    lower: tuple[float, ...] | None = None
    upper: tuple[float, ...] | None = None

    def __post_init__(self):
        check_fields(self)
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

    def __repr__(self) -> str:
        low, high = (str(window) for window in (self.windows[0], self.windows[-1]))
        sides = low if len(self.windows) == 1 else f"{low}..{high} at {len(self.times)} times"
        return f"ScaleTable({shorten(self.source, 48)!r}, windows={sides})"

    @checked
    def window_at(self, t: float) -> Side:
        """The window at time t. ValueError outside [0, 1] and above the last entry."""
        times_of(t)
        if t > self.times[-1] + 1e-6:  # a float32 time may stand a little above its entry
            raise ValueError(
                f"t must be at most {self.times[-1]}, the last entry of the scale table "
                f"({self.source}), got {t}; calibrate up to t = 1."
            )
        after = min(bisect_left(self.times, t), len(self.times) - 1)
        before = max(after - 1, 0)
        low, high = self.times[before], self.times[after]
        # In the middle, up to the rounding of a float32 time, the lower one holds.
        is_lower = t - low <= high - t + 1e-5 * (high - low)
        return self.windows[before if is_lower else after]

    @checked
    def widened(self, smallest: int, below: float) -> "ScaleTable":
        """The same table with sides of at least `smallest` (odd) at times under `below`.

        Quartiles are dropped: they belong to the windows as calibrated. Raises ValueError for an
        even window, and if no entry lies under `below`.
        """
        if not any(t < below for t in self.times):
            raise ValueError(f"below must exceed the first entry, {self.times[0]}, got {below}.")
        wider = tuple(
            _with_side(window, max(_side(window), smallest)) if window and t < below else window
            for t, window in zip(self.times, self.windows, strict=True)
        )
        source = f"{self.source}, at least {smallest} below t = {below}"
        return ScaleTable(self.times, wider, source)

    @checked
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
            window and _with_side(window, max(1, 2 * math.ceil(factor * _side(window) / 2) - 1))
            for window in self.windows
        )
        return ScaleTable(self.times, tuple(sides), f"{self.source}, sides times {factor:g}")

    def json(self) -> dict:
        """The table as a dictionary that `json.dump` takes and `load` reads back."""
        return asdict(self)

    @checked
    def save(self, path: Path) -> None:
        """Write the table where `load` finds it. OSError if that fails."""
        write_json(path, self.json())

    @classmethod
    @checked
    def load(cls, path: Path) -> "ScaleTable":
        """Read a table from a json file that holds its fields, and perhaps more.

        Raises FileNotFoundError for a missing file and ValueError for one that is no scale table.
        """
        content = read_json(path, "calibrate again")
        try:
            return cls(
                times=tuple(content["times"]),
                windows=tuple(
                    Window(**window) if isinstance(window, dict) else window
                    for window in content["windows"]
                ),
                source=content["source"],
                lower=content.get("lower") and tuple(content["lower"]),
                upper=content.get("upper") and tuple(content["upper"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path} must hold a scale table with times, windows and source ({error}); "
                f"calibrate again."
            ) from error


def _side(window: int | Window) -> int:
    return window.side if isinstance(window, Window) else window


def _with_side(window: int | Window, side: int) -> int | Window:
    return replace(window, side=side) if isinstance(window, Window) else side


@checked
def constant_scale(window: Side) -> ScaleTable:
    """The same window at every t in [0, 1]."""
    return ScaleTable((1.0,), (window,), "constant")


def published_scales() -> list[str]:
    """Names of the scales in the authors' release."""
    return list(_published()["scales"])


@checked
def published_scale(name: str) -> ScaleTable:
    """A scale of the authors' release, such as "fmnist-resnet-zeros": 20 windows, t = 1/20 .. 1.

    Raises ValueError for an unknown name. Which machine each was calibrated for is not recorded.
    """
    content = _published()
    scales = content["scales"]
    if name not in scales:
        raise ValueError(f"name must be one of {', '.join(scales)}, got {name!r}.")
    windows = tuple(scales[name])
    times = tuple((i + 1) / len(windows) for i in range(len(windows)))
    return ScaleTable(times, windows, f"{name}, {content['source']}")


def _published() -> dict:
    return json.loads(Path(__file__).with_name("published_scales.json").read_text(encoding="utf-8"))
