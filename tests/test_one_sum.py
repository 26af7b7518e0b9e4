"""The figure of one pixel's sum: what it shows adds up to the guess, and what it refuses."""

import numpy as np
import pytest
import torch

from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import EquivariantLocalScore, IdealScore
from elslib.figures.one_sum import SIDE, TOP, one_sum
from elslib.scales import constant_scale


def machine(n=5):
    """A local machine of random grey images."""
    pixels = torch.rand(n, 1, 10, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return EquivariantLocalScore(ImageSet(pixels), constant_scale(3))


def noisy():
    """Something for it to look at."""
    return torch.randn(1, 1, 10, 12, generator=torch.Generator().manual_seed(1))


def test_what_is_shown_adds_up_to_the_guess():
    """Weights sum to 100%, and the mean of the shown centres and of the rest is the last square."""
    one, x = machine(), noisy()
    figure = one_sum(one, x, 0.5, None, (4, 6))
    axes = figure.axes
    assert [axis.get_title() for axis in axes] == [
        "picture", "window", *["patch"] * TOP, "all others", "guess",
    ]  # fmt: skip
    notes = [axis.get_xlabel() for axis in axes]
    shares = [int(note.removesuffix("%")) for note in notes[2:-1]]
    assert abs(sum(shares) - 100) <= len(shares) / 2 and shares[:TOP] == sorted(shares[:TOP])[::-1]
    found = one.posterior(x, 0.5, top=TOP)
    assert found.origins is not None
    weights = found.origins.weight[0, :, 4, 6].tolist()
    weights.append(1 - sum(weights))
    pictures = [np.asarray(axis.images[0].get_array()) for axis in axes]
    centres = [2 * float(picture[SIDE // 2, SIDE // 2, 0]) - 1 for picture in pictures]
    mean = sum(w * centre for w, centre in zip(weights, centres[2:-1], strict=True))
    assert mean == pytest.approx(centres[-1], abs=1e-3)
    assert centres[-1] == pytest.approx(float(found.mean[0, 0, 4, 6]), abs=1e-3)


def test_few_patches_and_no_others():
    """Fewer patches than are shown leave no empty squares; the rest weighs nothing."""
    pixels = torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, 1, 3, 3).contiguous()
    figure = one_sum(
        EquivariantLocalScore(ImageSet(pixels), constant_scale(3)),
        noisy()[..., :3, :3],
        0.5,
        None,
        (1, 1),
    )
    assert [axis.get_title() for axis in figure.axes].count("patch") == 2
    assert figure.axes[-2].get_xlabel() == "0%"


@pytest.mark.parametrize("pixel", [(0, 5), (9, 5), (4, 0), (4, 11)])
def test_a_window_outside_is_refused(pixel):
    """At each border."""
    with pytest.raises(ValueError, match="pixel must have its window of 3 pixels inside"):
        one_sum(machine(), noisy(), 0.5, None, pixel)


def test_whole_images_are_refused():
    """They have no window."""
    with pytest.raises(ValueError, match="machine must be local"):
        one_sum(IdealScore(machine().images), noisy(), 0.5, None, (4, 6))
