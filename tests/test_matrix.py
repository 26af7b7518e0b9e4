"""Whatever the machine it lands on: four commands in twelve surroundings, the same numbers.

Each surrounding is set around a process of its own (tests/matrix_cells.py) in a small checkout of
its own. Where something cannot be done, one clear line says so.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from elslib.book.chapters import ROOT
from elslib.data import named
from elslib.experiments import recipes, train_network
from elslib.networks.architectures import NetworkConfig
from elslib.networks.training import TrainConfig

CELLS = ("sample", "chapter", "calibrate", "sweep")
NOBODY = ["setpriv", "--reuid=54321", "--clear-groups"]  # a user without an entry in passwd

CHAPTER = """# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
#     language: python
# ---

# %% tags=["parameters"]
seed: int = 0  # of the noise image

# %%
import sys

from IPython.display import display

from elslib import EquivariantLocalScore, constant_scale, initial_noise, load
from elslib.figures.plots import image_grid

x = initial_noise([seed], (1, 8, 8))
x0 = EquivariantLocalScore(load("own.npy"), constant_scale(3))(x, 0.5)
print(sys.executable)
print(f"é {x0.double().sum():.9f}")
for key, value in {"sum": float(x0.double().sum()), "first": float(x[0, 0, 0, 0])}.items():
    # As glue does, which takes seconds to load.
    glued = {"application/papermill.record/text/plain": repr(value)}
    display(glued, raw=True, metadata={"scrapbook": {"name": key}})

# %%
image_grid({"noise": x, "estimate": x0})
"""

# Sets torch's defaults in every process, as soon as it imports torch.
SITE = """
import importlib.util, sys

class Hook:
    def find_spec(self, name, path, target=None):
        if name == "torch":
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            load = spec.loader.exec_module

            def and_set(module):
                load(module)
                module.SET

            spec.loader.exec_module = and_set
            return spec

sys.meta_path.insert(0, Hook())
"""


@dataclass
class Surroundings:
    """Where the process runs: a checkout, a folder for what it writes, one for what is set."""

    checkout: Path
    out: Path
    settings: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    before: list[str] = field(default_factory=list)  # stands before the command
    umask: int = -1

    def write(self, name: str, content: str) -> Path:
        """A file of settings; the folder that it is in."""
        path = self.settings / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path.parent


def plain(_: Surroundings) -> None:
    """As it is here."""


def matplotlibrc(here: Surroundings) -> None:
    settings = "image.origin: lower\nsavefig.dpi: 30\nfont.size: 20\naxes.facecolor: red\n"
    here.env["MATPLOTLIBRC"] = str(here.write("matplotlib/matplotlibrc", settings))
    here.env["MPLBACKEND"] = "svg"


def ipython_profile(here: Surroundings) -> None:
    shell = "c.InteractiveShell.ast_node_interactivity = 'all'\n"
    lines = "c.InteractiveShellApp.exec_lines = ['print(1)', 'import math']\n"
    here.write("ipython/profile_default/ipython_config.py", f"c = get_config()\n{shell}{lines}")
    here.write("ipython/profile_default/startup/00.py", "print('a startup file')\n")
    here.write("pythonstartup.py", "print('another')\n")
    here.env["IPYTHONDIR"] = str(here.settings / "ipython")
    here.env["PYTHONSTARTUP"] = str(here.settings / "pythonstartup.py")


def foreign_kernelspec(here: Surroundings) -> None:
    spec = {"argv": ["/bin/false"], "display_name": "Python 3", "language": "python"}
    here.write("jupyter/kernels/python3/kernel.json", json.dumps(spec))
    here.env["JUPYTER_PATH"] = here.env["JUPYTER_DATA_DIR"] = str(here.settings / "jupyter")


def default_dtype(here: Surroundings) -> None:
    _set_torch(here, "set_default_dtype(module.float64)")


def default_device(here: Surroundings) -> None:
    _set_torch(here, "set_default_device('meta')")


def _set_torch(here: Surroundings, setting: str) -> None:
    site = here.write("sitecustomize.py", SITE.replace("SET", setting))
    here.env["PYTHONPATH"] = f"{site}{os.pathsep}{here.env['PYTHONPATH']}"


def umask_077(here: Surroundings) -> None:
    here.umask = 0o077


def home_unset(here: Surroundings) -> None:
    del here.env["HOME"]


def read_only_checkout(here: Surroundings) -> None:
    """For root no mode is read-only, so it runs where the folder is mounted so."""
    if os.getuid() != 0:
        for path in [here.checkout, *here.checkout.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
        return
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'
    here.before = ["unshare", "-m", "sh", "-c", mounted, str(here.checkout)]
    if subprocess.run([*here.before, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here, and for root no mode is read-only")


def random_uid(here: Surroundings) -> None:
    """As in a container: the checkout is its own, but it has neither a home nor a name."""
    _as_nobody(here)
    for path in [here.checkout, *here.checkout.rglob("*")]:
        os.chown(path, 54321, -1)
    here.env.pop("HOME", None)


def _as_nobody(here: Surroundings) -> None:
    if os.getuid() != 0:
        pytest.skip("only root may run as another user")
    start = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    if subprocess.run([*NOBODY, sys.executable, "-c", start], capture_output=True).returncode:
        pytest.skip("another user may not run this interpreter, or there is no setpriv")
    here.before = NOBODY
    os.chown(here.out, 54321, -1)
    here.env = {k: v for k, v in here.env.items() if k not in ("USER", "LOGNAME", "MPLCONFIGDIR")}


def path_with_braces(here: Surroundings) -> None:
    moved = here.checkout.rename(here.checkout.parent / "a {seed} %d {{b}} 100%")
    here.env["PYTHONPATH"] = here.env["PYTHONPATH"].replace(str(here.checkout), str(moved))
    here.checkout, here.out = moved, moved / "out {seed}"
    here.out.mkdir()


def lc_all_c(here: Surroundings) -> None:
    """ASCII, and Python's own way around it switched off."""
    here.env |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


