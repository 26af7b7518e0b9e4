"""What there is to choose for an interactive figure, and that the figure is of what was chosen."""

import re

import pytest
import torch

from elslib.data.named import load, present
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.experiments.figure_config import (
    CALIBRATED,
    CONSTANT,
    FigureConfig,
    classes_of,
    explorer,
    player,
    windows_for,
)
from elslib.experiments.store import load_network, load_scale, trained_on, training_images
from elslib.figures.explorer import explore
from elslib.figures.player import play
from elslib.samplers import ddim, initial_noise, uniform_times
from elslib.scales import constant_scale, published_scale

pytestmark = pytest.mark.usefixtures("one_thread")
FASHION, EMOJI = "fashion_mnist_10k/train", "noto_emoji/train"
SMALL = FigureConfig(EMOJI, None, 0, 4, CONSTANT, side=3, n_steps=2)


def page(figure) -> str:
    """A figure without its name, which no two share."""
    return re.sub(r"(mosaic|player)-\d+", "name", figure._repr_html_())


def test_what_there_is_to_choose():
    """Embedded sets, networks trained on them, their own windows first, their classes."""
    assert {FASHION, EMOJI, "mnist_5k/train"} <= set(present())
    assert "fashion-resnet" in trained_on(FASHION) == trained_on("fashion_mnist_10k")
    assert trained_on("noto_emoji/held_out") == []
    assert windows_for("fashion-resnet")[:2] == [CALIBRATED, CONSTANT]
    assert windows_for(None)[0] == CONSTANT and "celeba-unet-zeros" in windows_for(None)
    assert classes_of(FASHION, "fashion-resnet")["Trouser"] == 1
    assert classes_of("fashion_mnist_10k", "fashion-resnet") == classes_of(FASHION, None)
    assert len(classes_of(EMOJI, None)) == 8


def test_the_explorer_of_a_network_is_that_of_its_parts():
    """Calibrated windows, its own kind of border, its class."""
    name = "fashion-resnet"
    network, images = load_network(name), training_images(name)
    els = EquivariantLocalScore(images, load_scale(name, "els"), edges=network.edges)
    noise = initial_noise([4], (1, 32, 32))
    expected = explore(els, network, noise, 9, n_steps=1, title="ankle boot, seed 4")
    assert page(explorer(FigureConfig(FASHION, name, 9, 4, n_steps=1))) == page(expected)


@pytest.mark.parametrize(
    "changes,scale",
    [
        ({"side": 5}, constant_scale(5)),
        ({"windows": "mnist-unet-zeros"}, published_scale("mnist-unet-zeros")),
        ({"windows": "mnist-unet-zeros", "factor": 0.3},
         published_scale("mnist-unet-zeros").scaled(0.3)),
    ],
)  # fmt: skip
def test_the_theory_alone(changes, scale):
    """No network in the figure; windows as chosen; a factor is for tables alone."""
    figure = explorer(FigureConfig(**{**vars(SMALL), **changes}))
    noise = initial_noise([4], (3, 32, 32))
    expected = explore(
        EquivariantLocalScore(load(EMOJI), scale), None, noise, 0, n_steps=2,
        title="activities, seed 4",
    )  # fmt: skip
    assert page(figure) == page(expected) and 'class="network"' not in page(figure)
    assert figure.frames[0].window == scale.window_at(1.0)


def test_the_player_gives_each_picture_a_class():
    """No label: seed modulo the number of classes, as in the chapter."""
    seeds, times = [7, 8], uniform_times(2)
    els = EquivariantLocalScore(load(EMOJI), constant_scale(3))
    noise = initial_noise(seeds, (3, 32, 32))
    steps = list(ddim(els, noise, times, torch.tensor([7, 0])))
    expected = play({"theory": steps}, "theory from 2 noise images")
    chosen = FigureConfig(EMOJI, None, None, 7, CONSTANT, side=3, n_steps=2)
    assert page(player(chosen, 2)) == page(expected)


def test_the_player_shows_theory_and_network():
    """From the same noise, in this order."""
    rows = player(FigureConfig(FASHION, "fashion-resnet", 1, 0, n_steps=1), 1).rows
    assert list(rows) == ["what theory sees", "theory's estimate", "network's estimate"]
    label, noise = torch.tensor([1]), initial_noise([0], (1, 32, 32))
    expected = load_network("fashion-resnet")(noise, 1.0, label)
    assert torch.equal(rows["network's estimate"][0], expected)


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"windows": CALIBRATED}, "windows must not be 'calibrated on the network' for the theory"),
        ({"windows": "x"}, "name must be one of cifar10-resnet-zeros"),
        ({"network": "fashion-resnet"}, "network must be trained on 'noto_emoji/train'"),
        ({"label": 8}, "label must be a class of"),
        ({"side": 4}, "window must be an odd positive integer"),
        ({"n_steps": 0}, "n_steps must be at least 1"),
    ],
)
def test_wrong_settings(changes, message):
    """The part that is asked says what is wrong."""
    with pytest.raises(ValueError, match=message):
        explorer(FigureConfig(**{**vars(SMALL), **changes}))
