"""Noise schedules, the only place that defines alpha and sigma, and the conversions they imply.

`x_t = alpha_t x_0 + sigma_t eps` with `alpha_t^2 + sigma_t^2 = 1` and t in [0, 1].
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from elslib.checks import check_choice, check_fields, checked

Coordinates = Literal["vp", "ve", "flow"]


@dataclass(frozen=True)
class Schedule:
    """A path from data (t = 0) to noise (t = 1), its x scaled to `alpha^2 + sigma^2 = 1`.

    Every path becomes one of these when its x is divided by a number that depends on t alone.

    Attributes
    ----------
    angle
        of t, the phase theta with `alpha = cos(theta)` and `sigma = sin(theta)`: both come from one
        number, so neither is ever computed as `1 - other^2`, which loses digits near t = 0
    coordinates
        how networks of this path have x: "vp" as it is; "ve" divided by alpha, `x_0 + (sigma /
        alpha) eps`; "flow" divided by alpha + sigma, `(1 - s) x_0 + s eps`
    steps
        of a path given at the steps 0 .. steps - 1, step k at `t = (k + 1) / steps`; else None
    """

    name: str
    angle: Callable[[Tensor], Tensor]
    coordinates: Coordinates = "vp"
    steps: int | None = None

    def __post_init__(self):
        check_fields(self)
        check_choice("coordinates", self.coordinates, Coordinates)

    def __repr__(self) -> str:
        return f"Schedule({self.name!r})"

    def alpha(self, t: float | Tensor) -> Tensor:
        """Signal level alpha_t, float64, same shape as t. ValueError outside [0, 1]."""
        return torch.cos(self.angle(times_of(t)))

    def sigma(self, t: float | Tensor) -> Tensor:
        """Noise level sigma_t, float64, same shape as t. ValueError outside [0, 1]."""
        return torch.sin(self.angle(times_of(t)))

    def levels(self, t: float) -> tuple[float, float]:
        """(alpha_t, sigma_t) as Python floats for one t in [0, 1]."""
        return float(self.alpha(t)), float(self.sigma(t))

    def noise_ratio(self, t: float) -> float:
        """sigma / alpha at one t in [0, 1]."""
        return math.tan(float(self.angle(times_of(t))))

    def own_scale(self, t: float | Tensor) -> Tensor:
        """What x is multiplied by to have it in `coordinates`: float64, same shape as t."""
        alpha, sigma = self.alpha(t), self.sigma(t)
        return {"vp": torch.ones_like(alpha), "ve": 1 / alpha, "flow": 1 / (alpha + sigma)}[
            self.coordinates
        ]

    def time_at(self, ratio: float) -> float:
        """The time at which sigma / alpha equals `ratio`. ValueError if it never does."""
        ends = self.noise_ratio(0.0), self.noise_ratio(1.0)
        for end, t in zip(ends, (0.0, 1.0), strict=True):
            if math.isclose(ratio, end, rel_tol=1e-6):  # of sigma and alpha, or in float32
                return t
        if not ends[0] < ratio < ends[1]:
            raise ValueError(
                f"ratio must lie in {ends[0]:.9g}..{ends[1]:.9g}, sigma / alpha at t = 0 and 1, "
                f"got {ratio}."
            )

        def off(t: float) -> float:  # in angles: no pole where alpha is 0
            return float(self.angle(times_of(t))) - math.atan(ratio)

        smallest = float(np.finfo(float).tiny)  # digits count, also those of a time near 0
        return float(brentq(off, 0.0, 1.0, xtol=smallest, maxiter=1000))  # pyright: ignore

    def batch_levels(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma at times t [b], shaped [b, 1, 1, 1], with dtype and device of x."""
        alpha, sigma = (
            level.to(x).reshape(-1, 1, 1, 1) for level in (self.alpha(t), self.sigma(t))
        )
        return alpha, sigma


def times_of(t: float | Tensor) -> Tensor:
    """Times as float64; a number on the CPU. ValueError outside [0, 1]."""
    if isinstance(t, Tensor):
        times = t.to(torch.float64)
    else:
        times = torch.tensor(t, dtype=torch.float64, device="cpu")
    if not bool(((times >= 0) & (times <= 1)).all()):
        raise ValueError(f"t must lie in [0, 1], got {t}; t = 0 is the data, t = 1 the noise.")
    return times


def angle_from_log_alpha(log_alpha: Tensor) -> Tensor:
    """The angle with `alpha = cos(angle)`, in [0, pi/2], for log_alpha <= 0, -inf included."""
    # atan2(sigma, alpha) with sigma = sqrt(-expm1(2 log alpha)): accurate at both ends.
    return torch.atan2(torch.sqrt(-torch.expm1(2 * log_alpha)), torch.exp(log_alpha))


# Angles are functions and records of this module, not lambdas: so schedules can be compared, and
# what holds one can be pickled.


def _cosine(t: Tensor) -> Tensor:
    return math.pi * t / 2.016


@dataclass(frozen=True)
class _LogAlpha:
    """The angle where `log alpha = -first t - second t^2`."""

    first: float
    second: float

    def __call__(self, t: Tensor) -> Tensor:
        return angle_from_log_alpha(-self.first * t - self.second * t**2)


