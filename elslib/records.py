"""RunRecord: what produced an artefact."""

import hashlib
import io
import json
import os
import platform
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from uuid import uuid4

import numpy as np
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


class Kept:
    """Items of a long run, written to a json file one by one, so that a kill loses one at most.

    Raises ValueError for a file that is broken or that a run of another configuration left.
    """

    def __init__(self, path: Path, config: dict):
        self.path, self.config = path, config
        self.items: list[dict] = []
        if not path.exists():
            return
        try:
            kept = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is corrupt ({error}); delete it to start again.") from error
        if not isinstance(kept, dict) or not {"config", "items"} <= kept.keys():
            raise ValueError(f"{path} is no record of a run; delete it to start again.")
        if kept["config"] != config:
            both = kept["config"] | config
            other = sorted(key for key in both if kept["config"].get(key) != config.get(key))
            raise ValueError(
                f"{path} must be of this run, but is of one with other {', '.join(other)}; ask for "
                f"the same, or delete it to start again."
            )
        self.items = kept["items"]

    def add(self, item: dict) -> None:
        """Keep one more."""
        self.items.append(item)
        write_json(self.path, {"config": self.config, "items": self.items})

    def gathered(self, key: str) -> list:
        """What all items have under a key, one after the other."""
        return [entry for item in self.items for entry in item[key]]

    def seconds(self, first: int | None = None) -> float:
        """What the items took, or the `first` of them."""
        return round(sum(item["seconds"] for item in self.items[:first]), 1)


def spot_checks(candidates: int, n: int) -> list[int]:
    """Which `n` of so many kept results to compute anew; other ones for another elslib.

    A hash of the library's source decides, so nobody can choose them. Raises ValueError unless
    0 <= n <= candidates.
    """
    if not 0 <= n <= candidates:
        raise ValueError(f"n must lie in 0..{candidates}, as many as there are results, got {n}.")
    files = sorted(Path(__file__).parent.rglob("*.py"))
    source = hashlib.sha256(b"".join(path.read_bytes() for path in files)).digest()
    order = sorted(range(candidates), key=lambda i: hashlib.sha256(source + b"%d" % i).digest())
    return order[:n]


def write_json(path: Path, content: object) -> None:
    """Write json with `write_whole`; a list of numbers takes one line, not one for each."""
    text = re.sub(r"\[\n[^][{}\"]*\]", _on_one_line, json.dumps(content, indent=1))
    write_whole(path, (text + "\n").encode())


def _on_one_line(numbers: re.Match) -> str:
    return f"[{', '.join(number.strip() for number in numbers[0][1:-1].split(','))}]"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one, never half of one.

    An OSError, of a full disk say, names the file.
    """
    with part_of(path) as part:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """A name beside `path` for what is to become it; gone in the end. An OSError names `path`."""
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")  # two may write at once
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # what stopped the writing is to be heard of
            part.unlink(missing_ok=True)


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], compression: int = zipfile.ZIP_DEFLATED
) -> None:
    """Write an npz with `write_whole`. `zipfile.ZIP_LZMA` makes images a seventh to a quarter
    smaller than the usual compression, but not every program that reads npz knows it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, array in arrays.items():
            large = array.nbytes > 2**30  # only then: zip64 would change the bytes of kept files
            with archive.open(f"{name}.npy", "w", force_zip64=large) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    write_whole(path, content.getvalue())


def check_writable(path: Path) -> None:
    """Before a long run: raise OSError if `write_whole` could not write this file at its end."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} must be a file, but is a folder; give another name.")
    with part_of(path) as part:
        part.touch()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _commit() -> str:
    def git(*arguments: str) -> str:
        here = Path(__file__).parent
        done = subprocess.run(["git", "-C", here, *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        if Path(git("rev-parse", "--show-toplevel")) != Path(__file__).resolve().parents[1]:
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
