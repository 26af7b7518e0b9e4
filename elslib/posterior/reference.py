"""The engine in plain torch: any device, float32 or float64, short enough to read as equations.

Queries are noisy windows, keys are training patches, values are their centres: this is attention
with the bias `-|patch|^2`. Training images come in chunks; each chunk's posterior is a softmax of
its own, and `merge` adds them up in float64.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from elslib.posterior.dictionary import PatchDictionary
from elslib.posterior.fft_shifts import shift_posterior, shifts_resolve
from elslib.posterior.query import Query
from elslib.posterior.result import Origins, PatchPosterior, by_field, merge, softmax
from elslib.windows import AxisClass, Border, position_classes

# One pass handles about this many queries and logits, so that they stay in cache,
QUERIES_PER_PASS = 512
LOGITS_PER_PASS = 2**20
# and about this many values of unfolded patches, so that they stay in memory.
PATCHES_PER_PASS = 2**23
# Rounding in the expanded squares may shift a logit by this much.
LOGIT_TOLERANCE = 2e-5


def reference_posterior(x: Tensor, dictionary: PatchDictionary, query: Query) -> PatchPosterior:
    """`patch_posterior` after its arguments were checked."""
    if query.window is None:
        out = _whole_images(x, dictionary, query)
        return replace(out, mean=out.mean.to(x.dtype))
    return folded(expectations(x, dictionary, query), query, x.dtype)


def folded(expected: PatchPosterior, query: Query, dtype: torch.dtype) -> PatchPosterior:
    """The posterior, given what each window expects of the f x f pixels around its centre: a pixel
    is the mean of what the windows around it, those in the image, expect of it."""
    assert query.window is not None
    (h, w), f = expected.mean.shape[2:], query.window.response
    r = f // 2

    def overlapped(values: Tensor) -> Tensor:
        wide = _pad(values, r, query.border).flatten(2)
        spread = F.fold(wide, (h + 2 * r, w + 2 * r), f, padding=r)
        return spread[:, :, r : h + r, r : w + r]

    mean = overlapped(expected.mean) / overlapped(torch.ones_like(expected.mean[:1, : f * f]))
    return replace(expected, mean=mean.to(dtype), response=f)


def expectations(x: Tensor, dictionary: PatchDictionary, query: Query) -> PatchPosterior:
    """What each window expects of the f x f pixels around its centre: the mean is float64
    [b, c f f, h, w]. Those of parts of the images merge."""
    window, border = query.window, query.border
    assert window is not None
    c, h, w = x.shape[1:]
    f, shared = window.response, border != "fixed"
    pad = max(window.reach, f // 2)
    root = window.precision().sqrt().to(x.device).expand(c, -1, -1).flatten()
    x, pixels = _pad(x, pad, border), torch.arange(h * w, device=x.device).view(h, w)
    found, places = [], []
    for rows, cols in position_classes(h, w, window, border):
        q = _patches(x, rows, cols, window.reach, pad)

        def part(p: Tensor, first: int, rows=rows, cols=cols, q=q) -> PatchPosterior:
            p = _pad(p, pad, border)
            keys = _patches(p, rows, cols, window.reach, pad)
            values = _patches(p, rows, cols, f // 2, pad)
            return _name_places(_attend(q, keys, values, root, query, shared), first, rows, cols)

        found.append(_over_chunks(dictionary, q, shared, query.chunk, part))
        places.append(pixels[rows.start : rows.stop, cols.start : cols.stop].flatten())
    order = torch.cat(places).argsort()
    return by_field(lambda *parts: torch.cat(parts, -1)[..., order].unflatten(-1, (h, w)), *found)


def _pad(images: Tensor, pad: int, border: Border) -> Tensor:
    """The images with `pad` pixels more on each side: zeros, or wrapped where it is circular."""
    return F.pad(images, [pad] * 4, mode="circular" if border == "circular" else "constant")


def _whole_images(x: Tensor, dictionary: PatchDictionary, query: Query) -> PatchPosterior:
    """Whole images compared: all pixels share one posterior, over images (IS) or shifts (ES)."""
    b, c, h, w = x.shape
    circular, chunk, top = query.border == "circular", query.chunk, query.top
    shifts = (h, w) if circular else (1, 1)
    rows, cols = AxisClass(0, shifts[0], 0, h - 1), AxisClass(0, shifts[1], 0, w - 1)
    q, root = x.reshape(b, 1, -1), x.new_ones(1)
    centred = x - query.alpha * dictionary.centre
    by_transforms = circular and shifts_resolve(
        centred, dictionary.largest_square, query, LOGIT_TOLERANCE
    )
    if by_transforms and chunk is None:
        chunk = max(1, LOGITS_PER_PASS // (b * h * w))

    def part(p: Tensor, first: int) -> PatchPosterior:
        if by_transforms:
            return _name_places(shift_posterior(x, p, dictionary.centre, query), first, rows, cols)
        if circular:
            p = F.pad(p, [0, w - 1, 0, h - 1], mode="circular")
        keys = _unfolded(p, h, w)  # (n, shifts, c h w)
        return _name_places(_attend(q, keys, keys, root, query, shared=True), first, rows, cols)

    one = _over_chunks(dictionary, q, True, chunk, part, positions=shifts[0] * shifts[1])
    pixels = torch.ones(h, w, dtype=torch.int64, device=x.device)
    origins = one.origins and Origins(
        image=one.origins.image[..., None] * pixels,
        row=_shifted(one.origins.row, torch.arange(h, device=x.device)[:, None] * pixels, h),
        col=_shifted(one.origins.col, torch.arange(w, device=x.device)[None, :] * pixels, w),
        log_weight=one.origins.log_weight[..., None].expand(b, top, h, w),
    )
    return PatchPosterior(
        mean=one.mean.reshape(b, c, h, w),
        log_sum=one.log_sum[..., None] * pixels,
        entropy=one.entropy[..., None] * pixels,
        count=one.count[..., None] * pixels,
        origins=origins,
    )


def _shifted(shift: Tensor, position: Tensor, side: int) -> Tensor:
    shift = shift[..., None]
    return torch.where(shift < 0, shift, (shift + position) % side)


def _over_chunks(
    dictionary: PatchDictionary,
    q: Tensor,
    shared: bool,
    chunk: int | None,
    part: Callable[[Tensor, int], PatchPosterior],
    positions: int | None = None,
) -> PatchPosterior:
    """Merge `part(images of a chunk, number of its first)` over all chunks."""
    b, queried, d = q.shape
    positions = positions or queried
    logits = min(QUERIES_PER_PASS, b * queried) * positions if shared else b * positions
    step = chunk or max(1, min(LOGITS_PER_PASS // logits, PATCHES_PER_PASS // (positions * d)))
    return reduce(merge, (part(p, first) for first, p in dictionary.chunks(step)))


def _patches(images: Tensor, rows: AxisClass, cols: AxisClass, reach: int, pad: int) -> Tensor:
    """The windows of one class of positions in padded images: (n, positions, c k k)."""
    top, bottom = rows.start - reach + pad, rows.stop + reach + pad
    left, right = cols.start - reach + pad, cols.stop + reach + pad
    return _unfolded(images[:, :, top:bottom, left:right], 2 * reach + 1, 2 * reach + 1)


def _unfolded(images: Tensor, height: int, width: int) -> Tensor:
    """All windows of one size: (n, positions, c height width)."""
    windows = images.unfold(2, height, 1).unfold(3, width, 1)  # (n, c, R, C, height, width)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def _attend(
    q: Tensor, keys: Tensor, values: Tensor, root: Tensor, query: Query, shared: bool
) -> PatchPosterior:
    """Softmax over keys for queries (b, P, d), keys (n, P, d) and values (n, P, v).

    If `shared`, every query sees all n P keys, else the n keys of its own position. The result has
    shapes (b, ..., P); its origins count through the keys in `image`.
    """
    b, positions = q.shape[:2]

    def group(patches: Tensor) -> Tensor:  # (groups, tokens, d)
        return patches.flatten(0, 1)[None] if shared else patches.transpose(0, 1)

    def ungroup(field: Tensor) -> Tensor:  # (groups, queries, ...) -> (b, ..., P)
        field = field.reshape(b, positions, *field.shape[2:]) if shared else field.transpose(0, 1)
        return field.movedim(1, -1)

    keys, values = group(keys), group(values)
    pieces = [
        _softmax(part, keys, values, root, query)
        for part in group(q).split(QUERIES_PER_PASS, dim=1)
    ]
    mean, log_sum, entropy, log_weight, index = (
        ungroup(torch.cat(field, dim=1)) for field in zip(*pieces, strict=True)
    )
    if not shared:  # count through (image, position), as with shared keys
        places = torch.arange(positions, device=q.device)
        index = torch.where(index < 0, index, index * positions + places)
    count = torch.full_like(log_sum, keys.shape[1], dtype=torch.int64)
    origins = Origins(index, index, index, log_weight) if query.top else None
    return PatchPosterior(mean, log_sum, entropy, count, origins)


def _name_places(
    part: PatchPosterior, first: int, rows: AxisClass, cols: AxisClass
) -> PatchPosterior:
    """Turn an origin's running number into training image, row and column."""
    if part.origins is None:
        return part
    number = part.origins.image
    row, col = number.div(cols.size, rounding_mode="floor"), number % cols.size
    image, row = row.div(rows.size, rounding_mode="floor"), row % rows.size
    image, row, col = (
        torch.where(number < 0, number, place)
        for place in (first + image, rows.start + row, cols.start + col)
    )
    return replace(part, origins=Origins(image, row, col, part.origins.log_weight))


