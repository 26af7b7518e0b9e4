"""How much of the posterior each training image has: its own evidence, as a share of the whole."""

import math
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.checks import checked
from elslib.posterior import PatchPosterior, answer, engine_for, native
from elslib.posterior.cpu import fused_posterior, in_one_batch, is_coarse
from elslib.posterior.dictionary import PatchDictionary
from elslib.posterior.query import Query
from elslib.windows import Border, Side, as_window

# Bytes of evidence, of each image at each pixel, that are held at a time, or those of one query.
HELD = 2**28


@checked
def posterior_and_mass(
    x: Float[Tensor, "b c h w"],
    images: Float[Tensor, "n c h w"] | PatchDictionary,
    alpha: float,
    sigma: float,
    window: Side,
    border: Border,
    *,
    by_pixel: bool = False,
) -> tuple[PatchPosterior, Float[Tensor, "b n *pixels"]]:
    """The posterior, and the sum of the weights of each training image's patches, both exact.

    Over all images the mass is 1 at every pixel, which asks its own window, whatever the response.
    Summed over pixels: float64 [b, n]; `by_pixel`: float32 [b, n, h, w], for few images; on the
    CPU. Takes about as long as the posterior alone, and 4 n h w bytes more. Arguments and errors
    are those of `patch_posterior`.
    """
    dictionary = images if isinstance(images, PatchDictionary) else PatchDictionary(images)
    n, size = len(dictionary), dictionary.images.shape[2:]
    query = Query(alpha, sigma, as_window(window), border)
    if engine_for(x, query.window) is not fused_posterior or native.library() is None:
        posterior = answer(x, dictionary, query)
        mass = _one_by_one(x, dictionary, query)
        return posterior, mass if by_pixel else mass.double().sum((2, 3))
    posteriors, masses = [], []
    for queries in x.split(max(1, HELD // (4 * n * size.numel()))):
        evidence = queries.new_full((len(queries), n, *size), -torch.inf)
        engine = partial(fused_posterior, evidence=evidence)
        posterior = answer(queries, dictionary, query, engine)
        # The posterior's own pixels that were coarse are computed again by now.
        coarse = is_coarse(evidence.amax(1) * math.log(2)).flatten(1).any(1)
        mass = evidence.mul_(math.log(2)).softmax(1)
        if bool(coarse.any()):  # ask of these queries alone, for it takes long
            mass[coarse] = _one_by_one(queries[coarse], dictionary, query)
        posteriors.append(posterior)
        masses.append(mass if by_pixel else mass.sum((2, 3), dtype=torch.float64))
    return in_one_batch(posteriors), torch.cat(masses)


def _one_by_one(x: Tensor, dictionary: PatchDictionary, query: Query) -> Tensor:
    """The same by any engine, in float64: by the law of `merge`, a share is a quotient of sums."""
    if query.window is not None:  # each pixel asks its own window
        query = replace(query, window=replace(query.window, response=1))
    x, images = x.double(), dictionary.images.split(1)
    sums = [answer(x, PatchDictionary(one.double()), query).log_sum for one in images]
    return torch.stack(sums, 1).softmax(1).float().cpu()
