"""Agreement, brushed: pictures and r of each seed, and of faces nothing that may not be shown."""

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from elslib.data.pixels import to_uint8
from elslib.experiments import seed_browser as module
from elslib.experiments.seed_browser import seed_browser
from elslib.figures.seeds import SeedBrowser, Seeds

N = 13
GENERATOR = torch.Generator().manual_seed(0)
PICTURES = {
    kind: torch.rand(N, 3, 4, 5, generator=GENERATOR) * 2 - 1 for kind in ("ELS", "network", "IS")
}
R = torch.linspace(0.2, 0.9, N, dtype=torch.float64)


def held(figure) -> dict:
    """The data inside the figure's HTML."""
    page = figure._repr_html_()
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found and not re.search("@[A-Z]+@", page)
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    return json.loads(found[1])


def tiles(url: str, columns: int) -> np.ndarray:
    """The pictures of a sheet [n, h, w, 3]."""
    whole = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))
    rows = whole.reshape(-1, 4, columns, 5, 3).swapaxes(1, 2)
    return rows.reshape(-1, 4, 5, 3)


def test_the_page_holds_every_seed():
    """r and pictures, without loss."""
    figure = SeedBrowser({"a <b>net</b>": Seeds(R, R.flip(0) - 1, PICTURES, ["x"] * N)})
    data = held(figure)
    one = data["networks"][0]
    assert one["theory"] == pytest.approx(R.tolist(), abs=1e-4)
    assert one["ideal"] == pytest.approx((R.flip(0) - 1).tolist(), abs=1e-4)
    assert data["low"] == pytest.approx(-0.85) and one["classes"] == ["x"] * N
    for kind, images in PICTURES.items():
        expected = to_uint8(images).movedim(1, 3).numpy()
        assert np.array_equal(tiles(one["sheets"][kind], one["columns"])[:N], expected)
    assert 'alt="a &lt;b&gt;net&lt;/b&gt;: what ELS, network, IS drew' in figure._repr_html_()


def kept(monkeypatch, name: str):
    """Results of a network that was trained on a set of this name."""
    rows = pd.DataFrame(
        [
            {"seed": s, "label": 0, "theory": theory, "network_steps": 150, "r": s / N}
            for s in range(N)
            for theory in ("ELS", "IS")
        ]
    )
    monkeypatch.setattr(module, "read_rows", lambda network: rows)
    monkeypatch.setattr(module, "read_pictures", lambda network: {**PICTURES, "LS": PICTURES["IS"]})
    monkeypatch.setattr(module, "images_of", lambda network: {"name": name})


def test_kept_results(monkeypatch):
    """Of the pictures those three, by seed."""
    kept(monkeypatch, "fashion_mnist_10k/train")
    one = held(seed_browser({"net": "a title"}))["networks"][0]
    assert one["name"] == "a title" and one["classes"] == ["T-shirt/top"] * N
    assert one["theory"] == pytest.approx([s / N for s in range(N)], abs=1e-4)
    assert list(one["sheets"]) == ["ELS", "network", "IS"]


def test_faces_of_the_training_set_are_not_shown(monkeypatch):
    """What IS draws of them, though it be in the file."""
    kept(monkeypatch, "celeba_10k/train")
    assert list(held(seed_browser({"net": "faces"}))["networks"][0]["sheets"]) == ["ELS", "network"]


def test_what_cannot_be_shown():
    """Other seeds, no pictures, other channels, no network."""
    with pytest.raises(ValueError, match="must hold the same seeds, got"):
        Seeds(R, R, PICTURES, ["one class"])
    with pytest.raises(ValueError, match="pictures must hold ELS and network, got none of ELS"):
        Seeds(R, R, {"network": PICTURES["network"]})
    with pytest.raises(ValueError, match="pictures of IS must have 1 channel"):
        Seeds(R, R, {**PICTURES, "IS": PICTURES["IS"][:, :2]})
    with pytest.raises(ValueError, match="networks must hold at least one, got none"):
        SeedBrowser({})
