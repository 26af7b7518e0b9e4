"""Put what the records say into the pages that ask for it, anew in every build."""

from elslib.book import provenance_pages

PARTS = {
    "provenance": {
        "@CHAPTERS@": provenance_pages.chapter_runs,
        "@RESULTS@": provenance_pages.result_runs,
        "@IMAGES@": provenance_pages.image_sets,
    },
    "bibliography": {"@CITATION@": provenance_pages.citation},
}


def fill(app, page, source):
    """Replace each mark in a page's text by its part."""
    for mark, part in PARTS.get(page, {}).items():
        source[0] = source[0].replace(mark, part())


def outdated(app, env, added, changed, removed):
    """The pages to read again: what they show may have changed, though they did not."""
    return list(PARTS)


def setup(app):
    """For the pages of this book."""
    app.connect("source-read", fill)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True}
