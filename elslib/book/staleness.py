"""What an executed chapter depends on, and whether that is as it was."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import jupytext

from elslib.book.chapters import ROOT
from elslib.book.reading import changed
from elslib.data.folders import cache_folder, project_folder
from elslib.experiments.sources import digest, sources

KEY = "elslib_key"  # metadata of an executed notebook: its content key,
READ = "elslib_read"  # and what it read
LONGEST_PATH = 4096  # bytes that the system takes; a longer text names no file


def content_key(notebook: Path, parameters: Mapping[str, object], root: Path = ROOT) -> str:
    """Hash of what decides a run before it starts: notebook, parameters, lock, imported modules,
    and the project, if it is none of the checkout."""
    key = hashlib.sha256(json.dumps(dict(parameters), sort_keys=True).encode())
    key.update(notebook.name.encode() + hashlib.sha256(notebook.read_bytes()).digest())
    key.update((root / "requirements.lock").read_bytes())
    code = jupytext.writes(jupytext.read(notebook), fmt="py:percent")  # magics are comments there
    for path in sources(code, root / "elslib"):
        key.update(str(path.relative_to(root)).encode() + digest(path))
    if os.environ.get("ELSLIB_PROJECT"):
        key.update(os.path.abspath(project_folder()).encode())
    return key.hexdigest()


def places(parameters: Mapping[str, object], root: Path = ROOT) -> list[str]:
    """How the paths begin that a run may depend on: in the checkout, in the folder of full and
    imported sets, in the project, and of files that a parameter names by their path, whatever their
    suffix."""
    texts = _texts(list(parameters.values()))
    named = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    elsewhere = {
        Path(os.path.abspath(root / cache_folder())),
        Path(os.path.abspath(project_folder())),
    }
    folders = {root, root.resolve(), *elsewhere, *(folder.resolve() for folder in elsewhere)}
    return [
        *(f"{folder}{os.sep}" for folder in folders),
        *(os.path.normpath(root / v) for v in named if len(v) < LONGEST_PATH),
    ]


def _texts(value: object) -> list[str]:
    """The texts that a parameter is, or holds."""
    if isinstance(value, list | tuple):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def stale_by(
    about: Mapping, notebook: Path, parameters: Mapping[str, object], root: Path = ROOT
) -> list[str]:
    """Why an executed notebook with this metadata might come out otherwise; empty if it is current.

    Its content key must be the same, and each file that it opened and each folder that it listed.
    """
    if about.get(KEY) != content_key(notebook, parameters, root):
        return ["its source, parameters, lock or imported modules"]
    return changed(about[READ], root)
