"""Every page in a browser: quiet, complete, accessible, readable at any width and in the dark."""

import io
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from browser.conftest import HTML, SHOTS, names

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
# Findings that are the theme's and not ours.
THEMES_OWN = {
    # axe's rule and where: docutils gives the entries of a bibliography a role that lists lack.
    "aria-required-children": r"\.citation-list",
}
# From disk a page may not load fonts ahead of time; they load when they are used.
AHEAD = re.compile(r"vendor/fontawesome/\S+\.woff2")
SERIOUS = ("serious", "critical")
BLANK = """() => [...document.querySelectorAll('main img, main canvas')].filter(picture => {
  if (!picture.checkVisibility()) return false;  // such as a drawing board that is folded away
  if (picture.tagName === 'IMG' && !(picture.complete && picture.naturalWidth)) return true;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 32;
  const pen = canvas.getContext('2d', {willReadFrequently: true});
  try {
    pen.drawImage(picture, 0, 0, 32, 32);
    return new Set(pen.getImageData(0, 0, 32, 32).data).size < 3;
  } catch (tainted) { return false; }  // from disk; the same picture is looked at over http
}).map(picture => picture.alt || picture.className)"""


@pytest.mark.parametrize("name", names())
def test_a_page_is_quiet_and_complete(browser, base, name):
    """No error, no request to another host, nothing that fails to load, no blank picture."""
    page = browser.new_page()
    said, asked = [], []
    page.on("console", lambda m: m.type == "error" and said.append(m.text + m.location["url"]))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{base}/{name}", wait_until="load")
    page.wait_for_function("() => !window.MathJax || !MathJax.startup || MathJax.startup.promise")
    page.wait_for_timeout(200)
    assert not [line for line in said if base.startswith("http") or not AHEAD.search(line)]
    assert not [url for url in asked if not url.startswith((base, "data:", "blob:"))]
    assert page.evaluate(BLANK) == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
@pytest.mark.parametrize("name", names())
def test_a_page_can_be_read(browser, site, name, device, scheme):
    """It does not scroll sideways, and axe finds no serious fault; a screenshot is kept."""
    width, height = WIDTHS[device]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.goto(f"{site}/{name}", wait_until="load")
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shot = SHOTS / f"{re.sub('[/.]', '-', name)}-{device}-{scheme}.png"
    page.screenshot(path=shot, full_page=True)
    found = [
        (fault["id"], node["target"], node["failureSummary"])
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
        if not re.search(THEMES_OWN.get(fault["id"], "^$"), str(node["target"]))
    ]
    assert not found
    page.close()


def test_in_the_dark_plots_are_dark_and_pictures_as_they_are(browser, site):
    """A plot's ground is the page's, its words are light; nothing is done to pictures of data."""
    shown = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(f"{site}/notebooks/06_agreement.html", wait_until="load")
        for kind in ("plot", "pictures"):
            figure = page.locator(f"article img.{kind}").first
            picture = Image.open(io.BytesIO(figure.screenshot()))
            shown[kind, scheme] = np.asarray(picture.convert("RGB")).astype(int)
        assert figure.evaluate("one => getComputedStyle(one).filter + one.style.opacity") == "none"
        page.close()
    plot, light, dark = shown["plot", "dark"], shown["pictures", "light"], shown["pictures", "dark"]
    assert (np.median(shown["plot", "light"], (0, 1)) == 255).all()
    assert (np.median(plot, (0, 1)) == 0x12).all()  # the page's, as test_figures has it
    assert plot.max() > 240 and plot.mean() < 60
    same, ground = light == dark, (light == 255) & (dark == 0x12)
    assert same.mean() > 0.5 and (same | ground).mean() > 0.95  # the rest: edges of tags


def test_figures_stand_without_scripts(browser, pages):
    """Pictures of every page, and a still one in the place of each interactive figure."""
    context = browser.new_context(java_script_enabled=False)
    for name in pages:
        page = context.new_page()
        page.goto(f"{HTML.as_uri()}/{name}")
        for picture in page.locator("main img").all():
            box = picture.bounding_box()
            assert box and box["width"] > 20 and box["height"] > 20, name
        assert page.locator(".mosaic img").count() == page.locator(".mosaic").count(), name
        assert page.locator(".player img").count() == 3 * page.locator(".player").count(), name
        page.close()
    context.close()
