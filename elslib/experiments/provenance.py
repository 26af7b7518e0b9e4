"""RunRecord: what produced an artefact."""

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

import torch


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
    def git(*arguments: str) -> str:
        here = Path(__file__).parent
        done = subprocess.run(["git", "-C", here, *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        if Path(git("rev-parse", "--show-toplevel")) != Path(__file__).resolve().parents[2]:
            return ""  # installed into somebody else's repository
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if commit and git("status", "--porcelain") else "")
    except OSError:  # no git on this machine
        return ""


def _versions() -> dict[str, str]:
    packages = ("elslib", "torch", "torchvision", "numpy")
    return {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}}


def hardware() -> str:
    """Processor, cores, torch's threads, and GPUs, in one line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":", 1)[1].strip() if models else cpu
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join([f"{cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} threads", *gpus])
