"""Sweeps of the agreement: read back, added up, and those that are committed."""

import csv
import json
from dataclasses import astuple, replace

import pandas as pd
import pytest
import torch

from elslib.analysis import agreement
from elslib.book import chapters, execute
from elslib.experiments import agreement_results, sweep_results
from elslib.experiments.sweep_results import COLUMNS, Point, at, curve, read_sweep
from elslib.scales import ScaleTable

BASE = Point("some", "els", 1.0, 0, 20)
ROW = {
    "network": "some",
    "machine": "els",
    "window_factor": "0.5",
    "n_images": "3",
    "theory_steps": "10",
    "seeds": "4 14",
    "r_20_each": "0.7 0.8",
    "r_150_each": "0.75 -0.5",
    "windows": "1 3",
    "weights_sha256": "abc",
}


def swept(*rows):
    """A table of (point, seed, network's steps, r)."""
    return pd.DataFrame([(*astuple(point), *rest) for point, *rest in rows], columns=COLUMNS)


SCALE = ScaleTable((0.2, 0.9), (3, 5), "of a test")


@pytest.fixture
def sweeps(tmp_path, monkeypatch):
    """A data folder with one sweep of one run."""
    monkeypatch.setenv("ELSLIB_PROJECT", str(tmp_path))
    monkeypatch.setattr(sweep_results, "weights_sha256", lambda network: "abc")
    monkeypatch.setattr(sweep_results, "load_scale", lambda network, machine: SCALE)
    path = sweep_results.sweep_path("one")
    path.parent.mkdir()
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(ROW))
        table.writeheader()
        table.writerow(ROW)
    return tmp_path


def test_a_run_becomes_one_entry_for_each_seed_and_number_of_steps(sweeps):
    """Typed, in the order of the file."""
    point = Point("some", "els", 0.5, 3, 10)
    found = read_sweep("one")
    expected = swept((point, 4, 20, 0.7), (point, 14, 20, 0.8), (point, 4, 150, 0.75),
                     (point, 14, 150, -0.5))  # fmt: skip
    pd.testing.assert_frame_equal(found, expected)
    assert len(read_sweep("one", "one")) == 8 and list(read_sweep()) == list(found)
    with pytest.raises(FileNotFoundError, match="no sweep 'two'"):
        read_sweep("two")


def test_a_sweep_of_other_weights_is_refused(sweeps, monkeypatch):
    """The network was trained again."""
    monkeypatch.setattr(sweep_results, "weights_sha256", lambda network: "def")
    with pytest.raises(ValueError, match="must belong to the weights of 'some', but was made with"):
        read_sweep("one")


def test_a_sweep_of_other_windows_is_refused(sweeps, monkeypatch):
    """The network was calibrated again."""
    other = replace(SCALE, windows=(3, 9))
    monkeypatch.setattr(sweep_results, "load_scale", lambda network, machine: other)
    with pytest.raises(ValueError, match=r"times 0\.5, .* windows \(1 3, now 1 5\)"):
        read_sweep("one")


def test_seeds_of_a_point_are_sorted_and_counted_once():
    """Whatever run they are from."""
    wide = replace(BASE, window_factor=2.0)
    some = swept((BASE, 3, 150, 0.3), (BASE, 1, 150, 0.1), (BASE, 1, 20, 0.9),
                 (wide, 2, 150, 0.2), (BASE, 3, 150, 0.4))  # fmt: skip
    assert at(some, BASE).tolist() == [0.1, 0.3]
    assert at(some, BASE, network_steps=20).tolist() == [0.9]
    with pytest.raises(ValueError, match="the sweep must hold .* at 20 network steps, got none"):
        at(some, wide, network_steps=20)


def test_a_curve_varies_one_parameter():
    """In increasing order; points that differ in another are not on it."""
    factors = [2.0, 0.5, 1.0]
    some = swept(*((replace(BASE, window_factor=f), 0, 150, f / 10) for f in factors),
                 (replace(BASE, window_factor=3.0, machine="ls"), 0, 150, 0.9))  # fmt: skip
    found = curve(some, BASE, "window_factor")
    assert list(found) == [0.5, 1.0, 2.0]
    assert [r.tolist() for r in found.values()] == [[0.05], [0.1], [0.2]]
    assert list(curve(some, BASE, "n_images")) == [0]
    assert curve(read_sweep(), BASE, "window_factor") == {}


@pytest.mark.parametrize(
    "name, axis",
    [("windows", "window_factor"), ("images", "n_images"), ("steps", "theory_steps")],
)
def test_committed_sweeps(name, axis):
    """Each point of the grid is there, with all seeds."""
    about = json.loads(sweep_results.sweep_path(name).with_suffix(".json").read_text())["config"]
    axes, some = about["axes"], read_sweep(name)
    assert set(some[axis]) == set(axes[axis])
    n = len(axes["seed"]) * axes["n_seeds"][0]
    for values in some[COLUMNS[:5]].drop_duplicates().itertuples(index=False, name=None):
        point = Point(*values)
        assert len(at(some, point, 20)) == len(at(some, point, 150)) == n


@pytest.mark.parametrize("machine", ["els", "ls"])
@pytest.mark.parametrize("steps", agreement.NETWORK_STEPS)
def test_where_no_knob_is_turned_a_sweep_is_what_agree_found(machine, steps):
    """The same seeds, another run."""
    found = at(read_sweep("windows"), Point("fashion-resnet", machine, 1.0, 0, 20), steps)
    kept = agreement.values(agreement_results.read_rows("fashion-resnet"), machine.upper(), steps)
    assert torch.allclose(found, kept[: len(found)], atol=5e-3, rtol=0)


def test_the_chapter_is_swept_before_there_is_a_sweep(tmp_path):
    """Its printed commands say `sweeps=none`: it runs to its end then, at any of its points."""
    source = chapters.ROOT / "notebooks" / "12_sweep.py"
    page = chapters.Notebook(source, tmp_path / "12_sweep.ipynb")
    small = {"machine": "ls", "n_images": 2, "theory_steps": 2, "n_seeds": 1, "sweeps": "none"}
    assert execute.execute(page, small)
