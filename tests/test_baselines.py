"""The baselines: closed forms, loops in float64, and the limits in which one is a machine."""

import numpy as np
import oracles
import pytest
import torch
from conformance import SCHEDULE, image_set, noisy

from elslib.data.image_set import ImageSet
from elslib.denoisers import baselines
from elslib.denoisers import local_wiener as local_wiener_module
from elslib.denoisers.baselines import (
    NearestImage,
    PcaLocality,
    StationaryWienerFilter,
    WienerFilter,
)
from elslib.denoisers.local_wiener import LocalWienerFilter
from elslib.denoisers.machines import Denoiser, IdealScore, LocalScore
from elslib.scales import constant_scale
from elslib.schedules import Schedule, ornstein_uhlenbeck
from elslib.windows import Window


def local_wiener(images, **more):
    """With windows of three pixels, for zero padding."""
    return LocalWienerFilter(images, constant_scale(3), **more)


LINEAR = (WienerFilter, StationaryWienerFilter, local_wiener)
ALL = (*LINEAR, PcaLocality, NearestImage)
TIMES = (0.03, 0.3, 0.7, 1.0)


def wiener_loop(x, images, alpha, sigma):
    """(D, W) for x [c, h, w] by the formulas, in float64: no decomposition, a plain inverse."""
    x, images = np.asarray(x, np.float64), np.asarray(images, np.float64)
    flat = images.reshape(len(images), -1)
    m = flat.mean(0)
    s = sum(np.outer(p - m, p - m) for p in flat) / len(flat)
    one = np.eye(len(m))
    d = m + alpha * s @ np.linalg.inv(alpha**2 * s + sigma**2 * one) @ (x.ravel() - alpha * m)
    return d.reshape(x.shape), s @ np.linalg.inv(s + sigma**2 / alpha**2 * one)


def pca_loop(x, images, alpha, sigma, threshold):
    """PCA locality for x [c, h, w] in float64: loops over values, their windows and images."""
    _, weight = wiener_loop(x, images, alpha, sigma)
    own = np.diag(weight)[:, None]
    ratio = np.where(own > 1e-6, np.abs(weight / own), 0)
    x, images = np.asarray(x, np.float64), np.asarray(images, np.float64)
    q, flat = x.ravel(), images.reshape(len(images), -1)
    mean = np.zeros(len(q))
    for m in range(len(q)):
        window = [k for k in range(len(q)) if k == m or ratio[m, k] >= threshold * ratio.max()]
        logits = [-sum((q[k] - alpha * p[k]) ** 2 for k in window) / (2 * sigma**2) for p in flat]
        mean[m], *_ = oracles.average(logits, flat[:, m])
    return mean.reshape(x.shape)


def smooth_set(n, c, h, w, seed=0, dtype=torch.float32):
    """Images whose neighbouring pixels are alike, so that windows are neither empty nor all."""
    rough = image_set(n, c, h, w, seed, dtype=dtype)
    images = torch.stack([rough.pixels.roll(k, 3) for k in (0, 1, 2)]).mean(dim=0)
    return ImageSet(images, rough.labels, rough.class_names, "smooth")


# ---- laws of all of them


