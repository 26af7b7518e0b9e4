"""Pictures whose limbs are to be counted: the same noise through a network and its theory.

    python benchmarks/limb_samples.py sample --network fashion-resnet --side 9 --side 15 --side 25
    python benchmarks/limb_samples.py sheet --network fashion-resnet --pictures FOLDER

`sample` writes data/results/limbs-NETWORK.npz: 100 seeds for each kind of limb, or for some of them
(`--kind`), shared evenly among its classes, drawn by the network (150 steps), by border-aware ELS
(20 steps), and by ELS whose windows have at least so many pixels (`--side`) at times below .3 and
are the calibrated ones before. It keeps each batch and resumes. `sheet` draws 60 of the pictures,
shuffled and numbered, for somebody to count by eye without knowing who drew which; the answers go
to limbs-NETWORK-by-eye.csv.
"""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elslib.analysis.agreement import NETWORK_STEPS, THEORY_STEPS
from elslib.analysis.limbs import EXPECTED, KINDS
from elslib.analysis.theories import theory_of
from elslib.data.image_set import ImageSet
from elslib.data.pixels import to_uint8
from elslib.experiments.limb_results import read_limb_results
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.resume_log import ResumeLog
from elslib.experiments.store import (
    load_network,
    load_scale,
    made_of,
    result_path,
    training_images,
)
from elslib.figures.plots import image_grid
from elslib.io import json_bytes, npz_bytes, write_together
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.samplers import ddim, initial_noise, sample, uniform_times
from elslib.scales import ScaleTable

SEEDS, BATCH = 100, 10
LATE = 0.3
LABELLED = 60


def batches(kinds: Iterable[str]) -> list[tuple[str, int, list[int]]]:
    """Kind, class and seeds; seed s has the class s mod the number of the kind's classes."""
    found = []
    for kind in kinds:
        classes = [label for label, counted in KINDS.items() if counted == kind]
        for i, label in enumerate(classes):
            seeds = list(range(i, SEEDS, len(classes)))
            found += [(kind, label, seeds[j : j + BATCH]) for j in range(0, len(seeds), BATCH)]
    return found


@dataclass(frozen=True)
class Painters:
    """Who draws: a network, its theory, theory with wider late windows."""

    network: NetworkDenoiser
    images: ImageSet
    scale: ScaleTable
    sides: tuple[int, ...]

    def draw(self, seeds: list[int], label: int) -> dict[str, Tensor]:
        """What each draws from the noise of these seeds, [b, 1, h, w]."""
        network, images = self.network, self.images
        noise = initial_noise(seeds, images.pixels.shape[1:])
        labels = torch.full((len(seeds),), label)
        theory = theory_of(network, images, self.scale)
        times = uniform_times(THEORY_STEPS)
        with torch.no_grad():
            steps = list(ddim(theory, noise, times, labels))
        found = {
            "theory": steps[-1].x0,
            "network": sample(network, noise, labels, max(NETWORK_STEPS)),
        }
        late = next(step for step in steps if step.t < LATE)
        for side in self.sides:
            wider = self.scale.widened(side, LATE)
            theory = theory_of(network, images, wider)
            found[f"late {side}"] = sample(theory, late.x, labels, times=times[late.i :])
        return found


def sheet_order(kinds: np.ndarray) -> np.ndarray:
    """LABELLED pictures: which row, and whether the network (0) or the theory (1) drew it; equally
    many of each kind and painter, shuffled."""
    rng, chosen = np.random.default_rng(0), []
    drawn = [kind for kind in EXPECTED if kind in kinds]
    for kind in drawn:
        rows = rng.permutation(np.flatnonzero(kinds == kind))[: LABELLED // len(drawn)]
        chosen += [(row, i % 2) for i, row in enumerate(rows)]
    return rng.permutation(np.array(chosen))


@click.group()
def main() -> None:
    """Samples whose limbs are counted in the book."""


@main.command("sample")
@click.option("--network", default="fashion-resnet", show_default=True)
@click.option("--side", "sides", multiple=True, type=int, help="Of late windows; repeatable.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(list(EXPECTED)),
    default=list(EXPECTED),
    help="Of limbs; repeatable, all if none is given.",
)
def draw_all(network: str, sides: tuple[int, ...], kinds: tuple[str, ...]) -> None:
    """Draw the pictures; resumes an interrupted run."""
    images, scale = training_images(network), load_scale(network, "els")
    if wrong := [side for side in sides if side < 1 or side % 2 == 0]:
        raise click.UsageError(f"side must be odd and positive, got {wrong}.")
    painters = Painters(load_network(network), images, scale, sides)
    config = {
        **made_of(network, images),
        "windows": list(scale.windows),
        "late": LATE,
        "sides": list(sides),
        "kinds": list(kinds),
        "seeds": SEEDS,
    }
    record_path = result_path("limbs", network)
    kept = ResumeLog(record_path.parent / ".state" / record_path.name, config)
    todo = batches(kinds)[len(kept.items) :]
    for kind, label, seeds in tqdm(todo, desc=f"limbs {network}", disable=None):
        clock = Stopwatch()
        bytes_of = {
            name: to_uint8(x)[:, 0].tolist() for name, x in painters.draw(seeds, label).items()
        }
        kept.add({
            "kind": kind, "label": label, "seeds": seeds, "pictures": bytes_of,
            "seconds": clock.seconds,
        })  # fmt: skip
    write(record_path, kept)


def write(record_path: Path, kept: ResumeLog) -> None:
    """All batches as one npz beside their run record."""
    arrays: dict[str, np.ndarray] = {}
    per_seed = [(item["kind"], item["label"], s) for item in kept.items for s in item["seeds"]]
    for name, column in zip(("kind", "label", "seed"), zip(*per_seed, strict=True), strict=True):
        arrays[name] = np.array(column)
    for name in kept.items[0]["pictures"]:
        drawn = [item["pictures"][name] for item in kept.items]
        arrays[name] = np.concatenate([np.array(some, dtype=np.uint8) for some in drawn])
    arrays["sheet"] = sheet_order(arrays["kind"])
    path = record_path.with_suffix(".npz")
    images_sha256, seconds = kept.config["images_sha256"], kept.seconds()
    record = RunRecord("benchmarks/limb_samples.py", kept.config, images_sha256, seconds)
    of_arrays = npz_bytes(arrays, zipfile.ZIP_LZMA)
    write_together({path: of_arrays, record_path: json_bytes(record.json())})
    click.echo(f"{path}: {len(arrays['seed'])} seeds, {seconds / 60:.1f} minutes")


@main.command("sheet")
@click.option("--network", default="fashion-resnet", show_default=True)
@click.option("--pictures", required=True, type=click.Path(file_okay=False, path_type=Path))
def draw_sheet(network: str, pictures: Path) -> None:
    """Draw the numbered pictures, ten in a row, into PICTURES/sheet.png."""
    kept = read_limb_results(network)
    drawn = kept.drawn["network"], kept.drawn["theory"]
    shown = torch.stack([drawn[who][row] for row, who in kept.sheet.tolist()])
    rows = {str(i): shown[i : i + 10] for i in range(0, LABELLED, 10)}
    notes = {name: [str(int(name) + j) for j in range(10)] for name in rows}
    pictures.mkdir(parents=True, exist_ok=True)
    image_grid(rows, notes=notes).savefig(pictures / "sheet.png", dpi=250)


if __name__ == "__main__":
    main()
