"""Matrix products in the precision of their numbers, whatever a user's settings allow."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

PRODUCTS = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)  # pyright: ignore


@contextmanager
def exact(x: Tensor) -> Iterator[None]:
    """Within it no autocast halves the digits where x is, and no float32 product is rounded to
    bfloat16 or TF32: the posterior and the baselines are sums, and their laws hold to 1e-4."""
    before = [product.fp32_precision for product in PRODUCTS]
    for product in PRODUCTS:
        product.fp32_precision = "ieee"
    try:
        with torch.autocast(x.device.type, enabled=False):
            yield
    finally:
        for product, precision in zip(PRODUCTS, before, strict=True):
            product.fp32_precision = precision