@pytest.mark.parametrize("baseline", ALL)
class TestEveryBaseline:
    @pytest.mark.parametrize("b", [2, 3, 5, 6])
    def test_a_batch_equals_one_by_one(self, baseline, b):
        """Also when b = c, b = h, b = w; with a label each, and times that differ."""
        images = smooth_set(9, 3, 5, 6)
        x = noisy(images, 0.4, b)
        label, t = torch.arange(b) % 3, torch.linspace(0.2, 0.9, b)
        denoise = baseline(images)
        assert isinstance(denoise, Denoiser)
        together = denoise(x, t, label)
        for i in range(b):
            alone = denoise(x[i : i + 1], float(t[i]), label[i : i + 1])
            assert torch.allclose(together[i], alone[0], rtol=0, atol=1e-5)

    def test_a_label_is_the_baseline_on_that_subset(self, baseline):
        """Exactly, whichever class was fitted before; a label nobody has raises."""
        images = smooth_set(12, 1, 5, 5)
        x = noisy(images, 0.3, 2)
        denoise = baseline(images)
        everything = denoise(x, 0.3)
        for y in (0, 1, 0):
            found = denoise(x, 0.3, torch.full((2,), y))
            assert torch.equal(found, baseline(images.subset(y))(x, 0.3))
            assert not torch.equal(found, everything)
        assert torch.equal(denoise(x, 0.3), everything)
        with pytest.raises(ValueError, match="label must be a class of 'smooth', got 7"):
            denoise(x, 0.3, torch.tensor([7, 7]))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_dtype_is_kept_and_the_input_untouched(self, baseline, dtype):
        """Float32 in, float32 out; float64 likewise; neither x nor the images change."""
        images = smooth_set(4, 2, 5, 5, dtype=dtype)
        x = noisy(images, 0.5, 2)
        before, images_before = x.clone(), images.pixels.clone()
        assert baseline(images)(x, 0.5).dtype == dtype
        assert torch.equal(x, before) and torch.equal(images.pixels, images_before)

    @pytest.mark.parametrize("t", TIMES)
    def test_one_image_is_always_the_answer(self, baseline, t):
        """Its covariance is zero, and there is nothing else to choose.

        Where its shifts count, too, it must be a plain one.
        """
        images = image_set(2, 1, 4, 4).first(1)
        if baseline in (StationaryWienerFilter, local_wiener):
            images = ImageSet(torch.full_like(images.pixels, 0.3))
        x = noisy(images, t, 2)
        expected = images.pixels.expand(2, 1, 4, 4)
        assert torch.allclose(baseline(images)(x, t), expected, rtol=0, atol=1e-6)

    def test_order_of_the_images_changes_nothing(self, baseline):
        """The training set is a multiset."""
        images = smooth_set(8, 1, 5, 5)
        x = noisy(images, 0.5, 2)
        other = ImageSet(images.pixels.flip(0))
        assert torch.allclose(baseline(images)(x, 0.5), baseline(other)(x, 0.5), rtol=0, atol=1e-5)

    def test_the_schedule_is_used(self, baseline):
        """Another schedule at the time of the same levels gives the same."""
        images = smooth_set(8, 1, 5, 5, dtype=torch.float64)
        x = noisy(images, 0.5, 2)
        path = ornstein_uhlenbeck(1.0)
        t = -np.log(SCHEDULE.levels(0.5)[0])
        found = baseline(images, schedule=path)(x, float(t))
        assert torch.allclose(found, baseline(images)(x, 0.5), rtol=0, atol=1e-9)

    @pytest.mark.parametrize("t", [0.02, 0.9])
    def test_finite_far_from_the_data(self, baseline, t):
        """50 sigma away; those that average images stay among them."""
        images = smooth_set(6, 1, 5, 5)
        alpha, sigma = SCHEDULE.levels(t)
        found = baseline(images)(alpha * images.pixels[:1] + 50 * sigma, t)
        assert bool(torch.isfinite(found).all())
        assert baseline in LINEAR or float(found.abs().max()) <= 1 + 1e-5

    def test_bad_input_is_refused(self, as_installed, baseline):
        """Each error names the argument, the rule and the value."""
        denoise = baseline(image_set(4, 2, 5, 5))
        x = torch.zeros(1, 2, 5, 5)
        shapes = r"channels, height and width, got \(1, 5, 5\) and \(2, 5, 5\); one is"
        with pytest.raises(ValueError, match=shapes):
            denoise(x[:, :1], 0.5)
        with pytest.raises(ValueError, match="must share one dtype, .* got torch.float64 and tor"):
            denoise(x.double(), 0.5)
        with pytest.raises(ValueError, match="must be on one device, got meta and cpu"):
            denoise(x.to("meta"), 0.5)
        with pytest.raises(ValueError, match="x must be finite, got NaN or infinity; check the"):
            denoise(x * float("nan"), 0.5)
        with pytest.raises(ValueError, match="t must have sigma > 0, got 0.0; never evaluate at t"):
            denoise(x, 0.0)
        with pytest.raises(ValueError, match=r"t must lie in \[0, 1\], got 1.5"):
            denoise(x, 1.5)


