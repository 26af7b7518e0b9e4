"""Figures draw what they are given."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from elslib import figures


def pixels(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("L"))


def test_a_grid_shows_every_image_clamped():
    """Grey and colour; values beyond [-1, 1] show as black and white."""
    figure = figures.image_grid(
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
        figures.image_grid({"a": torch.zeros(2, 1, 4, 4), "b": torch.zeros(3, 1, 4, 4)})


def test_plots_hold_their_points():
    """Every seed is a dot; every table a line, with a band where it has quartiles."""
    x, y = torch.tensor([0.1, 0.5]), torch.tensor([0.8, -0.2])
    scatter = figures.agreement_scatter({"a": (x, y), "b": (y, x)}, ("IS", "ELS"))
    offsets = np.asarray(scatter.axes[0].collections[0].get_offsets())
    assert np.allclose(offsets, [[0.1, 0.8], [0.5, -0.2]])
    low, high = scatter.axes[0].get_ylim()
    assert low < -0.2 and high > 1
    scales = figures.scales_plot(
        {
            "calibrated": ((0.5, 1.0), (3, 9), (3, 7), (5, 11)),
            "published": ((0.5, 1.0), (3, 7), None, None),
        }
    )
    assert len(scales.axes[0].lines) == 2 and len(scales.axes[0].collections) == 1


def test_lines_and_panels():
    """A line per series, a dashed level; a window marked in the pictures, a dot in the sums."""
    plot = figures.lines({"a": ([1, 2], [3.0, 4.0]), "b": ([1], [2.0])}, "x", "y", level=1.0)
    assert len(plot.axes[0].lines) == 3 and plot.axes[0].get_yscale() == "log"
    flat = figures.lines({"a": ([1, 2], [3.0, 4.0])}, "x", "y", log=False)
    assert flat.axes[0].get_ylim()[0] == 0
    shown = figures.panels({"q": torch.rand(8, 8), "sums": torch.rand(6, 6)}, (1, 2, 3))
    assert len(shown.axes[0].patches) == 1 and len(shown.axes[1].lines) == 1
