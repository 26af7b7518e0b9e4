"""What `import elslib` offers: its names, how little it costs, and what it can do without."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from conformance import image_set
from helpers import NETWORK, seeded

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


def test_what_is_slow_to_load_is_loaded_where_it_works():
    """Torchvision reads full sets, not embedded ones; what starts notebooks needs no torch; and
    that grammar of web addresses, which costs what torch costs, nobody needs."""
    program = "from elslib.data.named import load; print(len(load('noto_emoji')))\n"
    assert int(run_without(program, "torchvision")) > 0
    program = "import elslib.book.sweep, sys; print(sys.modules['rfc3987_syntax'])\n"
    assert run_without(program, "torch", "torchvision") == "None\n"


def test_names_are_listed_and_loaded():
    """For tab completion; each is what its module calls so; another name is an error."""
    names = dir(elslib)
    assert len(names) == len(set(names)) > 30
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


SET = "ImageSet('random', n=8, shape=(1, 10, 10), classes=3)"
THREE = "ScaleTable('constant', windows=3)"


def test_everything_says_what_it_is_in_one_line():
    """Kind, images, windows, schedule; never tensors."""
    images, scale = image_set(8, 1, 10, 10), elslib.constant_scale(3)
    assert repr(images) == SET
    assert repr(elslib.ImageSet(images.pixels)) == "ImageSet('unnamed', n=8, shape=(1, 10, 10))"
    assert repr(elslib.linear()) == "Schedule('linear')"
    assert repr(elslib.published_scale("fmnist-resnet-zeros")) == (
        "ScaleTable('fmnist-resnet-zeros, released calibration [...]', windows=3..17 at 20 times)"
    )
    machines = [
        elslib.IdealScore(images),
        elslib.EquivariantScore(images),
        elslib.LocalScore(images, scale),
        elslib.EquivariantLocalScore(images, scale, edges="circular"),
        elslib.WienerFilter(images),
        elslib.PcaLocality(images),
        elslib.NearestImage(images),
    ]
    noise = elslib.initial_noise([0], (1, 10, 10))
    for machine in machines:
        machine(noise, 0.5)  # what it prepares and keeps is not shown either
        text = repr(machine)
        assert text.startswith(f"{type(machine).__name__}(images={SET}, schedule=Schedule('cos")
        assert len(text) < 220 and "\n" not in text and "tensor" not in text
        assert (THREE in text) == hasattr(machine, "scale")
    assert "edges='circular'" in repr(machines[3]) and "threshold=" in repr(machines[5])
    network = elslib.NetworkDenoiser(seeded(NETWORK), NETWORK)
    assert repr(network) == f"NetworkDenoiser({NETWORK!r}, schedule=Schedule('cosine'))"


def test_a_set_of_bytes(as_installed):
    """Scaled to [-1, 1] at their own size; floats are no bytes, bytes are no set as they are."""
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 1, 3)
    images = elslib.ImageSet.from_uint8(pixels, torch.tensor([0]), ("only",), "three")
    assert torch.allclose(images.pixels, torch.tensor([-1, -0.6, 1]).reshape(1, 1, 1, 3))
    assert repr(images) == "ImageSet('three', n=1, shape=(1, 1, 3), classes=1)"
    with pytest.raises(ValueError, match="pixels must be uint8, got torch.float32; floats in"):
        elslib.ImageSet.from_uint8(pixels.float())
    with pytest.raises(ValueError, match="give bytes 0..255 to ImageSet.from_uint8"):
        elslib.ImageSet(pixels)
