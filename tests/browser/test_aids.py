"""What helps a reader along: meanings of words, search, tables that narrow, icons."""

import pytest

PAGE = "notebooks/02_locality_and_equivariance.html"


@pytest.fixture
def page(browser, base):
    """A page of the book, with a mouse."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{base}/{PAGE}")
    yield page
    page.close()
    # From disk, a search shows no excerpts: a browser fetches no files for a file.
    assert [error for error in errors if error != "Failed to fetch" or base[:4] == "http"] == []


def test_a_word_says_what_it_means(page):
    """To mouse and keyboard, until it is left or put away; once a word, in plain text."""
    words = page.locator("article a[data-definition]")
    assert words.count() >= 8
    where = [link.get_attribute("href") for link in words.all()]
    assert len(where) == len(set(where))
    word, bubble = words.filter(has_text="denoiser").first, page.locator(".definition")
    word.hover()
    assert "guesses the clean one" in bubble.inner_text() and "\\" not in bubble.inner_text()
    page.mouse.move(2, 2)
    assert not bubble.is_visible()
    word.focus()
    assert bubble.is_visible() and word.get_attribute("aria-describedby") == "definition"
    page.keyboard.press("Escape")
    assert not bubble.is_visible()
    word.click()
    page.locator("dt#term-Denoiser").wait_for()  # on the page that the link opens


def test_search_finds_chapters_first(page, base):
    """Then the glossary, and the library after both."""
    page.goto(f"{base}/search.html?q=memorise")
    found = page.locator("ul.search li a")
    found.nth(3).wait_for()
    places = [link.get_attribute("href").partition("#")[0] for link in found.all()]
    library = [i for i, place in enumerate(places) if place.startswith(("api", "provenance"))]
    chapters = [i for i, place in enumerate(places) if place.startswith("notebooks/")]
    assert chapters and chapters[0] == 0
    assert not library or max(chapters) < min(library)


def test_a_table_narrows(page, base):
    """To the rows that hold all words, and back."""
    page.goto(f"{base}/provenance.html")
    results = page.locator("table.filterable").nth(1)
    every, words = results.locator("tbody tr"), page.locator(".table-filter input").nth(1)
    words.fill("emoji unet")
    shown = [row.inner_text() for row in every.all() if row.is_visible()]
    assert 0 < len(shown) < every.count() and all("emoji-unet" in row for row in shown)
    words.fill("")
    assert all(row.is_visible() for row in every.all())


def test_icons_are_drawn_without_their_library(page):
    """Every icon on the page has its drawing; two megabytes of others are not loaded."""
    icons = page.locator("i[class*='fa-']")
    assert icons.count() > 5 and icons.count() == page.locator("i[class*='fa-'] > svg").count()
    assert page.locator("[src*=fontawesome], [href*=fontawesome]").count() == 0
