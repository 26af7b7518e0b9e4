"""The notebook pipeline, on a small book of its own."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest

from elslib.book import chapters, execute, gate, glued, html
from elslib.book.parameters import check_parameters
from elslib.book.staleness import READ

SOURCE = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A page

# %% tags=["parameters"]
n: int = 3  # how many
width: float = 0.5  # how wide
name: str = "a"  # what

# %%
if n < 0:
    raise ValueError("n is negative")
print(n * 2, width, name)
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A checkout with one notebook."""
    root = tmp_path_factory.mktemp("book")
    for folder in ("notebooks", "elslib", "data", "book"):
        (root / folder).mkdir()
    (root / "notebooks" / "page.py").write_text(SOURCE)
    (root / "requirements.lock").write_text("a==1\n")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n- file: notebooks/page\n"
    )
    return root


@pytest.fixture(scope="module")
def page(book):
    """Its notebook, executed once."""
    (found,) = chapters.chapters(book)
    assert execute.execute(found, root=book)
    return found


def text_of(path):
    return nbformat.read(path, as_version=4).cells[-1].outputs[0].text


def test_an_unchanged_notebook_is_not_executed_again(book, page):
    """And what it printed is there; the gate lets it through."""
    assert text_of(page.target) == "6 0.5 a\n"
    assert not execute.execute(page, root=book)
    gate.gate([page], book)


def test_an_executed_notebook_says_what_made_it(page):
    """Its record names the notebook, the data, the versions; the seconds are papermill's."""
    about = nbformat.read(page.target, as_version=4).metadata
    record = about[execute.RECORD]
    assert record["command"] == "elslib book" and record["config"]["notebook"] == "page.py"
    assert record["data_sha256"] == hashlib.sha256(json.dumps(about[READ]).encode()).hexdigest()
    assert record["seconds"] == round(about["papermill"]["duration"], 1) > 0
    assert {"python", "torch"} <= record["versions"].keys()


def test_an_executed_notebook_needs_no_kernel_to_be_shown(book, tmp_path):
    """A widget that also has a page leaves that, and no state; one without stays as it is."""
    source = tmp_path / "widget.py"
    cells = "\n".join(
        [
            "# %%",
            "import ipywidgets",
            "from IPython.display import display",
            "box = ipywidgets.IntText(3)",
            "view = box._repr_mimebundle_()",
            "display({**view, 'text/html': '<p>a page</p>'}, raw=True)",
            "display(view, raw=True)",
        ]
    )
    source.write_text(SOURCE + cells + "\n")
    executed = chapters.Notebook(source, tmp_path / "widget.ipynb")
    execute.execute(executed, root=book)
    content = nbformat.read(executed.target, as_version=4)
    both, alone = (output.data for output in content.cells[-1].outputs)
    view = "application/vnd.jupyter.widget-view+json"
    assert both["text/html"] == "<p>a page</p>" and view not in both and view in alone
    assert "widgets" not in content.metadata


def test_parameters_change_key_and_result(book, page, tmp_path):
    """A parametrised run goes elsewhere and computes something else."""
    other = chapters.Notebook(page.source, tmp_path / "out.ipynb")
    assert execute.execute(other, {"n": 5, "width": 1}, book)
    assert text_of(other.target) == "10 1 a\n"
    assert not execute.execute(other, {"n": 5, "width": 1}, book)


@pytest.mark.parametrize(
    "parameters,message",
    [
        ({"m": 3}, "m must be a parameter of page.py, which has: n, width, name"),
        ({"n": "3"}, "n must be of type int in page.py, got '3'"),
        ({"n": True}, "n must be of type int in page.py, got True"),
        ({"name": 1}, "name must be of type str in page.py, got 1"),
    ],
)
def test_wrong_parameters_are_refused(page, parameters, message):
    """Papermill itself would only warn."""
    with pytest.raises(ValueError, match=re.escape(message)):
        check_parameters(page.source, parameters)


def test_a_failing_notebook_is_kept_but_not_published(book, page, tmp_path):
    """The error is named, the failed copy stays, the target does not appear."""
    broken = chapters.Notebook(page.source, tmp_path / "broken.ipynb")
    with pytest.raises(RuntimeError, match="n is negative"):
        execute.execute(broken, {"n": -1}, book)
    failed = tmp_path / "broken.failed.ipynb"
    assert failed.is_file() and not broken.target.exists()
    with pytest.raises(ValueError, match="must exist to be published"):
        gate.gate([broken], book)
    shutil.copy(failed, broken.target)
    with pytest.raises(ValueError, match="without an exception"):
        gate.gate([broken], book)


