"""Sweeps: the grid, and runs that are killed, fail, or cannot be written."""

import csv
import json
import math
import multiprocessing
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from distributed import Client

from elslib.book import glued, grid, sweep
from elslib.cli import main

NOTEBOOK = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
n: int = 3  # how many
rate: float = 0.5  # how fast
name: str = "a"  # what
loud: bool = False  # or not
gate: str = ""  # a folder; runs from the third on wait until it holds the file go

# %%
import time
from pathlib import Path

if gate:
    with (Path(gate) / "begun").open("a") as log:
        log.write(f"{n}\\n")
    while n >= 2 and not (Path(gate) / "go").exists():
        time.sleep(0.1)
if n < 0:
    raise ValueError("n is negative")
if loud:
    from elslib.book.glue import glue_all  # which takes seconds to load

    glue_all({"double": 2 * n, "word": f"{name}!", "n": "not the parameter"})
"""


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "page.py"
    path.write_text(NOTEBOOK)
    return path


def command(*arguments):
    """`elslib sweep`, run to its end."""
    return CliRunner().invoke(main, ["sweep", *map(str, arguments)])


def rows(out: Path) -> list[dict]:
    with (out / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def begun(gate: Path) -> list[int]:
    """Which runs were begun, each as often as it was."""
    return sorted(int(line) for line in (gate / "begun").read_text().split())


@pytest.mark.parametrize(
    "text, expected",
    [
        ("n=1,2", ("n", [1, 2])),
        ("n=0:3,7", ("n", [0, 1, 2, 7])),
        ("n=0:10:5", ("n", [0, 5])),
        ("rate=1,0.25", ("rate", [1.0, 0.25])),
        ("name=b,c d", ("name", ["b", "c d"])),
        ("loud=true,False", ("loud", [True, False])),
    ],
)
def test_axes(notebook, text, expected):
    """Typed as the notebook's parameters are."""
    assert grid.parse_axis(notebook, text) == expected


TYPES = """# %% tags=["parameters"]
from typing import Literal, Optional

untyped = None
computed = 2 * 3
lr = 1e-2
maybe: int | None = None
other: "float | None" = None
optional: Optional[str] = None
rows: list[list[int]] = [[1], [2]]
pair: tuple[int, int] = (1, 2)
either: str | int = "a"
kind: Literal["a", "b"] = "a"
text: str = ""
anything: object = None
"""


@pytest.fixture
def types(tmp_path):
    path = tmp_path / "types.py"
    path.write_text(TYPES)
    return path


@pytest.mark.parametrize(
    "text, expected",
    [
        ("untyped=3,None,a", [3, None, "a"]),
        ("computed=3,0.5", [3, 0.5]),
        ("lr=1,1e-3", [1.0, 1e-3]),
        ("maybe=3,None,0:2", [3, None, 0, 1]),
        ("other=3,None,1e-3,inf", [3.0, None, 1e-3, float("inf")]),
        ("optional=3,None,it's", ["3", None, "it's"]),
        ("rows=[[1,2],[3]],[]", [[[1, 2], [3]], []]),
        ("pair=(1,2), (3,4)", [(1, 2), (3, 4)]),
        ("either=3,b", [3, "b"]),
        ("kind=b", ["b"]),
        ("text='a,b',c d,\"it's, well\",None", ["a,b", "c d", "it's, well", "None"]),
        ("anything=True,{'a': [1,2]}", [True, {"a": [1, 2]}]),
    ],
)
def test_parameters_keep_their_type(types, text, expected):
    """What the notebook says of them decides; where it says nothing, how the value is written."""
    _, found = grid.parse_axis(types, text)
    assert list(map(repr, found)) == list(map(repr, expected))
    sweep.plan(types, {text.partition("=")[0]: found}, types.parent / "out")


