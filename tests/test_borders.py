"""Borders as a figure: what it holds, and what it refuses. It runs in tests/browser."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from elslib.figures.borders import Borders
from elslib.figures.html import sheet
from elslib.samplers import initial_noise

PICTURE, NOISE = torch.zeros(1, 6, 5), initial_noise([2], (1, 6, 5))[0]
DRAWN = {"a < b": initial_noise([3, 4], (1, 6, 5)).clamp(-1, 1)}


def test_it_holds_pictures_and_what_moves_along():
    """The sheet has a line for each row, a column for each move; r is with the old one moved."""
    both = torch.stack([NOISE, torch.roll(NOISE, (-2, -2), (1, 2))])
    moved = {**DRAWN, "along": both.clamp(-1, 1)}
    page = Borders(PICTURE, NOISE, moved, (0, 2), 3)._repr_html_()
    data = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)[0])
    assert (data["h"], data["w"], data["moves"]) == (6, 5, [0, 2])
    assert data["rows"] == ["noise", "a < b", "along"]
    assert data["along"]["along"] == [1, 1] and data["along"]["a < b"][0] == 1
    assert abs(data["along"]["a < b"][1]) < 0.9
    content = base64.b64decode(data["sheet"].partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    expected = [PICTURE[None].expand(2, -1, -1, -1), (both / 3).clamp(-1, 1), *moved.values()]
    assert (shown == sheet(torch.cat(expected), 2)).all()


def test_it_stands_alone_and_has_a_still():
    """No other host; a title that is text; without scripts, the pictures."""
    page = Borders(PICTURE, NOISE, DRAWN, (0, 2), 3, title="a <b>")._repr_html_()
    assert "http" not in page and not re.search("@[A-Z]+@", page)
    assert 'aria-label="a &lt;b&gt;"' in page and "rows: noise, a &lt; b." in page
    assert '<noscript><img src="data:image/png;base64,' in page


@pytest.mark.parametrize(
    "change,match",
    [
        ({"moves": (1, 2)}, r"moves must begin with 0, got \(1, 2\)"),
        ({"moves": (0, 1, 2)}, r"one for each move, got \(2, 1, 6, 5\) of 'a < b'"),
        ({"window": 4}, "window must be odd and at most the side of the picture, got 4"),
        ({"window": 7}, "window must be odd and at most the side of the picture, got 7"),
        (
            {
                "picture": torch.zeros(2, 6, 5),
                "noise": torch.zeros(2, 6, 5),
                "drawn": {"a": torch.zeros(2, 2, 6, 5)},
            },
            "picture must have 1 channel",
        ),
    ],
)
def test_what_makes_no_figure(change, match):
    """Each error names the argument, the rule and the value."""
    fields = {"picture": PICTURE, "noise": NOISE, "drawn": DRAWN, "moves": (0, 2), "window": 3}
    with pytest.raises(ValueError, match=match):
        Borders(**fields | change)
