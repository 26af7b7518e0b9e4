r"""Is the theory right about whose pixels a network draws? Take the images away and train again.

    python benchmarks/removal.py train --network fashion-resnet
    python benchmarks/removal.py measure --network fashion-resnet --again fashion-resnet-again

For the seeds 0, 1, ... the machine ELS says how much of its picture comes from each training image
(`elslib.attribute`, mean over the steps). Of each seed's class the images with the most mass are
replaced by others of the class, so that the order in which a training sees the rest stays as it
was. `train` makes the network anew from the same first weights, once so and once with as many other
images replaced, drawn at random; it resumes where it was stopped, and keeps both networks
in data/networks/.removal. No two of the seeds have one class, so one training serves all.
`measure` draws from the same noise with all of them, and with ELS on exactly the images
that each was trained on, in 20 steps each. It writes data/results/removal-NETWORK.json: Pearson's r
between the change of the network's picture and the change that ELS says, and both sizes; beside the
change between two trainings that differ in their seed alone (`--again`). The pictures go to .npz.
"""

import zipfile
from dataclasses import replace
from typing import NamedTuple

import click
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elslib.analysis.attribution import attribute
from elslib.analysis.metrics import pearson_r
from elslib.analysis.theories import theory_of
from elslib.data.image_set import ImageSet
from elslib.data.pixels import to_uint8
from elslib.denoisers.machines import Denoiser
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.recipes import Recipe, held_out_images
from elslib.experiments.store import (
    load_card,
    load_network,
    load_scale,
    made_of,
    network_paths,
    result_path,
    training_images,
    weights_sha256,
)
from elslib.experiments.train_network import make
from elslib.io import write_arrays, write_json
from elslib.networks.architectures import NetworkConfig
from elslib.networks.training import TrainConfig
from elslib.samplers import initial_noise, sample

SEEDS, REMOVED, STEPS = 8, 50, 20
KINDS = ("most", "random")


class Removal(NamedTuple):
    """Images of a network, and which of them a training without some sees instead."""

    images: ImageSet
    noise: Tensor
    labels: Tensor
    removed: dict[str, Tensor]  # of each kind [seeds, k], numbers of images
    share: dict[str, Tensor]  # of the mass that these have [seeds]

    def without(self, kind: str) -> ImageSet:
        """The images with those removed replaced by others of their classes."""
        gone, source = self.removed[kind].flatten(), torch.arange(len(self.images))
        generator = torch.Generator().manual_seed(0)
        for label, own in zip(self.labels.tolist(), self.removed[kind], strict=True):
            there = self.images.of_class(label)
            there = there[~torch.isin(there, gone)]
            source[own] = there[torch.randint(len(there), (len(own),), generator=generator)]
        return self.images.select(source)


def removal_of(network: str) -> Removal:
    """The images with the most mass in what ELS draws of the first seeds, and random others."""
    images, denoiser = training_images(network), load_network(network)
    if denoiser.classes is None or denoiser.classes < SEEDS:
        raise click.UsageError(f"{network} must tell at least {SEEDS} classes apart.")
    machine = theory_of(denoiser, images, load_scale(network, "els"))
    noise, labels = initial_noise(range(SEEDS), images.pixels.shape[1:]), torch.arange(SEEDS)
    removed: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    share: dict[str, list[float]] = {kind: [] for kind in KINDS}
    generator = torch.Generator().manual_seed(1)
    for one, label in zip(tqdm(noise, desc="attribution"), labels.tolist(), strict=True):
        steps = [step.share[0] for step in attribute(machine, one[None], label, n_steps=STEPS)]
        mass = torch.stack(steps).mean(0)
        most = mass.argsort(descending=True)[:REMOVED]
        others = images.of_class(label)
        others = others[~torch.isin(others, most)]
        random = others[torch.randperm(len(others), generator=generator)[:REMOVED]]
        for kind, chosen in (("most", most), ("random", random)):
            removed[kind].append(chosen)
            share[kind].append(float(mass[chosen].sum()))
    return Removal(
        images, noise, labels,
        {kind: torch.stack(numbers) for kind, numbers in removed.items()},
        {kind: torch.tensor(shares) for kind, shares in share.items()},
    )  # fmt: skip


