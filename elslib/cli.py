"""`elslib ...`: data, training, calibration and the book from the command line."""

import os
from dataclasses import asdict
from functools import wraps

import click
import numpy as np
from tqdm.auto import tqdm

from elslib import datasets, networks, training
from elslib.records import RunRecord, write_json
from elslib.schedules import cosine

USER_ERRORS = (ValueError, OSError)


def plain_errors(command):
    """Show a user's error as one line with exit code 2, not as a stack trace."""

    @wraps(command)
    def wrapped(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except USER_ERRORS as error:
            if os.environ.get("ELSLIB_DEBUG"):
                raise
            raise click.UsageError(str(error)) from error

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="elslib")
def main() -> None:
    """Score machines that are posteriors over training patches, and the book about them."""


@main.group()
def data() -> None:
    """List the image sets, or fetch a full one."""


@data.command("list")
@plain_errors
def data_list() -> None:
    """What is embedded and what can be fetched. Example: elslib data list"""
    for name, about in datasets.manifest().items():
        click.echo(f"{name:24} {about['shape']}  {about['licence']}  ({about['source']})")
    click.echo(f"full sets, in {datasets.cache_folder()}: {', '.join(datasets.FULL_SETS)}")


@data.command("fetch")
@click.argument("name", type=click.Choice(list(datasets.FULL_SETS)))
@plain_errors
def data_fetch(name: str) -> None:
    """Download a full image set into ELSLIB_DATA. Example: elslib data fetch cifar10"""
    for split in ("train", "test"):
        images = datasets.load(f"{name}/{split}", download=True)
        click.echo(f"{images.name}: {tuple(images.images.shape)}, sha256 {images.sha256[:16]}")


@main.command()
@click.option("--name", required=True, help="Name of the result in data/networks.")
@click.option("--dataset", default="fashion_mnist_10k", show_default=True)
@click.option("--held-out", default="fashion_mnist_test_1k", show_default=True)
@click.option("--width", type=click.IntRange(min=8), default=64, show_default=True)
@click.option("--padding", type=click.Choice(["zeros", "circular"]), default="zeros")
@click.option("--conditional/--unconditional", default=True, show_default=True)
@click.option("--updates", type=click.IntRange(min=1), default=6000, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=1e-3)
@click.option("--seed", type=click.IntRange(0, 2**30 - 1), default=0, show_default=True)
@click.option("--note", default="", help="One line for the card.")
@plain_errors
def train(name, dataset, held_out, width, padding, conditional, updates, batch, rate, seed, note):
    """Train a ResNet, or resume the run NAME where it stopped.

    Example: elslib train --name fashion-resnet-short --updates 6000
    """
    images = datasets.load(dataset)
    classes = len(images.class_names) if conditional else None
    config = training.TrainConfig(
        networks.NetworkConfig(images.images.shape[1], width, padding=padding, classes=classes),
        updates=updates,
        batch=batch,
        rate=rate,
        seed=seed,
    )
    trainer = training.Trainer(config, images)
    weights, card = networks.network_paths(name)
    state = weights.parent / ".state" / weights.name
    bar = tqdm(training.train(trainer, state), total=updates, desc=name, disable=None)
    for step in bar:
        bar.n = step.update + 1
        if step.update % 20 == 0:
            bar.set_postfix(loss=f"{np.mean(trainer.losses[-100:]):.4f}")
        elif step.update % 500 == 499:
            click.echo(f"update {step.update + 1}: loss {np.mean(trainer.losses[-500:]):.4f}")
    training.write_tensors(weights, trainer.average, {"images": images.sha256})
    loss = held_out_losses(trainer, datasets.load(held_out))
    write_json(card, network_card(name, note, trainer, loss))
    click.echo(f"{weights}: {loss}, {trainer.seconds / 60:.1f} minutes")


def held_out_losses(trainer: training.Trainer, held_out) -> dict[str, float]:
    """Training loss over the last tenth of the updates, and the averaged weights' held-out loss."""
    tail = trainer.losses[-max(1, len(trainer.losses) // 10) :]
    return {
        "training": round(float(np.mean(tail)), 5),
        "held_out": round(training.held_out_loss(trainer.denoiser(), held_out), 5),
    }


def network_card(name: str, note: str, trainer: training.Trainer, loss: dict[str, float]) -> dict:
    """The json card beside a network's weights."""
    config = asdict(trainer.config)
    network = config.pop("network")
    record = RunRecord("elslib train", config, trainer.images.sha256, round(trainer.seconds, 1))
    curve = np.array_split(np.array(trainer.losses), min(60, len(trainer.losses)))
    return {
        "name": name,
        "note": note,
        "network": network,
        "schedule": cosine().name,
        "training": config,
        "images": {"name": trainer.images.name, "sha256": trainer.images.sha256},
        "loss": loss,
        "loss_curve": [round(float(part.mean()), 5) for part in curve],
        "record": record.json(),
    }


if __name__ == "__main__":
    main()
