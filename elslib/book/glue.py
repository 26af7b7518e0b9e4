"""Numbers for the prose of a chapter. Needs the extra `book`."""

from collections.abc import Mapping

from myst_nb import glue

from elslib.analysis.intervals import Interval
from elslib.book.values import as_python


def glue_all(values: Mapping[str, object]) -> None:
    """Glue each value under its key, unseen; an Interval as `key`, `key_low` and `key_high`."""
    for key, value in values.items():
        if isinstance(value, Interval):
            glue(key, value.estimate, display=False)
            glue(f"{key}_low", value.low, display=False)
            glue(f"{key}_high", value.high, display=False)
        else:
            glue(key, as_python(value), display=False)  # pages format Python's numbers only


def duration(seconds: float) -> str:
    """Seconds in the largest unit of which there are at least one and a half, in words."""
    units = {"years": 365.25 * 86400, "days": 86400, "hours": 3600, "minutes": 60}
    for unit, length in units.items():
        if seconds >= 1.5 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.1f} seconds"
