"""The fast engine for processors: prepares a fused kernel's data, shares it out over threads.

`kernel.py` is the algorithm, `rings.py` its faster sibling for circular windows on images 32 wide.
Threads follow `torch.get_num_threads()`; each sums over images of its own and `merge` adds up.
Compiling takes some seconds, once per machine.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial, reduce

import numpy as np
import torch
from torch import Tensor

from elslib.posterior import boxes, kernel, rings
from elslib.posterior.compiling import compiled_kernels
from elslib.posterior.dictionary import BROKEN_IMAGES, PatchDictionary
from elslib.posterior.kernel import GROUP, WIDTH
from elslib.posterior.query import Query
from elslib.posterior.reference import reference_posterior
from elslib.posterior.refining import refine
from elslib.posterior.result import Origins, PatchPosterior, merge, shift_images
from elslib.posterior.task import LARGEST_ENERGY, PRECISION, Task, in_bits
from elslib.windows import Border, admissible_count

BORDERS = {"fixed": boxes.FIXED, "circular": boxes.CIRCULAR, "aware": boxes.AWARE}
# Where float32 is too coarse, so many of a pixel's closest patches are compared again in float64,
# beyond those that are asked for.
CANDIDATES = (16, 128)


def fused_posterior(x: Tensor, dictionary: PatchDictionary, query: Query) -> PatchPosterior:
    """`patch_posterior` after its arguments were checked, for float32 on the CPU and a window.

    Where float32 cannot tell energies apart, because even the closest patch is very far away, the
    closest ones are compared again in float64; if these cannot be proved to be enough, the
    reference engine answers. Raises ValueError for images with NaN or infinity.
    """
    threads = torch.get_num_threads()
    # Few images and many queries: share out the queries instead.
    share = math.ceil(len(x) / threads) if len(dictionary) <= threads * WIDTH else len(x)
    compiled_kernels()  # before threads wait for them

    def part(queries: Tensor, piece: Tensor) -> PatchPosterior | None:
        return _shard(queries, dictionary, piece, query)

    total = None
    with ThreadPoolExecutor(threads) as pool:
        for first, some in dictionary.chunks(query.chunk):
            pieces = _pieces(dictionary.by_brightness(first, first + len(some)), threads)
            parts = [pool.map(partial(part, queries), pieces) for queries in x.split(share)]
            sums = [reduce(_merge, of_queries) for of_queries in parts]
            found = [posterior for posterior in sums if posterior is not None]
            if len(found) == len(sums):
                here = _batch(found, x.dtype)
            else:
                here = reference_posterior(x, PatchDictionary(some), replace(query, chunk=None))
                here = shift_images(here, first)
            total = merge(total, here) if total else here
    assert total is not None  # there is an image
    return total


def _pieces(order: Tensor, threads: int) -> list[Tensor]:
    """Which images are summed together: parts of `order`, which goes from dark to bright.

    Neighbours are about equally bright. So the sixteen lanes matter, or do not matter, together;
    and each thread gets groups of every brightness.
    """
    if len(order) <= threads * WIDTH:
        return [order]
    groups = order.split(min(GROUP * WIDTH, math.ceil(len(order) / threads)))
    return [torch.cat(groups[i::threads]) for i in range(min(threads, len(groups)))]


def _merge(first: PatchPosterior | None, second: PatchPosterior | None) -> PatchPosterior | None:
    return None if first is None or second is None else merge(first, second)


def _batch(parts: Sequence[PatchPosterior], dtype: torch.dtype) -> PatchPosterior:
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
    )


def _shard(
    x: Tensor, dictionary: PatchDictionary, order: Tensor, query: Query
) -> PatchPosterior | None:
    """The posterior over the images that `order` names; None where float32 is too coarse."""
    _, c, h, w = x.shape
    window, border, top = query.window, query.border, query.top
    assert window is not None
    patches = len(dictionary) * int(admissible_count(h, w, window, border).max())
    s, slack = in_bits(query.sigma), math.log2(patches) + PRECISION
    a = np.float32(-query.alpha * s)
    task = Task(h, w, window, BORDERS[border], a, (0,) * c, np.float32(slack), top)
    posterior = _sums(x * s, dictionary.images, order, border, task)
    if posterior is None:
        return None
    coarse = -posterior.log_sum > LARGEST_ENERGY * math.log(2)
    if not bool(coarse.any()):
        return posterior
    for candidates in CANDIDATES:
        again = _sums(x * s, dictionary.images, order, border, task._replace(m=top + candidates))
        assert again is not None
        fine = refine(
            again, coarse, x, dictionary.images, query.alpha, query.sigma, window,
            border == "circular", top, slack,
        )  # fmt: skip
        if fine is not None:
            return fine
    return None


def _sums(
    q: Tensor, images: Tensor, order: Tensor, border: Border, task: Task
) -> PatchPosterior | None:
    """What the kernel finds for scaled query images; None where energies are beyond float32."""
    b = len(q)
    name = kernel_name(border, task.w)
    sums, space = (_ring_memory if name == "rings" else _memory)(b, task)
    queries = (_ring_queries if name == "rings" else _queries)(q, task)
    if not compiled_kernels()[name](images.numpy(), order.numpy(), queries, task, sums, space):
        raise ValueError(BROKEN_IMAGES)
    if not (sums.weight > 0).reshape(b, task.h, -1)[:, :, : task.w].all():
        return None
    return _result(sums, len(order), border, b, task)


def kernel_name(border: Border, w: int) -> str:
    """Which kernel serves a border on images w pixels wide."""
    return "rings" if border == "circular" and w == rings.SIDE else "kernel"


def _queries(x: Tensor, task: Task) -> np.ndarray:
    """Query images [b, c, h, w] as the kernel wants them: [b, row, column, channel], flat, with a
    row of zeros and r columns at both ends."""
    b, c, r = len(x), len(task.channels), task.k // 2
    padding = "wrap" if task.border == boxes.CIRCULAR else "constant"
    rows = np.pad(x.permute(0, 2, 3, 1).numpy(), [(0, 0), (0, 0), (r, r), (0, 0)], mode=padding)
    out = np.zeros((b, (task.h + 1) * (task.w + 2 * r) * c + 4 * c), np.float32)
    out[:, : rows[0].size] = rows.reshape(b, -1)
    return out


def _ring_queries(x: Tensor, task: Task) -> np.ndarray:
    """Query images [b, c, h, 32] as the kernel of rings wants them: [b, row, channel, column]."""
    out = _new(len(x), x[0].numel())
    out[:] = x.permute(0, 2, 1, 3).reshape(len(x), -1).numpy()
    return out


def _new(*shape: int, value: float = 0.0, dtype: torch.dtype = torch.float32) -> np.ndarray:
    return torch.full(shape, value, dtype=dtype).numpy()  # torch aligns to 64 bytes


def _totals(b: int, pixels: int, task: Task) -> dict[str, np.ndarray]:
    """What both kernels sum up for b query images."""
    c, m = len(task.channels), task.m
    return {
        "reference": _new(b, pixels, value=math.inf),
        "limit": _new(b, pixels, value=math.inf),
        "weight": _new(b, pixels, dtype=torch.float64),
        "ahead": _new(b, pixels, dtype=torch.float64),
        "value": _new(b, pixels * c, dtype=torch.float64),
        "best_energy": _new(b, pixels * m, value=math.inf),
        "best_place": _new(b, pixels * m, dtype=torch.int64),
    }


def _memory(b: int, task: Task) -> tuple[kernel.Sums, kernel.Scratch]:
    """Sums and working space of one thread, aligned as vector registers want it."""
    h, w, c, r = task.h, task.w, len(task.channels), task.k // 2
    _, depth, pitch = kernel.layout(h, w, r)
    columns = int(boxes.padded(w, r, task.border))
    space = kernel.Scratch(
        images=_new((GROUP * (h + 1) * columns + 4) * c * WIDTH),
        strip=_new(GROUP * depth),
        energy=_new(GROUP * 4 * pitch * WIDTH),
        query_row=_new(h + 2 * r, dtype=torch.int64),
        key_row=_new(h + 2 * r, dtype=torch.int64),
        chosen=_new(4 * pitch + 1, dtype=torch.int64),
        where=_new(4 * pitch + 1, dtype=torch.int64),
    )
    lanes = _new(h * pitch * (2 + c) * WIDTH)
    return kernel.Sums(lanes=lanes, **_totals(b, h * pitch, task)), space


def _ring_memory(b: int, task: Task) -> tuple[rings.Sums, rings.Scratch]:
    """The same for the kernel of rings."""
    h, w, c, r = task.h, task.w, len(task.channels), task.k // 2
    space = rings.Scratch(
        image=_new(h * c * 2 * w),
        strip=_new(h * rings.FOUR),
        query_row=_new(h + 2 * r, dtype=torch.int64),
        key_row=_new(h + 2 * r, dtype=torch.int64),
        chosen=_new(2 * h + 1, dtype=torch.int64),
    )
    before = _new(b, h * w, value=math.inf)
    lanes = _new((2 + c) * h * w)
    return rings.Sums(lanes=lanes, before=before, **_totals(b, h * w, task)), space


def _result(
    sums: kernel.Sums | rings.Sums, n: int, border: Border, b: int, task: Task
) -> PatchPosterior:
    h, w, c, m = task.h, task.w, len(task.channels), task.m
    # The kernel of rings names a window by its corner.
    turn = task.k // 2 if isinstance(sums, rings.Sums) else 0

    def pixels(field: np.ndarray, *last: int) -> Tensor:  # (b, h, w, *last)
        whole = torch.from_numpy(field).reshape(b, h, -1, *last)[:, :, :w]
        return whole.roll((turn, turn), dims=(1, 2))

    weight, reference = pixels(sums.weight), pixels(sums.reference).double()
    log_sum = (torch.log2(weight) - reference) * math.log(2)
    origins = None
    if m:
        energy, place = pixels(sums.best_energy, m), pixels(sums.best_place, m)
        none = energy.isinf()
        image, row, col = place // (h * w), place // w % h, place % w
        log_weight = -math.log(2) * energy.double() - log_sum[..., None]
        image, row, col = (part.masked_fill(none, -1).movedim(-1, 1) for part in (image, row, col))
        origins = Origins(image, row, col, log_weight.movedim(-1, 1))
    return PatchPosterior(
        mean=(pixels(sums.value, c) / weight[..., None]).movedim(-1, 1),
        log_sum=log_sum,
        entropy=torch.log(weight) - math.log(2) * pixels(sums.ahead) / weight,
        count=(n * admissible_count(h, w, task.k, border)).expand(b, h, w).clone(),
        origins=origins,
    )
