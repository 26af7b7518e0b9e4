"""How much of the posterior each training image has: a second pass, given the sum of the first."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.checks import checked
from elslib.posterior import native, patch_posterior
from elslib.posterior.cpu import is_coarse, problem_of, shares
from elslib.posterior.dictionary import PatchDictionary
from elslib.posterior.query import Query
from elslib.windows import Border, Side, as_window


@checked
def image_mass(
    x: Float[Tensor, "b c h w"],
    images: Float[Tensor, "n c h w"] | PatchDictionary,
    alpha: float,
    sigma: float,
    window: Side,
    border: Border,
    *,
    by_pixel: bool = False,
) -> Float[Tensor, "b n *pixels"]:
    """The sum of the posterior weights of each training image's patches, exact.

    Over all images it is 1 at every pixel, which asks its own window, whatever the response. Summed
    over pixels: float64 [b, n]; `by_pixel`: float32 [b, n, h, w], for few images; on the CPU.
    Arguments and errors are those of `patch_posterior`.
    """
    dictionary = images if isinstance(images, PatchDictionary) else PatchDictionary(images)
    window = as_window(window)
    if window is not None:  # each pixel asks its own window
        window = replace(window, response=1)
    whole = patch_posterior(x, dictionary, alpha, sigma, window, border)
    b, (n, _, h, w) = len(x), dictionary.images.shape
    size = (b, n, h, w) if by_pixel else (b, n)
    out = torch.zeros(size, dtype=torch.float32 if by_pixel else torch.float64, device="cpu")
    fused = x.dtype == torch.float32 and x.device.type == "cpu" and native.library() is not None
    if window is None or is_coarse(whole.log_sum) or not fused:
        for i in range(n):  # by the law of `merge`, a share is a quotient of sums
            one = dictionary.images[i : i + 1]
            alone = patch_posterior(x.double(), one.double(), alpha, sigma, window, border)
            share = (alone.log_sum - whole.log_sum).exp()
            out[:, i] = share if by_pixel else share.sum((1, 2))
        return out
    problem = problem_of(Query(alpha, sigma, window, border), dictionary, x)

    def part(piece: Tensor) -> None:  # writes to images of its own
        native.image_mass(x.detach(), dictionary.images, piece, problem, whole.log_sum, out)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _, pieces in shares(dictionary, None):
            list(pool.map(part, pieces))
    return out
