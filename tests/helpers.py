"""What the tests share: a small network, and functions as denoisers."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from elslib.networks.architectures import NetworkConfig, build
from elslib.schedules import Schedule, cosine

# A small class-conditional network for colour images.
NETWORK = NetworkConfig(3, width=24, blocks=2, classes=4)


def seeded(config):
    """A network whose weights depend on nothing but its config."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(config)


@dataclass(frozen=True)
class FunctionDenoiser:
    """A function of (x, t, label) with the schedule that makes a Denoiser of it; a decorator."""

    answer: Callable[..., Tensor]
    schedule: Schedule = field(default_factory=cosine)

    def __call__(self, x: Tensor, t: float | Tensor, label: Tensor | None = None) -> Tensor:
        return self.answer(x, t, label)
