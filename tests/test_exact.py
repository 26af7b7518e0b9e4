"""A user's precision of products is left alone."""

import pytest
import torch

from elslib.exact import PRODUCTS, exact

X = torch.zeros(1)


@pytest.fixture
def coarse():
    """Products may be rounded, as a user allows."""
    before = [product.fp32_precision for product in PRODUCTS]
    for product in PRODUCTS:
        product.fp32_precision = "tf32"
    yield
    for product, precision in zip(PRODUCTS, before, strict=True):
        product.fp32_precision = precision


def said() -> set[object]:
    return {product.fp32_precision for product in PRODUCTS}


def test_within_and_after(coarse):
    with pytest.raises(RuntimeError), exact(X):
        assert said() == {"ieee"}
        raise RuntimeError
    assert said() == {"tf32"}


def test_threads_that_overlap(coarse):
    """As they would enter and leave: one goes in while another is within, and stays longer."""
    first, second = exact(X), exact(X)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert said() == {"ieee"}
    second.__exit__(None, None, None)
    assert said() == {"tf32"}
