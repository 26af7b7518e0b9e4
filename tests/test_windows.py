"""The border rule, and scale tables."""

import json
import math

import numpy as np
import oracles
import pytest
import torch

from elslib.scales import ScaleTable, constant_scale
from elslib.windows import Window, admissible_count, check_window, position_classes


@pytest.mark.parametrize("border", ["fixed", "circular", "aware"])
@pytest.mark.parametrize("h,w,window", [(6, 6, 3), (5, 7, 5), (6, 5, 1), (7, 7, 7), (4, 6, 9)])
def test_counts_follow_the_rule(h, w, window, border):
    """Admissible positions per pixel, counted one by one; classes cover each pixel once."""
    if border == "circular" and window > min(h, w):
        pytest.skip("refused, see below")
    count = admissible_count(h, w, window, border)
    for i in range(h):
        for j in range(w):
            assert int(count[i, j]) == len(oracles.admissible(i, j, h, w, window, border))
    covered = [
        (i, j)
        for rows, cols in position_classes(h, w, window, border)
        for i in range(rows.start, rows.stop)
        for j in range(cols.start, cols.stop)
    ]
    assert sorted(covered) == [(i, j) for i in range(h) for j in range(w)]


def test_whole_images():
    """One position for IS, every shift for ES."""
    assert int(admissible_count(4, 6, None, "fixed").max()) == 1
    assert int(admissible_count(4, 6, None, "circular").min()) == 24


def test_a_table_takes_the_nearest_entry_and_holds_below():
    """Between entries the nearest; below the first its window; above the last an error."""
    table = ScaleTable((0.1, 0.2, 0.3), (3, 5, None), "test")
    assert [table.window_at(t) for t in (0.001, 0.1, 0.16, 0.24, 0.26, 0.3)] == [
        3,
        3,
        5,
        5,
        None,
    ] + [None]
    with pytest.raises(ValueError, match="t must be at most 0.3"):
        table.window_at(0.31)
    assert constant_scale(5).window_at(0.0) == 5


def test_a_table_survives_its_file(tmp_path):
    """json and back, also when the file says more than the table."""
    table = ScaleTable((0.5, 1.0), (3, None), "test", (3.0, 3.0), (5.0, 7.0))
    path = tmp_path / "scale.json"
    path.write_text(json.dumps({**table.json(), "record": {}}))
    assert ScaleTable.load(path) == table
    path.write_text("{")
    with pytest.raises(ValueError, match="is corrupt or truncated .*; calibrate again"):
        ScaleTable.load(path)


def test_a_widened_table():
    """Only entries under `below` grow, none shrinks, and the whole image stays whole."""
    table = ScaleTable((0.1, 0.2, 0.3, 0.4), (3, 9, None, 3), "test", (3.0,) * 4, (9.0,) * 4)
    wide = table.widened(7, below=0.35)
    assert wide.windows == (7, 9, None, 3) and wide.times == table.times and wide.lower is None
    assert wide.source == "test, at least 7 below t = 0.35"
    with pytest.raises(ValueError, match="below must exceed the first entry, 0.1, got 0.1"):
        table.widened(7, below=0.1)
    with pytest.raises(ValueError, match="window must be an odd positive integer or None, got 8"):
        table.widened(8, below=0.35)


@pytest.mark.parametrize(
    "factor, windows",
    [
        (1.0, (3, 9, None, 1)),
        (1.5, (5, 13, None, 1)),  # 4.5 is nearest to 5, 13.5 to 13
        (2.0, (5, 17, None, 1)),  # 6 lies between 5 and 7, 18 between 17 and 19, 2 between 1 and 3
        (1 / 3, (1, 3, None, 1)),
        (0.01, (1, 1, None, 1)),
        (5.0, (15, 45, None, 5)),
    ],
)
def test_a_scaled_table(factor, windows):
    """The nearest odd side, the smaller of two, never below 1; the whole image stays whole."""
    table = ScaleTable((0.1, 0.2, 0.3, 0.4), (3, 9, None, 1), "test", (3.0,) * 4, (9.0,) * 4)
    scaled = table.scaled(factor)
    assert scaled.windows == windows and scaled.times == table.times and scaled.upper is None
    assert scaled.source == f"test, sides times {factor:g}"


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_factor_that_is_none(factor):
    """Zero, negative, not a number, infinite."""
    with pytest.raises(ValueError, match="factor must be positive and finite, got"):
        constant_scale(3).scaled(factor)


