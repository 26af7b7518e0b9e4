"""When a chapter is executed again: a small book whose one chapter reads, lists and imports."""

import json
import os
import subprocess
import sys
import time

import nbformat
import pytest

from elslib.book import chapters, execute, gate, reading
from elslib.book.staleness import READ, places, stale_by
from elslib.experiments import store

FILES = {
    "elslib/__init__.py": "",
    "elslib/used.py": "from elslib.indirect import x\n",
    "elslib/indirect.py": "x = 1\n",
    "elslib/unused.py": "x = 1\n",
    "elslib/scales.json": "[1]",
    "data/read.json": "1",
    "data/other.json": "1",
    "data/nets/a.bin": "a",
    "data/nets/.hidden": "",
    "requirements.lock": "a==1\n",
    "_toc.yml": "format: jb-book\nroot: index\nchapters:\n- file: notebooks/page\n",
    "notebooks/page.py": """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
network: str = ""  # a path without suffix

# %%
from pathlib import Path
import os, sys

sys.path.insert(0, "")
import elslib.used

before = sorted(name for name in globals() if not name.startswith("_"))
Path("data/read.json").read_text(), Path("elslib/scales.json").open().read()
list(Path("data/nets").glob("*.bin"))
Path("data/written.json").write_text("1")
try:
    open("data/missing.json")
except FileNotFoundError:
    pass
if network:
    Path(f"{network}.bin").read_bytes()
if (image_set := Path(os.environ.get("ELSLIB_DATA", ""), "net.bin")).exists():
    image_set.read_bytes()
print(before, len(elslib.used.__file__) > 0)
""",
}


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    root = tmp_path_factory.mktemp("book")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def page(book, tmp_path_factory):
    """Its chapter, executed once, by somebody whose IPython has a profile."""
    (found,) = chapters.chapters(book)
    ipython = tmp_path_factory.mktemp("ipython")
    (ipython / "profile_default").mkdir()
    config = ipython / "profile_default" / "ipython_kernel_config.py"
    config.write_text("get_config().InteractiveShellApp.exec_lines = ['of_the_profile = 1']\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(ipython))
        assert execute.execute(found, root=book)
    return found


def about(page):
    return nbformat.read(page.target, as_version=4).metadata


def test_what_a_run_read_is_noted_and_leaves_no_trace(book, page):
    """Files and folders, one that is missing too; not what was only written, nor hidden names."""
    read = about(page)[READ]
    assert set(read["files"]) == {"data/missing.json", "data/read.json", "elslib/scales.json"}
    assert read["files"]["data/missing.json"] == ""
    assert read["folders"] == {"data/nets": ["a.bin"]}
    cell = nbformat.read(page.target, as_version=4).cells[-1]
    names = "In Out Path elslib exit get_ipython network open os quit sys".split()
    assert cell.execution_count == 2 and cell.outputs[0].text == f"{names} True\n"


@pytest.mark.parametrize(
    "name, content, stale",
    [
        ("notebooks/page.py", FILES["notebooks/page.py"] + "\n# word\n", True),
        ("requirements.lock", "a==2\n", True),
        ("elslib/used.py", "from elslib.indirect import x as y\n", True),
        ("elslib/indirect.py", "x = 2\n", True),
        ("elslib/indirect.py", None, True),
        ("elslib/indirect.py", '"""Words."""\nx = 1  # more\n', False),
        ("elslib/unused.py", "x = 2\n", False),
        ("elslib/new.py", "x = 2\n", False),
        ("elslib/scales.json", "[2]", True),
        ("data/read.json", "2", True),
        ("data/read.json", None, True),
        ("data/missing.json", "1", True),
        ("data/other.json", "2", False),
        ("data/new.json", "1", False),
        ("data/written.json", "2", False),
        ("data/nets/b.bin", "b", True),
        ("data/nets/a.bin", None, True),
        ("data/nets/a.bin", "b", False),  # it was listed, not read
        ("data/nets/.part", "", False),
    ],
)
def test_a_chapter_is_stale_by_what_it_uses(book, page, name, content, stale):
    """Changed, new or gone; and the gate agrees."""
    path = book / name
    before = path.read_bytes() if path.exists() else None
    try:
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        assert bool(stale_by(about(page), page.source, {}, book)) is stale
        if stale:
            with pytest.raises(ValueError, match="must be up to date with its source"):
                gate.gate([page], book)
        else:
            gate.gate([page], book)
            assert not execute.execute(page, root=book)
    finally:
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)


