"""Samplers against closed forms, and the paper's two-image toy."""

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import FunctionDenoiser

from elslib.analysis.metrics import pearson_r
from elslib.data.image_set import ImageSet
from elslib.data.named import load
from elslib.denoisers.machines import EquivariantLocalScore, IdealScore
from elslib.denoisers.views import SigmaView, VelocityView
from elslib.samplers import (
    common_schedule,
    ddim,
    ddpm,
    geometric_times,
    heun,
    initial_noise,
    karras_times,
    sample,
    uniform_times,
)
from elslib.scales import ScaleTable, constant_scale
from elslib.schedules import cosine, edm, flow, from_alphas_cumprod, linear

SCHEDULE = cosine()
DIGITS = ImageSet(F.avg_pool2d(load("mnist_5k").select(range(0, 4500, 112)).pixels, 2))


def gaussian_denoiser(mean, variance, schedule=SCHEDULE):
    """The exact posterior mean for data N(mean, variance), pixel by pixel."""

    def denoise(x, t, label=None):
        times = torch.as_tensor(t, dtype=torch.float64).expand(len(x))
        alpha, sigma = schedule.batch_levels(times, x)
        return mean + alpha * variance * (x - alpha * mean) / (alpha**2 * variance + sigma**2)

    return FunctionDenoiser(denoise, schedule)


def gaussian_flow(x, mean, variance, schedule=SCHEDULE):
    """Where the probability flow (eq. 1) takes x from t = 1 to t = 0: the same quantile."""
    alpha, sigma = schedule.levels(1.0)
    return mean + (x - alpha * mean) * math.sqrt(variance / (alpha**2 * variance + sigma**2))


def test_ddim_converges_with_first_order_on_gaussian_data():
    """Error against the closed-form flow halves when the steps double."""
    x = initial_noise(range(4), (1, 3, 3)).double()
    truth = gaussian_flow(x, 0.3, 0.25)
    errors = []
    for n in (20, 40, 80, 160):
        *_, last = ddim(gaussian_denoiser(0.3, 0.25), x, uniform_times(n))
        errors.append(float((last.x0 - truth).abs().max()))
    orders = [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]
    assert all(0.85 < order < 1.15 for order in orders[1:]), orders


@pytest.mark.parametrize("schedule", [cosine(), flow(), edm()], ids=lambda s: s.name)
def test_heun_converges_with_second_order_on_gaussian_data(schedule):
    """Error against the closed-form flow falls fourfold when the steps double."""
    x = initial_noise(range(4), (1, 3, 3)).double()
    truth = gaussian_flow(x, 0.3, 0.25, schedule)
    errors = []
    for n in (40, 80, 160, 320):
        *_, last = heun(gaussian_denoiser(0.3, 0.25, schedule), x, uniform_times(n))
        errors.append(float((last.x0 - truth).abs().max()))
    orders = [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]
    assert all(1.8 < order < 2.3 for order in orders[1:]), (orders, errors)


@pytest.mark.parametrize("times", [uniform_times(150), geometric_times(150, SCHEDULE, 0.0105)])
def test_two_samplers_end_in_one_picture_where_some_patch_is_always_near(times):
    """Small windows at low noise: r of at least .999 at 150 steps."""
    x, ends = initial_noise(range(2), (1, 16, 16)), {}
    sides = ScaleTable((0.15, 0.65, 0.95, 1.0), (1, 3, 5, 7), "like those of a network")
    machine = EquivariantLocalScore(DIGITS, sides)
    for sampler in (ddim, heun):
        ends[sampler] = sample(machine, x, times=times, sampler=sampler)
    assert float(pearson_r(ends[ddim], ends[heun]).min()) > 0.999


def test_two_samplers_part_where_pixels_choose_between_patches():
    """Wide windows and few images: one path down to t = .2, then some pixels decide otherwise."""
    x, steps = initial_noise(range(2), (1, 16, 16)), {}
    machine = EquivariantLocalScore(DIGITS, constant_scale(5))
    for sampler in (ddim, heun):
        steps[sampler] = {step.i: step for step in sampler(machine, x, uniform_times(150))}
    r = [pearson_r(steps[ddim][i].x, steps[heun][i].x) for i in (120, 149)]
    assert float(r[0].min()) > 0.9998 and float(r[1].min()) < 0.999


