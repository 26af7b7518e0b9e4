"""Double precision where it is needed: pixels whose closest patches are far away.

At very low noise a pixel's energies may exceed what float32 can tell apart. Then only its closest
patches have any weight, and float32 still finds *them*. So their energies are computed again, in
float64, and an error bound proves that no other patch matters; if it cannot, the caller must ask
the reference engine.

In bits, an energy is D^2 with `D = |q - a p|`, q the window of x and p the patch, both scaled by
s = sqrt(log2(e) / 2) / sigma. Rounding s, x s and a moves each difference by at most
`u (2 |q| + |a p| + |d|)`, and `|a p|` is at most `|q| + |d|`; the sum of squares grows or shrinks
by a factor of at most 1 + u per addition, where u = 2^-24. So the true distance is at least
`D_32 (1 - gamma) - Delta`, with::

    gamma = 2 u (c k + (2 m - 1) k + 4),    Delta = 4 u (|q| + D_32),

for m box sums of side k, both larger than first order asks, for what comes after it. Where a window
counts pixels unequally, q and p are those times the roots of its precision.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from elslib.posterior.query import Query
from elslib.posterior.result import PatchPosterior, by_field

ROUNDING = 2.0**-24
# Above this many bits float32 energies are too coarse: some 2**-23 of them is rounded off. Below it
# means of random problems were off by at most 6e-5 for hard windows, 2e-4 for sums of four boxes.
LARGEST_ENERGY = 2.0**12
# Values of candidates' windows that are stored at a time.
VALUES = 2**21


def in_bits(sigma: float) -> float:
    """s, so that `|s (x - alpha p)|^2 = |x - alpha p|^2 log2(e) / (2 sigma^2)`: energy in bits."""
    return math.sqrt(math.log2(math.e) / 2) / sigma


def float64_fallback(
    posterior: PatchPosterior,
    coarse: Tensor,
    x: Tensor,
    images: Tensor,
    query: Query,
    slack: float,
) -> PatchPosterior | None:
    """The posterior with the pixels `coarse` [b, h, w] computed again from their origins.

    Origins beyond those that the query wants are dropped. Patches `slack` bits above the best one
    count as weightless. None if there may be others that matter.
    """
    origins, window, top = posterior.origins, query.window, query.top
    assert origins is not None and window is not None
    alpha, sigma, circular = query.alpha, query.sigma, query.border == "circular"
    root = window.precision().sqrt().flatten().repeat(x.shape[1])  # (c k k)
    places = coarse.nonzero()  # (pixels, 3)
    mean, log_sum, entropy = (
        posterior.mean.double(), posterior.log_sum.clone(), posterior.entropy.clone()
    )  # fmt: skip
    wanted = by_field(lambda field: field[:, :top].clone(), origins)
    values = origins.image.shape[1] * len(root)
    for some in places.split(max(1, VALUES // values)):
        at = some.unbind(1)
        b, i, j = at
        found = by_field(lambda field: field[b, :, i, j], origins)  # noqa: B023
        image, row, col = found.image, found.row, found.col  # (pixels, m) each
        q = root * _windows(x, b, i, j, window.reach, circular)  # (pixels, c k k)
        p = root * _windows(images, image.clamp(min=0), row, col, window.reach, circular)
        # (pixels, m, c k k)
        energy = (q[:, None] - alpha * p).square().sum(-1) / (2 * sigma**2)
        energy[image < 0] = math.inf
        computed = -(found.log_weight[:, -1] + posterior.log_sum[at]) / math.log(2)
        additions = x.shape[1] * window.side + (2 * window.boxes - 1) * window.side
        least = _lower_bound(computed, q, sigma, additions)
        energy, order = energy.sort(dim=1, stable=True)
        needed = energy[:, 0] / math.log(2) + slack
        if top:
            last = energy[:, top - 1] / math.log(2)
            needed = torch.maximum(needed, last.where(last.isfinite(), needed))
        if not bool((least > needed).all()):
            return None
        above = (
            energy - energy[:, :1]
        )  # small numbers: weights must not lose the digits of large ones
        log_total = torch.logsumexp(-above, 1)
        log_p = -above - log_total[:, None]
        share = log_p.exp()
        image, row, col = (part.gather(1, order) for part in (image, row, col))
        reach = window.response // 2
        said = _windows(images, image.clamp(min=0), row, col, reach, circular)
        # (pixels, m, c f f)
        mean[b, :, i, j] = (share[..., None] * said).sum(1)
        log_sum[at] = log_total - energy[:, 0]
        entropy[at] = -torch.xlogy(share, share).sum(1)
        for kept, part in zip(vars(wanted).values(), (image, row, col, log_p), strict=True):
            kept[b, :, i, j] = part[:, :top]
    return replace(
        posterior, mean=mean, log_sum=log_sum, entropy=entropy, origins=wanted if top else None
    )


def _windows(images: Tensor, n: Tensor, row: Tensor, col: Tensor, r: int, circular: bool) -> Tensor:
    """What is within r of places (n, row, col) [*places] in float64, [*places, c k k]; zeros
    outside."""
    h, w = images.shape[2:]
    reach = torch.arange(-r, r + 1, device=images.device)
    y, x = row[..., None, None] + reach[:, None], col[..., None, None] + reach
    inside = (y >= 0) & (y < h) & (x >= 0) & (x < w) | circular
    found = images[n[..., None, None], :, y % h, x % w].double()  # (*places, k, k, c)
    return (found * inside[..., None]).movedim(-1, -3).flatten(-3)


def _lower_bound(computed: Tensor, q: Tensor, sigma: float, additions: int) -> Tensor:
    """What an energy is at least, in bits, whose float32 value is `computed`: see above."""
    distance = computed.clamp(min=0).sqrt()
    gamma = 2 * ROUNDING * (additions + 4)
    delta = 4 * ROUNDING * (in_bits(sigma) * q.norm(dim=1) + distance)
    least = (distance * (1 - gamma) - delta).clamp(min=0).square()
    return least.where(computed.isfinite(), math.inf)  # no such patch: all are candidates
