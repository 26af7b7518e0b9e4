"""Shapes and dtypes of public signatures are checked in tests, and only there."""

import jaxtyping
import matplotlib
import pytest

matplotlib.use("agg")
jaxtyping.install_import_hook("elslib", "typecheck.check")


@pytest.fixture
def as_installed(monkeypatch):
    """Without the shape checks of conftest.py, which users do not have and which answer first."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
