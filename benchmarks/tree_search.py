"""What the tree search at low noise saves on whole samples.

    OMP_NUM_THREADS=1 python benchmarks/tree_search.py [--repeats 3]

For the 20 steps of one border-aware ELS sample of clothes, digits and emoji, in batches of 1 and 8:
processor seconds of each step with every comparison, with the search as the engine uses it (sorting
included), and with the search wherever it can be used, its trees kept from an earlier sample.
Repeats are interleaved step by step, and of each step the shortest counts. Where two ways do the
same, they are timed once. Also the memory of the trees, and what sorting adds to the peak of the
process. Writes data/results/tree-search.json.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import torch
from torch import Tensor

from elslib.calibration import load_scale
from elslib.datasets import data_folder, load
from elslib.machines import EquivariantLocalScore
from elslib.posterior import groups, patch_posterior, skipping
from elslib.records import RunRecord, Stopwatch, write_json
from elslib.samplers import ddim, initial_noise, uniform_times
from elslib.schedules import cosine

STEPS, BATCHES = 20, (1, 8)
SAMPLES = (
    ("clothes", "fashion_mnist_10k", 3, "fashion-resnet"),  # dresses
    ("emoji", "noto_emoji", 5, "emoji-resnet"),  # smileys
    ("digits", "mnist_5k", None, "mnist-resnet"),
)
ALWAYS = {"MOST_VALUES": 27, "MOST_NOISE": 0.65, "LEAST_PATCHES": 0, "LEAST_QUERIES": 0}


@contextmanager
def limits(**values: float):
    """Another rule of when to search."""
    with patch.multiple(skipping, **values):
        yield


def seconds(run: Callable[[], object]) -> float:
    """Processor seconds of a call, of all its threads."""
    start = time.process_time()
    run()
    return time.process_time() - start


def sampled(dataset: str, label: int | None, network: str, batch: int) -> tuple[Tensor, list[dict]]:
    """Training images, and x, t, window and seconds of each step of a sample, nothing searched."""
    images, scale = load(dataset).subset(label), load_scale(network, "els")
    machine = EquivariantLocalScore(images, scale)
    x, steps = initial_noise(range(batch), images.images.shape[1:]), []
    with limits(MOST_VALUES=0):
        run = ddim(machine, x, uniform_times(STEPS), machine.schedule)
        for _ in range(STEPS):
            start = time.process_time()
            step = next(run)
            row = {"t": step.t, "x": step.x, "window": scale.window_at(step.t)}
            steps.append({**row, "seconds": time.process_time() - start})
    return images.images, steps


def measure(dataset: str, label: int | None, network: str, batch: int, repeats: int) -> dict:
    """Seconds of each step in each of the ways, and of the whole sample."""
    images, steps = sampled(dataset, label, network, batch)
    rows = {way: np.full((repeats, STEPS), np.inf) for way in ("every", "search", "kept")}
    rows["every"][0] = [step["seconds"] for step in steps]
    searched, possible = [], []
    for step in steps:
        levels, x, k = cosine().levels(step["t"]), step["x"], step["window"]
        step["call"] = partial(patch_posterior, x, images, *levels, k, "aware")
        searched.append(skipping.skipping_pays(x, len(images), *levels, k, "aware"))
        with limits(**ALWAYS):
            possible.append(skipping.skipping_pays(x, len(images), *levels, k, "aware"))
    for repeat in range(repeats):
        groups.forget_groups()
        for i in np.flatnonzero(possible):
            with limits(MOST_VALUES=0):
                rows["every"][repeat, i] = seconds(steps[i]["call"])
            if searched[i]:
                rows["search"][repeat, i] = seconds(steps[i]["call"])
    with limits(**ALWAYS), patch.object(groups, "_kept", deque(maxlen=100)):
        for i in np.flatnonzero(possible):
            steps[i]["call"]()  # sorts
            for repeat in range(repeats):
                rows["kept"][repeat, i] = seconds(steps[i]["call"])
        trees = sum(
            part.nbytes
            for kept in groups._kept
            for part in (*kept.groups, kept.images)
            if isinstance(part, np.ndarray | Tensor)
        )
    best = {way: table.min(0) for way, table in rows.items()}
    best["search"] = np.where(searched, best["search"], best["every"])
    best["kept"] = np.minimum(best["kept"], best["every"])
    whole = {way: float(row.sum()) for way, row in best.items()}
    return {
        "images": len(images),
        "windows": [step["window"] for step in steps],
        "searched": searched,
        "seconds_a_step": {way: row.round(4).tolist() for way, row in best.items()},
        "seconds": whole,
        "gain": whole["every"] / whole["search"],
        "gain_kept": whole["every"] / whole["kept"],
        "megabytes_of_trees": trees / 1e6,
    }


def peak(dataset: str, label: int | None, network: str) -> float:
    """By how many megabytes the search raises the peak of a process: of its own, run by main."""
    images, scale = load(dataset).subset(label).images, load_scale(network, "els")
    x = initial_noise(range(8), images.shape[1:])
    calls = [
        partial(patch_posterior, x, images, *cosine().levels(t), scale.window_at(t), "aware")
        for t in (0.05, 0.2)  # the two windows, and the noisiest step, that are searched
    ]
    with limits(MOST_VALUES=0):
        calls[-1]()
    before = highest()
    for call in calls:
        call()
    return (highest() - before) / 1e3


def highest() -> int:
    """The most memory this process had, in kB; `getrusage` would tell its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


@click.command()
@click.option("--repeats", default=3)
def main(repeats: int) -> None:
    """Measure, print, write data/results/tree-search.json."""
    torch.set_num_threads(1)
    clock, rows = Stopwatch(), []
    path = data_folder() / "results" / "tree-search.json"
    tiny = torch.rand(300, 1, 32, 32)
    patch_posterior(tiny[:8], tiny, 1.0, 0.1, 3, "aware")  # compiles
    tiny = torch.rand(300, 3, 32, 32)
    patch_posterior(tiny[:8], tiny, 1.0, 0.1, 3, "aware")
    spawn = multiprocessing.get_context("spawn")
    for name, *what in SAMPLES:
        for batch in BATCHES:
            rows.append({"name": name, "batch": batch, **measure(*what, batch, repeats)})
            write_json(path, {"rows": rows})  # the record follows
            if batch == 8:
                with spawn.Pool(1) as pool:
                    rows[-1]["megabytes_of_peak"] = pool.apply(peak, what)
            shown = {key: value for key, value in rows[-1].items() if "step" not in key}
            click.echo(str(shown))
    config = {"samples": SAMPLES, "batches": BATCHES, "steps": STEPS, "repeats": repeats}
    data = ", ".join(load(dataset).sha256 for _, dataset, *_ in SAMPLES)
    record = RunRecord("benchmarks/tree_search.py", config, data, clock.seconds)
    write_json(path, {"record": record.json(), "rows": rows})
    click.echo(f"{path}: {clock.seconds / 60:.1f} minutes")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
