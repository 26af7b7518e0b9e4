"""The fused engine against the reference engine in float64, and what it does in hard cases."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elslib.data.named import load
from elslib.posterior import PatchDictionary, cpu, merge, patch_posterior, reference
from elslib.posterior.fft_shifts import shifts_resolve
from elslib.posterior.float64_fallback import float64_fallback
from elslib.posterior.query import Query
from elslib.posterior.result import shift_images
from elslib.samplers import initial_noise
from elslib.scales import published_scale
from elslib.schedules import cosine
from elslib.windows import Window, as_window

PUBLISHED = published_scale("fmnist-resnet-zeros").windows


@st.composite
def windows(draw, largest):
    """Hard windows, and soft ones whose support and response are at most `largest`."""
    reach = (largest - 1) // 2
    if draw(st.booleans()):
        return draw(st.integers(0, reach)) * 2 + 1
    boxes = draw(st.integers(1, 3))
    return Window(
        draw(st.integers(0, reach // boxes)) * 2 + 1,
        boxes,
        draw(st.floats(0.3, 2.0)),
        draw(st.integers(0, min(reach, 3))) * 2 + 1,
        draw(st.none() | st.integers(0, 4).map(lambda r: 2 * r + 1)),
    )


@st.composite
def problems(draw):
    """Shapes of every kind: ragged groups of images, windows over the border, odd and even."""
    border = draw(st.sampled_from(["fixed", "circular", "aware"]))
    h, w = draw(st.integers(1, 12)), draw(st.integers(1, 12) | st.just(32))
    return {
        "border": border,
        "window": draw(windows(min(h, w) if border == "circular" else 15)),
        "shape": (draw(st.sampled_from([1, 2, 3, 5])), h, w),
        "n": draw(st.integers(1, 140 if w <= 12 else 20)),
        "b": draw(st.integers(1, 5)),
        "t": draw(st.floats(0.02, 1.0)),
        "chunk": draw(st.sampled_from([None, 1, 7, 64])),
        "top": draw(st.integers(0, 3)),
        "seed": draw(st.integers(0, 2**31)),
    }


@settings(max_examples=200, deadline=None, derandomize=True)
@given(problems())
def test_equals_the_reference_on_random_shapes(problem):
    """Mean, evidence, entropy, count and origins, on 200 random problems."""
    generator = torch.Generator().manual_seed(problem["seed"])
    images = torch.rand(problem["n"], *problem["shape"], generator=generator) * 2 - 1
    alpha, sigma = cosine().levels(problem["t"])
    noise = torch.randn(problem["b"], *problem["shape"], generator=generator)
    x = alpha * images[torch.arange(problem["b"]) % len(images)] + sigma * noise
    rest = (alpha, sigma, problem["window"], problem["border"])
    fast = patch_posterior(x, images, *rest, top=problem["top"], chunk=problem["chunk"])
    slow = patch_posterior(x.double(), images.double(), *rest, top=problem["top"])
    assert torch.allclose(fast.mean.double(), slow.mean, rtol=0, atol=1e-4)
    assert torch.allclose(fast.log_sum, slow.log_sum, rtol=1e-6, atol=1e-3)
    assert torch.allclose(fast.entropy, slow.entropy, rtol=0, atol=1e-3)
    assert torch.equal(fast.count, slow.count)
    if problem["top"]:
        assert fast.origins is not None and slow.origins is not None
        assert torch.allclose(fast.origins.weight, slow.origins.weight, rtol=0, atol=1e-4)
        assert torch.equal(fast.origins.image < 0, slow.origins.image < 0)


@pytest.mark.parametrize("border", ["aware", "circular"])
@pytest.mark.parametrize("step", range(20))
def test_error_on_fashion_mnist_at_every_step(step, border):
    """At most 1e-4, with the published windows, near-duplicates among the images."""
    images = load("fashion_mnist_10k").subset(3).pixels[:48]
    close = images[:16] + 2e-3 * torch.randn(16, 1, 32, 32, generator=torch.manual_seed(1))
    images = torch.cat([images, close.clamp(-1, 1), images[:3]])
    alpha, sigma = cosine().levels((step + 1) / 20)
    x = alpha * images[:1] + sigma * initial_noise([step], (1, 32, 32))
    rest = (alpha, sigma, PUBLISHED[step], border)
    fast = patch_posterior(x, images, *rest)
    slow = patch_posterior(x.double(), images.double(), *rest)
    assert float((fast.mean - slow.mean).abs().max()) < 1e-4


def test_best_origins_are_found_beyond_the_limit():
    """Origins of no weight at all are still ranked: the limit must not hide them."""
    images = torch.linspace(-1, 1, 40)[:, None, None, None].expand(40, 1, 5, 5).contiguous()
    x = images[20:21]
    origins = patch_posterior(x, images, 1.0, 1e-3, 5, "fixed", top=40).origins
    assert origins is not None
    assert sorted(origins.image[0, :, 2, 2].tolist()) == list(range(40))
    assert origins.image[0, 0, 2, 2] == 20 and float(origins.log_weight[0, -1, 2, 2]) < -1e5
    assert bool((origins.log_weight.diff(dim=1) <= 0).all())


def test_energies_beyond_float32_are_left_to_the_reference(monkeypatch):
    """Where no patch is near and too many are equally far, the answer is still the exact one."""
    asked = []
    original = cpu.expectations
    monkeypatch.setattr(cpu, "expectations", lambda *a: (asked.append(1), original(*a))[1])
    images = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)).repeat(200, 1, 1, 1)
    x = torch.full((1, 1, 6, 6), 9.0)
    found = patch_posterior(x, images, 1.0, 1e-3, 3, "aware")
    exact = patch_posterior(x.double(), images.double(), 1.0, 1e-3, 3, "aware")
    assert asked and torch.allclose(found.mean.double(), exact.mean, rtol=0, atol=1e-6)
    patch_posterior(images[:1], images, 1.0, 0.1, 3, "aware")
    assert len(asked) == 1


def test_a_fold_whose_energies_are_beyond_float32_is_the_reference_s():
    """Nothing is folded from weights that float32 cannot tell apart."""
    images = torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    for window, chunk in ((Window(3, response=3), None), (Window(3, 2, response=5), 16)):
        found = patch_posterior(-images[:2], images, 1.0, 1e-3, window, "aware", chunk=chunk)
        exact = patch_posterior(-images[:2].double(), images.double(), 1.0, 1e-3, window, "aware")
        assert torch.allclose(found.mean.double(), exact.mean, rtol=0, atol=1e-6)
        assert torch.allclose(found.log_sum, exact.log_sum, rtol=1e-9)


def test_folds_do_not_merge():
    """Windows around a pixel have shares of their own: half a sum is refused."""
    x, images = torch.zeros(1, 1, 5, 5), torch.rand(4, 1, 5, 5)
    parts = [
        patch_posterior(x, half, 0.8, 0.6, Window(3, response=3), "aware")
        for half in images.split(2)
    ]
    with pytest.raises(ValueError, match="response must be 1 to merge, got 3 and 3"):
        merge(*parts)


@pytest.mark.parametrize("border", ["fixed", "circular", "aware"])
@pytest.mark.parametrize("shape", [(1, 8, 32), (3, 7, 6)])
def test_distant_patches_are_compared_in_double_precision(monkeypatch, border, shape):
    """At very low noise, mosaics no patch of which fits: exact, and without the reference."""
    monkeypatch.setattr(cpu, "expectations", None)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, *shape, generator=generator) * 2 - 1
    images[7] = images[3]  # counted twice, also among the candidates
    images[8] = images[3] + 1e-6
    other = images[:3].flip(3)
    x = torch.where(torch.rand(other.shape, generator=generator) < 0.5, images[3:6], other)
    for sigma in (1e-3, 1e-5):
        fast = patch_posterior(x, images, 1.0, sigma, 3, border, top=3)
        slow = patch_posterior(x.double(), images.double(), 1.0, sigma, 3, border, top=3)
        distant = slow.log_sum < -(2**13)
        assert bool(distant.any())
        assert torch.allclose(fast.mean.double(), slow.mean, rtol=0, atol=1e-6)
        assert torch.allclose(fast.log_sum[distant], slow.log_sum[distant], rtol=1e-12, atol=1e-4)
        assert torch.allclose(fast.entropy, slow.entropy, rtol=0, atol=1e-5)
        assert fast.origins is not None and slow.origins is not None
        for field in ("row", "col"):
            assert torch.equal(getattr(fast.origins, field), getattr(slow.origins, field))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("window", [Window(3, 2, 0.7), Window(3, 2, response=3), Window(5, 1, 0.5)])
def test_distant_patches_of_soft_windows(monkeypatch, window, channels):
    """The same where pixels count unequally, and where a window speaks for several."""
    monkeypatch.setattr(cpu, "expectations", None)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, channels, 8, 8, generator=generator) * 2 - 1
    other = images[:3].flip(3)
    x = torch.where(torch.rand(other.shape, generator=generator) < 0.5, images[3:6], other)
    for sigma in (2e-2, 1e-3):
        fast = patch_posterior(x, images, 1.0, sigma, window, "aware", top=1)
        slow = patch_posterior(x.double(), images.double(), 1.0, sigma, window, "aware", top=1)
        assert sigma > 1e-2 or bool((slow.log_sum < -(2**13)).any())
        assert torch.allclose(fast.mean.double(), slow.mean, rtol=0, atol=2e-4)
        assert torch.allclose(fast.log_sum, slow.log_sum, rtol=1e-6, atol=1e-3)
        assert fast.origins is not None and slow.origins is not None
        assert torch.equal(fast.origins.image, slow.origins.image)


@pytest.mark.parametrize("window", [3, Window(3, 2), None])
@pytest.mark.parametrize("border", ["fixed", "circular"])
def test_the_reference_answers_in_float64_what_float32_cannot(window, border):
    """Nearly equal distances at very low noise: queries of float32 are not rounded on the way."""
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(400, 1, 6, 6, generator=generator) < 0.45).float() * 2 - 1
    for sigma in (1e-2, 1e-3, 1e-4):
        x = sigma**2 * torch.randn(1, 1, 6, 6, generator=generator)
        query = Query(1.0, sigma, as_window(window), border)
        found, exact = (
            reference.reference_posterior(q, PatchDictionary(p), query)
            for q, p in ((x, images), (x.double(), images.double()))
        )
        assert torch.allclose(found.mean.double(), exact.mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("n", [1, 5, 16, 40])
@pytest.mark.parametrize("top", [0, 3, 16, 30])
def test_fewer_patches_than_candidates(monkeypatch, n, top):
    """When all patches are candidates nothing is left to prove; candidates come on top of `top`."""
    monkeypatch.setattr(cpu, "expectations", None)
    generator = torch.Generator().manual_seed(0)
    images, x = torch.rand(n + 1, 1, 5, 5, generator=generator).split([n, 1])
    fast = patch_posterior(x, images, 1.0, 1e-3, 3, "fixed", top=top)
    slow = patch_posterior(x.double(), images.double(), 1.0, 1e-3, 3, "fixed", top=top)
    assert torch.allclose(fast.log_sum, slow.log_sum, rtol=1e-12, atol=1e-4)
    if top:
        assert fast.origins is not None and slow.origins is not None
        assert torch.equal(fast.origins.image, slow.origins.image)


def test_candidates_that_prove_nothing_are_refused():
    """More equal patches than candidates: the others may matter, so the reference must answer."""
    images = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)).repeat(200, 1, 1, 1)
    x = -images[:1]
    found = patch_posterior(x, images, 1.0, 1e-3, 3, "fixed")
    exact = patch_posterior(x.double(), images.double(), 1.0, 1e-3, 3, "fixed")
    assert torch.allclose(found.entropy, exact.entropy, rtol=0, atol=1e-6)
    assert float(found.entropy.min()) == pytest.approx(math.log(200))
    posterior = patch_posterior(x, images, 1.0, 1e-3, 3, "fixed", top=16)
    every = torch.ones(1, 6, 6, dtype=torch.bool)
    query = Query(1.0, 1e-3, Window(3), "fixed")
    assert float64_fallback(posterior, every, x, images, query, 30.0) is None


@pytest.mark.parametrize("top", [0, 2])
def test_one_broken_image_is_noticed(top):
    """A NaN would never be chosen, and so be dropped silently."""
    images = torch.rand(70, 1, 6, 6)
    images[66, 0, 2, 3] = math.nan
    with pytest.raises(ValueError, match="images must be finite, got NaN or infinity in at least"):
        patch_posterior(images[:1], images, 0.8, 0.6, 3, "aware", top=top)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n,b", [(100, 2), (20, 5), (1, 4)])
def test_threads_change_nothing(threads, n, b):
    """Images are shared out when there are many, else queries; torch's setting is followed."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, 1, 8, 8, generator=generator)
    x = torch.rand(b, 1, 8, 8, generator=generator)
    before = torch.get_num_threads()
    whole = patch_posterior(x, images, 0.8, 0.6, 3, "aware", top=2)
    torch.set_num_threads(threads)
    try:
        found = patch_posterior(x, images, 0.8, 0.6, 3, "aware", top=2)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(found.mean, whole.mean, rtol=0, atol=1e-6)
    assert found.origins is not None and whole.origins is not None
    assert torch.equal(found.origins.image, whole.origins.image)


