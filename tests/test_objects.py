"""What somebody saw in shuffled pictures: complete, and of the pictures that are kept."""

import pandas as pd
import pytest

from elslib.experiments import store
from elslib.experiments.agreement_results import read_rows
from elslib.experiments.store import read_result

NETWORK = "cifar10-full-unet-attention"


def test_every_picture_was_judged_once():
    """Thirty by each, with the class that its noise image was drawn with."""
    content = read_result("objects", NETWORK, "objects")
    seen = pd.DataFrame(content["rows"])
    assert set(seen.groupby(["network", "of"]).seed.apply(list).map(tuple)) == {tuple(range(30))}
    assert len(seen.groupby(["network", "of"])) == 4
    assert set(seen.object) == {"yes", "partly", "no"}
    labels = read_rows(NETWORK).groupby("seed").label.first()
    names = {label: set(some.asked) for label, some in seen.groupby(seen.seed.map(labels))}
    assert all(len(of_class) == 1 for of_class in names.values()) and len(names) == 10


def test_weights_must_be_those(monkeypatch):
    """Of a network that was trained again since, nobody saw pictures."""
    monkeypatch.setattr(store, "weights_sha256", lambda name: "other")
    with pytest.raises(ValueError, match="must belong to the weights of"):
        read_result("objects", NETWORK, "objects")
