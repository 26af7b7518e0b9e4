"""Let papermill read percent scripts: `papermill notebooks/x.py out.ipynb` works.

Papermill loads this module itself, through its entry points, while it is being imported. So
nothing else may import it, or the two would wait for each other.
"""

import jupytext
from papermill.iorw import LocalHandler


class PercentScriptHandler(LocalHandler):
    """Papermill's handler of local files, which also reads `.py` notebooks."""

    def read(self, path):
        """The notebook at `path` as json text."""
        if not str(path).endswith(".py"):
            return super().read(path)
        return jupytext.writes(jupytext.read(path), fmt="ipynb")


HANDLER = PercentScriptHandler()