@pytest.mark.parametrize(
    "arguments,message",
    [
        (((0.1, 0.2), (3,)), "same length"),
        (((), ()), "same length of at least 1"),
        (((0.2, 0.1), (3, 5)), "times must increase"),
        (((0.5, 1.5), (3, 5)), r"times must lie in \[0, 1\], got \(0.5, 1.5\)"),
        (((math.nan, 1.0), (3, 5)), r"times must lie in \[0, 1\], got \(nan"),
        (((0.1,), (4,)), "window must be an odd positive integer or None, got 4"),
    ],
)
def test_bad_tables(arguments, message):
    """Each error names the rule."""
    with pytest.raises(ValueError, match=message):
        ScaleTable(*arguments, source="test")


def test_bad_borders():
    """An unknown border, and a window that would wrap onto itself."""
    with pytest.raises(ValueError, match="border must be one of fixed, circular, aware"):
        check_window(3, 4, 4, "mirror")
    with pytest.raises(ValueError, match="at most the image side for border='circular'"):
        admissible_count(4, 6, 5, "circular")


def test_a_softer_window_counts_pixels_unequally():
    """A box of a box is a pyramid, whose centre counts as the amplitude says."""
    pyramid = Window(3, 2, 0.5)
    profile = [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]
    exact = [[0.5 * a * b for a in profile] for b in profile]
    assert pyramid.precision().tolist() == [pytest.approx(row) for row in exact]
    assert (pyramid.support, pyramid.border_side, pyramid.is_hard) == (5, 3, False)
    assert Window(5).is_hard and Window(5, edge=5).border_side == Window(5).border_side == 5
    assert Window(5, edge=5).is_hard and not Window(5, edge=3).is_hard
    assert bool((Window(5).precision() == 1).all())
    for boxes in (2, 3):
        counted = oracles.precisions(Window(5, boxes, 2.0))
        found, r = Window(5, boxes, 2.0).precision(), Window(5, boxes).reach
        assert {(i - r, j - r): float(found[i, j]) for i, j in np.ndindex(*found.shape)} == (
            pytest.approx(counted)
        )


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"side": 4}, "window must be an odd positive integer or None, got 4"),
        ({"side": 10**8 + 1}, "window must be at most 9999, got 100000001"),
        ({"side": 3, "response": 2}, "response must be an odd positive integer, got 2"),
        ({"side": 3, "edge": 0}, "edge must be an odd positive integer, got 0"),
        ({"side": 3, "boxes": 0}, "boxes must be a whole number of at least 1, got 0"),
        ({"side": 3, "boxes": 60}, "boxes must be at most 18 with a side of 3, got 60"),
        ({"side": 3, "amplitude": 0.0}, "amplitude must be positive and finite, got 0.0"),
        ({"side": 3, "amplitude": math.inf}, "amplitude must be positive and finite, got inf"),
    ],
)
def test_bad_windows(arguments, message):
    """Each error names the rule."""
    with pytest.raises(ValueError, match=message):
        Window(**arguments)


def test_a_softer_window_must_fit_where_the_border_is_circular():
    """Its support and its response, or pixels count twice."""
    check_window(Window(3, 2, response=5), 5, 6, "circular")
    with pytest.raises(ValueError, match="window must be at most the image side.*, got 7 on 5x6"):
        check_window(Window(3, 3), 5, 6, "circular")
    with pytest.raises(ValueError, match="response must be at most the image side.*got 7 on 5x6"):
        check_window(Window(3, response=7), 5, 6, "circular")


def test_a_table_holds_softer_windows(tmp_path):
    """Through its file; wider and scaled tables keep all but the side."""
    soft = Window(3, 2, 0.7, response=5, edge=3)
    table = ScaleTable((0.5, 1.0), (soft, None), "test")
    path = tmp_path / "scale.json"
    path.write_text(json.dumps(table.json()))
    assert ScaleTable.load(path) == table and table.window_at(0.4) == soft
    assert table.widened(5, below=0.7).windows == (Window(5, 2, 0.7, response=5, edge=3), None)
    assert table.scaled(2.0).windows == (Window(5, 2, 0.7, response=5, edge=3), None)


def test_entries_that_are_close():
    """The nearest holds, however close times are; ties of float32 times take the lower one."""
    times = tuple(10.0**k for k in range(-9, 1))
    table = ScaleTable(times, tuple(range(3, 23, 2)))
    assert [table.window_at(t) for t in times] == list(table.windows)
    assert [table.window_at(1.1 * t) for t in times[:-1]] == list(table.windows[:-1])
    table = ScaleTable((0.1, 0.2, 0.7), (3, 5, 7))
    assert [table.window_at(float(torch.tensor(t))) for t in (0.15, 0.45)] == [3, 5]
    for wrong in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="t must lie in"):
            table.window_at(wrong)
