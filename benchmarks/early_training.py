"""A network early in its training: how near the theory its pictures are, and how well it denoises.

    python benchmarks/early_training.py --network fashion-unet-attention

`elslib train` keeps weights of a UNet of clothes after ever more steps. Each of them draws from
the noise of `elslib agree`, and is compared with what the theories drew from it, with the windows
of the trained network, and with what other networks and ELS with their windows drew (`--beside`).
All pictures are clamped to [-1, 1]. The r of one that is constant counts as 0.
Writes data/results/early-NETWORK.json: Pearson's r of each seed, and the loss on held-out images.
"""

from pathlib import Path

import click
import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm.auto import tqdm

from elslib.analysis.agreement import NETWORK_STEPS, batches
from elslib.analysis.metrics import pearson_r
from elslib.data.image_set import ImageSet
from elslib.experiments.agreement_results import read_pictures
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.recipes import held_out_images
from elslib.experiments.store import (
    load_network,
    made_of,
    network_paths,
    result_path,
    training_images,
    weights_sha256,
)
from elslib.io import write_json
from elslib.networks.architectures import rebuild
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.networks.training import held_out_loss
from elslib.samplers import initial_noise, sample

STEPS = NETWORK_STEPS[0]


def snapshots(network: str) -> dict[int, Path]:
    """Where the weights after so many steps are, in order."""
    weights = network_paths(network)[0]
    folder, name = weights.parent / ".snapshots", weights.stem
    ends = {path: path.stem.removeprefix(f"{name}-") for path in folder.glob(f"{name}-*")}
    found = {int(end): path for path, end in ends.items() if end.isdigit()}
    if not found:
        raise click.UsageError(f"no snapshots of {network} in {folder}; train it with elslib train")
    return dict(sorted(found.items()))


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


@click.command()
@click.option("--network", default="fashion-unet-attention", show_default=True)
@click.option(
    "--beside",
    multiple=True,
    default=("fashion-resnet", "fashion-unet"),
    show_default=True,
    help="Compared with it, too; repeatable.",
)
def main(network: str, beside: tuple[str, ...]) -> None:
    """Draw with every snapshot; the table is printed, the json written."""
    clock, images, final = Stopwatch(), training_images(network), load_network(network)
    kept, held_out = read_pictures(network), held_out_images(network)
    others = {"ELS": kept["ELS"], "LS": kept["LS"], "IS": kept["IS"]}
    for name in beside:
        near = read_pictures(name)
        others |= {name: near["network"], f"ELS of {name}": near["ELS"]}
    rows = []
    for steps, path in tqdm(snapshots(network).items(), desc=f"early {network}", disable=None):
        state = {key: value.float() for key, value in load_file(path).items()}
        denoiser = NetworkDenoiser(rebuild(final.config, state), final.config)
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


if __name__ == "__main__":
    main()
