"""Tables of the chapters."""

import numpy as np
import pytest

from elslib.analysis.intervals import Interval
from elslib.book.tables import markdown_table


def test_a_table():
    """Names of columns, a rule, and a line for each row; floats and Intervals by their form."""
    rows = [["", "r", "n"], ["a", 0.123, 4], ["b", Interval(0.5, 0.25, 0.75), "none"]]
    assert markdown_table(rows, ".2f").data == (
        "|  | r | n |\n| --- | --- | --- |\n| a | 0.12 | 4 |\n| b | 0.50 [0.25, 0.75] | none |"
    )
    numbers = [["a", "b"], [np.float32(0.5), np.int64(2)]]
    assert str(markdown_table(numbers, ".2f").data).endswith("\n| 0.50 | 2 |")
    assert markdown_table([["a"]]).data == "| a |\n| --- |"


def test_a_row_that_is_too_short_is_refused():
    """Markdown would fill it up without a word."""
    with pytest.raises(
        ValueError, match=r"rows must have 2 cells, .*\['a', 'b'\], got \[1\]; fill"
    ):
        markdown_table([["a", "b"], [1]])
