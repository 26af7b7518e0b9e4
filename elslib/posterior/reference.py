"""The engine in plain torch: any device, float32 or float64, short enough to read as equations.

Queries are noisy windows, keys are training patches, values are their centres: this is attention
with the bias `-|patch|^2`. Training images come in chunks; each chunk's posterior is a softmax of
its own, and `merge` adds them up in float64.
"""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from elslib.posterior.merging import Origins, PatchPosterior, merge
from elslib.windows import AxisClass, Border, position_classes

# One pass handles about this many queries and keys, so that its logits stay in cache,
QUERIES_PER_PASS = 512
KEYS_PER_PASS = 2048
# and its unfolded patches in memory.
ELEMENTS_PER_PASS = 2**23
# A float32 expanded square may shift a logit by this much; beyond it, differences are squared.
LOGIT_TOLERANCE = 1e-4
# exp(-60) is far below the resolution of a float32 sum, and far above denormals, which are slow.
SMALLEST_LOGIT = -60.0


def reference_posterior(
    x: Tensor,
    images: Tensor,
    alpha: float,
    sigma: float,
    window: int | None,
    border: Border,
    top: int,
    chunk: int | None,
) -> PatchPosterior:
    """`patch_posterior` after its arguments were checked."""
    # A common offset changes no difference x - alpha p, but makes the expanded squares smaller.
    centre = images.mean(dim=(0, 2, 3), keepdim=True)  # (1, c, 1, 1)
    q, p = x - alpha * centre, images - centre
    if window is None:
        out = _whole_images(q, p, alpha, sigma, border, top, chunk)
    else:
        out = _windows(q, p, alpha, sigma, window, border, top, chunk)
    mean = (out.mean + centre.double()).to(x.dtype)
    return PatchPosterior(mean, out.log_sum, out.entropy, out.count, out.origins)


def _windows(
    x: Tensor,
    images: Tensor,
    alpha: float,
    sigma: float,
    window: int,
    border: Border,
    top: int,
    chunk: int | None,
) -> PatchPosterior:
    (b, c, h, w), n = x.shape, len(images)
    pad = window // 2 if border == "circular" else 0
    out = _empty(b, c, h, w, top, x.device)
    x = F.pad(x, [pad] * 4, mode="circular")
    for rows, cols in position_classes(h, w, window, border):
        q = _patches(x, rows, cols, pad)  # (b * positions, d)
        positions = rows.size * cols.size
        step = chunk or _images_per_pass(positions, q.shape[1])

        def part(i: int, rows=rows, cols=cols, q=q, step=step) -> PatchPosterior:
            p = F.pad(images[i : i + step], [pad] * 4, mode="circular")
            keys = _patches(p, rows, cols, pad)  # (step * positions, d)
            alone = AxisClass(rows.start, rows.stop, 0, 0), AxisClass(cols.start, cols.stop, 0, 0)
            values = _patches(images[i : i + step], *alone, 0)  # (step * positions, c)
            return _attend(q, keys, values, alpha, sigma, top, (i, rows, cols))

        _write(out, reduce(merge, map(part, range(0, n, step))), rows, cols)
    return out


def _whole_images(
    x: Tensor,
    images: Tensor,
    alpha: float,
    sigma: float,
    border: Border,
    top: int,
    chunk: int | None,
) -> PatchPosterior:
    """Whole images compared: all pixels share one posterior, over images (IS) or shifts (ES)."""
    (b, c, h, w), n = x.shape, len(images)
    rows = AxisClass(0, h, 0, h - 1) if border == "circular" else AxisClass(0, 1, 0, h - 1)
    cols = AxisClass(0, w, 0, w - 1) if border == "circular" else AxisClass(0, 1, 0, w - 1)
    shifts = rows.size * cols.size
    step = chunk or _images_per_pass(shifts, c * h * w)

    def part(i: int) -> PatchPosterior:
        p = images[i : i + step]
        if border == "circular":
            p = F.pad(p, [0, w - 1, 0, h - 1], mode="circular")
        keys = _patches(p, rows, cols, 0)  # (step * shifts, c h w)
        return _attend(x.reshape(b, -1), keys, keys, alpha, sigma, top, (i, rows, cols))

    one = reduce(merge, map(part, range(0, n, step)))
    pixels = torch.ones(h, w, dtype=torch.int64, device=x.device)
    origins = one.origins and Origins(
        image=one.origins.image[:, :, None, None] * pixels,
        row=_shifted(one.origins.row, torch.arange(h, device=x.device)[:, None] * pixels, h),
        col=_shifted(one.origins.col, torch.arange(w, device=x.device)[None, :] * pixels, w),
        weight=one.origins.weight[:, :, None, None] * pixels,
    )
    return PatchPosterior(
        mean=one.mean.reshape(b, c, h, w),
        log_sum=one.log_sum[:, None, None] * pixels,
        entropy=one.entropy[:, None, None] * pixels,
        count=one.count[:, None, None] * pixels,
        origins=origins,
    )


def _shifted(shift: Tensor, position: Tensor, side: int) -> Tensor:
    shift = shift[:, :, None, None]
    return torch.where(shift < 0, shift, (shift + position) % side)


