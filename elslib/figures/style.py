"""How figures look: one style whatever a user's settings, on a white page and on a dark one."""

import io
from collections.abc import Mapping
from typing import Any

from matplotlib import figure as mpl
from matplotlib import style
from matplotlib.text import Text

# Okabe and Ito's palette: told apart with any kind of colour vision. Their orange is darker here:
# every colour stands out three to one from a white page, and, turned around, from a dark one.
COLOURS = {
    "ELS": "#0072B2",
    "LS": "#009E73",
    "IS": "#D55E00",
    "network": "#000000",
    "Wiener": "#CC79A7",
    "PCA": "#C18500",
}
STYLE: dict[Any, Any] = {
    "figure.dpi": 200,
    "figure.facecolor": "white",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
# Around pictures of data: no ground; axes in a grey that stands out on any page; words on white.
INK = "#767676"
AROUND_PICTURES: dict[Any, Any] = {
    **STYLE,
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), "black"),
}
TAG = {"facecolor": "white", "edgecolor": "none", "boxstyle": "round,pad=0.15"}
SHOWS = "elslib-shows"  # the entry of a PNG that says which of the two it is


def styled(look: Mapping[Any, Any] = STYLE):
    """Within it matplotlib is as it comes, in our style: a user's settings, which might turn
    pictures upside down, do not count."""
    return style.context(["default", dict(look)])


class Figure(mpl.Figure):
    """A figure in our style, also when it is drawn or saved later; a notebook shows it as a PNG,
    whatever backend matplotlib has there.

    The PNG says in its entry `SHOWS` what it is: a dark page turns the colours of a "plot" around,
    and leaves "pictures" of data as they are.
    """

    shows, look = "plot", STYLE

    def draw(self, renderer):
        with styled(self.look):
            super().draw(renderer)

    def savefig(self, fname, **options):
        """As matplotlib's, in our style."""
        with styled(self.look):
            super().savefig(fname, **options)

    def _repr_png_(self) -> bytes:
        picture, about = io.BytesIO(), {SHOWS: self.shows}
        self.savefig(picture, format="png", bbox_inches="tight", metadata=about)
        return picture.getvalue()


class Pictures(Figure):
    """A figure of pictures whose colours are data, to be shown on any page as they are."""

    shows, look = "pictures", AROUND_PICTURES


def tagged(figure: Figure) -> Figure:
    """The figure, with every word on a white tag: on a white page there is nothing to see of it,
    on a dark one it makes the word readable."""
    for text in figure.findobj(Text):
        text.set_bbox(TAG)  # pyright: ignore
    return figure


def words(text: str) -> str:
    """A name as it is: between two dollar signs matplotlib would read a formula."""
    return text.replace("$", r"\$")


def legend(figure: Figure, columns: int) -> None:
    """What the marks mean, if there are two kinds or more, above the whole figure: so long words
    take no room from its axes."""
    if sum(len(axis.get_legend_handles_labels()[0]) for axis in figure.axes) > 1:
        figure.legend(loc="outside upper right", ncols=columns, columnspacing=1.2)


def subplots(
    rows: int,
    columns: int,
    size: tuple[float, float],
    kind: type[Figure] = Figure,
    **options: Any,
) -> tuple[Figure, Any]:
    """A figure of inches `size`, and its axes."""
    figure = kind(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)
