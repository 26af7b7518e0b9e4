"""Those of the theme's icons that the pages show, as a small script; not all two thousand."""

import json
import re
import shutil
from pathlib import Path

SCRIPT = "_static/icons.js"
LOADED = re.compile(
    r'<link\b[^>]*/fontawesome/[^>]*>\n?|<script\b[^>]*src="([^"]*)_static/vendor/fontawesome/[^>]*></script>'
)


def draw_only_those_shown(app, exception):
    """Write the icons in the pages to SCRIPT, and load that instead of the library."""
    html = Path(app.outdir)
    library = html / "_static/vendor/fontawesome"
    if exception or app.builder.name not in ("html", "singlehtml") or not library.is_dir():
        return
    shown = set()
    for page in html.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        shown |= set(re.findall(r"\bfa-[a-z-]+", LOADED.sub("", text)))
        page.write_text(LOADED.sub(_loader, text), encoding="utf-8")
    [everything] = library.rglob("all.min.js")
    drawings = _drawings(everything.read_text(encoding="utf-8"), shown)
    script = Path(__file__).with_name("icons.js").read_text(encoding="utf-8")
    script = script.replace("@DRAWINGS@", json.dumps(drawings, sort_keys=True))
    (html / SCRIPT).write_text(script, encoding="utf-8")
    shutil.rmtree(library)


def _loader(match) -> str:
    """The small script for the large one, nothing for its styles and fonts."""
    return "" if match[1] is None else f'<script src="{match[1]}{SCRIPT}"></script>'


def _drawings(library: str, names: set[str]) -> dict[str, tuple[int, int, str]]:
    """Width, height and path of each icon; the filled one, which the library has last."""
    found = {}
    for name in names:
        pattern = (
            rf'[{{,"]{name.removeprefix("fa-")}"?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]+)"\]'
        )
        for width, height, path in re.findall(pattern, library):
            found[name] = int(width), int(height), path
    return found


def setup(app):
    """When all pages are written."""
    app.connect("build-finished", draw_only_those_shown)
    return {"parallel_read_safe": True}
