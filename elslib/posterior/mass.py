"""How much of the posterior each training image has: a second pass, given the sum of the first."""

import math
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.posterior import native, patch_posterior
from elslib.posterior.cpu import PRECISION, share_out
from elslib.posterior.dictionary import PatchDictionary
from elslib.posterior.float64_fallback import LARGEST_ENERGY, in_bits
from elslib.windows import Border, admissible_count


def image_mass(
    x: Float[Tensor, "b c h w"],
    images: Float[Tensor, "n c h w"] | PatchDictionary,
    alpha: float,
    sigma: float,
    window: int | None,
    border: Border,
    *,
    by_pixel: bool = False,
) -> Float[Tensor, "b n *pixels"]:
    """The sum of the posterior weights of each training image's patches, exact.

    Over all images it is 1 at every pixel. Summed over pixels: float64 [b, n]; `by_pixel`: float32
    [b, n, h, w], for few images; on the CPU. Arguments and errors are those of `patch_posterior`.
    """
    dictionary = images if isinstance(images, PatchDictionary) else PatchDictionary(images)
    whole = patch_posterior(x, dictionary, alpha, sigma, window, border)
    b, (n, _, h, w) = len(x), dictionary.images.shape
    size = (b, n, h, w) if by_pixel else (b, n)
    out = torch.zeros(size, dtype=torch.float32 if by_pixel else torch.float64)
    fused = x.dtype == torch.float32 and x.device.type == "cpu" and native.library() is not None
    coarse = -whole.log_sum.min() > LARGEST_ENERGY * math.log(2)
    if window is None or coarse or not fused:
        for i in range(n):  # by the law of `merge`, a share is a quotient of sums
            one = dictionary.images[i : i + 1]
            alone = patch_posterior(x.double(), one.double(), alpha, sigma, window, border)
            share = (alone.log_sum - whole.log_sum).exp()
            out[:, i] = share if by_pixel else share.sum((1, 2))
        return out
    patches = n * int(admissible_count(h, w, window, border).max())
    slack = math.log2(patches) + PRECISION
    problem = native.Problem(alpha, window, border, 0, in_bits(sigma), slack)
    x = x.detach().contiguous()
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:  # each writes to images of its own
        for first, some in dictionary.chunks():
            jobs = [
                pool.submit(
                    native.image_mass, x, dictionary.images, piece, problem, whole.log_sum, out
                )
                for piece in share_out(dictionary.by_brightness(first, first + len(some)), threads)
            ]
            for job in jobs:
                job.result()
    return out