@pytest.mark.parametrize(
    "text, message",
    [
        ("maybe=x", r"maybe must be of type int | None in types.py, got 'x'"),
        ("rows=3", "rows must be of type list in types.py, got '3'"),
        ("lr=fast", "lr must be of type float in types.py, got 'fast'"),
        ("text='a", '-g must close its quotes and brackets, got "\'a"'),
        ("rows=[1,2", r"-g must close its quotes and brackets, got '[1,2'"),
    ],
)
def test_values_of_another_type(types, text, message):
    """The rule, the value and the remedy."""
    with pytest.raises(ValueError, match=re.escape(message)):
        grid.parse_axis(types, text)


def test_typed_grids_from_files_and_numpy(types, tmp_path, as_installed):
    """`1e-3` is a number; a value that is a list stands in a list; NumPy's numbers are numbers."""
    path = tmp_path / "grid.yaml"
    path.write_text("lr: [1e-3, 2E+2, -1e5]\nrows: [[[1, 2]], []]\nmaybe: [null, 3]\n")
    read = grid.read_grid(path)
    assert read == {"lr": [1e-3, 200.0, -1e5], "rows": [[[1, 2]], []], "maybe": [None, 3]}
    runs = sweep.plan(types, read, tmp_path / "out")
    assert len({run.key for run in runs}) == 12
    axes: Any = {"maybe": np.arange(2), "lr": np.linspace(0, 1, 3)}
    drawn = sweep.plan(types, axes, tmp_path)
    assert [type(value) for value in drawn[0].parameters.values()] == [int, float]
    path.write_text("maybe: [1:9]\n")  # of hours, to yaml: 69
    with pytest.raises(ValueError, match="maybe must be of type int"):
        sweep.plan(types, grid.read_grid(path), tmp_path)
    path.write_text("lr: [1.5, .5, -2., .inf, 3e4, 0.0]\nmaybe: [010, 1_000]\n")
    floats = [1.5, 0.5, -2.0, math.inf, 3e4, 0.0]
    assert grid.read_grid(path) == {"lr": floats, "maybe": ["010", 1000]}
    path.write_text("maybe: 2026-11-29\n")
    with pytest.raises(ValueError, match="maybe must be of type int"):
        sweep.plan(types, grid.read_grid(path), tmp_path)
    path.write_bytes(b"maybe: \xff\n")
    with pytest.raises(ValueError, match="must be yaml"):
        grid.read_grid(path)


def test_parameters_that_are_no_python(types):
    """Said before anything runs."""
    types.write_text(TYPES + "seed: int =\n")
    with pytest.raises(ValueError, match="parameters of types.py must be Python"):
        grid.parse_axis(types, "lr=1")


def test_typed_parameters_arrive(types, tmp_path):
    """In the notebook they are what they were; lists and None stand in table and record."""
    types.write_text(TYPES + "\n# %%\nassert rows == [[1, 2], [3]] and maybe is None, rows\n")
    out = tmp_path / "out"
    done = command(types, "-g", "rows=[[1,2],[3]]", "-g", "maybe=None", "--out", out)
    assert done.exit_code == 0, done.output
    assert [row["rows"] for row in rows(out)] == ["[[1, 2], [3]]"]
    assert json.loads((out / "sweep.json").read_text())["config"]["axes"]["maybe"] == [None]


@pytest.mark.parametrize(
    "text, message",
    [
        ("n", "-g must be NAME=VALUES, got 'n'; for example seed=0:8"),
        ("m=1", "m must be a parameter of page.py, which has: n, rate, name, loud, gate"),
        ("n=1:2:3:4", "n must be of type int in page.py, got '1:2:3:4'"),
        ("n=1.5", "n must be of type int in page.py, got '1.5'"),
        ("rate=fast", "rate must be of type float in page.py, got 'fast'"),
        ("loud=maybe", "loud must be of type bool in page.py, got 'maybe'"),
    ],
)
def test_bad_axes(notebook, text, message):
    """The rule, the value and the remedy."""
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        grid.parse_axis(notebook, text)


