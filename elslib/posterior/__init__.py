"""The posterior over training patches: the one contract every score machine is made of.

For each query pixel q of a noisy image x, with window Omega_q and admissible patches p of the
training set, the posterior weights are (eqs. 3, 5, 7, 9, 41)::

    w_p  proportional to  exp(-||x[Omega_q] - alpha p||^2 / (2 sigma^2))

over all channels, and the posterior mean is the weighted mean of the patches' centre pixels.
The dictionary is a multiset: an admissible patch that occurs twice counts twice. A `Window` counts
pixels unequally, or lets the windows around a pixel speak for it too.
"""

from collections.abc import Callable
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.checks import checked
from elslib.exact import exact
from elslib.posterior.cpu import fused_posterior
from elslib.posterior.dictionary import BROKEN_IMAGES, PatchDictionary
from elslib.posterior.query import Query
from elslib.posterior.reference import reference_posterior
from elslib.posterior.result import Origins, PatchPosterior, merge
from elslib.windows import Border, Side, Window, as_window, check_window

Engine = Callable[[Tensor, PatchDictionary, Query], PatchPosterior]

__all__ = ["Origins", "PatchDictionary", "PatchPosterior", "merge", "patch_posterior"]


@checked
def patch_posterior(
    x: Float[Tensor, "b c h w"],
    images: Float[Tensor, "n c h w"] | PatchDictionary,
    alpha: float,
    sigma: float,
    window: Side,
    border: Border,
    *,
    top: int = 0,
    chunk: int | None = None,
) -> PatchPosterior:
    """The exact posterior over the training patches of `images`, for every pixel of every x.

    `images` may be a `PatchDictionary`, which keeps what many calls need. x and images share dtype
    (float32 or float64) and device; alpha >= 0, sigma > 0; `window` is an odd side, a
    `Window`, or None to compare whole images; `border` selects the admissible positions (see
    `elslib.windows.Border`).
    `top` asks for that many most probable origins per pixel. `chunk` bounds the training images
    handled in one pass and changes memory use, never the answer. No gradient flows back to x.
    Raises ValueError for anything else, for mixed devices or dtypes, and for NaN.
    """
    query = Query(alpha, sigma, as_window(window), border, top, chunk)
    dictionary = images if isinstance(images, PatchDictionary) else PatchDictionary(images)
    return answer(x, dictionary, query)


def answer(
    x: Tensor, dictionary: PatchDictionary, query: Query, engine: Engine | None = None
) -> PatchPosterior:
    """What an engine says, by default the fastest, once its arguments were checked; the errors of
    `patch_posterior`."""
    check_query(x, dictionary.images)
    check_window(query.window, x.shape[2], x.shape[3], query.border)
    with exact(x):
        posterior = (engine or engine_for(x, query.window))(x.detach(), dictionary, query)
    if not bool(torch.isfinite(posterior.log_sum).all()):
        raise ValueError(BROKEN_IMAGES)
    return posterior


def engine_for(x: Tensor, window: Window | None) -> Engine:
    """Which engine serves the queries x."""
    if x.dtype == torch.float32 and window is not None:
        if x.device.type == "cpu":
            return fused_posterior
        if x.device.type == "cuda" and find_spec("triton"):
            from elslib.posterior.triton_backend import cuda_posterior  # needed on CUDA only

            return cuda_posterior
    return reference_posterior


def check_query(x: Tensor, images: Tensor) -> None:
    """Raise ValueError unless x can be compared with the images, and is finite."""
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
            f"{tuple(images.shape[1:])}; one is compared with the other, pixel by pixel."
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x must be finite, got NaN or infinity; check the step before.")
