"""Grids of a notebook's parameters, as they are written on a command line or in a file."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from elslib.book.parameters import check_parameters, parameters_of

Value = int | float | str | bool


def parse_axis(notebook: Path, text: str) -> tuple[str, list[Value]]:
    """The axis `NAME=VALUES` of a grid, typed as the notebook's parameter NAME.

    VALUES are separated by commas; integers also as a range FIRST:LAST[:STEP], LAST excluded.
    Raises ValueError for an unknown parameter and for values of another type.
    """
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ValueError(f"-g must be NAME=VALUES, got {text!r}; for example seed=0:8.")
    known = parameters_of(notebook)
    kind = known[name]["inferred_type_name"] if name in known else "str"
    found: list[Value] = []
    for part in values.split(","):
        try:
            found += _typed(part.strip(), kind)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{name} must be of type {kind} in {notebook.name}, got {part!r}."
            ) from error
    for value in found:
        check_parameters(notebook, {name: value})
    return name, found


def _typed(text: str, kind: str) -> Sequence[Value]:
    if kind == "int" and ":" in text:
        return range(*(int(bound) for bound in text.split(":")))
    if kind == "bool":
        return [{"true": True, "false": False}.get(text.lower(), text)]
    return [{"int": int, "float": float}.get(kind, str)(text)]


def read_grid(path: Path) -> dict[str, list[Value]]:
    """Axes from a yaml file that maps each parameter to a value or a list of values."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} must be yaml, but {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must map parameters to lists of values, got {content!r}.")
    return {name: v if isinstance(v, list) else [v] for name, v in content.items()}