def test_a_grid(notebook, tmp_path, as_installed):
    """All combinations, each with its own key and folder; from yaml too."""
    runs = sweep.plan(notebook, {"n": [1, 2], "name": ["a", "b"]}, tmp_path / "out")
    assert [str(run) for run in runs][:2] == ["n=1, name='a'", "n=1, name='b'"]
    assert len({run.key for run in runs}) == len({run.folder for run in runs}) == 4
    path = tmp_path / "grid.yaml"
    path.write_text("n: [1, 2]\nname: a\n")
    assert grid.read_grid(path) == {"n": [1, 2], "name": ["a"]}
    path.write_text("- 1\n")
    with pytest.raises(ValueError, match="must map parameters to lists"):
        grid.read_grid(path)
    path.write_text("n: [1\n")
    with pytest.raises(ValueError, match="must be yaml"):
        grid.read_grid(path)
    for values in ([], [1, 1]):
        with pytest.raises(ValueError, match="n must have values that differ, at least one"):
            sweep.plan(notebook, {"n": values}, tmp_path)
    wrongs: list[Any] = ["1", [1], {"a": 1}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="n must be of type int"):
            sweep.plan(notebook, {"n": [wrong]}, tmp_path)


def test_a_dry_run_writes_nothing(notebook, tmp_path):
    """It prints the grid."""
    out = tmp_path / "out"
    done = command(notebook, "-g", "n=0:3", "--out", out, "--dry-run")
    assert done.exit_code == 0 and done.stdout.count("to do  n=") == 3 and not out.exists()
    plan = json.loads(command(notebook, "-g", "n=0:3", "--out", out, "--dry-run", "--json").stdout)
    assert [run["parameters"] for run in plan] == [{"n": n} for n in range(3)]


