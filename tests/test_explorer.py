"""The explorer holds what the library says, needs nothing from elsewhere, and is local only."""

import base64
import gzip
import io
import json
import re

import numpy as np
import pytest
import torch
from helpers import FunctionDenoiser
from PIL import Image

from elslib.analysis.mosaic import posteriors_along
from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import EquivariantLocalScore, IdealScore
from elslib.figures.explorer import explore
from elslib.samplers import initial_noise, sample, uniform_times
from elslib.scales import constant_scale
from elslib.schedules import linear

pytestmark = pytest.mark.usefixtures("one_thread")
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = ImageSet(
    torch.rand(7, 3, 8, 9, generator=GENERATOR) * 2 - 1, torch.arange(7) % 2, ("even", "odd")
)
MACHINE = EquivariantLocalScore(IMAGES, constant_scale(3), edges="aware")
NOISE = initial_noise([3], (3, 8, 9))


@FunctionDenoiser
def half(x, t, label=None):
    """A Denoiser that stands for a network."""
    return x / 2


def held(figure):
    """The data inside the figure's HTML."""
    page = figure._repr_html_()
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return page, json.loads(found[1])


def array(data, name, kind):
    """Of all frames [step, ..., h, w]."""
    content = np.frombuffer(gzip.decompress(base64.b64decode(data[name])), kind)
    return content.reshape(len(data["frames"]), -1, data["h"], data["w"])


def picture(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def test_posteriors_along_is_the_sampler_with_its_posterior():
    """Its last estimate is the sample; the posterior's mean is the estimate."""
    steps = list(posteriors_along(MACHINE, NOISE, uniform_times(4), 1, top=1))
    drawn = sample(MACHINE, NOISE, torch.tensor([1]), 4)
    assert torch.allclose(steps[-1][0].x0, drawn, rtol=0, atol=1e-5)
    for step, posterior in steps:
        assert torch.equal(step.x0, posterior.mean) and posterior.origins is not None
        assert bool((posterior.origins.image % 2 == 1).all())  # images of class 1 are the odd ones


def test_the_figure_holds_what_the_library_says():
    """At each step: origins by their number in the training set, weights, pictures, sources."""
    _, data = held(explore(MACHINE, half, NOISE, 1, n_steps=4))
    assert (data["h"], data["w"], data["wraps"]) == (8, 9, False) and len(data["frames"]) == 4
    sheet, columns = picture(data["sources"]), data["columns"]
    for place, number in enumerate(data["numbers"]):
        top, left = 8 * (place // columns), 9 * (place % columns)
        expected = ((IMAGES.pixels[number] + 1) * 127.5).round().byte().permute(1, 2, 0)
        assert np.array_equal(sheet[top : top + 8, left : left + 9], expected.numpy())
    for i, (step, posterior) in enumerate(
        posteriors_along(MACHINE, NOISE, uniform_times(4), 1, top=12)
    ):
        frame, origins = data["frames"][i], posterior.origins
        assert origins is not None and frame["t"] == step.t and frame["window"] == 3
        there = origins.image[0].numpy() >= 0  # at the corners three patches are admissible
        assert there[:3].all() and not there[:, 0, 0].all()
        image = array(data, "image", "<u2")[i]
        assert (image[~there] == 65535).all()
        numbers = np.array(data["numbers"])[image[there]]
        assert np.array_equal(numbers, origins.image[0].numpy()[there])
        for name in ("row", "col"):
            found = array(data, name, "u1")[i]
            assert np.array_equal(found[there], getattr(origins, name)[0].numpy()[there])
        weight = array(data, "weight", "u1")[i] / 255
        assert np.allclose(weight, origins.weight[0].numpy(), atol=0.5 / 255)
        number = array(data, "number", "<f4")[i, 0]
        assert np.allclose(number, posterior.effective_number[0].numpy())
        shown = ((step.x0[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0)
        assert np.array_equal(picture(frame["theory"]), shown.numpy())
        assert picture(frame["network"]).shape == (8, 9, 3)
        # Random pictures are nowhere plain; what has no source has no piece.
        settled = origins.weight[0, 0].numpy() >= 0.5
        assert frame["settled"] == pytest.approx(settled.mean(), abs=1e-3)
        assert np.array_equal(picture(frame["pieces"]).any(axis=2), settled)
        assert frame["images"] == len(np.unique(origins.image[0, 0].numpy()[settled]))
        assert frame["count"] >= frame["images"]


def test_the_figure_needs_nothing_from_elsewhere():
    """No address, a picture for readers without scripts, an id of its own."""
    figure = explore(MACHINE, half, NOISE, 1, n_steps=2, title="a <b>coat</b>")
    page, _ = held(figure)
    assert "http" not in page and not re.search("@[A-Z]+@", page)
    assert "<noscript><img" in page and "a &lt;b&gt;coat&lt;/b&gt;" in page
    ids = [re.search(r'id="(mosaic-\d+)"', each._repr_html_()) for each in (figure, figure)]
    assert ids[0] and ids[1] and ids[0][1] != ids[1][1]


def test_without_a_network():
    """The theory alone: no panel for what is not there, everything else as before."""
    page, data = held(explore(MACHINE, None, NOISE, 1, n_steps=2))
    _, beside = held(explore(MACHINE, half, NOISE, 1, n_steps=2))
    assert 'data-role="network"' not in page and 'data-role="pieces"' in page
    for frame, other in zip(data["frames"], beside["frames"], strict=True):
        assert other.pop("network") and frame == other


def test_whole_images_have_no_explorer():
    """They have no window to show."""
    with pytest.raises(ValueError, match="machine must be local"):
        explore(IdealScore(IMAGES), half, NOISE, 1, n_steps=2)


def test_another_schedule_than_the_machines_is_refused():
    """Theory and network would be shown at other noise levels side by side."""
    with pytest.raises(ValueError, match="must share one schedule to be compared, got 'cosine' an"):
        explore(MACHINE, FunctionDenoiser(half, linear()), NOISE, 1, n_steps=2)


def test_what_the_page_cannot_number_is_refused(as_installed):
    """More than one picture, channels that are no colours, and sides beyond a byte."""
    with pytest.raises(ValueError, match=r"noise must have 1 channel .* got .*\(1, 4, 8, 9\)"):
        explore(MACHINE, None, initial_noise([0], (4, 8, 9)), n_steps=2)
    with pytest.raises(ValueError, match=r"noise must be one image.*got \(2, 3, 8, 9\)"):
        explore(MACHINE, None, torch.cat([NOISE, NOISE]), n_steps=2)
    with pytest.raises(ValueError, match=r"at most 256 pixels a side, got \(1, 3, 8, 300\)"):
        explore(MACHINE, None, initial_noise([0], (3, 8, 300)), n_steps=2)


def test_a_file_of_its_own(tmp_path):
    """It is a whole document, with the figure inside; what cannot be written is named."""
    figure = explore(MACHINE, half, NOISE, 1, n_steps=2, title="a <b>coat</b>")
    figure.save(tmp_path / "new" / "coat.html")
    page = (tmp_path / "new" / "coat.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n")
    assert "<title>a &lt;b&gt;coat&lt;/b&gt;</title>" in page
    assert 'class="mosaic live-figure"' in page
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        figure.save(tmp_path / "file" / "coat.html")
