"""Figures draw what they are given."""

import importlib.util
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from docutils import nodes
from matplotlib import rc_context, rcParams
from matplotlib.colors import to_rgb
from matplotlib.text import Annotation, Text
from PIL import Image

from elslib.analysis.intervals import Interval
from elslib.figures import plots, style
from elslib.figures.arrows import arrow_plot
from elslib.figures.dots import dot_plot
from elslib.figures.html import fill

ROOT = Path(__file__).parents[1]


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
    with pytest.raises(ValueError, match="rows must hold at most 400 images, got 401; draw fewer"):
        plots.image_grid({"a": torch.zeros(401, 1, 2, 2)})
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


def test_a_part_is_outlined():
    """A line of its colour runs inside its border; elsewhere the picture is as it was."""
    images = torch.full((1, 1, 6, 6), -0.5)
    parts = torch.zeros(1, 6, 6, dtype=torch.int64)
    parts[0, 1:5, 1:5] = 1
    shown = plots.outlined(images, parts, size=6)
    coloured = (shown != -0.5).any(1)[0]
    assert shown.shape == (1, 3, 36, 36)
    assert coloured[6:30, 6:30].sum() == coloured.sum() == 24**2 - 20**2
    assert not torch.equal(shown, plots.outlined(images, 2 * parts, size=6))
    assert torch.equal(plots.outlined(images, 0 * parts), torch.full((1, 3, 36, 36), -0.5))


def test_a_grid_is_as_wide_as_its_names_need():
    """So that long ones do not shrink the pictures."""
    x = torch.zeros(3, 1, 4, 4)
    widths = [
        plots.image_grid({name: x}).get_size_inches()[0] for name in ("a", "a long name", "a\nb")
    ]
    assert widths[1] > widths[0] == widths[2]


def test_a_scatter_holds_its_points():
    """Every seed is a dot."""
    x, y = torch.tensor([0.1, 0.5]), torch.tensor([0.8, -0.2])
    scatter = plots.agreement_scatter({"a": (x, y), "b": (y, x)}, ("IS", "ELS"))
    offsets = np.asarray(scatter.axes[0].collections[0].get_offsets())
    assert np.allclose(offsets, [[0.1, 0.8], [0.5, -0.2]])
    low, high = scatter.axes[0].get_ylim()
    assert low < -0.2 and high > 1


def test_dots_stand_where_their_numbers_are():
    """One dot and one interval for each entry, hollow ones beside them; rows from top to bottom."""
    sure = Interval(0.8, 0.7, 0.9)
    plot = dot_plot(
        {"a": {"ELS": sure, "IS": Interval(0.2, 0.1, 0.3)}, "b": {}}, "r", {"b": {"ELS": 0.6}}
    )
    axis = plot.axes[0]
    drawn = [(np.asarray(one.get_xdata()).tolist(), one) for one in axis.lines]
    marks = [(x[0], one) for x, one in drawn if len(x) == 1]
    assert [x for x, _ in marks] == [0.8, 0.2, 0.6]
    assert marks[2][1].get_markerfacecolor() == "white" != marks[0][1].get_markerfacecolor()
    assert marks[0][1].get_color() == marks[2][1].get_color() == style.COLOURS["ELS"]
    bars = [x for x, _ in drawn]
    assert [0.7, 0.9] in bars and [0.1, 0.3] in bars
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    assert axis.yaxis_inverted()
    with pytest.raises(ValueError, match="hollow must be of rows, got c"):
        dot_plot({"a": {}}, "r", {"c": {"ELS": 0.6}})
    with pytest.raises(ValueError, match="at most 6 kinds of dots, got 7"):
        dot_plot({"a": dict.fromkeys("abcdefg", sure)}, "r")


def test_few_numbers_are_dots():
    """Each is one, and a stroke is their median."""
    axis = dot_plot({"a": {"ELS": torch.tensor([0.2, 0.9, 0.4])}}, "r").axes[0]
    drawn = {one.get_marker(): np.asarray(one.get_xdata()).tolist() for one in axis.lines[1:3]}
    assert drawn["o"] == pytest.approx([0.2, 0.9, 0.4]) and drawn["|"] == pytest.approx([0.4])


