"""Figures draw what they are given."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from elslib.analysis.intervals import Interval
from elslib.figures import plots


def pixels(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("L"))


def test_a_grid_shows_every_image_clamped():
    """Grey and colour; values beyond [-1, 1] show as black and white."""
    figure = plots.image_grid(
        {"a": torch.full((2, 1, 4, 4), -3.0), "b": torch.full((2, 3, 4, 4), 3.0)},
        titles=["one", "two"],
        notes={"a": ["r = 1", "r = 2"]},
    )
    drawn = [np.asarray(axis.images[0].get_array()) for axis in figure.axes]
    assert [float(image.max()) for image in drawn] == [0, 0, 1, 1]
    assert [axis.get_xlabel() for axis in figure.axes] == ["r = 1", "r = 2", "", ""]
    assert pixels(figure).std() > 0


def test_a_ragged_grid_is_refused():
    """All rows hold equally many images."""
    with pytest.raises(ValueError, match="rows must hold equally many images"):
        plots.image_grid({"a": torch.zeros(2, 1, 4, 4), "b": torch.zeros(3, 1, 4, 4)})


@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_neither_grey_nor_rgb_is_refused(channels):
    """Four channels are not colours with transparency, two are nothing that can be shown."""
    rows = {"a": torch.zeros(2, 3, 4, 4), "b": torch.zeros(2, channels, 4, 4)}
    with pytest.raises(
        ValueError, match=rf"row 'b' must have 1 channel .* got .*\(2, {channels}, 4"
    ):
        plots.image_grid(rows)


def test_a_scatter_holds_its_points():
    """Every seed is a dot."""
    x, y = torch.tensor([0.1, 0.5]), torch.tensor([0.8, -0.2])
    scatter = plots.agreement_scatter({"a": (x, y), "b": (y, x)}, ("IS", "ELS"))
    offsets = np.asarray(scatter.axes[0].collections[0].get_offsets())
    assert np.allclose(offsets, [[0.1, 0.8], [0.5, -0.2]])
    low, high = scatter.axes[0].get_ylim()
    assert low < -0.2 and high > 1


def test_lines_have_their_band_and_colour():
    """A line per series, a band where it has one, a dashed level; theories keep their colour."""
    sure = plots.Line((0.5, 1.0), (3, 9), (3, 7), (5, 11))
    plot = plots.lines(
        {"a": plots.Line((0.5, 1.0), (3, 7)), "LS": sure}, "x", "y", level=1.0, ticks=[3, 9]
    )
    axis = plot.axes[0]
    assert len(axis.lines) == 3 and len(axis.collections) == 1 and axis.get_yscale() == "log"
    assert axis.lines[1].get_color() == plots.COLOURS["LS"]
    assert {3, 9} <= set(axis.get_yticks())
    flat = plots.lines({"a": plots.Line([1, 2], [3.0, 4.0])}, "x", "y", log=False)
    assert flat.axes[0].get_ylim()[0] == 0 and flat.axes[0].get_xscale() == "linear"


def test_lines_over_factors_of_ten():
    """With ticks of its own the x axis is logarithmic, and they are plain numbers."""
    plot = plots.lines({"a": plots.Line([1, 1000], [3.0, 4.0])}, "x", "y", xticks=[1, 0.5, 1000])
    axis = plot.axes[0]
    assert axis.get_xscale() == "log"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "0.5", "1000"]


def test_a_linear_axis_may_begin_above_zero():
    """Where all values lie close together."""
    plot = plots.lines({"a": plots.Line([1, 2], [0.9, 0.95])}, "x", "y", log=False, bottom=0.8)
    assert plot.axes[0].get_ylim()[0] == 0.8


def test_a_line_through_intervals():
    """Estimates are its y, the bounds its band."""
    line = plots.Line.through([1, 2], (Interval(y, y - 1, y + 2) for y in (3.0, 5.0)))
    assert line == plots.Line([1, 2], (3.0, 5.0), (2.0, 4.0), (5.0, 7.0))
    assert plots.Line.through([], []) == plots.Line([], (), (), ())


def test_panels():
    """A window marked in the pictures, a dot in the sums."""
    shown = plots.panels({"q": torch.rand(8, 8), "sums": torch.rand(6, 6)}, (1, 2, 3))
    assert len(shown.axes[0].patches) == 1 and len(shown.axes[1].lines) == 1


def test_a_heat_map_has_its_lines_on_it():
    """Cells end halfway between the columns; rows are named; lines count rows."""
    numbers = torch.tensor([[1.0, 10, 100], [1, 2, 4]])
    over = {"a": plots.Line((0.1, 0.5), (0, 1)), "b": plots.Line((0.2,), (1,))}
    shown = plots.heat_map(numbers, (0.1, 0.3, 0.9), ["3", "whole"], ("t", "side", "n"), over)
    axis = shown.axes[0]
    assert axis.get_xlim() == pytest.approx((0.0, 1.2))
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["3", "whole"]
    assert [np.asarray(line.get_ydata()).tolist() for line in axis.lines] == [[0, 1], [1]]
    assert np.asarray(axis.collections[0].get_array()).max() == 100


def test_numbers_have_colours():
    """One colour a number, in [-1, 1], different for neighbours; black for what was left out."""
    colours = plots.in_colours(torch.tensor([[[0, 1], [1, -1]]]))
    assert colours.shape == (1, 3, 2, 2) and bool((colours.abs() <= 1).all())
    assert torch.equal(colours[0, :, 0, 1], colours[0, :, 1, 0])
    assert float((colours[0, :, 0, 0] - colours[0, :, 0, 1]).abs().max()) > 0.2
    assert colours[0, :, 1, 1].tolist() == [-1, -1, -1]