# ---- the Wiener filter


@pytest.mark.parametrize("t", TIMES)
def test_wiener_is_the_posterior_mean_of_gaussian_data(t):
    """Images with exactly the mean and covariance of a known Gaussian, solved axis by axis.

    m +- a_k u_k, k = 1..d, have mean m and covariance sum_k a_k^2 u_k u_k^T / d. Along u_k, a
    Gaussian z of variance v seen as y = alpha z + sigma eps has the posterior mean
    alpha v y / (alpha^2 v + sigma^2).
    """
    generator = torch.Generator().manual_seed(0)
    u, _ = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))
    a = torch.logspace(-3, -0.3, 12, dtype=torch.float64)
    m = 0.4 * torch.rand(12, generator=generator, dtype=torch.float64)
    offsets = (a * u).T
    images = ImageSet(torch.cat([m + offsets, m - offsets]).view(24, 3, 2, 2))
    x = torch.randn(5, 3, 2, 2, generator=generator, dtype=torch.float64)
    alpha, sigma = SCHEDULE.levels(t)
    v = a**2 / 12
    y = (x.flatten(1) - alpha * m) @ u
    expected = m + (alpha * v * y / (alpha**2 * v + sigma**2)) @ u.T
    found = WienerFilter(images)(x, t)
    assert torch.allclose(found.flatten(1), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [2, 5, 36, 37, 90])