def test_an_arrow_leads_from_first_to_second():
    """Its dot is at the first number; where nothing changes there is a dot alone."""
    axis = arrow_plot({"a": {"u": (9.0, 3.0), "v": (5.0, 5.0)}, "b": {}}, "x", ticks=[3, 9]).axes[0]
    dots = [np.asarray(one.get_xdata()).tolist() for one in axis.lines]
    assert [x for x in dots if len(x) == 1] == [[9.0], [5.0]]
    arrows = [note for note in axis.texts if isinstance(note, Annotation)]
    assert [(note.xyann[0], note.xy[0]) for note in arrows] == [(9.0, 3.0)]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    assert axis.get_xlim()[0] < 3 and axis.get_xlim()[1] > 9
    with pytest.raises(ValueError, match="at most 3 kinds of arrows, got 4"):
        arrow_plot({"a": dict.fromkeys("abcd", (0.0, 1.0))}, "x")


def test_lines_have_their_band_and_colour():
    """A line per series, a band where it has one, a dashed level; theories keep their colour."""
    sure = plots.Line((0.5, 1.0), (3, 9), (3, 7), (5, 11))
    plot = plots.lines(
        {"a": plots.Line((0.5, 1.0), (3, 7)), "LS": sure}, "x", "y", level=1.0, ticks=[3, 9]
    )
    axis = plot.axes[0]
    assert len(axis.lines) == 3 and len(axis.collections) == 1 and axis.get_yscale() == "log"
    assert axis.lines[1].get_color() == style.COLOURS["LS"]
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


HOSTILE: dict[Any, Any] = {
    "image.origin": "lower",
    "image.cmap": "gray_r",
    "axes.facecolor": "black",
    "font.size": 30,
    "font.sans-serif": ["DejaVu Serif"],
    "lines.linewidth": 9,
    "savefig.dpi": 30,
    "savefig.transparent": True,
    "savefig.facecolor": "red",
    "axes.unicode_minus": False,
    "axes.xmargin": 0.4,
    "axes.autolimit_mode": "round_numbers",
}


def drawings():
    """One of each kind."""
    ramp = torch.linspace(-1, 1, 48).view(1, 3, 4, 4)
    line = plots.Line([1, 2], [-0.3, 0.2], [-0.4, 0.1], [0, 0.3])
    return [
        plots.image_grid({"a": ramp, "b": -ramp}, ["one"], {"a": ["r = 1"]}),
        plots.agreement_scatter({"a": (torch.rand(3), torch.rand(3))}, ("IS", "ELS")),
        plots.lines({"ELS": line}, "x", "y", log=False, bottom=-1, level=0.0),
        plots.heat_map(torch.rand(2, 3) + 1, [1, 2, 3], ["a", "b"], ("x", "y", "z"), {"l": line}),
        plots.panels({"a": ramp[0, 0], "b": ramp[0, 1, :2, :2]}, (1, 1, 2)),
        dot_plot({"a": {"ELS": Interval(0.8, 0.7, 0.9)}}, "r", {"a": {"ELS": 0.6}}),
        arrow_plot({"a": {"u": (9.0, 3.0)}}, "x"),
    ]


def contrast(one, other):
    """Of two colours, as WCAG 2 defines it."""
    rgb = np.array([one, other], float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (high + 0.05) / (low + 0.05)


DARK = np.array(to_rgb("#121212"))  # the theme's dark page; tests/browser compares
HALF_TURN = np.array(  # hue-rotate(180deg), as CSS defines it
    [[-0.574, 1.43, 0.144], [0.426, 0.43, 0.144], [0.426, 1.43, -0.856]]
)


def in_the_dark(colour):
    """What book.css makes of a plot's colour on the dark page."""
    turned = (HALF_TURN @ (1 - np.array(colour))).clip(0, 1)
    return 1 - (1 - turned) * (1 - DARK)


@pytest.mark.parametrize("colour", [*style.COLOURS.values(), "0.5", style.INK])
def test_lines_stand_out_on_light_and_dark_pages(colour):
    """Three to one, WCAG's least for what is drawn; the grey of axes around pictures as it is."""
    assert contrast(to_rgb(colour), (1, 1, 1)) >= 3
    dark = to_rgb(colour) if colour == style.INK else in_the_dark(to_rgb(colour))
    assert contrast(dark, DARK) >= 3


def test_words_stand_out_on_light_and_dark_pages():
    """Four and a half to one, WCAG's least for text. Around pictures every word has a tag."""
    for plot in drawings():
        for text in (text for text in plot.findobj(Text) if text.get_text()):
            colour, tag = to_rgb(text.get_color()), text.get_bbox_patch()
            assert contrast(colour, (1, 1, 1)) >= 4.5
            if plot.shows == "plot":
                assert tag is None and contrast(in_the_dark(colour), DARK) >= 4.5
            else:
                assert tag is not None and contrast(colour, tag.get_facecolor()[:3]) >= 4.5


def test_tags_cover_no_picture():
    """Those of names, titles and notes end beside the pictures."""
    images = torch.zeros(3, 1, 4, 4)
    grid = plots.image_grid({"a": images, "b\nb": images}, ["1", "2", "3\n3"], {"a": ["r"] * 3})
    grid.draw_without_rendering()
    tags = [text.get_bbox_patch() for text in grid.findobj(Text) if text.get_text()]
    places = [tag.get_window_extent() for tag in tags if tag]
    assert len(places) == len(tags) == 8
    for axis in grid.axes:
        assert not any(place.overlaps(axis.bbox) for place in places)


def test_a_file_says_what_it_shows(tmp_path):
    """So that a page knows which figures to turn around in the dark: plots, and no pictures of
    data, which have no ground of their own; nor what somebody else drew."""
    spec = importlib.util.spec_from_file_location("dark", ROOT / "book" / "_ext" / "dark.py")
    assert spec and spec.loader
    dark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dark)
    document, shown = nodes.section(), []
    for number, figure in enumerate(drawings()):
        (tmp_path / f"{number}.png").write_bytes(figure._repr_png_())
        with Image.open(tmp_path / f"{number}.png") as picture:
            corner = picture.convert("RGBA").getpixel((0, 0))
        assert corner == ((255, 255, 255, 255) if figure.shows == "plot" else (255, 255, 255, 0))
        shown.append([figure.shows])
    Image.new("RGB", (2, 2)).save(tmp_path / "other.png")
    names = [*(f"{number}.png" for number in range(len(shown))), "other.png", "missing.png"]
    images = [nodes.image(uri=name) for name in names]
    document += images
    dark.say_what_they_show(SimpleNamespace(srcdir=tmp_path), document, "page")
    assert [image["classes"] for image in images] == [*shown, [], []]
    assert ["plot"] in shown and ["pictures"] in shown


