"""Calibration finds windows that are known."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from conformance import image_set
from helpers import FunctionDenoiser

from elslib.analysis.agreement import agree
from elslib.analysis.calibration import Trajectory, calibrate, quality, scale_table
from elslib.denoisers.machines import Denoiser, EquivariantLocalScore
from elslib.experiments.store import load_scale
from elslib.samplers import ddim, ddpm, heun, uniform_times
from elslib.scales import ScaleTable, published_scale, published_scales
from elslib.schedules import linear
from elslib.windows import Window

IMAGES = image_set(8, 1, 10, 10)
KNOWN = ScaleTable((0.25, 0.5, 0.75, 1.0), (3, 3, 5, 7), "known")
NETWORK = EquivariantLocalScore(IMAGES, KNOWN)
SEEDS = (10_000, 10_001)


def test_a_network_that_is_a_machine_is_recovered():
    """If the network is ELS with known windows, those are the calibrated ones."""
    runs = list(
        calibrate(
            NETWORK,
            IMAGES,
            windows=(3, 5, 7),
            seeds=SEEDS,
            labels=(0, 1),
            times=uniform_times(4),
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
        next(calibrate(NETWORK, IMAGES, windows=(5, 3)))
    with pytest.raises(ValueError, match="trajectories must hold at least one"):
        scale_table([], "test")
    with pytest.raises(FileNotFoundError, match="elslib calibrate --network nobody"):
        load_scale("nobody", "els")


def test_a_table_by_hand(tmp_path):
    """Saved, it is loaded again, windows that are not hard, too."""
    table = ScaleTable((0.5, 1.0), (3, Window(5, 2)))
    table.save(tmp_path / "new" / "scale.json")
    assert ScaleTable.load(tmp_path / "new" / "scale.json") == table and table.source == "by hand"


def test_scales_without_a_record(tmp_path, monkeypatch):
    """They may belong to any network."""
    path = tmp_path / "scales" / "some-els.json"
    path.parent.mkdir()
    path.write_text(json.dumps(KNOWN.json()))
    monkeypatch.setenv("ELSLIB_PROJECT", str(tmp_path))
    with pytest.raises(ValueError, match="must hold the record of a run .*'command'.*; delete it"):
        load_scale("some", "els")


def test_published_scales():
    """Twenty windows each, the lowest noise first; an unknown name lists the known ones."""
    scale = published_scale("fmnist-resnet-zeros")
    assert "fmnist-resnet-zeros" in published_scales() and len(published_scales()) == 10
    assert (scale.window_at(0.05), scale.window_at(0.5), scale.window_at(1.0)) == (3, 11, 17)
    with pytest.raises(ValueError, match="name must be one of cifar10-resnet-zeros, .* got 'x'"):
        published_scale("x")


def test_labels_and_estimates_are_checked(as_installed):
    """One label an image; an estimate that is no number must not win."""

    def run(labels, network: Denoiser = NETWORK):
        return list(calibrate(network, IMAGES, "ls", (3, 5), SEEDS, labels, times=uniform_times(2)))

    with pytest.raises(ValueError, match="labels must be one per seed, got 3 for 2"):
        run((0, 1, 1))
    with pytest.raises(ValueError, match="must estimate finite noise"):
        run(None, FunctionDenoiser(lambda x, t, label: x if t == 1 else x * torch.nan))
    with pytest.raises(ValueError, match=r"network must have .edges, 'aware' for zero padding or"):
        next(calibrate(FunctionDenoiser(NETWORK), IMAGES))
    without: Any = lambda x, t, label=None: x  # noqa: E731
    with pytest.raises(ValueError, match="denoise must have a .schedule"):
        run(None, without)


def test_machines_take_the_schedule_of_the_network():
    """Of whatever network; so a theory never reads other noise levels from its times."""
    other = EquivariantLocalScore(IMAGES, KNOWN, schedule=linear())
    runs = calibrate(other, IMAGES, windows=(3, 5, 7), seeds=SEEDS, times=uniform_times(4))
    assert scale_table(runs, "test").windows[:3] == KNOWN.windows[:3]


def test_times_and_samplers():
    """The table has the times that were walked; a sampler of another kind walks otherwise."""
    found = {
        sampler: next(
            calibrate(
                NETWORK, IMAGES, "els", (3, 5, 7), SEEDS, times=[1, 0.6, 0.2], sampler=sampler
            )
        )
        for sampler in (ddim, heun, ddpm)
    }
    assert all(run.times == (0.6, 1) for run in found.values())
    assert len({float(run.cosine[0, 2]) for run in found.values()}) == 3


def trajectory(windows, *cosines, growth=1.0):
    times = tuple((i + 1) / len(cosines) for i in range(len(cosines)))
    return Trajectory(None, times, windows, torch.tensor(cosines, dtype=torch.float64), growth)


def test_calibration_judges_itself():
    """What the best window has and gains; ends that are hit, cosines all alike, explosions."""
    good = trajectory((3, 5, 7), [0.5, 0.9, 0.6], [0.2, 0.8, 0.5])
    assert quality([good]).warnings == ()
    assert quality([good]).cosine == (0.9, 0.8) and quality([good]).spread == (0.4, 0.6)
    bad = trajectory((3, 5, 7), [0.9, 0.5, 0.4], [0.1, 0.2, 0.9], [0.9, 0.90001, 0.9], growth=50.0)
    largest, smallest, flat, exploded = quality([bad]).warnings
    assert largest == "the window is 7, the largest tried, at t = 0.667; try larger ones"
    assert smallest == "the window is 3, the smallest tried, at t = 0.333"
    assert "the same cosine to 0.0001 at t = 1; there the data choose none" in flat
    assert exploded.startswith("1 of 1 trajectories explode, x up to 50 times")
    assert quality([replace(good, growth=None)]).warnings == ()
    (opposite,) = quality([trajectory((3,), [-0.4], [0.7])]).warnings
    assert opposite.startswith("network and theory point in opposite directions at t = 0.5; does")
    # Nothing can be chosen from one window.
    assert quality([trajectory((3,), [0.9])]).warnings == ()


def test_an_exploding_trajectory_is_seen():
    """A network that answers too much in strong noise; and one that does not."""
    network = FunctionDenoiser(lambda x, t, label: NETWORK(x, t) * (40 if t > 0.5 else 1))
    for denoise, grown in ((network, True), (FunctionDenoiser(NETWORK), False)):
        (run,) = calibrate(denoise, IMAGES, "ls", (3, 5), SEEDS[:1])
        assert (quality([run]).warnings[-1].find("explode") > 0) == grown, run.growth


def test_more_windows_join_a_run():
    """In order, whichever came first; and some can be taken out again."""
    wide, narrow = trajectory((5, 9), [0.1, 0.2]), trajectory((3, 7), [0.3, 0.4])
    both = wide.joined(narrow)
    assert both.windows == (3, 5, 7, 9) and both.cosine.tolist() == [[0.3, 0.1, 0.4, 0.2]]
    assert both.of((3, 9)).cosine.tolist() == [[0.3, 0.2]] and both.of((5, 9)).json() == wide.json()


def run(label=0, times=(0.5, 1.0), windows=(3, 5), best=0):
    """One whose best window is that one at all times."""
    row = [0.9 if i == best else 0.8 for i in range(len(windows))]
    cosine = torch.tensor([row] * len(times), dtype=torch.float64)
    return Trajectory(label, times, windows, cosine)


def test_runs_that_cannot_be_summed_up():
    """Of other times or windows, for a table, a judgement, or one run."""
    for other in (run(times=(0.1, 0.2)), run(windows=(7, 9)), run(times=(1.0,))):
        for summed in (scale_table, quality):
            with pytest.raises(ValueError, match="the same windows at the same times"):
                summed([run(), other])
    assert scale_table([run(0), run(1)]).windows == (3, 3)
    for other in (run(label=1, windows=(7, 9)), run(times=(0.1, 0.2), windows=(7, 9))):
        with pytest.raises(ValueError, match="one class and the same times to be joined"):
            run().joined(other)
    with pytest.raises(ValueError, match=r"no window in common to be joined, got \[5\]"):
        run().joined(run(windows=(5, 7)))
    with pytest.raises(ValueError, match=r"windows must be of \(3, 5\), got \[7\]"):
        run().of([3, 7])


def test_images_of_double_precision():
    """Noise is as the images are, for a network of that precision."""
    images = IMAGES.to(dtype=torch.float64)
    network = EquivariantLocalScore(images, KNOWN)
    (found,) = calibrate(network, images, windows=(3, 5), seeds=[10_000], times=[1.0, 0.5, 0.0])
    assert found.best()[0] == 3
    rows = agree(network, images, {"els": KNOWN}, range(1), ["ELS"], n_steps=2)
    assert rows.r.min() > 0.999999
