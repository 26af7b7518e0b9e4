"""Small windows go through leaves of similar patches; what is skipped there is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conformance import skip_everywhere
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elslib.data.image_set import ImageSet
from elslib.data.named import load
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.posterior import merge, patch_posterior, skipping
from elslib.posterior.groups import forget_groups, grouped
from elslib.samplers import initial_noise
from elslib.scales import constant_scale
from elslib.schedules import cosine


@pytest.fixture(autouse=True)
def nothing_kept():
    """Each test sorts its own patches."""
    forget_groups()


def exact(x, images, *rest):
    """The reference engine's answer in float64."""
    return patch_posterior(x.double(), images.double(), *rest)


def clothes(n=40, b=2, t=0.1):
    """Noisy held-out trousers, training images, alpha and sigma."""
    alpha, sigma = cosine().levels(t)
    clean = load("fashion_mnist_test_1k").subset(1).images[:b]
    x = alpha * clean + sigma * initial_noise(range(b), (1, 32, 32))
    return x, load("fashion_mnist_10k").subset(1).images[:n], alpha, sigma


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_equals_the_reference_on_random_shapes(monkeypatch, data):
    """Mean, evidence, entropy and count; ragged leaves, colour, several chunks, repeated images."""
    skip_everywhere(monkeypatch)
    border = data.draw(st.sampled_from(["circular", "aware"]))
    h, w, c = (data.draw(st.integers(1, most)) for most in (12, 12, 3))
    window = 2 * data.draw(st.integers(0, min(2, (min(h, w) - 1) // 2))) + 1
    n, b = data.draw(st.integers(1, 50)), data.draw(st.integers(1, 3))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    images = torch.rand(n, c, h, w, generator=generator) * 2 - 1
    images[n // 2 :] = images[: n - n // 2].clone()
    alpha, sigma = cosine().levels(data.draw(st.floats(0.02, 1.0)))
    x = alpha * images[torch.arange(b) % n] + sigma * torch.randn(b, c, h, w, generator=generator)
    rest = (alpha, sigma, window, border)
    chunk = data.draw(st.sampled_from([None, 1, 7]))
    fast, slow = patch_posterior(x, images, *rest, chunk=chunk), exact(x, images, *rest)
    assert torch.allclose(fast.mean.double(), slow.mean, rtol=0, atol=1e-4)
    assert torch.allclose(fast.log_sum, slow.log_sum, rtol=1e-6, atol=1e-3)
    assert torch.allclose(fast.entropy, slow.entropy, rtol=0, atol=1e-3)
    assert torch.equal(fast.count, slow.count)


def test_patches_of_images_are_all_there_and_equal_ones_once():
    """With their numbers; boxes hold them."""
    _, images, *_ = clothes(n=12)
    for k, circular in ((1, False), (3, False), (3, True)):
        groups = grouped(images, k, circular)
        side = 32 if circular else 33 - k
        there = groups.copies.ravel() > 0
        patches = groups.patches.transpose(0, 2, 1).reshape(-1, k * k)
        assert groups.total == groups.copies.sum() == 12 * side**2
        assert len(np.unique(patches[there], axis=0)) == there.sum() < groups.total
        along = (torch.from_numpy(patches) @ groups.axes).reshape(*groups.copies.shape, -1)
        low, high = groups.leaf_boxes.transpose(2, 0, 3, 1).reshape(2, len(along), -1)
        assert (along.amin(1) >= torch.from_numpy(low) - 1e-5).all()
        assert (along.amax(1) <= torch.from_numpy(high) + 1e-5).all()
        assert groups.leaf_copies.sum() == groups.branch_copies.sum() == groups.total


def test_an_equal_digest_is_no_proof(monkeypatch):
    """Patches that a digest confuses are kept apart."""
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.zeros(1, 3, 3, dtype=torch.int64))
    image = torch.tensor([[0.0, 1.0, 2.0, 3.0]]).T.expand(1, 1, 4, 4) * torch.arange(1, 5)
    groups = grouped(image.contiguous(), 3, False)
    assert (groups.copies > 0).sum() == 4


@pytest.mark.parametrize("border", ["aware", "circular"])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-2])
def test_what_is_skipped_is_bounded(monkeypatch, border, tolerance):
    """The mean is off by at most twice the bound, besides rounding; the bound by the tolerance."""
    skip_everywhere(monkeypatch)
    for t in (0.05, 0.15, 0.4):
        x, images, alpha, sigma = clothes(t=t)
        rest = (alpha, sigma, 3, border)
        found = patch_posterior(x, images, *rest, tolerance=tolerance)
        whole = exact(x, images, *rest)
        assert found.bound is not None
        assert 0 < float(found.bound.max()) <= tolerance
        assert float(found.bound.min()) >= 0
        assert bool(((found.mean - whole.mean).abs().amax(1) <= 2 * found.bound + 2e-5).all())
        # The same of the sum: it lacks at most that share.
        lost = -torch.expm1(found.log_sum - whole.log_sum)
        assert bool((lost <= found.bound + 2e-5).all())
        assert float(lost.max()) > 1e-6  # something was


def test_a_machine_passes_its_tolerance_on(monkeypatch):
    """What it returns is the engine's answer with that tolerance; a share of 1 is refused."""
    skip_everywhere(monkeypatch)
    x, images, alpha, sigma = clothes(t=0.15)
    ours = EquivariantLocalScore(ImageSet(images), constant_scale(3), tolerance=1e-2)
    found = ours.posterior(x, 0.15)
    expected = patch_posterior(x, images, alpha, sigma, 3, "aware", tolerance=1e-2)
    assert torch.equal(found.mean, expected.mean) and torch.equal(ours(x, 0.15), expected.mean)
    assert found.bound is not None and float(found.bound.max()) > 0
    assert replace(ours, tolerance=0.0).posterior(x, 0.15).bound is None
    with pytest.raises(ValueError, match=r"tolerance must lie in \[0, 1\), got 1.0"):
        replace(ours, tolerance=1.0)(x, 0.15)


def test_the_bound_is_near_what_is_skipped(monkeypatch):
    """Two clouds of single pixels: the farther one is left out, and weighs what the bound says."""
    skip_everywhere(monkeypatch)
    cloud = torch.linspace(-0.01, 0.01, 256)
    images = torch.cat([cloud, 0.5 + cloud])[:, None, None, None]
    weight = torch.exp(-images.double().flatten().square() / (2 * 0.1**2))
    share = float(weight[256:].sum() / weight.sum())
    rest = (torch.zeros(1, 1, 1, 1), images, 1.0, 0.1, 1, "aware")
    bound = patch_posterior(*rest, tolerance=0.01).bound
    assert bound is not None
    assert share * 0.999 < float(bound) < share * 2
    assert patch_posterior(*rest, tolerance=share / 2).bound != bound  # too much to skip


def test_exact_engines_skip_nothing():
    """Where an engine does not skip, or a window is large, the bound is 0; without it none."""
    x, images, alpha, sigma = clothes(n=3)
    for dtype, window in ((torch.float64, 3), (torch.float32, 9)):
        rest = (x.to(dtype), images.to(dtype), alpha, sigma, window, "aware")
        assert patch_posterior(*rest).bound is None
        bound = patch_posterior(*rest, tolerance=0.1).bound
        assert bound is not None
        assert bound.shape == (2, 32, 32)
        assert not bool(bound.any())


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, math.nan])
def test_a_tolerance_is_a_share(tolerance):
    """Between 0 and 1."""
    x, images, alpha, sigma = clothes(n=3)
    with pytest.raises(ValueError, match=r"tolerance must lie in \[0, 1\), got"):
        patch_posterior(x, images, alpha, sigma, 3, "aware", tolerance=tolerance)