def cosine() -> Schedule:
    """The published networks' schedule, `alpha = cos(pi t / 2.016)`; alpha_1 = 0.0125, not 0."""
    return Schedule("cosine", _cosine)


@checked
def linear(rate_min: float = 0.1, rate_max: float = 20.0) -> Schedule:
    """Noise rate growing linearly in t, `alpha^2 = exp(-rate_min t - (rate_max - rate_min) t^2/2)`.

    Raises ValueError unless 0 < rate_min <= rate_max, both finite.
    """
    if not 0 < rate_min <= rate_max < math.inf:
        raise ValueError(
            f"rate_min and rate_max must satisfy 0 < rate_min <= rate_max, both finite, "
            f"got {rate_min:g} and {rate_max:g}; the usual choice is 0.1 and 20."
        )
    return Schedule("linear", _LogAlpha(0.5 * rate_min, 0.25 * (rate_max - rate_min)))


@checked
def ornstein_uhlenbeck(horizon: float = 5.0) -> Schedule:
    """Constant noise rate, `alpha = exp(-horizon t)`. ValueError unless 0 < horizon < infinity."""
    if not 0 < horizon < math.inf:
        raise ValueError(
            f"horizon must be positive and finite, got {horizon:g}; 5 leaves alpha_1 = 0.0067."
        )
    return Schedule("ou", _LogAlpha(horizon, 0.0))


@dataclass(frozen=True)
class _Power:
    """The angle where `sigma / alpha = largest t^rho`."""

    largest: float
    rho: float

    def __call__(self, t: Tensor) -> Tensor:
        return torch.atan(self.largest * t**self.rho)


@checked
def edm(sigma_max: float = 80.0, rho: float = 7.0) -> Schedule:
    """The path of Karras et al. (2022), `x = x_0 + s eps`, with `s = sigma / alpha = sigma_max
    t^rho`: equal steps in t are those of their equation 5; `samplers.karras_times` has its ends.

    Raises ValueError unless sigma_max and rho are positive.
    """
    if not (0 < sigma_max < math.inf and 0 < rho < math.inf):
        raise ValueError(
            f"sigma_max and rho must be positive, got {sigma_max:g} and {rho:g}; 80 and 7 are "
            f"usual."
        )
    return Schedule("edm", _Power(sigma_max, rho), "ve")


def _linear_mix(t: Tensor) -> Tensor:
    return torch.atan2(t, 1 - t)


def flow() -> Schedule:
    """The straight path of flow matching, `x = (1 - t) x_0 + t eps`; alpha_1 = 0."""
    return Schedule("flow", _linear_mix, "flow")


@dataclass(frozen=True)
class _Steps:
    """The angle at t = 0, 1/n, ..., 1; linear between."""

    angles: tuple[float, ...]

    def __call__(self, t: Tensor) -> Tensor:
        places = np.linspace(0, 1, len(self.angles))
        angle = np.interp(t.cpu().numpy(), places, self.angles)
        return torch.as_tensor(angle, dtype=torch.float64, device=t.device)


@checked
def from_alphas_cumprod(values: Sequence[float] | Float[Tensor, " n"]) -> Schedule:
    """The path of a network trained on steps 0 .. n - 1, by the `abar = alpha^2` of each.

    Step k is at `t = (k + 1) / n`, the data at t = 0; the angle is linear between. Raises
    ValueError unless the values fall, within [0, 1).
    """
    abar = torch.as_tensor(values, dtype=torch.float64, device="cpu")
    if len(abar) < 2 or not bool(((abar >= 0) & (abar < 1)).all() and (abar.diff() < 0).all()):
        raise ValueError(
            f"values must fall within [0, 1), one for each of at least two steps, got "
            f"{abar[:3].tolist()} ... {abar[-1:].tolist()}; schedulers call them alphas_cumprod."
        )
    angles = (0.0, *angle_from_log_alpha(abar.log() / 2).tolist())
    return Schedule(f"{len(abar)} steps", _Steps(angles), steps=len(abar))


def noise_from_denoised(x: Tensor, x0: Tensor, alpha: float, sigma: float) -> Tensor:
    """The noise estimate `eps = (x_t - alpha D) / sigma` of a posterior mean D; sigma > 0."""
    return (x - alpha * x0) / sigma


def denoised_from_noise(x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The posterior mean `D = (x_t - sigma eps) / alpha` of a noise estimate.

    ValueError where alpha is 0, up to rounding: pure noise tells nothing of an image.
    """
    if bool((alpha < 1e-7).any()):
        raise ValueError(
            f"t must leave something of the image for a network that predicts the noise, got "
            f"alpha = {float(alpha.min()):.3g}; begin the times a little below 1, or ask a network "
            f"that predicts x0, v or flow."
        )
    return (x - sigma * eps) / alpha


def denoised_from_velocity(x: Tensor, v: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The posterior mean `D = alpha x_t - sigma v` of a velocity `v = alpha eps - sigma x_0`."""
    return alpha * x - sigma * v


def score_from_denoised(x: Tensor, x0: Tensor, alpha: float, sigma: float) -> Tensor:
    """The score `s = (alpha D - x_t) / sigma^2` of a posterior mean D (eqs. 3 to 10); sigma > 0."""
    return (alpha * x0 - x) / sigma**2
