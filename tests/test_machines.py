"""The conformance suite for each machine, and the limits in which one machine is another."""

import numpy as np
import oracles
import pytest
import torch
from conformance import MachineLaws, image_set, noisy
from helpers import NETWORK, seeded

from elslib.analysis.receptive_field import receptive_field
from elslib.denoisers.baselines import WienerFilter
from elslib.denoisers.machines import (
    EquivariantLocalScore,
    EquivariantScore,
    IdealScore,
    LocalScore,
)
from elslib.denoisers.views import VelocityView
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.networks.wrapped import wrap
from elslib.posterior import merge, patch_posterior
from elslib.samplers import ddim, ddpm, heun, sample
from elslib.scales import constant_scale
from elslib.windows import Window


class TestIdealScore(MachineLaws):
    windows = (None,)
    engines = ("reference",)  # the only one that compares whole images

    def machine(self, images, window):
        return IdealScore(images)


class TestEquivariantScore(MachineLaws):
    windows = (None,)
    engines = ("reference",)  # the only one that compares whole images
    shift_equivariant = True

    def machine(self, images, window):
        return EquivariantScore(images)


class TestLocalScore(MachineLaws):
    windows = (1, 3, 7)

    def machine(self, images, window):
        return LocalScore(images, constant_scale(window))


class TestCircularEquivariantLocalScore(MachineLaws):
    windows = (1, 3, 5)
    shift_equivariant = True

    def machine(self, images, window):
        return EquivariantLocalScore(images, constant_scale(window), edges="circular")


class TestBorderAwareEquivariantLocalScore(MachineLaws):
    windows = (3, 5, 7)

    def machine(self, images, window):
        return EquivariantLocalScore(images, constant_scale(window))


class TestSoftLocalScore(MachineLaws):
    """A pyramid, and a fold: each pixel still compares with its own place."""

    windows = (Window(3, 2, 0.7), Window(3, response=3))

    def machine(self, images, window):
        return LocalScore(images, constant_scale(window))


class TestSoftCircularEquivariantLocalScore(MachineLaws):
    windows = (Window(3, 2, 1.4), Window(3, response=5))
    shift_equivariant = True

    def machine(self, images, window):
        return EquivariantLocalScore(images, constant_scale(window), edges="circular")


class TestSoftBorderAwareEquivariantLocalScore(MachineLaws):
    """The border rule is that of the side, or of another, and windows see zeros outside."""

    windows = (Window(3, 2, 0.7, response=3, edge=5), Window(3, 2), Window(5, response=3))

    def machine(self, images, window):
        return EquivariantLocalScore(images, constant_scale(window))


IMAGES = image_set(4, 2, 7, 7)
X = noisy(IMAGES, 0.3, 2)


def means(*machines):
    return [machine(X, 0.3) for machine in machines]


def test_local_with_a_window_over_everything_is_ideal():
    """LS with odd k >= 2 max(h, w) - 1, clipped, is IS."""
    for side in (13, 15, None):
        a, b = means(LocalScore(IMAGES, constant_scale(side)), IdealScore(IMAGES))
        assert torch.allclose(a, b, rtol=0, atol=1e-5)


def test_border_aware_with_a_window_of_the_side_is_local():
    """bbELS with odd k >= max(h, w) is LS; just below, it is not."""
    for side in (7, 9):
        a, b = means(
            EquivariantLocalScore(IMAGES, constant_scale(side)),
            LocalScore(IMAGES, constant_scale(side)),
        )
        assert torch.allclose(a, b, rtol=0, atol=1e-5)
    a, b = means(
        EquivariantLocalScore(IMAGES, constant_scale(3)), LocalScore(IMAGES, constant_scale(3))
    )
    assert not torch.allclose(a, b, rtol=0, atol=1e-2)


def test_border_aware_with_one_pixel_is_circular():
    """bbELS with k = 1 is circular ELS with k = 1: no window reaches a border."""
    a, b = means(
        EquivariantLocalScore(IMAGES, constant_scale(1)),
        EquivariantLocalScore(IMAGES, constant_scale(1), edges="circular"),
    )
    assert torch.allclose(a, b, rtol=0, atol=1e-5)


