"""Where things come from, as Markdown: what made each figure and result, how to cite the book."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat
import papermill
import yaml

from elslib.book.chapters import ROOT, chapters
from elslib.book.execute import RECORD
from elslib.data.named import load, manifest

RESULTS = ("networks", "scales", "results")  # folders of data/ that runs have filled


def chapter_runs(root: Path = ROOT) -> str:
    """A section for each chapter: its figures, its parameters, and the run that made them.

    A copy that `elslib book` did not execute has no record, and the section says so. Raises
    FileNotFoundError for a chapter that was not executed at all.
    """
    sections = []
    for notebook in chapters(root):
        content = nbformat.read(notebook.target, as_version=4)
        title = next(cell.source for cell in content.cells if cell.cell_type == "markdown")
        heading = title.splitlines()[0].removeprefix("# ")
        inspected = papermill.inspect_notebook(str(notebook.target))
        facts = {
            "figures": ", ".join(f"{{numref}}`{name}`" for name in _figures(content)),
            "parameters": _listed({name: p["default"] for name, p in inspected.items()}),
        }
        link = f"[`{notebook.source.name}`](notebooks/{notebook.target.stem})"
        run = _run(content.metadata.get(RECORD), facts)
        sections.append(f"### {heading}\n\n{link}. {run}")
    return "\n".join(sections)


def _figures(content: nbformat.NotebookNode) -> Iterator[str]:
    """Labels of a chapter's figures, in order."""
    for cell in content.cells:
        if name := cell.metadata.get("mystnb", {}).get("figure", {}).get("name"):
            yield name


def result_runs(root: Path = ROOT) -> str:
    """A section for each committed result: its files, and the run or runs that made it.

    Raises ValueError for a json file without a record.
    """
    sections = []
    for folder in RESULTS:
        for path in sorted((root / "data" / folder).glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            runs = list(_records(content))
            if not runs:
                raise ValueError(f"{path} must hold the record of the run that made it; run again.")
            files = sorted(path.parent.glob(f"{path.stem}.*"))
            names = ", ".join(f"`{file.relative_to(root)}`" for file in files)
            parts = [f"### {path.stem.replace('_', '-')} ({folder})", f"{names}."]
            parts += [_run(run, {"parameters": _listed(run["config"])}) for run in runs]
            sections.append("\n\n".join(parts))
    return "\n".join(sections)


def _records(content: object) -> Iterator[dict]:
    """Every RunRecord in a json file: the file itself, or entries at any depth."""
    if isinstance(content, dict):
        if {"command", "config", "commit", "data_sha256"} <= content.keys():
            yield content
        else:
            for value in content.values():
                yield from _records(value)


def _run(record: Mapping | None, facts: Mapping[str, str]) -> str:
    """How something was made: by which command and when, then facts, source, data and machine."""
    made = "Executed by hand, so there is no record of the run."
    if record:
        finished = record["finished"].replace("T", " ").replace("Z", " UTC")
        made = f"Made by `{record['command']}` in {record['seconds']:,.0f} s, finished {finished}."
        facts = {
            **facts,
            "commit": f"`{record['commit'] or 'unknown'}`",
            "data": f"`{_short(record['data_sha256'])}`",
            "versions": ", ".join(
                f"{name} {number}" for name, number in record["versions"].items()
            ),
            "machine": record["hardware"],
        }
    items = "".join(f"- {name}: {fact}\n" for name, fact in facts.items() if fact)
    return f"{made}\n\n{items}"


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"`{name} = {_brief(value)}`" for name, value in values.items())


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
