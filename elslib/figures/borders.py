"""Borders, to be played with: which places count for a pixel, what moves when the noise does."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.analysis.metrics import pearson_r
from elslib.checks import check_fields
from elslib.figures.html import Page, check_channels, fill, own_name, png, sheet


@dataclass(frozen=True)
class Borders(Page):
    """The figure: choose a pixel, a window and a rule, and see the places of a training image that
    it may be compared with; move the noise, and see which pictures move along.

    Raises ValueError for pictures of other sizes or channels, and for as many as there are not
    moves of.

    Attributes
    ----------
    picture
        a training image, in [-1, 1]
    noise
        the noise, as it is before it is moved
    drawn
        what each machine or network draws from the noise moved by `moves`, one after the other
    moves
        by how many pixels, up and to the left and around the edges; the first is 0
    window
        odd side of the first window
    title
        what the figure is, for a file of its own
    """

    picture: Float[Tensor, "c h w"]
    noise: Float[Tensor, "c h w"]
    drawn: Mapping[str, Float[Tensor, "n c h w"]]
    moves: Sequence[int] = (0, 8)
    window: int = 9
    title: str = "What a pixel knows of its place"

    def __post_init__(self):
        check_fields(self)
        check_channels("picture", self.picture)
        if not self.moves or self.moves[0] != 0:
            raise ValueError(f"moves must begin with 0, got {tuple(self.moves)}.")
        expected = (len(self.moves), *self.picture.shape)
        for name, x in {"noise": self.noise.expand(expected), **self.drawn}.items():
            if tuple(x.shape) != expected:
                raise ValueError(
                    f"drawn must hold pictures {expected}, one for each move, got "
                    f"{tuple(x.shape)} of {name!r}."
                )
        if self.window < 1 or self.window % 2 == 0 or self.window > min(self.picture.shape[1:]):
            raise ValueError(
                f"window must be odd and at most the side of the picture, got {self.window}."
            )

    def _repr_html_(self) -> str:
        """The figure, with its data, style and program inside."""
        shifts = [(-move, -move) for move in self.moves]
        noises = torch.stack([torch.roll(self.noise, shift, (1, 2)) for shift in shifts]) / 3
        rows = {"noise": noises.clamp(-1, 1), **self.drawn}
        h, w = self.picture.shape[1:]
        pictures = torch.cat([self.picture[None].expand(len(shifts), -1, -1, -1), *rows.values()])
        data = {
            "h": h,
            "w": w,
            "moves": list(self.moves),
            "rows": list(rows),
            "along": {name: _along(x, shifts) for name, x in self.drawn.items()},
            "sheet": png(sheet(pictures, len(shifts))),
        }
        ends = torch.cat([x[[0, -1]] for x in rows.values()])
        parts = {
            "NAME": own_name("borders"),
            "TITLE": html.escape(self.title),
            "STILL": png(sheet(ends, 2)),
            "NAMES": html.escape(", ".join(rows)),
            "LARGEST": str((min(h, w) - 1) // 2),
            "START": str(self.window // 2),
            "MOVES": str(len(shifts) - 1),
        }
        return fill("borders", parts, data)


def _along(drawn: Tensor, shifts: Sequence[tuple[int, int]]) -> list[float]:
    """r of each picture with the first one, moved as its noise was."""
    expected = torch.stack([torch.roll(drawn[0], shift, (1, 2)) for shift in shifts])
    return [round(r, 3) for r in pearson_r(drawn, expected).tolist()]
