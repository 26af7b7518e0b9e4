"""What an engine returns, and the law that a sum over shards of the data equals the whole sum."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.checks import Brief


@dataclass(frozen=True)
class Origins(Brief):
    """The m most probable training patches of each pixel, most probable first.

    `image` counts through the training images given to the engine; `row` and `col` locate the
    patch's centre. A pixel with fewer than m admissible patches is filled up with weight 0 and -1.
    Weights are kept as logarithms, so that the order survives where exp would underflow.
    """

    image: Int[Tensor, "b m *pixels"]
    row: Int[Tensor, "b m *pixels"]
    col: Int[Tensor, "b m *pixels"]
    log_weight: Float[Tensor, "b m *pixels"]

    @property
    def weight(self) -> Tensor:
        """Posterior weight of each origin, in [0, 1]."""
        return self.log_weight.exp()


@dataclass(frozen=True)
class PatchPosterior(Brief):
    """Posterior over the admissible training patches of every pixel.

    Attributes
    ----------
    mean
        posterior mean of the centre pixel, in the images' units
    log_sum
        log of the summed weights `sum_p exp(-||x - alpha p||^2 / 2 sigma^2)`, float64
    entropy
        of the weights, in nats, float64
    count
        number of admissible patches
    origins
        the most probable patches, if they were asked for
    response
        of how many windows along an axis `mean` is a mean; all else is of a pixel's own window
    """

    mean: Float[Tensor, "b c *pixels"]
    log_sum: Float[Tensor, " b *pixels"]
    entropy: Float[Tensor, " b *pixels"]
    count: Int[Tensor, " b *pixels"]
    origins: Origins | None = None
    response: int = 1

    @property
    def log_evidence(self) -> Tensor:
        """Log of the mean weight, the log density of the window under the noised patches, up to the
        Gaussian's constant `-(d/2) log(2 pi sigma^2)`."""
        return self.log_sum - torch.log(self.count.to(self.log_sum.dtype))

    @property
    def effective_number(self) -> Tensor:
        """How many equally likely patches would have this entropy, from 1 to `count`."""
        return self.entropy.exp()

    def to(self, device: torch.device | str) -> "PatchPosterior":
        """The same on another device."""
        kept = (getattr(self, name).to(device) for name in ("mean", "log_sum", "entropy", "count"))
        o = self.origins
        moved = o and Origins(*(p.to(device) for p in (o.image, o.row, o.col, o.log_weight)))
        return PatchPosterior(*kept, origins=moved, response=self.response)


def merge(first: PatchPosterior, second: PatchPosterior) -> PatchPosterior:
    """The posterior over the union of two disjoint dictionaries: associative and exact.

    `log_sum` adds in the exponent, means mix by their shares, and entropies obey the chain rule
    `H = sum_i share_i (H_i - log share_i)`. Image numbers in `origins` must already be global.
    Raises ValueError for a response beyond 1, whose windows have shares of their own.
    """
    if max(first.response, second.response) > 1:
        raise ValueError(
            f"response must be 1 to merge, got {first.response} and {second.response}; give all "
            f"images to one process."
        )
    log_sum = torch.logaddexp(first.log_sum, second.log_sum)
    log_a, log_b = first.log_sum - log_sum, second.log_sum - log_sum
    a, b = log_a.exp(), log_b.exp()  # (b, *pixels)
    # xlogy: a share that underflows contributes nothing, not 0 * -inf.
    entropy = a * first.entropy + b * second.entropy - torch.xlogy(a, a) - torch.xlogy(b, b)
    mean = a.unsqueeze(1) * first.mean + b.unsqueeze(1) * second.mean
    return PatchPosterior(
        mean=mean.to(first.mean.dtype),
        log_sum=log_sum,
        entropy=entropy,
        count=first.count + second.count,
        origins=_merge_origins(first.origins, second.origins, log_a, log_b),
    )


def _merge_origins(
    first: Origins | None, second: Origins | None, log_a: Tensor, log_b: Tensor
) -> Origins | None:
    if first is None or second is None:
        if first is not second:
            raise ValueError("origins must be present in both posteriors or in neither to merge.")
        return None
    m = max(first.log_weight.shape[1], second.log_weight.shape[1])
    log_weight = torch.cat(
        [first.log_weight + log_a.unsqueeze(1), second.log_weight + log_b.unsqueeze(1)], 1
    )
    log_weight, order = torch.sort(log_weight, dim=1, descending=True, stable=True)
    fields = [
        torch.cat([getattr(first, f), getattr(second, f)], 1).gather(1, order)[:, :m]
        for f in ("image", "row", "col")
    ]
    return Origins(*fields, log_weight=log_weight[:, :m])


def shift_images(posterior: PatchPosterior, first_image: int) -> PatchPosterior:
    """Renumber the origins of a shard whose first image is number `first_image` of the whole."""
    origins = posterior.origins
    if origins is None:
        return posterior
    image = torch.where(origins.image < 0, origins.image, origins.image + first_image)
    return replace(posterior, origins=replace(origins, image=image))
