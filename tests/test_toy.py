"""The smallest world as a figure: what it holds, and what it refuses. It runs in tests/browser."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.figures.toy import STEPS, Toy
from elslib.samplers import geometric_times, initial_noise, sample, uniform_times
from elslib.scales import constant_scale
from elslib.schedules import cosine


def test_the_page_holds_what_it_needs():
    """The first noise, and the levels of both grids of times for each number of steps."""
    page = Toy(seed=3, side=5)._repr_html_()
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    data = json.loads(found[1])
    noise = np.frombuffer(base64.b64decode(data["noise"])).reshape(1, 5, 5)
    assert (noise == initial_noise([3], (1, 5, 5))[0].double().numpy()).all()
    schedule = cosine()
    for n in STEPS:
        grids = {"equal": uniform_times(n), "low": geometric_times(n, schedule, 1e-4)}
        for name, times in grids.items():
            levels = [list(schedule.levels(t)) for t in times[:-1]]
            assert data["levels"][name][str(n)] == levels


def test_it_stands_alone_and_has_a_still():
    """No other host; without scripts noise and two pictures by the library's machine."""
    page = Toy(seed=3, side=5)._repr_html_()
    assert "http" not in page and not re.search("@[A-Z]+@", page)
    found = re.search(r'<noscript><img src="data:image/png;base64,([^"]+)" alt="Noise, and', page)
    assert found
    still = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("L"))
    two = torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, 1, 5, 5).contiguous()
    machine = EquivariantLocalScore(ImageSet(two.double()), constant_scale(3), edges="circular")
    drawn = sample(machine, initial_noise([3], (1, 5, 5)).double(), n_steps=20)
    assert (still[:, 10:] == np.where(drawn[0, 0] > 0, 255, 0)).all()


@pytest.mark.parametrize("side", [2, 65])
def test_sides_that_make_no_figure(side):
    """A window wraps onto itself, or pixels are too small to be clicked."""
    with pytest.raises(ValueError, match=f"side must be from 3 to 64, got {side}"):
        Toy(side=side)
