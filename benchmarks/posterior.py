"""How fast, how exact, how large: the posterior engines against a dense baseline, in one process.

    python benchmarks/posterior.py [--repeats 2] [speed] [kinds] [errors] [scaling] [memory]

Prints tables and writes data/results/posterior-benchmark.json, each part with a run record. It
needs an otherwise idle machine and takes about a quarter of an hour on two cores. Ratios compare
runs that follow each other directly, step by step, so that a slow moment hits both.
"""

import ctypes
import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from dense import dense_posterior
from torch import Tensor
from tqdm import tqdm

from elslib.data.folders import data_folder
from elslib.data.named import load
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.io import write_json
from elslib.posterior import PatchDictionary, patch_posterior
from elslib.posterior.mass import posterior_and_mass
from elslib.posterior.query import Query
from elslib.posterior.reference import reference_posterior
from elslib.samplers import initial_noise
from elslib.scales import published_scale
from elslib.schedules import cosine
from elslib.windows import Border, Window, admissible_count, as_window

SCALE = published_scale("fmnist-resnet-zeros")
TIMES = [(i + 1) / 20 for i in range(20)]
BORDERS: tuple[Border, ...] = ("aware", "circular")
CLASS, FEW = 3, 256
LARGEST = 15  # a pyramid of a larger one does not fit on a circle of 32 pixels
PARTS = ("speed", "kinds", "errors", "scaling", "memory")


def seconds(run: Callable[..., object], *arguments: object) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - start


def noisy(clean: Tensor, t: float) -> Tensor:
    """Noisy versions of clean images at time t, one seed each."""
    alpha, sigma = cosine().levels(t)
    return alpha * clean + sigma * initial_noise(range(len(clean)), clean.shape[1:]).to(clean)


def comparisons(n: int, window: int, border: Border) -> int:
    """Admissible comparisons of one query image with n training images of 32 x 32."""
    return n * int(admissible_count(32, 32, window, border).sum())


def speed(images: Tensor, clean: Tensor, repeats: int, batch: int = 8) -> dict:
    """Time of a whole schedule of evaluations: dense, reference, fused.

    The slow ones see FEW images only: their cost of a comparison does not depend on the number.
    """
    return {border: _speed(images, clean, repeats, batch, border) for border in BORDERS}


def _speed(images: Tensor, clean: Tensor, repeats: int, batch: int, border: Border) -> dict:
    table = {name: np.zeros((repeats, len(TIMES))) for name in ("dense", "reference", "fused")}
    few = images[:FEW]
    prepared, prepared_few = PatchDictionary(images), PatchDictionary(few)  # as a machine has them
    for i, t in enumerate(tqdm(TIMES, desc=border)):
        alpha, sigma = cosine().levels(t)
        rest = (alpha, sigma, window_at(t), border)
        x = noisy(clean[:batch], t)
        patch_posterior(x, images, *rest)  # warm up
        for repeat in range(repeats):
            table["dense"][repeat, i] = seconds(dense_posterior, x[:1], few, *rest)
            table["fused"][repeat, i] = seconds(patch_posterior, x, prepared, *rest)
            table["reference"][repeat, i] = seconds(
                reference_posterior,
                x[:1],
                prepared_few,
                Query(alpha, sigma, as_window(rest[2]), border),
            )
    # From seconds of a call to nanoseconds of a comparison.
    work = np.array([comparisons(1, window_at(t), border) for t in TIMES])
    for name, rows in table.items():
        rows *= 1e9 / (len(images) * batch if name == "fused" else len(few))
    best = {name: rows.min(0) for name, rows in table.items()}
    out = {
        "images": {"fused": len(images), "dense": len(few), "reference": len(few)},
        "batch": batch,
        "windows": [window_at(t) for t in TIMES],
        # The best of the repeats at each step: other guests of the machine only ever slow down.
        "ns_per_comparison": {name: (row / work).tolist() for name, row in best.items()},
        "ns_per_comparison_whole": {
            name: float(row.sum() / work.sum()) for name, row in best.items()
        },
        "times_faster": {
            name: float(best[name].sum() / best["fused"].sum()) for name in ("dense", "reference")
        },
        # And the whole schedule in each repeat, for the spread.
        "times_faster_repeats": {
            name: np.sort(table[name].sum(1) / table["fused"].sum(1)).tolist()
            for name in ("dense", "reference")
        },
    }
    for key in ("ns_per_comparison_whole", "times_faster", "times_faster_repeats"):
        click.echo(f"{border}: {key} {out[key]}")
    return out


