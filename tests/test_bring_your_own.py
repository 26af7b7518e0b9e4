"""The page "Bring your own": its ten commands and its Python, as they stand, on 200 pictures."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from elslib import cli

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "bring_your_own.md").read_text()
FIRST, *COMMANDS = re.findall(
    r"^[^#].*", re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)[0], re.MULTILINE
)
# Small enough for a test: what is appended to each command.
LESS = {
    "train": "--width 24 --steps 20 --batch 8",
    "calibrate": "--trajectories 1 --largest 5 --steps 4",
    "agree": "--seeds 2 --steps 3",
    "pairs": "--samples 2 --steps 3",
    "sample": "--steps 3 --label 1",
}

FEWER = "-p network_steps 5 -p n_seeds 2 -p n_live 1".split()

pytestmark = pytest.mark.usefixtures("quick", "one_thread")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """200 photographs of mixed size and kind in two classes, in a folder where nothing else is."""
    rng = np.random.default_rng(0)
    for i in range(200):
        shape, (w, h) = ("discs", "boxes")[i % 2], rng.integers(40, 90, 2).tolist()
        colours = [tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2)]
        picture = Image.new("RGB", (w, h), colours[0])
        draw = ImageDraw.Draw(picture)
        box = [w // 4, h // 4, 3 * w // 4, 3 * h // 4]
        (draw.ellipse if shape == "discs" else draw.rectangle)(box, fill=colours[1])
        path = tmp_path / "photos" / shape / f"{i:03}"
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = ("RGB", "L", "P", "RGBA", "CMYK")[i % 5]
        picture.convert(mode).save(path.with_suffix(".jpg" if mode == "CMYK" else ".png"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path / "data"))
    ((name, project),) = re.findall(r"^export (\w+)=\$PWD/(\S+)", FIRST)
    monkeypatch.setenv(name, str(tmp_path / project))
    return tmp_path


def test_ten_commands(photos):
    """Each ends well, and leaves what the page says, all of it here."""
    assert len(COMMANDS) == 10
    for line in COMMANDS:
        program, *words = shlex.split(line, comments=True)
        if program == "elslib":
            words += shlex.split(LESS.get(words[0], ""))
            done = CliRunner().invoke(cli.main, words)
            assert done.exit_code == 0, (line, done.output)
            continue
        assert program == "papermill"
        words[0] = str(ROOT / words[0])
        shown = subprocess.run(
            [sys.executable, "-m", "papermill", *words, *FEWER],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert shown.returncode == 0, shown.stderr[-3000:]
    project = photos / "my-project"
    card = json.loads((project / "networks" / "mine.json").read_text())
    assert card["images"]["name"] == "mine/train" and card["network"]["classes"] == 2
    made = {str(path.relative_to(photos)) for path in photos.rglob("*.*") if path.is_file()}
    assert {
        "data/sets/mine.npz", "samples.png", "mine.ipynb",
        *(f"my-project/{name}" for name in (
            "networks/mine.safetensors", "scales/mine-els.json", "scales/mine-ls.json",
            "results/agreement-mine.csv", "results/pairs-mine.png",
        )),
    } <= made  # fmt: skip
    beside = {path.split("/")[0] for path in made} - {"data", "photos", "my-project"}
    assert beside == {"samples.png", "samples.npz", "samples.json", "mine.ipynb"}


def test_the_python_of_the_page(photos, capsys):
    """Under 25 lines, without a card or a file; then a picture of both, and its sources."""
    answer, picture = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(answer.strip().splitlines()) < 25
    names: dict = {}
    exec(compile(answer, "bring_your_own.md", "exec"), names)
    said = capsys.readouterr().out
    assert "ELS" in said and "Wiener" in said
    assert {path.name for path in photos.iterdir()} == {"photos"}
    exec(compile(picture, "bring_your_own.md", "exec"), names)
    assert (photos / "pairs.png").stat().st_size > 1000
    assert names["origins"].image.shape == (1, 3, 16, 16)
    assert float(names["last"].share.sum()) == pytest.approx(1)
