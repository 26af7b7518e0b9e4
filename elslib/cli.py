"""`elslib ...`: data, training, calibration and the book from the command line."""

import io
import os
from contextlib import contextmanager
from dataclasses import asdict
from functools import wraps
from pathlib import Path

import click
import numpy as np
import torch
from tqdm.auto import tqdm

from elslib import agreement, calibration, datasets, distributed, figures, networks, training, zoo
from elslib.images import ImageSet, to_pixels
from elslib.machines import EquivariantLocalScore, LocalScore
from elslib.records import (
    Kept,
    RunRecord,
    Stopwatch,
    check_writable,
    write_arrays,
    write_json,
    write_whole,
)
from elslib.samplers import ddim, initial_noise, uniform_times
from elslib.schedules import cosine
from elslib.windows import Border, ScaleTable, constant_scale

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
@click.option("--dataset", type=click.Choice(list(zoo.SUBJECTS)), required=True)
@click.option("--network", type=click.Choice(list(zoo.KINDS)), required=True)
@click.option("--profile", type=click.Choice(list(zoo.PROFILES)), default="cpu", show_default=True)
@click.option("--name", default="", help="Name in data/networks.  [default: DATASET-NETWORK]")
@click.option("--width", type=click.IntRange(min=24), help="Instead of the profile's.")
@click.option("--updates", type=click.IntRange(min=1), help="Instead of the profile's.")
@click.option("--batch", type=click.IntRange(min=1), help="Instead of the profile's.")
@click.option("--rate", type=float, help="Learning rate, instead of the profile's.")
@click.option("--decay", type=click.Choice(training.DECAYS), help="Of the rate; likewise.")
@click.option("--seed", type=click.IntRange(0, 2**30 - 1), default=0, show_default=True)
@plain_errors
def train(dataset, network, profile, name, **changes):
    """Train a network of the zoo, or resume where it stopped; on a GPU if there is one.

    Example: elslib train --dataset fashion --network resnet
    """
    plan = zoo.plan(dataset, network, profile, name, **changes)
    bar = tqdm(total=plan.config.updates, desc=plan.name, disable=None)
    for trainer, step in zoo.make(plan, "cuda" if torch.cuda.is_available() else "cpu"):
        bar.update(step.update + 1 - bar.n)
        if step.update % 20 == 0:
            bar.set_postfix(loss=f"{np.mean(trainer.losses[-100:]):.4f}")
        if step.update % 1000 == 999 and bar.disable:
            click.echo(f"update {step.update + 1}: loss {np.mean(trainer.losses[-1000:]):.4f}")
    card = networks.load_card(plan.name)
    click.echo(f"{plan.weights}: {card['loss']}, {card['record']['seconds'] / 60:.1f} minutes")


