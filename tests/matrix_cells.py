"""What one process of tests/test_matrix.py does: four commands, and what came of each.

    python -c "import matrix_cells; matrix_cells.main()" OUT

So its processes need not import all this once more. Runs in a checkout of its own, whatever is set
around it, and prints json: of each command the
numbers that it wrote, or the line that it said and its exit code.
"""

import hashlib
import json
import sys
from pathlib import Path

import nbformat
import numpy as np
from click.testing import CliRunner

from elslib import cli
from elslib.book.chapters import Notebook
from elslib.book.execute import RECORD, execute
from elslib.book.glued import glued_values


def command(*arguments: object) -> dict | None:
    """Run a command; None if it succeeded, else what it said."""
    done = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
    if done.exit_code == 0:
        return None
    trace = not isinstance(done.exception, SystemExit)
    said = repr(done.exception) if trace else done.output.strip().splitlines()[-1]
    return {"code": done.exit_code, "said": said, "trace": trace}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sample(out: Path) -> dict:
    """The picture with it: its pixels are drawn by matplotlib."""
    drawn = ("--window", 3, "--samples", 2, "--steps", 2, "--out", out / "drawn")
    if failed := command("sample", "--dataset", "noto_emoji", *drawn):
        return failed
    with np.load(out / "drawn.npz") as arrays:
        images = digest(arrays["images"].tobytes())
    record = json.loads((out / "drawn.json").read_text(encoding="utf-8"))
    return {
        "images": images,
        "picture": digest((out / "drawn.png").read_bytes()),
        "data": record["data_sha256"],
    }


def chapter(out: Path) -> dict:
    """Everything that stands in an executed notebook but times."""
    notebook = Notebook(Path("notebooks/small.py").absolute(), out / "small.ipynb")
    try:
        execute(notebook, {"seed": 1}, Path.cwd())
    except (RuntimeError, OSError) as error:
        return {"code": 1, "said": str(error).splitlines()[-1], "trace": False}
    content = nbformat.read(notebook.target, as_version=4)
    outputs = [json.dumps(cell.get("outputs"), sort_keys=True) for cell in content.cells]
    record = content.metadata[RECORD]
    return {
        "outputs": [digest(text.encode()) for text in outputs],
        "words": [
            output.get("text", output.output_type)
            for cell in content.cells
            for output in cell.get("outputs", ())
        ],
        "versions": record["versions"],
        "kernel": content.metadata.get("kernelspec"),
    }


def calibrate(_: Path) -> dict:
    options = ("--network", "tiny", "--largest", 5, "--trajectories", 1)
    if failed := command("calibrate", *options):
        return failed
    found = json.loads(Path("data/scales/tiny-els.json").read_text(encoding="utf-8"))
    return {"windows": found["windows"], "cosine": found["trajectories"][0]["cosine"]}


def sweep(out: Path) -> dict:
    grid = ("-g", "seed=1", "--workers", 1, "--retries", 0, "--out", out / "sweep")
    if failed := command("sweep", "notebooks/small.py", *grid):
        return failed
    (run,) = (out / "sweep").glob("*/small.ipynb")
    return glued_values(run)


def main() -> None:
    folder = Path(sys.argv[1])
    cells = (sample, chapter, calibrate, sweep)
    sys.stdout.write(json.dumps({cell.__name__: cell(folder) for cell in cells}))
