"""A notebook is executed when it is stale."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import matplotlib
import nbformat

from elslib.book.chapters import ROOT, Notebook
from elslib.book.parameters import check_parameters
from elslib.book.reading import read_since, startup, versions_in
from elslib.book.staleness import KEY, READ, content_key, places, stale_by
from elslib.experiments.provenance import PACKAGES, RunRecord
from elslib.io import write_json, write_whole

RECORD = "elslib_record"  # metadata of an executed notebook: its RunRecord
WIDGET = "application/vnd.jupyter.widget-view+json"


def execute(
    notebook: Notebook, parameters: Mapping[str, object] | None = None, root: Path = ROOT
) -> bool:
    """Execute a notebook unless its target is current; True if it ran.

    The target appears only when the run succeeded, with its content key, what it read and its
    RunRecord. Raises ValueError for wrong parameters and RuntimeError, naming the cell's error, for
    a notebook that fails; the failed copy stays beside the target as `.failed.ipynb`, unless the
    disk is full. An OSError of the last write names the file.
    """
    parameters = dict(parameters or {})
    check_parameters(notebook.source, parameters)
    if notebook.target.is_file():
        about = nbformat.read(notebook.target, as_version=4).metadata
        if not stale_by(about, notebook.source, parameters, root):
            return False
    notebook.target.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may be at it, one of them thought dead.
    part = notebook.target.with_suffix(f".{uuid4().hex[:8]}.part.ipynb")
    failed = notebook.target.with_suffix(".failed.ipynb")
    try:
        about, versions = _run(notebook, part, parameters, root)
        executed = nbformat.read(part, as_version=4)
        executed.metadata |= about
        executed.metadata[RECORD] = _record(notebook, parameters, executed.metadata, versions)
        _drop_widgets(executed)
        write_whole(part, nbformat.writes(executed).encode())
        failed.unlink(missing_ok=True)
        os.replace(part, notebook.target)
    except RuntimeError as error:
        copy = ""
        if part.is_file():
            os.replace(part, failed)
            copy = f"; its copy is {failed}"
        raise RuntimeError(f"{notebook.source.name} failed{copy}:\n{error}") from error
    finally:
        part.unlink(missing_ok=True)
    return True


def _run(
    notebook: Notebook, part: Path, parameters: Mapping[str, object], root: Path
) -> tuple[dict, Mapping[str, str]]:
    """Execute into `part`; what the run depended on, and the versions that its kernel found.

    RuntimeError of its last words if it fails.

    In a process of its own, because papermill's working directory is process-global.
    """
    start, key = time.time(), content_key(notebook.source, parameters, root)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "read"
        files = [str(os.getpid()), str(notebook.source), str(part)]
        run = subprocess.run(
            [
                sys.executable,
                "-m",
                "elslib.book.run_notebook",
                *files,
                json.dumps(parameters),
                root,
            ],
            env=_surroundings(Path(folder), startup(log, places(parameters, root), PACKAGES)),
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        if run.returncode:
            # Warnings of kernels come first.
            reason = re.sub(r"(?s).*(?=Exception encountered at)", "", run.stderr).strip()
            raise RuntimeError("\n".join(reason.splitlines()[-12:]))
        return {KEY: key, READ: read_since(start, log, root)}, versions_in(log)


def _surroundings(folder: Path, line: str) -> dict[str, str]:
    """The environment variables of a run whose kernel executes a line of Python first.

    The same for everybody: `python3` is this interpreter, whatever kernel is installed under that
    name; of IPython's profiles, matplotlib's settings and Python's startup file none is read; what
    the kernel writes for itself goes into `folder`, so a home is not needed.
    """
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": argv, "display_name": "Python 3", "language": "python"}
    write_json(folder / "kernels" / "python3" / "kernel.json", kernel)
    write_whole(folder / "profile_default" / "startup" / "note.py", line.encode())
    write_whole(folder / "matplotlibrc", b"")
    theirs = ("PYTHONSTARTUP", "MPLBACKEND")
    asked = os.environ.get("ELSLIB_PROJECT")  # from here: a kernel stands in the checkout's root
    project = {"ELSLIB_PROJECT": os.path.abspath(asked)} if asked else {}
    return {
        **{name: value for name, value in os.environ.items() if name not in theirs},
        **project,
        "JUPYTER_PATH": str(folder),
        "JUPYTER_RUNTIME_DIR": str(folder),
        "IPYTHONDIR": str(folder),
        "MATPLOTLIBRC": str(folder),
        "MPLCONFIGDIR": matplotlib.get_configdir(),  # where it can write, so that it warns nobody
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _record(
    notebook: Notebook,
    parameters: Mapping[str, object],
    about: Mapping,
    versions: Mapping[str, str],
) -> dict:
    """Of a run that has just ended; its data are what it read."""
    asked = {"notebook": notebook.source.name, "parameters": dict(parameters)}
    data = hashlib.sha256(json.dumps(about[READ]).encode()).hexdigest()
    seconds = round(about["papermill"]["duration"], 1)
    return RunRecord("elslib book", asked, data, seconds, versions=versions).json()


def _drop_widgets(notebook: nbformat.NotebookNode) -> None:
    """Leave what needs no kernel: an output's view of a widget shows nothing without one."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data.pop(WIDGET, None)
