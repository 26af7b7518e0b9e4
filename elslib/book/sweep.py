"""Sweeps: one notebook over a grid of parameters, on Dask. Needs the extra `sweep`.

Dask distributes; here is only what a run is. Each has a folder named after its content key, and is
finished when its result is there and the data that it read are as they were: a sweep that was
killed goes on where it was, and two that overlap share what they have in common.
"""

import csv
import io
import itertools
import json
import logging
import multiprocessing
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
from dask.system import CPU_COUNT
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed

from elslib.book.chapters import ROOT, Notebook
from elslib.book.execute import RECORD, execute
from elslib.book.glued import glued_values
from elslib.book.parameters import check_parameters
from elslib.book.reading import changed
from elslib.book.staleness import KEY, READ, content_key
from elslib.book.values import Value, as_python
from elslib.experiments.provenance import RunRecord
from elslib.io import read_json, write_json, write_whole

RECORDED = ("seconds", "commit", "data_sha256", "finished", "hardware")


@dataclass(frozen=True)
class Run:
    """A notebook with these parameters; `key` is their content key."""

    notebook: Path
    parameters: Mapping[str, Value]
    key: str
    folder: Path

    @property
    def result(self) -> Path:
        """The json of a run that is finished, with glued values, what was read, and record."""
        return self.folder / "result.json"

    def finished(self, root: Path = ROOT) -> bool:
        """Whether the result is there, and would be the same again."""
        content = self.content()
        return content is not None and not changed(content["read"], root)

    def content(self) -> dict | None:
        """What the result holds; None if there is none, or none that is whole."""
        if not self.result.is_file():
            return None
        with suppress(ValueError):
            content = read_json(self.result, "remove it")
            if {"values", "read", "record"} <= content.keys():
                return content
        return None

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `error` is empty if it succeeded."""

    run: Run
    error: str


def plan(
    notebook: Path, axes: Mapping[str, Sequence[Value]], out: Path, root: Path = ROOT
) -> list[Run]:
    """One run for each point of the grid, the last axis fastest.

    Raises ValueError for a wrong parameter, an empty axis, or a value that stands there twice.
    """
    axes = {name: [as_python(value) for value in values] for name, values in axes.items()}
    for name, values in axes.items():
        for value in values:
            check_parameters(notebook, {name: value})
        if len(values) == 0 or len({json.dumps(value) for value in values}) < len(values):
            raise ValueError(f"{name} must have values that differ, at least one, got {values}.")
    runs = []
    for point in itertools.product(*axes.values()):
        parameters = dict(zip(axes, point, strict=True))
        key = content_key(notebook, parameters, root)
        runs.append(Run(notebook, parameters, key, out / key[:16]))
    return runs


def perform(run: Run, root: Path = ROOT) -> None:
    """Execute a run and write its result, whole or not at all. RuntimeError if it fails."""
    if run.finished(root):
        return
    if content_key(run.notebook, run.parameters, root) != run.key:
        raise RuntimeError(
            f"{socket.gethostname()}:{root} must hold the notebook and elslib of the sweep, but "
            f"they differ; bring it to the same commit, and set ELSLIB_PROJECT there as here."
        )
    executed = Notebook(run.notebook, run.folder / f"{run.notebook.stem}.ipynb")
    execute(executed, run.parameters, root)
    about = nbformat.read(executed.target, as_version=4).metadata
    if about[KEY] != run.key:
        raise RuntimeError(f"{run.notebook.name} or elslib changed while the sweep ran.")
    record = {**about[RECORD], "command": "elslib sweep"}
    values = glued_values(executed.target)
    content = {"key": run.key, "values": values, "read": about[READ], "record": record}
    write_json(run.result, content)


def sweep(
    runs: Iterable[Run],
    scheduler: str = "",
    workers: int = 0,
    retries: int = 1,
    root: Path = ROOT,
) -> Iterator[Outcome]:
    """Perform what is not finished, on Dask; yields each run as it ends, finished ones first.

    `scheduler` is the address of one that runs, whose workers see the same folders; without it
    `workers` processes (0: one a core) run here. A run that fails is tried `retries` times more;
    one whose worker dies goes to another. Raises ValueError for a scheduler that cannot be reached.
    """
    todo = []
    for run in runs:
        if run.finished(root):
            yield Outcome(run, "")
        else:
            todo.append(run)
    if not todo:
        return
    with _client(scheduler, min(workers or CPU_COUNT, len(todo))) as client:
        futures = {
            client.submit(perform, run, root, key=str(run.folder), retries=retries): run
            for run in todo
        }
        for future in as_completed(futures):
            yield Outcome(futures[future], _error(futures[future], future, root))


def _error(run: Run, future: Future, root: Path = ROOT) -> str:
    """Why a run that ended has no result; empty if it has one."""
    if run.finished(root):
        return ""
    error = None if future.cancelled() else future.exception()
    if isinstance(error, KilledWorker):
        return "its workers died, again and again; memory may be short."
    if error:
        return str(error) or repr(error)
    if content := run.content():
        other = changed(content["read"], root)
        return f"its data changed while it ran, or differ where it ran: {', '.join(other)}."
    return (
        f"no result in {run.folder}: the scheduler was lost, or its workers do not see the folder."
    )


@contextmanager
def _client(scheduler: str, workers: int) -> Iterator[Client]:
    if scheduler:
        try:
            client = Client(scheduler, timeout=10)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"scheduler must be the address of a Dask scheduler that runs, got {scheduler!r} "
                f"({error}); start one with `dask scheduler`, or leave it out."
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=30)
            except TimeoutError as error:
                raise ValueError(
                    f"scheduler must have workers, but {scheduler!r} has none; start one with "
                    f"`dask worker {scheduler}`."
                ) from error
            yield client
        return
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)  # one of the processes below, in which the script runs again: they must not
    threads = str(max(1, CPU_COUNT // workers))  # of each notebook
    try:
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            # Any free port, and no page on it: Dask's own port may belong to another sweep.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,  # what a run raises is reported once, by its outcome
            env={"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        )
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"processes could not be started here ({error}); a script must call sweep under "
            f'`if __name__ == "__main__":`, and the machine needs its address 127.0.0.1.'
        ) from None  # Dask's trace is a long one, and says no more
    with cluster, Client(cluster) as client:
        yield client


def collect(runs: Sequence[Run], path: Path, root: Path = ROOT) -> int:
    """Write the finished runs as one csv, a row each: parameters, glued values, provenance.

    The json beside it is the record of them all: the grid, and their seconds added up. Returns how
    many there are. Each file appears whole or not at all.
    """
    rows = []
    for run in runs:
        if (result := run.content()) and not changed(result["read"], root):
            provenance = {f"run_{name}": result["record"][name] for name in RECORDED}
            rows.append({**result["values"], **run.parameters, "run_key": run.key, **provenance})
    text = io.StringIO()
    parameters = dict.fromkeys(name for run in runs for name in run.parameters)  # these first
    fields = parameters | dict.fromkeys(name for row in rows for name in row)
    table = csv.DictWriter(text, list(fields), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_whole(path, text.getvalue().encode())
    write_json(path.with_suffix(".json"), _record_of_all(runs, rows).json())
    return len(rows)


def _record_of_all(runs: Sequence[Run], rows: Sequence[Mapping[str, Value]]) -> RunRecord:
    """What was asked for, as axes, and what the finished runs say of data and time."""
    axes = {
        name: list(
            {json.dumps(run.parameters[name]): run.parameters[name] for run in runs}.values()
        )
        for name in runs[0].parameters
    }
    config = {"notebook": runs[0].notebook.name, "axes": axes, "runs": len(runs)}
    data = {str(row["run_data_sha256"]) for row in rows}
    seconds = sum(float(str(row["run_seconds"])) for row in rows)
    return RunRecord("elslib sweep", config, ",".join(sorted(data)), round(seconds, 1))
