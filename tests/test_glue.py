"""Numbers for the prose."""

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


def test_durations():
    """The largest unit that fits."""
    found = [glue.duration(s) for s in (0.04, 80, 100, 7200, 44 * 86400, 5e9 * 365.25 * 86400)]
    assert found == [
        "0.0 seconds", "80.0 seconds", "2 minutes", "2 hours", "44 days", "5,000,000,000 years",
    ]  # fmt: skip
