"""The posterior in the published style: patches as filters of a convolution, a dense softmax.

This is the baseline of `posterior.py`. It follows the released scripts: one query image, batches of
64 training images, `unfold`, `conv2d` with every patch as a filter, and a running softmax. Border
classes are handled as the theory says, so it gives the same numbers as the library.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from elslib.windows import Border, position_classes

BATCH = 64


def dense_posterior(
    x: Tensor, images: Tensor, alpha: float, sigma: float, window: int, border: Border
) -> Tensor:
    """Posterior mean [1, c, h, w] of one noisy image x [1, c, h, w]; images [n, c, h, w]."""
    h, w = x.shape[2:]
    r = window // 2 if border == "circular" else 0
    x = F.pad(x, [r] * 4, mode="circular")
    out = x.new_empty(1, x.shape[1], h, w)
    for rows, cols in position_classes(h, w, window, border):
        top, left = rows.start - rows.before + r, cols.start - cols.before + r
        bottom, right = rows.stop + rows.after + r, cols.stop + cols.after + r
        kernel = (rows.extent, cols.extent)
        region = x[:, :, top:bottom, left:right]
        peak = x.new_full((1, rows.size, cols.size), -torch.inf)
        total = x.new_zeros(rows.size, cols.size)
        value = x.new_zeros(x.shape[1], rows.size * cols.size)
        for batch in images.split(BATCH):
            padded = F.pad(batch, [r] * 4, mode="circular")
            patches = F.unfold(padded[:, :, top:bottom, left:right], kernel)
            patches = patches.transpose(1, 2).flatten(0, 1)  # (filters, c k k)
            centres = batch[:, :, rows.start : rows.stop, cols.start : cols.stop]
            centres = centres.transpose(0, 1).flatten(1)  # (c, filters)
            # |x|^2 is common to all patches and drops out of the softmax.
            bias = patches.square().sum(1) * (-(alpha**2) / (2 * sigma**2))
            filters = (patches * (alpha / sigma**2)).unflatten(1, (x.shape[1], *kernel))
            weights = F.conv2d(region, filters, bias)[0]  # logits (filters, R, C)
            higher = torch.maximum(peak, weights.amax(0, keepdim=True))
            # Underflow is slow even with denormals flushed: exp(-80) is nothing beside exp(0).
            weights.sub_(higher).clamp_(min=-80).exp_()
            fade = (peak - higher).exp_()
            total = total * fade[0] + weights.sum(0)
            value = value * fade.flatten(1) + centres @ weights.flatten(1)
            peak = higher
        value = value.unflatten(1, total.shape)
        out[0, :, rows.start : rows.stop, cols.start : cols.stop] = value / total
    return out
