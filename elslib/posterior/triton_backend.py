# pyright: reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false
# pyright: reportGeneralTypeIssues=false
"""The fast engine for CUDA devices, in Triton: patches and logits are never stored.

A program holds a tile of query pixels that share their admissible positions, goes through the
training patches of some images, and keeps the running sums of a softmax. Differences are squared
one by one and added in float32: nothing cancels, as it would in `x^2 - 2 x p + p^2`, and no tensor
core rounds. The sums over different images are put together by `merge`.

Names: h, w, c, k as in the contract; q is the query image scaled by s = sqrt(log2(e) / 2) / sigma,
p a training image, a = -alpha s, so that energies in bits are sums of (q + a p)^2. (The type
checker does not know Triton's language.)
"""

import math
from dataclasses import replace
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from elslib.posterior.dictionary import PatchDictionary
from elslib.posterior.float64_fallback import LARGEST_ENERGY, in_bits
from elslib.posterior.query import Query
from elslib.posterior.reference import reference_posterior
from elslib.posterior.result import PatchPosterior, merge
from elslib.posterior.self_check import sound
from elslib.windows import Border, Window, admissible_count, position_classes

# Query pixels of a program, and training patches that it takes at a time. A pixel that only meets
# its own position shares it with the other images of the batch alone.
QUERIES, QUERIES_ALONE, PATCHES = 32, 16, 64
# Patches that one program sums up, or those of one image if they are more: few enough for float32,
# and so that there are programs for a whole device.
PATCHES_PER_PROGRAM = 2**17
# Bytes of the programs' sums that are kept before they are merged.
SUMS = 2**28
# Smaller weights, as powers of two, count as this one: float32 holds no smaller ones precisely.
LEAST = tl.constexpr(-126.0)
# The energy of no patch at all. Not infinity: the difference of two is 0.
MOST = tl.constexpr(3e38)


def cuda_posterior(x: Tensor, dictionary: PatchDictionary, query: Query) -> PatchPosterior:
    """`patch_posterior` after its arguments were checked, for float32 on CUDA and a window.

    Where float32 cannot tell energies apart, because even the closest patch is very far away, where
    origins are asked for or a window is not hard, and on a device where the kernel failed its check
    (`self_check`), the reference engine answers instead.
    Raises ValueError for images with NaN or infinity.
    """
    dictionary.check_finite()
    assert query.window is not None
    found = None
    if query.window.is_hard and not query.top and sound(kernel_posterior, x.device):
        found = kernel_posterior(x, dictionary, query)
    return found or reference_posterior(x, dictionary, query)


