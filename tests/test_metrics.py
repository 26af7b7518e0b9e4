"""Measures of agreement."""

from dataclasses import astuple

import numpy as np
import pytest
import torch

from elslib.analysis import intervals, metrics

A = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
B = A + 0.5 * torch.randn(A.shape, generator=torch.Generator().manual_seed(1))


def test_pearson_is_numpys():
    """One mean over channels and pixels, as in the released script."""
    expected = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(A, B, strict=True)]
    assert torch.allclose(metrics.pearson_r(A, B), torch.tensor(expected), atol=1e-6)
    assert torch.allclose(metrics.r_squared(A, B), metrics.pearson_r(A, B) ** 2)


def test_r_forgives_contrast_and_r2_does_not():
    """An affine map keeps r at 1 and lowers R^2, below zero if it is bad enough."""
    assert torch.allclose(metrics.pearson_r(3 * A + 1, A), torch.ones(4).double())
    assert bool((metrics.coefficient_of_determination(3 * A + 1, A) < 0).all())
    assert torch.allclose(metrics.coefficient_of_determination(A, A), torch.ones(4).double())


def test_r2_is_one_minus_the_residual_share():
    """Against the definition."""
    residual = ((B - A) ** 2).sum((1, 2, 3))
    total = ((A - A.mean((1, 2, 3), keepdim=True)) ** 2).sum((1, 2, 3))
    found = metrics.coefficient_of_determination(B, A)
    assert torch.allclose(found.float(), 1 - residual / total, atol=1e-5)


def test_the_interval_covers_the_median_as_often_as_it_says():
    """200 data sets of 40 normal draws: coverage of 0 within six standard errors of 95%."""
    generator = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(200):
        interval = intervals.median_interval(torch.randn(40, generator=generator), draws=400)
        hits += interval.low <= 0 <= interval.high
    assert abs(hits / 200 - 0.95) < 6 * (0.95 * 0.05 / 200) ** 0.5


def test_the_mean_has_its_interval():
    """Of the mean, with about twice the standard error to each side."""
    values = torch.randn(400, generator=torch.Generator().manual_seed(1)) + 5
    interval = intervals.mean_interval(values)
    error = float(values.std()) / 20
    assert interval.estimate == pytest.approx(float(values.mean()), abs=1e-6)
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * error, rel=0.05)
    with pytest.raises(ValueError, match="values must be finite"):
        intervals.mean_interval(torch.tensor([float("nan")]))


def test_the_interval_of_a_share():
    """Against published values of Wilson's interval; symmetric; open to what was never seen."""
    assert astuple(intervals.share_interval(40, 40)) == pytest.approx((1, 0.9124, 1.0), abs=1e-4)
    assert astuple(intervals.share_interval(0, 10)) == pytest.approx((0, 0.0, 0.2775), abs=1e-4)
    three, seven = intervals.share_interval(3, 10), intervals.share_interval(7, 10)
    assert astuple(seven) == pytest.approx((0.7, 1 - three.high, 1 - three.low))
    for bad in ((11, 10), (-1, 10), (0, 0)):
        with pytest.raises(ValueError, match=r"hits must lie in 0..n"):
            intervals.share_interval(*bad)
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\), got 1"):
        intervals.share_interval(1, 2, level=1)


def test_cohens_kappa():
    """A worked example: 25 + 20 of 50 doubly rated answers differ in the usual way (kappa .4)."""
    yes_yes, yes_no, no_yes, no_no = 20, 5, 10, 15
    a = torch.tensor([1] * (yes_yes + yes_no) + [0] * (no_yes + no_no))
    b = torch.tensor([1] * yes_yes + [0] * yes_no + [1] * no_yes + [0] * no_no)
    kappa = intervals.kappa_interval(a, b)
    assert kappa.estimate == pytest.approx(0.4)
    # Fleiss, Cohen and Everitt's large-sample standard error for this table is .1283.
    assert kappa.high - kappa.low == pytest.approx(2 * 1.96 * 0.1283, rel=0.05)
    assert intervals.kappa_interval(a, a).estimate == intervals.kappa_interval(a, a).low == 1
    shuffled = b[torch.randperm(50, generator=torch.Generator().manual_seed(0))]
    assert (
        intervals.kappa_interval(a, shuffled).low < 0 < intervals.kappa_interval(a, shuffled).high
    )
    with pytest.raises(ValueError, match="must be two lists of equally many answers"):
        intervals.kappa_interval(a, b[1:])
    with pytest.raises(ValueError, match="not all be the same answer, got 2 throughout"):
        intervals.kappa_interval(torch.tensor([2, 2]), torch.tensor([2, 2]))
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\), got 0"):
        intervals.kappa_interval(a, b, level=0)


