"""`elslib train`, `calibrate`, `agree`: networks, their windows, what predicts them."""

import click

from elslib.cli.common import work
from elslib.experiments import recipes, tasks
from elslib.networks import training

NETWORK = "Its name in data/networks, or a path without suffix, such as ./mine."


@click.command()
@click.option("--dataset", type=click.Choice(list(recipes.SUBJECTS)), required=True)
@click.option("--network", type=click.Choice(list(recipes.KINDS)), required=True)
@click.option(
    "--profile", type=click.Choice(list(recipes.PROFILES)), default="cpu", show_default=True
)
@click.option(
    "--name", default="", help="Name in data/networks, or path.  [default: DATASET-NETWORK]"
)
@click.option("--width", type=click.IntRange(24, 4096), help="Instead of the profile's.")
@click.option("--steps", type=click.IntRange(1, 10**7), help="Instead of the profile's.")
@click.option("--batch", type=click.IntRange(1, 65_536), help="Instead of the profile's.")
@click.option("--lr", type=float, help="Learning rate, instead of the profile's.")
@click.option("--decay", type=click.Choice(training.DECAYS), help="Of the learning rate; likewise.")
@click.option("--weighting", type=click.Choice(training.WEIGHTINGS), help="Of errors; likewise.")
@click.option("--seed", type=click.IntRange(0, 2**30 - 1), default=0, show_default=True)
@work
def train(dataset, network, profile, name, **changes):
    """Train a network by a recipe, or resume where it stopped; on a GPU if there is one.

    Example: elslib train --dataset fashion --network resnet
    """
    return tasks.Training(dataset, network, profile, name, **changes)


@click.command()
@click.option("--network", required=True, help=NETWORK)
@click.option("--machine", type=click.Choice(["els", "ls"]), default="els", show_default=True)
@click.option("--trajectories", type=click.IntRange(1, 10_000), default=16, show_default=True)
@click.option("--largest", type=click.IntRange(3, 255), default=17, show_default=True)
@work
def calibrate(network, machine, trajectories, largest):
    """Find the window of NETWORK at each noise level; resumes an interrupted run.

    Writes data/scales/NETWORK-MACHINE.json; beside a network at a path, PATH-MACHINE.json. Example:
    elslib calibrate --network fashion-resnet --machine els
    """
    return tasks.Calibration(network, machine, trajectories, largest)


@click.command()
@click.option("--network", required=True, help=NETWORK)
@click.option("--seeds", type=click.IntRange(1, 10_000), default=100, show_default=True)
@work
def agree(network, seeds):
    """Compare NETWORK with every theory on the seeds 0, 1, ...; resumes an interrupted run.

    Writes data/results/agreement-NETWORK: .csv the numbers, .npz the pictures, .json the record;
    beside a network at a path, PATH-agreement. Needs calibrated els and ls scales. Example:
    elslib agree --network fashion-resnet
    """
    return tasks.Agreement(network, seeds)
