"""The built pages, where `make book` has built them."""

import re
from pathlib import Path

import pytest

from elslib import notebooks

ROOT = Path(__file__).parents[1]
HTML = ROOT / "_build" / "html"
built = pytest.mark.skipif(not HTML.is_dir(), reason="no built pages; run `make book` first")


def pages():
    return sorted(p for p in HTML.rglob("*.html") if "_static" not in p.parts)


@built
def test_no_page_asks_another_host():
    """Scripts, styles, fonts, pictures: all from the book itself."""
    assert list(notebooks.foreign_resources(HTML)) == []


@built
def test_every_link_and_resource_of_a_page_exists():
    """Relative, so that pages open from disk."""
    for page in pages():
        for target in re.findall(r'(?:src|href)="([^"#?]+)', page.read_text()):
            if "://" not in target and not target.startswith(("mailto:", "data:")):
                assert (page.parent / target).exists(), (page.name, target)


@built
def test_every_picture_says_what_it_shows():
    """Alt texts are sentences, not file names."""
    for page in pages():
        for tag in re.findall(r"<img\b[^>]*>", page.read_text()):
            alt = re.search(r'alt="([^"]*)"', tag)
            assert alt and len(alt.group(1)) > 20 and ".png" not in alt.group(1), (page.name, tag)
