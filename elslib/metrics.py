"""How alike two images are, how sure a median is, and how far a sample is from the data.

The paper calls its number r^2; its script computes Pearson's r. Later papers report R^2. The three
differ, so all three are here and always reported together.
"""

from dataclasses import dataclass
from statistics import NormalDist

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from elslib.posterior.fft_shifts import overlaps


def pearson_r(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Pearson's r of each pair of images, over all channels and pixels; float64 in [-1, 1].

    Raises ValueError if an image is constant: its correlation is undefined.
    """
    _check_pair(a, b)
    x, y = (_centred(image) for image in (a, b))
    if _any_constant(a) or _any_constant(b):
        raise ValueError(
            "a and b must not hold a constant image, got one: its correlation is undefined."
        )
    return (x * y).sum(dim=1) / (x.norm(dim=1) * y.norm(dim=1))


def r_squared(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Pearson's r, squared, of each pair of images; float64 in [0, 1]."""
    return pearson_r(a, b).square()


def coefficient_of_determination(
    prediction: Float[Tensor, "b c h w"], truth: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """`R^2 = 1 - SS_res / SS_tot` of each pair, float64, at most 1 and without lower bound.

    Unlike r it notices a wrong offset or contrast. Raises ValueError if a truth is constant.
    """
    _check_pair(prediction, truth)
    residual = (prediction.double() - truth.double()).flatten(1).square().sum(dim=1)
    if _any_constant(truth):
        raise ValueError("truth must not hold a constant image, got one: R^2 is undefined.")
    return 1 - residual / _centred(truth).square().sum(dim=1)


def own_rank(
    images: Float[Tensor, "b c h w"], predictions: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Share of the other images' predictions that fit each image less than its own, by Pearson's r.

    Float64 in [0, 1]; one half by chance, 1 if an image is told apart from all others. Give images
    of one class, or knowing the class is enough. Raises ValueError for fewer than two images.
    """
    _check_pair(images, predictions)
    if len(images) < 2:
        raise ValueError(f"images must be at least two, to have others, got {len(images)}.")
    r = torch.stack([pearson_r(images, predictions.roll(i, 0)) for i in range(len(images))])
    return (r[1:] < r[0]).double().mean(dim=0)


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(f"images must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}.")
    if a.ndim != 4:
        raise ValueError(f"images must have the shape [b, c, h, w], got {tuple(a.shape)}.")


def _any_constant(images: Tensor) -> bool:
    # The pixels themselves: less their mean, rounding would leave something of them.
    flat = images.flatten(1)
    return bool((flat.amax(dim=1) == flat.amin(dim=1)).any())


def _centred(images: Tensor) -> Tensor:
    flat = images.double().flatten(1)
    return flat - flat.mean(dim=1, keepdim=True)


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; `f"{interval:.2f}"` is "0.93 [0.91, 0.95]"."""

    estimate: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.estimate:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def median_interval(
    values: Float[Tensor, " n"], level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """Median and percentile bootstrap interval at `level` in (0, 1); reproducible from `seed`.

    Raises ValueError for no values, NaN, or a level outside (0, 1).
    """
    if values.numel() == 0 or not bool(torch.isfinite(values).all()):
        raise ValueError(f"values must be finite and hold at least one, got {values.tolist()}.")
    _check_level(level)
    v = values.double().cpu()
    medians = torch.quantile(v[_resamples(len(v), draws, seed)], 0.5, dim=1)
    return _bootstrap(float(torch.quantile(v, 0.5)), medians, level)


def share_interval(hits: int, n: int, level: float = 0.95) -> Interval:
    """The share of `hits` out of `n` with Wilson's score interval, which has a width at 0 and 1.

    Raises ValueError unless 0 <= hits <= n, n >= 1 and level lies in (0, 1).
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"hits must lie in 0..n with n at least 1, got {hits} of {n}.")
    _check_level(level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, weight = hits / n, 1 / (1 + z * z / n)
    middle = weight * (share + z * z / (2 * n))
    half = weight * z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


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
    picks = torch.cat([torch.arange(len(a))[None], _resamples(len(a), draws, seed)])
    equal = (a == b).double()[picks].mean(dim=1)
    expected = torch.stack([r[picks].mean(dim=1) for r in (first, second)]).prod(dim=0).sum(dim=1)
    kappa = ((equal - expected) / (1 - expected))[expected < 1]
    return _bootstrap(float(kappa[0]), kappa[1:], level)


def _resamples(n: int, draws: int, seed: int) -> Tensor:
    """Numbers of n values, drawn with replacement: [draws, n]."""
    return torch.randint(n, (draws, n), generator=torch.Generator().manual_seed(seed))


def _bootstrap(estimate: float, resampled: Tensor, level: float) -> Interval:
    """The percentile interval that an estimate's resampled values give."""
    tail = (1 - level) / 2
    low, high = torch.quantile(resampled, torch.tensor([tail, 1 - tail], dtype=torch.float64))
    return Interval(estimate, float(low), float(high))


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}; 0.95 is usual.")


def nearest_image(
    x: Float[Tensor, "b c h w"], images: Float[Tensor, "n c h w"]
) -> tuple[Int[Tensor, " b"], Float[Tensor, " b"]]:
    """The training image nearest to each x: its number, and the root mean square difference."""
    nearest = _distances(x, images).min(dim=1)
    return nearest.indices, nearest.values / x[0].numel() ** 0.5


def nearest_shift(
    x: Float[Tensor, "b c h w"], images: Float[Tensor, "n c h w"]
) -> Float[Tensor, " b"]:
    """Root mean square difference of each x from the nearest cyclic shift of any training image."""
    _check_shapes(x, images)
    keys = torch.fft.rfft2(images.double())  # (n, c, h, w/2 + 1)
    squares = images.double().square().sum(dim=(1, 2, 3))
    nearest = []
    for query in x.double().split(1):
        best = overlaps(query, keys).amax(dim=(2, 3))  # (1, n)
        nearest.append((query.square().sum() + squares - 2 * best).amin())
    return (torch.stack(nearest).clamp(min=0) / x[0].numel()).sqrt()


def near_copies(
    x: Float[Tensor, "b c h w"], images: Float[Tensor, "n c h w"], ratio: float = 1 / 3
) -> Bool[Tensor, " b"]:
    """Whether each x nearly copies a training image: the nearest is less than `ratio` times as far
    away as the second nearest. An image that the set holds more than once counts once; a second
    one that is merely very similar can hide a copy. Raises ValueError for fewer than two images."""
    different = torch.unique(images.flatten(1), dim=0).view(-1, *images.shape[1:])
    if len(different) < 2:
        raise ValueError(f"images must hold at least two different ones, got {len(different)}.")
    nearest = _distances(x, different).topk(2, dim=1, largest=False).values
    return nearest[:, 0] < ratio * nearest[:, 1]


def _distances(x: Tensor, images: Tensor) -> Tensor:
    _check_shapes(x, images)
    return torch.cdist(
        x.flatten(1).double(),
        images.flatten(1).double(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )


def _check_shapes(x: Tensor, images: Tensor) -> None:
    if x.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"x and images must agree in channels, height and width, got {tuple(x.shape[1:])} and "
            f"{tuple(images.shape[1:])}."
        )