def kinds(images: Tensor, clean: Tensor, repeats: int, batch: int = 8) -> dict:
    """How many times as long as a hard window others take over a whole schedule, and the mass."""
    dictionary = PatchDictionary(images)

    def softer(function: Callable, **changes: int) -> Callable[[Tensor, float, Border], float]:
        def timed(x: Tensor, t: float, border: Border) -> float:
            window = replace(Window(min(window_at(t), LARGEST)), **changes)
            return seconds(function, x, dictionary, *cosine().levels(t), window, border)

        return timed

    hard = softer(patch_posterior)
    others = {
        "pyramid": softer(patch_posterior, boxes=2),
        "fold of 3": softer(patch_posterior, response=3),
        "fold of 5": softer(patch_posterior, response=5),
        "mass": softer(posterior_and_mass),
    }
    out: dict = {}
    for border in BORDERS:
        table = {name: np.zeros((2, repeats, len(TIMES))) for name in others}
        for i, t in enumerate(tqdm(TIMES, desc=border)):
            x = noisy(clean[:batch], t)
            hard(x, t, border)  # warm up
            for name, other in others.items():
                for repeat in range(repeats):
                    table[name][:, repeat, i] = hard(x, t, border), other(x, t, border)
        # The best of the repeats at each step, as above.
        best = {name: rows.min(1).sum(1) for name, rows in table.items()}
        out[border] = {name: float(other / plain) for name, (plain, other) in best.items()}
        click.echo(f"{border}: {out[border]}")
    return {"images": len(images), "batch": batch, "largest_window": LARGEST, **out}


def window_at(t: float) -> int:
    """The published window of FashionMNIST's ResNet."""
    window = SCALE.window_at(t)
    assert isinstance(window, int)
    return window


def errors(images: Tensor, clean: Tensor) -> dict:
    """Largest absolute error of the mean against float64, at every step, near-duplicates among."""
    generator = torch.Generator().manual_seed(0)
    near = images[:32] + 2e-3 * torch.randn(images[:32].shape, generator=generator)
    images = torch.cat([images[:96], near.clamp(-1, 1), images[:4]])
    clean = torch.cat([clean[:1], images[:1]])  # a held-out image and one with a near-duplicate
    out: dict = {}
    for border in BORDERS:
        rows = {"fused": [], "dense": []}
        for t in TIMES:
            alpha, sigma = cosine().levels(t)
            rest = (alpha, sigma, window_at(t), border)
            x = noisy(clean, t)
            exact = patch_posterior(x.double(), images.double(), *rest).mean
            fused = patch_posterior(x, images, *rest).mean
            dense = torch.cat([dense_posterior(one[None], images, *rest) for one in x])
            rows["fused"].append(float((fused - exact).abs().max()))
            rows["dense"].append(float((dense - exact).abs().max()))
        out[border] = rows
        click.echo(f"{border}: largest error " + ", ".join(f"{k} {max(rows[k]):.1e}" for k in rows))
    return out


def best(run: Callable[[], object], repeats: int) -> list[float]:
    """Sorted seconds of some calls, after one to warm up."""
    run()
    return sorted(seconds(run) for _ in range(repeats))


def scaling(many: Tensor, clean: Tensor, repeats: int) -> dict:
    """ns per comparison over the window, the batch and the threads; seconds over n; memory."""
    t, few = 0.5, many[:FEW]
    alpha, sigma = cosine().levels(t)

    def call(images: Tensor, window: int, border: Border, batch: int = 2) -> Callable[[], object]:
        x = noisy(clean[:batch], t)
        return lambda: patch_posterior(x, images, alpha, sigma, window, border)

    def each(images: Tensor, window: int, border: Border, batch: int = 2) -> list[float]:
        work = comparisons(len(images), window, border) * batch
        return [s / work * 1e9 for s in best(call(images, window, border, batch), repeats)]

    out: dict = {"t": t, "unit": "ns per comparison"}
    out["window"] = {
        border: {k: each(few, k, border) for k in range(3, 18, 2)} for border in BORDERS
    }
    out["batch"] = {b: each(few, 5, "aware", b) for b in (1, 2, 4, 8, 16)}
    threads = torch.get_num_threads()
    out["threads"] = {}
    for count in range(1, threads + 1):
        torch.set_num_threads(count)
        out["threads"][count] = each(few, 5, "aware")
    sizes = [1_000, 3_000, 10_000, 30_000, 60_000]
    out["n_seconds"] = {n: best(call(many[:n], 11, "aware", 1), 2) for n in sizes if n <= len(many)}
    n, s = np.log(list(out["n_seconds"])), np.log([v[0] for v in out["n_seconds"].values()])
    out["n_exponent"] = float(np.polyfit(n, s, 1)[0])
    circular = out["window"]["circular"]
    out["window_17_over_3"] = circular[17][0] / circular[3][0]
    click.echo(f"window: {out['window']}\nbatch: {out['batch']}\nthreads: {out['threads']}")
    click.echo(f"n: {out['n_seconds']}, exponent {out['n_exponent']:.3f}")
    click.echo(f"circular, window 17 over window 3: {out['window_17_over_3']:.2f}")
    return out


