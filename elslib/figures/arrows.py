"""Arrow plots: from where to where something goes, row by row."""

from collections.abc import Mapping, Sequence

from elslib.figures.dots import MARKERS
from elslib.figures.style import COLOURS, Figure, legend, styled, subplots, words


def arrow_plot(
    rows: Mapping[str, Mapping[str, tuple[float, float]]], xlabel: str, ticks: Sequence[float] = ()
) -> Figure:
    """For each row, from top to bottom, an arrow for each kind of thing, from its first number to
    its second, one below the other so that none hides another.

    A dot stands at the first number; where both are equal it stands alone. `ticks` are those of the
    axis. Raises ValueError for more than three kinds, which would not fit into a row.
    """
    kinds = list(dict.fromkeys(kind for found in rows.values() for kind in found))
    if len(kinds) > 3:
        raise ValueError(f"rows must hold at most 3 kinds of arrows, got {len(kinds)}.")
    looks = dict(zip(kinds, zip(MARKERS, COLOURS.values(), strict=True), strict=False))
    below = {kind: 0.36 * (i - (len(kinds) - 1) / 2) for i, kind in enumerate(kinds)}
    with styled():
        figure, axis = subplots(1, 1, (7.2, 0.36 * len(rows) + 0.9))
        for line, found in enumerate(rows.values()):
            axis.axhline(line, color="0.95", lw=16, zorder=0)
            for kind, (start, end) in found.items():
                marker, colour = looks[kind]
                y = line + below[kind]
                axis.plot(start, y, marker, color=colour, ms=5.5, zorder=4)
                if start != end:
                    arrow = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0}
                    axis.annotate("", (end, y), (start, y), arrowprops=arrow)
        for kind, (marker, colour) in looks.items():
            axis.plot([], [], marker, ls="-", color=colour, ms=5.5, label=words(kind))
        axis.set_yticks(range(len(rows)), [words(name) for name in rows])
        axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel=xlabel)
        ends = [x for found in rows.values() for pair in found.values() for x in pair]
        axis.set_xlim(min(ends) - 1, max(ends) + 1)  # arrows alone do not widen an axis
        if ticks:
            axis.set_xticks(ticks)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        legend(figure, len(kinds))
    return figure
