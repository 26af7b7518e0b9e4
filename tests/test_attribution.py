"""Whose pixels: shares against the oracle, and the counterfactual against a machine made anew."""

from dataclasses import replace

import oracles
import pytest
import torch

from elslib.analysis.attribution import attribute, changed_by_removing
from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import EquivariantLocalScore, IdealScore, LocalScore
from elslib.samplers import initial_noise, sample
from elslib.scales import constant_scale
from elslib.windows import Window

GENERATOR = torch.Generator().manual_seed(0)
PIXELS = torch.rand(9, 2, 6, 5, generator=GENERATOR) * 2 - 1
LABELS = torch.tensor([0, 1, 0, 0, 1, 1, 0, 1, 0])
IMAGES = ImageSet(PIXELS, LABELS)
NOISE = initial_noise([3, 4], (2, 6, 5))
MACHINES = {
    "IS": IdealScore(IMAGES),
    "LS": LocalScore(IMAGES, constant_scale(3)),
    "ELS": EquivariantLocalScore(IMAGES, constant_scale(3)),
    "ELS, soft": EquivariantLocalScore(IMAGES, replace(constant_scale(3), windows=(Window(3, 2),))),
}


@pytest.mark.parametrize("name", MACHINES)
def test_mass_is_the_oracle_s(name):
    """Of the images of a class, at every pixel; others have none."""
    machine = MACHINES[name]
    alpha, sigma = machine.schedule.levels(0.6)
    x = alpha * PIXELS[:2] + sigma * NOISE
    _, found = machine.posterior_and_mass(x, 0.6, 1, by_pixel=True)
    one = LABELS == 1
    whole = 11  # in which every window of these images holds all of them: as IS compares
    rest = (alpha, sigma, machine.window_at(0.6) or whole, machine.border)
    for i in range(2):
        exact = torch.from_numpy(oracles.image_mass(x[i], PIXELS[one], *rest))
        assert torch.allclose(found[i, one].double(), exact, rtol=0, atol=1e-5)
    assert not found[:, ~one].any()


@pytest.mark.parametrize("label", [None, 0])
def test_shares_follow_a_sample(label):
    """One for each step of the sample that is drawn anyway; they sum to 1."""
    machine = MACHINES["ELS"]
    steps = list(attribute(machine, NOISE, label))
    labels = None if label is None else torch.full((2,), label)
    assert len(steps) == 20
    assert torch.equal(steps[-1].step.x0, sample(machine, NOISE, labels))
    for one in steps:
        assert one.share.shape == (2, 9)
        assert torch.allclose(one.share.sum(1), torch.ones(2, dtype=torch.float64), atol=1e-4)
        _, here = machine.posterior_and_mass(one.step.x, one.step.t, label, by_pixel=True)
        assert torch.allclose(one.share, here.double().mean((2, 3)), rtol=0, atol=1e-9)


def test_at_little_noise_a_picture_is_its_own():
    """Noise that IS takes to a training image: in the end all of it is that image's."""
    machine = MACHINES["IS"]
    *_, last = attribute(machine, NOISE)
    for x0, share in zip(last.step.x0, last.share, strict=True):
        nearest = int((PIXELS - x0).square().sum((1, 2, 3)).argmin())
        assert share[nearest] > 0.99


def test_removal_is_a_machine_without():
    """By number or mask; nothing changes where what is removed has no mass."""
    machine = MACHINES["ELS"]
    fewer = replace(machine, images=IMAGES.without([0, 4]))
    expected = sample(fewer, NOISE) - sample(machine, NOISE)
    assert torch.equal(changed_by_removing(machine, NOISE, [0, 4]), expected)
    mask = torch.zeros(9, dtype=torch.bool)
    mask[[0, 4]] = True
    for same in (mask, mask.tolist(), mask.numpy()):
        assert torch.equal(changed_by_removing(machine, NOISE, same), expected)
    assert float(expected.abs().max()) > 0.1
    assert not changed_by_removing(machine, NOISE, [1, 4], label=0).any()


def test_what_cannot_be_removed():
    """All images of a class; images that are not there."""
    with pytest.raises(ValueError, match="label must be a class of"):
        changed_by_removing(MACHINES["ELS"], NOISE, LABELS == 1, label=1)
    with pytest.raises(ValueError, match="which"):
        changed_by_removing(MACHINES["ELS"], NOISE, [9])
