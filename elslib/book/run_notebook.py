"""Execute one notebook in a process of its own: PARENT SOURCE TARGET PARAMETERS FOLDER.

PARAMETERS are json. The process ends when PARENT, which started it, does, and the kernel ends with
it: whoever is killed leaves nothing running.
"""

import errno
import json
import os
import sys
import threading
import time
from pathlib import Path

# No space left, too large for its file system or its limit, over a quota.
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def end_with(parent: int) -> None:
    """Stop this process once another one has become its parent."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    parent, source, target, parameters, folder = sys.argv[1:]
    threading.Thread(target=end_with, args=(int(parent),), daemon=True).start()
    import jupytext
    import nbformat
    import papermill

    # Papermill would fill in the parameters where a path has braces: of the source it sees none.
    notebook = jupytext.writes(jupytext.read(source), fmt="ipynb")
    try:
        papermill.execute_notebook(
            nbformat.reads(notebook, as_version=4),
            target.replace("{", "{{").replace("}", "}}"),
            json.loads(parameters),
            kernel_name="python3",  # whatever name of a kernel stands in the notebook
            language="python",
            cwd=folder,
            progress_bar=False,
            store_widget_state=False,
        )
    except papermill.PapermillExecutionError as error:
        sys.exit(str(error).strip())
    except OSError as error:  # of the target, not of a cell
        if error.errno not in FULL:
            raise
        Path(target).unlink(missing_ok=True)
        sys.exit(f"{target} could not be written: {error.strerror}.")
