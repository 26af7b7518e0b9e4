"""The time player on its page: slider, keys and play."""

import pytest

PAGE = "notebooks/05_theory_and_network.html"
STEPS = 20


@pytest.fixture
def page(browser, base):
    """The page of pairs, at its player."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{base}/{PAGE}")
    page.locator(".player").scroll_into_view_if_needed()
    yield page
    page.close()


def shown(page) -> list[str]:
    """The pictures of the three rows."""
    return [picture.get_attribute("src") or "" for picture in page.locator(".player img").all()]


def frames(page, step: int) -> list[str]:
    """What the data of the page has for a step."""
    return page.locator(".player > script[type='application/json']").evaluate(
        "(script, step) => JSON.parse(script.textContent).frames.map(row => row[step])", step
    )


def test_slider_and_keys(page):
    """Each step shows its own pictures, and its time."""
    slider = page.locator(".player input")
    assert shown(page) == frames(page, STEPS - 1)
    slider.fill("4")
    assert shown(page) == frames(page, 4)
    assert page.locator(".player .when").inner_text() == "t = 0.8"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert shown(page) == frames(page, 5) != frames(page, 4)


def test_play_and_pause(page):
    """From noise, step by step, until it is stopped; a touch of the slider stops it too."""
    button = page.locator(".player button")
    button.click()
    page.wait_for_function("() => document.querySelector('.player').dataset.step >= 2")
    assert button.inner_text() == "pause"
    button.click()
    assert button.inner_text() == "play"
    step = int(page.locator(".player").get_attribute("data-step"))
    assert shown(page) == frames(page, step) and step < STEPS - 1
    button.click()
    page.locator(".player input").fill("1")
    assert button.inner_text() == "play" and shown(page) == frames(page, 1)
