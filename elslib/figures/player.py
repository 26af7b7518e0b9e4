"""The time player: several denoisers draw side by side, under one slider.

Like the explorer, one piece of HTML that holds its own data, needs no server and works from disk.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.checks import check_fields, checked
from elslib.figures.html import Page, check_channels, fill, own_name, png, sheet
from elslib.samplers import Step


@dataclass(frozen=True)
class Player(Page):
    """Rows of pictures over time.

    Attributes
    ----------
    times
        of the frames, first to last
    rows
        name to what it shows at each time, [n] images in [-1, 1]
    title
        what is drawn, for the figure's name
    """

    times: Sequence[float]
    rows: Mapping[str, Float[Tensor, "t n c h w"]]
    title: str

    def __post_init__(self):
        check_fields(self)
        for name, images in self.rows.items():
            check_channels(f"row {name!r}", images)
        shapes = {tuple(images.shape[:2]) for images in self.rows.values()}
        if len(shapes) != 1 or next(iter(shapes))[0] != len(self.times):
            raise ValueError(
                f"rows must hold equally many images at each of {len(self.times)} times, got "
                f"{sorted(shapes)}."
            )

    def _repr_html_(self) -> str:
        """The figure, with its data, style and program inside."""
        frames = {
            name: [png(sheet(images, len(images))) for images in over_time]
            for name, over_time in self.rows.items()
        }
        first = next(iter(self.rows.values()))
        data = {"times": [round(t, 4) for t in self.times], "frames": list(frames.values())}
        size = f'width="{first.shape[1] * first.shape[4]}" height="{first.shape[3]}"'
        row = (
            '<figure><figcaption>{name}</figcaption><img {size} src="{last}" '
            'alt="{name} at the chosen time: {n} pictures."></figure>'
        )
        parts = {
            "NAME": own_name("player"),
            "TITLE": html.escape(self.title),
            "LAST": str(len(self.times) - 1),
            "WHEN": f"t = {self.times[-1]:g}",
            "ROWS": "\n".join(
                row.format(name=html.escape(name), size=size, last=urls[-1], n=first.shape[1])
                for name, urls in frames.items()
            ),
        }
        return fill("player", parts, data)


@checked
def play(runs: Mapping[str, Sequence[Step]], title: str = "generated pictures") -> Player:
    """Runs of a sampler from the same noise; the first row is what the first of them sees.

    Raises ValueError for runs of different length or for none.
    """
    if len({len(steps) for steps in runs.values()}) != 1:
        raise ValueError(
            f"runs must take equally many steps, got {[len(steps) for steps in runs.values()]}."
        )
    name, first = next(iter(runs.items()))
    rows = {f"what {name} sees": torch.stack([step.x for step in first])}
    for name, steps in runs.items():
        rows[f"{name}'s estimate"] = torch.stack([step.x0 for step in steps])
    return Player([step.t for step in first], rows, title)