@pytest.mark.parametrize("t", [0.03, 1.0])
def test_wiener_equals_the_formula(n, t):
    """With a plain inverse; fewer images than values, as many, and more."""
    images = image_set(n, 3, 4, 3, dtype=torch.float64)
    x = noisy(images, t, 2)
    for b in range(2):
        expected, _ = wiener_loop(x[b], images.pixels, *SCHEDULE.levels(t))
        assert np.abs(WienerFilter(images)(x, t)[b].numpy() - expected).max() < 1e-9
        single = WienerFilter(images.to(dtype=torch.float32))(x.float(), t)[b]
        assert np.abs(single.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("linear", LINEAR)
def test_covariance_does_not_depend_on_its_parts(monkeypatch, linear):
    """Summed over few images at a time, the last part ragged."""
    images = image_set(50, 1, 4, 4, dtype=torch.float64)
    x = noisy(images, 0.3, 2)
    whole = linear(images)(x, 0.3)
    monkeypatch.setattr(baselines, "VALUES_PER_PASS", 7 * 16)
    assert torch.allclose(linear(images)(x, 0.3), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [6, 40])
def test_no_affine_estimator_is_better_than_wiener(n):
    """Mean squared error over the images and the noise, in closed form, of A x + b near the filter.

    E||A (alpha x_0 + sigma eps) + b - x_0||^2 with C = alpha A - 1 is
    tr(C S C^T) + sigma^2 |A|^2 + |C m + b|^2.
    """
    images = image_set(n, 2, 3, 3, dtype=torch.float64)
    alpha, sigma = SCHEDULE.levels(0.4)
    denoise, one = WienerFilter(images), torch.eye(18, dtype=torch.float64)
    b = denoise(torch.zeros(1, 2, 3, 3, dtype=torch.float64), 0.4).flatten()
    a = (denoise(one.view(18, 2, 3, 3), 0.4).flatten(1) - b).T
    flat = images.pixels.flatten(1)
    m, s = flat.mean(0), torch.cov(flat.T, correction=0)

    def error(a, b):
        c = alpha * a - one
        spread = torch.trace(c @ s @ c.T) + sigma**2 * a.square().sum()
        return float(spread + (c @ m + b).square().sum())

    generator = torch.Generator().manual_seed(0)
    for size in (1e-3, 1e-1):
        for _ in range(20):
            da = size * torch.randn(18, 18, generator=generator, dtype=torch.float64)
            db = size * torch.randn(18, generator=generator, dtype=torch.float64)
            up, down, best = error(a + da, b + db), error(a - da, b - db), error(a, b)
            assert min(up, down) > best
            # Quadratic with its minimum here: the same on both sides.
            assert abs(up - down) < 1e-9


def test_each_class_is_fitted_once(monkeypatch):
    """The decomposition is what takes long: one per class, whatever the number of steps."""
    fitted = []
    fit = baselines._fit
    monkeypatch.setattr(baselines, "_fit", lambda images: fitted.append(len(images)) or fit(images))
    for baseline in (WienerFilter, PcaLocality):
        fitted.clear()
        denoise = baseline(smooth_set(7, 1, 4, 4))
        x, label = torch.zeros(3, 1, 4, 4), torch.tensor([0, 1, 0])
        for t in (0.9, 0.5):
            denoise(x, t, label)
            denoise(x, t)
        assert fitted == [3, 2, 7]


def test_two_baselines_share_a_fit(monkeypatch):
    """Of the same images only; and it is let go with them."""
    fitted = []
    fit = baselines._fit
    monkeypatch.setattr(baselines, "_fit", lambda images: fitted.append(len(images)) or fit(images))
    images, x = smooth_set(7, 1, 4, 4), torch.zeros(3, 1, 4, 4)
    wiener, pca, double = WienerFilter(images), PcaLocality(images), images.to(dtype=torch.float64)
    wiener(x, 0.5)
    assert torch.equal(pca(x, 0.5), PcaLocality(images)(x, 0.5)) and fitted == [7]
    WienerFilter(double)(x.double(), 0.5)
    assert fitted == [7, 7]
    del wiener, pca
    WienerFilter(images)(x, 0.5)
    assert fitted == [7, 7, 7]


# ---- the Wiener filter that knows no places


def all_shifts(images: ImageSet) -> ImageSet:
    """The images at every cyclic shift."""
    assert images.labels is not None
    h, w = images.pixels.shape[2:]
    moved = [images.pixels.roll((dy, dx), (2, 3)) for dy in range(h) for dx in range(w)]
    return ImageSet(torch.cat(moved), images.labels.repeat(h * w), images.class_names)


@pytest.mark.parametrize("n", [1, 3, 20])
@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 4, 3)])
@pytest.mark.parametrize("t", TIMES)
def test_stationary_wiener_is_wiener_of_all_shifts(t, shape, n):
    """Written out: an eigendecomposition of n h w images; in colour, off the square, by class."""
    images = image_set(n, *shape, dtype=torch.float64)
    every = all_shifts(images)
    x = noisy(images, t, 3)
    for label in (None, torch.zeros(3, dtype=torch.long)):
        found = StationaryWienerFilter(images)(x, t, label)
        assert torch.allclose(found, WienerFilter(every)(x, t, label), rtol=0, atol=1e-9)


def test_stationary_wiener_moves_with_its_input():
    """Any cyclic shift; the filter that knows places does not."""
    images = smooth_set(9, 2, 5, 4)
    x = noisy(images, 0.5, 2)
    moved = x.roll((2, -1), (2, 3))
    free, fixed = StationaryWienerFilter(images), WienerFilter(images)
    expected = free(x, 0.5).roll((2, -1), (2, 3))
    assert torch.allclose(free(moved, 0.5), expected, rtol=0, atol=1e-6)
    assert not torch.allclose(fixed(moved, 0.5), fixed(x, 0.5).roll((2, -1), (2, 3)), atol=1e-2)


# ---- the local Wiener filter