def test_bounds_merge_and_move():
    """The larger share of two shards; none beside one is that one."""
    x, images, alpha, sigma = clothes(n=3)
    rest = (alpha, sigma, 3, "aware")
    one = patch_posterior(x, images, *rest, tolerance=0.1)
    assert one.bound is not None
    first = torch.full_like(one.bound, 0.02)
    parts = [
        type(one)(one.mean, one.log_sum, one.entropy, one.count, bound=bound)
        for bound in (first, 2 * first, None)
    ]
    for a, b, expected in ((0, 1, 0.04), (0, 2, 0.02), (2, 1, 0.04)):
        bound = merge(parts[a], parts[b]).bound
        assert bound is not None
        assert float(bound.min()) == pytest.approx(expected)
    assert merge(parts[2], parts[2]).bound is None
    moved = one.to("cpu").bound
    assert moved is not None
    assert torch.equal(moved, one.bound)


def test_edges_are_compared_as_before(monkeypatch):
    """A pixel whose window is clipped: the same bits with and without leaves."""
    x, images, alpha, sigma = clothes()
    rest = (x, images, alpha, sigma, 5, "aware")
    before = patch_posterior(*rest)
    skip_everywhere(monkeypatch)
    after = patch_posterior(*rest)
    edge = torch.ones(32, 32, dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    assert torch.equal(before.mean[..., edge], after.mean[..., edge])
    assert not torch.equal(before.mean, after.mean)


def test_changed_images_are_sorted_anew(monkeypatch):
    """What is kept is compared with the images at hand, not with where they lie."""
    skip_everywhere(monkeypatch)
    x, images, alpha, sigma = clothes(n=5)
    images = images.clone()
    rest = (alpha, sigma, 3, "aware")
    patch_posterior(x, images, *rest)
    images.numpy()[:] *= 0.5  # unnoticed by torch
    assert torch.allclose(
        patch_posterior(x, images, *rest).mean.double(), exact(x, images, *rest).mean, atol=1e-4
    )


def test_equal_images_are_sorted_once(monkeypatch):
    """Two steps of one window share the work."""
    skip_everywhere(monkeypatch)
    x, images, alpha, sigma = clothes(n=5)
    assert grouped(images, 3, False) is grouped(images.clone(), 3, False)
    assert grouped(images, 3, False) is not grouped(images, 3, True)


def test_a_broken_image_is_noticed(monkeypatch):
    """Before it is sorted."""
    skip_everywhere(monkeypatch)
    x, images, alpha, sigma = clothes(n=5)
    images = images.clone()
    images[3, 0, 4, 4] = math.nan
    with pytest.raises(ValueError, match="images must be finite, got NaN"):
        patch_posterior(x, images, alpha, sigma, 3, "circular")


def test_energies_beyond_float32_are_left_to_the_others(monkeypatch):
    """Where the nearest patch is very far away in units of the noise."""
    skip_everywhere(monkeypatch)
    x, images, _, _ = clothes(n=5)
    rest = (1.0, 1e-4, 3, "aware")
    assert skipping.interior_posterior(x, images, *rest, None, 0.0) is None
    found = patch_posterior(x, images, *rest)
    assert torch.allclose(found.mean.double(), exact(x, images, *rest).mean, rtol=0, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(monkeypatch, threads):
    """Queries are shared out."""
    skip_everywhere(monkeypatch)
    x, images, alpha, sigma = clothes()
    before = torch.get_num_threads()
    expected = patch_posterior(x, images, alpha, sigma, 3, "aware").mean
    torch.set_num_threads(threads)
    try:
        found = patch_posterior(x, images, alpha, sigma, 3, "aware").mean
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(found, expected, rtol=0, atol=1e-6)


def test_leaves_are_used_where_they_pay():
    """Small windows, little noise, many pixels and patches; never at a fixed place."""
    x = torch.zeros(8, 1, 32, 32)
    assert skipping.skipping_pays(x, 1000, 1.0, 0.1, 3, "aware")
    assert not skipping.skipping_pays(x, 1000, 1.0, 0.1, 3, "fixed")
    assert not skipping.skipping_pays(x, 1000, 1.0, 0.1, 9, "aware")
    assert not skipping.skipping_pays(x, 1000, 0.1, 1.0, 3, "aware")
    assert not skipping.skipping_pays(x[:1], 1000, 1.0, 0.1, 3, "aware")
    assert not skipping.skipping_pays(x, 2, 1.0, 0.1, 3, "aware")
    assert not skipping.skipping_pays(x[..., :2, :2], 10**6, 1.0, 0.1, 3, "aware")
