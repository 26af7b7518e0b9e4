"""Agreement, brushed, on its page: each dot shows the pictures of its seed."""

import pytest

from browser.conftest import opened
from elslib.analysis.agreement import values
from elslib.experiments.agreement_results import read_rows, with_results
from elslib.experiments.titles import title

PAGE = "notebooks/05_theory_and_network.html"


@pytest.fixture
def page(browser, base):
    """The page with the figure, for mouse and touch."""
    with opened(browser, f"{base}/{PAGE}", ".seeds") as page:
        page.wait_for_function("() => document.querySelector('.seeds').dataset.seed")
        yield page


def control(page, role: str):
    return page.locator(f".seeds [data-role={role}]")


def shown(page, network: int, seed: int) -> None:
    """Wait until this seed is shown."""
    page.locator(f".seeds[data-network='{network}'][data-seed='{seed}']").wait_for()


def r_of(network: str):
    """r of ELS and of IS, by seed."""
    rows = read_rows(network)
    return values(rows, "ELS"), values(rows, "IS")


def networks(page) -> list[str]:
    """The networks of the menu, which calls them by their titles."""
    named = {title(name): name for name in with_results()}
    return [named[words] for words in control(page, "network").locator("option").all_inner_texts()]


def dot(page, seed: int) -> tuple[float, float]:
    """Where on the screen the dot of a seed is."""
    box = control(page, "plot").locator("circle").nth(seed).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def lonely(network: str) -> int:
    """The seed whose dot is farthest from all others."""
    els, ideal = r_of(network)
    apart = (els[:, None] - els).square() + (ideal[:, None] - ideal).square()
    return int((apart + 9 * (apart == 0)).amin(dim=1).argmax())


def test_hover_and_press(page):
    """A dot that is hovered shows its seed, one that is pressed keeps it; r is the library's."""
    els, ideal = r_of(networks(page)[0])
    best, other = int(els.argmax()), lonely(networks(page)[0])
    shown(page, 0, best)
    page.mouse.move(*dot(page, other))
    shown(page, 0, other)
    captions = " ".join(control(page, "pictures").locator("figcaption").all_inner_texts())
    assert f"(ELS), r\u00a0=\u00a0{els[other]:.2f}" in captions
    assert f"(IS), r\u00a0=\u00a0{ideal[other]:.2f}" in captions
    control(page, "said").hover()
    shown(page, 0, best)
    page.mouse.click(*dot(page, other))
    control(page, "said").hover()
    shown(page, 0, other)


def test_touch_and_keys(page):
    """A tap chooses; arrow keys go through the seeds by r; buttons jump."""
    order = r_of(networks(page)[0])[0].argsort(descending=True, stable=True).tolist()
    other = lonely(networks(page)[0])
    page.touchscreen.tap(*dot(page, other))
    shown(page, 0, other)
    page.locator(".seeds").get_by_role("button", name="worst").click()
    shown(page, 0, order[-1])
    control(page, "plot").focus()
    page.keyboard.press("ArrowRight")  # there is none beyond
    page.keyboard.press("ArrowLeft")
    shown(page, 0, order[-2])
    page.locator(".seeds").get_by_role("button", name="best").click()
    shown(page, 0, order[0])


def test_every_network_can_be_chosen(page):
    """Its pictures are there, not blank; a link holds network and seed."""
    number, els = 0, r_of(networks(page)[0])[0]
    assert len(networks(page)) > 4
    for number, name in enumerate(networks(page)):
        control(page, "network").select_option(str(number))
        els, _ = r_of(name)
        shown(page, number, int(els.argmax()))
        assert control(page, "plot").locator("circle").count() == len(els) + 1
        for canvas in control(page, "pictures").locator("canvas").all():
            shades = canvas.evaluate(
                "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
            )
            assert shades > 3
    link = control(page, "link").evaluate("a => a.href")
    other = page.context.new_page()
    other.goto(link)
    shown(other, number, int(els.argmax()))
