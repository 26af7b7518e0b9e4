"""The posterior over training patches: the one contract every score machine is made of.

For each query pixel q of a noisy image x, with window Omega_q and admissible patches p of the
training set, the posterior weights are (eqs. 3, 5, 7, 9, 41)::

    w_p  proportional to  exp(-||x[Omega_q] - alpha p||^2 / (2 sigma^2))

over all channels, and the posterior mean is the weighted mean of the patches' centre pixels.
The dictionary is a multiset: an admissible patch that occurs twice counts twice.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.posterior.cpu import fused_posterior
from elslib.posterior.merging import BROKEN_IMAGES, Origins, PatchPosterior, merge
from elslib.posterior.reference import reference_posterior
from elslib.windows import Border, check_window

__all__ = ["Origins", "PatchPosterior", "merge", "patch_posterior"]


def patch_posterior(
    x: Float[Tensor, "b c h w"],
    images: Float[Tensor, "n c h w"],
    alpha: float,
    sigma: float,
    window: int | None,
    border: Border,
    *,
    top: int = 0,
    chunk: int | None = None,
    tolerance: float = 0.0,
) -> PatchPosterior:
    """The exact posterior over the training patches of `images`, for every pixel of every x.

    x and images share dtype (float32 or float64) and device; alpha >= 0, sigma > 0; `window` is an
    odd side, or None to compare whole images; `border` selects the admissible positions
    (see `elslib.windows.Border`). `top` asks for that many most probable origins per pixel. `chunk`
    bounds the training images handled in one pass and changes memory use, never the answer.
    `tolerance`, in [0, 1), lets the engine skip patches of which it has proved that all together
    weigh less than that share of a pixel's sum; `bound` then says how much at most was skipped, 0
    where an engine skips nothing. By default the answer is exact. No gradient flows back to x.
    Raises ValueError for anything else, for mixed devices or dtypes, and for NaN.
    """
    _check(x, images, alpha, sigma, top, chunk)
    if not 0 <= tolerance < 1:
        raise ValueError(
            f"tolerance must lie in [0, 1), got {tolerance}; it is a share of the weight, and 0 "
            f"asks for the exact answer."
        )
    check_window(window, x.shape[2], x.shape[3], border)
    x, images = x.detach(), images.detach()
    engine = _engine(x, window, tolerance)
    posterior = engine(x, images, alpha, sigma, window, border, top, chunk)
    if not bool(torch.isfinite(posterior.log_sum).all()):
        raise ValueError(BROKEN_IMAGES)
    if tolerance and posterior.bound is None:
        return replace(posterior, bound=torch.zeros_like(posterior.log_sum))
    return posterior


def _engine(x: Tensor, window: int | None, tolerance: float) -> Callable[..., PatchPosterior]:
    """Which engine serves the queries x."""
    if x.dtype == torch.float32 and window is not None:
        if x.device.type == "cpu":
            return partial(fused_posterior, tolerance=tolerance)
        if x.device.type == "cuda" and find_spec("triton"):
            from elslib.posterior.cuda import cuda_posterior  # processors do not need Triton

            return cuda_posterior
    return reference_posterior


def _check(
    x: Tensor, images: Tensor, alpha: float, sigma: float, top: int, chunk: int | None
) -> None:
    if x.dtype != images.dtype or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"x and images must share one dtype, float32 or float64, got {x.dtype} and "
            f"{images.dtype}; convert one with .to()."
        )
    if x.device != images.device:
        raise ValueError(
            f"x and images must be on one device, got {x.device} and {images.device}; "
            f"move one with .to()."
        )
    if x.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"x and images must agree in channels, height and width, got {tuple(x.shape[1:])} and "
            f"{tuple(images.shape[1:])}; the machine compares pixel with pixel."
        )
    if len(images) == 0:
        raise ValueError("images must hold at least one training image, got none.")
    if not (math.isfinite(alpha) and alpha >= 0 and math.isfinite(sigma) and sigma > 0):
        raise ValueError(
            f"alpha must be >= 0 and sigma > 0, got {alpha} and {sigma}; never evaluate at t = 0."
        )
    if top < 0:
        raise ValueError(f"top must be at least 0, got {top}; 0 asks for no origins.")
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1 image, got {chunk}; None chooses one.")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x must be finite, got NaN or infinity; check the step before.")
