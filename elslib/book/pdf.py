"""The book as one PDF: all pages in one but the library's reference, printed by Chromium.

Needs the extra `dev`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

from elslib.book.chapters import ROOT
from elslib.book.html import jupyter_book, prepare
from elslib.io import write_whole

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Root in a container has no sandbox of its own; the rest keeps the browser from calling home.
FLAGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# An interactive figure gives way to the still picture that it brings for readers without scripts;
# folds are opened: the text says what they hold.
STILL = """() => {
  document.querySelectorAll('main noscript').forEach(still => {
    const figure = still.parentElement;
    figure.insertAdjacentHTML('afterbegin', still.textContent);
    [...figure.children].forEach(part => part.matches('style, img') || part.remove());
  });
  document.querySelectorAll('main details:is(.hide, .sd-dropdown)').forEach(fold => {
    fold.open = true;
  });
}"""
READY = """async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  await document.fonts.ready;
  await Promise.all([...document.images].map(picture => picture.decode()));
}"""
FOOT = """<div style="width: 100%; text-align: center; font: 9px sans-serif">
<span class="pageNumber"></span></div>"""


def installed() -> str:
    """Where the browser is. ValueError if there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise ValueError(
            f"a browser must be installed, got none of {', '.join(BROWSERS)}; "
            f"try `apt install chromium`."
        )
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium as installed on this machine. ValueError if it is not."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=installed(), args=FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()


def print_page(html: Path, target: Path) -> None:
    """Print a page on A4, light, with page numbers and an outline, once its formulas are set.

    RuntimeError if the browser cannot.
    """
    try:
        with browser() as chromium:
            page = chromium.new_page(color_scheme="light")
            page.goto(html.resolve().as_uri(), wait_until="load")
            printed = _printed(page)
    except Error as error:
        reason = str(error).splitlines()[0]
        raise RuntimeError(f"Chromium could not print {html}: {reason}") from error
    write_whole(target, printed)


def _printed(page: Page) -> bytes:
    page.evaluate(STILL)
    page.evaluate(READY)
    style = resources.files("elslib.book").joinpath("print.css")
    page.add_style_tag(content=style.read_text(encoding="utf-8"))
    return page.pdf(
        format="A4",
        margin={"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=FOOT,
        print_background=True,
        outline=True,
        tagged=True,
    )


def print_pages(root: Path = ROOT) -> Path:
    """Print the executed chapters and all other pages as they are; returns the PDF."""
    target = root / "_build" / "pdf" / "book.pdf"
    print_page(jupyter_book("singlehtml", root) / "index.html", target)
    return target


def build(root: Path = ROOT) -> Path:
    """Execute what is stale, check all, print the book; returns the PDF.

    Raises RuntimeError if Jupyter Book warns or fails, ValueError if there is no browser.
    """
    installed()  # or say so before the chapters are executed
    prepare(root)
    return print_pages(root)
