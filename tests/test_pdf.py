"""Printing the book; the PDF itself is looked at in tests/browser."""

import shutil

import pytest

from elslib.book import pdf


def test_without_a_browser_it_says_what_to_install(monkeypatch):
    """Before anything is started."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="a browser must be installed, got none of chromium"):
        with pdf.browser():
            pass
