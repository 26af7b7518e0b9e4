"""Files that appear whole or not at all: a kill leaves the old one or the new one."""

import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np


def read_json(path: Path, remedy: str) -> dict:
    """The object in a json file. ValueError, naming the file and the remedy, if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is corrupt or truncated ({error}); {remedy}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a json object, got {content!r}; {remedy}.")
    return content


def write_json(path: Path, content: object) -> None:
    """Write json with `write_whole`."""
    write_whole(path, json_bytes(content))


def json_bytes(content: object) -> bytes:
    """As json; a list of numbers takes one line, not one for each."""
    text = re.sub(r"\[\n[^][{}\"]*\]", _on_one_line, json.dumps(content, indent=1))
    return (text + "\n").encode()


def _on_one_line(numbers: re.Match) -> str:
    return f"[{', '.join(number.strip() for number in numbers[0][1:-1].split(','))}]"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one, never half of one.

    An OSError, of a full disk say, names the file.
    """
    write_together({path: content})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together, the last of them their record, each as `write_whole` does.

    All are written before the first gets its name, so that a kill hardly ever falls in between; if
    it does, there is no record, and what has none is not believed.
    """
    parts = {path: _part(path) for path in files}
    *others, record = files
    try:
        for path, part in parts.items():
            with _named(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with part.open("wb") as file:
                    file.write(files[path])
                    file.flush()
                    os.fsync(file.fileno())
        if others:
            record.unlink(missing_ok=True)
        for path, part in parts.items():
            with _named(path):
                os.replace(part, path)
    finally:
        _drop(parts.values())


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """A name beside `path` for what is to become it; gone in the end. An OSError names `path`."""
    part = _part(path)
    try:
        with _named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
    finally:
        _drop([part])


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")  # two may write at once


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _drop(parts: Iterable[Path]) -> None:
    for part in parts:
        with suppress(OSError):  # what stopped the writing is to be heard of
            part.unlink(missing_ok=True)


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], compression: int = zipfile.ZIP_DEFLATED
) -> None:
    """Write an npz with `write_whole`."""
    write_whole(path, npz_bytes(arrays, compression))


def npz_bytes(arrays: Mapping[str, np.ndarray], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """As an npz. `zipfile.ZIP_LZMA` makes images a seventh to a quarter smaller than the usual
    compression, but not every program that reads npz knows it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, array in arrays.items():
            large = array.nbytes > 2**30  # only then: zip64 would change the bytes of kept files
            with archive.open(f"{name}.npy", "w", force_zip64=large) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return content.getvalue()


def check_writable(path: Path) -> None:
    """Before a long run: raise OSError if `write_whole` could not write this file at its end."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} must be a file, but is a folder; give another name.")
    with part_of(path) as part:
        part.touch()
