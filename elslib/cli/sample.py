"""`elslib sample`: samples of the theory."""

from pathlib import Path

import click

from elslib.analysis.theories import edges_of
from elslib.cli.common import DEVICE, NETWORK, work
from elslib.experiments import store
from elslib.experiments.sampling import Sampling
from elslib.scales import ScaleTable, constant_scale, published_scale

# The images of the example, and the windows that their authors published.
DATASET, SCALE = "fashion_mnist_10k", "fmnist-resnet-zeros"


@click.command("sample")
@click.option("--dataset", help=f"[default: those of NETWORK, else {DATASET}]")
@click.option("--machine", type=click.Choice(["els", "ls"]), default="els", show_default=True,
              help="els knows no places, ls does.")  # fmt: skip
@click.option("--edges", type=click.Choice(["aware", "circular"]),
              help="As a network has them that pads with zeros, or round.  [default: those of "
              "NETWORK, else aware]")  # fmt: skip
@click.option("--network", help=f"Take its windows, images and edges. {NETWORK}")
@click.option("--scale", help=f"Windows: a file of `elslib calibrate`, or a published scale.  "
              f"[default, for {DATASET} only: {SCALE}]")  # fmt: skip
@click.option("--window", type=click.IntRange(1, 4095), help="One window at all times instead.")
@click.option("--label", type=click.IntRange(0, 2**31 - 1), help="Class; without it, all images.")
@click.option("--samples", type=click.IntRange(1, 10_000), default=8, show_default=True,
              help="Noise images.")  # fmt: skip
@click.option("--first-seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
              help="Of the first of them.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1, 10_000), default=20, show_default=True,
              help="From noise to picture.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("samples"), show_default=True,
              help="Where the pictures go, in the current folder.")  # fmt: skip
@DEVICE
@work
def draw(
    dataset, machine, edges, network, scale, window, label, samples, first_seed, steps, out, device
):
    """Draw samples from a local machine: OUT.npz, OUT.json and OUT.png.

    The picture is drawn of grey or RGB images, at most 400.

    DATASET is a name of `elslib data list`, a folder of pictures, or a .npy or .npz file of images;
    .npy may be larger than the memory. Under torchrun each process sums over its shard of the
    images, with --device cuda on a GPU of its own. Examples:

    elslib sample --dataset fashion_mnist/train --window 5 --label 3 --samples 4

    elslib sample --network fashion-resnet

    torchrun --nproc-per-node 2 -m elslib sample --label 3
    """
    table = _windows(network, machine, scale, window, dataset)
    if network and machine == "els":
        edges = edges or edges_of(store.load_network(network))
    if network and not dataset:
        dataset = store.training_images(network).name
    seeds, edges = range(first_seed, first_seed + samples), edges or "aware"
    return Sampling(dataset or DATASET, machine, edges, table, label, seeds, steps, out, device)


def _windows(network, machine, scale, window, dataset) -> ScaleTable:
    """Those that were asked for; the published ones go with the images of the example alone."""
    asked = [name for name, value in (
        ("--network", network), ("--scale", scale), ("--window", window)
    ) if value]  # fmt: skip
    if len(asked) > 1:
        raise ValueError(f"windows must come from one option, got {' and '.join(asked)}.")
    if window:
        return constant_scale(window)
    if network:
        return store.load_scale(network, machine)
    if scale and (scale.endswith(".json") or Path(scale).is_file()):
        return ScaleTable.load(Path(scale))
    if scale is None and dataset not in (None, DATASET):
        raise ValueError(
            f"windows must be given for {dataset}: --network NAME of one that is calibrated on it, "
            f"--scale FILE, or --window SIDE."
        )
    return published_scale(scale or SCALE)
