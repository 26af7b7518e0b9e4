"""Sweeps of the agreement: read back what `notebooks/12_sweep.py` glued over a grid of parameters.

A sweep has one csv, as `elslib sweep` writes it, a row a run; a run has several seeds. Here is one
`Swept` a seed, so that runs of different seeds add up.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.analysis.agreement import NETWORK_STEPS
from elslib.data.folders import data_folder
from elslib.experiments.store import load_scale, weights_sha256


@dataclass(frozen=True)
class Point:
    """What a theory was made of: the parameters of the notebook that were swept.

    `n_images` counts the training images of a class, 0 for all.
    """

    network: str
    machine: str
    window_factor: float
    n_images: int
    theory_steps: int


@dataclass(frozen=True)
class Swept:
    """Pearson's r of the theory at `point` with the network, from the noise image `seed`."""

    point: Point
    seed: int
    network_steps: int
    r: float


def sweep_path(name: str) -> Path:
    """The csv of a sweep; its run record is the json beside it."""
    return data_folder() / "results" / f"sweep-{name}.csv"


def read_sweep(name: str) -> list[Swept]:
    """All seeds of all runs.

    Raises FileNotFoundError if there is no sweep of that name, or no scale, ValueError if a network
    has other weights or other windows now.
    """
    path = sweep_path(name)
    if not path.is_file():
        raise FileNotFoundError(f"no sweep {name!r} ({path}); make it with `elslib sweep`.")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for network, weights in sorted({(row["network"], row["weights_sha256"]) for row in rows}):
        if weights != weights_sha256(network):
            raise ValueError(
                f"{path} must belong to the weights of {network!r}, but was made with others "
                f"(sha256 {weights[:16]}...); sweep again."
            )
    asked = {(row["network"], row["machine"], row["window_factor"], row["windows"]) for row in rows}
    for network, machine, factor, windows in sorted(asked):
        sides = load_scale(network, machine).scaled(float(factor)).windows
        if windows != (now := " ".join(str(side) for side in sides)):
            raise ValueError(
                f"{path} must be of the windows of {network!r} for {machine!r}, which times "
                f"{factor} are {now}, but was made with {windows}; sweep again."
            )
    return [one for row in rows for one in _seeds(row)]


def _seeds(row: Mapping[str, str]) -> list[Swept]:
    point = Point(
        row["network"],
        row["machine"],
        float(row["window_factor"]),
        int(row["n_images"]),
        int(row["theory_steps"]),
    )
    seeds = [int(seed) for seed in row["seeds"].split()]
    return [
        Swept(point, seed, steps, float(r))
        for steps in NETWORK_STEPS
        for seed, r in zip(seeds, row[f"r_{steps}_each"].split(), strict=True)
    ]


def at(swept: Iterable[Swept], point: Point, network_steps: int = 150) -> Float[Tensor, " n"]:
    """r at a point in the order of the seeds, float64; each seed once. ValueError if there is none.

    Sweeps that share a point may have it twice: the first counts.
    """
    found: dict[int, float] = {}
    for one in swept:
        if one.point == point and one.network_steps == network_steps:
            found.setdefault(one.seed, one.r)
    if not found:
        raise ValueError(f"the sweep must hold {point} at {network_steps} network steps, got none.")
    return torch.tensor([found[seed] for seed in sorted(found)], dtype=torch.float64)


def curve(
    swept: Iterable[Swept], base: Point, axis: str, network_steps: int = 150
) -> dict[float, Float[Tensor, " n"]]:
    """r, as `at` gives it, along one parameter: of all points that differ from `base` in it alone.

    By the parameter's value, in increasing order. Empty if there is no such point.
    """
    swept = list(swept)
    points = {
        getattr(one.point, axis): one.point
        for one in swept
        if replace(one.point, **{axis: getattr(base, axis)}) == base
    }
    return {x: at(swept, points[x], network_steps) for x in sorted(points)}
