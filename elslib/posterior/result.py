"""What an engine returns, and the law that a sum over shards of the data equals the whole sum."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from elslib.checks import Brief

# exp(-60) is far below the resolution of a float32 sum, and far above denormals, which are slow.
SMALLEST_LOGIT = -60.0


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
        return by_field(lambda field: field.to(device), self)


Record = TypeVar("Record", Origins, PatchPosterior)


def by_field(function: Callable[..., Tensor], *records: Record) -> Record:
    """The record of what `function` makes of each tensor of some records alike."""
    made = {}
    for name, value in vars(records[0]).items():
        values = [getattr(record, name) for record in records]
        if isinstance(value, Tensor):
            made[name] = function(*values)
        elif isinstance(value, Origins):
            made[name] = by_field(function, *values)
    return replace(records[0], **made)


def softmax(logits: Tensor, top: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Of logits (..., keys), which are overwritten: the weights relative to the largest one, in
    `dtype`, and in float64 their sum, log_sum, entropy, and the top log weights and their indices.
    """
    peak = logits.amax(dim=-1, keepdim=True)
    logits.sub_(peak)
    m = min(top, logits.shape[-1])
    largest, index = logits.topk(m)
    logits = logits.to(dtype).clamp_(min=SMALLEST_LOGIT)
    weights = logits.exp()
    total = weights.sum(dim=-1).double()
    log_sum = peak[..., 0].double() + total.log()
    # H = log Z - E[logit]; the product overwrites the logits, which are not needed any more.
    entropy = total.log() - logits.mul_(weights).sum(dim=-1).double() / total
    log_weight = largest.double() - total.log()[..., None]
    log_weight = F.pad(log_weight, [0, top - m], value=-math.inf)
    return weights, total, log_sum, entropy, log_weight, F.pad(index, [0, top - m], value=-1)


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
    both = by_field(lambda *f: torch.cat(f, 1).gather(1, order)[:, :m], first, second)
    return replace(both, log_weight=log_weight[:, :m])


def shift_images(posterior: PatchPosterior, first_image: int) -> PatchPosterior:
    """Renumber the origins of a shard whose first image is number `first_image` of the whole."""
    origins = posterior.origins
    if origins is None:
        return posterior
    image = torch.where(origins.image < 0, origins.image, origins.image + first_image)
    return replace(posterior, origins=replace(origins, image=image))
