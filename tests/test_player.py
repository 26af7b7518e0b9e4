"""The player holds what the samplers saw and estimated, and needs nothing from elsewhere."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from helpers import FunctionDenoiser
from PIL import Image

from elslib.figures.player import Player, play
from elslib.samplers import ddim, initial_noise, uniform_times


@FunctionDenoiser
def half(x, t, label=None):
    return x / 2


def runs(n_steps=3):
    noise = initial_noise([1, 2], (3, 4, 5))
    times = uniform_times(n_steps)
    return {
        "theory": list(ddim(half, noise, times)),
        "net<work>": list(ddim(FunctionDenoiser(lambda x, t, label: -x), noise, times)),
    }


def test_every_frame_is_what_the_samplers_had():
    """Pictures side by side, three rows, in the order of time; the last ones stand as images."""
    page = play(runs(), "a <test>")._repr_html_()
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert data["times"] == [1.0, 0.6667, 0.3333]
    some = runs()
    expected = [
        [step.x for step in some["theory"]],
        [step.x0 for step in some["theory"]],
        [step.x0 for step in some["net<work>"]],
    ]
    for urls, images in zip(data["frames"], expected, strict=True):
        assert urls[-1] in page.replace(found[1], "")
        for url, pair in zip(urls, images, strict=True):
            shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))
            bytes_ = ((pair.clamp(-1, 1) + 1) * 127.5).round().byte()
            assert np.array_equal(shown, torch.cat(list(bytes_), 2).permute(1, 2, 0).numpy())


def test_it_is_self_contained():
    """No other host, no placeholder left, names are escaped; two players differ in their id."""
    figure = play(runs(), "a <test>")
    page, again = figure._repr_html_(), figure._repr_html_()
    assert "http" not in page and "@" not in re.sub(r"@media[^{]*", "", page)
    assert "a &lt;test&gt;" in page and "net&lt;work&gt;" in page and "<test>" not in page
    ids = [re.search(r'id="(player-\d+)"', text) for text in (page, again)]
    assert ids[0] and ids[1] and ids[0][1] != ids[1][1]


def test_rows_must_fit():
    """Equally many steps and pictures."""
    with pytest.raises(ValueError, match=r"runs must take equally many steps, got \[2, 3\]"):
        play({"a": runs(2)["theory"], "b": runs(3)["theory"]})
    with pytest.raises(ValueError, match=r"rows must hold equally many images at each of 2 times"):
        Player([1.0, 0.5], {"a": torch.zeros(3, 1, 1, 2, 2)}, "x")
    for channels in (2, 4):
        with pytest.raises(ValueError, match=r"row 'a' must have 1 channel \(grey\) or 3 \(RGB\)"):
            Player([1.0, 0.5], {"a": torch.zeros(2, 1, channels, 2, 2)}, "x")
