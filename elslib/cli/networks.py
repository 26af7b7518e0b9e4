"""`elslib train`, `calibrate`, `agree`, `pairs`: networks, their windows, what predicts them."""

from pathlib import Path

import click

from elslib.analysis.theories import KNOWN, THEORIES
from elslib.cli.common import (
    DEVICE,
    NETWORK,
    PROJECT,
    SAMPLER,
    as_json,
    lines,
    plain_errors,
    work,
)
from elslib.experiments import recipes, tasks
from elslib.experiments.import_network import import_released
from elslib.experiments.pairs import Pairs
from elslib.networks import training


def _names(_ctx, _param, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(","))


THEORY_NAMES = click.option(
    "--theories", "names", default=",".join(THEORIES), show_default=True, callback=_names,
    help=f"Of {', '.join(KNOWN)}.",
)  # fmt: skip


@click.group()
def network() -> None:
    """Take in a network that was trained elsewhere."""


@network.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help=NETWORK)
@click.option("--dataset", help="The images it was trained on; calibrate and agree need them.")
@PROJECT
@click.option("--json", "machine_readable", is_flag=True, help="Print the card as json.")
@plain_errors
def network_import(file, name, dataset, machine_readable):
    """Keep a network that the paper's authors released, a pickled FILE, as NAME of the project.

    The tensors are taken out without executing the pickle, and each is checked. Example:

    elslib network import backbone_CIFAR10_ResNet_zeros_conditional.pt
    --name released-cifar10-resnet --dataset cifar10
    """
    card = import_released(file, name, dataset)
    click.echo(as_json(card) if machine_readable else "\n".join(lines(card)))


@click.command()
@click.option("--dataset", required=True,
              help=f"One of {', '.join(recipes.SUBJECTS)}; or any set of `elslib data list`, a "
              "folder of pictures, a .npy or .npz file.")  # fmt: skip
@click.option("--architecture", "--network", "network", type=click.Choice(list(recipes.KINDS)),
              required=True, help="Of the network to be made.")  # fmt: skip
@click.option("--profile", type=click.Choice(list(recipes.PROFILES)), default="cpu",
              show_default=True,
              help="How it is trained: for a processor, or as in the paper.")  # fmt: skip
@click.option(
    "--name", default="", help="Name in the project, or path.  [default: DATASET-NETWORK]"
)
@click.option("--held-out", help="Images to measure the loss on.  [default: the set's second part]")
@click.option("--unconditional", is_flag=True, help="Do not tell the network the classes.")
@click.option("--width", type=click.IntRange(24, 4096), help="Instead of the profile's.")
@click.option(
    "--last", type=click.IntRange(1, 63), help="Odd side of a ResNet's last kernel, not 3."
)
@click.option("--steps", type=click.IntRange(1, 10**7), help="Instead of the profile's.")
@click.option("--batch", type=click.IntRange(1, 65_536), help="Instead of the profile's.")
@click.option("--lr", type=float, help="Learning rate, instead of the profile's.")
@click.option("--decay", type=click.Choice(training.DECAYS), help="Of the learning rate; likewise.")
@click.option("--weighting", type=click.Choice(training.WEIGHTINGS), help="Of errors; likewise.")
@click.option("--seed", type=click.IntRange(0, 2**30 - 1), default=0, show_default=True,
              help="Of its first weights, and of the order of images.")  # fmt: skip
@click.option("--device", type=click.Choice(["cpu", "cuda"]),
              help="Where it is computed.  [default: a GPU if it is here]")  # fmt: skip
@work
def train(dataset, network, profile, name, **changes):
    """Train a network by a recipe, or resume where it stopped.

    A folder of pictures is read at 32 x 32, in colour, and none is held out; `elslib data import`
    does it otherwise. Examples:

    elslib train --dataset fashion --architecture resnet

    elslib train --dataset photos --architecture resnet --name mine
    """
    return tasks.Training(dataset, network, profile, name, **changes)


@click.command()
@click.option("--network", required=True, help=NETWORK)
@click.option("--machine", type=click.Choice(["els", "ls"]), default="els", show_default=True,
              help="Whose windows: els knows no places, ls does.")  # fmt: skip
@click.option("--trajectories", type=click.IntRange(1, 10_000), default=16, show_default=True,
              help="Noise images that the network is followed from.")  # fmt: skip
@click.option("--largest", type=click.IntRange(3, 255), default=17, show_default=True,
              help="Side of the largest window that is tried, odd.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1, 10_000), default=20, show_default=True,
              help="Noise levels that get a window.")  # fmt: skip
@SAMPLER
@DEVICE
@work
def calibrate(network, machine, trajectories, largest, steps, sampler, device):
    """Find the window of NETWORK at each noise level; resumes an interrupted run.

    Says the best window's cosine and what it gains over the worst at each level, and warns where
    they decide nothing. Writes scales/NETWORK-MACHINE.json of the project; beside a network at a
    path, PATH-MACHINE.json. Example: elslib calibrate --network fashion-resnet --machine els
    """
    return tasks.Calibration(network, machine, trajectories, largest, device, steps, sampler)


@click.command()
@click.option("--network", required=True, help=NETWORK)
@click.option("--seeds", type=click.IntRange(1, 10_000), default=100, show_default=True,
              help="Noise images: those of the seeds 0, 1, ...")  # fmt: skip
@THEORY_NAMES
@click.option("--steps", type=click.IntRange(1, 10_000),
              help="Of both sides.  [default: theories 20, the network 20 and 150]")  # fmt: skip
@SAMPLER
@DEVICE
@work
def agree(network, seeds, names, steps, sampler, device):
    """Compare NETWORK with theories on the seeds 0, 1, ...; resumes an interrupted run.

    Writes results/agreement-NETWORK of the project: .csv the numbers, .npz the pictures, .json the
    record; beside a network at a path, PATH-agreement. Needs calibrated scales for ELS, LS and
    LocalWiener, if they are asked for. Theories compared before on the same seeds stay.

    Example: elslib agree --network fashion-resnet
    """
    return tasks.Agreement(network, seeds, names, device, steps, sampler)


@click.command()
@click.option("--network", required=True, help=NETWORK)
@click.option("--samples", type=click.IntRange(1, 10_000), default=8, show_default=True,
              help="Noise images.")  # fmt: skip
@click.option("--first-seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
              help="Of the first of them.")  # fmt: skip
@click.option("--theories", "names", default="ELS", show_default=True, callback=_names,
              help=f"Of {', '.join(KNOWN)}.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1, 10_000), default=20, show_default=True,
              help="From noise to picture.")  # fmt: skip
@SAMPLER
@click.option("--out", type=click.Path(path_type=Path),
              help="[default: results/pairs-NETWORK of the project]")  # fmt: skip
@DEVICE
@work
def pairs(network, samples, first_seed, names, steps, sampler, out, device):
    """Draw NETWORK beside its theories from the same noise: OUT.png, OUT.json.

    Example: elslib pairs --network fashion-resnet
    """
    seeds = range(first_seed, first_seed + samples)
    return Pairs(network, seeds, names, steps, sampler, out, device)
