"""Run records and atomic files."""

import errno
import json

import numpy as np
import pytest

from elslib.records import RunRecord, Stopwatch, spot_checks, write_arrays, write_json


def test_a_record_says_what_produced_an_artefact():
    """Commit, versions, hardware: filled in, and plain json."""
    record = RunRecord("elslib test", {"seed": 1}, "abc", 1.5).json()
    assert json.loads(json.dumps(record)) == record
    assert {"python", "torch", "elslib"} <= set(record["versions"])
    assert "cores" in record["hardware"] and record["config"] == {"seed": 1}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """What cannot be written does not replace what was there."""
    path = tmp_path / "a.json"
    write_json(path, [1])
    with pytest.raises(TypeError):
        write_json(path, [object()])
    assert json.loads(path.read_text()) == [1]


def test_a_full_disk_leaves_the_old_file_and_is_named(tmp_path, full_disk):
    """Half of the new one is there when the system refuses the rest."""
    path = tmp_path / "a.npz"
    write_arrays(path, {"a": np.arange(3)})
    with full_disk(1000), pytest.raises(OSError, match=r"a\.npz") as caught:
        write_arrays(path, {"a": np.random.default_rng(0).random(1000)})
    assert caught.value.errno == errno.EFBIG
    assert np.load(path)["a"].tolist() == [0, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_a_stopwatch_counts_up():
    """In seconds, from when it was made."""
    clock = Stopwatch()
    assert 0 <= clock.seconds < 5


def test_spot_checks_are_drawn_without_repetition():
    """The same for one version of the source; all candidates if all are asked for."""
    drawn = spot_checks(20, 3)
    assert drawn == spot_checks(20, 3) and len(set(drawn)) == 3
    assert sorted(spot_checks(5, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"n must lie in 0\.\.5"):
        spot_checks(5, 6)
