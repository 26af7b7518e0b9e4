r"""Is the theory right about whose pixels a network draws? Take the images away and train again.

    python benchmarks/removal.py train --network fashion-resnet --removed 50,300
    python benchmarks/removal.py measure --network fashion-resnet --removed 50,300 \
        --again fashion-resnet-again --pictures 4

For the seeds 0, 1, ..., one a class, the machine ELS says how much of its picture comes from each
training image (`elslib.attribute`, mean over the steps). Of each class so many images with the most
mass are replaced by others of the class, so that the order in which a training sees the rest stays
as it was. `train` makes the network anew from the same first weights, once so and once with as many
other images replaced, drawn at random; it resumes where it was stopped, and keeps the networks
in data/networks/.removal. No two of the seeds have one class, so one training serves all.
`measure` draws from the same noise with all of them, and with ELS on exactly the images
that each was trained on, in 20 steps each. It writes data/results/removal-NETWORK.json: Pearson's r
between the change of the network's picture and the change that ELS says, and both sizes; beside the
change between two trainings that differ in their seed alone (`--again`). The pictures of the seeds
that chose the images go to .npz; with `--pictures` further noise images of each class are drawn and
compared, too, to which the same removals happened.
"""

import zipfile
from dataclasses import replace
from typing import NamedTuple

import click
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elslib.analysis.attribution import attribute
from elslib.analysis.metrics import pearson_r
from elslib.analysis.theories import theory_of
from elslib.data.image_set import ImageSet
from elslib.data.pixels import to_uint8
from elslib.denoisers.machines import Denoiser
from elslib.experiments.how_far import check_twins
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
from elslib.experiments.train_network import is_made, make
from elslib.io import json_bytes, npz_bytes, write_together
from elslib.networks.architectures import NetworkConfig
from elslib.networks.training import TrainConfig
from elslib.samplers import initial_noise, sample

CLASSES, STEPS = 8, 20
KINDS = ("most", "random")


class Removal(NamedTuple):
    """Images of a network, and which of them a training without some sees instead."""

    images: ImageSet
    noise: Tensor
    labels: Tensor  # 0, 1, .. and again; the first of each class chooses what is removed from it
    mass: Tensor  # of each image in each of the pictures [seeds, n], mean over the steps
    removed: dict[str, Tensor]  # of each kind [classes, k], numbers of images

    def without(self, kind: str) -> ImageSet:
        """The images with those removed replaced by others of their classes."""
        gone, source = self.removed[kind].flatten(), torch.arange(len(self.images))
        generator = torch.Generator().manual_seed(0)
        for label, own in enumerate(self.removed[kind]):
            there = self.images.of_class(label)
            there = there[~torch.isin(there, gone)]
            source[own] = there[torch.randint(len(there), (len(own),), generator=generator)]
        return self.images.select(source)


def masses(network: str, pictures: int = 1) -> Removal:
    """How much of what ELS draws of the first seeds, so many of each class, comes from each image;
    nothing removed yet."""
    images, denoiser = training_images(network), load_network(network)
    if denoiser.classes is None or denoiser.classes < CLASSES:
        raise click.UsageError(f"{network} must tell at least {CLASSES} classes apart.")
    machine = theory_of(denoiser, images, load_scale(network, "els"))
    labels = torch.arange(CLASSES * pictures) % CLASSES
    noise = initial_noise(range(len(labels)), images.pixels.shape[1:])
    mass = [
        torch.stack([step.share[0] for step in attribute(machine, one[None], label, n_steps=STEPS)])
        for one, label in zip(tqdm(noise, desc="attribution"), labels.tolist(), strict=True)
    ]
    return Removal(images, noise, labels, torch.stack(mass).mean(1), {})


def removing(whole: Removal, count: int) -> Removal:
    """So many images of each class, those with the most mass, and as many random others."""
    removed: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    generator = torch.Generator().manual_seed(1)
    for label, mass in enumerate(whole.mass[:CLASSES]):
        own = whole.images.of_class(label)
        if 2 * count > len(own):
            raise click.UsageError(
                f"--removed must be at most half of a class, got {count} of {len(own)} in {label}."
            )
        most = mass.argsort(descending=True)[:count]
        others = own[~torch.isin(own, most)]
        removed["most"].append(most)
        removed["random"].append(others[torch.randperm(len(others), generator=generator)[:count]])
    return whole._replace(removed={kind: torch.stack(some) for kind, some in removed.items()})


def recipe_of(network: str, kind: str, removal: Removal) -> Recipe:
    """As the network was trained, on other images."""
    card, images = load_card(network), removal.without(kind)
    config = TrainConfig(NetworkConfig(**card["network"]), **card["training"])
    count = removal.removed[kind].shape[1]
    name = network_paths(network)[0].parent / ".removal" / f"{network}-{kind}-{count}"
    return Recipe(str(name), images, held_out_images(network), config)


