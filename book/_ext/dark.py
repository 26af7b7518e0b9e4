"""What a page does with a figure in the dark depends on what the figure shows."""

from pathlib import Path

from docutils import nodes
from PIL import Image

from elslib.figures.style import SHOWS


def say_what_they_show(app, doctree, docname):
    """Give each figure that elslib drew the class "plot" or "pictures", as its file says."""
    for image in doctree.findall(nodes.image):
        path = Path(app.srcdir, image["uri"])
        if path.suffix == ".png" and path.is_file():
            with Image.open(path) as picture:
                shown = picture.info.get(SHOWS)
            if shown and shown not in image["classes"]:
                image["classes"].append(shown)


def setup(app):
    """When the places of all pictures are known."""
    app.connect("doctree-resolved", say_what_they_show)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
