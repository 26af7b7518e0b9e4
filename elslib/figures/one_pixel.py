"""One pixel's posterior: how its weights gather on one patch as noise falls or the window grows.

The numbers are computed by the library when the figure is made, for each noise level and window
that a reader may choose, and lie inside one piece of HTML.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib import colormaps
from torch import Tensor

from elslib.figures.html import Page, check_channels, fill, own_name, pixels, png, sheet, webp
from elslib.posterior import PatchDictionary, patch_posterior
from elslib.schedules import Schedule

TOP = 12  # patches that are shown
RANKS = 1000  # up to this rank weights are drawn


@dataclass(frozen=True)
class Subject:
    """A noisy image, one of its pixels, and the training images that may lie under the noise.

    Attributes
    ----------
    name
        what the image is
    clean
        without noise
    noise
        standard normal, of the same shape
    images
        those of the class
    row
        of the pixel; the largest window around it lies inside the image
    col
        of the pixel
    """

    name: str
    clean: Float[Tensor, "c h w"]
    noise: Float[Tensor, "c h w"]
    images: Float[Tensor, "n c h w"]
    row: int
    col: int

    def window(self, side: int) -> tuple[slice, slice]:
        """Rows and columns of a window around the pixel."""
        r = side // 2
        return slice(self.row - r, self.row + r + 1), slice(self.col - r, self.col + r + 1)


@dataclass(frozen=True)
class OnePixel(Page):
    """The figure: sliders for noise and window, the weights, the patches, and a dot on the map.

    Attributes
    ----------
    subjects
        among which a reader may choose
    schedule
        of the noise
    times
        increasing, in (0, 1]
    windows
        odd sides, increasing; None, the last if it is there, is the whole image
    typical
        effective number of patches in play at each window and time, over many pixels
    path
        of the windows of a network, one for each time
    title
        what the figure is, for a file of its own
    """

    subjects: Sequence[Subject]
    schedule: Schedule
    times: Sequence[float]
    windows: Sequence[int | None]
    typical: Float[Tensor, "windows times"]
    path: Sequence[int]
    title: str = "One pixel's posterior"

    def __post_init__(self):
        if not self.subjects:
            raise ValueError("subjects must hold at least one, got none.")
        widest = max((side for side in self.windows if side), default=1)
        for one in self.subjects:
            check_channels("clean", one.clean)
            h, w = one.clean.shape[1:]
            room = min(one.row, one.col, h - 1 - one.row, w - 1 - one.col)
            if room < widest // 2:
                raise ValueError(
                    f"row and col must leave room for a window of {widest} pixels inside the "
                    f"image, got row {one.row} and column {one.col} of {h} x {w}."
                )

    def _repr_html_(self) -> str:
        """The figure, with its data, style and program inside."""
        first = self.subjects[0]
        data = {
            "times": list(self.times),
            "windows": list(self.windows),
            "ranks": _ranks().tolist(),
            "colours": _colours(self.typical),
            "typical": [[round(n, 1) for n in row] for row in self.typical.tolist()],
            "path": [list(self.windows).index(side) for side in self.path],
            "subjects": [self._subject(one) for one in self.subjects],
        }
        noisy = [self._noisy(first, t) for t in (self.times[-1], self.times[0])]
        parts = {
            "NAME": own_name("pixel"),
            "TITLE": html.escape(self.title),
            "STILL": png(sheet(torch.stack([*noisy, first.clean]), 3)),
            "ALT": html.escape(
                f"{first.name}: in strong noise, in little, and clean. The figure shows which "
                f"training patches fit the window around one of its pixels."
            ),
            "TIMES": str(len(self.times) - 1),
            "WINDOWS": str(len(self.windows) - 1),
        }
        return fill("pixel", parts, data)

    def _noisy(self, one: Subject, t: float) -> Float[Tensor, "c h w"]:
        alpha, sigma = self.schedule.levels(t)
        return alpha * one.clean + sigma * one.noise

    def _subject(self, one: Subject) -> dict:
        columns = max(1, int(len(one.images) ** 0.5))
        cells = [self._cells(one, side) for side in self.windows]
        noisy = [png(pixels(self._noisy(one, t))) for t in self.times]
        c, h, w = one.clean.shape
        return {
            "name": one.name,
            "at": [one.row, one.col],
            "shape": [c, h, w],
            "columns": columns,
            "noisy": noisy,
            "sources": webp(sheet(one.images, columns)),
            "cells": cells,
        }

    def _cells(self, one: Subject, side: int | None) -> list[dict]:
        """The posterior of the pixel through one window, at each time.

        Its admissible patches are those whose window lies inside the image, as its own does: they
        are compared as whole small images.
        """
        h, w = one.images.shape[2:]
        rows, columns = (slice(0, h), slice(0, w)) if side is None else one.window(side)
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        patches = one.images.unfold(2, high, 1).unfold(3, wide, 1)  # [n, c, down, right, ...]
        down, right = patches.shape[2:4]
        known = PatchDictionary(patches.movedim(1, 3).flatten(0, 2).contiguous())
        ranks = _ranks()[_ranks() <= len(known.images)]
        cells = []
        for t in self.times:
            x = self._noisy(one, t)[None, :, rows, columns].contiguous()
            found = patch_posterior(
                x, known, *self.schedule.levels(t), None, "fixed", top=int(ranks[-1])
            )
            assert found.origins is not None
            log_weight, best = (
                values.flatten(2)[0, :, 0]
                for values in (found.origins.log_weight, found.origins.image)
            )
            cells.append(
                {
                    "count": len(known.images),
                    "number": round(float(found.effective_number.flatten()[0]), 3),
                    "log": [round(value, 2) for value in log_weight[ranks - 1].tolist()],
                    "best": [
                        [i // (down * right), i // right % down, i % right]
                        for i in best[:TOP].tolist()
                    ],
                }
            )
        return cells


def busiest(image: Float[Tensor, "c h w"], margin: int) -> tuple[int, int]:
    """Row and column of the pixel, `margin` or more from the edges, whose 3 x 3 window varies most.

    Raises ValueError if no pixel is that far inside.
    """
    inside = image[:, margin : image.shape[1] - margin, margin : image.shape[2] - margin]
    if margin < 1 or inside.numel() == 0:
        raise ValueError(
            f"margin must be at least 1 and leave a pixel of {tuple(image.shape[1:])}, got "
            f"{margin}."
        )
    windows = image.unfold(1, 3, 1).unfold(2, 3, 1)  # (c, h - 2, w - 2, 3, 3)
    spread = windows.flatten(3).var(dim=3).sum(dim=0)
    some = spread[margin - 1 : spread.shape[0] - margin + 1, margin - 1 :]
    some = some[:, : image.shape[2] - 2 * margin]
    place = int(some.argmax())
    return margin + place // some.shape[1], margin + place % some.shape[1]


def _ranks() -> Tensor:
    """Every rank of those that are shown, then some of them up to RANKS."""
    far = torch.logspace(0, 3, 40, dtype=torch.float64, device="cpu").round().long()
    near = torch.arange(1, TOP + 1, device="cpu")
    return torch.cat([near, far]).clamp(max=RANKS).unique()


def _colours(numbers: Float[Tensor, "windows times"]) -> list[list[str]]:
    """A colour for each, by its logarithm, as in `elslib.figures.plots.heat_map`."""
    logs = numbers.log()
    shades = colormaps["cividis"]((logs / logs.max().clamp(min=1e-9)).numpy())
    return [
        ["#" + "".join(f"{round(255 * part):02x}" for part in shade[:3]) for shade in row]
        for row in shades.tolist()
    ]
