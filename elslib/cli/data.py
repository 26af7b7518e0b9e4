"""`elslib data`: list the image sets, fetch a full one."""

import click

from elslib.cli.common import as_json, lines, plain_errors
from elslib.data import folders, full_sets, named


@click.group()
def data() -> None:
    """List the image sets, or fetch a full one."""


@data.command("list")
@click.option("--json", "machine_readable", is_flag=True, help="Print it as json.")
@plain_errors
def data_list(machine_readable: bool) -> None:
    """What is embedded and what can be fetched. Example: elslib data list"""
    if machine_readable:
        click.echo(as_json({"embedded": named.manifest(), "full": [*full_sets.FULL_SETS]}))
        return
    for name, about in named.manifest().items():
        click.echo(f"{name:24} {about['shape']}  {about['licence']}  ({about['source']})")
    click.echo(f"full sets, in {folders.cache_folder()}: {', '.join(full_sets.FULL_SETS)}")


@data.command("fetch")
@click.argument("name", type=click.Choice(list(full_sets.FULL_SETS)))
@click.option("--dry-run", is_flag=True, help="Say where it would go and whether it is here.")
@click.option("--json", "machine_readable", is_flag=True, help="Print the outcome as json.")
@plain_errors
def data_fetch(name: str, dry_run: bool, machine_readable: bool) -> None:
    """Download a full image set into ELSLIB_DATA. Example: elslib data fetch cifar10"""
    outcome: dict[str, object] = {"folder": str(folders.cache_folder())}
    if dry_run:
        outcome["here"] = full_sets.is_here(name)
    else:
        for split in ("train", "test"):
            images = named.load(f"{name}/{split}", download=True)
            outcome[split] = {"shape": list(images.pixels.shape), "sha256": images.sha256}
    click.echo(as_json(outcome) if machine_readable else "\n".join(lines(outcome)))
