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
from elslib.posterior.dictionary import BROKEN_IMAGES, PatchDictionary
from elslib.posterior.float64_fallback import LARGEST_ENERGY, float64_fallback, in_bits
from elslib.posterior.query import Query
from elslib.posterior.reference import expectations, folded, reference_posterior
from elslib.posterior.result import Origins, PatchPosterior, merge, shift_images
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
            sums = [reduce(_merge, of_queries) for of_queries in parts]
            found = [posterior for posterior in sums if posterior is not None]
            if len(found) == len(sums):
                here = in_one_batch(found, x.dtype)
            else:
                here = _by_reference(x, PatchDictionary(chunk), replace(query, chunk=None))
                here = shift_images(here, first)
            total = merge(total, here) if total else here
    assert total is not None  # there is an image
    return total if window.response == 1 else folded(total, query, x.dtype)


def _by_reference(x: Tensor, dictionary: PatchDictionary, query: Query) -> PatchPosterior:
    """The same sum where float32 is too coarse; what windows expect around their centres, in
    float64, where they speak for more than these."""
    assert query.window is not None
    if query.window.response == 1:
        return reference_posterior(x, dictionary, query)
    return expectations(x.double(), PatchDictionary(dictionary.images.double()), query)


def is_coarse(log_sum: Tensor) -> bool:
    """Whether float32 cannot tell energies apart somewhere, given -log of the sum of weights."""
    return bool((-log_sum > LARGEST_ENERGY * math.log(2)).any())


def share_out(order: Tensor, threads: int) -> list[Tensor]:
    """Which images are summed together: parts of `order`, which goes from dark to bright.

    Neighbours are about equally bright. So the sixteen lanes matter, or do not matter, together;
    and each thread gets groups of every brightness.
    """
    if len(order) <= threads * native.WIDTH:
        return [order]
    groups = order.split(min(native.GROUP * native.WIDTH, math.ceil(len(order) / threads)))
    return [torch.cat(groups[i::threads]) for i in range(min(threads, len(groups)))]


def _merge(first: PatchPosterior | None, second: PatchPosterior | None) -> PatchPosterior | None:
    return None if first is None or second is None else merge(first, second)


def in_one_batch(parts: Sequence[PatchPosterior], dtype: torch.dtype) -> PatchPosterior:
    """The posteriors of some queries as one."""

    def together(records: Sequence[object], name: str) -> Tensor:
        return torch.cat([getattr(record, name) for record in records])

    origins = [part.origins for part in parts if part.origins is not None]
    return PatchPosterior(
        mean=together(parts, "mean").to(dtype),
        log_sum=together(parts, "log_sum"),
        entropy=together(parts, "entropy"),
        count=together(parts, "count"),
        origins=Origins(
            *(together(origins, name) for name in ("image", "row", "col", "log_weight"))
        )
        if origins
        else None,
        response=parts[0].response,
    )


def _shard(
    x: Tensor,
    dictionary: PatchDictionary,
    order: Tensor,
    query: Query,
    evidence: Tensor | None,
) -> PatchPosterior | None:
    """The posterior over the images that `order` names; None where float32 is too coarse."""
    window, top = query.window, query.top
    assert window is not None
    problem = _problem_of(query, dictionary, x)
    posterior = _summed(x, dictionary.images, order, problem, evidence)
    if posterior is None:
        return None
    coarse = -posterior.log_sum > LARGEST_ENERGY * math.log(2)
    if not bool(coarse.any()):
        return posterior
    if window.response > 1:  # the fallback has centres only
        return None
    for candidates in CANDIDATES:
        again = _summed(x, dictionary.images, order, problem._replace(top=top + candidates))
        assert again is not None
        fine = float64_fallback(again, coarse, x, dictionary.images, query, problem.slack)
        if fine is not None:
            return fine
    return None


def _problem_of(query: Query, dictionary: PatchDictionary, x: Tensor) -> native.Problem:
    """The query as the kernel takes it."""
    assert query.window is not None
    h, w = x.shape[2:]
    count = admissible_count(h, w, query.window, query.border)
    slack = math.log2(len(dictionary) * int(count.max())) + PRECISION
    s = in_bits(query.sigma)
    return native.Problem(query.alpha, query.window, query.border, query.top, s, slack)


def _summed(
    x: Tensor,
    images: Tensor,
    order: Tensor,
    problem: native.Problem,
    evidence: Tensor | None = None,
) -> PatchPosterior | None:
    """What the kernel finds; None where energies are beyond float32."""
    sums = native.posterior_sums(x, images, order, problem, evidence)
    if sums is None:
        raise ValueError(BROKEN_IMAGES)
    if not bool((sums.normalizer > 0).all()):
        return None
    return _result(sums, len(order), problem)


def _result(sums: native.Sums, n: int, problem: native.Problem) -> PatchPosterior:
    """From sums over n images, in bits, to means and natural logarithms."""
    b, h, w = sums.normalizer.shape
    mean = sums.accumulator / sums.normalizer[..., None, None, None]
    log_sum = (sums.normalizer.log2() - sums.running_min.double()) * math.log(2)
    origins = None
    if problem.top:
        none, place = sums.best_energy.isinf(), sums.best_place
        image, row, col = (
            field.masked_fill(none, -1).movedim(-1, 1)
            for field in (place // (h * w), place // w % h, place % w)
        )
        log_weight = -math.log(2) * sums.best_energy.double() - log_sum[..., None]
        origins = Origins(image, row, col, log_weight.movedim(-1, 1))
    entropy = sums.normalizer.log() - math.log(2) * sums.entropy_accumulator / sums.normalizer
    count = n * admissible_count(h, w, problem.window, problem.border)
    return PatchPosterior(
        mean=mean.permute(0, 5, 3, 4, 1, 2).reshape(b, -1, h, w),
        log_sum=log_sum,
        entropy=entropy,
        count=count.expand(b, h, w).clone(),
        origins=origins,
    )
