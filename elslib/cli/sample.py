"""`elslib sample`: samples of the theory."""

from pathlib import Path

import click

from elslib.cli.common import work
from elslib.experiments.sampling import Sampling
from elslib.scales import constant_scale, published_scale


@click.command("sample")
@click.option("--dataset", default="fashion_mnist_10k", show_default=True)
@click.option("--machine", type=click.Choice(["els", "ls"]), default="els", show_default=True)
@click.option("--edges", type=click.Choice(["aware", "circular"]), default="aware")
@click.option("--scale", default="fmnist-resnet-zeros", show_default=True, help="Published scale.")
@click.option("--window", type=click.IntRange(1, 4095), help="One window at all times instead.")
@click.option("--label", type=click.IntRange(0, 2**31 - 1), help="Class; without it, all images.")
@click.option("--samples", type=click.IntRange(1, 10_000), default=8, show_default=True)
@click.option("--first-seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--steps", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("samples"), show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@work
def draw(dataset, machine, edges, scale, window, label, samples, first_seed, steps, out, device):
    """Draw samples from a local machine: OUT.npz, OUT.json and, if grey or RGB, OUT.png.

    DATASET is a name of `elslib data list`, or a file of images in numpy's format, which may be
    larger than the memory. Under torchrun each process sums over its shard of the images, with
    --device cuda on a GPU of its own. Examples:

    elslib sample --dataset fashion_mnist/train --label 3 --samples 4

    torchrun --nproc-per-node 2 -m elslib sample --label 3
    """
    table = constant_scale(window) if window else published_scale(scale)
    seeds = range(first_seed, first_seed + samples)
    return Sampling(dataset, machine, edges, table, label, seeds, steps, out, device)
