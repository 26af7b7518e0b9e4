"""What executed notebooks glued: numbers, words and pictures for other pages."""

import ast
import base64
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import nbformat

from elslib.book.chapters import Notebook
from elslib.io import write_whole

GLUED = "application/papermill.record/"  # how a glued output's types begin


def export_pictures(notebook: Notebook) -> list[Path]:
    """Write each glued picture beside the executed notebook, as STEM-KEY.png, for other pages; a
    live figure as STEM-KEY.html. And each figure, by its label: STEM-fig-LABEL.png.

    Glue itself carries numbers from page to page, but no figure with caption and alt text.
    """
    written = []
    for key, data in chain(_glued(notebook.target), _figures(notebook.target)):
        path = notebook.target.with_name(f"{notebook.target.stem}-{key}")
        if picture := data.get(f"{GLUED}image/png") or data.get("image/png"):
            written.append(path.with_name(f"{path.name}.png"))
            write_whole(written[-1], base64.b64decode(picture))
        elif page := data.get(f"{GLUED}text/html"):
            written.append(path.with_name(f"{path.name}.html"))
            write_whole(written[-1], page.encode())
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


def _figures(executed: Path) -> Iterator[tuple[str, dict]]:
    for cell in nbformat.read(executed, as_version=4).cells:
        label = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        for output in cell.get("outputs", []) if label else []:
            if "image/png" in output.get("data", {}):
                yield label, output["data"]


def _glued(executed: Path) -> Iterator[tuple[str, dict]]:
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", []):
            if key := output.get("metadata", {}).get("scrapbook", {}).get("name"):
                yield key, output.get("data", {})
