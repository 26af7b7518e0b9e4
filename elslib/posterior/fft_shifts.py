"""Whole images against all their cyclic shifts, by Fourier transforms: the sum of ES (eqs. 5, 6).

With q the noisy image and p(. + s) a training image shifted by s::

    ||q - alpha p(. + s)||^2 = ||q||^2 + alpha^2 ||p||^2 - 2 alpha sum_i q(i) p(i + s),

and the last sum, for all shifts together, is a cross-correlation. So is the weighted mean of the
shifted images. A transform costs h w log(h w) where comparing shift by shift costs (h w)^2.
"""

import torch
from torch import Tensor

from elslib.posterior.query import Query
from elslib.posterior.result import Origins, PatchPosterior, softmax


def shift_posterior(x: Tensor, images: Tensor, centre: Tensor, query: Query) -> PatchPosterior:
    """The posterior over the images [n, c, h, w] and their h w shifts, for each x [b, c, h, w].

    One "pixel" for all: fields are (b, ..., 1), the mean holds c h w values, and an origin's
    running number, (image h + row) w + col, stands in `image`, `row` and `col` alike. Float64.
    """
    alpha, top = query.alpha, query.top
    # An offset common to q and alpha p changes no difference, but makes the squares smaller.
    q, p = x.double() - alpha * centre.double(), images.double() - centre.double()
    n, _, h, w = p.shape
    keys = torch.fft.rfft2(p)  # (n, c, h, w/2 + 1)
    squares = q.square().sum(dim=(1, 2, 3))[:, None] + alpha**2 * p.square().sum(dim=(1, 2, 3))
    logits = overlaps(q, keys).mul_(2 * alpha).sub_(squares[..., None, None])
    logits.mul_(0.5 / query.sigma**2)  # (b, n, h, w)
    weights, total, log_sum, entropy, log_weight, index = softmax(
        logits.flatten(1), top, logits.dtype
    )
    turned = torch.fft.rfft2(weights.view_as(logits)).conj()
    spectrum = torch.einsum("bnij,ncij->bcij", turned, keys)
    mean = torch.fft.irfft2(spectrum, s=(h, w)) / total[:, None, None, None] + centre.double()
    index = index[..., None]
    return PatchPosterior(
        mean=mean.flatten(1)[..., None],
        log_sum=log_sum[:, None],
        entropy=entropy[:, None],
        count=torch.full_like(total, n * h * w, dtype=torch.int64)[:, None],
        origins=Origins(index, index, index, log_weight[..., None]) if top else None,
    )


def overlaps(q: Tensor, keys: Tensor) -> Tensor:
    """`sum_i q(i) p(i + s)` over channels and pixels, for every shift s: [b, n, h, w].

    q is [b, c, h, w], `keys` are the images' transforms `rfft2(p)`, [n, c, h, w/2 + 1].
    """
    spectrum = torch.einsum("bcij,ncij->bnij", torch.fft.rfft2(q).conj(), keys)
    return torch.fft.irfft2(spectrum, s=q.shape[2:])


def shifts_resolve(x: Tensor, largest_square: float, query: Query, tolerance: float) -> bool:
    """Whether rounding moves no logit of `shift_posterior` by more than `tolerance`, for images of
    which no sum of squares exceeds `largest_square`; x and images less their centre."""
    squares = float(x.double().square().sum(dim=(1, 2, 3)).max())
    squares += query.alpha**2 * largest_square
    # A transform loses a few digits more than the product it replaces.
    return 8 * torch.finfo(torch.float64).eps * squares / (2 * query.sigma**2) < tolerance
