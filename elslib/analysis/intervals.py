"""Medians and shares with their intervals, by the bootstrap and by counting."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.checks import check_fields, checked


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; `f"{interval:.2f}"` is "0.93 [0.91, 0.95]"."""

    estimate: float
    low: float
    high: float

    def __post_init__(self):
        check_fields(self)

    def __format__(self, spec: str) -> str:
        return f"{self.estimate:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


@checked
def median_interval(
    values: Float[Tensor, " n"], level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Median and percentile bootstrap interval at `level` in (0, 1); reproducible from `seed`.

    Raises ValueError for no values, NaN, or a level outside (0, 1).
    """
    v = _checked_values(values, level)
    medians = torch.quantile(v[_resamples(len(v), draws, seed)], 0.5, dim=1)
    return _bootstrap(float(torch.quantile(v, 0.5)), medians, level)


@checked
def mean_interval(
    values: Float[Tensor, " n"], level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """The same of the mean."""
    v = _checked_values(values, level)
    return _bootstrap(float(v.mean()), v[_resamples(len(v), draws, seed)].mean(1), level)


@checked
def share_interval(hits: int, n: int, level: float = 0.95) -> Interval:
    """The share of `hits` out of `n` with Wilson's score interval, which has a width at 0 and 1.

    Raises ValueError unless 0 <= hits <= n, n >= 1 and level lies in (0, 1).
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"hits must lie in 0..n with n at least 1, got {hits} of {n}.")
    _check_level(level)
    from scipy.stats import binomtest  # loads slowly, and few chapters need it

    low, high = binomtest(hits, n).proportion_ci(level, method="wilson")
    return Interval(hits / n, float(low), float(high))


@checked
def kappa_interval(
    a: Int[Tensor, " _"],
    b: Int[Tensor, " _"],
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Cohen's kappa of two raters' answers to n questions, with its percentile bootstrap interval.

    `kappa = (p_o - p_e) / (1 - p_e)`: p_o is the share of equal answers, p_e that share if each
    rater's answers were shuffled; 1 for equal answers, about 0 for unrelated ones. Draws in which
    both give one and the same answer throughout have no kappa and are left out. Raises ValueError
    for lists of different length, no answers, or if kappa is undefined for the answers themselves.
    """
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise ValueError(
            f"a and b must be two lists of equally many answers, at least one, got "
            f"{tuple(a.shape)} and {tuple(b.shape)}."
        )
    _check_level(level)
    answers = torch.unique(torch.cat([a, b]))
    if len(answers) == 1:
        raise ValueError(
            f"a and b must not all be the same answer, got {answers.item()} throughout: kappa is "
            f"undefined. Report the share of equal answers."
        )
    first, second = ((r[:, None] == answers).double() for r in (a, b))  # (n, answers)
    picks = torch.cat([torch.arange(len(a), device="cpu")[None], _resamples(len(a), draws, seed)])
    equal = (a == b).double()[picks].mean(dim=1)
    expected = torch.stack([r[picks].mean(dim=1) for r in (first, second)]).prod(dim=0).sum(dim=1)
    kappa = ((equal - expected) / (1 - expected))[expected < 1]
    return _bootstrap(float(kappa[0]), kappa[1:], level)


def _resamples(n: int, draws: int, seed: int) -> Tensor:
    """Numbers of n values, drawn with replacement: [draws, n]. ValueError for no draws."""
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}; 10,000 are usual.")
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randint(n, (draws, n), generator=generator, device="cpu")


def _bootstrap(estimate: float, resampled: Tensor, level: float) -> Interval:
    """The percentile interval that an estimate's resampled values give."""
    tail = (1 - level) / 2
    low, high = torch.quantile(resampled, resampled.new_tensor([tail, 1 - tail]))
    return Interval(estimate, float(low), float(high))


def _checked_values(values: Tensor, level: float) -> Tensor:
    if values.numel() == 0 or not bool(torch.isfinite(values).all()):
        raise ValueError(f"values must be finite and hold at least one, got {values.tolist()}.")
    _check_level(level)
    return values.double().cpu()


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}; 0.95 is usual.")
