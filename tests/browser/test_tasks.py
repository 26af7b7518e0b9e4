"""Ten things that a reader should be able to do without help, done by the visible controls alone.

Each is a recorded run (a Playwright trace in `_build/tasks/`); the number of actions it took goes
into the table `_build/tasks/tasks.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page

from browser.conftest import ROOT

FOLDER = ROOT / "_build" / "tasks"
LIVE, TOY, PAIRS, MAP, MOSAIC = (
    f"notebooks/{name}.html"
    for name in (
        "00_live_machine",
        "02_locality_and_equivariance",
        "05_theory_and_network",
        "10_curse_of_dimensionality",
        "11_mosaic",
    )
)


@dataclass
class Reader:
    """Somebody at the first figure of a kind on a page, whose actions are counted."""

    page: Page
    kind: str
    actions: int = 0

    @property
    def figure(self):
        return self.page.locator(f".{self.kind}").first

    def see(self, role: str):
        """A part of the figure."""
        return self.figure.locator(f"[data-role={role}]")

    def press(self, name: str):
        """A button, by the words on it."""
        self.actions += 1
        self.figure.get_by_role("button", name=name, exact=True).click()

    def choose(self, name: str, option: str):
        """From a menu, by its label."""
        self.actions += 1
        self.figure.get_by_label(name, exact=True).select_option(label=option)

    def slide(self, name: str, value: int):
        """A slider, by its label."""
        self.actions += 1
        self.figure.get_by_label(name, exact=True).fill(str(value))

    def point(self, role: str, across: float, down: float, press: bool = False):
        """At a place of a picture, from 0 to 1."""
        self.actions += 1
        self.see(role).scroll_into_view_if_needed()
        box = self.see(role).bounding_box()
        assert box
        place = box["x"] + across * box["width"], box["y"] + down * box["height"]
        self.page.mouse.move(*place)
        if press:
            self.page.mouse.click(*place)

    def wait(self, condition: str):
        """Until something is so of the figure, `root`; no action."""
        self.page.wait_for_function(
            f"() => {{ const root = document.querySelector('.{self.kind}');"
            f" const see = role => root.querySelector(`[data-role='${{role}}']`).textContent;"
            f" return {condition}; }}"
        )


def new_picture(reader):
    """Draw a picture that nobody has seen"""
    reader.press("draw from new noise")
    reader.wait("root.dataset.state === 'drawn'")


def beside_the_network(reader):
    """Read how well formula and network agree on one noise image"""
    reader.figure.get_by_role("button", name="3 Pullover").click()
    reader.actions += 1
    reader.wait("see('verdict').includes('r = ')")


def copying(reader):
    """Take training images away until the machine can only copy"""
    reader.slide("training images", 1)
    reader.wait("root.dataset.state === 'drawn'")
    reader.point("theory", 0.5, 0.5)
    reader.wait("see('patches').length > 0")
    names = (
        reader.see("patches")
        .locator("canvas")
        .evaluate_all("shown => shown.map(canvas => canvas.ariaLabel.split(',')[0])")
    )
    assert len(set(names)) == 1


def painting(reader):
    """Paint something and have it drawn as clothes"""
    reader.figure.get_by_text("or paint something").click()
    reader.actions += 1
    reader.see("board").scroll_into_view_if_needed()
    box = reader.see("board").bounding_box()
    reader.page.mouse.move(box["x"] + 50, box["y"] + 60)
    reader.page.mouse.down()
    reader.page.mouse.move(box["x"] + 180, box["y"] + 170, steps=8)
    reader.page.mouse.up()
    reader.actions += 1
    reader.press("draw from this")
    reader.wait("root.dataset.state === 'drawn'")


def large_steps(reader):
    """Show that large steps leave faults"""
    reader.slide("Number of steps", 0)
    reader.press("run")
    reader.wait("+root.dataset.step === 2 && +root.dataset.faults > 0")


def mending(reader):
    """Spoil a finished picture and let it come to rest"""
    reader.slide("Number of steps", 6)
    reader.press("run")
    reader.wait("+root.dataset.step === 100 && !see('run').includes('pause')")
    faults = int(reader.figure.get_attribute("data-faults"))
    reader.point("picture", 0.5, 0.5, press=True)
    reader.wait(f"+root.dataset.faults !== {faults}")
    reader.press("run")
    reader.wait("+root.dataset.faults === 0")


def worst_pair(reader):
    """Find the noise image on which the theory does worst, and see why"""
    reader.press("worst")
    reader.wait("see('said').includes('number 100 of 100')")
    assert reader.see("pictures").locator("canvas").count() == 3


def memorised(reader):
    """Show that a wider window memorises"""
    assert "undecided" in reader.see("said").inner_text()
    reader.slide("window", 7)
    reader.wait("see('said').includes('memorised')")


def source(reader):
    """Find which image gave a pixel"""
    reader.point("theory", 0.52, 0.52)
    reader.wait("see('said').includes('of training image')")


def no_source(reader):
    """Find a time at which the same pixel had no source"""
    reader.point("theory", 0.52, 0.52, press=True)
    reader.slide("Step, from noise to picture", 3)
    reader.wait("see('said').includes('none is its source')")
    assert reader.see("patches").locator("canvas").count() == 12


TASKS: list[tuple[str, str, int, Callable]] = [  # page, figure, at most so many actions
    (LIVE, "live", 1, new_picture),
    (LIVE, "live", 1, beside_the_network),
    (LIVE, "live", 2, copying),
    (LIVE, "live", 3, painting),
    (TOY, "toy", 2, large_steps),
    (TOY, "toy", 4, mending),
    (PAIRS, "seeds", 1, worst_pair),
    (MAP, "pixel", 1, memorised),
    (MOSAIC, "mosaic", 1, source),
    (MOSAIC, "mosaic", 2, no_source),
]


@pytest.fixture(scope="module")
def table():
    """Rows of what was done; written in the end."""
    rows: list[tuple[str, str, int]] = []
    yield rows
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = ["| what a reader does | where | actions |", "| --- | --- | --- |"]
    lines += [f"| {what} | {where} | {n} |" for what, where, n in rows]
    (FOLDER / "tasks.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("where,kind,most,task", TASKS, ids=[one[3].__name__ for one in TASKS])
def test_a_reader_can(browser, site, table, where, kind, most, task):
    """In few actions, and nothing goes wrong meanwhile."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.tracing.start(screenshots=True, snapshots=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site}/{where}")
    page.locator(f".{kind}").first.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    reader = Reader(page, kind)
    task(reader)
    context.tracing.stop(path=FOLDER / f"{task.__name__}.zip")
    context.close()
    assert errors == [] and reader.actions <= most
    table.append((task.__doc__, where.removeprefix("notebooks/"), reader.actions))
