"""Tables for chapters, in Markdown. Needs the extra `book`."""

from collections.abc import Sequence
from numbers import Integral, Real

from IPython.display import Markdown

from elslib.analysis.intervals import Interval


def markdown_table(rows: Sequence[Sequence[object]], form: str = "") -> Markdown:
    """A table as notebooks and pages show it; its first row names the columns.

    Floats and Intervals are formatted by `form`, say ".2f", all else as `str` does. Raises
    ValueError for a row that has not as many cells as there are columns.
    """
    width = len(rows[0])
    lines = []
    for row in rows:
        if len(row) != width:
            raise ValueError(
                f"rows must have {width} cells, one for each of {rows[0]}, got {row}; fill with ''."
            )
        lines.append(f"| {' | '.join(_text(cell, form) for cell in row)} |")
    lines.insert(1, "|" + " --- |" * width)
    return Markdown("\n".join(lines))


def _text(cell: object, form: str) -> str:
    """Whole numbers are counts or names, and stay as they are; those of numpy and pandas too."""
    with_digits = isinstance(cell, Real | Interval) and not isinstance(cell, Integral)
    return format(cell, form) if with_digits else str(cell)
