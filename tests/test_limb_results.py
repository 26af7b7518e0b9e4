"""Reading back the pictures whose limbs the book counts."""

import pytest
import torch

from elslib.analysis.limbs import EXPECTED, KINDS, count_limbs
from elslib.experiments import limb_results
from elslib.experiments.limb_results import draw_again, read_limb_results, redrawn_table

NETWORK = "fashion-resnet"


@pytest.fixture(scope="module")
def kept():
    return read_limb_results(NETWORK)


def test_each_noise_image_is_of_one_kind(kept):
    """And has a class whose limbs are of that kind."""
    rows = torch.cat(list(kept.kind.values()))
    assert sorted(rows.tolist()) == list(range(len(kept.seed)))
    for kind, of_kind in kept.kind.items():
        assert {KINDS[int(label)] for label in kept.label[of_kind]} == {kind}


def test_pictures_are_those_of_the_painters(kept):
    """In range, one for each noise image, those of the theory counted as they are alone."""
    assert {"theory", "network"} <= kept.drawn.keys()
    for pictures in kept.drawn.values():
        assert pictures.shape == (len(kept.seed), 1, 32, 32)
        assert float(pictures.min()) >= -1 and float(pictures.max()) <= 1
    found, shoes = kept.counts("theory"), kept.kind["bodies"]
    assert torch.equal(found[shoes], count_limbs(kept.drawn["theory"][shoes], "bodies"))
    assert kept.expected[kept.kind["legs"]].unique().tolist() == [EXPECTED["legs"]]


def test_a_picture_is_drawn_again(kept):
    """The network's and the theory's of one noise image."""
    found = list(draw_again(NETWORK, kept, [17]))
    assert [(again.painter, again.row) for again in found] == [("theory", 17), ("network", 17)]
    assert all(again.difference < 0.02 for again in found)


def test_a_table_of_what_was_drawn_again(kept, monkeypatch):
    """A row each for theory and network of the noise images chosen, counted on from the seed."""
    monkeypatch.setattr(limb_results, "spot_checks", lambda n, *_: [n - 1])
    head, *rows = redrawn_table(NETWORK, kept, 1, seed=18)
    assert len(head) == 4
    assert [row[1:3] for row in rows] == [
        [int(kept.seed[17]), painter] for painter in ("theory", "network")
    ]


def test_another_picture_is_noticed(kept, monkeypatch):
    """If the theory drew what the file has from the network."""
    monkeypatch.setattr(limb_results, "sample", lambda *_: kept.drawn["network"][[17]])
    with pytest.raises(AssertionError, match="row 17 by the theory is .* off the kept picture"):
        list(draw_again(NETWORK, kept, [17]))


def test_pictures_of_other_weights(monkeypatch):
    """Of a network that was trained again since."""
    monkeypatch.setattr(limb_results, "made_of", lambda *_: {"weights_sha256": "another"})
    with pytest.raises(ValueError, match="other weights_sha256 .*, now another.; delete it"):
        read_limb_results(NETWORK)


def test_no_pictures():
    """Says how to draw them."""
    with pytest.raises(FileNotFoundError, match="limb_samples.py sample --network nobody"):
        read_limb_results("nobody")


def test_nan_is_another_picture(kept, monkeypatch):
    """A comparison with it is false, whichever way it is asked."""
    nan = torch.full((1, 1, 32, 32), float("nan"))
    monkeypatch.setattr(limb_results, "sample", lambda *_: nan)
    with pytest.raises(AssertionError, match="nan off the kept picture"):
        list(draw_again(NETWORK, kept, [17]))
