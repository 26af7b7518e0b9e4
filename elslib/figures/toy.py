"""The smallest world, to be played with: two training images, all black and all white.

Theorem 4.1 of the paper at a glance: with windows of 3 x 3 pixels that wrap, a picture is at rest
if each pixel has the colour of most of its window. The posterior of two images is a
closed form, so the machine is a line of the page's program; its noise levels are the library's.
"""

import html
from dataclasses import dataclass

import torch
from torch import Tensor

from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.figures.html import Page, fill, own_name, png, sheet, text
from elslib.samplers import geometric_times, initial_noise, sample, uniform_times
from elslib.scales import constant_scale
from elslib.schedules import cosine

STEPS = (2, 3, 5, 10, 20, 50, 100)
STILL = (2, 20)  # steps of the pictures for readers without scripts
LOW = 1e-4  # noise to signal where the steps of equal factors end


@dataclass(frozen=True)
class Toy(Page):
    """The figure: draw from noise in few or many steps, click pixels, see which disagree.

    Attributes
    ----------
    seed
        of the first noise image
    side
        of the picture, in pixels, from 3 to 64
    title
        what the figure is, for a file of its own
    """

    seed: int = 0
    side: int = 16
    title: str = "The smallest world: two training images"

    def __post_init__(self):
        if not 3 <= self.side <= 64:
            raise ValueError(f"side must be from 3 to 64, got {self.side}; try 16.")

    def _repr_html_(self) -> str:
        """The figure, with its data, style and program inside."""
        noise = initial_noise([self.seed], (1, self.side, self.side)).double()
        few, many = (self._drawn(noise, n) for n in STILL)
        schedule = cosine()
        grids = {
            "equal": {n: uniform_times(n) for n in STEPS},
            "low": {n: geometric_times(n, schedule, LOW) for n in STEPS},
        }
        data = {
            "side": self.side,
            "noise": text(noise.numpy().tobytes()),
            "levels": {
                name: {n: [[*schedule.levels(t)] for t in times[:-1]] for n, times in grid.items()}
                for name, grid in grids.items()
            },
        }
        parts = {
            "NAME": own_name("toy"),
            "TITLE": html.escape(self.title),
            "STILL": png(sheet(torch.cat([noise.clamp(-1, 1), few, many]).float(), 3)),
            "FEW": str(STILL[0]),
            "MANY": str(STILL[1]),
            "CHOICES": str(len(STEPS) - 1),
            "START": str(STEPS.index(5)),
        }
        return fill("toy", parts, data)

    @staticmethod
    def _drawn(noise: Tensor, n_steps: int) -> Tensor:
        """What the library's machine draws, in equal steps of t."""
        side = noise.shape[-1]
        two = torch.tensor([-1.0, 1.0], dtype=noise.dtype, device="cpu")[:, None, None, None]
        images = ImageSet(two.expand(2, 1, side, side).contiguous())
        machine = EquivariantLocalScore(images, constant_scale(3), edges="circular")
        return sample(machine, noise, n_steps=n_steps).sign()
