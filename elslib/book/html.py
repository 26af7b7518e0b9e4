"""The pages, built by Jupyter Book from executed notebooks."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from elslib.book.chapters import ROOT, chapters
from elslib.book.execute import execute
from elslib.book.gate import gate
from elslib.book.glued import export_pictures


def build(root: Path = ROOT) -> Path:
    """Execute what is stale, check all, build the HTML; returns the first page.

    Raises RuntimeError if Jupyter Book warns or fails, or if a page would load from another host.
    """
    prepare(root)
    html = jupyter_book("html", root)
    foreign = list(foreign_resources(html))
    if foreign:
        raise RuntimeError("these pages load from another host:\n" + "\n".join(foreign))
    return html / "index.html"


def prepare(root: Path = ROOT) -> None:
    """Execute the chapters that are stale, check all, export their pictures."""
    notebooks = chapters(root)
    for notebook in notebooks:
        print(f"{notebook.source.name}: ", end="", flush=True)
        print("executed" if execute(notebook, root=root) else "unchanged")
    gate(notebooks, root)
    for notebook in notebooks:
        export_pictures(notebook)


def jupyter_book(builder: str, root: Path = ROOT) -> Path:
    """Build the pages, "html" each or "singlehtml" in one; returns their folder.

    Raises RuntimeError if Jupyter Book warns or fails.
    """
    options = ["--config", "_config.yml", "--toc", str(root / "_toc.yml"), "--path-output", "."]
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", "book", *options]
    said = []
    with subprocess.Popen(
        [*command, "--builder", builder, "-n", "-W", "--keep-going"],
        cwd=root,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as run:
        for line in run.stderr or ():
            sys.stderr.write(line)
            said += [line] if "WARNING" in line or "ERROR" in line else []
    if run.returncode:
        # Sphinx would not read an unchanged page again, and so forget its warning the next time.
        shutil.rmtree(root / "_build", ignore_errors=True)
        # Pages of output lie between a warning and the end: say it again where it is read.
        raise RuntimeError("Jupyter Book failed or warned:\n" + "".join(said))
    return root / "_build" / builder


# What makes a browser fetch something: not an <a href>, which only points.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*rel=["']?(?:stylesheet|preload|preconnect|icon|modulepreload))[^>]*?"""
    r"""\shref=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|@import\s+(?:url\()?["']?((?:https?:)?//[^"')\s]+)"""
    r"""|url\(["']?((?:https?:)?//[^"')\s]+)""",
    re.IGNORECASE,
)


def foreign_resources(html: Path) -> Iterator[str]:
    """Every resource that a page or style sheet below `html` would load from another host."""
    for path in sorted(html.rglob("*")):
        if path.suffix in (".html", ".css"):
            for match in FETCHED.finditer(path.read_text(encoding="utf-8", errors="replace")):
                yield f"{path.relative_to(html)}: {next(filter(None, match.groups()))}"