def test_heun_is_the_published_loop():
    """Karras et al. (2022), algorithm 1, written out in their own coordinates; and Heun's method on
    the velocity of flow matching."""
    x = initial_noise(range(3), (1, 4, 4)).double()
    machine = gaussian_denoiser(0.3, 0.25, edm())
    times = karras_times(18, edm())
    sigmas = [edm().noise_ratio(t) for t in times]
    view, z = SigmaView(machine), x / edm().levels(1.0)[0]
    for here, after in zip(sigmas, sigmas[1:], strict=False):
        d = (z - view(z, here)) / here
        end = z + (after - here) * d
        if after > 0:
            end = z + (after - here) * (d + (end - view(end, after)) / after) / 2
        z = end
    assert float((sample(machine, x, times=times, sampler=heun) - z).abs().max()) < 1e-9
    machine = gaussian_denoiser(0.3, 0.25, flow())
    velocity, z, n = VelocityView(machine), x, 10
    for i in range(n, 0, -1):
        u = velocity(z, i / n)
        end = z - u / n
        if i > 1:
            end = z - (u + velocity(end, (i - 1) / n)) / 2 / n
        z = end
    assert float((sample(machine, x, n_steps=n, sampler=heun) - z).abs().max()) < 1e-9


def test_karras_times_are_the_published_levels():
    """From sigma_max to sigma_min, equal steps of the seventh root, then 0."""
    levels = [edm().noise_ratio(t) for t in karras_times(18, edm())]
    i = torch.arange(18, dtype=torch.float64)
    expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    assert levels[:-1] == pytest.approx(expected.tolist(), rel=1e-9) and levels[-1] == 0
    with pytest.raises(ValueError, match="n_steps must be at least 2, got 1; 18 is usual"):
        karras_times(1, edm())
    with pytest.raises(ValueError, match=r"sigma_min must lie in \(0, 80\), got 90"):
        karras_times(5, edm(), sigma_min=90)


def test_ddpm_has_the_variance_of_the_data_to_first_order():
    """Its error halves when the steps double, beyond six standard errors of the estimate; the mean
    has none."""
    x = initial_noise(range(40), (1, 32, 32))
    n_values, variance = x.numel(), 0.25
    off = []
    for n in (5, 10, 20):
        found = sample(gaussian_denoiser(0.3, variance), x, n_steps=n, sampler=ddpm)
        off.append(abs(float(found.var()) - variance))
        assert abs(float(found.mean()) - 0.3) < 6 * math.sqrt(variance / n_values)
    error = 6 * variance * math.sqrt(2 / n_values)
    assert off[2] > error, (off, error)
    for coarse, fine in zip(off, off[1:], strict=False):
        assert (coarse - error) / (fine + error) < 2.4 and (coarse + error) / (fine - error) > 1.6


def test_ddpm_draws_the_same_noise_whatever_the_batch():
    """An image decides its own; another has other noise."""
    denoise = gaussian_denoiser(0.0, 0.25)
    x = initial_noise([4, 17], (1, 8, 8))
    both = sample(denoise, x, sampler=ddpm)
    assert torch.equal(both[1:], sample(denoise, x[1:], sampler=ddpm))
    smooth = sample(denoise, x)
    r = torch.corrcoef((both - smooth).flatten(1))[0, 1]
    assert abs(float(r)) < 0.5 and float((both - smooth).abs().max()) > 0.1


