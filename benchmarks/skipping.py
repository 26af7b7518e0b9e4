"""What skipping saves at low noise, and whether what it says of itself holds.

    python benchmarks/skipping.py

For the low-noise half of the published FashionMNIST schedule, with borders respected:

    seconds   of one call with BATCH noisy images and a whole class: every comparison, exact (what
              is skipped weighs less than 2**-17), and with TOLERANCE. One time for sorting, which
              serves all steps of a window, stands apart
    compared  the share of the sorted patches that are compared value by value
    bound     the largest and the mean over all pixels of the weight that may have been skipped, by
              the engine's own account
    error     the largest |mean - exact|, exact in float64; and the largest it is above twice the
              bound, which rounding to float32 alone may cause

Bounds and errors are over PIXELS or more pixels of several classes. Writes
data/results/skipping.json.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import click
import numpy as np
import torch
from posterior import SCALE, TIMES, noisy, seconds, window_at
from torch import Tensor
from tqdm import tqdm

from elslib.data.folders import data_folder
from elslib.data.image_set import ImageSet
from elslib.data.named import load
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.io import write_json
from elslib.posterior import leaves, patch_posterior, skipping
from elslib.posterior.groups import forget_groups, grouped
from elslib.schedules import cosine

TOLERANCE, BATCH, REPEATS = 1e-3, 8, 3
TIMED_CLASS, CLASSES = 3, (1, 3, 8)  # dresses; trousers, dresses, bags
FEW, EACH, PIXELS = 300, 10, 100_000  # training and noisy images of a class, in the check


@contextmanager
def every_comparison() -> Iterator[None]:
    """Nothing is sorted, nothing skipped."""
    with patch.object(skipping, "MOST_VALUES", 0):
        yield


@contextmanager
def counted(found: list[leaves.Sums]) -> Iterator[None]:
    """Collects the sums of all calls."""
    memory = skipping._memory

    def kept(*arguments: int) -> tuple[leaves.Sums, leaves.Scratch]:
        sums, space = memory(*arguments)
        found.append(sums)
        return sums, space

    with patch.object(skipping, "_memory", kept):
        yield


def times(images: Tensor, clean: Tensor, t: float) -> dict:
    """Seconds of the three ways at time t, best of REPEATS, in turn; and of sorting."""
    k = window_at(t)
    call = partial(patch_posterior, noisy(clean, t), images, *cosine().levels(t), k, "aware")
    pruned = partial(call, tolerance=TOLERANCE)
    forget_groups()
    first = seconds(call)
    rows: dict[str, list[float]] = {"every": [], "exact": [], "tolerance": []}
    for _ in range(REPEATS):
        with every_comparison():
            rows["every"].append(seconds(call))
        rows["exact"].append(seconds(call))
        rows["tolerance"].append(seconds(pruned))
    best = {name: min(row) for name, row in rows.items()}
    shares = {
        name: compared(run, images, k) for name, run in (("exact", call), ("tolerance", pruned))
    }
    return {
        "seconds": {**best, "sorting": max(0.0, first - best["exact"])},
        "compared": shares,
    }


def compared(call: Callable[[], object], images: Tensor, k: int) -> float:
    """Share of the leaves of sorted patches that are compared; 1 where none are sorted."""
    found: list[leaves.Sums] = []
    with counted(found):
        call()
    if not found:
        return 1.0
    seen = np.concatenate([sums.seen for sums in found])
    return float(seen.mean() / (grouped(images, k, False).copies > 0).any(1).sum())


def check(whole: ImageSet, held_out: ImageSet, t: float) -> dict:
    """Bounds and errors at time t."""
    bounds, errors = [], []
    for label in CLASSES:
        images = whole.subset(label).images[:FEW]
        x = noisy(held_out.subset(label).images[:EACH], t)
        rest = (*cosine().levels(t), window_at(t), "aware")
        found = patch_posterior(x, images, *rest, tolerance=TOLERANCE)
        exact = patch_posterior(x.double(), images.double(), *rest)
        assert found.bound is not None
        bounds.append(found.bound.flatten())
        errors.append((found.mean - exact.mean).abs().amax(1).flatten())
    bound, error = torch.cat(bounds), torch.cat(errors)
    return {
        "pixels": len(bound),
        "bound": {"largest": float(bound.max()), "mean": float(bound.mean())},
        "error": float(error.max()),
        "above_twice_the_bound": max(0.0, float((error - 2 * bound).max())),
    }


def summary(steps: list[dict]) -> dict:
    """The low-noise half in a few numbers; patches are sorted once for each window."""
    whole = {way: sum(s["seconds"][way] for s in steps) for way in ("every", "exact", "tolerance")}
    rows = [step for step in steps if "bound" in step]
    sorting = sum({row["window"]: row["seconds"]["sorting"] for row in rows}.values())
    shares = [row["compared"]["exact"] for row in rows]
    return {
        "gain_exact": whole["every"] / (whole["exact"] + sorting),
        "gain_tolerance": whole["every"] / (whole["tolerance"] + sorting),
        "compared_low": min(shares),
        "compared_high": max(shares),
        "checked": sum(row["pixels"] for row in rows),
        "bound": max(row["bound"]["largest"] for row in rows),
        "above": max(row["above_twice_the_bound"] for row in rows),
    }


@click.command()
def main() -> None:
    """Measure every step, print the table, write data/results/skipping.json."""
    clock, whole = Stopwatch(), load("fashion_mnist_10k")
    held_out = load("fashion_mnist_test_1k")
    images = whole.subset(TIMED_CLASS).images
    clean = held_out.subset(TIMED_CLASS).images[:BATCH]
    low = [t for t in TIMES if t <= 0.5]
    patch_posterior(noisy(clean, low[0]), images[:32], 1.0, 0.1, 3, "aware")  # compiles
    steps = []
    for t in tqdm(low, disable=None):
        steps.append({"t": t, "window": window_at(t), **times(images, clean, t)})
        if skips(clean, images, t):
            steps[-1] |= check(whole, held_out, t)
        click.echo(str(steps[-1]))
    whole_half = summary(steps)
    if whole_half["checked"] < PIXELS:
        raise AssertionError(f"{whole_half['checked']} pixels were checked, not {PIXELS}")
    config = {"tolerance": TOLERANCE, "batch": BATCH, "class": TIMED_CLASS, "classes": CLASSES}
    config |= {
        "images": len(images),
        "images_checked": FEW,
        "repeats": REPEATS,
        "scale": SCALE.source,
    }
    record = RunRecord("benchmarks/skipping.py", config, whole.sha256, clock.seconds)
    path = data_folder() / "results" / "skipping.json"
    write_json(path, {"record": record.json(), "summary": whole_half, "steps": steps})
    click.echo(f"{path}: {whole_half}, {clock.seconds / 60:.1f} minutes")


def skips(x: Tensor, images: Tensor, t: float) -> bool:
    """Whether the engine skips anything at time t."""
    levels = cosine().levels(t)
    return skipping.skipping_pays(x, len(images), *levels, window_at(t), "aware")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