def _images_per_pass(positions: int, d: int) -> int:
    return max(1, min(KEYS_PER_PASS // positions, ELEMENTS_PER_PASS // (positions * d)))


def _patches(images: Tensor, rows: AxisClass, cols: AxisClass, pad: int) -> Tensor:
    """The windows of one class of positions as rows of a matrix: (n * positions, c kh kw)."""
    top, left = rows.start - rows.before + pad, cols.start - cols.before + pad
    bottom, right = rows.stop + rows.after + pad, cols.stop + cols.after + pad
    region = images[:, :, top:bottom, left:right]
    windows = region.unfold(2, rows.extent, 1).unfold(3, cols.extent, 1)  # (n, c, R, C, kh, kw)
    return windows.permute(0, 2, 3, 1, 4, 5).reshape(
        -1, images.shape[1] * rows.extent * cols.extent
    )


def _attend(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    alpha: float,
    sigma: float,
    top: int,
    place: tuple[int, AxisClass, AxisClass],
) -> PatchPosterior:
    """Softmax over all keys for every query row; `place` says which patches the keys are."""
    pieces = [_softmax(part, keys, values, alpha, sigma, top) for part in q.split(QUERIES_PER_PASS)]
    mean, log_sum, entropy, weight, index = (torch.cat(f) for f in zip(*pieces, strict=True))
    count = torch.full_like(log_sum, len(keys), dtype=torch.int64)
    if not top:
        return PatchPosterior(mean, log_sum, entropy, count)
    first, rows, cols = place
    empty = index < 0
    image = first + index.div(rows.size * cols.size, rounding_mode="floor")
    row = rows.start + index.div(cols.size, rounding_mode="floor") % rows.size
    col = cols.start + index % cols.size
    places = (part.masked_fill(empty, -1) for part in (image, row, col))
    return PatchPosterior(mean, log_sum, entropy, count, Origins(*places, weight=weight))


def _softmax(
    q: Tensor, keys: Tensor, values: Tensor, alpha: float, sigma: float, top: int
) -> tuple[Tensor, ...]:
    logits = _logits(q, keys, alpha, sigma)  # (queries, keys)
    peak = logits.amax(dim=1, keepdim=True)
    logits.sub_(peak).clamp_(min=SMALLEST_LOGIT)
    weights = logits.exp()
    total = weights.sum(dim=1).double()
    mean = (weights @ values).double() / total[:, None]
    # H = log Z - E[logit]; the product overwrites the logits, which are not needed any more.
    entropy = total.log() - logits.mul_(weights).sum(dim=1).double() / total
    m = min(top, len(keys))
    weight, index = weights.topk(m) if m else (weights[:, :0], weights[:, :0].long())
    weight = F.pad(weight.double() / total[:, None], [0, top - m])
    return (
        mean,
        peak[:, 0].double() + total.log(),
        entropy,
        weight,
        F.pad(index, [0, top - m], value=-1),
    )


def _logits(q: Tensor, keys: Tensor, alpha: float, sigma: float) -> Tensor:
    """`-||q - alpha k||^2 / (2 sigma^2)` for every pair, to an absolute LOGIT_TOLERANCE.

    The expanded square costs one matrix product, and cancels when distances are small beside
    the vectors. Where that could show, the differences themselves are squared.
    """
    q2, k2 = q.square().sum(1), alpha**2 * keys.square().sum(1)
    lost = torch.finfo(q.dtype).eps * float(q2.max() + k2.max()) / (2 * sigma**2)
    if lost < LOGIT_TOLERANCE:
        logits = torch.addmm(k2 / (-2 * sigma**2), q, keys.mT, alpha=alpha / sigma**2)
        return logits.sub_((q2 / (2 * sigma**2))[:, None])
    distance = torch.cdist(q, alpha * keys, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.square_().mul_(-0.5 / sigma**2)


def _empty(b: int, c: int, h: int, w: int, top: int, device: torch.device) -> PatchPosterior:
    def new(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.empty(*shape, h, w, dtype=dtype, device=device)

    whole = torch.int64
    origins = Origins(*(new(b, top, dtype=whole) for _ in range(3)), weight=new(b, top))
    return PatchPosterior(new(b, c), new(b), new(b), new(b, dtype=whole), origins if top else None)


def _write(out: PatchPosterior, part: PatchPosterior, rows: AxisClass, cols: AxisClass) -> None:
    """Put one class's rows (b * positions, ...) at their pixels."""

    def put(target: Tensor, source: Tensor) -> None:
        shape = (len(target), rows.size, cols.size, *target.shape[1:-2])
        place = target[..., rows.start : rows.stop, cols.start : cols.stop]
        place.copy_(source.reshape(shape).movedim((1, 2), (-2, -1)))

    for name in ("mean", "log_sum", "entropy", "count"):
        put(getattr(out, name), getattr(part, name))
    if out.origins is not None and part.origins is not None:
        for name in ("image", "row", "col", "weight"):
            put(getattr(out.origins, name), getattr(part.origins, name))
