"""`elslib ...`: data, training, calibration and the book from the command line."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import wraps
from pathlib import Path

import click
from tqdm.auto import tqdm

from elslib import calibration, datasets, distributed, jobs, training, zoo
from elslib.metrics import Interval
from elslib.records import check_writable
from elslib.windows import constant_scale

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


def as_json(content: object) -> str:
    """Plain json; records, as intervals are, become objects, numbers that are none become null,
    and other things their names."""
    text = json.dumps(
        content,
        default=lambda x: asdict(x) if is_dataclass(x) and not isinstance(x, type) else str(x),
    )
    return json.dumps(json.loads(text, parse_constant=lambda _: None), indent=1)


def lines(content: Mapping[str, object], before: str = "") -> Iterator[str]:
    """The same for people: a line for each entry, those within others after their names."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from lines(value, f"{before}{name} ")
        elif isinstance(value, Interval):
            yield f"{before}{name}: {value:.3f}"
        elif isinstance(value, list | tuple):
            yield f"{before}{name}: {', '.join(map(str, value))}"
        else:
            yield f"{before}{name}: {value}"


def work(command: Callable[..., jobs.Job]):
    """A command that does a Job: with a progress bar, --dry-run and --json."""

    @click.option("--dry-run", is_flag=True, help="Say what it would do, do nothing.")
    @click.option("--json", "machine_readable", is_flag=True, help="Print the outcome as json.")
    @plain_errors
    @wraps(command)
    def wrapped(dry_run, machine_readable, **options):
        job = command(**options)
        first = distributed.here().rank == 0  # of several processes one speaks
        files = {"files": [str(file) for file in job.files]}
        if dry_run:
            outcome = {**job.config, "parts": job.parts, "done": job.done, **files}
        else:
            for file in job.files:
                check_writable(file)
            show(job, quiet=not first)
            outcome = {**job.summary(), **files}
        if first:
            click.echo(as_json(outcome) if machine_readable else "\n".join(lines(outcome)))

    return wrapped


def show(job: jobs.Job, quiet: bool) -> None:
    """Do a job, showing its progress: as a bar on a terminal, else in ten lines."""
    hidden = True if quiet else None
    with tqdm(total=job.parts, initial=job.done, desc=job.name, disable=hidden) as bar:
        for parts, note in enumerate(job.run(), job.done + 1):
            bar.set_postfix_str(note, refresh=False)
            bar.update()
            tenth = parts * 10 // job.parts > (parts - 1) * 10 // job.parts
            if bar.disable and tenth and not quiet:
                click.echo(f"{job.name}: {parts} of {job.parts} {note}".rstrip(), err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="elslib")
def main() -> None:
    """Score machines that are posteriors over training patches, and the book about them."""


@main.group()
def data() -> None:
    """List the image sets, or fetch a full one."""


@data.command("list")
@click.option("--json", "machine_readable", is_flag=True, help="Print it as json.")
@plain_errors
def data_list(machine_readable: bool) -> None:
    """What is embedded and what can be fetched. Example: elslib data list"""
    if machine_readable:
        click.echo(as_json({"embedded": datasets.manifest(), "full": [*datasets.FULL_SETS]}))
        return
    for name, about in datasets.manifest().items():
        click.echo(f"{name:24} {about['shape']}  {about['licence']}  ({about['source']})")
    click.echo(f"full sets, in {datasets.cache_folder()}: {', '.join(datasets.FULL_SETS)}")


@data.command("fetch")
@click.argument("name", type=click.Choice(list(datasets.FULL_SETS)))
@click.option("--dry-run", is_flag=True, help="Say where it would go and whether it is here.")
@click.option("--json", "machine_readable", is_flag=True, help="Print the outcome as json.")
@plain_errors
def data_fetch(name: str, dry_run: bool, machine_readable: bool) -> None:
    """Download a full image set into ELSLIB_DATA. Example: elslib data fetch cifar10"""
    outcome: dict[str, object] = {"folder": str(datasets.cache_folder())}
    if dry_run:
        outcome["here"] = datasets.is_here(name)
    else:
        for split in ("train", "test"):
            images = datasets.load(f"{name}/{split}", download=True)
            outcome[split] = {"shape": list(images.images.shape), "sha256": images.sha256}
    click.echo(as_json(outcome) if machine_readable else "\n".join(lines(outcome)))


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
@click.option("--weighting", type=click.Choice(training.WEIGHTINGS), help="Of errors; likewise.")
@click.option("--seed", type=click.IntRange(0, 2**30 - 1), default=0, show_default=True)
@work
def train(dataset, network, profile, name, **changes):
    """Train a network of the zoo, or resume where it stopped; on a GPU if there is one.

    Example: elslib train --dataset fashion --network resnet
    """
    return jobs.training(dataset, network, profile, name, **changes)


@main.command()
@click.option("--network", required=True, help="A network in data/networks.")
@click.option("--machine", type=click.Choice(["els", "ls"]), default="els", show_default=True)
@click.option("--trajectories", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--largest", type=click.IntRange(min=3), default=17, show_default=True)
@work
def calibrate(network, machine, trajectories, largest):
    """Find the window of NETWORK at each noise level; resumes an interrupted run.

    Writes data/scales/NETWORK-MACHINE.json. Example:
    elslib calibrate --network fashion-resnet --machine els
    """
    return jobs.calibrating(network, machine, trajectories, largest)


@main.command()
@click.option("--network", required=True, help="A network in data/networks.")
@click.option("--seeds", type=click.IntRange(1, 10_000), default=100, show_default=True)
@work
def agree(network, seeds):
    """Compare NETWORK with every theory on the seeds 0, 1, ...; resumes an interrupted run.

    Writes data/results/agreement-NETWORK: .csv the numbers, .npz the pictures, .json the record.
    Needs calibrated els and ls scales. Example: elslib agree --network fashion-resnet
    """
    return jobs.agreeing(network, seeds)


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
    table = constant_scale(window) if window else calibration.published_scale(scale)
    seeds = range(first_seed, first_seed + samples)
    return jobs.sampling(dataset, machine, edges, table, label, seeds, steps, out, device)


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
@click.option("--json", "machine_readable", is_flag=True, help="Print the outcome as json.")
@plain_errors
def sweep_command(
    notebook, axes, grid, scheduler, workers, retries, out, dry_run, machine_readable
):
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
        state = {run.folder: "done" if run.result.is_file() else "to do" for run in runs}
        if machine_readable:
            click.echo(as_json([
                {"folder": run.folder, "state": state[run.folder], "parameters": run.parameters}
                for run in runs
            ]))  # fmt: skip
        else:
            click.echo("\n".join(f"{run.folder}  {state[run.folder]}  {run}" for run in runs))
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
    if machine_readable:
        errors = {str(outcome.run.folder): outcome.error for outcome in failed}
        files = [out / "sweep.csv", out / "sweep.json"]
        content = {"files": files, "runs": len(runs), "finished": finished}
        click.echo(as_json({**content, "failed": errors}))
    else:
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
