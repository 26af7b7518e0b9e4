"""What a chapter depends on, as one hash."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from elslib.book.chapters import ROOT


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
