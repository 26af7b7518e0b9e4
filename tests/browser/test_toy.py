"""The smallest world on its page: the machine is the library's, and pixels can be turned over."""

import base64
import json

import pytest
import torch

from browser.conftest import opened
from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.samplers import geometric_times, sample, uniform_times
from elslib.scales import constant_scale
from elslib.schedules import cosine

PAGE = "notebooks/02_locality_and_equivariance.html"
CHOICES = (2, 3, 5, 10, 20, 50, 100)


@pytest.fixture
def page(browser, base):
    """The page with the toy, for mouse and touch; animations are off."""
    with opened(browser, f"{base}/{PAGE}", ".toy", reduced_motion="reduce") as page:
        yield page


def control(page, role: str):
    return page.locator(f".toy [data-role={role}]")


def picture(page) -> torch.Tensor:
    """What the figure holds now."""
    values = torch.tensor(
        page.locator(".toy").evaluate("root => root.estimate"), dtype=torch.double
    )
    return values.reshape(16, 16)


def against(x: torch.Tensor) -> torch.Tensor:
    """Pixels that disagree with most of their window."""
    signs = x.sign()
    return signs * window_sums(signs) < 0


def window_sums(signs: torch.Tensor) -> torch.Tensor:
    """Over the 3 x 3 window of each pixel, which wraps."""
    moved = [signs.roll((i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return torch.stack(moved).sum(dim=0)


@pytest.mark.parametrize("grid", ["equal", "low"])
@pytest.mark.parametrize("n", [3, 20])
def test_it_draws_what_the_library_draws(page, grid, n):
    """To 1e-9 at every pixel, whatever the steps; the tally counts the faults."""
    control(page, "steps").fill(str(CHOICES.index(n)))
    control(page, "grid").select_option(grid)
    text = page.locator(".toy > script[type='application/json']").inner_text()
    noise = torch.frombuffer(
        bytearray(base64.b64decode(json.loads(text)["noise"])), dtype=torch.double
    )
    two = torch.tensor([-1.0, 1.0]).double()[:, None, None, None].expand(2, 1, 16, 16).contiguous()
    machine = EquivariantLocalScore(ImageSet(two), constant_scale(3), edges="circular")
    times = uniform_times(n) if grid == "equal" else geometric_times(n, cosine(), 1e-4)
    exact = sample(machine, noise.reshape(1, 1, 16, 16), times=times)[0, 0]
    control(page, "run").click()
    assert torch.allclose(picture(page), exact, rtol=0, atol=1e-9)
    wrong = int(against(exact).sum())
    assert int(page.locator(".toy").get_attribute("data-faults")) == wrong
    captions = control(page, "row").locator("figcaption").all_inner_texts()
    assert captions[CHOICES.index(n)] == f"{n} steps: {wrong}"


def test_large_steps_leave_faults(page):
    """The row of finished pictures says so: more of them in two steps than in a hundred."""
    captions = control(page, "row").locator("figcaption").all_inner_texts()
    faults = [int(caption.split(": ")[1]) for caption in captions]
    assert len(faults) == len(CHOICES) and faults[0] > 10 > faults[-1]


def turned(page) -> int:
    """Which pixel is chosen, from the words."""
    said = control(page, "said").inner_text().replace(",", "").split()
    return 16 * (int(said[1]) - 1) + int(said[3]) - 1


def test_a_pixel_turns_over(page):
    """By mouse, touch and keys; what goes against its window lights up; it comes to rest."""
    control(page, "steps").fill(str(CHOICES.index(100)))
    control(page, "grid").select_option("low")
    control(page, "run").click()
    before = picture(page)
    assert int(against(before).sum()) == 0
    # a pixel whose window is of one colour, so that turned over it stands alone
    sums = window_sums(before.sign())
    at = int((sums.abs() == 9).flatten().nonzero()[0])
    box = control(page, "picture").bounding_box()
    x = box["x"] + (at % 16 + 0.5) * box["width"] / 16
    y = box["y"] + (at // 16 + 0.5) * box["height"] / 16
    page.mouse.click(x, y)
    after = picture(page)
    assert turned(page) == at and float(after.flatten()[at] * before.flatten()[at]) < 0
    assert bool(against(after).flatten()[at])
    assert "goes against them" in control(page, "said").inner_text()
    page.touchscreen.tap(x, y)
    assert torch.equal(picture(page).sign(), before.sign())
    page.locator(".toy-panels").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert turned(page) == at // 16 * 16 + (at + 1) % 16
    control(page, "run").click()
    assert int(page.locator(".toy").get_attribute("data-faults")) == 0


def test_step_by_step(page):
    """Each step is one; the noise again is the noise; new noise is new, and a link holds it."""
    noise = picture(page)
    control(page, "step").click()
    assert page.locator(".toy").get_attribute("data-step") == "1"
    assert not torch.equal(picture(page), noise)
    control(page, "again").click()
    assert torch.equal(picture(page), noise)
    control(page, "fresh").click()
    other = picture(page)
    assert not torch.equal(other, noise)
    link = control(page, "link").evaluate("a => a.href")
    fellow = page.context.new_page()
    fellow.goto(link)
    assert torch.equal(picture(fellow), other)


def test_it_runs_step_by_step_where_motion_is_welcome(browser, site):
    """And stops at a press."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{site}/{PAGE}")
    control(page, "steps").fill("6")
    control(page, "run").click()
    page.wait_for_function("() => +document.querySelector('.toy').dataset.step >= 3")
    control(page, "run").click()
    step = page.locator(".toy").get_attribute("data-step")
    page.wait_for_timeout(200)
    assert page.locator(".toy").get_attribute("data-step") == step and int(step) < 100
    page.close()


def test_the_training_set_is_shown(page):
    """Two tiles, black and white, that say what they are."""
    shown = page.locator(".toy-all")
    colours = shown.locator("i").evaluate_all(
        "tiles => tiles.map(tile => getComputedStyle(tile).backgroundColor)"
    )
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert "all it ever saw" in shown.inner_text()
