"""Noise schedules and conversions."""

import math
import pickle
from dataclasses import replace

import pytest
import torch

from elslib import schedules
from elslib.schedules import Schedule, edm, linear, ornstein_uhlenbeck

ABAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
ALL = [
    schedules.cosine(),
    schedules.linear(),
    schedules.ornstein_uhlenbeck(),
    schedules.edm(),
    schedules.flow(),
    schedules.from_alphas_cumprod(ABAR),
]


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)
def test_variance_is_preserved_and_noise_grows(schedule):
    """alpha^2 + sigma^2 = 1, from data to noise, monotonically."""
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    assert torch.allclose(alpha**2 + sigma**2, torch.ones_like(t), atol=1e-14)
    assert bool((sigma.diff() > 0).all()) and bool((alpha.diff() <= 0).all())
    assert bool((alpha.diff()[sigma[1:] > 1e-6] < 0).all())  # below it rounds to 1
    assert float(sigma[0]) == 0 and float(alpha[0]) == 1


def test_cosine_is_the_published_one():
    """alpha_1 = 0.0125, and no digits are lost near t = 0."""
    schedule = schedules.cosine()
    assert schedule.levels(1.0)[0] == pytest.approx(0.012466, abs=1e-6)
    t = 1 / 150
    assert schedule.levels(t)[1] == pytest.approx(math.sin(math.pi * t / 2.016), rel=1e-14)


def test_linear_integrates_its_rate():
    """alpha^2 is exp of minus the integral of rate_min + (rate_max - rate_min) t."""
    alpha, sigma = schedules.linear(0.1, 20).levels(0.5)
    integral = 0.1 * 0.5 + 19.9 * 0.5**2 / 2
    assert alpha**2 == pytest.approx(math.exp(-integral), rel=1e-12)
    assert schedules.linear().levels(1e-9)[1] == pytest.approx(math.sqrt(0.1e-9), rel=1e-6)


def test_ornstein_uhlenbeck_decays_exponentially():
    """alpha = exp(-horizon t)."""
    assert schedules.ornstein_uhlenbeck(5.0).levels(0.3)[0] == pytest.approx(math.exp(-1.5))


def test_conversions_undo_each_other():
    """From posterior mean to noise or velocity and back; the score is -eps / sigma."""
    generator = torch.Generator().manual_seed(0)
    x, x0 = torch.randn(2, 2, 1, 3, 3, generator=generator, dtype=torch.float64)
    alpha, sigma = schedules.cosine().levels(0.4)
    eps = schedules.noise_from_denoised(x, x0, alpha, sigma)
    a, s = torch.tensor([alpha, sigma], dtype=torch.float64)
    assert torch.allclose(schedules.denoised_from_noise(x, eps, a, s), x0)
    v = a * eps - s * x0
    assert torch.allclose(schedules.denoised_from_velocity(x, v, a, s), x0)
    assert torch.allclose(schedules.score_from_denoised(x, x0, alpha, sigma), -eps / sigma)


def test_bad_arguments():
    """Times outside [0, 1] and impossible rates."""
    with pytest.raises(ValueError, match=r"t must lie in \[0, 1\], got -0.1"):
        schedules.cosine().alpha(-0.1)
    with pytest.raises(ValueError, match="0 < rate_min <= rate_max, both finite, got 3 and 1"):
        schedules.linear(3, 1)
    with pytest.raises(ValueError, match="horizon must be positive and finite, got 0"):
        schedules.ornstein_uhlenbeck(0)


def test_levels_of_a_batch_fit_its_images():
    """One pair for each image, shaped to multiply it, with its dtype."""
    t, x = torch.tensor([0.2, 0.9]), torch.zeros(2, 3, 4, 4)
    alpha, sigma = schedules.cosine().batch_levels(t, x)
    assert alpha.shape == sigma.shape == (2, 1, 1, 1) and alpha.dtype == x.dtype
    expected = [schedules.cosine().levels(float(time)) for time in t]
    assert torch.allclose(torch.cat([alpha, sigma], 1)[:, :, 0, 0], torch.tensor(expected))


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)
@pytest.mark.parametrize("ratio", [1e-6, 0.01, 1.0, 10.0])
def test_time_at_inverts_the_noise_ratio(schedule, ratio):
    """To the digits that the angle has, also at very low noise."""
    alpha, sigma = schedule.levels(schedule.time_at(ratio))
    assert sigma / alpha == pytest.approx(ratio, rel=1e-6)
    with pytest.raises(ValueError, match="ratio must lie in"):
        schedule.time_at(2 * schedule.noise_ratio(1.0))


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)
def test_time_at_holds_its_own_ends(schedule):
    """Also where sigma / alpha rounds otherwise; beyond them there is no time."""
    alpha, sigma = schedule.levels(1.0)
    for end in (sigma / alpha, schedule.noise_ratio(1.0)):
        assert schedule.time_at(end * (1 + 1e-12)) == schedule.time_at(end * (1 - 1e-12)) == 1
    assert schedule.time_at(0.0) == 0
    late = replace(schedule, angle=lambda t: schedule.angle((1 + t) / 2))
    low = late.noise_ratio(0.0)
    assert late.time_at(low) == 0 and late.time_at(1.1 * low) > 0
    for wrong in (0.9 * low, 0.0, -1.0, math.nan, math.inf, 1.001 * sigma / alpha):
        with pytest.raises(ValueError, match=r"ratio must lie in .* at t = 0 and 1, got"):
            late.time_at(wrong)