def memory() -> dict:
    """Megabytes above the data, each in a process of its own (Linux)."""
    fresh = multiprocessing.get_context("spawn")
    out = {}
    for n in (1_000, 10_000, 60_000):
        for t in (0.15, 0.5):
            with fresh.Pool(1) as pool:
                out[f"{n} at {t}"] = pool.apply(peak_memory, (n, t))
    click.echo(f"peak memory above the data, MB: {out}")
    return {"windows": [window_at(0.15), 17], "batch": 8, "megabytes": out}


def peak_memory(n: int, t: float) -> float:
    """Megabytes that a call against n images needs beyond what is there before it.

    At low noise with the published window, whose patches are sorted; else with a large one.
    """
    images = sixty_thousand()[:n].clone()
    x = noisy(load("fashion_mnist_test_1k").subset(CLASS).pixels[:8], t)
    patch_posterior(x[:1, :, :5, :5], images[:1, :, :5, :5].contiguous(), 0.5, 0.5, 3, "aware")

    def read(key: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(key)) / 1024

    ctypes.CDLL(None).malloc_trim(0)  # what loading left behind is not counted as free space
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = read("VmRSS")
    patch_posterior(x, images, *cosine().levels(t), 17 if t >= 0.5 else window_at(t), "aware")
    return round(read("VmHWM") - before, 1)


def sixty_thousand() -> Tensor:
    """FashionMNIST's training images, or the embedded ones six times over: for timing only."""
    try:
        return load("fashion_mnist/train").pixels
    except FileNotFoundError:
        return load("fashion_mnist_10k").pixels.repeat(6, 1, 1, 1)


@click.command()
@click.option("--repeats", default=2, show_default=True, type=click.IntRange(min=1))
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
def main(repeats: int, parts: tuple[str, ...]) -> None:
    """Run PARTS, or all, and write them to data/results/posterior-benchmark.json."""
    whole = load("fashion_mnist_10k")
    images = whole.subset(CLASS).pixels
    clean = load("fashion_mnist_test_1k").subset(CLASS).pixels[:16]
    measures = {
        "speed": lambda: speed(images, clean, repeats),
        "kinds": lambda: kinds(images[:FEW], clean, repeats),
        "errors": lambda: errors(images, clean),
        "scaling": lambda: scaling(sixty_thousand(), clean, repeats),
        "memory": memory,
    }
    path = data_folder() / "results" / "posterior-benchmark.json"
    content = json.loads(path.read_text()) if path.is_file() else {}
    config = {"repeats": repeats, "class": CLASS, "scale": SCALE.source}
    for part in parts or measures:
        clock = Stopwatch()
        measured = measures[part]()
        record = RunRecord(f"benchmarks/posterior.py {part}", config, whole.sha256, clock.seconds)
        if part == "speed":  # shared machines differ from hour to hour
            now = {border: measured[border]["times_faster"]["dense"] for border in BORDERS}
            now |= {key: record.json()[key] for key in ("finished", "commit", "hardware")}
            measured["runs"] = [*content.get(part, {}).get("runs", []), now]
        content[part] = {"record": record.json(), **measured}
        write_json(path, content)
        click.echo(f"{path}: {part} in {clock.seconds / 60:.1f} minutes")


if __name__ == "__main__":
    # Denormals slow the baseline several-fold. Threads inherit the setting, so it comes first.
    torch.set_flush_denormal(True)
    main()