def local_wiener_loop(x, images, alpha, sigma, window, circular):
    """D for x [c, h, w] by loops over pixels and places, in float64."""
    x, images = np.asarray(x, np.float64), np.asarray(images, np.float64)
    c, h, w = x.shape
    r, places = window // 2, [(i, j) for i in range(h) for j in range(w)]

    def offsets(i, j):
        inside = range(-r, r + 1)
        return [
            (a, b) for a in inside for b in inside
            if circular or (0 <= i + a < h and 0 <= j + b < w)
        ]  # fmt: skip

    def view(image, i, j):
        return np.array([image[:, (i + a) % h, (j + b) % w] for a, b in offsets(i, j)])

    found = np.zeros_like(x)
    for i, j in places:
        alike = [p for p in places if offsets(*p) == offsets(i, j)]
        views = np.array([view(image, *p).ravel() for image in images for p in alike])
        centres = np.array([image[:, p[0], p[1]] for image in images for p in alike])
        m, m0 = views.mean(0), centres.mean(0)
        S = (views - m).T @ (views - m) / len(views)
        S0 = (centres - m0).T @ (views - m) / len(views)
        inverse = np.linalg.inv(alpha**2 * S + sigma**2 * np.eye(len(m)))
        found[:, i, j] = m0 + alpha * S0 @ inverse @ (view(x, i, j).ravel() - alpha * m)
    return found


@pytest.mark.parametrize("edges", ["aware", "circular"])
@pytest.mark.parametrize("shape,window", [((1, 6, 5), 3), ((2, 5, 5), 5), ((3, 4, 5), 3)])
@pytest.mark.parametrize("t", TIMES)
def test_local_wiener_equals_the_loops(t, shape, window, edges):
    """Pooled over all places with the same window, for both borders, off the square, in colour."""
    images = smooth_set(6, *shape, dtype=torch.float64)
    x = noisy(images, t, 2)
    found = LocalWienerFilter(images, constant_scale(window), edges)(x, t)
    alpha, sigma = SCHEDULE.levels(t)
    for one, q in zip(found, x, strict=True):
        expected = local_wiener_loop(q, images.pixels, alpha, sigma, window, edges == "circular")
        assert np.allclose(one.numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("t", TIMES)
def test_local_wiener_that_sees_everything_is_wiener(t):
    """With borders each place has a window of its own; without, all places are alike."""
    images = smooth_set(9, 2, 5, 5, dtype=torch.float64)
    x = noisy(images, t, 2)
    for scale in (constant_scale(9), constant_scale(None)):
        everything = LocalWienerFilter(images, scale)(x, t)
        assert torch.allclose(everything, WienerFilter(images)(x, t), rtol=0, atol=1e-9)
    around = LocalWienerFilter(images, constant_scale(5), "circular")(x, t)
    assert torch.allclose(around, StationaryWienerFilter(images)(x, t), rtol=0, atol=1e-9)


def test_local_wiener_does_not_depend_on_its_parts(monkeypatch):
    """Moments in passes of a few images, windows in passes of a few places."""
    images = smooth_set(9, 2, 5, 5, dtype=torch.float64)
    x = noisy(images, 0.5, 2)
    expected = local_wiener(images)(x, 0.5)
    monkeypatch.setattr(local_wiener_module, "VALUES_PER_PASS", 700)
    assert torch.allclose(local_wiener(images)(x, 0.5), expected, rtol=0, atol=1e-12)


def test_local_wiener_refuses_what_it_is_not_made_for():
    """Fixed places have their own filter; soft windows have none here; no borders, no whole."""
    images = smooth_set(4, 1, 5, 5)
    with pytest.raises(ValueError, match="edges must be .*'aware' for zero .*, got 'fixed'; with"):
        LocalWienerFilter(images, constant_scale(3), "fixed")
    with pytest.raises(ValueError, match="scale must hold hard windows, got soft ones"):
        LocalWienerFilter(images, constant_scale(Window(3, boxes=2)))
    x = noisy(images, 0.5, 1)
    with pytest.raises(ValueError, match="window must be a side where the border is circular"):
        LocalWienerFilter(images, constant_scale(None), "circular")(x, 0.5)
    with pytest.raises(ValueError, match="window must be at most the image side for border='circu"):
        LocalWienerFilter(images, constant_scale(7), "circular")(x, 0.5)


# ---- PCA locality


@pytest.mark.parametrize("dtype,tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 3, 4)])
@pytest.mark.parametrize("t", TIMES)
def test_pca_locality_equals_the_loops(t, shape, dtype, tolerance):
    """In colour and off the square, for several thresholds."""
    images = smooth_set(7, *shape, dtype=dtype)
    x = noisy(images, t, 2)
    for threshold in (0.02, 0.3):
        found = PcaLocality(images, threshold)(x, t)
        for b in range(2):
            expected = pca_loop(x[b], images.pixels, *SCHEDULE.levels(t), threshold)
            assert np.abs(found[b].numpy() - expected).max() < tolerance


@pytest.mark.parametrize("t", TIMES)
def test_pca_locality_that_keeps_everything_is_ideal(t):
    """Threshold 0 keeps every value, even a constant one, with which nothing is correlated."""
    images = smooth_set(6, 2, 5, 5)
    images.pixels[:, 0, 2, 2] = 0.5
    x = noisy(images, t, 2)
    denoise = PcaLocality(images, 0.0)
    assert bool(denoise.windows(t).all())
    assert torch.allclose(denoise(x, t), IdealScore(images)(x, t), rtol=0, atol=1e-5)


@pytest.mark.parametrize("t", TIMES)
def test_pca_locality_of_uncorrelated_grey_pixels_is_local_with_one_pixel(t):
    """Columns of a Hadamard matrix are uncorrelated: S is diagonal, and so is W at every t."""
    h = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(4):
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)])
    images = ImageSet(h[:, 1:10].reshape(16, 1, 3, 3) * torch.linspace(0.4, 0.9, 3))
    denoise = PcaLocality(images)
    assert torch.equal(denoise.windows(t).view(9, 9), torch.eye(9, dtype=torch.bool))
    x = noisy(images, t, 3)
    local = LocalScore(images, constant_scale(1))
    assert torch.allclose(denoise(x, t), local(x, t), rtol=0, atol=1e-5)