def test_a_users_settings_do_not_count():
    """A matplotlibrc, read before, or settings made while drawing or saving: the same pixels."""

    def drawn():
        torch.manual_seed(0)
        return [pixels(figure) for figure in drawings()]

    plain = drawn()
    with rc_context(HOSTILE):
        for here, there in zip(drawn(), plain, strict=True):
            assert np.array_equal(here, there)
        assert rcParams["image.origin"] == "lower"  # they stay the user's


def test_figures_need_no_window_and_no_backend(tmp_path):
    """Where matplotlib is to open windows, and there is no display, a figure is drawn all the same;
    a notebook shows it without matplotlib's own support for notebooks."""
    program = (
        "import torch\n"
        "from elslib.figures import plots\n"
        "figure = plots.image_grid({'a': torch.zeros(1, 1, 4, 4)})\n"
        "assert figure._repr_png_().startswith(bytes([0x89]) + b'PNG')\n"
    )
    env = {name: x for name, x in os.environ.items() if "DISPLAY" not in name}
    env["MPLBACKEND"] = "tkagg"
    subprocess.run([sys.executable, "-c", program], check=True, env=env, cwd=ROOT)


def test_a_title_is_no_template():
    """What looks like a place of the page in a title is part of the title."""
    parts = {"TITLE": "of @DATA@ and @ROWS@", "NAME": "n", "ROWS": "", "LAST": "1", "WHEN": "t"}
    page = fill("player", parts, {})
    assert 'aria-label="Time player: of @DATA@ and @ROWS@"' in page


def test_a_name_in_the_data_ends_no_program():
    """Whatever it holds, the page's data are what was given; NaN is no JSON."""
    parts = {"TITLE": "", "NAME": "n", "ROWS": "", "LAST": "1", "WHEN": "t"}
    data = {"name": "a</script><b>x<!--"}
    empty, page = (fill("player", parts, some) for some in ({}, data))
    assert page.count("</script>") == empty.count("</script>") and "<b>x" not in page
    assert json.dumps(data, separators=(",", ":")).replace("<", r"\u003c") in page
    with pytest.raises(ValueError, match="JSON"):
        fill("player", parts, {"r": math.nan})


def test_a_name_is_no_formula():
    """Two dollar signs in a name would be a formula, and a broken one a stack trace."""
    name, ramp = "a$^$ for $5", torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    line = plots.Line([1, 2], [1, 2])
    figures = [
        plots.image_grid({name: ramp}, [name], {name: [name]}),
        plots.agreement_scatter({name: (torch.rand(3), torch.rand(3))}, ("IS", "ELS")),
        plots.lines({name: line}, "x", "y"),
        plots.heat_map(torch.rand(1, 2) + 1, [1, 2], [name], ("x", "y", "z"), {name: line}),
        plots.panels({name: ramp[0, 0]}, (1, 1, 2)),
    ]
    assert all(pixels(figure).std() > 0 for figure in figures)
