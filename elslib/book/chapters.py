"""The chapters of the book, by _toc.yml."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


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
    for name in _toc_files(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))):
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
