"""Calibration finds windows that are known."""

import json

import pytest
import torch
from conformance import image_set
from helpers import FunctionDenoiser

from elslib.analysis.calibration import Trajectory, calibrate, scale_table
from elslib.denoisers.machines import Denoiser, EquivariantLocalScore
from elslib.experiments.store import load_scale
from elslib.samplers import initial_noise
from elslib.scales import ScaleTable, constant_scale, published_scale, published_scales
from elslib.schedules import linear

IMAGES = image_set(8, 1, 10, 10)
KNOWN = ScaleTable((0.25, 0.5, 0.75, 1.0), (3, 3, 5, 7), "known")
NETWORK = EquivariantLocalScore(IMAGES, KNOWN)
NOISE = initial_noise((10_000, 10_001), (1, 10, 10))


def test_a_network_that_is_a_machine_is_recovered():
    """If the network is ELS with known windows, those are the calibrated ones."""
    runs = list(
        calibrate(
            NETWORK,
            lambda window: EquivariantLocalScore(IMAGES, constant_scale(window)),
            (3, 5, 7),
            NOISE,
            labels=(0, 1),
            n_steps=4,
        )
    )
    table = scale_table(runs, "test")
    assert table.times == KNOWN.times
    # At t = 1 alpha is 0.0125 and every window predicts nearly the same noise.
    assert table.windows[:3] == KNOWN.windows[:3]
    assert Trajectory.from_json(runs[0].json()).best() == runs[0].best()


def test_ties_take_the_smaller_window_and_medians_the_lower():
    """Both rules keep the answer an odd window that was tried."""

    def run(*cosines):
        return Trajectory(None, (1.0,), (3, 5, 7), torch.tensor([cosines]))

    assert run(0.9, 0.9, 0.1).best() == [3]
    table = scale_table([run(0.9, 0.1, 0.1), run(0.1, 0.1, 0.9)], "test")
    assert table.windows == (3,) and table.lower == (4.0,) and table.upper == (6.0,)


def test_bad_input():
    """Windows that do not increase, no runs, a network nobody calibrated."""
    with pytest.raises(ValueError, match="windows must increase"):
        next(calibrate(NETWORK, lambda window: NETWORK, (5, 3), NOISE))
    with pytest.raises(ValueError, match="trajectories must hold at least one"):
        scale_table([], "test")
    with pytest.raises(FileNotFoundError, match="elslib calibrate --network nobody"):
        load_scale("nobody", "els")


def test_scales_without_a_record(tmp_path, monkeypatch):
    """They may belong to any network."""
    path = tmp_path / "scales" / "some-els.json"
    path.parent.mkdir()
    path.write_text(json.dumps(KNOWN.json()))
    monkeypatch.setattr("elslib.experiments.store.data_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="must hold the record of a run .*'command'.*; delete it"):
        load_scale("some", "els")


def test_published_scales():
    """Twenty windows each, the lowest noise first; an unknown name lists the known ones."""
    scale = published_scale("fmnist-resnet-zeros")
    assert "fmnist-resnet-zeros" in published_scales() and len(published_scales()) == 10
    assert (scale.window_at(0.05), scale.window_at(0.5), scale.window_at(1.0)) == (3, 11, 17)
    with pytest.raises(ValueError, match="name must be one of cifar10-resnet-zeros, .* got 'x'"):
        published_scale("x")


def test_labels_and_estimates_are_checked():
    """One label an image; an estimate that is no number must not win."""

    def run(labels, network: Denoiser = NETWORK):
        machine = lambda window: EquivariantLocalScore(IMAGES, constant_scale(window))  # noqa: E731
        return list(calibrate(network, machine, (3, 5), NOISE, labels, n_steps=2))

    with pytest.raises(ValueError, match="labels must be one per image, got 3 for 2"):
        run((0, 1, 1))
    with pytest.raises(ValueError, match="must estimate finite noise"):
        run(None, FunctionDenoiser(lambda x, t, label: x if t == 1 else x * torch.nan))
    with pytest.raises(ValueError, match="must share one schedule to be compared, got 'linear' an"):
        run(None, FunctionDenoiser(NETWORK, linear()))
