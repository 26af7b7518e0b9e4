"""One pixel's posterior: the numbers of the page are those of the machine. It runs in a browser."""

import json
import re
from dataclasses import replace

import pytest
import torch

from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import EquivariantLocalScore, IdealScore
from elslib.figures.one_pixel import OnePixel, Subject, busiest
from elslib.scales import constant_scale
from elslib.schedules import cosine

GENERATOR = torch.Generator().manual_seed(0)
PIXELS = torch.rand(5, 3, 9, 10, generator=GENERATOR) * 2 - 1
NOISE = torch.randn(3, 9, 10, generator=GENERATOR)
SUBJECT = Subject("a <b>coat</b>", PIXELS[0] / 2, NOISE, PIXELS, 4, 5)
TIMES, WINDOWS = [0.1, 0.6], [3, 7, None]
MAP = torch.tensor([[9.0, 50.0], [2.0, 20.0], [1.0, 5.0]], dtype=torch.float64)
FIGURE = OnePixel([SUBJECT], cosine(), TIMES, WINDOWS, MAP, [3, 7])


def test_the_numbers_are_the_machines():
    """Effective number, weights by rank and the likeliest patches, for each window and time."""
    page = FIGURE._repr_html_()
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    data = json.loads(found[1])
    assert data["path"] == [0, 1] and data["ranks"][:12] == list(range(1, 13))
    cells, images = data["subjects"][0]["cells"], ImageSet(PIXELS)
    for k, side in enumerate(WINDOWS):
        for i, t in enumerate(TIMES):
            alpha, sigma = cosine().levels(t)
            x = (alpha * SUBJECT.clean + sigma * NOISE)[None]
            scale = constant_scale(side or 3)
            machine = EquivariantLocalScore(images, scale) if side else IdealScore(images)
            exact = machine.posterior(x, t, top=12)
            at, cell, origins = (0, 4, 5), cells[k][i], exact.origins
            assert origins is not None
            assert cell["count"] == int(exact.count[at])
            assert cell["number"] == pytest.approx(float(exact.effective_number[at]), rel=1e-3)
            log_weight = origins.log_weight[0, :, 4, 5]
            n = min(12, cell["count"])
            assert cell["log"][:n] == pytest.approx(log_weight[:n].tolist(), abs=0.02)
            image, top, left = cell["best"][0]
            r = side // 2 if side else 0
            assert image == int(origins.image[0, 0, 4, 5])
            if side:
                place = int(origins.row[0, 0, 4, 5]), int(origins.col[0, 0, 4, 5])
                assert (top + r, left + r) == place


def test_it_stands_alone_and_has_a_still():
    """No other host; without scripts three pictures and what they are."""
    page = FIGURE._repr_html_()
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search("@[A-Z]+@", page)
    assert '<noscript><img src="data:image/png;base64,' in page
    assert 'alt="a &lt;b&gt;coat&lt;/b&gt;: in strong noise, in little, and clean.' in page


def test_the_busiest_pixel():
    """The one whose window varies most, among those far enough inside."""
    image = torch.zeros(1, 9, 10)
    image[0, 5, 6] = 1.0
    image[0, 0, 0] = -1.0
    row, col = busiest(image, 3)
    assert abs(row - 5) <= 1 and abs(col - 6) <= 1
    for margin in (0, 5):
        with pytest.raises(ValueError, match="margin must be at least 1 and leave a pixel"):
            busiest(image, margin)


def test_what_cannot_be_shown():
    """No subject, windows that leave the image, other channels."""
    with pytest.raises(ValueError, match="subjects must hold at least one, got none"):
        replace(FIGURE, subjects=[])
    with pytest.raises(ValueError, match="row and col must leave room for a window of 7 pixels"):
        replace(FIGURE, subjects=[replace(SUBJECT, row=2)])
    with pytest.raises(ValueError, match="clean must have 1 channel"):
        two = replace(SUBJECT, clean=SUBJECT.clean[:2], noise=NOISE[:2], images=PIXELS[:, :2])
        replace(FIGURE, subjects=[two])
