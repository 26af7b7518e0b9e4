"""The mosaic explorer on its page: it answers to mouse, touch and keys, at once, and rightly."""

import random

import pytest
import torch

from elslib.analysis.mosaic import posteriors_along
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.experiments.store import load_network, load_scale, training_images
from elslib.samplers import initial_noise, uniform_times

PAGE = "notebooks/11_mosaic.html"
NETWORK, SEED, LABEL, STEPS = "fashion-resnet", 1, 1, 20  # the chapter's parameters
# Milliseconds from an event to the drawn answer, measured in the page.
ANSWER = """async ([row, col]) => {
  const root = document.querySelector('.mosaic'), canvas = root.querySelector('canvas.theory');
  const box = canvas.getBoundingClientRect(), side = box.width / 32, start = performance.now();
  const drawn = new Promise(done => new MutationObserver(done).observe(root, {attributes: true}));
  canvas.dispatchEvent(new PointerEvent('pointermove', {
    clientX: box.left + (col + .5) * side, clientY: box.top + (row + .5) * side,
  }));
  await drawn;
  return performance.now() - start;
}"""


@pytest.fixture
def page(browser, base):
    """The first explorer of the page, seen by a device with a mouse and a touch screen."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, has_touch=True)
    page = context.new_page()
    page.goto(f"{base}/{PAGE}")
    page.locator(".mosaic").first.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('.mosaic').dataset.image !== undefined")
    yield page
    context.close()


def place(page, row: int, col: int) -> tuple[float, float]:
    """Where on the screen the middle of a pixel of the picture is."""
    box = page.locator(".mosaic canvas.theory").first.bounding_box()
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
def origins():
    """The library's answer: image, row and column of every pixel at every step."""
    denoiser, images = load_network(NETWORK), training_images(NETWORK)
    els = EquivariantLocalScore(images, load_scale(NETWORK, "els"), edges=denoiser.edges)
    noise = initial_noise([SEED], images.pixels.shape[1:])
    along = posteriors_along(els, noise, uniform_times(STEPS), LABEL, top=1)
    return [(o.image[0, 0], o.row[0, 0], o.col[0, 0]) for _, p in along if (o := p.origins)]


def test_a_hundred_pixels_show_the_librarys_source(page, origins):
    """Random pixels at random steps, pointed at with the mouse."""
    draw = random.Random(0)
    slider = page.locator(".mosaic input").first
    for _ in range(100):
        step, row, col = draw.randrange(STEPS), draw.randrange(32), draw.randrange(32)
        slider.fill(str(step))
        page.mouse.move(*place(page, row, col))
        assert answer(page, row, col, step) == tuple(int(o[row, col]) for o in origins[step])


def test_touch_and_keys(page, origins):
    """A tap chooses a pixel, arrow keys move on and stop at the edge, the slider takes keys."""
    shown = {at: tuple(int(o[at]) for o in origins[-1]) for at in ((9, 3), (9, 2), (8, 0), (0, 0))}
    page.touchscreen.tap(*place(page, 9, 3))
    assert answer(page, 9, 3) == shown[9, 3]
    page.locator(".mosaic canvas.theory").first.focus()
    page.keyboard.press("ArrowLeft")
    assert answer(page, 9, 2) == shown[9, 2]
    for key in ["ArrowUp"] + 5 * ["ArrowLeft"]:
        page.keyboard.press(key)
    assert answer(page, 8, 0) == shown[8, 0]
    page.locator(".mosaic input").first.focus()
    page.keyboard.press("Home")
    assert answer(page, 8, 0, 0) == tuple(int(o[8, 0]) for o in origins[0])


def test_it_answers_within_a_tenth_of_a_second(page):
    """In the median of eleven."""
    times = [page.evaluate(ANSWER, [2 * i, 3 * i % 32]) for i in range(11)]
    assert sorted(times)[5] < 100


def test_the_words_say_what_the_picture_shows(page, origins):
    """The sentence for screen readers names pixel, training image and place."""
    page.mouse.move(*place(page, 20, 11))
    image, row, col = answer(page, 20, 11)
    said = page.locator(".mosaic .said").first.inner_text()
    assert f"row 20, column 11: most probably from training image {image}, row {row}" in said
    assert f"column {col}, with weight" in said
    assert torch.equal(origins[-1][0][20, 11], torch.tensor(image))
