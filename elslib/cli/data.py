"""`elslib data`: list the image sets, fetch a full one, import a folder."""

from pathlib import Path
from typing import get_args

import click

from elslib.cli.common import as_json, lines, plain_errors
from elslib.data import folders, full_sets, import_set, named
from elslib.data.own_images import Fit, Mode


@click.group()
def data() -> None:
    """List the image sets, fetch a full one, import a folder of pictures."""


@data.command("list")
@click.option("--json", "machine_readable", is_flag=True, help="Print it as json.")
@plain_errors
def data_list(machine_readable: bool) -> None:
    """What is here and what can be fetched. Example: elslib data list"""
    sets = {
        "embedded": {name: named.manifest()[name] for name in named.embedded()},
        "imported": {name: named.imported_manifest(name) for name in named.imported()},
    }
    if machine_readable:
        click.echo(as_json({**sets, "full": [*full_sets.FULL_SETS]}))
        return
    for name, about in (sets["embedded"] | sets["imported"]).items():
        n = len(about.get("class_names") or ())
        told = f"  {n} classes" * (n > 0)
        click.echo(
            f"{name:24} {about['shape']}{told}  {about.get('licence')}  ({about.get('source')})"
        )
    click.echo(f"full sets, in {folders.cache_folder()}: {', '.join(full_sets.FULL_SETS)}")


@data.command("import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", required=True, help="What the set will be called.")
@click.option("--size", type=click.IntRange(1, 4096), default=32, show_default=True,
              help="Side in pixels.")  # fmt: skip
@click.option("--fit", type=click.Choice(get_args(Fit)), default="crop", show_default=True,
              help="What makes a picture square: cut, distort, or margins.")  # fmt: skip
@click.option("--mode", type=click.Choice(get_args(Mode)), default="RGB", show_default=True,
              help="In colour, or in grey.")  # fmt: skip
@click.option("--held-out", type=float, default=0.1, show_default=True,
              help="Share of the images that no network is trained on.")  # fmt: skip
@click.option("--json", "machine_readable", is_flag=True, help="Print the manifest as json.")
@plain_errors
def data_import(folder, name, size, fit, mode, held_out, machine_readable) -> None:
    """Read a FOLDER of pictures, subfolders being classes, into ELSLIB_DATA as the set NAME.

    Example: elslib data import photos --name mine --size 32 --fit crop
    """
    made = import_set.import_folder(folder, name, size, fit, mode, held_out)
    click.echo(as_json(made) if machine_readable else "\n".join(lines({"name": name, **made})))


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
