"""Collapsing posteriors."""

import math

import pytest
import torch

from elslib.analysis.memorisation import nested_entropies, onset
from elslib.posterior import patch_posterior

IMAGES = torch.rand(20, 1, 9, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
X = IMAGES[:2] + 0.5 * torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("window", "border"), [(3, "aware"), (5, "circular"), (None, "fixed")])
def test_nested_entropies_are_those_of_each_set(window, border):
    """As if each size had been summed alone."""
    sizes, levels = (1, 7, 20), (0.9, 0.4)
    found = nested_entropies(X, IMAGES, sizes, levels, window, border)
    for size, entropy in zip(sizes, found, strict=True):
        alone = patch_posterior(X, IMAGES[:size], *levels, window, border)
        assert torch.allclose(entropy, alone.entropy, rtol=0, atol=1e-3)
        assert torch.allclose(entropy.exp(), alone.effective_number, rtol=2e-3)


def test_the_effective_number_counts():
    """All patches where they are equal, one image where it is alone."""
    flat = patch_posterior(X, torch.zeros(4, 1, 9, 9), 1.0, 1.0, 3, "aware")
    expected = flat.count.double()
    assert torch.allclose(flat.effective_number, expected, rtol=1e-3)
    one = nested_entropies(X, IMAGES, [1], (0.9, 0.4), None, "fixed")
    assert float(one.abs().max()) < 1e-6


def test_onset():
    """Between the times; the highest crossing; 0 where there is none; the end where it is all."""
    entropy = torch.tensor(
        [[0.0, 2.0, 0.0, 0.0], [1.0, 2.0, 3.0, 0.0], [3.0, 2.0, 0.5, 0.0], [4.0, 2.0, 1.5, 0.0]]
    )
    found = onset((0.1, 0.2, 0.4, 1.0), entropy, 1.0)
    assert found.tolist() == pytest.approx([0.2, 0.0, 0.7, 1.0])
    halfway = onset((0.1, 0.5), torch.tensor([0.0, 2 * math.log(2)]), math.log(2))
    assert float(halfway) == pytest.approx(0.3)


def test_bad_input():
    """Sizes and times that do not increase or do not fit."""
    for sizes in ((), (3, 3), (0, 2), (5, 21)):
        with pytest.raises(ValueError, match="sizes must increase within 1..20"):
            nested_entropies(X, IMAGES, sizes, (0.9, 0.4), 3, "aware")
    for times in ((0.1,), (0.2, 0.1)):
        with pytest.raises(ValueError, match="times must increase and be as many"):
            onset(times, torch.zeros(2), 1.0)
