"""Which files a piece of code runs, on a small library of its own."""

import pytest

from elslib.experiments.sources import LIBRARY, digest, sources

FILES = {
    "__init__.py": "import lazy_loader\nif TYPE_CHECKING:\n    from toy.other import thing\n",
    "__init__.pyi": "from .deep.inner import name as name\nfrom . import plain as plain\n",
    "plain.py": "from toy.second import x\n",
    "second.py": "def f():\n    import toy.third as third\n    return third.deep\n",
    "third.py": "",
    "other.py": "thing = 1\n",
    "lone.py": "import toy\n\n\ndef f():\n    return toy.name.attribute\n",
    "broken.py": "def\n",
    "deep/__init__.py": "",
    "deep/inner.py": "from ..other import thing\n",
    "deep/outer.py": "from . import inner\nfrom .inner import *\n",
    "fast/__init__.py": "from toy.fast.bridge import call\n",
    "fast/bridge.py": "",
    "fast/native/sums.cpp": "int x;\n",
}


@pytest.fixture
def toy(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "toy"


@pytest.mark.parametrize(
    "code, expected",
    [
        ("import os", ""),
        ("import toy", ""),
        ("import toy.plain", "plain second third"),
        ("import toy.plain as p", "plain second third"),
        ("from toy import plain", "plain second third"),
        ("from toy import plain as p\np.x", "plain second third"),
        ("def f():\n    from toy.third import x", "third"),
        ("import toy.broken", "broken"),
        ("import toy\ntoy.name(1)", "deep/__init__ deep/inner other"),
        ("import toy as t\nt.name", "deep/__init__ deep/inner other"),
        ("import toy\ntoy.plain.x", "plain second third"),
        ("import toy\ntoy.deep.inner.thing", "deep/__init__ deep/inner other"),
        ("from toy import name", "deep/__init__ deep/inner other"),
        ("import toy.lone", "lone deep/__init__ deep/inner other"),
        ("from toy.deep.outer import x", "deep/__init__ deep/inner deep/outer other"),
        ("from toy.fast import call", "fast/__init__ fast/bridge fast/native/sums.cpp"),
        ("if TYPE_CHECKING:\n    import toy.third", ""),
        ("def", ""),
    ],
)
def test_imports_are_followed(toy, code, expected):
    """Direct and indirect ones, in functions, relative, and through lazily loaded names; and a
    package on the way counts, but not what only type checkers read."""
    found = {str(path.relative_to(toy)) for path in sources(code, toy)}
    expected = {name if "." in name else f"{name}.py" for name in expected.split()}
    assert found - {"__init__.py"} == expected
    assert ("__init__.py" in found) == ("import toy" in code.splitlines()[0] or bool(expected))


def test_words_do_not_count(tmp_path):
    """A digest is of what a file does: comments and docstrings may change, a value may not."""
    texts = [
        '"""One."""\nx = "a"  # b\n',
        '"""Two."""\n\n# c\nx = "a"\n',
        'x = "a"\n',
        '"""One."""\nx = "b"\n',
        "x = \n",
    ]
    digests = []
    for i, text in enumerate(texts):
        (path := tmp_path / f"{i}.py").write_text(text)
        digests.append(digest(path))
    assert digests[0] == digests[1] == digests[2] and len(set(digests)) == 3


def test_a_chapter_imports_little_of_the_book():
    """How numbers and tables are shown, and not how pages are made."""
    for path in (LIBRARY.parent / "notebooks").glob("*.py"):
        used = {str(file.relative_to(LIBRARY)) for file in sources(path.read_text())}
        machinery = {name for name in used if name.startswith(("book/", "cli/"))}
        shown = {f"book/{name}.py" for name in ("__init__", "glue", "values", "tables")}
        assert machinery <= shown, path.name
