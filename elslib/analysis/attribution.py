"""Whose pixels: how much of a sample comes from each training image, and what if it were not there.

The posterior mass of training image i at pixel q and time t is the summed weight of its patches,
`m_i(q) = sum of w_p over the admissible patches p of image i`; over all images it is 1. The sum is
closed, so leaving images out is no training run but another sum: the counterfactual is exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import SupportsIndex

from jaxtyping import Float
from torch import Tensor

from elslib.checks import Brief, checked
from elslib.data.pixels import Which
from elslib.denoisers.machines import ScoreMachine
from elslib.samplers import Step, ddim, sample, times_along


@dataclass(frozen=True)
class Shares(Brief):
    """Whose one step of a sample is.

    Attributes
    ----------
    step
        time, noisy image and estimate
    share
        of each training image of the machine: the mean of its posterior mass over the pixels, so
        that they sum to 1; float64; 0 for images of other classes
    """

    step: Step
    share: Float[Tensor, "b n"]


@checked
def attribute(
    machine: ScoreMachine,
    noise: Float[Tensor, "b c h w"],
    label: SupportsIndex | None = None,
    times: Sequence[float] | None = None,
    *,
    n_steps: int | None = None,
) -> Iterator[Shares]:
    """Draw from `noise`, and yield at every step whose the estimate is; exact.

    The last one, at the lowest noise, is of the finished picture. `times` are those of `ddim`,
    or `n_steps` equal ones, by default twenty. Takes about as long as drawing alone. Raises
    ValueError for what `ddim` and `ScoreMachine.posterior` refuse.
    """
    pixels = noise.shape[2] * noise.shape[3]
    noted = _Noted(machine, label)
    for step in ddim(noted, noise, times_along(times, n_steps), label):
        yield Shares(step, noted.mass / pixels)


class _Noted:
    """A machine as a Denoiser that keeps the mass of its last call."""

    mass: Tensor

    def __init__(self, machine: ScoreMachine, label: SupportsIndex | None):
        self.machine, self.label, self.schedule = machine, label, machine.schedule

    def __call__(self, x: Tensor, t: float | Tensor, label: Tensor | None = None) -> Tensor:
        posterior, self.mass = self.machine.posterior_and_mass(x, float(t), self.label)
        return posterior.mean


@checked
def changed_by_removing(
    machine: ScoreMachine,
    noise: Float[Tensor, "b c h w"],
    which: Which,
    label: SupportsIndex | None = None,
    times: Sequence[float] | None = None,
    *,
    n_steps: int | None = None,
) -> Float[Tensor, "b c h w"]:
    """What the machine draws without some training images minus what it draws with them.

    `which` are numbers of images, or a mask, as `ImageSet.without` takes them; `n_steps` and
    `times` are those of `sample`. Raises ValueError if no image of the class is left, and for what
    `sample` refuses.
    """
    fewer = replace(machine, images=machine.images.without(which))
    before, after = (sample(one, noise, label, n_steps, times=times) for one in (machine, fewer))
    return after - before
