"""Samplers against closed forms, and the paper's two-image toy."""

import math

import pytest
import torch
import torch.nn.functional as F

from elslib.images import ImageSet
from elslib.machines import EquivariantLocalScore, IdealScore
from elslib.samplers import ddim, initial_noise, sample, uniform_times
from elslib.schedules import cosine
from elslib.windows import constant_scale

SCHEDULE = cosine()


def gaussian_denoiser(mean, variance):
    """The exact posterior mean for data N(mean, variance), pixel by pixel."""

    def denoise(x, t, label=None):
        alpha, sigma = SCHEDULE.levels(t)
        return mean + alpha * variance * (x - alpha * mean) / (alpha**2 * variance + sigma**2)

    return denoise


def gaussian_flow(x, mean, variance):
    """Where the probability flow (eq. 1) takes x from t = 1 to t = 0: the same quantile."""
    alpha, sigma = SCHEDULE.levels(1.0)
    return mean + (x - alpha * mean) * math.sqrt(variance / (alpha**2 * variance + sigma**2))


def test_ddim_converges_with_first_order_on_gaussian_data():
    """Error against the closed-form flow halves when the steps double."""
    x = initial_noise(range(4), (1, 3, 3)).double()
    truth = gaussian_flow(x, 0.3, 0.25)
    errors = []
    for n in (20, 40, 80, 160):
        *_, last = ddim(gaussian_denoiser(0.3, 0.25), x, uniform_times(n), SCHEDULE)
        errors.append(float((last.x0 - truth).abs().max()))
    orders = [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]
    assert all(0.85 < order < 1.15 for order in orders[1:]), orders


def test_steps_are_the_records_they_claim_to_be():
    """First at t = 1 on the noise itself, last at 1/N; the input is not touched."""
    x = initial_noise([3], (1, 4, 4))
    before = x.clone()
    steps = list(ddim(gaussian_denoiser(0.0, 1.0), x, uniform_times(5), SCHEDULE))
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
    out = sample(IdealScore(ImageSet(images)), noise, SCHEDULE, n_steps=20)
    distance = (out[:, None] - images[None]).abs().flatten(2).amax(2).min(dim=1).values
    assert float(distance.max()) < 1e-3


def test_bad_grids():
    """Times must decrease; at least one step."""
    with pytest.raises(ValueError, match="times must decrease"):
        next(ddim(gaussian_denoiser(0, 1), initial_noise([0], (1, 2, 2)), [0.5, 0.6], SCHEDULE))
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        uniform_times(0)
    for seeds in ([], [-1], [2**31]):
        with pytest.raises(ValueError, match="seeds must hold at least one in"):
            initial_noise(seeds, (1, 2, 2))


def test_float64_images_make_float64_samples():
    """Tensors decide the dtype, from the noise to the sample."""
    images = ImageSet(torch.rand(3, 1, 4, 4).double() * 2 - 1)
    noise = initial_noise([0], (1, 4, 4)).double()
    assert sample(IdealScore(images), noise, SCHEDULE, n_steps=3).dtype == torch.float64


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_machine_samples_on_the_gpu():
    """The same sample as on the CPU."""
    images = ImageSet(torch.rand(5, 1, 8, 8) * 2 - 1, torch.tensor([0, 1, 0, 1, 0]))
    label = torch.tensor([0, 1])
    noise = initial_noise([0, 1], (1, 8, 8))
    here = sample(EquivariantLocalScore(images, constant_scale(3)), noise, SCHEDULE, label, 5)
    there = EquivariantLocalScore(images.to("cuda"), constant_scale(3))
    out = sample(there, noise.cuda(), SCHEDULE, label.cuda(), 5)
    assert torch.allclose(out.cpu(), here, atol=1e-3)


# The toy of Fig. 3: all black, all white, 3x3 windows, periodic.
TOY = ImageSet(torch.stack([-torch.ones(1, 16, 16), torch.ones(1, 16, 16)]).double())
MACHINE = EquivariantLocalScore(TOY, constant_scale(3), edges="circular")


def majority(images):
    """+1 where at least 5 of the 9 pixels of the wrapped 3x3 window are white, else -1."""
    total = F.avg_pool2d(F.pad(images, [1] * 4, mode="circular"), 3, stride=1)
    return torch.where(total > 0, 1.0, -1.0).double()


def inconsistent_share(times, seeds=range(8)):
    """Share of pixels of the finished samples that differ from the majority of their window."""
    x = initial_noise(seeds, (1, 16, 16)).double()
    *_, last = ddim(MACHINE, x, times, SCHEDULE)
    signs = torch.where(last.x0 > 0, 1.0, -1.0).double()
    return float((majority(signs) != signs).double().mean())


def test_the_toys_fixed_points_are_the_majority_images():
    """As sigma -> 0 one denoising of a black/white image is its majority image, so exactly the
    images that equal their majority are fixed."""
    generator = torch.Generator().manual_seed(0)
    images = torch.where(torch.rand(20, 1, 16, 16, generator=generator) < 0.5, 1.0, -1.0).double()
    alpha, _ = SCHEDULE.levels(1e-3)
    assert torch.allclose(MACHINE(alpha * images, 1e-3), majority(images), atol=1e-9)
    stripes = torch.ones(1, 1, 16, 16).double()
    stripes[..., 4:12] = -1
    assert torch.allclose(MACHINE(alpha * stripes, 1e-3), stripes, atol=1e-9)


def test_large_steps_break_the_majority_rule():
    """Fig. 3c: fewer faults with more steps, fewest on a logarithmic grid to sigma/alpha = 1e-4."""
    shares = [inconsistent_share(uniform_times(n)) for n in (5, 20, 100)]
    angles = torch.atan(torch.logspace(math.log10(79), -4, 120, dtype=torch.float64))
    logarithmic = inconsistent_share((angles * 2.016 / math.pi).clamp(max=1).tolist())
    print(f"\ninconsistent pixels: 5/20/100 steps {shares}, logarithmic {logarithmic}")
    assert shares[0] > shares[1] > shares[2] > logarithmic
    assert logarithmic < 0.005 and shares[0] < 0.08
