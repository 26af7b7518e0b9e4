"""Notebooks of the book: executed when stale, checked before publication, built into pages."""

import ast
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import jupytext
import nbformat
import papermill
import torch
import yaml

from elslib.posterior import patch_posterior
from elslib.records import RunRecord, write_whole

ROOT = Path(__file__).parents[1]
KEY = "elslib_key"  # metadata of an executed notebook: its content key,
RECORD = "elslib_record"  # and its RunRecord
WIDGET = "application/vnd.jupyter.widget-view+json"
GLUED = "application/papermill.record/"  # how a glued output's types begin


@dataclass(frozen=True)
class Notebook:
    """A source notebook and where its executed copy goes."""

    source: Path
    target: Path


def chapters(root: Path = ROOT) -> list[Notebook]:
    """The notebooks of _toc.yml in order. FileNotFoundError if one has no source."""
    if not (root / "_toc.yml").is_file():
        raise FileNotFoundError(f"{root / '_toc.yml'} is missing: the book needs the repository.")
    found = []
    for name in _toc_files(yaml.safe_load((root / "_toc.yml").read_text())):
        if not name.startswith("notebooks/"):
            continue
        source = root / f"{name}.py"
        if not source.is_file():
            raise FileNotFoundError(f"_toc.yml names {name}, but {source} does not exist.")
        found.append(Notebook(source, root / "book" / f"{name}.ipynb"))
    return found


def _toc_files(node) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("root", "file"):
                yield value
            else:
                yield from _toc_files(value)
    elif isinstance(node, list):
        for child in node:
            yield from _toc_files(child)


def content_key(notebook: Path, parameters: Mapping[str, object], root: Path = ROOT) -> str:
    """Hash of all that a result depends on: notebook, elslib, data, parameters and lock."""
    digest = hashlib.sha256(json.dumps(dict(parameters), sort_keys=True).encode())
    digest.update(notebook.name.encode() + hashlib.sha256(notebook.read_bytes()).digest())
    inputs = [root / "requirements.lock", *(root / "elslib").rglob("*")]
    inputs += (root / "data").rglob("*")
    for path in sorted(path for path in inputs if path.is_file()):
        name = path.relative_to(root)
        # The state of unfinished runs, and what Python compiled, are no inputs.
        if any(part.startswith(".") or part == "__pycache__" for part in name.parts):
            continue
        digest.update(str(name).encode())
        about = path.stat()
        digest.update(_digest(path, about.st_mtime_ns, about.st_size))
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _digest(path: Path, mtime_ns: int, size: int) -> bytes:
    """Of a file's content; read again only when the file was written again."""
    return hashlib.sha256(path.read_bytes()).digest()


def parameters_of(notebook: Path) -> Mapping[str, Any]:
    """A notebook's parameters, as papermill describes them: types and defaults, as text."""
    about = notebook.stat()
    return _inspected(notebook, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=64)
def _inspected(notebook: Path, mtime_ns: int, size: int) -> Mapping[str, Any]:
    return papermill.inspect_notebook(jupytext.read(notebook))


def check_parameters(notebook: Path, parameters: Mapping[str, object]) -> None:
    """Raise ValueError unless every name is a parameter of the notebook and has its type."""
    known = parameters_of(notebook)
    for name, value in parameters.items():
        if name not in known:
            raise ValueError(
                f"{name} must be a parameter of {notebook.name}, which has: {', '.join(known)}."
            )
        default = ast.literal_eval(known[name]["default"])
        # An int serves as a float; nothing else stands in for another type.
        allowed = (float, int) if isinstance(default, float) else (type(default),)
        if default is not None and type(value) not in allowed:
            raise ValueError(
                f"{name} must be of type {type(default).__name__} in {notebook.name}, "
                f"got {value!r}."
            )


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
        [sys.executable, "-m", "elslib.run_notebook", *arguments],
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


def gate(notebooks: list[Notebook], root: Path = ROOT) -> None:
    """Raise ValueError unless each notebook may be published.

    Jupyter Book would publish a failed one without a word. Refused are: a missing one, one with an
    exception, an error output or an unexecuted cell, and one of another content key.
    """
    for notebook in notebooks:
        path = notebook.target
        if not path.is_file():
            raise ValueError(f"{path} must exist to be published; run `make book`.")
        content = nbformat.read(path, as_version=4)
        record = content.metadata.get("papermill", {})
        if record.get("exception") or not record.get("end_time"):
            raise ValueError(f"{path} must have run without an exception; see its last output.")
        for cell in content.cells:
            outputs = cell.get("outputs", [])
            if any(output.output_type == "error" for output in outputs):
                raise ValueError(f"{path} must hold no error output, got one in {cell.id}.")
            if cell.cell_type == "code" and cell.source.strip() and not cell.execution_count:
                raise ValueError(f"{path} must be executed to the end, but {cell.id} was not.")
        key = content_key(notebook.source, record.get("parameters", {}), root)
        if content.metadata.get(KEY) != key:
            raise ValueError(f"{path} must be up to date with its source and the library.")