def test_windows_grow_with_the_noise():
    """From the pixel alone to the neighbours that are mixed into it, along its row only."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(400, 1, 6, 6, generator=generator) - 0.5
    denoise = PcaLocality(ImageSet((2 * rough + rough.roll(1, 3)) / 3), 0.2)
    sizes = [int(denoise.windows(t).sum()) for t in (0.005, 0.05, 0.4)]
    assert sizes == sorted(sizes) and sizes[0] == 36 and sizes[-1] == 3 * 36
    window = denoise.windows(0.4)[0, 2, 2, 0]
    assert bool(window[2, 1:4].all())
    assert not bool(window[[0, 1, 3, 4, 5]].any())


def test_windows_of_a_class():
    """Those of the baseline on the subset."""
    images = smooth_set(12, 1, 4, 4)
    found = PcaLocality(images).windows(0.3, 1)
    assert torch.equal(found, PcaLocality(images.subset(1)).windows(0.3))
    assert not torch.equal(found, PcaLocality(images).windows(0.3))


@pytest.mark.parametrize("faint", [0.0, 1e-3])
def test_a_value_always_compares_itself(faint):
    """A pixel that is constant, or all but, has no ratios or huge ones; no window is empty."""
    images = smooth_set(6, 1, 4, 4, dtype=torch.float64).pixels.clone()
    images[:, 0, 0, 0] = -1 + faint * (images[:, 0, 0, 1] > 0)
    denoise = PcaLocality(ImageSet(images))
    for t in (0.003, 0.3):
        windows = denoise.windows(t).view(16, 16)
        assert bool(windows.diagonal().all())
        alpha, sigma = SCHEDULE.levels(t)
        _, weight = wiener_loop(images[0], images, alpha, sigma)
        if faint and t == 0.003:  # without the exception, every window would lose its own value
            assert 0.02 * np.abs(weight / np.diag(weight)[:, None]).max() > 1
        found = denoise(torch.as_tensor(alpha * images[:2]), t)
        assert float((found[:, 0, 0, 0] + 1).abs().max()) <= faint + 1e-12


def test_pca_locality_does_not_depend_on_its_parts(monkeypatch):
    """Summed over few images at a time, the last part ragged, the peak anywhere."""
    images = smooth_set(11, 1, 5, 5)
    for t in (0.05, 0.7):
        x = noisy(images, t, 11)
        whole = PcaLocality(images)(x, t)
        for some in (1, 3, 4):
            with monkeypatch.context() as patch:
                patch.setattr(baselines, "VALUES_PER_PASS", some * 25)
                parts = PcaLocality(images)(x, t)
            assert torch.allclose(parts, whole, rtol=0, atol=1e-5)


def test_float32_keeps_its_digits_in_high_noise_and_far_away():
    """Sums over a whole image, where most of each distance is common to all images.

    Without taking that out first, float32 is wrong by 2e-5 and 1e-2 here.
    """
    images = smooth_set(40, 1, 32, 32)
    exact = PcaLocality(images.to(dtype=torch.float64), 0.0)
    x = noisy(images, 1.0, 2)
    for far, tolerance in ((0.0, 2e-6), (20.0, 1e-3)):
        found, expected = PcaLocality(images, 0.0)(x + far, 1.0), exact(x.double() + far, 1.0)
        assert torch.allclose(found.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("t", [0.003, 0.05])
def test_near_duplicates_keep_their_weights(t):
    """Images a thousandth apart at the lowest noise, in float32 against the loops."""
    base = image_set(2, 1, 5, 5).pixels[:1]
    generator = torch.Generator().manual_seed(3)
    images = (base + 2e-3 * torch.randn(5, 1, 5, 5, generator=generator)).clamp(-1, 1)
    alpha, sigma = SCHEDULE.levels(t)
    x = alpha * images[:1] + sigma * torch.randn(1, 1, 5, 5, generator=generator)
    found = PcaLocality(ImageSet(images), 0.0)(x, t)
    mean, *_ = oracles.whole_image(x[0], images, alpha, sigma, shifts=False)
    assert np.abs(found[0].numpy() - mean).max() < 1e-5


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_bad_threshold_is_refused(threshold):
    """It is a share of the largest ratio."""
    message = rf"threshold must lie in \[0, 1\], got {threshold}; the paper uses .02 to .05"
    with pytest.raises(ValueError, match=message):
        PcaLocality(image_set(2, 1, 4, 4), threshold)


# ---- the nearest image


@pytest.mark.parametrize("t", TIMES)
def test_nearest_image_equals_the_loops(t):
    """The image whose alpha-scaled version is nearest."""
    images = image_set(9, 2, 4, 5)
    x = noisy(images, t, 9, seed=2)
    alpha, _ = SCHEDULE.levels(t)
    found = NearestImage(images)(x, t)
    for b in range(9):
        distances = [((x[b].double() - alpha * p.double()) ** 2).sum() for p in images.pixels]
        assert torch.equal(found[b], images.pixels[int(np.argmin(distances))])


def test_nearest_image_is_ideal_without_noise():
    """IS with the same alpha and sigma -> 0, at any x; and a scaled datum gives the datum."""
    images = image_set(6, 1, 5, 5)
    alpha, sigma = SCHEDULE.levels(0.5)
    x = noisy(images, 0.5, 6, seed=2)
    quiet = Schedule("quiet", lambda t: SCHEDULE.angle(t) * 1e-3)
    found = NearestImage(images)(x, 0.5)
    ideal = IdealScore(images, schedule=quiet)(x / alpha, 0.5)
    assert torch.allclose(found, ideal, rtol=0, atol=1e-4)
    assert torch.equal(NearestImage(images)(alpha * images.pixels, 0.5), images.pixels)


def test_nearest_image_tells_near_duplicates_apart():
    """Images so alike that expanded squares in float32 take one for another."""
    base = image_set(2, 1, 9, 9).pixels[:1]
    generator = torch.Generator().manual_seed(3)
    images = base + 1e-5 * torch.randn(9, 1, 9, 9, generator=generator)
    alpha, _ = SCHEDULE.levels(0.2)
    found = NearestImage(ImageSet(images.clamp(-1, 1)))(alpha * images.clamp(-1, 1), 0.2)
    assert torch.equal(found, images.clamp(-1, 1))
