"""Where things come from, as Markdown: what made each figure and result, how to cite the book."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import nbformat
import papermill
import yaml

from elslib.book.chapters import ROOT, chapters
from elslib.book.execute import RECORD
from elslib.book.tables import markdown_table
from elslib.data.named import load, manifest

RESULTS = ("networks", "scales", "results")  # folders of data/ that runs have filled


def chapter_runs(root: Path = ROOT) -> str:
    """A table with a row for each chapter: its figures, and the run that made them.

    A copy that `elslib book` did not execute has no record, and its row says so. Raises
    FileNotFoundError for a chapter that was not executed at all.
    """
    rows = []
    for notebook in chapters(root):
        content = nbformat.read(notebook.target, as_version=4)
        title = next(cell.source for cell in content.cells if cell.cell_type == "markdown")
        heading = title.splitlines()[0].removeprefix("# ")
        inspected = papermill.inspect_notebook(str(notebook.target))
        figures = ", ".join(f"{{numref}}`{name}`" for name in _figures(content)) or "none"
        parameters = {name: about["default"] for name, about in inspected.items()}
        link = f"[{heading}](notebooks/{notebook.target.stem}), `{notebook.source.name}`"
        run = _run(content.metadata.get(RECORD), parameters)
        rows.append((link, figures, *run))
    return _table("Chapter", "Figures", rows)


def _figures(content: nbformat.NotebookNode) -> Iterator[str]:
    """Labels of a chapter's figures, in order."""
    for cell in content.cells:
        if name := cell.metadata.get("mystnb", {}).get("figure", {}).get("name"):
            yield name


def result_runs(root: Path = ROOT) -> str:
    """A table with a row for each run that made a committed result, or a part of it.

    Raises ValueError for a json file without a record.
    """
    rows = []
    for folder in RESULTS:
        for path in sorted((root / "data" / folder).glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            runs = list(_records(content))
            if not runs:
                raise ValueError(f"{path} must hold the record of the run that made it; run again.")
            files = sorted(path.parent.glob(f"{path.stem}.*"))
            names = ", ".join(f"`{file.relative_to(root)}`" for file in files)
            title = path.stem.replace("_", "-")
            rows += [(f"{title} ({folder})", names, *_run(run, run["config"])) for run in runs]
    return _table("Result", "Files", rows)


def _records(content: object) -> Iterator[dict]:
    """Every RunRecord in a json file: the file itself, or entries at any depth."""
    if isinstance(content, dict):
        if {"command", "config", "commit", "data_sha256"} <= content.keys():
            yield content
        else:
            for value in content.values():
                yield from _records(value)


def _table(what: str, where: str, rows: Iterable[tuple[str, ...]]) -> str:
    """A table that the page lets one filter."""
    table = markdown_table([(what, where, "Made", "Details"), *rows])
    return f":::{{table}}\n:class: filterable\n\n{table.data}\n:::\n"


def _run(record: Mapping | None, parameters: Mapping[str, object]) -> tuple[str, str]:
    """When something was made and how long it took; folded: command, source, data, machine."""
    if not record:
        made = "Executed by hand, so there is no record of the run."
        facts = {}
    else:
        finished = record["finished"].replace("T", " ").replace("Z", " UTC")
        made = f"{finished}, in {record['seconds']:,.0f} s"
        facts = {
            "command": f"`{record['command']}`",
            "commit": f"`{record['commit'] or 'unknown'}`",
            "data": f"`{_short(record['data_sha256'])}`",
            "versions": ", ".join(
                f"{name} {number}" for name, number in record["versions"].items()
            ),
            "machine": record["hardware"],
        }
    facts = {"parameters": _listed(parameters), **facts}
    lines = "<br>".join(f"{name}: {fact}" for name, fact in facts.items() if fact)
    return made, f"<details><summary>How</summary>{lines}</details>"


def _listed(values: Mapping[str, object]) -> str:
    shown = (f"`{name} = {_brief(value)}`" for name, value in values.items())
    return ", ".join(shown).replace("|", "\\|")


def _brief(value: object) -> str:
    """A value as the page shows it: hashes by their beginning, many seeds by first and last."""
    if isinstance(value, list) and len(value) > 3 and all(isinstance(v, int) for v in value):
        if value == list(range(value[0], value[-1] + 1)):
            return f"{value[0]}..{value[-1]}"
    return _short(value) if re.fullmatch("[0-9a-f]{64}", str(value)) else str(value)


def _short(sha256: object) -> str:
    return str(sha256)[:12]


def image_sets() -> str:
    """A line for each embedded image set: its hash, how many images, whence, which licence."""
    return "".join(
        f"- `{name}`: {about['shape'][0]:,} images, `{_short(load(name).sha256)}`. "
        f"{about['source']}. Licence: {about['licence']}.\n"
        for name, about in manifest().items()
    )


def citation(root: Path = ROOT) -> str:
    """The entry of CITATION.cff for the book and library, in BibTeX."""
    about = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    fields = {
        "author": " and ".join(f"{{{author['name']}}}" for author in about["authors"]),
        "title": about["title"],
        "version": about["version"],
        "license": about["license"],
    }
    lines = "".join(f"  {name:7} = {{{value}}},\n" for name, value in fields.items())
    return f"@software{{elslib,\n{lines}}}"