def export_pictures(notebook: Notebook) -> list[Path]:
    """Write each glued picture beside the executed notebook, as STEM-KEY.png, for other pages.

    Glue itself carries numbers from page to page, but no figure with caption and alt text.
    """
    written = []
    for key, data in _glued(notebook.target):
        if picture := data.get(f"{GLUED}image/png"):
            path = notebook.target.with_name(f"{notebook.target.stem}-{key}.png")
            write_whole(path, base64.b64decode(picture))
            written.append(path)
    return written


def glued_values(executed: Path) -> dict[str, int | float | str | bool]:
    """The numbers and words that an executed notebook glued, by key."""
    found = {}
    for key, data in _glued(executed):
        try:
            value = ast.literal_eval(data.get(f"{GLUED}text/plain", ""))
        except (SyntaxError, ValueError):
            continue  # a figure, or another object without a literal
        if isinstance(value, int | float | str | bool):
            found[key] = value
    return found


def _glued(executed: Path) -> Iterator[tuple[str, dict]]:
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", []):
            if key := output.get("metadata", {}).get("scrapbook", {}).get("name"):
                yield key, output.get("data", {})


def build(root: Path = ROOT) -> Path:
    """Execute what is stale, check all, build the HTML; returns the first page.

    Raises RuntimeError if Jupyter Book warns or fails, or if a page would load from another host.
    """
    prepare(root)
    html = jupyter_book("html", root)
    foreign = list(foreign_resources(html))
    if foreign:
        raise RuntimeError("these pages load from another host:\n" + "\n".join(foreign))
    return html / "index.html"


def prepare(root: Path = ROOT) -> None:
    """Execute the chapters that are stale, check all, export their pictures."""
    notebooks = chapters(root)
    for channels in (1, 3):
        # Compiling is announced on stderr: here, not on the first page that needs the kernel.
        tiny = torch.zeros(1, channels, 4, 32)
        for border in ("aware", "circular"):
            patch_posterior(tiny, tiny, 1.0, 1.0, 3, border)
    for notebook in notebooks:
        print(f"{notebook.source.name}: ", end="", flush=True)
        print("executed" if execute(notebook, root=root) else "unchanged")
    gate(notebooks, root)
    for notebook in notebooks:
        export_pictures(notebook)


def jupyter_book(builder: str, root: Path = ROOT) -> Path:
    """Build the pages, "html" each or "singlehtml" in one; returns their folder.

    Raises RuntimeError if Jupyter Book warns or fails.
    """
    options = ["--config", "_config.yml", "--toc", str(root / "_toc.yml"), "--path-output", "."]
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", "book", *options]
    said = []
    with subprocess.Popen(
        [*command, "--builder", builder, "-n", "-W", "--keep-going"],
        cwd=root,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        for line in run.stderr or ():
            sys.stderr.write(line)
            said += [line] if "WARNING" in line or "ERROR" in line else []
    if run.returncode:
        # Sphinx would not read an unchanged page again, and so forget its warning the next time.
        shutil.rmtree(root / "_build", ignore_errors=True)
        # Pages of output lie between a warning and the end: say it again where it is read.
        raise RuntimeError("Jupyter Book failed or warned:\n" + "".join(said))
    return root / "_build" / builder


# What makes a browser fetch something: not an <a href>, which only points.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*rel=["']?(?:stylesheet|preload|preconnect|icon|modulepreload))[^>]*?"""
    r"""\shref=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|@import\s+(?:url\()?["']?((?:https?:)?//[^"')\s]+)"""
    r"""|url\(["']?((?:https?:)?//[^"')\s]+)""",
    re.IGNORECASE,
)


def foreign_resources(html: Path) -> Iterator[str]:
    """Every resource that a page or style sheet below `html` would load from another host."""
    for path in sorted(html.rglob("*")):
        if path.suffix in (".html", ".css"):
            for match in FETCHED.finditer(path.read_text(errors="replace")):
                yield f"{path.relative_to(html)}: {next(filter(None, match.groups()))}"
