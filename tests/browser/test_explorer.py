"""The mosaic explorer on its page: it answers to mouse, touch and keys, at once, and rightly."""

import random
import re

import pytest

from elslib.analysis.mosaic import posteriors_along
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.experiments.figure_config import FigureConfig, explorer
from elslib.experiments.store import load_network, load_scale, training_images
from elslib.samplers import initial_noise, uniform_times

PAGE = "notebooks/11_mosaic.html"
NETWORK, SEED, LABEL, STEPS = "emoji-resnet", 1, 1, 20  # the chapter's parameters
PANELS = ("theory", "network", "noisy", "pieces")
# Milliseconds from an event to the drawn answer, measured in the page.
ANSWER = """async ([row, col]) => {
  const root = document.querySelector('.mosaic'), canvas = root.querySelector('[data-role=theory]');
  const box = canvas.getBoundingClientRect(), side = box.width / 32, start = performance.now();
  const drawn = new Promise(done => new MutationObserver(done).observe(root, {attributes: true}));
  canvas.dispatchEvent(new PointerEvent('pointermove', {
    clientX: box.left + (col + .5) * side, clientY: box.top + (row + .5) * side,
  }));
  await drawn;
  return performance.now() - start;
}"""


def opened(browser, base, width=1280, height=900):
    """The first explorer of the page, seen by a device with a mouse and a touch screen."""
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: m.type == "error" and errors.append(m.text + m.location["url"]))
    page.goto(f"{base}/{PAGE}")
    page.locator(".mosaic").first.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('.mosaic').dataset.image !== undefined")
    return page, errors


@pytest.fixture
def page(browser, base):
    """On a desktop; nothing went wrong in the end."""
    page, errors = opened(browser, base)
    yield page
    page.context.close()
    assert [line for line in errors if "woff2" not in line and "CORS" not in line] == []


def place(page, row: int, col: int, panel: str = "theory") -> tuple[float, float]:
    """Where on the screen the middle of a pixel of the picture is."""
    box = page.locator(f".mosaic [data-role={panel}]").first.bounding_box()
    return box["x"] + (col + 0.5) * box["width"] / 32, box["y"] + (row + 0.5) * box["height"] / 32


def answer(page, row: int, col: int, step: int = STEPS - 1) -> tuple[int, int, int]:
    """The source that is shown once the page has drawn this pixel at this step."""
    page.wait_for_function(
        "([row, col, step]) => { const d = document.querySelector('.mosaic').dataset;"
        " return +d.row === row && +d.col === col && +d.step === step; }",
        arg=[row, col, step],
    )
    shown = page.locator(".mosaic").first.evaluate("root => ({...root.dataset})")
    return int(shown["image"]), int(shown["sourceRow"]), int(shown["sourceCol"])


@pytest.fixture(scope="module")
def posteriors():
    """The library's answer at every step."""
    denoiser, images = load_network(NETWORK), training_images(NETWORK)
    els = EquivariantLocalScore(images, load_scale(NETWORK, "els"), edges=denoiser.edges)
    noise = initial_noise([SEED], images.pixels.shape[1:])
    return [p for _, p in posteriors_along(els, noise, uniform_times(STEPS), LABEL, top=12)]


@pytest.fixture(scope="module")
def origins(posteriors):
    """Image, row and column of the likeliest patch of every pixel at every step."""
    return [(o.image[0, 0], o.row[0, 0], o.col[0, 0]) for p in posteriors if (o := p.origins)]


def test_a_hundred_pixels_show_the_librarys_source(page, origins):
    """Random pixels at random steps, pointed at with the mouse in any of the panels."""
    draw = random.Random(0)
    slider = page.locator(".mosaic [data-role=step]").first
    for _ in range(100):
        step, row, col = draw.randrange(STEPS), draw.randrange(32), draw.randrange(32)
        panel = draw.choice(PANELS[:3])
        slider.fill(str(step))
        page.mouse.move(*place(page, row, col, panel))
        assert answer(page, row, col, step) == tuple(int(o[row, col]) for o in origins[step])


def test_the_chosen_pixel_stays(page):
    """A click chooses; the way to the slider and back in time do not change it; hovering shows."""
    page.mouse.click(*place(page, 20, 11, "network"))
    answer(page, 20, 11)
    page.mouse.move(*place(page, 3, 4, "noisy"))
    answer(page, 3, 4)
    slider = page.locator(".mosaic [data-role=step]").first
    slider.hover()
    answer(page, 20, 11)
    for step in (4, 12, 4, 19):
        slider.fill(str(step))
        answer(page, 20, 11, step)


def test_touch_and_keys(page, origins):
    """A tap chooses a pixel, arrow keys move on and stop at the edge, the slider takes keys."""
    shown = {at: tuple(int(o[at]) for o in origins[-1]) for at in ((9, 3), (9, 2), (8, 0), (0, 0))}
    page.touchscreen.tap(*place(page, 9, 3))
    assert answer(page, 9, 3) == shown[9, 3]
    page.locator(".mosaic-panels").first.focus()
    page.keyboard.press("ArrowLeft")
    assert answer(page, 9, 2) == shown[9, 2]
    for key in ["ArrowUp"] + 5 * ["ArrowLeft"]:
        page.keyboard.press(key)
    assert answer(page, 8, 0) == shown[8, 0]
    page.locator(".mosaic [data-role=step]").first.focus()
    page.keyboard.press("Home")
    assert answer(page, 8, 0, 0) == tuple(int(o[8, 0]) for o in origins[0])


