"""The book on paper: printed anew, all of it there, nothing of the site around it."""

import re
from concurrent.futures import ThreadPoolExecutor

import pypdfium2
import pytest

from elslib.book import pdf


def apart() -> ThreadPoolExecutor:
    """A thread can drive one browser, and this one does already."""
    return ThreadPoolExecutor(1)


@pytest.fixture(scope="module")
def book(pages):
    """The PDF, from the chapters as they are."""
    with apart() as pool:
        printed = pool.submit(pdf.print_pages).result()
    with pypdfium2.PdfDocument(printed) as document:
        yield document


@pytest.fixture(scope="module")
def text(book) -> str:
    """Its words, page after page."""
    return "\n".join(page.get_textpage().get_text_bounded() for page in book)


def test_every_page_is_there(book, text):
    """From the front page to the bibliography, and more than a page each."""
    assert len(book) > 60
    titles = [entry.get_title() for entry in book.get_toc(max_depth=3)]
    for title in ("What would a perfect denoiser draw?", "The claims, one by one", "Glossary"):
        assert any(entry.endswith(title) for entry in titles)  # chapters have numbers
    last = text[-6000:]
    assert "Works cited" in last and "Fashion-MNIST: a novel image dataset" in last


def test_formulas_are_set_and_the_site_is_not_printed(text):
    """No TeX left over, no buttons, no search field, no folded code."""
    for word in ("\\frac", "\\sigma", "Show code cell", "Ctrl", "Search this book", "Previous"):
        assert word not in text, word
    assert len(re.findall(r"Fig\. [\d.]+ ", text)) > 20


def test_paper_is_white_and_figures_are_whole(book):
    """Light, whatever the reader's screen; no ink beyond the margins."""
    for number, page in enumerate(book):
        picture = page.render(scale=0.5).to_numpy().min(axis=2)
        edge = [picture[:8], picture[:, :8], picture[:, -8:]]
        assert all((side == 255).all() for side in edge), number + 1


def test_interactive_figures_are_still(text):
    """What one would point at or drag is not on paper."""
    for control in ("the noise again", "link to this noise image", "or paint something"):
        assert control not in text, control
    assert "Point at a noise image" in text


def test_folded_tables_are_printed_and_their_code_is_not(text):
    """The text speaks of them; each under the title of its fold."""
    assert "Every network in numbers" in text and "Computed anew" in text
    assert "markdown_table(" not in text and "glue_all(" not in text


def test_what_cannot_be_printed_is_named(tmp_path):
    """A page that is not there: which one and why, and no half of a PDF."""
    said = "could not print .*none.html: .*ERR_FILE_NOT_FOUND"
    with apart() as pool, pytest.raises(RuntimeError, match=said):
        pool.submit(pdf.print_page, tmp_path / "none.html", tmp_path / "book.pdf").result()
    assert not (tmp_path / "book.pdf").exists()
