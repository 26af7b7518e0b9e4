"""Where a denoiser looks: how strongly an output pixel depends on each input pixel (Fig. 4a)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.checks import checked
from elslib.denoisers.machines import Denoiser


@checked
def receptive_field(
    denoise: Denoiser,
    x: Float[Tensor, "b c h w"],
    t: float,
    label: Int[Tensor, " b"] | None = None,
    pixel: tuple[int, int] | None = None,
) -> Float[Tensor, "h w"]:
    """Mean over images and channels of `|d D(x)_pixel / d x_q|` for every pixel q; at least 0.

    D is the posterior mean, so at t it is sigma/alpha times the noise estimate's field, except for
    the pixel itself. `pixel` is (row, column), by default the centre (h // 2, w // 2). Raises
    ValueError for a pixel outside the image, and for a Denoiser that lets no gradient through.
    """
    b, c, h, w = x.shape
    row, col = pixel or (h // 2, w // 2)
    if not (0 <= row < h and 0 <= col < w):
        raise ValueError(f"pixel must lie in the image, 0..{h - 1} and 0..{w - 1}, got {pixel}.")
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        out = denoise(x, t, label)
        if not out.requires_grad:
            raise ValueError(
                "denoise must let gradients through, got one that does not; the field of a score "
                "machine is its window."
            )
        total = torch.zeros(h, w, dtype=torch.float64, device=x.device)
        for channel in range(c):
            # Images do not see each other, so the sum over the batch has each one's own gradient.
            (gradient,) = torch.autograd.grad(
                out[:, channel, row, col].sum(), x, retain_graph=channel + 1 < c
            )
            total += gradient.double().abs().sum(dim=(0, 1))
    return (total / (b * c * c)).to(x.dtype)


@checked
def side_holding(
    field: Float[Tensor, "h w"], share: float, pixel: tuple[int, int] | None = None
) -> int:
    """Side of the smallest odd window around `pixel` that holds this share of a field.

    The pixel itself is left out of window and total: how much it counts says nothing about how far
    a denoiser looks. Raises ValueError unless 0 < share <= 1 and the field has positive sum there.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}; 0.95 is usual.")
    h, w = field.shape
    row, col = pixel or (h // 2, w // 2)
    field = field.double().clone()
    field[row, col] = 0
    total = float(field.sum())
    if not total > 0:
        raise ValueError(f"field must have a positive sum beside its pixel, got {total}.")
    for r in range(max(h, w)):
        inside = field[max(row - r, 0) : row + r + 1, max(col - r, 0) : col + r + 1]
        if float(inside.sum()) >= share * total * (1 - 1e-12):
            return 2 * r + 1
    raise AssertionError("a window as large as the image holds everything")
