"""Live figures in JupyterLab: controls compute, and what they compute can be pointed at.

Starts a server and a kernel of its own, on this machine only.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from browser.conftest import ROOT, SHOTS

CELLS = (
    """from functools import partial
from elslib.experiments.live import Live
from elslib.experiments.figure_config import CONSTANT, FigureConfig, explorer, player
start = FigureConfig("noto_emoji/train", None, 0, 1, CONSTANT, side=3, n_steps=3)
Live(explorer, start)""",
    "Live(partial(player, n_seeds=3), start)",
)
WAIT = 60_000  # milliseconds; the first use may compile


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab in which live.ipynb can be opened; nothing of the user's settings."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "live.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    env = {**os.environ, **{name: str(tmp_path / name) for name in own}, "PYTHONPATH": str(ROOT)}
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    options += ["--ServerApp.port_retries=0", "--ServerApp.token=", f"--notebook-dir={tmp_path}"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{url}/api").close()
            break
        except OSError:
            assert server.poll() is None, "JupyterLab ended at once"
            time.sleep(0.5)
    yield url
    server.terminate()  # its kernels end with it
    server.wait(30)


@pytest.fixture
def page(browser, lab):
    """The notebook, with all its cells run; no other host was asked, nothing went wrong."""
    page = browser.new_page(viewport={"width": 1280, "height": 1100})
    page.set_default_timeout(WAIT)
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{lab}/lab/tree/live.ipynb?reset")
    page.get_by_text("| Idle").wait_for()
    page.get_by_text("Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.locator(".player").wait_for()
    yield page
    page.close()
    assert wrong == []
    assert not [url for url in asked if not url.startswith((lab, "data:", "blob:"))]


def drawn(page, title: str) -> None:
    """Wait for the explorer of this title, at its pixel."""
    page.wait_for_function(
        "title => { const root = document.querySelector('.mosaic'); return root"
        " && root.ariaLabel === 'Mosaic explorer: ' + title && root.dataset.image; }",
        arg=title,
    )


def test_live_figures(page):
    """Seed and class draw again; mouse and keys answer; what is wrong is said; the player plays."""
    drawn(page, "activities, seed 1")
    explorer, player = (page.locator(".jp-OutputArea-child .widget-vbox").nth(i) for i in (0, 1))
    seed = explorer.get_by_role("spinbutton", name="seed")
    seed.fill("3")
    seed.press("Enter")
    drawn(page, "activities, seed 3")
    explorer.get_by_role("combobox", name="class").select_option("Food & Drink")
    drawn(page, "food & drink, seed 3")
    explorer.get_by_role("status").filter(has_text="computed in").wait_for()

    box = page.locator(".mosaic [data-role=theory]").bounding_box()
    assert box
    page.mouse.move(box["x"] + 10.5 * box["width"] / 32, box["y"] + 20.5 * box["height"] / 32)
    page.locator(".mosaic[data-row='20'][data-col='10']").wait_for()
    page.locator(".mosaic-panels").focus()
    page.keyboard.press("ArrowLeft")
    page.locator(".mosaic[data-row='20'][data-col='9']").wait_for()
    page.screenshot(path=SHOTS / "lab.png")

    seed.fill("-1")
    seed.press("Enter")
    said = explorer.get_by_role("alert")
    said.wait_for()
    assert said.inner_text() == "seeds must hold at least one in 0..2^31 - 1, got [-1]."
    assert page.locator(".mosaic").count() == 0

    player.get_by_role("slider", name="Step").fill("0")
    assert player.locator(".when").inner_text() == "t = 1"
    before = player.locator("img").last.get_attribute("src")
    player.get_by_role("spinbutton", name="seed").fill("2")
    page.keyboard.press("Tab")
    player.get_by_text("computed in").wait_for()
    assert player.locator(".when").inner_text() == "t = 0.3333"
    assert player.locator("img").last.get_attribute("src") != before
