"""Matrix products in the precision of their numbers, whatever a user's settings allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch
from torch import Tensor

PRODUCTS = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)  # pyright: ignore
# Torch's setting is the process's. Of threads within at the same time the first changes it, and
# the last puts it back.
_lock, _before, _within = Lock(), [], 0


@contextmanager
def exact(x: Tensor) -> Iterator[None]:
    """Within it no autocast halves the digits where x is, and no float32 product is rounded to
    bfloat16 or TF32: the posterior and the baselines are sums, and their laws hold to 1e-4."""
    _enter()
    try:
        with torch.autocast(x.device.type, enabled=False):
            yield
    finally:
        _leave()


def _enter() -> None:
    global _within
    with _lock:
        _within += 1
        if _within == 1:
            _before[:] = [product.fp32_precision for product in PRODUCTS]
            for product in PRODUCTS:
                product.fp32_precision = "ieee"


def _leave() -> None:
    global _within
    with _lock:
        _within -= 1
        if _within == 0:
            for product, precision in zip(PRODUCTS, _before, strict=True):
                product.fp32_precision = precision
