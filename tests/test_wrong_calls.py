"""No stack trace for a user's mistake: wrong calls of every command end in one line."""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from test_released import MinimalResNet

from elslib import cli
from elslib.data import named
from elslib.experiments import recipes, train_network
from elslib.networks.architectures import NetworkConfig
from elslib.networks.training import TrainConfig

NUMBERS = ["x", "1.5", "-1", "", "1e3", "0x10", "nan", "None", "9" * 40, "１x", "1 2"]
WORDS = ["", "nobody", "ELS ", "é", "{x}", "%s", "--", "None"]
# What each option of another kind refuses; {here} is a folder of files of many kinds.
NAMES = [
    "", "nobody", "{n}", "%s", "../x", "/", ".", "a/b/c", "x" * 5000, "{here}", "{here}/broken.npy",
    "{here}/none.npy", "{here}/text.npy", "{here}/flat.npy", "{here}/many.npz", "noto_emoji/none",
    "noto_emoji/", "/noto_emoji", "mnist/train/x", "cifar10/validation",
]  # fmt: skip
NETWORKS = [
    "", "nobody", "{n}", "%s", "../x", "/", "a/b", "x" * 5000, "{here}", "{here}/broken",
    "{here}/empty", "{here}/listed", "{here}/other", "{here}/moved",
]  # fmt: skip
THEORIES = ["", "nobody", "ELS,", "ELS,ELS", "els", "{n}"]
OUTS = ["{here}/file/drawn", "{here}/file/x/y", "", ".", "/", "/proc/x/drawn"]
PROJECTS = ["", "{here}/file"]
OWN = {
    ("train", "--project"): PROJECTS,
    ("calibrate", "--project"): PROJECTS,
    ("agree", "--project"): PROJECTS,
    ("sample", "--project"): PROJECTS,
    ("sweep", "--project"): PROJECTS,
    ("pairs", "--project"): PROJECTS,
    ("network import", "--project"): PROJECTS,
    ("agree", "--theories"): THEORIES,
    ("pairs", "--theories"): THEORIES,
    ("pairs", "--network"): NETWORKS,
    ("pairs", "--samples"): [*NUMBERS, "401", "0"],
    ("pairs", "--out"): OUTS,
    ("data import", "--name"): [
        "", "a/b", "mnist", "mnist_5k", "x.npy", "{n}", ".", "é", "--", "x" * 5000, "two words",
    ],
    ("data import", "--size"): [*NUMBERS, "0", "4097"],
    ("data import", "--held-out"): ["x", "-1", "1", "nan", "inf", "", "1,5", "None"],
    ("network import", "--name"): ["", "{here}/tiny", "{here}/file/x", "/proc/x/net", "x" * 5000],
    ("network import", "--dataset"): [*NAMES, "{here}/own.npy"],
    ("sample", "--dataset"): NAMES,
    ("sample", "--scale"): ["", "nobody", "{n}", "../x", "x" * 5000],
    ("sample", "--window"): [*NUMBERS, "2", "0"],
    ("sample", "--out"): OUTS,
    ("calibrate", "--network"): NETWORKS,
    ("calibrate", "--largest"): [*NUMBERS, "4", "2", "0"],
    ("agree", "--network"): [*NETWORKS, "{here}/tiny"],
    ("train", "--name"): ["{here}/file/net", "/proc/x/net", "x" * 5000],
    ("train", "--width"): [*NUMBERS, "23", "30"],
    ("train", "--lr"): ["x", "-1", "0", "nan", "inf", "", "1,5", "None"],
    ("sweep", "--grid"): [
        "", "nobody", "{here}", "{here}/broken.json", "{here}/bytes", "{here}/list.yaml",
        "{here}/dates.yaml", "{here}/numbers.yaml",
    ],
    ("sweep", "-g"): [
        "", "seed", "seed=", "=1", "m=1", "seed=x", "seed=1.5", "seed=1,1", "seed=1:1", "seed=0:",
        "seed=0:3:0", "seed=[1", "seed='1", "seed=None", "{n}=1", "seed=1,,2", "seed=" + "9" * 5000,
    ],
    ("sweep", "--scheduler"): ["nowhere", "tcp://", "http://x", "tcp://127.0.0.1:1", "{n}"],
    ("sweep", "--out"): ["{here}/file", "{here}/file/x", "/proc/x"],
}  # fmt: skip
GROUPS = [["data"], ["network"]]
ARGUMENTS = {
    "sweep": [
        "", "nobody", "{here}", "{here}/broken.json", "{here}/bytes", "{here}/script.py",
        "{here}/syntax.py",
    ],
    "data fetch": WORDS,
    "data import": [
        "", "nobody", "{here}/file", "{here}/nothing", "{here}/mixed", "{here}/own.npy",
    ],
    "network import": [
        "", "nobody", "{here}", "{here}/file", "{here}/bytes", "{here}/broken.npy",
        "{here}/tiny.safetensors", "{here}/other.pt",
    ],
}  # fmt: skip
BASE = {
    "data list": [], "book": [], "pdf": [],
    "data fetch": ["mnist", "--dry-run"],
    "data import": ["{here}/photos", "--name", "fresh", "--size", "8"],
    "network import": ["{here}/released.pt", "--name", "{here}/fresh"],
    "pairs": ["--network", "{here}/tiny", "--theories", "IS", "--samples", "1", "--steps", "1"],
    "train": ["--dataset", "emoji", "--architecture", "resnet", "--name", "{here}/new",
              "--steps", "1"],
    "calibrate": ["--network", "{here}/tiny", "--trajectories", "1", "--largest", "3"],
    "agree": ["--network", "{here}/tiny", "--seeds", "1"],
    "sample": ["--dataset", "{here}/own.npy", "--window", "3", "--samples", "1", "--steps", "1",
               "--out", "{here}/drawn"],
    "sweep": ["{here}/page.py", "-g", "seed=1", "--out", "{here}/out"],
}  # fmt: skip


