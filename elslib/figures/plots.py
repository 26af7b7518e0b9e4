"""Figures of the book: arrays in, matplotlib figure out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from matplotlib import patheffects
from matplotlib.colors import LogNorm, hsv_to_rgb, to_rgb
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from elslib.analysis.intervals import Interval
from elslib.checks import checked
from elslib.figures.html import check_channels
from elslib.figures.style import (
    AROUND_PICTURES,
    COLOURS,
    Figure,
    Pictures,
    legend,
    styled,
    subplots,
    tagged,
    words,
)

# Images side by side: a PNG of more than 65,536 pixels in a direction cannot be written.
MOST_COLUMNS = 400
PARTS = ("#56B4E9", "#E69F00", "#F0E442", "#CC79A7", "#009E73")  # around parts, on black


@checked
def image_grid(
    rows: Mapping[str, Float[Tensor, "n c h w"]] | Float[Tensor, "n c h w"],
    titles: Sequence[str] = (),
    notes: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """One row of images per entry, in [-1, 1] (clamped for display), grey or RGB; a tensor is one.

    `titles` stand above the columns; `notes[row]` gives one line under each image of that row.
    Raises ValueError for rows of different length or of more than `MOST_COLUMNS`, and for other
    numbers of channels.
    """
    rows = {"": rows} if isinstance(rows, Tensor) else rows
    lengths = {len(images) for images in rows.values()}
    if len(lengths) != 1:
        raise ValueError(f"rows must hold equally many images, got {sorted(lengths)}.")
    for name, images in rows.items():
        check_channels(f"row {name!r}", images)
    n, notes = lengths.pop(), notes or {}
    check_columns("rows", n)
    extra = 0.16 * sum(name in notes for name in rows)
    with styled(AROUND_PICTURES):
        longest = max(len(line) for name in rows for line in name.split("\n"))
        size = (0.68 * n + max(0.8, 0.08 * longest), 0.68 * len(rows) + 0.3 + extra)
        figure, axes = subplots(len(rows), n, size, Pictures, squeeze=False)
        for line, (name, images) in zip(axes, rows.items(), strict=True):
            for column, (axis, image) in enumerate(zip(line, images, strict=True)):
                _show(axis, image)
                if name in notes:
                    axis.set_xlabel(words(notes[name][column]), fontsize=7, labelpad=2)
            line[0].set_ylabel(words(name.rstrip()), rotation=0, ha="right", va="center")
        for axis, title in zip(axes[0], titles, strict=bool(titles)):
            axis.set_title(words(title), fontsize=7)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01)  # pyright: ignore
        return tagged(figure)


def check_columns(name: str, n: int) -> None:
    """Raise ValueError unless so many images fit side by side into one picture."""
    if n > MOST_COLUMNS:
        raise ValueError(f"{name} must hold at most {MOST_COLUMNS} images, got {n}; draw fewer.")


def _show(axis, image: Tensor) -> None:
    pixels = (image.detach().cpu().clamp(-1, 1).permute(1, 2, 0).numpy() + 1) / 2
    if pixels.shape[2] == 1:
        axis.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        axis.imshow(pixels, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def in_colours(numbers: Int[Tensor, "b h w"]) -> Float[Tensor, "b 3 h w"]:
    """A colour for each number, for `image_grid`; the same one wherever it occurs, black for -1."""
    hues = (numbers % 1009) * 0.618034 % 1  # far apart for neighbouring numbers
    value = 0.6 + 0.4 * ((numbers * 7) % 5) / 4
    colours = hsv_to_rgb(torch.stack([hues, torch.full_like(hues, 0.6), value], -1).numpy())
    shown = torch.from_numpy(colours).float() * 2 - 1
    return torch.where((numbers < 0)[..., None], -1.0, shown).movedim(-1, 1)


def outlined(
    images: Float[Tensor, "b 1 h w"], parts: Int[Tensor, "b h w"], size: int = 6
) -> Float[Tensor, "b 3 hs ws"]:
    """Grey images, `size` times as large, and around each part a line, for `image_grid`.

    The pixels of a part have its number, 1, 2, ...; 0 is none.
    """
    grey, numbers = (
        x.repeat_interleave(size, 2).repeat_interleave(size, 3)
        for x in (images.clamp(-1, 1).expand(-1, 3, -1, -1), parts[:, None].float())
    )
    around = F.pad(numbers, (2, 2, 2, 2))
    inner = (F.max_pool2d(around, 5, 1) == numbers) & (-F.max_pool2d(-around, 5, 1) == numbers)
    colours = torch.tensor([to_rgb(c) for c in PARTS], dtype=grey.dtype, device=grey.device) * 2 - 1
    lines = colours[(numbers[:, 0].long() - 1) % len(PARTS)].movedim(-1, 1)
    return torch.where((numbers > 0) & ~inner, lines, grey)


def agreement_scatter(
    pairs: Mapping[str, tuple[Float[Tensor, " n"], Float[Tensor, " n"]]], names: tuple[str, str]
) -> Figure:
    """Agreement with the network of a baseline (x) and of a machine (y), one dot a seed.

    `pairs` maps the title of a panel, at most four in a row, to its two lists.
    """
    low = min(0.0, *(float(values.min()) for pair in pairs.values() for values in pair)) - 0.05
    columns = 2 if len(pairs) == 4 else min(len(pairs), 3 if len(pairs) <= 6 else 4)
    rows = -(-len(pairs) // columns)
    side = {1: 3.8, 2: 2.5, 3: 2.5, 4: 1.9}[columns]
    with styled():
        size = (side * columns + 0.4, side * rows)
        figure, axes = subplots(rows, columns, size, squeeze=False, sharex=True, sharey=True)
        for axis in axes.flat[len(pairs) :]:
            axis.set_visible(False)
        for axis in axes.flat[len(pairs) - columns : len(pairs)]:
            axis.tick_params(labelbottom=True)  # the lowest of its column
        for axis, (title, (baseline, machine)) in zip(axes.flat, pairs.items(), strict=False):
            axis.plot([low, 1], [low, 1], color="0.5", lw=1, zorder=0)
            axis.annotate("equal", (0.06, 0.1), xycoords="axes fraction", color="0.4", rotation=40)
            size = 36 if len(baseline) < 20 else 14
            axis.scatter(baseline, machine, s=size, color=COLOURS["ELS"], edgecolor="white", lw=0.5)
            axis.set(xlim=(low, 1.02), ylim=(low, 1.02), aspect="equal")
            axis.set_title(words(title), fontsize=9 if columns < 4 else 7)
        figure.supxlabel(f"{names[0]} and network, Pearson's r", fontsize=9)
        figure.supylabel(f"{names[1]} and network, Pearson's r", fontsize=9)
    return figure


@dataclass(frozen=True)
class Line:
    """Points (x, y) of a line, and the band from `low` to `high` that shows how sure y is."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None

    @classmethod
    def through(cls, x: Sequence[float], intervals: Iterable[Interval]) -> "Line":
        """The line of the estimates at x, with the band of their intervals; x may be empty."""
        rows = [(i.estimate, i.low, i.high) for i in intervals]
        y, low, high = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(x, y, low, high)


