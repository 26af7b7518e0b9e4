"""The built pages as files: what they point at, what they load, how heavy they are."""

import re

import pytest

from browser.conftest import HTML, names
from elslib.book import html

LIMIT = 6_000_000  # bytes of a page with everything that only it loads


def test_no_page_asks_another_host(pages):
    """Scripts, styles, fonts, pictures: all from the book itself."""
    assert list(html.foreign_resources(HTML)) == []


@pytest.mark.parametrize("name", names())
def test_links_pictures_and_weight(name):
    """Every link leads somewhere; alt texts are sentences, not file names; a page is light."""
    page = HTML / name
    text = page.read_text()
    targets = set(re.findall(r'\s(?:src|href)="([^"#?]+)', text))
    local = [t for t in targets if "://" not in t and not t.startswith(("mailto:", "data:"))]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing
    for tag in re.findall(r"<img\b[^>]*>", text):
        alt = re.search(r'alt="([^"]*)"', tag)
        assert alt and len(alt.group(1)) > 20 and ".png" not in alt.group(1), tag[:200]
    pictures = [page.parent / target for target in local if "_images" in target]
    assert len(text) + sum(picture.stat().st_size for picture in pictures) < LIMIT


@pytest.mark.parametrize("name", names())
def test_links_within_pages_have_a_target(name):
    """`page.html#place` names a place that is there."""
    page = HTML / name
    for file, place in re.findall(r'\shref="([^"#:?]*)#([^"]+)"', page.read_text()):
        target = (page.parent / file) if file else page
        # A link with a view names a kind of live figure; their ids count on.
        kind, _, view = place.partition("?")
        wanted = rf"{re.escape(kind)}(-\d+)?" if view else re.escape(place)
        assert re.search(rf'\sid="{wanted}"', target.read_text()), (file, place)
