"""The machine in the page: what it holds, and what it refuses. It runs in tests/browser."""

import base64
import gzip
import json
import re

import numpy as np
import pytest
import torch

from elslib.data.image_set import ImageSet
from elslib.data.pixels import from_uint8, to_uint8
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.figures.live_machine import STEPS, LiveMachine, LiveSet, kernel
from elslib.samplers import initial_noise, sample
from elslib.scales import constant_scale
from elslib.schedules import linear
from elslib.windows import Window


def images(n=6, c=1, labels=True):
    """n random images of two classes."""
    pixels = torch.rand(n, c, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    if not labels:
        return ImageSet(pixels, name="random")
    return ImageSet(pixels, torch.arange(n) % 2, ("a<b", "c"), "random")


def live_set(**changes):
    """A set whose "network" is a machine."""
    good = {"images": images(8), "scale": constant_scale(3), "seeds": [0, 1, 2], "per_class": 3}
    network = EquivariantLocalScore(images(), constant_scale(5))
    return LiveSet(**{**good, "network": network, **changes})


def test_the_page_holds_what_it_needs():
    """Kernel, images, windows, and what theory and network draw from the noise of each seed."""
    page = LiveMachine({"first": live_set()})._repr_html_()
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    data = json.loads(found[1])
    assert gzip.decompress(base64.b64decode(data["kernel"])) == kernel()
    assert len(data["levels"]) == STEPS + 1 and data["levels"][-1] == {"alpha": 1, "sigma": 0}
    one = data["sets"]["first"]
    assert one["shape"] == [6, 1, 8, 8] and one["windows"] == [3] * STEPS
    raw = np.frombuffer(gzip.decompress(base64.b64decode(one["images"])), np.uint8)
    assert (raw.reshape(6, 1, 8, 8) == to_uint8(images().pixels).numpy()).all()
    assert [seed["label"] for seed in one["seeds"]] == [0, 1, 0] and one["start"] == 0
    noise = np.frombuffer(base64.b64decode(one["seeds"][1]["noise"]), np.float32)
    assert (noise.reshape(1, 8, 8) == initial_noise([1], (1, 8, 8))[0].numpy()).all()
    for name, window in (("theory", 3), ("picture", 5)):
        shown = images()
        if name == "theory":  # of the images as the page holds them
            shown = ImageSet(from_uint8(to_uint8(shown.pixels)), shown.labels, shown.class_names)
        machine = EquivariantLocalScore(shown, constant_scale(window))
        drawn = sample(machine, initial_noise([1], (1, 8, 8)), torch.tensor([1]), STEPS)
        kept = np.frombuffer(base64.b64decode(one["seeds"][1][name]), np.uint8)
        assert (kept == to_uint8(drawn[0]).numpy().ravel()).all()


def test_the_page_stands_alone():
    """No other host is asked; without scripts there is a picture that says what it shows."""
    page = LiveMachine({"first": live_set()})._repr_html_()
    assert "http" not in page
    assert re.search(r'<noscript><img src="data:image/png;base64,[^"]+" alt="[^"]*a&lt;b', page)


def test_the_page_opens_with_another_seed():
    """The picture for readers without scripts is of that one, and says so."""
    page = LiveMachine({"first": live_set(seeds=[0, 2, 3], start=2)})._repr_html_()
    assert '"start":2' in page
    still = re.search(r'<noscript><img src="[^"]+" alt="([^"]*)"', page)
    assert still and still[1].endswith(": c.")


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"images": images(labels=False)}, "images must have labels and class names"),
        ({"images": images(c=2)}, "images must have 1 channel"),
        ({"per_class": 0}, "per_class must be at least 1, got 0"),
        ({"seeds": []}, "seeds must hold at least one, got none"),
        ({"start": 3}, "start must be a place among the 3 seeds, from 0, got 3"),
        ({"start": -1}, "start must be a place among the 3 seeds, from 0, got -1"),
        ({"scale": constant_scale(Window(3, 2))}, "scale must hold hard windows, got Window"),
        ({"scale": constant_scale(None)}, "scale must hold hard windows, got None"),
    ],
)
def test_bad_sets(changes, message):
    """Each error names the argument."""
    with pytest.raises(ValueError, match=message):
        live_set(**changes)


def test_networks_of_two_schedules():
    """The page has one list of noise levels."""
    other = EquivariantLocalScore(images(), constant_scale(5), schedule=linear())
    with pytest.raises(ValueError, match="sets must have networks of one schedule, got"):
        LiveMachine({"a": live_set(), "b": live_set(network=other)})
