"""Shapes and dtypes of public signatures are checked in tests, and only there."""

import importlib
import sys

import jaxtyping
import matplotlib
import pytest

matplotlib.use("agg")

# Numba compiles plain functions, not ones wrapped in checks: import those modules as they are,
# forget the others, and let the hook see these when they are imported again.
importlib.import_module("elslib.posterior.compiling")
COMPILED = [f"elslib.posterior.{name}" for name in ("lanes", "boxes", "kernel", "compiling")]
for name in [name for name in sys.modules if name.split(".")[0] == "elslib"]:
    if name not in COMPILED:
        del sys.modules[name]
jaxtyping.install_import_hook("elslib", "typecheck.check")


def pytest_generate_tests(metafunc):
    """Run the laws of tests/conformance.py for each engine of their machine."""
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", metafunc.cls.engines, indirect=True)


@pytest.fixture
def as_installed(monkeypatch):
    """Without the shape checks of conftest.py, which users do not have and which answer first."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