def recipe_of(network: str, kind: str, images: ImageSet) -> Recipe:
    """As the network was trained, on other images."""
    card = load_card(network)
    config = TrainConfig(NetworkConfig(**card["network"]), **card["training"])
    name = network_paths(network)[0].parent / ".removal" / f"{network}-{kind}"
    return Recipe(str(name), images, held_out_images(network), config)


@click.group()
def main() -> None:
    """Whose pixels a network draws: training without them."""


@main.command()
@click.option("--network", default="fashion-resnet", show_default=True)
def train(network: str) -> None:
    """Train the network again without the images that matter most, and without random ones."""
    removal = removal_of(network)
    for kind in KINDS:
        recipe = recipe_of(network, kind, removal.without(kind))
        recipe.weights.parent.mkdir(exist_ok=True)
        steps = tqdm(make(recipe), total=recipe.config.steps, desc=f"{network} without {kind}")
        for trainer, _ in steps:
            steps.set_postfix(loss=trainer.losses[-1], refresh=False)


@main.command()
@click.option("--network", default="fashion-resnet", show_default=True)
@click.option("--again", required=True, help="The same recipe with another seed.")
def measure(network: str, again: str) -> None:
    """Draw with all of them; the table is printed, json and npz are written."""
    clock, removal = Stopwatch(), removal_of(network)
    denoiser = load_network(network)
    machine = theory_of(denoiser, removal.images, load_scale(network, "els"))

    def drawn(by: Denoiser) -> Tensor:
        return sample(by, removal.noise, removal.labels, STEPS)

    pictures = {
        "network": drawn(denoiser),
        "ELS": drawn(machine),
        "again": drawn(load_network(again)),
    }
    weights = {"again": weights_sha256(again)}
    for kind in KINDS:
        images = removal.without(kind)
        recipe = recipe_of(network, kind, images)
        pictures[f"network_{kind}"] = drawn(load_network(recipe.name))
        pictures[f"ELS_{kind}"] = drawn(replace(machine, images=images))
        weights[kind] = weights_sha256(recipe.name)
    changes = {
        **{f"{by}_{kind}": pictures[f"{by}_{kind}"] - pictures[by]
           for by in ("network", "ELS") for kind in KINDS},
        "network_again": pictures["again"] - pictures["network"],
    }  # fmt: skip
    rows = [
        {
            "seed": seed,
            "share": {kind: float(removal.share[kind][seed]) for kind in KINDS},
            "size": {name: float(x[seed].square().mean().sqrt()) for name, x in changes.items()},
            # Said by ELS, and done by the network; "said_most_did_random" is a control.
            "r": {
                f"said_{said}_did_{did}": float(
                    pearson_r(changes[f"ELS_{said}"][[seed]], changes[f"network_{did}"][[seed]])
                )
                for said in KINDS
                for did in (*KINDS, "again")
            },
        }
        for seed in range(SEEDS)
    ]
    for row in rows:
        click.echo(row)
    config = {
        **made_of(network, removal.images),
        "weights": weights,
        "removed": REMOVED,
        "steps": STEPS,
        "removed_images": {kind: numbers.tolist() for kind, numbers in removal.removed.items()},
    }
    record = RunRecord("benchmarks/removal.py", config, removal.images.sha256, clock.seconds)
    path = result_path("removal", network)
    bytes_of = {name: to_uint8(x.clamp(-1, 1)).numpy() for name, x in pictures.items()}
    write_arrays(path.with_suffix(".npz"), bytes_of, zipfile.ZIP_LZMA)
    write_json(path, {"rows": rows, "record": record.json()})


if __name__ == "__main__":
    main()
