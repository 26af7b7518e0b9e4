"""Dot plots: many medians, or few numbers, side by side, in place of tables."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from jaxtyping import Float
from torch import Tensor

from elslib.analysis.intervals import Interval
from elslib.figures.style import COLOURS, Figure, legend, styled, subplots, words

MARKERS = ("o", "s", "^", "D", "v", "P")


def dot_plot(
    rows: Mapping[str, Mapping[str, Interval | Float[Tensor, " n"]]],
    xlabel: str,
    hollow: Mapping[str, Mapping[str, float]] | None = None,
    *,
    hollow_is: str = "the paper",
    rules: Sequence[int] = (),
    level: float | None = None,
) -> Figure:
    """One line a row, from top to bottom, and on it a dot for each entry with its interval.

    Where an entry is a few numbers instead, each is a small dot, and a stroke is their median.
    `hollow[row]` adds hollow dots, such as published numbers, to rows; of `hollow_is` the legend
    says what they are. `rules` are numbers of rows above which a line is drawn; `level` is a dashed
    upright line. Raises ValueError for hollow dots of no row, and for more than six kinds of dots.
    """
    hollow = hollow or {}
    if lost := [name for name in hollow if name not in rows]:
        raise ValueError(f"hollow must be of rows, got {', '.join(lost)}; rows may be empty.")
    kinds = list(dict.fromkeys(chain.from_iterable([*rows.values(), *hollow.values()])))
    if len(kinds) > len(MARKERS):
        raise ValueError(f"rows must hold at most {len(MARKERS)} kinds of dots, got {len(kinds)}.")
    looks = dict(zip(kinds, zip(MARKERS, COLOURS.values(), strict=True), strict=False))
    with styled():
        figure, axis = subplots(1, 1, (7.2, 0.3 * len(rows) + 0.9))
        for line, (name, found) in enumerate(rows.items()):
            axis.axhline(line, color="0.93", lw=5, zorder=0)
            for number, (kind, (marker, colour)) in enumerate(looks.items()):
                look = {"marker": marker, "color": COLOURS.get(kind, colour), "ls": "none"}
                # Each kind at a height of its own, so that equal numbers do not hide each other.
                y = line + (number - (len(looks) - 1) / 2) * 0.24 / len(looks)
                if kind in hollow.get(name, {}):
                    axis.plot(hollow[name][kind], y + 0.2, **look, mfc="white", ms=5, mew=1.2)
                if kind in found:
                    _draw(axis, found[kind], y - 0.12 * bool(hollow), look)
        for rule in rules:
            axis.axhline(rule - 0.5, color="0.5", lw=0.8)
        if level is not None:
            axis.axvline(level, color="0.5", ls="--", lw=1, zorder=1)
        for kind, (marker, colour) in looks.items():
            shown = {"marker": marker, "color": COLOURS.get(kind, colour), "ls": "none"}
            axis.plot([], [], **shown, ms=6, label=words(kind))
        if hollow:
            axis.plot([], [], "o", color="0.3", mfc="white", ms=6, mew=1.2, label=hollow_is)
        axis.set_yticks(range(len(rows)), [words(name) for name in rows])
        axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel=xlabel)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        legend(figure, len(looks) + 1)
    return figure


def _draw(axis, found: Interval | Tensor, y: float, look: Mapping[str, Any]) -> None:
    """One entry of a row at the height y."""
    if isinstance(found, Interval):
        axis.plot([found.low, found.high], [y, y], color=look["color"], lw=1.6, zorder=3)
        axis.plot(found.estimate, y, **look, ms=5.5, zorder=4)
    else:
        axis.plot(found.tolist(), [y] * len(found), **look, ms=4.5, mew=0, alpha=0.6, zorder=3)
        middle = float(found.quantile(0.5))
        axis.plot(middle, y, "|", color=look["color"], ms=12, mew=2, zorder=4)
