"""Mass per training image against the oracle, and the laws it obeys."""

import math
from typing import Any

import oracles
import pytest
import torch

from elslib.posterior import mass, native, patch_posterior
from elslib.posterior.cpu import fused_posterior
from elslib.posterior.dictionary import PatchDictionary
from elslib.posterior.mass import posterior_and_mass
from elslib.posterior.query import Query
from elslib.windows import Window


def problem(c=1, n=21, h=5, w=6):
    """Two queries and training images."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, c, h, w, generator=generator) * 2 - 1
    return 0.8 * images[:2] + 0.6 * torch.randn(2, c, h, w, generator=generator), images


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("border", ["fixed", "circular", "aware"])
@pytest.mark.parametrize("c", [1, 2, 3])
def test_mass_is_the_oracle_s(monkeypatch, border, c, compiled):
    """At every pixel and summed, by the kernel and without it."""
    if not compiled:
        monkeypatch.setattr(native, "library", lambda: None)
    x, images = problem(c)
    rest = (0.8, 0.6, 3 if c == 1 else Window(3, 2, 0.7, response=3), border)
    mass, summed = (posterior_and_mass(x, images, *rest, by_pixel=k)[1] for k in (True, False))
    for i in range(2):
        exact = torch.from_numpy(oracles.image_mass(x[i], images, *rest))
        assert torch.allclose(mass[i].double(), exact, rtol=0, atol=1e-5)
        assert torch.allclose(summed[i], exact.sum((1, 2)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("n", [1, 16, 64, 150])
@pytest.mark.parametrize("border", ["fixed", "circular", "aware"])
@pytest.mark.parametrize("sigma", [0.1, 0.6])
def test_all_images_together_have_mass_one(n, border, sigma):
    """In groups of every size, in colour, at two levels of noise."""
    x, images = problem(3, n, 7, 8)
    _, mass = posterior_and_mass(x[:1], images, 0.8, sigma, 5, border, by_pixel=True)
    assert torch.allclose(mass.sum(1), torch.ones(1, 7, 8), rtol=0, atol=2e-4)


def test_images_without_a_close_patch_and_whole_images():
    """Energies beyond float32, and windows of the whole image: shares by the law of `merge`."""
    x, images = problem()
    for sigma, window in ((1e-4, 3), (0.6, None)):
        _, mass = posterior_and_mass(x, images, 0.8, sigma, window, "fixed", by_pixel=True)
        assert torch.allclose(mass.sum(1), torch.ones(2, 5, 6), rtol=0, atol=1e-4)


@pytest.mark.parametrize("sigma", [1e-2, 1e-4, 1e-9, 1e-12, 1e-30])
def test_an_image_asked_for_itself_has_the_mass(sigma):
    """However little noise there is, and though the posterior's own numbers are computed again."""
    images = problem(1, 40)[1]
    found, shares = posterior_and_mass(images[:1], images, 1.0, sigma, 3, "fixed", by_pixel=True)
    assert torch.allclose(shares[0, 0], torch.ones(5, 6), rtol=0, atol=1e-5)
    assert torch.allclose(found.mean, images[:1], rtol=0, atol=1e-6)


def test_all_that_the_images_say_together_is_the_sum_of_weights():
    """What each image says is the logarithm, in bits, of the weights of its patches."""
    x, images = problem(3, 40)
    query = Query(0.8, 0.3, Window(3), "aware")
    evidence = x.new_full((2, 40, 5, 6), -torch.inf)
    found = fused_posterior(x, PatchDictionary(images), query, evidence=evidence)
    together = (evidence.double() * math.log(2)).logsumexp(1)
    assert torch.allclose(together, found.log_sum, rtol=0, atol=1e-4)


def test_one_query_beyond_float32(monkeypatch):
    """One that is close and one that is far: as the oracle, and the reference is asked for one."""
    x, images = problem(c=2)
    x = torch.stack([0.8 * images[3] + 0.01 * x[0], x[1]])
    rest: Any = (0.8, 0.02, 3, "aware")
    asked = []
    by_reference = mass._one_by_one
    monkeypatch.setattr(
        mass, "_one_by_one", lambda q, *more: asked.append(len(q)) or by_reference(q, *more)
    )
    found = mass.posterior_and_mass(x, images, *rest, by_pixel=True)[1]
    assert asked == [1]
    for i in range(2):
        exact = torch.from_numpy(oracles.image_mass(x[i], images, *rest))
        assert torch.allclose(found[i].double(), exact, rtol=0, atol=1e-4)


def test_removing_an_image_takes_its_mass():
    """The evidence without image i is the evidence with it, times one minus its mass."""
    x, images = problem(1, 40)
    rest = (0.8, 0.3, 3, "aware")
    _, mass = posterior_and_mass(x, images, *rest, by_pixel=True)
    without = (
        patch_posterior(x, images[1:], *rest).log_sum - patch_posterior(x, images, *rest).log_sum
    )
    assert torch.allclose(without.exp(), 1 - mass[:, 0].double(), rtol=0, atol=1e-4)


def test_the_posterior_comes_with_it(monkeypatch):
    """The same as without: in batches, with more queries than are held at once."""
    x, images = problem(3, 70, 7, 8)
    rest = (0.8, 0.6, Window(3, response=3), "aware")
    alone = patch_posterior(x, images, *rest)
    together, mass = posterior_and_mass(x, images, *rest)
    monkeypatch.setattr("elslib.posterior.mass.HELD", 1)
    single, again = posterior_and_mass(x, images, *rest)
    for found in (together, single):
        assert torch.allclose(found.mean, alone.mean, rtol=0, atol=1e-6)
        assert torch.allclose(found.entropy, alone.entropy, rtol=0, atol=1e-6)
        assert found.response == 3
    assert torch.allclose(mass, again, rtol=0, atol=1e-6)
