"""What a run read: the files that it opened and the folders that it listed.

A kernel executes this file alone, before its first cell, so it needs nothing but Python.
"""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path

CACHE = "$ELSLIB_DATA/"  # how names of full and imported sets begin, wherever they lie
CODE = (".py", ".pyi", ".so", ".cpp")  # of the library, which counts by its imports
Read = Mapping[str, Mapping]  # {"files": {path: sha256}, "folders": {path: [names]}}


def note(log: str, places: Iterable[str], packages: Iterable[str] = ()) -> None:
    """Write to `log` which Python this process is and which of the packages it has, and from now on
    what it opens for reading and lists, if its path begins with one of the places.

    A line of json for each, at once: how a kernel ends is not for it to say.
    """
    places = tuple(places)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{json.dumps(['versions', installed(packages)])}\n".encode())
    seen = set()

    def hear(event: str, arguments: tuple) -> None:
        if event not in ("open", "os.listdir", "os.scandir") or isinstance(arguments[0], int):
            return
        if event == "open" and (arguments[2] or 0) & os.O_ACCMODE == os.O_WRONLY:
            return
        kind = "files" if event == "open" else "folders"
        path = os.path.abspath(os.fsdecode(arguments[0] or "."))
        if (kind, path) not in seen and path.startswith(places):
            seen.add((kind, path))
            os.write(file, f"{json.dumps([kind, path])}\n".encode())

    sys.addaudithook(hear)


def installed(packages: Iterable[str]) -> dict[str, str]:
    """The version of Python, and of those of the packages that are installed here."""
    found = {"python": platform.python_version()}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def startup(log: Path, places: Iterable[str], packages: Iterable[str] = ()) -> str:
    """The line of Python that makes a kernel `note` what it reads."""
    arguments = f"{str(log)!r}, {list(places)!r}, {list(packages)!r}"
    return f"__import__('runpy').run_path({__file__!r})['note']({arguments})"


def versions_in(log: Path) -> Mapping[str, str]:
    """The versions that a kernel noted."""
    return dict(json.loads(log.read_text(encoding="utf-8").partition("\n")[0])[1])


def read_since(start: float, log: Path, root: Path) -> Read:
    """What a run that began at `start` has noted, with what stands there now.

    Files of the checkout are named from its root, those of ELSLIB_DATA from there. Left out are
    hidden ones, folders outside data/ (Python lists many to import) and code, which counts by its
    imports. A file that was written since the run began is not what was read, so it is changed
    whatever it holds.
    """
    files, folders = {}, {}
    for line in log.read_text(encoding="utf-8").splitlines():
        kind, path = json.loads(line)
        if kind == "versions":
            continue
        name = _name(Path(path), root)
        here = _place(name, root)
        if kind == "folders" and _counts(name):
            folders[name] = _listed(here)
        elif kind == "files" and name and not here.is_dir():
            fresh = os.path.exists(path) and _written(os.stat(path)) > start
            files[name] = "written meanwhile" if fresh else _sha256(here)
    return {"files": dict(sorted(files.items())), "folders": dict(sorted(folders.items()))}


def _written(about: os.stat_result) -> float:
    """When a file came to be what it is; one that was moved here may say an earlier time of it."""
    return max(about.st_mtime, about.st_ctime)


def changed(read: Read, root: Path) -> list[str]:
    """The files and folders that are not as they were when they were read."""
    files, folders = read["files"].items(), read["folders"].items()
    return [name for name, sha256 in files if _sha256(_place(name, root)) != sha256] + [
        name for name, names in folders if _listed(_place(name, root)) != names
    ]


def _cache(root: Path) -> Path:
    """The folder of full and imported sets."""
    from elslib.data.folders import cache_folder  # a kernel needs it not

    return Path(os.path.abspath(root / cache_folder()))


def _place(name: str, root: Path) -> Path:
    """Where what has this name is now: it may have been read with another ELSLIB_DATA."""
    rest = name.removeprefix(CACHE)
    return root / name if rest == name else _cache(root) / rest


def _counts(folder: str) -> bool:
    """Whether what a folder lists matters: one of data/, or of a project that lies elsewhere."""
    project = os.path.abspath(os.environ.get("ELSLIB_PROJECT") or "data")
    return f"{folder}/".startswith(("data/", f"{project}/"))


def _name(path: Path, root: Path) -> str:
    """A path from the root, or from the folder of full sets, or whole if it lies elsewhere; empty
    for what does not count."""
    for start in (root, root.resolve()):
        if path.is_relative_to(start):
            parts = path.relative_to(start).parts
            hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
            code = parts[:1] == ("elslib",) and path.suffix in CODE
            return "" if hidden or code else "/".join(parts)
    for cache in (_cache(root), _cache(root).resolve()):
        if path.is_relative_to(cache):
            return CACHE + "/".join(path.relative_to(cache).parts)
    return str(path)


def _listed(folder: Path) -> list[str]:
    """The names in a folder but the hidden ones; none if it is gone."""
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(name for name in names if not name.startswith("."))


def _sha256(path: Path) -> str:
    """Of a file's content; empty if there is none."""
    if not path.is_file():
        return ""
    about = path.stat()
    return _hashed(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4096)
def _hashed(path: Path, mtime_ns: int, size: int) -> str:
    """Read again only when the file was written again."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
