"""Where a network's attention looks, place by place."""

from contextlib import ExitStack

import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.networks.architectures import SelfAttention
from elslib.networks.network_denoiser import NetworkDenoiser


def attention_maps(
    network: NetworkDenoiser,
    x: Float[Tensor, "b c h w"],
    t: float | Float[Tensor, " b"],
    label: Int[Tensor, " b"] | None = None,
) -> list[Float[Tensor, "b r s r s"]]:
    """How much place (i, j) attends to place (k, l), one map for each attention layer, in order.

    Mean over the heads; `map[:, i, j]` is nonnegative and sums to 1. A layer at a coarser scale has
    fewer places: pixel (y, x) lies in place (y r // h, x s // w). Raises ValueError for a network
    without attention, and for what `network` does not take.
    """
    layers = [layer for layer in network.module.modules() if isinstance(layer, SelfAttention)]
    if not layers:
        raise ValueError(
            f"network must have attention, got a {network.config.architecture}; only "
            f"'unet-attention' has."
        )
    seen: list[Tensor] = []
    with ExitStack() as hooks, torch.no_grad():
        for layer in layers:
            handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
            hooks.callback(handle.remove)
        network(x, t, label)
        return [
            layer.weights(h).mean(dim=1).reshape(len(h), *h.shape[2:], *h.shape[2:])
            for layer, h in zip(layers, seen, strict=True)
        ]


def share_beyond(weights: Float[Tensor, "b r s r s"], reach: float) -> Float[Tensor, " b"]:
    """Share of the attention of a map that goes farther than `reach` places, up, down or sideways.

    Mean over the places that attend; in [0, 1]. A reach of 0 is a place's own; a window of k pixels
    reaches `k // 2 * r / h` places. Raises ValueError for a negative reach.
    """
    if reach < 0:
        raise ValueError(f"reach must be at least 0, got {reach}; half a window, in places.")
    rows, cols = (
        ((places := torch.arange(n, device=weights.device))[:, None] - places).abs() > reach
        for n in weights.shape[1:3]
    )
    far = rows[:, None, :, None] | cols[None, :, None, :]  # (r, s, r, s)
    return (weights * far).sum(dim=(3, 4)).mean(dim=(1, 2))
