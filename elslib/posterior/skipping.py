"""Small windows: the sum over leaves of similar patches, most of which are skipped with a proof.

Pixels whose window lies inside the image all see the same dictionary. `groups.py` sorts it once,
`leaves.py` goes through it for each of them. At the edges few patches are admissible, and the
kernel of other windows compares them.

What is skipped: an energy is at least that of its patch's box, computed along a few axes. Rounding
moves a coordinate of a box or a query by at most

    delta = 4 u d (|q| + |a| P),    u = 2^-24,

q the query's window and P the longest patch; so boxes are widened by that much.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from elslib.posterior import leaves
from elslib.posterior.compiling import compiled_kernels
from elslib.posterior.groups import Groups, grouped
from elslib.posterior.lanes import WIDTH
from elslib.posterior.merging import BROKEN_IMAGES, PatchPosterior, merge
from elslib.posterior.task import LARGEST_ENERGY, PRECISION, in_bits
from elslib.windows import Border

ROUNDING = 2.0**-24
# Training patches that are sorted together.
PATCHES = 2**20
# Skipping pays for windows of at most so many values, below so much noise (sigma / alpha), and with
# so many patches, and query pixels for each value of a window, to make up for the sorting.
MOST_VALUES, MOST_NOISE, LEAST_PATCHES, LEAST_QUERIES = 27, 0.4, 2**14, 200


def skipping_pays(
    x: Tensor, n: int, alpha: float, sigma: float, window: int, border: Border
) -> bool:
    """Whether going through leaves of n images is faster than every comparison: by experience."""
    _, c, h, w = x.shape
    r, d = 0 if border == "circular" else window // 2, c * window**2
    inner = max(0, h - 2 * r) * max(0, w - 2 * r)
    return (
        border != "fixed"
        and inner > 0
        and d <= MOST_VALUES
        and sigma <= MOST_NOISE * alpha
        and n * inner >= LEAST_PATCHES
        and len(x) * inner >= LEAST_QUERIES * d
    )


def interior_posterior(
    x: Tensor,
    images: Tensor,
    alpha: float,
    sigma: float,
    k: int,
    border: Border,
    chunk: int | None,
    tolerance: float,
) -> PatchPosterior | None:
    """The posterior [b, ..., H, W] of pixels whose window lies inside x, or of all if circular.

    Patches are skipped that together weigh less than `tolerance` of the sum, and `bound` says how
    much; if it is 0, less than 2**-PRECISION, and `bound` is None. None where float32 is too
    coarse. Raises ValueError for images with NaN or infinity.
    """
    circular = border == "circular"
    windows = F.pad(x, [k // 2] * 4, mode="circular") if circular else x
    windows = windows.unfold(2, k, 1).unfold(3, k, 1).permute(0, 2, 3, 4, 5, 1)  # (b, H, W, ...)
    shape, q = windows.shape[:3], windows.flatten(3).flatten(0, 2)
    step = min(chunk or len(images), max(1, PATCHES // (shape[1] * shape[2])))
    total = None
    for some in images.split(step):
        if not bool(torch.isfinite(some).all()):
            raise ValueError(BROKEN_IMAGES)
        here = _sums(q, grouped(some, k, circular), alpha, sigma, x.shape[1], tolerance)
        if here is None:
            return None
        total = merge(total, here) if total else here
    assert total is not None  # there is an image

    def unflat(field: Tensor) -> Tensor:  # ([c,] queries) -> (b, [c,] H, W)
        return field.unflatten(-1, shape).movedim(-3, 0)

    return PatchPosterior(
        mean=unflat(total.mean[0]),
        log_sum=unflat(total.log_sum[0]),
        entropy=unflat(total.entropy[0]),
        count=unflat(total.count[0]),
        bound=None if total.bound is None else unflat(total.bound[0]),
    )


def _sums(
    q: Tensor, groups: Groups, alpha: float, sigma: float, c: int, tolerance: float
) -> PatchPosterior | None:
    """The posterior of windows q [queries, d] over some patches, with fields [1, (c,) queries]."""
    s, d = in_bits(sigma), q.shape[1]
    longest = float(np.square(groups.patches).sum(1).max()) ** 0.5
    delta = 4 * ROUNDING * d * s * (q.norm(dim=1) + alpha * longest)  # (queries)
    near = s * (q @ groups.axes)  # (queries, m)
    sides = torch.stack([near, -near], 2) - delta[:, None, None]
    bits = PRECISION if tolerance == 0 else -math.log2(tolerance)
    plan = leaves.Plan(
        channels=(0,) * c,
        d=d,
        m=near.shape[1],
        branches=len(groups.leaf_boxes),
        a=np.float32(-alpha * s),
        slack=np.float32(math.log2(groups.total) + bits),
        account=tolerance > 0,
    )
    patches = leaves.Leaves(*(getattr(groups, name) for name in leaves.Leaves._fields))
    kernel = compiled_kernels()["leaves"]

    def part(values: Tensor, sides: Tensor) -> leaves.Sums:
        queries = leaves.Queries((values * s).contiguous().numpy(), sides.contiguous().numpy())
        sums, space = _memory(len(values), c)
        kernel(patches, queries, plan, sums, space)
        return sums

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, q.chunk(threads), sides.chunk(threads)))

    def of_all(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([getattr(sums, name) for sums in parts]))

    weight, reference = of_all("weight"), of_all("reference").double()
    log_sum = (weight.log2() - reference) * math.log(2)
    if bool((-log_sum > LARGEST_ENERGY * math.log(2)).any()):
        return None
    skipped = of_all("skipped")
    return PatchPosterior(
        mean=(of_all("value") / weight[:, None]).T[None],
        log_sum=log_sum[None],
        entropy=(weight.log() - math.log(2) * of_all("ahead") / weight)[None],
        count=torch.full_like(log_sum, groups.total, dtype=torch.int64)[None],
        bound=(skipped / (skipped + weight))[None] if tolerance else None,
    )


def _memory(queries: int, c: int) -> tuple[leaves.Sums, leaves.Scratch]:
    """Sums and working space of one thread, aligned as vector registers want it."""

    def new(*shape: int, dtype: torch.dtype = torch.float32) -> np.ndarray:
        return torch.zeros(shape, dtype=dtype).numpy()  # torch aligns to 64 bytes

    double, whole = torch.float64, torch.int64
    sums = leaves.Sums(
        reference=new(queries),
        limit=new(queries),
        lanes=new(queries, 2 + c, WIDTH),
        weight=new(queries, dtype=double),
        ahead=new(queries, dtype=double),
        value=new(queries, c, dtype=double),
        skipped=new(queries, dtype=double),
        seen=new(queries, dtype=whole),
    )
    space = leaves.Scratch(
        energy=new(leaves.TOGETHER + 1, WIDTH),
        limit=new(leaves.TOGETHER),
        chosen=new(leaves.TOGETHER + 1, dtype=whole),
        inner=new(WIDTH + 1, dtype=whole),
    )
    return sums, space