@pytest.mark.parametrize("make", [schedules.cosine, schedules.linear, schedules.ornstein_uhlenbeck])
def test_schedules_compare_by_value_and_can_be_pickled(make):
    """So a sampler can notice another schedule, and machines can be sent to other processes."""
    assert make() == make() == pickle.loads(pickle.dumps(make()))
    assert schedules.linear(0.1, 20) != schedules.linear(0.1, 10) != schedules.cosine()


def test_the_paths_of_others():
    """EDM's noise levels, the straight line, a table of steps; and how they scale x."""
    edm, flow, steps = ALL[3:]
    assert edm.noise_ratio(1.0) == pytest.approx(80) and edm.time_at(80.0) == 1
    assert edm.noise_ratio(0.5) == pytest.approx(80 * 0.5**7, rel=1e-9)
    assert edm.time_at(0.002) == pytest.approx((0.002 / 80) ** (1 / 7), rel=1e-9)
    for t in (0.1, 0.5, 0.9, 1.0):
        alpha, sigma = flow.levels(t)
        assert (alpha / (alpha + sigma), sigma / (alpha + sigma)) == pytest.approx((1 - t, t))
        assert float(flow.own_scale(t)) * alpha == pytest.approx(1 - t)
        assert float(edm.own_scale(t)) * edm.levels(t)[0] == pytest.approx(1)
        assert float(steps.own_scale(t)) == 1
    for k in (0, 1, 499, 999):
        assert float(steps.alpha((k + 1) / 1000)) ** 2 == pytest.approx(float(ABAR[k]), rel=1e-9)
    assert steps.steps == 1000 and steps == schedules.from_alphas_cumprod(ABAR.tolist())
    assert schedules.from_alphas_cumprod([0.9, 0.0]).levels(1.0)[0] == pytest.approx(0, abs=1e-16)


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: schedules.edm(0), "sigma_max and rho must be positive, got 0 and 7"),
        (lambda: schedules.edm(80, -1), "sigma_max and rho must be positive, got 80 and -1"),
        (lambda: schedules.from_alphas_cumprod([0.5]), "values must fall within .* at least two"),
        (lambda: schedules.from_alphas_cumprod([0.5, 0.5]), "values must fall within"),
        (lambda: schedules.from_alphas_cumprod([1.0, 0.5]), "values must fall within"),
        (lambda: schedules.from_alphas_cumprod([0.5, float("nan")]), "values must fall within"),
    ],
)
def test_paths_that_are_none(make, message):
    """Betas in the place of alphas_cumprod grow, say."""
    with pytest.raises(ValueError, match=message):
        make()


def test_ends_in_float32():
    """The last noise level, rounded, is still of the schedule; so it is for D(x; sigma)."""
    for largest in (14.6146, 80.0, 99.995):
        assert edm(largest).time_at(float(torch.tensor(largest))) == pytest.approx(1.0, abs=1e-6)
        with pytest.raises(ValueError, match="ratio must lie in"):
            edm(largest).time_at(largest * 1.001)


@pytest.mark.parametrize(
    "make", [lambda: ornstein_uhlenbeck(math.inf), lambda: linear(0.1, math.inf)]
)
def test_rates_must_be_finite(make):
    """Else the data would be noise at once."""
    with pytest.raises(ValueError, match="finite"):
        make()


def test_coordinates_must_be_known(as_installed):
    """When the schedule is made."""
    with pytest.raises(ValueError, match="coordinates must be one of vp, ve, flow, got 'VE'"):
        Schedule("mine", lambda t: t, "VE")  # pyright: ignore
