"""Ceilings and hand-overs: what is kept belongs to the networks, and says what it must."""

import json

import pytest
import torch

from elslib.data.folders import project_folder
from elslib.experiments.agreement_results import read_pictures
from elslib.experiments.how_far import (
    compared_with,
    corrected,
    read_ceiling,
    read_parting,
    read_reasons,
)

RESULTS = project_folder() / "results"
PARTED = [path.stem.removeprefix("parting-") for path in RESULTS.glob("parting-*.json")]
TRIED = [path.stem.removeprefix("reasons-") for path in RESULTS.glob("reasons-*.json")]
TWINS = [path.stem.removeprefix("ceiling-") for path in RESULTS.glob("ceiling-*.json")]


@pytest.mark.parametrize("network", PARTED)
def test_what_is_handed_over_later_ends_nearer(network):
    """At the last time nearly the whole picture is the network's own."""
    parting = read_parting(network)
    assert parting.times[0] == 1 and list(parting.times) == sorted(parting.times, reverse=True)
    for theory, r in parting.r.items():
        median = r.median(1).values
        assert median[-1] == median.max() and median[-1] > median[0]
        assert parting.error[theory].shape == (len(parting.times), len(parting.variance))
        assert parting.error[theory][-1].mean() < parting.error[theory][0].mean()


@pytest.mark.parametrize("network", TWINS)
def test_twins_are_alike_and_not_the_same(network):
    """And so are 100 pictures, of both numbers of steps."""
    for steps in (20, 150):
        r = read_ceiling(network, steps)
        assert r is not None and len(r) == len(read_pictures(network)["network"])
        assert 0.8 < float(r.median()) < 0.9999


def test_what_was_not_compared():
    assert read_ceiling("nobody") is None
    with pytest.raises(FileNotFoundError):
        read_parting("nobody")


def test_weights_must_be_those(monkeypatch):
    monkeypatch.setattr("elslib.experiments.store.weights_sha256", lambda name: "other")
    for read, network in ((read_ceiling, TWINS[0]), (read_parting, PARTED[0])):
        with pytest.raises(ValueError, match="must belong to the weights of"):
            read(network)


def test_correction_undoes_noise():
    """Two noisy copies of a common picture: a theory that is the common one is at its ceiling."""
    generator = torch.Generator().manual_seed(0)
    common, *noise = torch.randn(3, 50_000, generator=generator, dtype=torch.float64)
    one, two = (common + 0.3 * own for own in noise)

    def r(a, b):
        return torch.corrcoef(torch.stack([a, b]))[0, 1][None]

    assert abs(float(corrected(r(common, one), r(one, two))) - 1) < 0.003


def test_networks_are_named_by_theory():
    assert "fashion-resnet" in compared_with("Fold")
    assert compared_with("no theory") == []


def test_the_constants_are_recorded():
    """A result of softer theories says with which constants it was made."""
    for network in compared_with("Fold"):
        record = json.loads((RESULTS / f"agreement-{network}.json").read_text())
        assert record["config"]["constants"]["Fold"] == [3, 0.6]


@pytest.mark.parametrize("network", TRIED)
def test_rivals_are_compared_on_the_same_noise(network):
    """Every theory once for each seed, apart from those of the agreement."""
    rows = read_reasons(network)
    assert {"ELS", "Fold", "Sizes", "Smoothed"} < set(rows.theory)
    assert set(rows.groupby("theory").seed.apply(tuple)) == {tuple(sorted(set(rows.seed)))}
    assert rows.seed.min() > 1_000 and rows.r.between(0, 1).all()