AROUND = (
    matplotlibrc, ipython_profile, foreign_kernelspec, default_dtype, default_device, umask_077,
    home_unset, read_only_checkout, random_uid, path_with_braces, lc_all_c,
)  # fmt: skip

# Instead of numbers: what cannot be done there, and what is said.
REFUSED = {
    (read_only_checkout, "calibrate"): "'{checkout}/data/scales/",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A small checkout: the library, one chapter, a few images, a network trained on them."""
    root = tmp_path_factory.mktemp("template")
    shutil.copytree(ROOT / "elslib", root / "elslib")  # compiled, which takes seconds
    shutil.copy(Path(__file__).with_name("matrix_cells.py"), root)
    (root / "notebooks").mkdir()
    (root / "notebooks" / "small.py").write_text(CHAPTER, encoding="utf-8")
    (root / "requirements.lock").write_text("")
    (root / "data" / "networks").mkdir(parents=True)
    for name in ("manifest.json", "noto_emoji.npz"):
        shutil.copy(ROOT / "data" / name, root / "data" / name)
    pixels = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    np.save(root / "own.npy", pixels.numpy())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(train_network, "SAMPLES", 3)
        images = named.load("own.npy")
        config = TrainConfig(NetworkConfig(1, width=24, blocks=1), steps=1, batch=2)
        recipe = recipes.Recipe(str(root / "data/networks/tiny"), images, images, config)
        list(train_network.make(recipe))
    return root


@pytest.fixture(scope="module")
def expected(template, tmp_path_factory):
    """What comes of the plain run: one worker runs it, the others read what it found."""

    def of_the_plain_run() -> dict:
        base = tmp_path_factory.getbasetemp()  # of this worker, within that of all
        found = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "plain.json"
        with FileLock(f"{found}.lock"):
            if not found.is_file():
                found.write_text(json.dumps(_run(plain, template)[1]), encoding="utf-8")
        return json.loads(found.read_text(encoding="utf-8"))

    return of_the_plain_run


def _run(surround, template: Path) -> tuple[Surroundings, dict]:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        base.chmod(0o755)  # others are to come by
        for name in ("out", "settings"):
            (base / name).mkdir()
        shutil.copytree(template, base / "checkout")
        here = Surroundings(base / "checkout", base / "out", base / "settings")
        here.env |= {"PYTHONPATH": str(here.checkout), "OMP_NUM_THREADS": "1"}
        here.env.pop("ELSLIB_DATA", None)
        surround(here)
        start = "import matrix_cells; matrix_cells.main()"
        done = subprocess.run(
            [*here.before, sys.executable, "-c", start, here.out],
            cwd=here.checkout, env=here.env, umask=here.umask, capture_output=True, text=True,
            encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return here, json.loads(done.stdout)


@pytest.mark.parametrize("surround", AROUND, ids=lambda surround: surround.__name__)
def test_surroundings(template, expected, surround):
    """The same numbers, pictures, outputs and versions as in the plain run; or one clear line."""
    here, found = _run(surround, template)
    plainly = expected()  # last, so that nobody waits for it
    for cell in CELLS:
        if message := REFUSED.get((surround, cell)):
            assert found[cell]["code"] == 2 and not found[cell]["trace"], found[cell]
            assert found[cell]["said"].startswith("Error: ")
            assert message.format(checkout=here.checkout) in found[cell]["said"]
        else:
            assert found[cell] == plainly[cell], cell


def test_the_plain_run(expected):
    """It is what the others are compared with: all four succeed, in this interpreter."""
    found = expected()
    assert found.keys() == set(CELLS) and not any("said" in cell for cell in found.values()), found
    words = found["chapter"]["words"]
    assert words[0].splitlines()[0] == sys.executable and words[0].splitlines()[1].startswith("é")
    assert words[1:].count("display_data") == 2 and words[-1] == "execute_result"  # two glued
    assert found["chapter"]["versions"]["torch"] == metadata.version("torch")
    assert len(found["calibrate"]["windows"]) == 20 and found["sweep"].keys() == {"sum", "first"}
