"""The extension that sets the library's plain docstrings."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "book" / "_ext" / "docstrings.py"


@pytest.fixture(scope="module")
def docstrings():
    spec = importlib.util.spec_from_file_location("docstrings", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_words_in_backticks_are_code_and_nothing_else_is_markup(docstrings):
    """Also where a letter follows at once, and where a formula has bars, stars and underlines."""
    text = docstrings.restructured("The `x`s of |x_| * 2, `a*b`.")
    assert text == "The ``x``\\ s of \\|x\\_\\| \\* 2, ``a*b``\\ .\n"


def test_names_and_meanings_become_a_list(docstrings):
    """Meanings may go on in the next line; formulas stay as they are."""
    text = docstrings.restructured(
        "One line.\n\nt, window  `t` and\n           side\nb  more\n\n    a  b"
    )
    assert "``t, window``\n    ``t``\\  and\n    side\n``b``\n    more\n" in text
    assert text.endswith(".. code-block:: text\n\n        a  b\n")


@pytest.mark.parametrize(
    "signature, shown",
    [
        ("(*args, **kwargs)", ""),
        ("(a: int = <factory>)", "(a: int = ...)"),
        (None, None),
        ("(a: int)", "(a: int)"),
    ],
)
def test_signatures_say_what_can_be_said(docstrings, signature, shown):
    """Sphinx could not read `<factory>`, and what a Protocol inherits tells nobody anything."""
    assert docstrings.plain_signature(*[None] * 5, signature, "int") == (shown, "int")
