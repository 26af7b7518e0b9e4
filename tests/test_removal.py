"""What removing images did: the numbers are those of the pictures, of the networks here."""

import pytest
import torch

from elslib.analysis.metrics import pearson_r
from elslib.data.folders import project_folder
from elslib.experiments.removal import read_removals

KEPT = [
    path.stem.removeprefix("removal-")
    for path in (project_folder() / "results").glob("removal-*.json")
]


@pytest.mark.parametrize("network", KEPT)
def test_the_numbers_are_those_of_the_pictures(network):
    """Sizes and r again from the bytes of the pictures, within what these can tell."""
    kept = read_removals(network)
    for count, kind in set(zip(kept.rows.removed, kept.rows.of, strict=True)):
        said = kept.pictures[f"ELS-{kind}-{count}"] - kept.pictures["ELS"]
        done = kept.pictures[f"network-{kind}-{count}"] - kept.pictures["network"]
        n = len(done)  # of the first noise images
        for name, change in (("said", said), ("done", done)):
            size = change.double().square().mean((1, 2, 3)).sqrt()
            assert torch.allclose(
                size, kept.of(count, kind, f"size_{name}")[:n], rtol=0.02, atol=0.003
            )
        r = pearson_r(said, done)
        assert torch.allclose(
            r.double(), kept.of(count, kind, f"r_with_{kind}")[:n], rtol=0, atol=0.06
        )


@pytest.mark.parametrize("network", KEPT)
def test_the_largest_shares_are_large(network):
    """More than as many at random hold, in the pictures that chose them, and never all."""
    kept = read_removals(network)
    chose = len(kept.pictures["ELS"])
    for count in set(kept.rows.removed):
        most, random = (kept.of(count, kind, "share")[:chose] for kind in ("most", "random"))
        assert bool((most > 1.1 * random).all()) and bool((most < 1).all())


def test_what_was_not_measured():
    with pytest.raises(FileNotFoundError, match="removal-nobody.json; run `benchmarks/removal.py`"):
        read_removals("nobody")


def test_weights_must_be_those(monkeypatch):
    monkeypatch.setattr("elslib.experiments.store.weights_sha256", lambda name: "other")
    with pytest.raises(ValueError, match="must belong to the weights of"):
        read_removals(KEPT[0])