def lines(
    series: Mapping[str, Line],
    xlabel: str,
    ylabel: str,
    *,
    log: bool = True,
    bottom: float = 0.0,
    level: float | None = None,
    ticks: Sequence[float] = (),
    xticks: Sequence[float] = (),
) -> Figure:
    """One line per entry, at most six, on a logarithmic y axis if `log`, else on one from `bottom`;
    `level` is drawn dashed.

    An entry named in `COLOURS` has its colour there, whatever its place. `ticks` are those of the
    y axis; with `xticks` the x axis is logarithmic and has these.
    """
    looks = zip(COLOURS.values(), ("-o", "--s", ":^", "-.D", "-v", "--P"), strict=True)
    with styled():
        figure, axis = subplots(1, 1, (5.6, 3.2))
        for (label, line), (colour, look) in zip(series.items(), looks, strict=False):
            colour = COLOURS.get(label, colour)
            axis.plot(line.x, line.y, look, color=colour, label=words(label), ms=4, lw=1.4)
            if line.low is not None and line.high is not None:
                axis.fill_between(line.x, line.low, line.high, color=colour, alpha=0.18, lw=0)
        if level is not None:
            axis.axhline(level, color="0.5", ls="--", lw=1)
        if log:
            axis.set_yscale("log")
            low, high = axis.get_ylim()
            if high < 100 * low:  # powers of ten alone would leave the axis without numbers
                axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.yaxis.set_major_formatter("{x:g}")
                axis.yaxis.set_minor_formatter(NullFormatter())
        else:
            axis.set_ylim(bottom=bottom)
        if ticks:
            axis.set_yticks(ticks)
        if xticks:
            axis.set_xscale("log")
            axis.set_xticks(xticks, [f"{x:g}" for x in xticks])
            axis.minorticks_off()
        axis.set(xlabel=xlabel, ylabel=ylabel)
        legend(figure, 2 if len(series) in (2, 4) else 3)
    return figure


