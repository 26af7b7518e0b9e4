"""Numbers for the prose."""

import numpy as np
import torch

from elslib.analysis.intervals import Interval
from elslib.book import glue


def test_an_interval_brings_its_bounds(monkeypatch):
    """Under keys of their own; anything else stands under its key alone. Nothing is shown."""
    glued = {}

    def glued_one(key, value, display):
        assert not display
        glued[key] = value

    monkeypatch.setattr(glue, "glue", glued_one)
    glue.glue_all({"r": Interval(0.9, 0.8, 0.95), "n": 8})
    assert glued == {"r": 0.9, "r_low": 0.8, "r_high": 0.95, "n": 8}


def test_numbers_become_pythons(monkeypatch):
    """NumPy's and torch's print with their type's name on a page, and take no format there."""
    glued = {}
    monkeypatch.setattr(glue, "glue", lambda key, value, display: glued.update({key: value}))
    values = {"a": np.float64(0.5), "b": np.int64(3), "c": torch.tensor(0.25), "d": np.array(2)}
    glue.glue_all({**values, "e": [1, 2], "f": "words"})
    assert glued == {"a": 0.5, "b": 3, "c": 0.25, "d": 2, "e": [1, 2], "f": "words"}
    assert [type(value).__name__ for value in glued.values()] == [
        "float", "int", "float", "int", "list", "str",
    ]  # fmt: skip


def test_durations():
    """The largest unit that fits."""
    found = [glue.duration(s) for s in (0.04, 80, 100, 7200, 44 * 86400, 5e9 * 365.25 * 86400)]
    assert found == [
        "0.0 seconds", "80.0 seconds", "2 minutes", "2 hours", "44 days", "5,000,000,000 years",
    ]  # fmt: skip
