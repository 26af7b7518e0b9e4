"""Noise schedules, the only place that defines alpha and sigma, and the conversions they imply.

`x_t = alpha_t x_0 + sigma_t eps` with `alpha_t^2 + sigma_t^2 = 1` and t in [0, 1].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """A variance-preserving path from data (t = 0) to noise (t = 1).

    `angle(t)` is the phase theta with `alpha = cos(theta)` and `sigma = sin(theta)`: both come
    from one number, so neither is ever computed as `1 - other^2`, which loses digits near t = 0.
    """

    name: str
    angle: Callable[[Tensor], Tensor]

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

    def time_at(self, ratio: float) -> float:
        """The time at which sigma / alpha equals `ratio`. ValueError if it never does."""
        ends = self.noise_ratio(0.0), self.noise_ratio(1.0)
        for end, t in zip(ends, (0.0, 1.0), strict=True):
            if math.isclose(ratio, end, rel_tol=1e-9):  # of sigma and alpha it may be rounded
                return t
        if not ends[0] < ratio < ends[1]:
            raise ValueError(
                f"ratio must lie in {ends[0]:.6g}..{ends[1]:.6g}, sigma / alpha at t = 0 and 1, "
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


def linear(rate_min: float = 0.1, rate_max: float = 20.0) -> Schedule:
    """Noise rate growing linearly in t, `alpha^2 = exp(-rate_min t - (rate_max - rate_min) t^2/2)`.

    Raises ValueError unless 0 < rate_min <= rate_max.
    """
    if not 0 < rate_min <= rate_max:
        raise ValueError(
            f"rate_min and rate_max must satisfy 0 < rate_min <= rate_max, "
            f"got {rate_min} and {rate_max}; the usual choice is 0.1 and 20."
        )
    return Schedule("linear", _LogAlpha(0.5 * rate_min, 0.25 * (rate_max - rate_min)))


def ornstein_uhlenbeck(horizon: float = 5.0) -> Schedule:
    """Constant noise rate, `alpha = exp(-horizon t)`. Raises ValueError unless horizon > 0."""
    if not horizon > 0:
        raise ValueError(f"horizon must be positive, got {horizon}; 5 leaves alpha_1 = 0.0067.")
    return Schedule("ou", _LogAlpha(horizon, 0.0))


def noise_from_denoised(x: Tensor, x0: Tensor, alpha: float, sigma: float) -> Tensor:
    """The noise estimate `eps = (x_t - alpha D) / sigma` of a posterior mean D; sigma > 0."""
    return (x - alpha * x0) / sigma


def denoised_from_noise(x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The posterior mean `D = (x_t - sigma eps) / alpha` of a noise estimate; alpha > 0."""
    return (x - sigma * eps) / alpha


def denoised_from_velocity(x: Tensor, v: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The posterior mean `D = alpha x_t - sigma v` of a velocity `v = alpha eps - sigma x_0`."""
    return alpha * x - sigma * v


def score_from_denoised(x: Tensor, x0: Tensor, alpha: float, sigma: float) -> Tensor:
    """The score `s = (alpha D - x_t) / sigma^2` of a posterior mean D (eqs. 3 to 10); sigma > 0."""
    return (alpha * x0 - x) / sigma**2