def heat_map(
    numbers: Float[Tensor, "rows columns"],
    x: Sequence[float],
    rows: Sequence[str],
    labels: tuple[str, str, str],
    over: Mapping[str, Line],
) -> Figure:
    """Positive numbers as colours on a logarithmic scale: rows upwards, columns at increasing `x`.

    `labels` name the x axis, the y axis and the colours. `over` draws at most three lines on the
    map; their y counts rows from 0.
    """
    inner = [(a + b) / 2 for a, b in zip(x, x[1:], strict=False)]
    edges = [2 * x[0] - inner[0], *inner, 2 * x[-1] - inner[-1]]
    looks = zip(("white", COLOURS["IS"], COLOURS["PCA"]), ("-o", "--s", ":^"), strict=True)
    outline = [patheffects.withStroke(linewidth=3, foreground="black")]
    with styled(AROUND_PICTURES):
        figure, axis = subplots(1, 1, (5.9, 3.4), Pictures)
        borders = [i - 0.5 for i in range(len(rows) + 1)]
        mesh = axis.pcolormesh(
            edges, borders, numbers.numpy(), cmap="cividis", norm=LogNorm(vmin=1)
        )
        for (label, line), (colour, look) in zip(over.items(), looks, strict=False):
            label = words(label)
            axis.plot(line.x, line.y, look, color=colour, label=label, ms=4, path_effects=outline)
        axis.set_yticks(range(len(rows)), [words(row) for row in rows])
        axis.set(xlim=(edges[0], edges[-1]), xlabel=labels[0], ylabel=labels[1])
        figure.colorbar(mesh, label=labels[2])
        legend(figure, 3)
        figure.draw_without_rendering()  # else an axis has not all of its numbers yet
        return tagged(figure)


def panels(images: Mapping[str, Float[Tensor, "_ _"]], box: tuple[int, int, int]) -> Figure:
    """Pictures side by side, each in its own range of grey, with one window marked.

    `box` is (row, column, side) of the window's corner in the first picture. A smaller picture
    holds one value per window: the value of the marked window is a dot.
    """
    row, column, side = box
    height = next(iter(images.values())).shape[0]
    with styled(AROUND_PICTURES):
        figure, axes = subplots(1, len(images), (7.2, 2.1), Pictures, squeeze=False)
        for axis, (title, image) in zip(axes[0], images.items(), strict=True):
            axis.imshow(image.numpy(), cmap="gray", interpolation="nearest")
            if image.shape[0] == height:
                corner = (column - 0.5, row - 0.5)
                axis.add_patch(Rectangle(corner, side, side, fill=False, ec=COLOURS["IS"], lw=1.6))
            else:
                axis.plot(column, row, "o", color=COLOURS["IS"], ms=6)
            axis.set_title(words(title))
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        return tagged(figure)