@pytest.mark.parametrize("by", ["path", "folder"])
def test_data_elsewhere_count(book, page, tmp_path, monkeypatch, by):
    """A parameter names them by their path without suffix, or they lie in the cache folder."""
    weights = tmp_path / "net.bin"
    weights.write_bytes(b"1")
    parameters = {"network": str(tmp_path / "net")} if by == "path" else {}
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path if by == "folder" else tmp_path / "none"))
    run = chapters.Notebook(page.source, tmp_path / "out.ipynb")
    assert execute.execute(run, parameters, book)
    assert not execute.execute(run, parameters, book)
    weights.write_bytes(b"2")
    assert stale_by(about(run), run.source, parameters, book)


def test_another_project_is_another_run(book, page, tmp_path, monkeypatch):
    """What is read there counts; without it, or with a third one, the chapter is stale."""
    run = chapters.Notebook(page.source, tmp_path / "out.ipynb")
    for name in ("one", "two"):
        monkeypatch.setenv("ELSLIB_PROJECT", str(tmp_path / name))
        assert execute.execute(run, {}, book) and not execute.execute(run, {}, book)
    monkeypatch.delenv("ELSLIB_PROJECT")
    assert stale_by(about(run), run.source, {}, book)


def test_sets_are_named_from_their_folder(tmp_path, monkeypatch):
    """So one that holds the same serves as well, and one that does not is seen."""
    (root := tmp_path / "root").mkdir()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "set.npz").write_text("1")
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path / "a"))
    log = tmp_path / "log"
    log.write_text(json.dumps(["files", str(tmp_path / "a" / "set.npz")]))
    read = reading.read_since(2.0**40, log, root)
    assert list(read["files"]) == ["$ELSLIB_DATA/set.npz"]
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path / "b"))
    assert not reading.changed(read, root)
    (tmp_path / "b" / "set.npz").write_text("2")
    assert reading.changed(read, root) == ["$ELSLIB_DATA/set.npz"]


def test_a_file_that_is_put_in_the_place_of_one(tmp_path):
    """With an older time of writing, as `mv` and `cp -p` keep it: not what was read."""
    log, data, other = (tmp_path / name for name in ("log", "data.json", "other"))
    data.write_text("1")
    log.write_text(json.dumps(["files", str(data)]))
    start = time.time()
    time.sleep(0.05)
    other.write_text("2")
    os.utime(other, (1.0, 1.0))
    os.replace(other, data)
    assert reading.changed(reading.read_since(start, log, tmp_path), tmp_path)


def test_what_changes_while_it_is_read_is_not_what_was_read(tmp_path):
    """So it is stale, whatever it holds."""
    log, data = tmp_path / "log", tmp_path / "data.json"
    data.write_text("1")
    log.write_text(json.dumps(["files", str(data)]))
    written = data.stat().st_mtime
    assert not reading.changed(reading.read_since(written, log, tmp_path), tmp_path)
    assert reading.changed(reading.read_since(written - 1, log, tmp_path), tmp_path)


def test_a_linked_checkout_and_odd_ways_to_open(tmp_path):
    """Names are from the root by whichever path; file descriptors and bytes do no harm."""
    (tmp_path / "real" / "data").mkdir(parents=True)
    (tmp_path / "real" / "data" / "a").touch()
    (root := tmp_path / "link").symlink_to("real")
    log = tmp_path / "log"
    program = (
        f"{reading.startup(log, places({}, root))}\nimport os\n"
        f"open('data/a'), open({str(root)!r} + '/data/b', 'w')\n"
        "os.listdir(b'data'), os.listdir(os.open('.', os.O_RDONLY)), os.chdir('data'), os.listdir()"
    )
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
    read = reading.read_since(2 * os.stat(root).st_mtime, log, root)
    assert list(read["files"]) == ["data/a"] and read["folders"] == {"data": ["a", "b"]}


def test_weights_are_read_by_python():
    """safetensors would open the file itself, and a run would not know of it."""
    heard = []
    sys.addaudithook(lambda event, arguments: heard.append((event, str(arguments[:1]))))
    name = next(iter(store.trained_on("fashion_mnist_10k")))
    store.load_network(name)
    assert any(event == "open" and f"{name}.safetensors" in path for event, path in heard)