def test_failures_are_kept_and_reported(notebook, tmp_path):
    """Two good runs, one that raises: a row each for the good, the notebook of the other, which was
    tried twice, exit code 1. Asked again, only the bad one runs."""
    out = tmp_path / "out"
    (tmp_path / "go").touch()
    arguments = (notebook, "-g", "n=0,1,-1", "-g", f"gate={tmp_path}", "--out", out)
    done = command(*arguments)
    assert done.exit_code == 1
    assert "FAILED n=-1" in done.stderr and "n is negative" in done.stderr
    assert "1 of 3 runs failed" in done.stderr
    assert done.stderr.count("n is negative") <= 2  # once in the cell, once as what it raised
    assert begun(tmp_path) == [-1, -1, 0, 1]
    assert [row["n"] for row in rows(out)] == ["0", "1"]
    assert all(row["run_key"] and float(row["run_seconds"]) > 0 for row in rows(out))
    (failed,) = out.rglob("*.failed.ipynb")
    results = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    assert len(results) == 2 and failed.parent not in {path.parent for path in results}
    assert command(*arguments).exit_code == 1
    assert {path: path.stat().st_mtime_ns for path in out.rglob("result.json")} == results
    assert begun(tmp_path) == [-1, -1, -1, -1, 0, 1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-g", "m=1"], "m must be a parameter of page.py"),
        (["-g", "n=1", "-g", "n=2"], "Error: n must be given once"),
        (["-g", "n=1", "--scheduler", "nowhere"], "scheduler must be the address"),
    ],
)
def test_wrong_commands(notebook, tmp_path, arguments, message):
    """One line, exit code 2, nothing written."""
    done = command(notebook, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 2 and message in done.stderr and isinstance(done.exception, SystemExit)
    assert not list(tmp_path.rglob("*.ipynb"))


def test_a_scheduler_that_is_not_there(notebook, tmp_path):
    """A port of this machine on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    done = command(notebook, "-g", "n=1", "--out", tmp_path / "out", "--scheduler", address)
    assert done.exit_code == 2 and "scheduler must be the address" in done.stderr


def test_a_scheduler_without_workers(notebook, tmp_path, processes, monkeypatch):
    """Said after a while, not waited for without end."""
    address = scheduler(processes)
    wait = Client.wait_for_workers
    monkeypatch.setattr(Client, "wait_for_workers", lambda self, n, timeout: wait(self, n, 1))
    done = command(notebook, "-g", "n=1", "--out", tmp_path / "out", "--scheduler", address)
    assert done.exit_code == 2 and "must have workers" in done.stderr


@pytest.mark.parametrize("error", [RuntimeError("Nanny failed to start."), OSError(99, "no")])
def test_processes_that_cannot_be_started(notebook, tmp_path, monkeypatch, error):
    """A script without a main guard, a machine without its own address: one line."""

    def refused(**_):
        raise error

    monkeypatch.setattr(sweep, "LocalCluster", refused)
    done = command(notebook, "-g", "n=1", "--out", tmp_path / "out")
    assert done.exit_code == 2 and "processes could not be started here" in done.stderr
    assert "__main__" in done.stderr.splitlines()[-1]


def test_a_process_in_which_a_script_runs_again(notebook, tmp_path, monkeypatch):
    """Without a main guard: it ends without a trace, since its parent says what is wrong."""
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    runs = sweep.plan(notebook, {"n": [1]}, tmp_path / "out")
    with pytest.raises(SystemExit):
        next(sweep.sweep(runs, workers=1))


def test_a_sweep_beside_another_cluster(notebook, tmp_path):
    """Somebody else may hold the port that Dask takes by default."""
    (tmp_path / "go").touch()
    with socket.socket() as other:
        with suppress(OSError):  # held already, which is as good
            other.bind(("127.0.0.1", 8787))
            other.listen()
        done = command(notebook, "-g", "n=1", "-g", f"gate={tmp_path}", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "8787" not in done.stderr and begun(tmp_path) == [1]


def test_a_folder_that_cannot_be_written(notebook, tmp_path):
    """A file stands where the folder should be."""
    (tmp_path / "out").write_text("")
    done = command(notebook, "-g", "n=1", "--out", tmp_path / "out")
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    assert "out" in done.stderr and (tmp_path / "out").read_text() == ""


def test_a_full_disk(notebook, tmp_path, full_disk):
    """The run fails, saying which file could not be written; nothing is there."""
    (run,) = sweep.plan(notebook, {"n": [1]}, tmp_path / "out")
    with full_disk(1000), pytest.raises(RuntimeError, match="could not be written"):
        sweep.perform(run)
    assert not [path for path in run.folder.rglob("*") if path.is_file()]


def test_a_library_that_changes_meanwhile(notebook, tmp_path):
    """What would run is not what was planned: refused."""
    (run,) = sweep.plan(notebook, {"n": [1]}, tmp_path / "out")
    notebook.write_text(NOTEBOOK + "\n")
    with pytest.raises(RuntimeError, match="must hold the notebook and elslib of the sweep"):
        sweep.perform(run)
    assert not run.folder.exists()


def test_a_run_is_not_finished_once_its_data_change(notebook, tmp_path):
    """A network that a parameter names by its path has other weights: the run is to do again."""
    (weights := tmp_path / "net.bin").write_bytes(b"1")
    notebook.write_text(NOTEBOOK + "\nopen(f'{name}.bin').read()\n")
    (run,) = sweep.plan(notebook, {"name": [str(tmp_path / "net")]}, tmp_path / "out")
    sweep.perform(run)
    first = json.loads(run.result.read_text())
    assert run.finished() and list(first["read"]["files"]) == [str(weights)]
    weights.write_bytes(b"2")
    assert not run.finished() and sweep.collect([run], tmp_path / "sweep.csv") == 0
    sweep.perform(run)
    second = json.loads(run.result.read_text())
    assert run.finished() and first["record"]["data_sha256"] != second["record"]["data_sha256"]


def test_a_run_without_a_result_is_no_success(notebook, tmp_path, as_installed):
    """The scheduler was lost, or a worker elsewhere wrote to a folder of its own."""
    (run,) = sweep.plan(notebook, {"n": [1]}, tmp_path / "out")

    class Lost:
        def cancelled(self):
            return True

    assert "the scheduler was lost" in sweep._error(run, Lost())  # pyright: ignore


def descendants(process: subprocess.Popen) -> set[psutil.Process]:
    return set(psutil.Process(process.pid).children(recursive=True))


def alive(process: psutil.Process) -> bool:
    """Whether it runs; one that is dead and not yet buried does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition, seconds: float = 120):
    """Wait for it; what it returns."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


@pytest.fixture
def processes():
    """Start processes that do not outlive the test."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def scheduler(processes) -> str:
    """The address of one that was started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes(
        "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port,
        "--no-dashboard",
    )  # fmt: skip
    return f"tcp://127.0.0.1:{port}"


def test_a_worker_that_is_killed(notebook, tmp_path, processes):
    """A scheduler and two workers, one killed in the middle of a run: all twelve runs finish, each
    is in the table once, and no kernel stays behind."""
    address = scheduler(processes)
    workers = [
        processes(
            "-m", "distributed.cli.dask_worker", address, "--nthreads", 1, "--no-nanny",
            "--no-dashboard", "--local-directory", tmp_path / f"worker-{i}",
        )
        for i in range(2)
    ]  # fmt: skip
    out = tmp_path / "out"
    going = processes(
        "-m", "elslib.cli", "sweep", notebook, "-g", "n=0:12", "-g", f"gate={tmp_path}",
        "--out", out, "--scheduler", address,
    )  # fmt: skip
    until(lambda: (tmp_path / "begun").exists() and len(begun(tmp_path)) == 4)
    running = descendants(workers[0])  # of a run that waits for the gate, so it cannot just end
    assert len(running) >= 2
    workers[0].send_signal(signal.SIGKILL)
    until(lambda: not any(alive(process) for process in running), seconds=20)
    (tmp_path / "go").touch()
    assert going.wait(timeout=240) == 0
    assert sorted(int(row["n"]) for row in rows(out)) == list(range(12))
    twice = begun(tmp_path)
    assert len(twice) == 13 and set(twice) == set(range(12))


def test_a_sweep_that_is_killed(notebook, tmp_path, processes):
    """Started again it executes only what was not finished; nothing of the first goes on."""
    out = tmp_path / "out"
    arguments = (notebook, "-g", "n=0:4", "-g", f"gate={tmp_path}", "--out", out, "--workers", 2)
    going = processes("-m", "elslib.cli", "sweep", *arguments)
    until(lambda: (tmp_path / "begun").exists() and len(begun(tmp_path)) == 4)
    until(lambda: len(list(out.rglob("result.json"))) == 2)
    running = descendants(going)
    assert len(running) >= 4  # two workers, two runs that wait for the gate
    going.send_signal(signal.SIGKILL)
    going.wait()
    until(lambda: not any(alive(process) for process in running), seconds=20)
    first = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    assert len(first) == 2
    (tmp_path / "go").touch()
    assert command(*arguments).exit_code == 0
    assert begun(tmp_path) == [0, 1, 2, 2, 3, 3]
    second = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    assert len(second) == len(rows(out)) == 4 and first.items() <= second.items()
    assert all(json.loads(path.read_text())["key"][:16] == path.parent.name for path in second)


def test_values_of_an_executed_notebook(notebook, tmp_path):
    """Numbers and words; a parameter's own value stands in the table, not what was glued."""
    (run,) = sweep.plan(notebook, {"n": [4], "loud": [True]}, tmp_path / "out")
    sweep.perform(run)
    assert glued.glued_values(run.folder / "page.ipynb") == {
        "double": 8, "word": "a!", "n": "not the parameter"
    }  # fmt: skip
    assert sweep.collect([run], tmp_path / "sweep.csv") == 1
    (row,) = rows(tmp_path)
    assert (row["n"], row["double"], row["word"]) == ("4", "8", "a!")
    about = json.loads((tmp_path / "sweep.json").read_text())
    axes = {"n": [4], "loud": [True]}
    assert about["config"] == {"notebook": "page.py", "axes": axes, "runs": 1}
    assert about["seconds"] == float(row["run_seconds"]) > 0
    assert about["data_sha256"] == row["run_data_sha256"]
    assert stat.S_ISREG(os.stat(run.result).st_mode)
