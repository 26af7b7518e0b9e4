"""Shapes and dtypes of public signatures are checked in tests, and only there."""

import importlib
import importlib.util
import os
import resource
import shutil
import sys
from contextlib import contextmanager

import jaxtyping
import matplotlib
import pytest
import torch

matplotlib.use("agg")

hook = jaxtyping.install_import_hook("elslib", "typecheck.check")
# Triton compiles plain functions, not ones wrapped in checks: that module is imported as it is,
# after the modules that it needs.
if importlib.util.find_spec("triton"):
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is declared
    importlib.import_module("elslib.posterior")
    hook.uninstall()
    importlib.import_module("elslib.posterior.triton_backend")
    hook = jaxtyping.install_import_hook("elslib", "typecheck.check")


def pytest_generate_tests(metafunc):
    """Run the laws of tests/conformance.py for each engine of their machine."""
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", metafunc.cls.engines, indirect=True)


@pytest.fixture(autouse=True)
def same_numbers():
    """Each test draws the same random numbers in every run, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def full_disk():
    """Within `with full_disk(n):` no file can grow beyond n bytes, of child processes neither."""

    @contextmanager
    def limited(size):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited


@pytest.fixture
def as_installed(monkeypatch):
    """Without the shape checks of conftest.py, which users do not have and which answer first."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def one_thread():
    """Tiny networks gain nothing from threads, and bits depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder with the embedded test images and nothing else, for every module that asks; it
    is the project, too."""
    source = importlib.import_module("elslib.data.folders").data_folder()
    for name in ("manifest.json", "noto_emoji.npz"):
        shutil.copy(source / name, tmp_path / name)
    for name, module in list(sys.modules.items()):
        if name.startswith("elslib.") and hasattr(module, "data_folder"):
            monkeypatch.setattr(module, "data_folder", lambda: tmp_path)
    monkeypatch.setenv("ELSLIB_PROJECT", str(tmp_path))
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Fewer samples and held-out triples for the numbers of a network's card."""
    training = importlib.import_module("elslib.networks.training")
    measure = training.held_out_loss
    monkeypatch.setattr(
        training, "held_out_loss", lambda network, held: measure(network, held, 1, 2)
    )
    monkeypatch.setattr("elslib.experiments.train_network.SAMPLES", 3)
