"""Let papermill read percent scripts: `papermill notebooks/x.py out.ipynb` works.

Papermill loads this module itself, through its entry points, while it is being imported. So
nothing else may import it, or the two would wait for each other.

An entry point serves paths that begin with its name, and no beginning says that a file is a percent
script. So ours has a name that no path begins with, and what teaches papermill is the import: the
one method that reads local files, with `--cwd` and all, now also knows percent scripts. Every other
file is read as before.
"""

import jupytext
from papermill.iorw import LocalHandler

_read = LocalHandler.read


def read(self: LocalHandler, path: str) -> str:
    """The notebook at `path` as json text."""
    text = _read(self, path)
    if not str(path).endswith(".py") or "# %%" not in text:
        return text
    return jupytext.writes(jupytext.reads(text, fmt="py:percent"), fmt="ipynb")


LocalHandler.read = read
HANDLER = LocalHandler()