def test_nearest_image():
    """The image itself, at distance 0; and a root mean square."""
    index, distance = metrics.nearest_image(A[[2, 0]], A)
    assert index.tolist() == [2, 0] and float(distance.max()) < 1e-6
    _, distance = metrics.nearest_image(A[:1] + 0.1, A)
    assert float(distance) == pytest.approx(0.1, rel=1e-4)


def test_near_copies():
    """A training image with a little noise is one; the middle of two images is none."""
    between = (A[:1] + A[1:2]) / 2
    assert metrics.near_copies(torch.cat([A[:1] + 1e-3, between]), A).tolist() == [True, False]
    with pytest.raises(ValueError, match="images must hold at least two different ones, got 1"):
        metrics.near_copies(A, A[:1])


def test_shapes_are_not_broadcast(as_installed):
    """One image against four is refused."""
    with pytest.raises(ValueError, match="images must have one shape"):
        metrics.pearson_r(A[:1], A)


def test_bad_input():
    """Undefined correlations, no values, NaN, a level of 1."""
    flat = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match="must not hold a constant image"):
        metrics.pearson_r(flat, flat)
    with pytest.raises(ValueError, match="truth must not hold a constant image"):
        metrics.coefficient_of_determination(flat, flat)
    with pytest.raises(ValueError, match="values must be finite and hold at least one"):
        intervals.median_interval(torch.tensor([float("nan")]))
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\), got 1"):
        intervals.median_interval(torch.ones(3), level=1)


def test_nearest_shift_is_that_of_a_search():
    """Colour, odd and even sides; a shifted training image is found to rounding."""
    generator = torch.Generator().manual_seed(0)
    x, images = (torch.randn(n, 2, 5, 6, generator=generator) for n in (3, 4))
    x[2] = images[1].roll((2, -1), (1, 2))
    shifts = [images.roll((i, j), (2, 3)) for i in range(5) for j in range(6)]  # (n, c, h, w) each
    expected = torch.stack([metrics.nearest_image(x, shifted)[1] for shifted in shifts]).amin(dim=0)
    assert torch.allclose(metrics.nearest_shift(x, images).double(), expected.double(), atol=1e-6)
    assert float(metrics.nearest_shift(x, images)[2]) < 1e-6


def test_an_interval_is_written_with_its_bounds():
    """In the format of its numbers, sign and all."""
    assert f"{intervals.Interval(0.934, 0.926, 0.9404):.2f}" == "0.93 [0.93, 0.94]"
    assert f"{intervals.Interval(0.2, -0.1, 0.3):+.1f}" == "+0.2 [-0.1, +0.3]"


def test_a_copy_of_an_image_the_set_holds_twice_is_one():
    """Else what is most likely to be memorised would never count as copied."""
    twice = torch.cat([A, A[:1]])
    assert metrics.near_copies(A[:2] + 1e-3, twice).tolist() == [True, True]


def test_constant_images_are_refused_in_every_precision():
    """Rounding leaves something of a constant image less its mean, in some float64 cases."""
    for value in (-0.7, 0.1, 1 / 3):
        constant = torch.full((1, 1, 32, 32), value, dtype=torch.float64)
        with pytest.raises(ValueError, match="a and b must not hold a constant image"):
            metrics.pearson_r(constant, torch.randn(1, 1, 32, 32).double())
        with pytest.raises(ValueError, match="truth must not hold a constant image"):
            metrics.coefficient_of_determination(constant + torch.rand(1, 1, 32, 32), constant)


def test_shapes_that_only_hold_as_many_numbers_are_refused(as_installed):
    """A single image without its batch axis, or another shape of the same size."""
    with pytest.raises(ValueError, match=r"must be a .* \[b, c, h, w\].* got .* \(3, 8, 8\)"):
        metrics.pearson_r(A[0], B[0])
    for distance in (metrics.nearest_image, metrics.nearest_shift):
        with pytest.raises(ValueError, match="must agree in channels, height and width"):
            distance(torch.zeros(1, 1, 4, 16), torch.zeros(3, 1, 16, 4))
