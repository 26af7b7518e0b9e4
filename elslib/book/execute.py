"""A notebook is executed when it is stale."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import nbformat

from elslib.book.chapters import ROOT, Notebook
from elslib.book.parameters import check_parameters
from elslib.book.staleness import content_key
from elslib.experiments.provenance import RunRecord
from elslib.io import write_whole

KEY = "elslib_key"  # metadata of an executed notebook: its content key,

RECORD = "elslib_record"  # and its RunRecord

WIDGET = "application/vnd.jupyter.widget-view+json"


def execute(
    notebook: Notebook, parameters: Mapping[str, object] | None = None, root: Path = ROOT
) -> bool:
    """Execute a notebook unless its target is of the same content key; True if it ran.

    Runs in a process of its own, because papermill's working directory is process-global. The
    target appears only when the run succeeded, with its content key and its RunRecord. Raises
    ValueError for wrong parameters and RuntimeError, naming the cell's error, for a notebook that
    fails; the failed copy stays beside the target as `.failed.ipynb`, unless the disk is full. An
    OSError of the last write names the file.
    """
    parameters = dict(parameters or {})
    check_parameters(notebook.source, parameters)
    key = content_key(notebook.source, parameters, root)
    if notebook.target.is_file():
        if nbformat.read(notebook.target, as_version=4).metadata.get(KEY) == key:
            return False
    notebook.target.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may be at it, one of them thought dead.
    part = notebook.target.with_suffix(f".{uuid4().hex[:8]}.part.ipynb")
    failed = notebook.target.with_suffix(".failed.ipynb")
    files = [str(notebook.source), str(part)]
    arguments = [str(os.getpid()), *files, json.dumps(parameters), str(root)]
    run = subprocess.run(
        [sys.executable, "-m", "elslib.book.run_notebook", *arguments],
        env={**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        capture_output=True,
        text=True,
    )
    try:
        if run.returncode:
            # Warnings of kernels come first.
            reason = re.sub(r"(?s).*(?=Exception encountered at)", "", run.stderr).strip()
            last = "\n".join(reason.splitlines()[-12:])
            copy = ""
            if part.is_file():
                os.replace(part, failed)
                copy = f"; its copy is {failed}"
            raise RuntimeError(f"{notebook.source.name} failed{copy}:\n{last}")
        _finish(notebook, part, key, parameters, root)
        failed.unlink(missing_ok=True)
        os.replace(part, notebook.target)
    finally:
        part.unlink(missing_ok=True)
    return True


def _finish(
    notebook: Notebook, part: Path, key: str, parameters: Mapping[str, object], root: Path
) -> None:
    """Write into an executed copy its content key and its record."""
    executed = nbformat.read(part, as_version=4)
    executed.metadata[KEY] = key
    seconds = executed.metadata["papermill"]["duration"]
    executed.metadata[RECORD] = _record(notebook, parameters, seconds, root).json()
    _drop_widgets(executed)
    write_whole(part, nbformat.writes(executed).encode())


def _record(
    notebook: Notebook, parameters: Mapping[str, object], seconds: float, root: Path
) -> RunRecord:
    """Of a run that has just ended; its data are all embedded sets, as the manifest lists them."""
    asked = {"notebook": notebook.source.name, "parameters": dict(parameters)}
    data = hashlib.sha256((root / "data" / "manifest.json").read_bytes()).hexdigest()
    return RunRecord("elslib book", asked, data, round(seconds, 1))


def _drop_widgets(notebook: nbformat.NotebookNode) -> None:
    """Leave what needs no kernel: an output's view of a widget shows nothing without one."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data.pop(WIDGET, None)
