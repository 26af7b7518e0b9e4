"""RunRecord: what produced an artefact."""

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

PACKAGES = ("elslib", "torch", "torchvision", "numpy")  # whose versions a record names


@dataclass(frozen=True)
class RunRecord:
    """Commit, configuration, data, versions, hardware and time of one run; plain json."""

    command: str
    config: Mapping[str, object]
    data_sha256: str
    seconds: float
    commit: str = field(default_factory=lambda: _commit())
    finished: str = field(default_factory=lambda: _now())
    versions: Mapping[str, str] = field(default_factory=lambda: _versions())
    hardware: str = field(default_factory=lambda: hardware())

    def json(self) -> dict:
        """The record as a dictionary that `json.dump` takes."""
        return asdict(self)


class Stopwatch:
    """Wall-clock seconds since it was made."""

    def __init__(self):
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._start, 1)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _commit() -> str:
    root = Path(__file__).resolve().parents[2]
    # A hook of git's names its own repository in variables. And whose files these are, git need not
    # mind, who would say nothing in a checkout of somebody else's.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", f"safe.directory={root}", "-C", root]

    def git(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments], env=env, capture_output=True, text=True, encoding="utf-8"
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        if Path(git("rev-parse", "--show-toplevel")) != root:
            return ""  # installed into somebody else's repository
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if commit and git("status", "--porcelain") else "")
    except OSError:  # no git on this machine
        return ""


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:  # one that is run without being installed has no version
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def hardware() -> str:
    """Processor, cores, torch's threads, and GPUs, in one line."""
    import torch  # here: what starts notebooks does without it, and sooner

    cpu = platform.processor() or platform.machine()
    with suppress(OSError):  # a record without the model's name is better than none
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        models = [line for line in info.splitlines() if line.startswith("model name")]
        cpu = models[0].split(":", 1)[1].strip() if models else cpu
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cores, threads = os.cpu_count(), torch.get_num_threads()
    return ", ".join([f"{cpu}, {cores} cores, {threads} thread{'s' * (threads != 1)}", *gpus])
