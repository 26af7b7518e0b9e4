"""How alike two images are, and how far a sample is from the data.

The paper calls its number r^2; its script computes Pearson's r. Later papers report R^2. The three
differ, so all three are here and always reported together.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from elslib.checks import checked
from elslib.posterior.fft_shifts import overlaps


@checked
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
    r = (x * y).sum(dim=1) / (x.norm(dim=1) * y.norm(dim=1))
    return r.clamp(-1, 1)  # rounding may go beyond


@checked
def r_squared(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Pearson's r, squared, of each pair of images; float64 in [0, 1]."""
    return pearson_r(a, b).square()


@checked
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


@checked
def nearest_image(
    x: Float[Tensor, "b c h w"], images: Float[Tensor, "n c h w"]
) -> tuple[Int[Tensor, " b"], Float[Tensor, " b"]]:
    """The training image nearest to each x: its number, and the root mean square difference."""
    nearest = _distances(x, images).min(dim=1)
    return nearest.indices, nearest.values / x[0].numel() ** 0.5


@checked
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


@checked
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