def test_input_is_not_changed_and_need_not_be_contiguous():
    """Slices of a larger tensor, tensors with gradients: the same answer."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(30, 6, 6, 2, generator=generator).permute(0, 3, 1, 2)
    x = images[:2].clone().requires_grad_()
    kept = images.clone()
    found = patch_posterior(x, images, 0.8, 0.6, 3, "circular")
    same = patch_posterior(x.detach().contiguous(), images.contiguous(), 0.8, 0.6, 3, "circular")
    assert torch.equal(found.mean, same.mean) and torch.equal(images, kept)


def test_shards_of_the_fused_engine_merge():
    """The law of the contract, with a ragged last group of sixteen."""
    images = torch.rand(50, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    whole = patch_posterior(images[:1], images, 0.9, 0.4, 5, "aware", top=4)
    parts = [
        shift_images(patch_posterior(images[:1], images[i:j], 0.9, 0.4, 5, "aware", top=4), i)
        for i, j in ((0, 19), (19, 50))
    ]
    merged = merge(*parts)
    assert torch.allclose(merged.mean, whole.mean, rtol=0, atol=1e-5)
    assert merged.origins is not None and whole.origins is not None
    assert torch.equal(merged.origins.image, whole.origins.image)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sigma", [0.9, 0.1])
def test_shifts_by_transforms_are_the_shifts_one_by_one(monkeypatch, dtype, sigma):
    """Mean, evidence, entropy and origins of ES, colour, odd sides, in chunks; near-duplicates."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5, 2, 5, 6, generator=generator, dtype=dtype)
    images[4] = images[0] + 1e-4
    x = images[:2] + sigma * torch.randn(2, 2, 5, 6, generator=generator, dtype=dtype)
    fast = [
        patch_posterior(x, images, 0.7, sigma, None, "circular", top=3, chunk=n) for n in (2, 5)
    ]
    asked = []
    monkeypatch.setattr(reference, "shifts_resolve", lambda *_: bool(asked.append(1)))
    slow = patch_posterior(x, images, 0.7, sigma, None, "circular", top=3)
    assert asked
    for part in fast:
        for field in ("mean", "log_sum", "entropy"):
            close = torch.allclose(getattr(part, field), getattr(slow, field), rtol=1e-6, atol=2e-5)
            assert close, field
        assert part.origins is not None and slow.origins is not None
        for field in ("image", "row", "col"):
            assert torch.equal(getattr(part.origins, field), getattr(slow.origins, field))


def test_shifts_at_very_low_noise_are_compared_one_by_one():
    """Where a transform's rounding would change a weight, differences are squared instead."""
    images = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    largest = PatchDictionary(images).largest_square
    assert shifts_resolve(images, largest, Query(1.0, 0.01, None, "circular"), 2e-5)
    assert not shifts_resolve(images, largest, Query(1.0, 1e-6, None, "circular"), 2e-5)
    sharp = patch_posterior(images[:1].roll(1, 2), images, 1.0, 1e-6, None, "circular")
    assert torch.allclose(sharp.mean, images[:1].roll(1, 2), rtol=0, atol=1e-6)