def test_views_of_a_machine():
    """D(x; sigma) and the velocity at the same noise are the machine's; batches may mix levels."""
    machine, x = gaussian_denoiser(0.3, 0.25), initial_noise([0, 1], (1, 4, 4))
    levels = torch.tensor([0.5, 2.0])
    for i, ratio in enumerate(levels.tolist()):
        alpha, _ = SCHEDULE.levels(SCHEDULE.time_at(ratio))
        x0 = machine(x[i : i + 1], SCHEDULE.time_at(ratio))
        assert torch.allclose(SigmaView(machine)(x[i : i + 1] / alpha, ratio), x0, atol=1e-6)
        t = ratio / (1 + ratio)
        scaled = x[i : i + 1] / alpha * (1 - t)
        u = VelocityView(machine)(scaled, t)
        assert torch.allclose(scaled - t * u, x0, atol=1e-5)

    @FunctionDenoiser
    def told(x, t, label=None):
        return torch.as_tensor(t).reshape(-1, 1, 1, 1).expand_as(x).float()

    found = SigmaView(told)(x, levels)[:, 0, 0, 0].tolist()
    assert found == pytest.approx([SCHEDULE.time_at(r) for r in levels.tolist()])
    for t in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"t must lie in \(0, 1\], got"):
            VelocityView(machine)(x, t)
    with pytest.raises(ValueError, match="ratio must lie in"):
        SigmaView(machine)(x, 100.0)


def test_steps_are_the_records_they_claim_to_be():
    """First at t = 1 on the noise itself, last at 1/N; the input is not touched."""
    x = initial_noise([3], (1, 4, 4))
    before = x.clone()
    steps = list(ddim(gaussian_denoiser(0.0, 1.0), x, uniform_times(5)))
    assert [step.t for step in steps] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    assert torch.equal(steps[0].x, before) and torch.equal(x, before)


def test_a_seed_is_one_image_whatever_the_batch():
    """Seed 17 alone equals seed 17 among others."""
    assert torch.equal(initial_noise([17], (3, 8, 8))[0], initial_noise([4, 17], (3, 8, 8))[1])


def test_the_ideal_machine_returns_training_images():
    """Claim 1: IS memorises."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 1, 8, 8, generator=generator) * 2 - 1
    noise = initial_noise([0, 1, 2], (1, 8, 8))
    out = sample(IdealScore(ImageSet(images)), noise, n_steps=20)
    distance = (out[:, None] - images[None]).abs().flatten(2).amax(2).min(dim=1).values
    assert float(distance.max()) < 1e-3


def test_bad_grids():
    """Times must decrease; at least one step."""
    with pytest.raises(ValueError, match="times must decrease"):
        next(ddim(gaussian_denoiser(0, 1), initial_noise([0], (1, 2, 2)), [0.5, 0.6]))
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        uniform_times(0)
    for seeds in ([], [-1], [2**31]):
        with pytest.raises(ValueError, match="seeds must hold at least one in"):
            initial_noise(seeds, (1, 2, 2))


def test_seeds_of_numpy_and_fractions(as_installed):
    """NumPy's integers are seeds like any other; a fraction is none, rather than rounded."""
    seeds: Any = np.arange(2, dtype=np.int64)
    assert torch.equal(initial_noise(seeds, (1, 2, 2)), initial_noise([0, 1], (1, 2, 2)))
    fraction: Any = 0.5
    with pytest.raises(ValueError, match=r"seeds must be a sequence, .* got .*0\.5"):
        initial_noise([fraction], (1, 2, 2))


def test_float64_images_make_float64_samples():
    """Tensors decide the dtype, from the noise to the sample."""
    images = ImageSet(torch.rand(3, 1, 4, 4).double() * 2 - 1)
    noise = initial_noise([0], (1, 4, 4)).double()
    assert sample(IdealScore(images), noise, n_steps=3).dtype == torch.float64


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_machine_samples_on_the_gpu():
    """The same sample as on the CPU."""
    images = ImageSet(torch.rand(5, 1, 8, 8) * 2 - 1, torch.tensor([0, 1, 0, 1, 0]))
    label = torch.tensor([0, 1])
    noise = initial_noise([0, 1], (1, 8, 8))
    here = sample(EquivariantLocalScore(images, constant_scale(3)), noise, label, 5)
    there = EquivariantLocalScore(images.to("cuda"), constant_scale(3))
    out = sample(there, noise.cuda(), label.cuda(), 5)
    assert torch.allclose(out.cpu(), here, atol=1e-3)