def kernel_posterior(x: Tensor, dictionary: PatchDictionary, query: Query) -> PatchPosterior | None:
    """The kernel's answer, unchecked, for a hard window and no origins; None where float32 cannot
    tell energies apart."""
    window, border, n = query.window, query.border, len(dictionary)
    assert window is not None
    b, c, h, w = x.shape
    s = in_bits(query.sigma)
    a, queries = -query.alpha * s, (x * s).contiguous()
    count = admissible_count(h, w, window, border).to(x.device)
    step = min(query.chunk or n, max(1, PATCHES_PER_PROGRAM // int(count.max())))
    size = QUERIES_ALONE if border == "fixed" else QUERIES
    tiles = _tiles(b, h, w, window, border, size).to(x.device)
    together = step * max(1, SUMS // (4 * (3 + c) * b * h * w))  # images of a launch
    total = None
    for _, some in dictionary.chunks(together):
        parts = math.ceil(len(some) / step)
        least, weight, ahead = (x.new_empty(parts, b, h, w) for _ in range(3))
        value = x.new_empty(parts, b, c, h, w)
        with torch.cuda.device_of(x):  # Triton launches on the current one
            _attend[(len(tiles), parts)](
                queries, some, tiles, least, weight, ahead, value, a, len(some), step,
                b, h, w, c, triton.next_power_of_2(c), border == "circular", size, PATCHES,
                num_warps=4 if c == 1 else 8,  # as many sums as registers hold
            )  # fmt: skip
        lowest = least.amin(0)
        if not bool((lowest <= LARGEST_ENERGY).all()):
            return None
        change = (lowest - least).double()  # from each part's energy to that of all
        share = change.exp2()
        sums = (share * weight).sum(0)
        here = PatchPosterior(
            mean=(share[:, :, None] * value).sum(0) / sums[:, None],
            log_sum=(sums.log2() - lowest.double()) * math.log(2),
            entropy=sums.log() - math.log(2) * (share * (ahead + change * weight)).sum(0) / sums,
            count=(len(some) * count).expand_as(sums).clone(),
        )
        total = merge(total, here) if total else here
    assert total is not None  # there is an image
    return replace(total, mean=total.mean.to(x.dtype))


@lru_cache(maxsize=64)
def _tiles(b: int, h: int, w: int, window: Window, border: Border, size: int) -> Tensor:
    """The programs' work: rows and columns of a class of positions (start, number, reach before
    and after) and the first of its b * number query pixels. [tiles, 9]"""
    tiles = []
    for rows, cols in position_classes(h, w, window, border):
        alone = border == "fixed"  # every position is a class of its own
        for row in range(rows.start, rows.stop) if alone else [rows.start]:
            for col in range(cols.start, cols.stop) if alone else [cols.start]:
                n_rows, n_cols = (1, 1) if alone else (rows.size, cols.size)
                about = [row, n_rows, rows.before, rows.after, col, n_cols, cols.before, cols.after]
                tiles += [[*about, first] for first in range(0, b * n_rows * n_cols, size)]
    return torch.tensor(tiles, dtype=torch.int32, device="cpu")


@triton.jit
def _attend(
    q, p, tiles, out_least, out_weight, out_ahead, out_value, a, n, step, b, h, w,
    C: tl.constexpr, C2: tl.constexpr, WRAP: tl.constexpr, Q: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Running softmax of one tile of query pixels over the patches of `step` images.

    q [b, c, h, w], p [n, c, h, w]; the results are [parts, b, (c,) h, w]: the least energy E0,
    sum 2**(E0 - E), sum 2**(E0 - E) (E0 - E), and sum 2**(E0 - E) centre.
    """
    about = tiles + tl.program_id(0) * 9
    row, rows, up, down = (
        tl.load(about), tl.load(about + 1), tl.load(about + 2), tl.load(about + 3)
    )  # fmt: skip
    col, cols, left, right = (
        tl.load(about + 4), tl.load(about + 5), tl.load(about + 6), tl.load(about + 7)
    )  # fmt: skip
    part = tl.program_id(1)
    query = tl.load(about + 8) + tl.arange(0, Q)  # (Q)
    there = query < b * rows * cols
    qb = (query // (rows * cols)).to(tl.int64)
    qy, qx = row + query // cols % rows, col + query % cols
    # Each place of a tile sums for itself: adding up along a tile is left to the end.
    least = tl.full([Q, P], MOST, tl.float32)
    weight, ahead = tl.zeros([Q, P], tl.float32), tl.zeros([Q, P], tl.float32)
    value = tl.zeros([Q, P, C2], tl.float32)
    channel = tl.arange(0, C2)[None, None, :]
    first = part * step
    patches = tl.minimum(step, n - first) * rows * cols
    for start in range(0, patches, P):
        patch = start + tl.arange(0, P)  # (P)
        here = patch < patches
        pn = (first + patch // (rows * cols)).to(tl.int64)
        py, px = row + patch // cols % rows, col + patch % cols
        energy = tl.zeros([Q, P], tl.float32)
        for dy in range(-up, down + 1):
            for dx in range(-left, right + 1):
                yq, xq, yp, xp = qy + dy, qx + dx, py + dy, px + dx
                if WRAP:
                    yq, xq, yp, xp = (yq + h) % h, (xq + w) % w, (yp + h) % h, (xp + w) % w
                for ch in tl.static_range(C):
                    u = tl.load(q + ((qb * C + ch) * h + yq) * w + xq, mask=there, other=0.0)
                    v = tl.load(p + ((pn * C + ch) * h + yp) * w + xp, mask=here, other=0.0)
                    d = u[:, None] + (a * v)[None, :]
                    energy = tl.fma(d, d, energy)
        energy = tl.where(here[None, :], energy, MOST)
        new = tl.minimum(least, energy)
        change = tl.where(weight > 0, tl.maximum(new - least, LEAST), 0.0)
        scale = tl.exp2(change)
        z = tl.maximum(new - energy, LEAST)
        e = tl.where(here[None, :], tl.exp2(z), 0.0)
        ahead = tl.fma(e, z, scale * tl.fma(change, weight, ahead))
        weight = tl.fma(scale, weight, e)
        value *= scale[:, :, None]
        for ch in tl.static_range(C):
            v = tl.load(p + ((pn * C + ch) * h + py) * w + px, mask=here, other=0.0)
            value += tl.where(channel == ch, (e * v[None, :])[:, :, None], 0.0)
        least = new
    new = tl.min(least, 1)  # (Q)
    change = tl.where(weight > 0, tl.maximum(new[:, None] - least, LEAST), 0.0)
    scale = tl.exp2(change)
    ahead = tl.sum(scale * tl.fma(change, weight, ahead), 1)
    out = (part * b + qb) * h * w + qy * w + qx
    tl.store(out_least + out, new, mask=there)
    tl.store(out_weight + out, tl.sum(scale * weight, 1), mask=there)
    tl.store(out_ahead + out, ahead, mask=there)
    value = tl.sum(scale[:, :, None] * value, 1)  # (Q, C2)
    channel = tl.arange(0, C2)[None, :]
    out = ((part * b + qb)[:, None] * C + channel) * h * w + (qy * w + qx)[:, None]
    tl.store(out_value + out, value, mask=there[:, None] & (channel < C))