def command_of(name: str) -> click.Command:
    found: click.Command = cli.main
    for part in name.split():
        assert isinstance(found, click.Group)
        found = found.commands[part]
    return found


def wrong_calls() -> Iterator[list[str]]:
    """Each command with one thing wrong: an option's value, an option, an argument too many or too
    few."""
    for name, base in BASE.items():
        words = name.split()
        for extra in (["--nothing"], ["-x"], ["--dry-run=maybe"], ["too", "many"], ["--js"]):
            yield [*words, *base, *extra]
        for option in command_of(name).params:
            if isinstance(option, click.Argument):
                for value in ARGUMENTS[name]:
                    yield [*words, value, *base[1:]]
                yield [*words, *base[1:]]
            elif isinstance(option, click.Option) and not option.is_flag:
                flag = option.opts[0]
                default = NUMBERS if isinstance(option.type, click.IntRange) else WORDS
                for value in OWN.get((name, flag), default):
                    yield [*words, *_without(base, flag), flag, value]
                yield [*words, *_without(base, flag), flag]
                if option.required:
                    yield [*words, *_without(base, flag)]
    yield from ([], ["nothing"], *GROUPS, ["data", "nothing"], ["--nothing"], ["sample", "sample"])


def _without(base: list[str], flag: str) -> list[str]:
    """The call without an option, and without one that stands instead of it."""
    for gone in (flag, {"--scale": "--window"}.get(flag, flag)):
        if gone in base:
            place = base.index(gone)
            base = base[:place] + base[place + 2 :]
    return base


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Images, a network, a notebook, and files that are none of these."""
    root = tmp_path_factory.mktemp("here")
    pixels = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    np.save(root / "own.npy", pixels.numpy())
    np.save(root / "flat.npy", pixels.numpy()[0])
    np.save(root / "ints.npy", pixels.byte().numpy())
    np.savez(root / "many.npz", a=pixels.numpy())
    for name in ("broken.npy", "broken.json", "broken.safetensors", "other.safetensors"):
        (root / name).write_text("{no")
    for name, text in {
        "file": "", "text.npy": "text", "bytes": "", "list.yaml": "- 1\n", "script.py": "1\n",
        "dates.yaml": "seed: 2026-11-29\n", "numbers.yaml": "1: 2\n", "syntax.py":
        '# %% tags=["parameters"]\nseed: int =\n', "empty.json": "{}", "empty.safetensors": "",
        "listed.json": "[]", "listed.safetensors": "",
        "other.json": '{"network": {"channels": "x"}}',
        "page.py": '# %% tags=["parameters"]\nseed: int = 0\n',
    }.items():  # fmt: skip
        (root / name).write_text(text)
    (root / "bytes").write_bytes(bytes(range(256)))
    torch.save(MinimalResNet(None, "zeros"), root / "released.pt")
    torch.save(torch.nn.Linear(2, 2), root / "other.pt")
    (root / "nothing").mkdir()
    for place in ("photos", "mixed", "mixed/class"):
        (root / place).mkdir()
        Image.new("RGB", (9, 9)).save(root / place / "one.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_network, "SAMPLES", 3)
        images = named.load(str(root / "own.npy"))
        config = TrainConfig(NetworkConfig(1, width=24, blocks=1), steps=1, batch=2)
        list(train_network.make(recipes.Recipe(str(root / "tiny"), images, images, config)))
    for kind in ("json", "safetensors"):
        (root / f"moved.{kind}").write_bytes((root / f"tiny.{kind}").read_bytes())
    card = (root / "moved.json").read_text().replace("own.npy", "gone.npy")
    (root / "moved.json").write_text(card)
    return root


CALLS = list(wrong_calls())


def results(folder: Path) -> set[Path]:
    """All files, but for the table of a sweep, which says that no run is finished."""
    return {p for p in folder.rglob("*") if p.is_file() and p.stem != "sweep"}


def test_there_are_many():
    """Of every command, and no two alike."""
    assert len(CALLS) >= 300 and len({tuple(call) for call in CALLS}) == len(CALLS)
    known: set[str] = set()
    for name, command in cli.main.commands.items():
        inside = command.commands if isinstance(command, click.Group) else {}
        known |= {f"{name} {part}" for part in inside} or {name}
    assert known == BASE.keys()


@pytest.mark.parametrize("name", ["", *BASE])
def test_wrong_calls(here, monkeypatch, name, as_installed):
    """Exit code 2, and after the usage one line that says what is wrong."""
    monkeypatch.setenv("ELSLIB_DATA", str(here / "cache"))
    monkeypatch.chdir(here)
    before = results(here)
    wrong = []
    for call in CALLS:
        command = " ".join(call[:2]) if call[:1] in GROUPS else "".join(call[:1])
        if command != name if command in BASE else name:
            continue
        arguments = [text.replace("{here}", str(here)) for text in call]
        done = CliRunner().invoke(cli.main, arguments)
        lines = done.output.strip().splitlines()
        said = [i for i, line in enumerate(lines) if line.startswith("Error: ")]
        refused = done.exit_code == 2 and isinstance(done.exception, SystemExit)
        if call in ([], *GROUPS):
            one_line = True  # the help, for no command at all
            refused = done.exit_code in (0, 2)
        else:  # click lists the choices of a missing one below
            one_line = len(said) == 1 and all(line[0] == "\t" for line in lines[said[0] + 1 :])
        if not (refused and one_line):
            wrong.append((call, done.exit_code, repr(done.exception), lines[-3:]))
    assert not wrong, "\n".join(map(str, wrong))
    assert results(here) == before


def test_a_reader_that_has_had_enough(monkeypatch):
    """`elslib data list | head -1` is no mistake."""

    def closed(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(click, "echo", closed)
    done = CliRunner().invoke(cli.main, ["data", "list"])
    assert done.exit_code == 1 and "Usage" not in done.output
