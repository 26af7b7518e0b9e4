"""The library's words on its pages: NumPy docstrings, and signatures that say what can be said."""

import ast
import importlib.util
import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from docutils.core import publish_doctree
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import NumpyDocstring

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def signatures():
    path = ROOT / "book" / "_ext" / "signatures.py"
    spec = importlib.util.spec_from_file_location("signatures", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "signature, shown",
    [
        ("(*args, **kwargs)", ""),
        ("(a: int = <factory>)", "(a: int = ...)"),
        (None, None),
        ("(a: int)", "(a: int)"),
    ],
)
def test_signatures_say_what_can_be_said(signatures, signature, shown):
    """Sphinx could not read `<factory>`, and what a Protocol inherits tells nobody anything."""
    assert signatures.plain(*[None] * 5, signature, "int") == (shown, "int")


def docstrings(path):
    """Name and docstring of a module and of all that is public in it."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            if not (name := getattr(node, "name", path.stem)).startswith("_"):
                yield name, text


def complaints(text):
    """What is wrong with a docstring; nothing, one hopes."""
    said = io.StringIO()
    config: Any = Config(napoleon_use_ivar=True)  # read like one of Sphinx
    rst = str(NumpyDocstring(text, config, what="class"))
    publish_doctree(rst, settings_overrides={"warning_stream": said, "report_level": 1})
    listed = re.findall(r"^\w+(?:, \w+)* {2,}\S.*", rst, re.MULTILINE)
    # What follows the last field of a section is read as one more field, named by a sentence.
    sentences = re.findall(r"^:(?:ivar|vartype|param|type) \w+ [^:]*:", rst, re.MULTILINE)
    return said.getvalue() + "\n".join(listed + sentences)


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "elslib").rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_docstrings_are_read_as_they_are_meant(path):
    """Neither Napoleon nor reStructuredText stumbles, and fields stand in a section."""
    for name, text in docstrings(path):
        assert not complaints(text), name


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "elslib").rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_property_or_datum_is_told_a_type_by_its_first_line(path):
    """Napoleon takes what stands before a colon there for one."""
    module = ast.parse(path.read_text())
    for datum, told in pairwise(module.body):
        if isinstance(datum, ast.Assign | ast.AnnAssign) and isinstance(told, ast.Expr):
            text = getattr(told.value, "value", "")
            assert ": " not in text.splitlines()[0], ast.unparse(datum)
    for node in ast.walk(module):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        kinds = {ast.unparse(decorator) for decorator in node.decorator_list}
        if kinds & {"property", "cached_property"} and (text := ast.get_docstring(node)):
            assert ": " not in text.splitlines()[0], node.name


@pytest.mark.parametrize(
    "text",
    [
        "Of `x`s.",
        "Images [*shape].",
        "One.\n\na, b  both\nc  one",
        "One.\n\nAttributes\n----------\na\n    one\n\nRaises ValueError for others.",
    ],
)
def test_what_would_be_misread_is_noticed(text):
    """A letter right after code, a star outside it, a list without a section, what follows one."""
    assert complaints(text)