def numbers(_context: click.Context, _parameter: click.Parameter, text: str) -> list[int]:
    """Numbers between commas."""
    found = [int(part) for part in text.split(",") if part.isdecimal() and int(part)]
    if not found or len(found) != len(text.split(",")):
        raise click.BadParameter(f"must be numbers of images, such as 50,300, got {text!r}.")
    return found


@click.group()
def main() -> None:
    """Whose pixels a network draws: training without them."""


@main.command()
@click.option("--network", default="fashion-resnet", show_default=True)
@click.option("--removed", default="50", show_default=True, callback=numbers)
def train(network: str, removed: list[int]) -> None:
    """Train the network again without the images that matter most, and without random ones."""
    whole = masses(network)
    for count in removed:
        removal = removing(whole, count)
        for kind in KINDS:
            recipe = recipe_of(network, kind, removal)
            recipe.weights.parent.mkdir(exist_ok=True)
            what = f"{network} without {count} {kind}"
            steps = tqdm(make(recipe), total=recipe.config.steps, desc=what)
            for trainer, _ in steps:
                steps.set_postfix(loss=trainer.losses[-1], refresh=False)


@main.command()
@click.option("--network", default="fashion-resnet", show_default=True)
@click.option("--removed", default="50", show_default=True, callback=numbers)
@click.option("--again", required=True, help="The same recipe with another seed.")
@click.option("--pictures", default=1, show_default=True, type=click.IntRange(min=1),
              help="Of each class.")  # fmt: skip
def measure(network: str, removed: list[int], again: str, pictures: int) -> None:
    """Draw with all of them; the table is printed, json and npz are written."""
    check_twins(network, again)
    clock, whole, denoiser = Stopwatch(), masses(network, pictures), load_network(network)
    machine = theory_of(denoiser, whole.images, load_scale(network, "els"))

    def drawn(by: Denoiser) -> Tensor:
        return sample(by, whole.noise, whole.labels, STEPS)

    drawings = {"network": drawn(denoiser), "ELS": drawn(machine)}
    drawings["again"] = drawn(load_network(again))
    rows, weights, images = [], {"again": weights_sha256(again)}, {}
    for count in removed:
        removal = removing(whole, count)
        for kind in KINDS:
            recipe = recipe_of(network, kind, removal)
            if not is_made(recipe):  # which refuses one that learned without other images
                raise click.UsageError(f"{recipe.name} is not trained; run `removal.py train`.")
            drawings[f"network-{kind}-{count}"] = drawn(load_network(recipe.name))
            drawings[f"ELS-{kind}-{count}"] = drawn(replace(machine, images=recipe.images))
            weights[f"{kind}-{count}"] = weights_sha256(recipe.name)
            images[f"{kind}-{count}"] = removal.removed[kind].tolist()
        rows += compared(removal, drawings, count)
        click.echo(pd.DataFrame(rows).groupby(["removed", "of"]).median(numeric_only=True))
    config = {**made_of(network, whole.images), "again": again, "weights": weights}
    config |= {"steps": STEPS, "removed_images": images}
    record = RunRecord("benchmarks/removal.py", config, whole.images.sha256, clock.seconds)
    path = result_path("removal", network)
    kept = {name: x[:CLASSES].clamp(-1, 1) for name, x in drawings.items()}
    bytes_of = {name: to_uint8(x).numpy() for name, x in kept.items()}
    write_together({
        path.with_suffix(".npz"): npz_bytes(bytes_of, zipfile.ZIP_LZMA),
        path: json_bytes({"rows": rows, "record": record.json()}),
    })  # fmt: skip


def compared(removal: Removal, pictures: dict[str, Tensor], count: int) -> list[dict]:
    """What ELS says that removing does to each picture, and what it did, or chance, for each."""
    done = {kind: pictures[f"network-{kind}-{count}"] - pictures["network"] for kind in KINDS}
    done["again"] = pictures["again"] - pictures["network"]
    rows = []
    for kind in KINDS:
        said = pictures[f"ELS-{kind}-{count}"] - pictures["ELS"]
        share = removal.mass.gather(1, removal.removed[kind][removal.labels]).sum(1)
        # The change of a training with another seed, or without other images, is a control.
        r = {of: pearson_r(said, change).tolist() for of, change in done.items()}
        sizes = {"said": said, "done": done[kind], "again": done["again"]}
        rows += [
            {
                "removed": count,
                "of": kind,
                "seed": seed,
                "share": float(share[seed]),
                **{
                    f"size_{name}": float(x[seed].square().mean().sqrt())
                    for name, x in sizes.items()
                },
                **{f"r_with_{of}": found[seed] for of, found in r.items()},
            }
            for seed in range(len(removal.labels))
        ]
    return rows


if __name__ == "__main__":
    main()
