r"""A network early in its training: how near the theory its pictures are, and how well it denoises.

    python benchmarks/early_training.py measure --network fashion-unet-attention \
        --beside fashion-resnet --beside fashion-unet
    python benchmarks/early_training.py film --network fashion-unet-attention

`elslib train` keeps weights of UNets after ever more steps. Each of them draws from
the noise of `elslib agree`, and is compared with what the theories drew from it, with the windows
of the trained network, and with what other networks and ELS with their windows drew (`--beside`).
All pictures are clamped to [-1, 1]. The r of one that is constant counts as 0.
`measure` writes data/results/early-NETWORK.json: Pearson's r of each seed, and the loss on held-out
images. It refuses weights that do not end as the network: they are of another training. `film`
writes early-NETWORK.npz: what each of the weights that are here draws of the first noise images. It
refuses weights whose r are not those of the table.
"""

import json
import zipfile
from pathlib import Path

import click
import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm.auto import tqdm

from elslib.analysis.agreement import NETWORK_STEPS, batches
from elslib.analysis.metrics import pearson_r
from elslib.data.image_set import ImageSet
from elslib.data.pixels import to_uint8
from elslib.experiments.agreement_results import read_pictures
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.recipes import held_out_images, kept_snapshots
from elslib.experiments.store import (
    load_network,
    made_of,
    network_paths,
    result_path,
    training_images,
    weights_sha256,
)
from elslib.io import write_arrays, write_json
from elslib.networks.architectures import rebuild
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.networks.training import held_out_loss
from elslib.samplers import initial_noise, sample

STEPS, SHOWN = NETWORK_STEPS[0], 8
ALIKE = 0.02  # of r; other processors round otherwise


def snapshots(network: str) -> dict[int, Path]:
    """Where the weights after so many steps are, in order."""
    weights = network_paths(network)[0]
    if not (found := kept_snapshots(weights)):
        raise click.UsageError(
            f"no snapshots of {network} beside {weights}; train it with elslib train"
        )
    return found


def check_ends_as(network: str, last: Path) -> None:
    """Raise if the weights after the last step are not those of the network."""
    here, there = load_file(network_paths(network)[0]), load_file(last)
    if here.keys() != there.keys() or any(not here[key].equal(there[key]) for key in here):
        raise click.UsageError(
            f"{last} is not {network} as it is; its snapshots are of another training. "
            "Remove them, and train it again with the recipe of its card."
        )


def drawn(denoiser: NetworkDenoiser, images: ImageSet, seeds: int) -> Tensor:
    """What a network draws from the noise of the seeds 0, 1, ..., by seed."""
    x = torch.empty(seeds, *images.pixels.shape[1:])
    for label, some in batches(range(seeds), denoiser.config.classes):
        noise = initial_noise(some, x.shape[1:])
        labels = None if label is None else torch.full((len(some),), label)
        x[some] = sample(denoiser, noise, labels, STEPS)
    return x.clamp(-1, 1)


def agreement(x: Tensor, other: Tensor, varies: Tensor) -> list[float]:
    """Pearson's r of each pair, 0 where x does not vary."""
    r = torch.zeros(len(x), dtype=torch.float64)
    r[varies] = pearson_r(x[varies], other[varies])
    return r.tolist()


def aged(path: Path, final: NetworkDenoiser) -> NetworkDenoiser:
    """The network with the weights of a snapshot."""
    state = {key: value.float() for key, value in load_file(path).items()}
    return NetworkDenoiser(rebuild(final.config, state), final.config)


@click.group()
def main() -> None:
    """A network early in its training."""


@main.command()
@click.option("--network", default="fashion-unet-attention", show_default=True)
@click.option("--beside", multiple=True, help="A network, compared with it, too; repeatable.")
def measure(network: str, beside: tuple[str, ...]) -> None:
    """Draw with every snapshot; the table is printed, the json written."""
    clock, images, final = Stopwatch(), training_images(network), load_network(network)
    ages = snapshots(network)
    check_ends_as(network, ages[max(ages)])
    kept, held_out = read_pictures(network), held_out_images(network)
    # What IS draws of faces is not kept: it is photographs.
    others = {name: kept[name] for name in ("ELS", "LS", "IS") if name in kept}
    for name in beside:
        near = read_pictures(name)
        others |= {name: near["network"], f"ELS of {name}": near["ELS"]}
    rows = []
    for steps, path in tqdm(ages.items(), desc=f"early {network}", disable=None):
        denoiser = aged(path, final)
        x = drawn(denoiser, images, len(kept["network"]))
        varies = x.flatten(1).std(1) > 0
        r = {name: agreement(x, other, varies) for name, other in others.items()}
        loss, constant = held_out_loss(denoiser, held_out), int((~varies).sum())
        rows.append({"steps": steps, "held_out": loss, "constant": constant, "r": r})
        medians = ", ".join(f"{k} {float(torch.tensor(v).median()):.3f}" for k, v in r.items())
        click.echo(f"{steps:,} steps: loss {loss:.4f}, median r: {medians}")
    config = {
        **made_of(network, images),
        "beside": {name: weights_sha256(name) for name in beside},
        "steps": STEPS,
    }
    record = RunRecord("benchmarks/early_training.py", config, images.sha256, clock.seconds)
    write_json(result_path("early", network), {"rows": rows, "record": record.json()})


@main.command()
@click.option("--network", default="fashion-unet-attention", show_default=True)
def film(network: str) -> None:
    """Keep the first pictures of every snapshot, and of the trained network as the last."""
    images, final, path = (
        training_images(network),
        load_network(network),
        result_path("early", network),
    )
    theory = read_pictures(network)["ELS"][:SHOWN]
    measured = {row["steps"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
    ages = {steps: aged(path, final) for steps, path in snapshots(network).items()}
    pictures = {}
    for steps, denoiser in (ages | {max(measured): final}).items():
        x = drawn(denoiser, images, SHOWN)
        now = torch.tensor(agreement(x, theory, x.flatten(1).std(1) > 0))
        then = torch.tensor(measured[steps]["r"]["ELS"][:SHOWN])
        off = float((now - then).abs().max())
        click.echo(f"{steps:,} steps: r is at most {off:.4f} off the table's")
        if off > ALIKE:
            raise click.ClickException(f"r of {steps} steps is {off:.3f} off; measure again.")
        pictures[str(steps)] = to_uint8(x).numpy()
    write_arrays(path.with_suffix(".npz"), pictures, zipfile.ZIP_LZMA)


if __name__ == "__main__":
    main()
