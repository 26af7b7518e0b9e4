"""Reading back a network at many ages."""

import json

import numpy as np
import pytest

from elslib.experiments import ages
from elslib.experiments.ages import read_ages
from elslib.experiments.agreement_results import read_pictures

NETWORK = "fashion-unet-attention"


def test_each_age_has_what_was_measured():
    """Ascending ages, r of each noise image with each that it was compared with."""
    kept = read_ages(NETWORK)
    assert list(kept.updates) == sorted(set(kept.updates))
    assert len(kept.held_out) == len(kept.updates)
    noise_images = len(read_pictures(NETWORK)["ELS"])
    assert {"ELS", "LS", "IS"} <= kept.r.keys()
    for r in kept.r.values():
        assert r.shape == (len(kept.updates), noise_images)
        assert float(r.abs().max()) <= 1


def test_the_film_shows_ages_of_the_table():
    """The last of them among them, in range."""
    kept = read_ages(NETWORK)
    assert kept.film.keys() <= set(kept.updates)
    assert max(kept.film) == kept.updates[-1]
    assert all(x.shape[1:] == (1, 32, 32) and x.abs().max() <= 1 for x in kept.film.values())


def test_ages_of_other_weights(monkeypatch):
    """Of a network that was trained again since, or of one beside it."""
    sha256 = ages.weights_sha256
    for other in (NETWORK, "fashion-resnet"):
        monkeypatch.setattr(
            ages, "weights_sha256", lambda name, other=other: name == other or sha256(name)
        )
        with pytest.raises(ValueError, match=f"other {other} .*; make it again"):
            read_ages(NETWORK)


@pytest.mark.parametrize("command", ["measure", "film"])
def test_ages_that_are_not_there(command, monkeypatch, tmp_path):
    """Says which command makes them."""
    if command == "film":
        (tmp_path / "early.json").write_text(json.dumps({}), encoding="utf-8")
    else:
        np.savez(tmp_path / "early.npz")
    monkeypatch.setattr(ages, "result_path", lambda *_: tmp_path / "early.json")
    with pytest.raises(FileNotFoundError, match=f"early_training.py {command} --network nobody"):
        read_ages("nobody")
