"""When a posterior has collapsed: how its entropy falls with the noise, the window and the data."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.posterior import merge, patch_posterior
from elslib.windows import Border


def nested_entropies(
    x: Float[Tensor, "b c h w"],
    images: Float[Tensor, "n c h w"],
    sizes: Sequence[int],
    levels: tuple[float, float],
    window: int | None,
    border: Border,
) -> Float[Tensor, "s b h w"]:
    """Entropy of each pixel's posterior, in nats, for the first `size` training images.

    One pass over the largest set serves all sizes: each piece is summed once and merged to those
    before it. `levels` are alpha and sigma. Raises ValueError unless `sizes` increase within 1..n,
    and for all that `patch_posterior` refuses.
    """
    steps, n = [0, *sizes], len(images)
    if not sizes or any(b <= a for a, b in zip(steps, sizes, strict=False)) or steps[-1] > n:
        raise ValueError(
            f"sizes must increase within 1..{n}, the number of images, got {list(sizes)}."
        )
    entropies, whole = [], None
    for first, last in zip(steps, sizes, strict=False):
        part = patch_posterior(x, images[first:last], *levels, window, border)
        whole = part if whole is None else merge(whole, part)
        entropies.append(whole.entropy)
    return torch.stack(entropies)


def onset(
    times: Sequence[float], entropy: Float[Tensor, "times ..."], threshold: float
) -> Float[Tensor, "..."]:
    """The highest time at which `entropy` is at `threshold` or below: there it sets in, coming
    from noise.

    Linear between the times, which increase; the last time where it is below even there, 0 where
    it never is. Raises ValueError for times that do not increase or do not fit.
    """
    if len(times) != len(entropy) or any(b <= a for a, b in zip(times, times[1:], strict=False)):
        raise ValueError(
            f"times must increase and be as many as rows of entropy, {len(entropy)}, got "
            f"{list(times)}."
        )
    found = torch.zeros_like(entropy[0])
    for i, t in enumerate(times):
        here, after = entropy[i], entropy[min(i + 1, len(times) - 1)]
        # Only the last crossing stays: later rows overwrite.
        part = ((threshold - here) / (after - here)).nan_to_num(0).clamp(0, 1)
        end = times[min(i + 1, len(times) - 1)]
        found = torch.where(here <= threshold, t + part * (end - t), found)
    return found
