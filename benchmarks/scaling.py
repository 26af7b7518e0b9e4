"""Image sets larger than the memory, and sums spread over processes.

    python benchmarks/scaling.py [--folder FOLDER]

Writes data/results/scaling.json: one evaluation of LS and of border-aware ELS at window 17 over a
mapped file of 4 GB, with the memory that is not the file's (anonymous, of the whole process); and
the time of a sum on one process and on two, of one thread each. FOLDER needs 4.3 GB for a while.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import click
import numpy as np
import torch

from elslib.data.folders import data_folder
from elslib.data.named import load
from elslib.denoisers.machines import EquivariantLocalScore, LocalScore
from elslib.denoisers.sharded import join_processes, shard_denoiser
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.io import write_json
from elslib.samplers import initial_noise
from elslib.scales import constant_scale

IMAGES, WINDOW, REPEATS = 2**20, 17, 3


def anonymous() -> float:
    """This process's memory that is no file's, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


class Peak:
    """The largest anonymous memory while it is open."""

    def __enter__(self):
        self.megabytes, self._open = anonymous(), True
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def _look(self) -> None:
        while self._open:
            self.megabytes = max(self.megabytes, anonymous())
            time.sleep(0.02)

    def __exit__(self, *_):
        self._open = False
        self._watch.join()


def write_set(path: Path) -> None:
    """IMAGES different float32 images: those of the embedded set, each time with other noise."""
    seen = load("fashion_mnist_10k").pixels.numpy()
    rng = np.random.default_rng(0)
    file = np.lib.format.open_memmap(path, "w+", np.float32, (IMAGES, *seen.shape[1:]))
    for first in range(0, IMAGES, len(seen)):
        part = seen[: min(len(seen), IMAGES - first)]
        noise = rng.standard_normal(part.shape, dtype=np.float32)
        file[first : first + len(part)] = (part + 0.05 * noise).clip(-1, 1)
    file.flush()


def out_of_core(folder: Path) -> dict:
    """Seconds and peak memory of one evaluation of each machine."""
    path, x = folder / "set.npy", initial_noise([0], (1, 32, 32))
    write_set(path)
    size = path.stat().st_size
    with Peak() as peak:
        clock = Stopwatch()
        images = load(str(path))
        found: dict = {"bytes": size, "images": len(images), "opening_seconds": clock.seconds}
        for name, machine in (
            ("LS", LocalScore(images, constant_scale(WINDOW))),
            ("ELS", EquivariantLocalScore(images, constant_scale(WINDOW))),
        ):
            clock = Stopwatch()
            machine(x, 0.5)
            found[f"{name}_seconds"] = clock.seconds
            click.echo(f"{name}, window {WINDOW}, {len(images):,} images: {clock.seconds} s")
    found["peak_anonymous_megabytes"] = round(peak.megabytes)
    click.echo(f"anonymous memory at most {peak.megabytes:.0f} MB, the file has {size / 1e6:.0f}")
    return found


def worker() -> None:
    """Under torchrun: the best time of an evaluation, printed by the first process."""
    torch.set_num_threads(1)
    images, x, times = load("fashion_mnist_10k"), initial_noise([0], (1, 32, 32)), []
    with join_processes() as process:
        machine = shard_denoiser(
            lambda s: EquivariantLocalScore(s, constant_scale(9)), images, process
        )
        for _ in range(REPEATS + 1):  # the first one warms up
            start = time.perf_counter()
            machine(x, 0.5)
            times.append(time.perf_counter() - start)
    if process.rank == 0:
        print(*times[1:])


def processes() -> dict:
    """Seconds of an evaluation over 10,000 images on one process and on two, in turn."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for k in (1, 2, 1, 2):
        command = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={k}", __file__]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *command, "--worker"],
            env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found[k] += [float(seconds) for seconds in done.stdout.split()]
    ratio = min(found[2]) / min(found[1])
    ratios = [b / a for a, b in zip(found[1], found[2], strict=True)]
    click.echo(f"two processes take {ratio:.2f} of the time of one, {min(ratios):.2f} to "
               f"{max(ratios):.2f} over repeats")  # fmt: skip
    return {"seconds": found, "ratio": ratio, "ratios": ratios}


@click.command()
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--worker", "is_worker", is_flag=True, hidden=True)
def main(folder: Path | None, is_worker: bool) -> None:
    """Measure both; the table is printed, the json written."""
    if is_worker:
        return worker()
    clock = Stopwatch()
    measured = {"processes": processes()}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        measured["out_of_core"] = out_of_core(Path(scratch))
    config = {"images": IMAGES, "window": WINDOW, "repeats": REPEATS}
    data = load("fashion_mnist_10k").sha256
    record = RunRecord("benchmarks/scaling.py", config, data, clock.seconds)
    write_json(data_folder() / "results" / "scaling.json", {"record": record.json(), **measured})


if __name__ == "__main__":
    main()