def test_circular_with_a_window_of_the_odd_side_is_equivariant():
    """Circular ELS on an odd square with k = side is ES, counted with multiplicity."""
    a, b = means(
        EquivariantLocalScore(IMAGES, constant_scale(7), edges="circular"), EquivariantScore(IMAGES)
    )
    assert torch.allclose(a, b, rtol=0, atol=1e-5)


def test_an_edge_query_never_uses_an_interior_patch():
    """Border-aware: every origin lies where the oracle's rule allows, exactly."""
    images = image_set(3, 1, 8, 8)
    x = noisy(images, 0.6, 1)
    for window in (3, 5):
        origins = (
            EquivariantLocalScore(images, constant_scale(window)).posterior(x, 0.6, top=200).origins
        )
        assert origins is not None
        for i in range(8):
            for j in range(8):
                used = origins.image[0, :, i, j] >= 0
                rows = origins.row[0, used, i, j].tolist()
                cols = origins.col[0, used, i, j].tolist()
                allowed = set(oracles.admissible(i, j, 8, 8, window, "aware"))
                assert set(zip(rows, cols, strict=True)) == allowed
                assert int(used.sum()) == 3 * len(allowed)


def test_origins_of_whole_images():
    """IS points at one image, same place; ES at one image and one shift for all pixels."""
    images = image_set(4, 1, 5, 5).pixels[:3]
    x = images[1:2].roll((2, 1), (2, 3))
    ideal = patch_posterior(images[2:], images, 1.0, 0.1, None, "fixed", top=4).origins
    shifted = patch_posterior(x, images, 1.0, 0.1, None, "circular", top=1).origins
    assert ideal is not None and shifted is not None
    assert (ideal.image[0, 0] == 2).all() and (ideal.image[0, 3] == -1).all()
    assert torch.equal(ideal.row[0, 0], torch.arange(5)[:, None].expand(5, 5))
    assert (shifted.image == 1).all()
    source = images[1, 0][shifted.row[0, 0], shifted.col[0, 0]]
    assert torch.equal(source, x[0, 0])


def test_log_evidence_is_the_log_of_the_mean_weight():
    """Twice the same data: the sum doubles, the evidence stays."""
    images = IMAGES.pixels
    once = patch_posterior(X, images, 0.8, 0.6, 3, "aware")
    twice = patch_posterior(X, torch.cat([images, images]), 0.8, 0.6, 3, "aware")
    assert torch.allclose(once.log_evidence, twice.log_evidence, atol=1e-6)
    assert torch.allclose(once.mean, twice.mean, atol=1e-6)


@pytest.mark.parametrize(
    "change,message",
    [
        ({"window": 4}, "window must be an odd positive integer or None, got 4"),
        ({"window": -3}, "window must be an odd positive integer or None, got -3"),
        ({"window": 9, "border": "circular"}, "window must be at most the image side"),
        ({"sigma": 0.0}, "alpha must be >= 0 and sigma > 0, got 0.8 and 0.0"),
        ({"images": IMAGES.pixels[:0]}, "images must hold at least one"),
        ({"images": IMAGES.pixels[:, :1]}, "must agree in channels, height and width"),
        ({"images": IMAGES.pixels * float("nan")}, "images must be finite"),
        ({"x": X * float("nan")}, "x must be finite"),
        ({"top": -1}, "top must be at least 0"),
        ({"chunk": 0}, "chunk must be at least 1"),
    ],
)
def test_bad_input_is_refused(as_installed, change, message):
    """Each error names the argument, the rule and the value."""
    good = dict(x=X, images=IMAGES.pixels, alpha=0.8, sigma=0.6, window=3, border="aware")
    with pytest.raises(ValueError, match=message):
        patch_posterior(**{**good, **change})


def test_merging_posteriors_with_and_without_origins_is_refused():
    """The union's origins would be unknown."""
    bare = patch_posterior(X, IMAGES.pixels, 0.8, 0.6, 3, "aware")
    named = patch_posterior(X, IMAGES.pixels, 0.8, 0.6, 3, "aware", top=1)
    with pytest.raises(ValueError, match="origins must be present in both posteriors"):
        merge(bare, named)


