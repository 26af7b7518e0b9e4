"""The fast engine for processors: shares the work out over threads, and sees to its precision.

`native/kernel.cpp` is the algorithm. Threads follow `torch.get_num_threads()`; each sums over
images of its own and `merge` adds up.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial, reduce

import torch
from torch import Tensor

from elslib.posterior import native
from elslib.posterior.dictionary import PatchDictionary
from elslib.posterior.float64_fallback import LARGEST_ENERGY, float64_fallback
from elslib.posterior.query import Query
from elslib.posterior.reference import expectations, folded, reference_posterior
from elslib.posterior.result import Origins, PatchPosterior, by_field, merge, shift_images
from elslib.windows import admissible_count

# Patches are left out when all of them together weigh less than 2**-PRECISION of the sum.
PRECISION = 17
# Where float32 is too coarse, so many of a pixel's closest patches are compared again in float64,
# beyond those that are asked for.
CANDIDATES = (16, 128)


def fused_posterior(
    x: Tensor, dictionary: PatchDictionary, query: Query, evidence: Tensor | None = None
) -> PatchPosterior:
    """`patch_posterior` after its arguments were checked, for float32 on the CPU and a window.

    `evidence` [b, n, h, w] gets log2 of the sum of each image's weights, where float32 is fine.

    Where float32 cannot tell energies apart, because even the closest patch is very far away, the
    closest ones are compared again in float64; if these cannot be proved to be enough, the
    reference engine answers. Raises ValueError for images with NaN or infinity.
    """
    window = query.window
    if window is None or native.library() is None:  # it has said so
        return reference_posterior(x, dictionary, query)
    threads = torch.get_num_threads()

    def part(rows: Tensor, piece: Tensor) -> PatchPosterior | None:
        first, last = int(rows[0]), int(rows[-1]) + 1
        own = None if evidence is None else evidence[first:last]
        return _shard(x[first:last], dictionary, piece, query, own)

    total = None
    with ThreadPoolExecutor(threads) as pool:
        for first, chunk in dictionary.chunks(query.chunk):
            order = dictionary.by_brightness(first, first + len(chunk))
            pieces = share_out(order, threads)
            # Few images and many queries: share out the queries instead.
            share = math.ceil(len(x) / threads) if len(pieces) == 1 else len(x)
            rows = torch.arange(len(x), device="cpu").split(share)
            parts = [pool.map(partial(part, some), pieces) for some in rows]
            found = [[one for one in of_queries if one is not None] for of_queries in parts]
            if all(len(fine) == len(pieces) for fine in found):
                here = in_one_batch([reduce(merge, fine) for fine in found])
            else:  # in float64 throughout
                images = PatchDictionary(chunk.double())
                here = expectations(x.double(), images, replace(query, chunk=None))
                here = shift_images(here, first)
            total = merge(total, here) if total else here
    assert total is not None  # there is an image
    return folded(total, query, x.dtype)


def is_coarse(log_sum: Tensor) -> Tensor:
    """Where float32 cannot tell energies apart, given log of the sum of weights, or of the largest;
    also where it is no number."""
    return ~(-log_sum <= LARGEST_ENERGY * math.log(2))


def share_out(order: Tensor, threads: int) -> list[Tensor]:
    """Which images are summed together: parts of `order`, which goes from dark to bright.

    Neighbours are about equally bright. So the sixteen lanes matter, or do not matter, together;
    and each thread gets groups of every brightness.
    """
    if len(order) <= threads * native.WIDTH:
        return [order]
    groups = order.split(min(native.GROUP * native.WIDTH, math.ceil(len(order) / threads)))
    return [torch.cat(groups[i::threads]) for i in range(min(threads, len(groups)))]


def in_one_batch(parts: Sequence[PatchPosterior]) -> PatchPosterior:
    """The posteriors of some queries as one."""
    return by_field(lambda *fields: torch.cat(fields), *parts)


def _shard(
    x: Tensor,
    dictionary: PatchDictionary,
    order: Tensor,
    query: Query,
    evidence: Tensor | None,
) -> PatchPosterior | None:
    """The posterior over the images that `order` names; None where float32 is too coarse."""
    window, images = query.window, dictionary.images
    assert window is not None
    h, w = x.shape[2:]
    count = len(order) * admissible_count(h, w, window, query.border)
    slack = math.log2(int(count.max())) + PRECISION
    posterior = _result(native.posterior_sums(x, images, order, query, slack, evidence), count)
    if posterior is None:
        return None
    coarse = is_coarse(posterior.log_sum)
    if not bool(coarse.any()):
        return posterior
    for candidates in CANDIDATES:
        more = replace(query, top=query.top + candidates)
        again = _result(native.posterior_sums(x, images, order, more, slack), count)
        assert again is not None
        fine = float64_fallback(again, coarse, x, images, query, slack)
        if fine is not None:
            return fine
    return None


def _result(sums: native.Sums, count: Tensor) -> PatchPosterior | None:
    """From sums in bits to means and natural logarithms; None where energies are beyond float32."""
    if not bool((sums.normalizer > 0).all()):
        return None
    b, h, w, top = sums.best_energy.shape
    mean = sums.accumulator / sums.normalizer[..., None, None, None]
    log_sum = (sums.normalizer.log2() - sums.running_min.double()) * math.log(2)
    origins = None
    if top:
        none, place = sums.best_energy.isinf(), sums.best_place
        image, row, col = (
            field.masked_fill(none, -1).movedim(-1, 1)
            for field in (place // (h * w), place // w % h, place % w)
        )
        log_weight = -math.log(2) * sums.best_energy.double() - log_sum[..., None]
        origins = Origins(image, row, col, log_weight.movedim(-1, 1))
    return PatchPosterior(
        mean=mean.permute(0, 5, 3, 4, 1, 2).reshape(b, -1, h, w),
        log_sum=log_sum,
        entropy=sums.normalizer.log() - math.log(2) * sums.entropy_accumulator / sums.normalizer,
        count=count.expand(b, h, w).clone(),
        origins=origins,
    )