@main.command()
@click.option("--network", required=True, help="A network in data/networks.")
@click.option("--machine", type=click.Choice(["els", "ls"]), default="els", show_default=True)
@click.option("--trajectories", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--largest", type=click.IntRange(min=3), default=17, show_default=True)
@plain_errors
def calibrate(network, machine, trajectories, largest):
    """Find the window of NETWORK at each noise level; resumes an interrupted run.

    Writes data/scales/NETWORK-MACHINE.json. Example:
    elslib calibrate --network fashion-resnet --machine els
    """
    denoiser, images = networks.load_network(network), networks.training_images(network)
    if largest % 2 == 0:
        raise ValueError(f"--largest must be odd, as every window is, got {largest}.")
    windows = list(range(3, largest + 1, 2))
    path = calibration.scale_path(network, machine)
    config = {
        "network": network,
        "weights_sha256": networks.weights_sha256(network),
        "machine": machine,
        "windows": windows,
        "images_sha256": images.sha256,
    }
    kept = Kept(path.parent / ".state" / path.name, config)
    seeds = [calibration.FIRST_SEED + i for i in range(trajectories)]
    classes = denoiser.config.classes
    rest = seeds[len(kept.items) :]
    runs = calibration.calibrate(
        denoiser,
        lambda window: local_machine(machine, images, constant_scale(window), denoiser.edges),
        windows,
        initial_noise(rest, images.images.shape[1:]) if rest else images.images[:0],
        denoiser.schedule,
        None if classes is None else [seed % classes for seed in rest],
    )
    clock = Stopwatch()
    for run in tqdm(runs, total=len(rest), desc=f"calibrate {network}", disable=None):
        kept.add({**run.json(), "seconds": clock.seconds})
        clock = Stopwatch()
    kept_runs = kept.items[:trajectories]
    chosen = [calibration.Trajectory.from_json(run) for run in kept_runs]
    table = calibration.scale_table(chosen, f"{machine} on {network}, {trajectories} trajectories")
    seconds = sum(run["seconds"] for run in kept_runs)
    record = RunRecord("elslib calibrate", {**config, "seeds": seeds}, images.sha256, seconds)
    runs = [run.json() for run in chosen]
    write_json(path, {**table.json(), "record": record.json(), "trajectories": runs})
    click.echo(f"{path}: {table.windows}, {seconds / 60:.1f} minutes")


@main.command()
@click.option("--network", required=True, help="A network in data/networks.")
@click.option("--seeds", type=click.IntRange(1, 10_000), default=100, show_default=True)
@plain_errors
def agree(network, seeds):
    """Compare NETWORK with every theory on the seeds 0, 1, ...; resumes an interrupted run.

    Writes data/results/agreement-NETWORK: .csv the numbers, .npz the pictures, .json the record.
    Needs calibrated els and ls scales. Example: elslib agree --network fashion-resnet
    """
    denoiser, images = networks.load_network(network), networks.training_images(network)
    scales = {machine: calibration.load_scale(network, machine) for machine in ("ls", "els")}
    theories = agreement.theories(denoiser, images, scales)
    config = {
        "network": network,
        "weights_sha256": networks.weights_sha256(network),
        "images_sha256": images.sha256,
        "windows": {machine: list(scale.windows) for machine, scale in scales.items()},
        "seeds": seeds,
        "pictures": list(agreement.SHOWN),
    }
    path = agreement.result_path(network)
    kept = Kept(path.parent / ".state" / f"{path.stem}.json", config)
    todo = agreement.batches(range(seeds), denoiser.config.classes)[len(kept.items) :]
    shape = images.images.shape[1:]
    for label, some in tqdm(todo, desc=f"agree {network}", disable=None):
        clock = Stopwatch()
        drawn = agreement.draw(denoiser, theories, some, label, shape, denoiser.schedule)
        kept.add({
            "rows": [asdict(row) for row in agreement.compare(drawn)],
            "seeds": some,
            "pictures": {name: to_pixels(x).tolist() for name, x in drawn.pictures.items()},
            "seconds": clock.seconds,
        })  # fmt: skip
    rows = [agreement.Row(**row) for item in kept.items for row in item["rows"]]
    seconds = sum(item["seconds"] for item in kept.items)
    agreement.write_rows(path, rows)
    drawn_from = [seed for item in kept.items for seed in item["seeds"]]
    pictures = {
        name: torch.tensor([x for item in kept.items for x in item["pictures"][name]]).byte()
        for name in kept.items[0]["pictures"]
    }
    agreement.write_pictures(network, drawn_from, pictures)
    record = RunRecord("elslib agree", config, images.sha256, round(seconds, 1))
    write_json(path.with_suffix(".json"), record.json())
    for name in theories:
        at = {steps: agreement.median(rows, name, steps) for steps in agreement.NETWORK_STEPS}
        medians = ", ".join(f"{interval:.3f} at {steps} steps" for steps, interval in at.items())
        click.echo(f"{name:7} r {medians}, above IS {agreement.share_above(rows, name):.2f}")
    click.echo(f"{path}: {seconds / 60:.1f} minutes")


def local_machine(machine: str, images: ImageSet, scale: ScaleTable, edges: Border):
    """LS, or ELS with these edges."""
    if machine == "ls":
        return LocalScore(images, scale)
    return EquivariantLocalScore(images, scale, edges=edges)


@main.command("sample")
@click.option("--dataset", default="fashion_mnist_10k", show_default=True)
@click.option("--machine", type=click.Choice(["els", "ls"]), default="els", show_default=True)
@click.option("--edges", type=click.Choice(["aware", "circular"]), default="aware")
@click.option("--scale", default="fmnist-resnet-zeros", show_default=True, help="Published scale.")
@click.option("--window", type=click.IntRange(min=1), help="One window at all times instead.")
@click.option("--label", type=click.IntRange(min=0), help="Class; without it, all images.")
@click.option("--samples", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--first-seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("samples"), show_default=True)
@plain_errors
def draw(dataset, machine, edges, scale, window, label, samples, first_seed, steps, out):
    """Draw samples from a local machine: OUT.npz, OUT.json and, if grey or RGB, OUT.png.

    DATASET is a name of `elslib data list`, or a file of images in numpy's format, which may be
    larger than the memory. Under torchrun each process sums over its shard of the images. Examples:

    elslib sample --dataset fashion_mnist/train --label 3 --samples 4

    torchrun --nproc-per-node 2 -m elslib sample --label 3
    """
    files = {kind: out.with_name(f"{out.name}.{kind}") for kind in ("npz", "json", "png")}
    for file in files.values():
        check_writable(file)
    images, schedule = datasets.load(dataset), cosine()
    table = constant_scale(window) if window else calibration.published_scale(scale)
    seeds = list(range(first_seed, first_seed + samples))
    labels = None if label is None else torch.full((samples,), label)
    x, clock = initial_noise(seeds, images.images.shape[1:]), Stopwatch()
    with distributed.place() as place:
        denoise = distributed.spread(
            lambda shard: local_machine(machine, shard, table, edges), images, place
        )
        ended = ddim(denoise, x, uniform_times(steps), schedule, labels)
        quiet = place.rank > 0
        for step in tqdm(ended, f"{samples} samples", steps, unit="step", disable=quiet):
            x = step.x0
    if place.rank > 0:
        return
    config = {
        "dataset": images.name,
        "machine": machine,
        "edges": edges,
        "scale": asdict(table),
        "label": label,
        "seeds": seeds,
        "steps": steps,
        "processes": place.size,
    }
    record = RunRecord("elslib sample", config, images.sha256, clock.seconds)
    write_arrays(files["npz"], {"images": x.numpy(), "seeds": np.array(seeds)})
    write_json(files["json"], record.json())
    if x.shape[1] in (1, 3):
        picture = io.BytesIO()
        figures.image_grid({"": x}, [str(seed) for seed in seeds]).savefig(picture, format="png")
        write_whole(files["png"], picture.getvalue())
    else:
        del files["png"]
    click.echo(f"{', '.join(map(str, files.values()))}: {clock.seconds / samples:.1f} s a sample")


@contextmanager
def extra(name: str):
    """Say which extra to install where a module is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is missing; install the extra: pip install 'elslib[{name}]'."
        ) from error


@main.command("sweep")
@click.argument("notebook", type=click.Path(exists=True, dir_okay=False, resolve_path=True))
@click.option("-g", "axes", multiple=True, help="NAME=VALUES: 1,2,5 or, of integers, 0:8.")
@click.option("--grid", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A yaml file: parameter to list of values.")  # fmt: skip
@click.option("--scheduler", default="", help="Of Dask, tcp://...  [default: processes here]")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Here.  [default: cores]")
@click.option("--retries", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="[default: sweeps/NOTEBOOK]")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the runs, do nothing.")
@plain_errors
def sweep_command(notebook, axes, grid, scheduler, workers, retries, out, dry_run):
    """Run NOTEBOOK over a grid of its parameters; resumes: finished runs are skipped.

    Each run has a folder in OUT; OUT/sweep.csv has a row for each finished one of this grid. With a
    scheduler elsewhere its workers must see the same repository and OUT. Example:
    elslib sweep notebooks/05_theory_and_network.py -g seed=0:4 -g theory_steps=10,20
    """
    with extra("sweep"):
        from elslib import sweep
    notebook = Path(notebook)
    out = (out or Path("sweeps") / notebook.stem).resolve()
    given = sweep.read_grid(grid) if grid else {}
    for axis in axes:
        name, values = sweep.parse_axis(notebook, axis)
        if name in given:
            raise ValueError(f"{name} must be given once, but has two axes.")
        given[name] = values
    runs = sweep.plan(notebook, given, out)
    if dry_run:
        for run in runs:
            click.echo(f"{run.folder}  {'done' if run.result.is_file() else 'to do'}  {run}")
        return
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    ended = sweep.sweep(runs, scheduler, workers, retries)
    try:
        for outcome in tqdm(ended, total=len(runs), desc=notebook.stem, disable=None):
            if outcome.error:
                failed.append(outcome)
                click.echo(f"FAILED {outcome.run}: {outcome.error}", err=True)
    finally:
        finished = sweep.collect(runs, out / "sweep.csv")
    click.echo(f"{out / 'sweep.csv'}: {finished} of {len(runs)} runs")
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(runs)} runs failed, see above.")


@main.command()
@plain_errors
def book() -> None:
    """Execute the notebooks that changed, check them, build the HTML. Example: elslib book"""
    with extra("book"):
        from elslib import notebooks
    try:
        page = notebooks.build()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"\nThe book is ready. Open {page}")


@main.command()
@plain_errors
def pdf() -> None:
    """The whole book as one PDF, printed by Chromium. Example: elslib pdf"""
    with extra("dev"):
        from elslib import printing
    try:
        file = printing.build()
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"\nThe book is printed: {file}")


if __name__ == "__main__":
    main()
