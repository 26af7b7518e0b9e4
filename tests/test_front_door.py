"""What `import elslib` offers: its names, how little it costs, and what it can do without."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import elslib

ROOT = Path(__file__).parents[1]
# Figures are drawn with matplotlib; all else works without it.
DRAWN = {"explore", "image_grid"}
BLOCKED = (
    "click", "matplotlib", "diffusers", "IPython", "ipywidgets", "jupytext", "nbformat",
    "papermill", "yaml",
)  # fmt: skip


def run_without(program, *names):
    """The output of a program for a fresh interpreter that cannot import these packages."""
    block = f"import sys\nsys.modules.update(dict.fromkeys({names!r}))\n"
    done = subprocess.run(
        [sys.executable, "-c", block + program], check=True, cwd=ROOT, capture_output=True
    )
    return done.stdout.decode()


def test_importing_it_costs_next_to_nothing():
    """Neither torch nor NumPy is imported for it; 0.3 s of processor time are ten times enough."""
    program = (
        "import time; start = time.process_time()\n"
        "import elslib; print(time.process_time() - start)\n"
    )
    assert float(run_without(program, *BLOCKED, "torch", "numpy", "numba", "jaxtyping")) < 0.3


def test_all_but_figures_work_without_jupyter_click_and_matplotlib():
    """Every name can be had, and a machine samples."""
    program = (
        "import elslib\n"
        f"for name in set(dir(elslib)) - {DRAWN!r}: getattr(elslib, name)\n"
        "import torch\n"
        "images = elslib.ImageSet(torch.rand(5, 1, 4, 4) * 2 - 1)\n"
        "machine = elslib.LocalScore(images, elslib.constant_scale(3))\n"
        "noise = elslib.initial_noise([0], (1, 4, 4))\n"
        "print(*elslib.sample(machine, noise, n_steps=2).shape)\n"
    )
    assert run_without(program, *BLOCKED) == "1 1 4 4\n"


def test_names_are_listed_and_loaded():
    """For tab completion; each is what its module calls so; another name is an error."""
    names = dir(elslib)
    assert len(names) == len(set(names)) > 30 and names == elslib.__all__
    for name in names:
        value = getattr(elslib, name)
        assert getattr(sys.modules[value.__module__], name) is value
    with pytest.raises(AttributeError, match="No elslib attribute nonsense"):
        _ = elslib.nonsense  # pyright: ignore[reportAttributeAccessIssue]


def test_the_reference_lists_the_same_names():
    """The table of the front door in book/api.md."""
    page = (ROOT / "book" / "api.md").read_text()
    table = page[page.index("| for | names |") : page.index("## How to read it")]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(dir(elslib))


def test_the_version_is_the_projects():
    """And what the type checkers of others look for is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert elslib.__version__ == project["version"]
    assert (ROOT / "elslib" / "py.typed").is_file()