def test_geometric_times_lower_the_noise_by_one_factor():
    """First 1, last 0, and sigma / alpha falls evenly to the last ratio."""
    times = geometric_times(5, cosine(), 1e-3)
    assert times[0] == 1 and times[-1] == 0 and len(times) == 6
    ratios = [sigma / alpha for alpha, sigma in map(cosine().levels, times[:-1])]
    factors = [b / a for a, b in zip(ratios, ratios[1:], strict=False)]
    assert ratios[-1] == pytest.approx(1e-3) and factors == pytest.approx([factors[0]] * 4)
    with pytest.raises(ValueError, match="n_steps must be at least 2"):
        geometric_times(1, cosine(), 1e-3)
    with pytest.raises(ValueError, match="last must lie in"):
        geometric_times(5, cosine(), 1e9)


def test_noise_levels_are_those_of_the_denoiser():
    """The same machine under another schedule takes other steps from the same times."""
    images, x = ImageSet(torch.rand(3, 1, 4, 4) * 2 - 1), initial_noise([0], (1, 4, 4))
    for schedule in (cosine(), linear()):
        alpha, sigma = schedule.levels(1.0)
        first, second = ddim(IdealScore(images, schedule=schedule), x, [1.0, 0.5, 0.0])
        eps = (x - alpha * first.x0) / sigma
        alpha, sigma = schedule.levels(0.5)
        assert torch.allclose(second.x, alpha * first.x0 + sigma * eps)


def test_a_denoiser_without_a_schedule_is_told_what_to_have(as_installed):
    """A plain function, and one whose schedule is only a name."""
    x, denoise = initial_noise([0], (1, 4, 4)), lambda x, t, label=None: x  # noqa: E731
    wrong: Any = denoise
    with pytest.raises(ValueError, match=r"denoise must have a \.schedule, .* got None of a funct"):
        sample(wrong, x, n_steps=2)
    wrong = FunctionDenoiser(denoise, cast(Any, "cosine"))
    with pytest.raises(ValueError, match=r"got 'cosine' of a FunctionDenoiser; set it, for exam"):
        next(ddim(wrong, x, [1.0, 0.0]))


def test_denoisers_that_are_compared_share_one_schedule():
    """It would read other noise levels from the same times."""
    denoise = gaussian_denoiser(0, 1)
    assert common_schedule(denoise) == common_schedule(denoise, denoise) == cosine()
    other = FunctionDenoiser(denoise, linear())
    with pytest.raises(ValueError, match="share one schedule .* got 'cosine' and 'linear'; give"):
        common_schedule(denoise, denoise, other)


def test_a_sample_is_at_time_0():
    """Where `ddim` stops before, its last estimate is no sample."""
    denoise, x = gaussian_denoiser(0.3, 0.25), initial_noise([0], (1, 3, 3))
    times = uniform_times(4)
    assert torch.equal(sample(denoise, x, times=times), sample(denoise, x, n_steps=4))
    with pytest.raises(ValueError, match="times must end at 0, got 0.5"):
        sample(denoise, x, times=[1.0, 0.5])
    with pytest.raises(ValueError, match="times must decrease and hold at least two"):
        sample(denoise, x, times=[])


@pytest.mark.parametrize("schedule", [flow(), from_alphas_cumprod([0.9, 0.5, 0.0])])
def test_levels_where_alpha_is_0(schedule):
    """The ratio is infinite at t = 1: it must be said where the levels fall from."""
    for made in (karras_times, lambda n, s, **rest: geometric_times(n, s, 0.01, **rest)):
        with pytest.raises(ValueError, match="sigma_max must be positive and finite for Schedule"):
            made(9, schedule)
        times = made(9, schedule, sigma_max=80.0)
        assert times[0] == 1 and times[-1] == 0 and len(times) == 10
        assert all(a - b > 1e-4 for a, b in zip(times, times[1:], strict=False))
    assert karras_times(9, edm(), sigma_max=80.0) == karras_times(9, edm())
