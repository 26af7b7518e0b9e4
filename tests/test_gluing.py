"""Numbers for the prose."""

from elslib import gluing
from elslib.metrics import Interval


def test_an_interval_brings_its_bounds(monkeypatch):
    """Under keys of their own; anything else stands under its key alone. Nothing is shown."""
    glued = {}

    def glue(key, value, display):
        assert not display
        glued[key] = value

    monkeypatch.setattr(gluing, "glue", glue)
    gluing.glue_all({"r": Interval(0.9, 0.8, 0.95), "n": 8})
    assert glued == {"r": 0.9, "r_low": 0.8, "r_high": 0.95, "n": 8}