def _softmax(
    q: Tensor, keys: Tensor, values: Tensor, root: Tensor, query: Query
) -> tuple[Tensor, ...]:
    """Mean, log sum, entropy, top weights and their indices for each query of each group."""
    logits = _logits(q, keys, root, query.alpha, query.sigma)  # (groups, queries, keys)
    weights, total, *rest = softmax(logits, query.top, q.dtype)
    return (weights @ values).double() / total[..., None], *rest


def _logits(q: Tensor, keys: Tensor, root: Tensor, alpha: float, sigma: float) -> Tensor:
    """`-||root (q - alpha k)||^2 / (2 sigma^2)` for every pair.

    The expanded square |q|^2 - 2 alpha q.k + alpha^2 |k|^2 costs one matrix product, but cancels
    when distances are small beside the vectors. So it is taken in q's dtype where that keeps
    LOGIT_TOLERANCE, else in float64, and where even that fails, differences are squared.
    """
    for dtype in dict.fromkeys((q.dtype, torch.float64)):
        q, keys, root = q.to(dtype), keys.to(dtype), root.to(dtype)
        # A common offset changes no difference q - alpha k, but makes the squares smaller.
        centre = keys.mean(-2, keepdim=True)
        near, nearby = root * (q - alpha * centre), root * (keys - centre)
        q2, k2 = near.square().sum(-1), alpha**2 * nearby.square().sum(-1)
        size = float(q2.max() + k2.max()) / (2 * sigma**2)
        if torch.finfo(dtype).eps * size <= LOGIT_TOLERANCE:
            bias = (k2 / (-2 * sigma**2)).unsqueeze(-2)  # (groups, 1, keys)
            logits = torch.baddbmm(bias, near, nearby.mT, alpha=alpha / sigma**2)
            return logits.sub_((q2 / (2 * sigma**2)).unsqueeze(-1))
    squared = "donot_use_mm_for_euclid_dist"
    distance = torch.cdist(root * q, alpha * root * keys, compute_mode=squared)
    return distance.square_().mul_(-0.5 / sigma**2)
