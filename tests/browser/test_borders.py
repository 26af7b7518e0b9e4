"""Borders on their page: the places that glow are the library's, and pictures follow the slider."""

import pytest

from browser.conftest import opened
from elslib.windows import Border, axis_classes

PAGE = "notebooks/03_borders.html"


@pytest.fixture
def page(browser, base):
    """The page with the figure, for mouse and touch."""
    with opened(browser, f"{base}/{PAGE}", ".borders") as page:
        yield page


def control(page, role: str):
    return page.locator(f".borders [data-role={role}]")


def counted(page, *names: str) -> list[int]:
    """Numbers that the figure holds now."""
    return [int(page.locator(".borders").get_attribute(f"data-{name}")) for name in names]


def expected(row: int, column: int, side: int, rule: Border) -> list[int]:
    """How many places count, and the first row and column of them, by the library."""
    found = [
        next(some for some in axis_classes(32, side, rule) if some.start <= at < some.stop)
        for at in (row, column)
    ]
    return [found[0].size * found[1].size, found[0].start, found[1].start]


@pytest.mark.parametrize("rule", ["aware", "circular", "fixed"])
def test_the_places_are_the_librarys(page, rule):
    """For every kind of place and window; a fixed rule leaves one place, whatever the window."""
    control(page, "rule").select_option(rule)
    canvas = control(page, "query")
    box = canvas.bounding_box()
    for reach in (0, 1, 4, 15):
        control(page, "window").fill(str(reach))
        for row, column in ((0, 0), (3, 16), (16, 2), (31, 30), (16, 16), (15, 31)):
            at = {"x": (column + 0.5) / 32 * box["width"], "y": (row + 0.5) / 32 * box["height"]}
            canvas.click(position=at)
            one = (
                [1, row, column] if rule == "fixed" else expected(row, column, 2 * reach + 1, rule)
            )
            assert counted(page, "places", "top", "left") == one, (reach, row, column)


def test_it_says_which_borders_are_seen(page):
    """In words, by keys, and for a finger."""
    control(page, "window").fill("4")
    control(page, "panels").focus()
    said = control(page, "said")
    for _ in range(20):
        page.keyboard.press("ArrowUp")
    assert "sees the border at the top:" in said.inner_text()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert "Row 1, column 1 sees the border at the top and left: one place" in said.inner_text()
    control(page, "places").tap(position={"x": 100, "y": 100})
    assert "sees no border" in said.inner_text()


def test_pictures_follow_the_noise_or_do_not(page):
    """The circular theory's do, exactly; the slider says by how much the noise moved."""
    rows = control(page, "row").locator("figcaption")
    before = rows.all_inner_texts()
    assert before[0] == "noise" and not any("r =" in line for line in before)
    control(page, "move").fill(control(page, "move").get_attribute("max"))
    after = dict(line.partition(": r = ")[::2] for line in rows.all_inner_texts())
    r = {name: float(rest.split()[0]) for name, rest in after.items() if rest}
    assert list(r) == ["network", "border-aware", "circular", "fixed"]
    assert r["circular"] == 1 and max(r[name] for name in r if name != "circular") < 0.95
    assert "pixels, up and to the left" in control(page, "moved").inner_text()


def test_a_link_holds_the_view(page, browser):
    """Pixel, window, rule and move."""
    control(page, "rule").select_option("circular")
    control(page, "window").fill("7")
    control(page, "move").fill("1")
    control(page, "query").click(position={"x": 20, "y": 40})
    held, href = counted(page, "places", "move"), control(page, "link").get_attribute("href")
    said = control(page, "said").inner_text()
    with opened(browser, page.url.partition("#")[0] + href, ".borders") as again:
        assert counted(again, "places", "move") == held
        assert control(again, "said").inner_text() == said
