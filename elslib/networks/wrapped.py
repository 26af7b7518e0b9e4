"""`wrap`: any network of one's own as a Denoiser."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from elslib.checks import check_choice, checked
from elslib.denoisers.machines import Label, check_times
from elslib.networks.architectures import Padding
from elslib.networks.network_denoiser import class_labels
from elslib.schedules import (
    Coordinates,
    Schedule,
    cosine,
    denoised_from_noise,
    denoised_from_velocity,
    edm,
    flow,
    times_of,
)
from elslib.windows import Border

Predicts = Literal["eps", "x0", "v", "flow", "edm"]
Call = Callable[[Any, Tensor, Tensor, Tensor | None], Tensor]


def wrap(
    module: Callable[..., Any],
    predicts: Predicts = "eps",
    schedule: Schedule | None = None,
    *,
    padding: Padding = "zeros",
    classes: int | None = None,
    integer_steps: bool = False,
    call: Call | None = None,
) -> "WrappedNetwork":
    """A network of one's own as a Denoiser, with `.schedule` and `.edges`.

    It is called as `module(x, time)`, or `module(x, time, label)` if it has classes, with x in the
    coordinates of its path and time [b] as networks of that path are told it: x_t and the step of a
    schedule `from_alphas_cumprod`, fractional between two; `x_0 + s eps` and s of `edm`; `(1 - s)
    x_0 + s eps` and s of `flow`; else x_t and t.

    Raises ValueError for other words, and for steps of a schedule without any.

    Parameters
    ----------
    module
        a torch module, put into evaluation mode, or any function
    predicts
        "eps", the noise; "x0", the image; "v", `alpha eps - sigma x_0`; "flow", `eps - x_0`; "edm",
        D(x; sigma) of Karras et al., their preconditioning included
    schedule
        by default `edm()` for "edm", `flow()` for "flow", else `cosine()`
    padding
        of its convolutions, "zeros" or "circular": which border rule its ELS machine needs
    classes
        how many it is told apart; None if it takes no label
    integer_steps
        of a network that knows whole steps only: others are refused, not rounded
    call
        `call(module, x, time, label)`, for a network that is called in another way
    """
    for name, value, kinds in (("predicts", predicts, Predicts), ("padding", padding, Padding)):
        check_choice(name, value, kinds)
    if not callable(module):
        raise ValueError(
            f"module must be a torch module or a function, got {type(module).__name__}; load "
            f"weights into their network first."
        )
    if classes is not None and (not isinstance(classes, int) or classes < 1):
        raise ValueError(
            f"classes must be how many it is told apart, at least 1, or None, got {classes!r}."
        )
    if schedule is None:
        schedule = {"edm": edm, "flow": flow}.get(predicts, cosine)()
    if not isinstance(schedule, Schedule):
        raise ValueError(
            f"schedule must be a Schedule, got {type(schedule).__name__}; elslib.edm(), flow(), "
            f"cosine() and from_alphas_cumprod(values) make them."
        )
    if integer_steps and schedule.steps is None:
        raise ValueError(
            f"integer_steps must be False for {schedule}, which has no steps; "
            f"from_alphas_cumprod(values) has."
        )
    return WrappedNetwork(module, predicts, schedule, padding, classes, integer_steps, call)


class WrappedNetwork:
    """What `wrap` makes, which see: a network of one's own as a Denoiser."""

    def __init__(
        self,
        module: Callable[..., Any],
        predicts: Predicts,
        schedule: Schedule,
        padding: Padding,
        classes: int | None,
        integer_steps: bool,
        call: Call | None,
    ):
        self.module = module.eval() if isinstance(module, nn.Module) else module
        self.predicts: Predicts = predicts
        self.schedule, self.classes, self.integer_steps = schedule, classes, integer_steps
        self.edges: Border = "aware" if padding == "zeros" else "circular"
        self.call = call

    def __repr__(self) -> str:
        name = type(self.module).__name__
        return f"WrappedNetwork({name}, predicts={self.predicts!r}, schedule={self.schedule})"

    @checked
    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Label = None,
    ) -> Float[Tensor, "b c h w"]:
        """Posterior mean of x_0; t in [0, 1]; a conditional network needs labels, as machines do.

        Gradients flow to an x that requires them, never to the weights alone. Raises ValueError
        for a label where none is taken, or none where one is, for one out of range, for a step that
        the network does not know, for an answer of another shape than x, and for an estimate of the
        noise where nothing is left of the image.
        """
        check_times(x, t)
        labels = class_labels(label, x, self.classes)
        times = times_of(t).expand(len(x))
        alpha, sigma = self.schedule.batch_levels(times, x)
        scale = {"vp": torch.ones_like(alpha), "ve": 1 / alpha, "flow": 1 / (alpha + sigma)}
        own = x * scale[self._coordinates]
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            found = self._ask(own, self._told(times, x), labels)
        if not isinstance(found, Tensor) or found.shape != x.shape:
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(
                f"module must answer with a tensor of the shape of x, {tuple(x.shape)}, got "
                f"{what}; take it out with call=lambda module, x, time, label: ..."
            )
        if self.predicts in ("x0", "edm"):
            return found
        if self.predicts == "flow":
            return own - sigma / (alpha + sigma) * found
        convert = denoised_from_noise if self.predicts == "eps" else denoised_from_velocity
        return convert(x, found, alpha, sigma)

    @property
    def _coordinates(self) -> Coordinates:
        """How the network has x."""
        fixed: dict[str, Coordinates] = {"edm": "ve", "flow": "flow"}
        return fixed.get(self.predicts, self.schedule.coordinates)

    def _told(self, times: Tensor, x: Tensor) -> Tensor:
        """What the network is told of the time: [b], float as x, or int64 steps."""
        if self.schedule.steps is not None:
            return self._steps(times, x)
        alpha, sigma = self.schedule.alpha(times), self.schedule.sigma(times)
        told = {"vp": times, "ve": sigma / alpha, "flow": sigma / (alpha + sigma)}
        return told[self._coordinates].to(x)

    def _steps(self, times: Tensor, x: Tensor) -> Tensor:
        n = self.schedule.steps
        assert n is not None
        steps = times * n - 1
        slack = 1e-6 * n  # a float32 time may stand a little beside its step
        if bool((steps < -slack).any()):
            raise ValueError(
                f"t must be at least 1 / {n}, the network's first step, got {float(times.min())}."
            )
        steps = steps.clamp(min=0)
        if not self.integer_steps:
            return steps.to(x)
        whole = steps.round()
        if bool(((steps - whole).abs() > slack).any()):
            raise ValueError(
                f"t must be (k + 1) / {n} for a whole step k of this network, got "
                f"{times.tolist()}; give times, such as uniform_times of a divisor of {n}."
            )
        return whole.long().to(x.device)

    def _ask(self, x: Tensor, time: Tensor, label: Tensor | None) -> Any:
        if self.call is not None:
            return self.call(self.module, x, time, label)
        given = (x, time) if label is None else (x, time, label)
        try:
            return self.module(*given)
        except TypeError as error:
            if "positional argument" not in str(error):
                raise
            raise ValueError(
                f"module must take {len(given)} arguments, x, time and the label of a network with "
                f"classes, got {type(self.module).__name__}: {error}; say how it is called, such "
                f"as call=lambda net, x, t, label: net(x)."
            ) from error
