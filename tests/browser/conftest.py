"""The built pages in a real browser. No browser or no pages is a failure here, not a skip."""

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from elslib.book import pdf

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
SHOTS = ROOT / "_build" / "screenshots"


def names() -> list[str]:
    """Paths of the pages below the site, from the table of contents' own output."""
    return sorted(
        str(path.relative_to(HTML))
        for path in HTML.rglob("*.html")
        if not path.relative_to(HTML).parts[0].startswith("_")
    )


@pytest.fixture(scope="session")
def pages() -> list[str]:
    """The built pages, the front page and at least one chapter among them."""
    found = names()
    if "index.html" not in found or len(found) < 3:
        pytest.fail(f"no built pages in {HTML}; run `make book` first.")
    return found


@pytest.fixture(scope="session")
def browser():
    """Chromium as installed on this machine."""
    with pdf.browser() as chromium:
        yield chromium


@contextmanager
def opened(browser, url: str, figure: str, **options):
    """A page on a desktop with mouse and touch, its figure in view; nothing went wrong in it."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, has_touch=True, **options
    )
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    page.locator(figure).scroll_into_view_if_needed()
    yield page
    context.close()
    assert errors == []


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, says nothing."""

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="session")
def site():
    """The pages over http, on this machine only."""
    handler = partial(Quiet, directory=str(HTML))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["http", "file"])
def base(request) -> str:
    """Where the pages are: served, or on disk."""
    return request.getfixturevalue("site") if request.param == "http" else HTML.as_uri()