def test_a_swipe_that_starts_on_the_picture_scrolls(browser, base):
    """On a phone; and it chooses nothing."""
    page, errors = opened(browser, base, 390, 844)
    page.locator(".mosaic-panels").first.scroll_into_view_if_needed()
    x, y = place(page, 20, 16)
    before = page.evaluate("scrollY"), page.locator(".mosaic").first.get_attribute("data-row")
    touch = page.context.new_cdp_session(page)
    for kind, moved in [("touchStart", 0), *(("touchMove", -20 * i) for i in range(1, 11))]:
        point = {"x": x, "y": y + moved}
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function("before => scrollY > before + 100", arg=before[0])
    assert page.locator(".mosaic").first.get_attribute("data-row") == before[1]
    page.context.close()


def test_panels_are_large(page):
    """At least 240 px wide on a desktop, square, and as many as there are pictures."""
    for panel in PANELS:
        box = page.locator(f".mosaic [data-role={panel}]").first.bounding_box()
        assert box["width"] >= 240 and box["height"] == pytest.approx(box["width"], abs=1)


def test_it_answers_within_a_tenth_of_a_second(page):
    """In the median of eleven."""
    times = [page.evaluate(ANSWER, [2 * i, 3 * i % 32]) for i in range(11)]
    assert sorted(times)[5] < 100


@pytest.mark.parametrize("step", [0, 10, 19])
def test_a_dozen_patches(page, posteriors, step):
    """Their images and weights are the library's, also where weights are spread over thousands."""
    page.locator(".mosaic [data-role=step]").first.fill(str(step))
    page.mouse.click(*place(page, 20, 11))
    answer(page, 20, 11, step)
    labels = (
        page.locator(".mosaic")
        .first.locator("[data-role=patches] canvas")
        .evaluate_all("shown => shown.map(canvas => canvas.ariaLabel)")
    )
    weight = posteriors[step].origins.weight[0, :, 20, 11].tolist()
    image = posteriors[step].origins.image[0, :, 20, 11].tolist()
    assert len(labels) == 12 or weight[0] > 0.01
    for label, w, number in zip(labels, weight, image, strict=False):
        found = re.fullmatch(rf"Training image {number}, patch .*, weight (under 1|\d+) %", label)
        assert found, (label, number)
        assert w < 0.013 if found[1] == "under 1" else abs(int(found[1]) - 100 * w) < 1
    many = float(posteriors[step].effective_number[0, 20, 11])
    said = page.locator(".mosaic [data-role=said]").first.inner_text()
    assert said.startswith("Row 21, column 12, seen through")
    if many > 10:
        assert f"some {round(many):,} patches" in said


def test_no_map_of_pieces_where_weights_are_spread(page):
    """At the last step there is one, for the emoji; in strong noise there are only words."""
    pieces = page.locator(".mosaic [data-role=pieces]").first
    assert pieces.is_visible()
    page.locator(".mosaic [data-role=step]").first.fill("3")
    answer(page, 16, 16, 3)
    assert not pieces.is_visible()
    assert "no pieces yet" in page.locator(".mosaic [data-role=made]").first.inner_text()


def test_a_link_holds_pixel_and_time(page, browser):
    """Another reader sees the same."""
    page.locator(".mosaic [data-role=step]").first.fill("7")
    page.mouse.click(*place(page, 5, 27))
    shown = answer(page, 5, 27, 7)
    link = page.locator(".mosaic [data-role=link]").first.evaluate("a => a.href")
    other = browser.new_page()
    other.goto(link)
    other.wait_for_function("() => document.querySelector('.mosaic').dataset.image !== undefined")
    assert answer(other, 5, 27, 7) == shown
    other.close()


def test_a_saved_file_works(browser, tmp_path):
    """From disk, with nothing beside it."""
    explorer(FigureConfig("noto_emoji/train", NETWORK, LABEL, SEED, n_steps=2)).save(
        tmp_path / "figure.html"
    )
    page = browser.new_page()
    page.goto((tmp_path / "figure.html").as_uri())
    page.wait_for_function("() => document.querySelector('.mosaic').dataset.image !== undefined")
    assert page.title() == "animals & nature, seed 1"
    page.close()


def test_the_patches_stand_where_the_reader_points(browser, site):
    """Pictures and the likeliest patches are in view together, also on a low screen."""
    page, _ = opened(browser, site, height=800)
    figure = page.locator(".mosaic").first
    figure.evaluate("root => root.scrollIntoView({ behavior: 'instant' })")
    page.mouse.move(*place(page, 20, 14))
    answer(page, 20, 14)
    first = figure.locator(".mosaic-patches figure").first.bounding_box()
    assert first["y"] + first["height"] <= 800
    page.context.close()
