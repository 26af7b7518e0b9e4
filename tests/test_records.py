"""Run records and atomic files."""

import errno
import importlib
import json
import os
import zipfile

import numpy as np
import pytest

from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.resume_log import ResumeLog
from elslib.experiments.sources import digest
from elslib.experiments.spot_checks import spot_checks
from elslib.io import check_writable, write_arrays, write_json, write_together


def test_a_record_says_what_produced_an_artefact():
    """Commit, versions, hardware: filled in, and plain json."""
    record = RunRecord("elslib test", {"seed": 1}, "abc", 1.5).json()
    assert json.loads(json.dumps(record)) == record
    assert {"python", "torch", "elslib"} <= set(record["versions"])
    assert "cores" in record["hardware"] and record["config"] == {"seed": 1}


def test_json_has_lists_of_numbers_on_one_line(tmp_path):
    """And is the same json: strings, nested and empty lists are left as they are."""
    content = {"a": [1, -2.5e-7, None, True], "b": [[1, 2], []], "c": "[1,\n 2]", "d": ["x", "[3]"]}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == content
    assert '"a": [1, -2.5e-07, null, true]' in text and "  [1, 2],\n" in text


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


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_arrays_survive_the_file(tmp_path, compression):
    """Of any type and shape, whatever packs them; the same bytes each time."""
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.float32(0.5) * np.ones(4, np.float32)}
    for name in ("one.npz", "two.npz"):
        write_arrays(tmp_path / name, arrays, compression)
    found = np.load(tmp_path / "one.npz")
    assert set(found) == {"a", "b"}
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_stopwatch_counts_up():
    """In seconds, from when it was made."""
    clock = Stopwatch()
    assert 0 <= clock.seconds < 5


def test_spot_checks_are_drawn_without_repetition():
    """The same for one version of the source; all candidates if all are asked for."""
    drawn = spot_checks(20, 3, write_json)
    assert drawn == spot_checks(20, 3, write_json) and len(set(drawn)) == 3
    assert sorted(spot_checks(5, 5, write_json)) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"n must lie in 0\.\.5"):
        spot_checks(5, 6, write_json)


def test_spot_checks_are_other_ones_once_their_makers_change(monkeypatch):
    """By the modules that the result depends on, and by no other."""
    assert spot_checks(1000, 5, write_json) == spot_checks(1000, 5, check_writable)  # one module
    assert spot_checks(1000, 5, write_json) != spot_checks(1000, 5, spot_checks)
    before = [spot_checks(1000, 5, maker) for maker in (write_json, spot_checks)]
    changed = importlib.import_module("elslib.experiments.sources")
    monkeypatch.setattr(
        "elslib.experiments.spot_checks.digest",
        lambda path: b"other" if str(path) == changed.__file__ else digest(path),
    )
    after = [spot_checks(1000, 5, maker) for maker in (write_json, spot_checks)]
    assert before[0] == after[0] and before[1] != after[1]


def test_kept_items_of_another_run_are_refused(tmp_path):
    """What differs is named; the items of the same run are there again."""
    path = tmp_path / "kept.json"
    ResumeLog(path, {"a": 1, "b": 2}).add({"seconds": 1.5, "seeds": [3, 4]})
    kept = ResumeLog(path, {"a": 1, "b": 2})
    kept.add({"seconds": 2.0, "seeds": [5]})
    assert kept.gathered("seeds") == [3, 4, 5]
    assert (kept.seconds(), kept.seconds(1)) == (3.5, 1.5)
    with pytest.raises(ValueError, match=r"with other b \(2, now 3\); ask for the same, or delete"):
        ResumeLog(path, {"a": 1, "b": 3})


@pytest.mark.parametrize("name", ["file/drawn.npz", "x" * 250, "folder"])
def test_what_cannot_be_written_is_named_beforehand(tmp_path, name):
    """As it was asked for; nothing is left behind."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError, match=name):
        check_writable(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
    check_writable(tmp_path / "new" / "drawn.npz")
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("content", ["[]", "{}", '{"config": {}}'])
def test_a_file_that_is_no_record_is_refused(tmp_path, content):
    """Valid json of another kind."""
    path = tmp_path / "kept.json"
    path.write_text(content)
    with pytest.raises(
        ValueError, match="kept.json (is no record|must hold a json object).*; delete it"
    ):
        ResumeLog(path, {})


def test_files_that_belong_together(tmp_path, monkeypatch):
    """If one cannot be written none is new; a kill between their names leaves no record."""
    files = {tmp_path / name: name.encode() for name in ("rows", "pictures", "record")}
    write_together(files)
    assert [path.read_bytes() for path in files] == list(files.values())
    (tmp_path / "folder").touch()
    with pytest.raises(OSError, match="folder"):
        write_together({tmp_path / "rows": b"new", tmp_path / "folder" / "record": b""})
    assert (tmp_path / "rows").read_bytes() == b"rows"
    replace, done = os.replace, []

    def killed(part, path):
        if done:
            raise KeyboardInterrupt
        done.append(path)
        replace(part, path)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_together({path: b"new" for path in files})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pictures", "rows"]


@pytest.mark.parametrize("content", ['{"config": [], "items": []}', '{"config": {}, "items": {}}',
                                     '{"config": {}, "items": [3]}'])  # fmt: skip
def test_a_record_of_other_kinds_is_refused(tmp_path, content):
    """As one that is no record."""
    (tmp_path / "log.json").write_text(content)
    with pytest.raises(ValueError, match="is no record of a run"):
        ResumeLog(tmp_path / "log.json", {})
