"""What all commands share: errors in one line, progress, `--dry-run` and `--json`."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import wraps
from pathlib import Path

import click
from click.core import ParameterSource
from tqdm.auto import tqdm

from elslib.analysis.intervals import Interval
from elslib.denoisers import sharded
from elslib.experiments import tasks
from elslib.io import check_writable
from elslib.samplers import SAMPLERS

USER_ERRORS = (ValueError, OSError)

NETWORK = "Its name in the project, or a path without suffix, such as ./mine."
DEVICE = click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
    help="Where it is computed.",
)  # fmt: skip
SAMPLER = click.option(
    "--sampler", type=click.Choice(list(SAMPLERS)), default="ddim", show_default=True,
    help="How noise becomes a picture, of the network and of theories.",
)  # fmt: skip


def _set_project(ctx: click.Context, _param, folder: str | None) -> None:
    """For this command, and for the processes that it starts."""
    if folder is None:
        return
    if not folder:
        raise click.BadParameter("must name a folder, got ''.")
    before = os.environ.get("ELSLIB_PROJECT")

    def back() -> None:
        os.environ.pop("ELSLIB_PROJECT")
        if before is not None:
            os.environ["ELSLIB_PROJECT"] = before

    os.environ["ELSLIB_PROJECT"] = str(Path(folder).resolve())
    ctx.call_on_close(back)


PROJECT = click.option(
    "--project", type=click.Path(file_okay=False), callback=_set_project, expose_value=False,
    is_eager=True,
    help="Folder of networks, scales, results, sweeps.  [default: the variable ELSLIB_PROJECT, "
    "else the checkout's data, else here]",
)  # fmt: skip


class UserError(click.ClickException):
    """A mistake whose remedy its one line says; `--help` would not."""

    exit_code = 2


def plain_errors(command):
    """Show a user's error as one line with exit code 2, not as a stack trace."""

    @wraps(command)
    def wrapped(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:  # who reads has had enough: click ends without a word
            raise
        except USER_ERRORS as error:
            if os.environ.get("ELSLIB_DEBUG"):
                raise
            raise UserError(" ".join(str(error).split())) from error

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
        elif isinstance(value, list | tuple) and any(" " in str(entry) for entry in value):
            yield from (f"{before}{name}: {entry}" for entry in value)  # sentences
        elif isinstance(value, list | tuple):
            yield f"{before}{name}: {', '.join(map(str, value))}"
        else:
            yield f"{before}{name}: {value}"


def work(command: Callable[..., tasks.Task]):
    """A command that does a Task: with a progress bar, --dry-run and --json."""

    @PROJECT
    @click.option("--dry-run", is_flag=True, help="Say what it would do, do nothing.")
    @click.option("--json", "machine_readable", is_flag=True, help="Print the outcome as json.")
    @plain_errors
    @wraps(command)
    def wrapped(dry_run, machine_readable, **options):
        given = click.get_current_context().get_parameter_source
        for name, value in options.items():
            if value in ("", Path()) and given(name) == ParameterSource.COMMANDLINE:
                raise ValueError(f"--{name.replace('_', '-')} must not be empty; leave it out.")
        task = command(**options)
        first = sharded.current_rank().rank == 0  # of several processes one speaks
        files: dict[str, object] = {"files": [str(file) for file in task.files]}
        if task.warnings:
            files["warnings"] = list(task.warnings)
        if dry_run:
            outcome = {**task.config, "parts": task.parts, "done": task.done, **files}
        else:
            for file in task.files:
                check_writable(file)
            show(task, quiet=not first)
            outcome = {**task.summary(), **files}
        if first:
            click.echo(as_json(outcome) if machine_readable else "\n".join(lines(outcome)))

    return wrapped


def show(task: tasks.Task, quiet: bool) -> None:
    """Do a task, showing its progress: as a bar on a terminal, else in ten lines."""
    hidden = True if quiet else None
    with tqdm(total=task.parts, initial=task.done, desc=task.name, disable=hidden) as bar:
        for parts, note in enumerate(task.run(), task.done + 1):
            bar.set_postfix_str(note, refresh=False)
            bar.update()
            tenth = parts * 10 // task.parts > (parts - 1) * 10 // task.parts
            if bar.disable and tenth and not quiet:
                click.echo(f"{task.name}: {parts} of {task.parts} {note}".rstrip(), err=True)


@contextmanager
def extra(name: str):
    """Say which extra to install where a module is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is missing; install the extra: pip install 'elslib[{name}]'."
        ) from error
