"""A noise-predicting network as a Denoiser."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from elslib.checks import checked
from elslib.denoisers.machines import Label, check_times, labels_of
from elslib.networks.architectures import NetworkConfig
from elslib.schedules import Schedule, cosine, denoised_from_noise, times_of
from elslib.windows import Border


class NetworkDenoiser:
    """A noise-predicting network as a Denoiser: `D = (x - sigma eps) / alpha`."""

    def __init__(self, module: nn.Module, config: NetworkConfig, schedule: Schedule | None = None):
        self.module = module.eval()
        self.config = config
        self.schedule = schedule or cosine()

    def __repr__(self) -> str:
        return f"NetworkDenoiser({self.config}, schedule={self.schedule})"

    @property
    def edges(self) -> Border:
        """The kind of border that the network's padding makes, which its ELS machine needs."""
        return "aware" if self.config.padding == "zeros" else "circular"

    @property
    def classes(self) -> int | None:
        """How many classes it is told apart, None if it takes no label."""
        return self.config.classes

    @checked
    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Label = None,
    ) -> Float[Tensor, "b c h w"]:
        """Posterior mean of x_0; t in [0, 1]; a conditional network needs labels, as machines do.

        Gradients flow to an x that requires them, never to the weights alone. Raises ValueError
        for another number of channels, a missing label, or one out of range.
        """
        labels = checked_labels(self.config, self.module, x, t, label)
        times = times_of(t).expand(len(x))
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            eps = self.module(x, times.to(x), labels)
        alpha, sigma = self.schedule.batch_levels(times, x)
        return denoised_from_noise(x, eps, alpha, sigma)


@runtime_checkable
class NetworkSpec(Protocol):
    """What a network takes: a NetworkConfig, or what stands for it in networks of others."""

    @property
    def channels(self) -> int: ...

    @property
    def classes(self) -> int | None: ...

    @property
    def side_multiple(self) -> int: ...


def check_sides(config: NetworkSpec, name: str, x: Tensor) -> None:
    """Raise ValueError if `name`, images [b, c, h, w], have sides that a UNet cannot halve."""
    multiple = config.side_multiple
    if any(side % multiple for side in x.shape[2:]):
        raise ValueError(
            f"{name} must have sides that are multiples of {multiple} for this network, got "
            f"{tuple(x.shape[2:])}; it halves them {multiple.bit_length() - 1} times."
        )


def checked_labels(
    config: NetworkSpec, module: nn.Module, x: Tensor, t: float | Tensor, label: Label
) -> Int[Tensor, " b"] | None:
    """The labels of a batch. ValueError for input that a network does not take."""
    weights = next(module.parameters())
    if x.dtype != weights.dtype or x.device != weights.device:
        raise ValueError(
            f"x must have the network's dtype and device, {weights.dtype} on {weights.device}, "
            f"got {x.dtype} on {x.device}; convert it with .to()."
        )
    if x.ndim != 4 or x.shape[1] != config.channels:
        raise ValueError(
            f"x must have shape [b, {config.channels}, h, w] for this network, got "
            f"{tuple(x.shape)}; it was trained on {config.channels}-channel images."
        )
    check_sides(config, "x", x)
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x must be finite, got NaN or infinity; check the step before.")
    check_times(x, t)
    return class_labels(label, x, config.classes)


def class_labels(label: Label, x: Tensor, classes: int | None) -> Int[Tensor, " b"] | None:
    """The labels of a batch for a network that is told so many classes apart, or, if None, none.

    Raises ValueError for labels that such a network does not take.
    """
    labels = labels_of(label, x)
    if classes is None and labels is not None:
        raise ValueError(
            "label must be None: this network is told no classes; a number of steps is n_steps=."
        )
    if classes and (labels is None or bool(((labels < 0) | (labels >= classes)).any())):
        got = None if labels is None else labels.tolist()
        raise ValueError(f"label must hold one class in 0..{classes - 1} per image, got {got}.")
    return labels