def test_a_full_disk_leaves_nothing_half_written(book, page, tmp_path, full_disk):
    """One line says which file could not be written; neither a copy nor a part of one stays."""
    target = tmp_path / "out" / "page.ipynb"
    with full_disk(50_000), pytest.raises(RuntimeError, match="could not be written") as caught:
        execute.execute(chapters.Notebook(page.source, target), {"name": "x" * 100_000}, book)
    assert "Traceback" not in str(caught.value) and "its copy" not in str(caught.value)
    assert not list(target.parent.iterdir())


def test_other_errors_of_the_system_keep_their_trace(tmp_path):
    """A source that is gone is no full disk."""
    source, target = tmp_path / "gone.ipynb", tmp_path / "target.ipynb"
    arguments = [str(os.getpid()), source, target, "{}", tmp_path]
    run = subprocess.run(
        [sys.executable, "-m", "elslib.book.run_notebook", *map(str, arguments)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode and "FileNotFoundError" in run.stderr
    assert "could not be written" not in run.stderr


def test_the_gate_refuses_unexecuted_cells_and_errors(book, page, tmp_path):
    """Also where papermill's own record looks clean."""
    for change, message in (
        (lambda cell: cell.update(execution_count=None), "must be executed to the end"),
        (
            lambda cell: cell.outputs.append(nbformat.v4.new_output("error", ename="E")),
            "must hold no error output",
        ),
    ):
        content = nbformat.read(page.target, as_version=4)
        change(content.cells[-1])
        copy = chapters.Notebook(page.source, tmp_path / "copy.ipynb")
        nbformat.write(content, copy.target)
        with pytest.raises(ValueError, match=message):
            gate.gate([copy], book)


def test_a_toc_entry_without_a_source_is_refused(tmp_path):
    """Jupyter Book would only warn."""
    (tmp_path / "_toc.yml").write_text("root: index\nchapters:\n- file: notebooks/nothing\n")
    with pytest.raises(FileNotFoundError, match="names notebooks/nothing"):
        chapters.chapters(tmp_path)


@pytest.fixture
def as_declared(tmp_path, monkeypatch):
    """Papermill with the entry points of pyproject.toml, whatever was declared at installation."""
    project = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text())["project"]
    about = tmp_path / "declared" / "elslib-0.0.0.dist-info"  # found first, so the only elslib
    about.mkdir(parents=True)
    entries = project["entry-points"]["papermill.io"]
    lines = ["[papermill.io]", *(f"{name} = {target}" for name, target in entries.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
    paths = [str(about.parent), str(chapters.ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return entries


@pytest.mark.parametrize(
    "folder, path", [(".", "notebooks/page.py"), ("notebooks", "page.py"), ("data", "../{}")]
)
def test_papermill_reads_percent_scripts(book, tmp_path, as_declared, folder, path):
    """`papermill notebooks/page.py out.ipynb -p n 4` simply works, from whatever folder."""
    papermill = Path(sys.executable).with_name("papermill")
    if path == "../{}":
        path = book / "notebooks" / "page.py"
    command = [papermill, path, tmp_path / "o.ipynb", "-p", "n", "4"]
    subprocess.run(command, cwd=book / folder, check=True, capture_output=True)
    assert text_of(tmp_path / "o.ipynb") == "8 0.5 a\n"


def test_papermill_reads_all_else_as_before(book, tmp_path, as_declared):
    """No path begins with our name: notebooks of other projects in the environment, in folders of
    any name, are papermill's own affair, and so is its --cwd; a script without cells is refused."""
    (other := tmp_path / "notebooks").mkdir()
    (other / "script.py").write_text("print(1)\n")
    (other / "theirs.ipynb").write_text(jupytext.writes(jupytext.reads(SOURCE, "py"), "ipynb"))
    program = (
        "from papermill.iorw import papermill_io, LocalHandler, load_notebook_node\n"
        "from papermill.iorw import local_file_io_cwd\n"
        "for path in ('notebooks/theirs.ipynb', './notebooks/x.py', '/x', 'x.py'):\n"
        "    handler = papermill_io.get_handler(path)\n"
        "    assert type(handler) is LocalHandler, path\n"
        "    assert handler is papermill_io._handlers[-1][1], path\n"
        "with local_file_io_cwd('notebooks'):\n"
        "    assert len(load_notebook_node('theirs.ipynb').cells) == 3\n"
        f"    assert len(load_notebook_node({str(book / 'notebooks' / 'page.py')!r}).cells) == 3\n"
        "try:\n"
        "    load_notebook_node('notebooks/script.py')\n"
        "except Exception as error:\n"
        "    assert 'does not appear to be JSON' in str(error), error\n"
        "else:\n"
        "    raise AssertionError('read')\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_path_is_no_template(tmp_path):
    """Braces, spaces and percent signs stand in the paths of checkout, notebook and copy: papermill
    formats paths with the parameters, and so would name other files."""
    root = tmp_path / "a {n} {prefix} b%20c {{"
    (root / "notebooks").mkdir(parents=True)
    (root / "elslib").mkdir()
    (root / "requirements.lock").write_text("a==1\n")
    (source := root / "notebooks" / "page {name}%.py").write_text(SOURCE)
    found = chapters.Notebook(source, root / "out {n}%d" / "{width}.ipynb")
    assert execute.execute(found, {"n": 4, "name": "{n}"}, root)
    assert text_of(found.target) == "8 0.5 {n}\n"
    assert [path.name for path in found.target.parent.iterdir()] == ["{width}.ipynb"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [root.name]


def test_glued_pictures_become_files(page, tmp_path):
    """A picture that a notebook glued, or a figure, stands beside it for other pages to show."""
    content = nbformat.read(page.target, as_version=4)
    data = {"application/papermill.record/image/png": "AAEC"}
    output = nbformat.v4.new_output(
        "display_data", data=data, metadata={"scrapbook": {"name": "hero"}}
    )
    content.cells[-1].outputs.append(output)
    data = {"application/papermill.record/text/html": "<p>é</p>"}
    output = nbformat.v4.new_output(
        "display_data", data=data, metadata={"scrapbook": {"name": "live"}}
    )
    content.cells[-1].outputs.append(output)
    drawn = nbformat.v4.new_code_cell("draw()")
    drawn.metadata["mystnb"] = {"figure": {"name": "fig-one"}}
    drawn.outputs = [nbformat.v4.new_output("execute_result", data={"image/png": "AwQF"})]
    content.cells.append(drawn)
    copy = chapters.Notebook(page.source, tmp_path / "copy.ipynb")
    nbformat.write(content, copy.target)
    picture, figure, labelled = glued.export_pictures(copy)
    assert picture == tmp_path / "copy-hero.png" and picture.read_bytes() == b"\x00\x01\x02"
    assert labelled == tmp_path / "copy-fig-one.png" and labelled.read_bytes() == b"\x03\x04\x05"
    assert figure == tmp_path / "copy-live.html" and figure.read_text("utf-8") == "<p>é</p>"


def test_foreign_resources_are_found(tmp_path):
    """Scripts, styles, images and fonts from elsewhere are found; links are not."""
    (tmp_path / "a.html").write_text(
        '<script src="https://a.example/x.js"></script><a href="https://b.example">b</a>'
        '<link rel="stylesheet" href="//c.example/s.css"><img src="local.png">'
    )
    (tmp_path / "s.css").write_text('@font-face{src:url("https://d.example/f.woff")}')
    found = "\n".join(html.foreign_resources(tmp_path))
    assert all(host in found for host in ("a.example", "c.example", "d.example"))
    assert "b.example" not in found and "local.png" not in found


@pytest.mark.parametrize(
    "path", sorted((chapters.ROOT / "notebooks").glob("*.py")), ids=lambda p: p.name
)
def test_every_parameter_can_be_set(path):
    """Papermill reads each line of the parameters cell, with its type; every chapter has a seed."""
    cell = path.read_text().split('tags=["parameters"')[1].split("# %%")[0]
    names = re.findall(r"^(\w+):", cell, re.MULTILINE)
    known = papermill.inspect_notebook(jupytext.read(path))
    assert list(known) == names and "seed" in names
    assert all(known[name]["inferred_type_name"] in ("int", "float", "str") for name in names)
    assert all(known[name]["help"] for name in names)
