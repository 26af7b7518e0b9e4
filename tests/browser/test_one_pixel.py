"""One pixel's posterior on its page: sliders, map and keys; weights gather on one patch."""

import json

import pytest

from browser.conftest import opened

PAGE = "notebooks/10_curse_of_dimensionality.html"


@pytest.fixture
def page(browser, base):
    """The page with the figure, for mouse and touch."""
    with opened(browser, f"{base}/{PAGE}", ".pixel") as page:
        page.wait_for_function("() => document.querySelector('.pixel').dataset.number")
        yield page


def control(page, role: str):
    return page.locator(f".pixel [data-role={role}]")


def held(page) -> dict:
    """The data of the page."""
    return json.loads(page.locator(".pixel > script[type='application/json']").inner_text())


def at(page, subject: int, window: int, time: int) -> float:
    """Wait until the figure is there; the effective number that it shows."""
    page.wait_for_function(
        "([s, k, i]) => { const d = document.querySelector('.pixel').dataset;"
        " return +d.subject === s && +d.window === k && +d.time === i; }",
        arg=[subject, window, time],
    )
    return float(page.locator(".pixel").get_attribute("data-number"))


def test_sliders_show_the_cell(page):
    """Each place shows its own number, patches and words; the largest patch is the likeliest."""
    subjects = held(page)["subjects"]
    for subject, window, time in ((0, 0, 8), (1, 7, 0), (2, 8, 3), (0, 3, 2)):
        control(page, "subject").select_option(str(subject))
        control(page, "window").fill(str(window))
        control(page, "time").fill(str(time))
        cell = subjects[subject]["cells"][window][time]
        assert at(page, subject, window, time) == cell["number"]
        said = control(page, "said").inner_text()
        assert said.startswith(f"Of {cell['count']:,} ")
        assert ("memorised" in said) == (cell["number"] < 2)
        page.wait_for_timeout(400)  # patches grow within a quarter of a second
        shown = control(page, "patches").locator("canvas").all()
        widths = [canvas.bounding_box()["width"] for canvas in shown]
        assert 1 <= len(widths) <= 12 and widths == sorted(widths, reverse=True)
        assert control(page, "cloud").locator("ellipse").count() == len(cell["log"])
        numbers = control(page, "cloud").locator("text").all_text_contents()
        assert numbers == ["100 %", "1 %", "0.01 %", "1", "10", "100", "1,000"]


def test_weights_collapse_to_one(page):
    """From strong noise to little, with wide windows: from many patches to one."""
    control(page, "window").fill("7")
    control(page, "time").focus()
    page.keyboard.press("End")
    many = at(page, 0, 7, 8)
    page.keyboard.press("Home")
    assert at(page, 0, 7, 0) < 2 < many
    assert control(page, "patches").locator("figure").count() < 12


@pytest.mark.parametrize("touch", [False, True])
def test_the_map_is_pressed(page, touch):
    """By mouse or touch; sliders follow, and so does the dot."""
    control(page, "map").scroll_into_view_if_needed()
    box = control(page, "map").bounding_box()
    where = box["x"] + box["width"] * 1.5 / 9, box["y"] + box["height"] * 2.5 / 9
    (page.touchscreen.tap if touch else page.mouse.click)(*where)
    at(page, 0, 6, 1)
    assert control(page, "time").input_value() == "1"
    assert control(page, "window").input_value() == "6"
    dot = control(page, "map").locator("ellipse").bounding_box()
    assert abs(dot["x"] + dot["width"] / 2 - where[0]) < 2
    assert abs(dot["y"] + dot["height"] / 2 - where[1]) < 2


def test_a_link_holds_the_place(page):
    """Another reader sees the same."""
    control(page, "subject").select_option("1")
    control(page, "window").fill("2")
    number = at(page, 1, 2, 4)
    link = control(page, "link").evaluate("a => a.href")
    other = page.context.new_page()
    other.goto(link)
    assert at(other, 1, 2, 4) == number
