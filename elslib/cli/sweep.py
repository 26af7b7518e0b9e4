"""`elslib sweep`: a notebook over a grid of its parameters."""

from pathlib import Path

import click
from tqdm.auto import tqdm

from elslib.cli.common import PROJECT, as_json, extra, plain_errors
from elslib.data.folders import project_folder


@click.command("sweep")
@click.argument("notebook", type=click.Path(exists=True, dir_okay=False, resolve_path=True))
@click.option("-g", "axes", multiple=True, help="NAME=VALUES: 1,2,5 or, of integers, 0:8.")
@click.option("--grid", "grid_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A yaml file: parameter to list of values.")  # fmt: skip
@click.option("--scheduler", default="", help="Of Dask, tcp://...  [default: processes here]")
@click.option("--workers", type=click.IntRange(0, 1024), default=0, help="Here.  [default: cores]")
@click.option("--retries", type=click.IntRange(0, 100), default=1, show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="[default: sweeps/NOTEBOOK of the project]")  # fmt: skip
@PROJECT
@click.option("--dry-run", is_flag=True, help="Print the runs, do nothing.")
@click.option("--json", "machine_readable", is_flag=True, help="Print the outcome as json.")
@plain_errors
def sweep_command(
    notebook, axes, grid_file, scheduler, workers, retries, out, dry_run, machine_readable
):
    """Run NOTEBOOK over a grid of its parameters; resumes: finished runs are skipped.

    Each run has a folder in OUT; OUT/sweep.csv has a row for each finished one of this grid. With a
    scheduler elsewhere its workers must see the same repository and OUT. Example:
    elslib sweep notebooks/05_theory_and_network.py -g seed=0:4 -g theory_steps=10,20
    """
    with extra("sweep"):
        from elslib.book import grid, sweep
    notebook = Path(notebook)
    out = (out or project_folder() / "sweeps" / notebook.stem).resolve()
    given = grid.read_grid(grid_file) if grid_file else {}
    for axis in axes:
        name, values = grid.parse_axis(notebook, axis)
        if name in given:
            raise ValueError(f"{name} must be given once, but has two axes.")
        given[name] = values
    runs = sweep.plan(notebook, given, out)
    if dry_run:
        _show_plan(runs, machine_readable)
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


def _show_plan(runs, machine_readable: bool) -> None:
    """Each run and whether it is done already."""
    state = {run.folder: "done" if run.finished() else "to do" for run in runs}
    if machine_readable:
        click.echo(as_json([
            {"folder": run.folder, "state": state[run.folder], "parameters": run.parameters}
            for run in runs
        ]))  # fmt: skip
    else:
        click.echo("\n".join(f"{run.folder}  {state[run.folder]}  {run}" for run in runs))