ODD = [
    ({"t": torch.full((3,), 0.3)}, r"t must hold one entry per image, got the shape \(3,\)"),
    ({"t": torch.full((2, 1, 1, 1), 0.3)}, r"t must be a number or a floating-point tensor \[b\]"),
    ({"label": [0.0, 1]}, r"label must be whole numbers.*got \[0.0, 1\]; .* torch.tensor\(\[1, 0"),
    ({"label": [0, 1, 1]}, r"label must hold one entry per image, got the shape \(3,\) for a b"),
    ({"label": torch.tensor([0.0, 1.0])}, "label must be whole numbers"),
    ({"label": torch.tensor([True, False])}, "label must be whole numbers"),
    ({"label": "cat"}, "label must be whole numbers, one class per image or one for all, got 'ca"),
    ({"label": True}, "label must be the number of one class, got True"),
    ({"label": torch.tensor([1])}, r"label must hold one entry per image, got the shape \(1,\)"),
]


@pytest.mark.parametrize("odd, message", ODD)
def test_one_label_and_time_per_image(as_installed, odd, message):
    """Other lengths, shapes and types are refused, not broadcast."""
    machine = LocalScore(IMAGES, constant_scale(3))
    with pytest.raises(ValueError, match=message):
        machine(X, **{"t": 0.3, "label": None, **odd})


@pytest.mark.parametrize(
    "label, same",
    [(1, [1, 1]), (np.int64(1), [1, 1]), (torch.tensor(1), [1, 1]), ([0, 1], [0, 1]),
     ((1, 0), [1, 0]), (np.array([1, 0]), [1, 0])],
)  # fmt: skip
def test_classes_in_any_container(as_installed, label, same):
    """One for all, or one each, of machines, baselines, networks, views and samplers."""
    labels, machine = torch.tensor(same), LocalScore(IMAGES, constant_scale(3))
    told = wrap(lambda x, t, y: x + y.view(-1, 1, 1, 1), "x0", classes=2)
    for denoise in (machine, WienerFilter(IMAGES), told, VelocityView(machine)):
        assert torch.equal(denoise(X, 0.3, label), denoise(X, 0.3, labels))
    for sampler in (ddim, heun, ddpm, "heun"):
        if not isinstance(sampler, str):
            last, wanted = ([*sampler(told, X, [1.0, 0.5, 0.0], y)][-1] for y in (label, labels))
            assert torch.equal(last.x0, wanted.x0)
        found, wanted = (sample(told, X, y, 2, sampler=sampler) for y in (label, labels))
        assert torch.equal(found, wanted)
    network = NetworkDenoiser(seeded(NETWORK), NETWORK)
    x = torch.zeros(2, 3, 8, 8)
    assert torch.equal(network(x, 0.3, label), network(x, 0.3, labels))


@pytest.mark.parametrize("label", [torch.tensor([0, 1]), torch.tensor([1]), True, 1.0])
def test_the_posterior_of_one_class(as_installed, label):
    """Several classes, and what is no whole number, are refused, not compared one by one."""
    machine = LocalScore(IMAGES, constant_scale(3))
    with pytest.raises(ValueError, match="label must be the number of one class, got"):
        machine.posterior(X, 0.3, label)
    one = machine.posterior(X, 0.3, 1, top=1)
    same = machine.posterior(X, 0.3, torch.tensor(1), top=1)
    assert one.origins is not None and same.origins is not None
    assert torch.equal(same.mean, one.mean)
    assert torch.equal(same.origins.image, one.origins.image)


def test_machines_refuse_what_they_cannot_do():
    """t = 0, a time outside [0, 1], fixed edges."""
    machine = LocalScore(IMAGES, constant_scale(3))
    with pytest.raises(ValueError, match="never evaluate at t = 0"):
        machine(X, 0.0)
    with pytest.raises(ValueError, match=r"t must lie in \[0, 1\], got 1.5"):
        LocalScore(IMAGES, constant_scale(3))(X, 1.5)
    with pytest.raises(ValueError, match="edges must be 'circular', or 'aware' for zero padd"):
        EquivariantLocalScore(IMAGES, constant_scale(3), edges="fixed")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_gradient_flows_through_a_machine(dtype):
    """In either engine, rather than a wrong one, or an error far from its cause."""
    images = image_set(4, 1, 8, 8).to(dtype=dtype)
    x = torch.randn(1, 1, 8, 8, dtype=dtype, requires_grad=True)
    for machine in (
        IdealScore(images),
        EquivariantScore(images),
        LocalScore(images, constant_scale(3)),
    ):
        assert not machine(x, 0.5).requires_grad
    with pytest.raises(ValueError, match="gradient"):
        receptive_field(machine, x.detach(), 0.5)
