"""Live figures, driven without a browser: their controls compute the figure again."""

import time

import numpy
import pytest

from elslib.experiments.figure_config import CALIBRATED, CONSTANT, FigureConfig, explorer
from elslib.experiments.live import NONE, Live

FASHION, EMOJI = "fashion_mnist_10k/train", "noto_emoji/train"
HELD_OUT = "fashion_mnist_test_1k/test"
START = FigureConfig(FASHION, "fashion-resnet", 1, 5, n_steps=7)
VIEW = "application/vnd.jupyter.widget-view+json"


class Words:
    """A figure that says what it is of."""

    def __init__(self, words):
        self.words = words

    def _repr_html_(self):
        return f"<p>{self.words}</p>"


def draw(config):
    """Seed 13 brings bad luck."""
    if config.seed == 13:
        raise ValueError("seed must not be 13 & <odd>.")
    return Words(config)


def shown(live):
    """The HTML in the output, once it is up to date."""
    live.wait()
    return [output["data"]["text/html"] for output in live.output.outputs]


def test_it_begins_with_its_setting():
    """Controls and figure agree; a kernel sees the controls, a page the figure."""
    live = Live(draw, START)
    assert live.config == START and shown(live) == [f"<p>{START}</p>"]
    bundle = live._repr_mimebundle_()
    assert bundle[VIEW]["model_id"] == live.box.model_id
    assert bundle["text/html"] == f"<p>{START}</p>"


def test_a_figure_that_is_there_is_not_drawn():
    """The chapter computed it for other ends too."""
    assert shown(Live(draw, START, Words("given"))) == ["<p>given</p>"]


@pytest.mark.parametrize(
    "name,value",
    [("seed", 6), ("label", None), ("windows", CONSTANT), ("factor", 1.5), ("n_steps", 9)],
)
def test_each_control_counts(name, value):
    """A change says that it computes, then there is the figure of the new config."""
    live = Live(draw, START)
    live.controls[name].value = NONE if value is None else value
    assert "computing" in live.said.value
    config = FigureConfig(**{**vars(START), name: value})
    assert live.config == config and shown(live) == [f"<p>{config}</p>"]
    assert 'role="status">computed in' in live.said.value


def test_other_images_bring_their_networks_windows_and_classes():
    """What does not go with them is no longer offered; what does, stays."""
    live = Live(draw, START)
    live.controls["dataset"].value = EMOJI
    assert live.config == FigureConfig(EMOJI, "emoji-resnet", 1, 5, n_steps=7)
    assert [name for name, _ in live.controls["label"].options][1] == "Activities"
    live.controls["dataset"].value = HELD_OUT  # no network was trained on these
    assert live.config == FigureConfig(HELD_OUT, None, 1, 5, CONSTANT, n_steps=7)
    assert live.controls["network"].label == "none"
    assert CALIBRATED not in dict(live.controls["windows"].options)
    assert live.controls["factor"].layout.display == "none"
    live.controls["dataset"].value = FASHION
    live.controls["network"].value = "fashion-resnet"
    live.controls["windows"].value = CALIBRATED
    assert live.config == START and live.controls["side"].layout.display == "none"
    assert shown(live) == [f"<p>{START}</p>"]


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"network": "x"}, "network must be one of fashion-resnet, .*none, got 'x'"),
        ({"label": 10}, "label must be one of by the seed, T-shirt/top, .* got 10"),
        ({"windows": "x"}, "windows must be one of calibrated on the network, .* got 'x'"),
    ],
)
def test_a_start_must_be_offered(changes, message):
    """Before anything is drawn."""
    with pytest.raises(ValueError, match=message):
        Live(draw, FigureConfig(**{**vars(START), **changes}))


def test_images_that_cannot_be_read(tmp_path):
    """A file of one's own is offered; what is wrong with it is said, and mended when it is."""
    path = tmp_path / "mine.npy"
    numpy.save(path, numpy.zeros((3, 1, 8, 8), "float32"))
    live = Live(explorer, FigureConfig(str(path), None, None, 0, CONSTANT, side=3, n_steps=2))
    assert [name for name, _ in live.controls["label"].options] == ["all"]
    assert "Mosaic explorer: a picture, seed 0" in shown(live)[0]
    live.controls["dataset"].value = EMOJI
    path.unlink()
    live.controls["dataset"].value = str(path)
    assert shown(live) == [] and f"{path} is missing" in live.said.value
    live.controls["dataset"].value = EMOJI
    assert "Mosaic explorer: activities, seed 0" in shown(live)[0]


def test_many_changes_are_one_figure():
    """Clicking through the seeds computes the last one only, also while another is computed."""
    drawn = []

    def slow(config):
        drawn.append(config.seed)
        time.sleep(0.8)
        return Words(config.seed)

    live = Live(slow, START, Words("given"))
    for seed in (6, 7, 8):
        live.controls["seed"].value = seed
    while drawn != [8]:
        time.sleep(0.01)
    for seed in (9, 10):
        live.controls["seed"].value = seed
        time.sleep(0.35)  # long enough for each to wait for its turn
    assert shown(live) == ["<p>10</p>"] and drawn == [8, 10]


def test_what_is_wrong_is_said():
    """In words, instead of the figure; the next change mends it."""
    live = Live(draw, START)
    live.controls["seed"].value = 13
    assert shown(live) == []
    assert live.said.value == '<span role="alert">seed must not be 13 &amp; &lt;odd&gt;.</span>'
    live.controls["seed"].value = 14
    assert "seed=14" in shown(live)[0] and "status" in live.said.value
