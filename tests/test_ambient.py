"""Whatever the process that it lands in: a user's settings of torch change no number."""

from contextlib import contextmanager

import pytest
import torch

from elslib.analysis import calibration, intervals, metrics, mosaic, receptive_field
from elslib.data import named
from elslib.data.image_set import ImageSet
from elslib.denoisers import baselines, machines
from elslib.networks import training
from elslib.networks.architectures import NetworkConfig, build
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.posterior import patch_posterior
from elslib.posterior.mass import posterior_and_mass
from elslib.samplers import geometric_times, initial_noise, sample, uniform_times
from elslib.scales import constant_scale
from elslib.schedules import cosine, linear


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device():
    """`meta` holds no numbers, so whatever lands there is found out."""
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def coarse_products():
    torch.set_float32_matmul_precision("medium")
    try:
        yield
        assert torch.get_float32_matmul_precision() == "medium"  # it stays the user's
    finally:
        torch.set_float32_matmul_precision("highest")


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


def images(n: int = 12, side: int = 8) -> ImageSet:
    """Grey pictures with two classes."""
    generator = torch.Generator("cpu").manual_seed(3)
    pixels = torch.rand(n, 1, side, side, generator=generator, dtype=torch.float32, device="cpu")
    return ImageSet(pixels * 2 - 1, torch.arange(n, device="cpu") % 2)


def theories() -> dict[str, torch.Tensor]:
    """Estimates of every machine and baseline, at one time and at several, and what is made of
    them."""
    data, noise = images(), initial_noise([5, 17], (1, 8, 8))
    times = torch.tensor([0.9, 0.4], dtype=torch.float32, device="cpu")
    label = torch.tensor([0, 1], device="cpu")
    scale = constant_scale(3)
    every: dict[str, machines.Denoiser] = {
        "IS": machines.IdealScore(data),
        "ES": machines.EquivariantScore(data),
        "LS": machines.LocalScore(data, scale),
        "ELS": machines.EquivariantLocalScore(data, scale),
        "circular ELS": machines.EquivariantLocalScore(data, scale, "circular"),
        "Wiener": baselines.WienerFilter(data),
        "stationary Wiener": baselines.StationaryWienerFilter(data),
        "PCA": baselines.PcaLocality(data),
        "nearest": baselines.NearestImage(data),
    }
    found = {"noise": noise}
    for name, denoise in every.items():
        found[name] = denoise(noise, times, label)
        found[f"{name} sample"] = sample(denoise, noise, label, 3)
    # Only products of this size are ever rounded to bfloat16.
    large, other = images(200, 32), initial_noise(range(32), (1, 32, 32))
    found["large IS"] = machines.IdealScore(large)(other, 0.95)
    found["large PCA"] = baselines.PcaLocality(large)(other[:1], 0.95)
    double = patch_posterior(noise.double(), data.pixels.double(), 0.6, 0.8, 3, "aware", top=2)
    _, mass = posterior_and_mass(noise, data.pixels, 0.6, 0.8, 3, "fixed")
    found |= {"double": double.mean, "mass": mass}
    certificate = mosaic.certify(found["ELS sample"], data.pixels, 3, "aware")
    found |= {"gap": certificate.gap, "pieces": mosaic.pieces(certificate.origins, "aware").number}
    a, b = found["ELS"], found["IS"]
    found |= {
        "r": metrics.pearson_r(a, b),
        "R2": metrics.coefficient_of_determination(a, b),
        "shift": metrics.nearest_shift(a, data.pixels),
        "copies": metrics.near_copies(a, data.pixels),
    }
    rows = [intervals.median_interval(a.flatten()), intervals.share_interval(3, 7)]
    numbers = [number for row in rows for number in (row.estimate, row.low, row.high)]
    numbers += [*uniform_times(3), *geometric_times(4, cosine(), 0.1), *linear().levels(0.3)]
    found["numbers"] = torch.tensor(numbers, dtype=torch.float64, device="cpu")
    return found


def networks() -> dict[str, torch.Tensor]:
    """A training's weights and losses, its estimate, what is calibrated on it."""
    data = images()
    found = {}
    config = NetworkConfig(1, width=24, blocks=1, classes=2)
    trainer = training.Trainer(
        training.TrainConfig(config, steps=2, batch=3, autocast=False, weighting="relative"), data
    )
    list(training.train(trainer, held_out=data))
    found |= {f"weight {name}": x for name, x in trainer.average.items()}
    network, noise = trainer.denoiser(), initial_noise([1, 2], (1, 8, 8))
    label = torch.tensor([1, 0], device="cpu")
    found |= {"estimate": network(noise, 0.7, label), "sample": sample(network, noise, label, 2)}
    (trajectory,) = calibration.calibrate(
        network, data, "els", [3, 5], [1], [1], times=uniform_times(2)
    )
    reach = receptive_field.receptive_field(network, noise, 0.7, label)
    found |= {"cosine": trajectory.cosine, "reach": reach}
    unet = NetworkConfig(1, width=24, classes=None, architecture="unet-attention")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        other = NetworkDenoiser(build(unet), unet)
    return {**found, "unet": other(noise, 0.5), "set": named.load("noto_emoji").pixels[:4]}


def same(found, plain) -> None:
    assert found.keys() == plain.keys()
    for name, numbers in plain.items():
        assert found[name].dtype == numbers.dtype and found[name].device == numbers.device, name
        assert torch.equal(found[name], numbers), name


STATES = [default_dtype, default_device, coarse_products, autocast, torch.inference_mode]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_torch_is_set_otherwise(one_thread, state):
    """The same noise under a seed, the same estimates, the same statistics: bit by bit."""
    plain = theories()
    with state():
        same(theories(), plain)


@pytest.mark.parametrize("state", STATES[:2], ids=lambda state: state.__name__)
def test_networks_where_torch_is_set_otherwise(one_thread, state):
    """Their weights after a seed, what they estimate, the windows that go with them."""
    plain = networks()
    with state():
        same(networks(), plain)
