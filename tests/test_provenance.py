"""What the pages say about runs, on records of a small book and on the committed ones."""

import json
from dataclasses import asdict

import nbformat
import pytest

from elslib.book import chapters, execute, provenance_pages
from elslib.data import named
from elslib.experiments.provenance import RunRecord

RECORD = RunRecord(
    command="elslib train",
    config={"rate": 0.5, "seeds": [7, 8, 9, 10, 11], "weights_sha256": "ab" * 32},
    data_sha256="cd" * 32,
    seconds=1234.5,
    commit="0123456789ab+changes",
    finished="2026-01-02T03:04:05Z",
    versions={"python": "3.11.7", "torch": "2.15.0"},
    hardware="a processor, 2 cores",
)


@pytest.fixture
def root(tmp_path):
    """A checkout with one executed chapter."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book" / "notebooks").mkdir(parents=True)
    (tmp_path / "notebooks" / "01_page.py").write_text("")
    (tmp_path / "_toc.yml").write_text("root: index\nchapters:\n- file: notebooks/01_page\n")
    write_chapter(tmp_path, {execute.RECORD: asdict(RECORD)})
    return tmp_path


def write_chapter(root, metadata):
    parameters = nbformat.v4.new_code_cell("seed: int = 3  # of the noise")
    parameters.metadata["tags"] = ["parameters"]
    figure = nbformat.v4.new_code_cell("draw()")
    figure.metadata["mystnb"] = {"figure": {"name": "fig-one"}}
    title = nbformat.v4.new_markdown_cell("# A page\n\nText.")
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    content = nbformat.v4.new_notebook(
        cells=[title, parameters, figure], metadata={**kernel, **metadata}
    )
    nbformat.write(content, root / "book" / "notebooks" / "01_page.ipynb")


def test_a_chapter_names_its_figures_its_parameters_and_its_run(root):
    """All that the record holds, as text for the page."""
    text = provenance_pages.chapter_runs(root)
    for part in (
        "| [A page](notebooks/01_page), `01_page.py` | {numref}`fig-one` |", "`seed = 3`",
        "2026-01-02 03:04:05 UTC, in 1,234 s", "`elslib train`", "`0123456789ab+changes`",
        "`cdcdcdcdcdcd`", "python 3.11.7, torch 2.15.0", "a processor, 2 cores",
    ):  # fmt: skip
        assert part in text, part


def test_a_chapter_without_a_record_says_so(root):
    """As papermill leaves it; commit and machine are not made up."""
    write_chapter(root, {})
    text = provenance_pages.chapter_runs(root)
    assert "no record" in text and "fig-one" in text and "commit" not in text


def test_results_with_one_record_with_several_and_with_none(root):
    """A record may be the whole file or lie deeper; a file without one is refused."""
    results = root / "data" / "results"
    results.mkdir(parents=True)
    (results / "whole.json").write_text(json.dumps(asdict(RECORD)))
    (results / "whole.csv").write_text("a\n")
    parts = {"speed": {"record": asdict(RECORD)}, "memory": [1], "error": asdict(RECORD)}
    (results / "in_parts.json").write_text(json.dumps(parts))
    text = provenance_pages.result_runs(root)
    assert text.count("<details>") == 3 and "data/results/whole.csv" in text
    assert "`seeds = 7..11`" in text and "`weights_sha256 = abababababab`" in text
    (results / "none.json").write_text("{}")
    with pytest.raises(ValueError, match="none.json must hold the record of the run"):
        provenance_pages.result_runs(root)


def test_every_committed_result_has_its_run():
    """And those on the embedded clothes say so by the hash that the list of images shows."""
    text, sets = provenance_pages.result_runs(), provenance_pages.image_sets()
    for folder in provenance_pages.RESULTS:
        for path in (chapters.ROOT / "data" / folder).glob("*.json"):
            assert f"`data/{folder}/{path.name}`" in text
    hashed = named.load("fashion_mnist_10k").sha256[:12]
    assert f"data: `{hashed}`" in text and f"`{hashed}`" in sets


def test_the_citation_is_that_of_the_file(tmp_path):
    """One truth: change the file, and the page changes."""
    (tmp_path / "CITATION.cff").write_text(
        "title: A title\nversion: 3.2.1\nlicense: MIT\nauthors:\n- name: We\n- name: You\n"
    )
    text = provenance_pages.citation(tmp_path)
    assert text.startswith("@software{elslib,") and "= {{We} and {You}}" in text
    assert "{A title}" in text and "{3.2.1}" in text
