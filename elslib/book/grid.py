"""Grids of a notebook's parameters, as they are written on a command line or in a file."""

import ast
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from elslib.book.parameters import Parameter, parameter
from elslib.book.values import Value

CLOSING = {"[": "]", "(": ")", "{": "}"}


def parse_axis(notebook: Path, text: str) -> tuple[str, list[Value]]:
    """The axis `NAME=VALUES` of a grid, typed as the notebook's parameter NAME.

    VALUES are separated by commas; a value that has commas itself stands in quotes, lists in
    brackets; integers also as a range FIRST:LAST[:STEP], LAST excluded. Raises ValueError for an
    unknown parameter and for values of another type.
    """
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ValueError(f"-g must be NAME=VALUES, got {text!r}; for example seed=0:8.")
    known = parameter(notebook, name)
    found: list[Value] = []
    for part in _parts(values):
        if not (read := _typed(part.strip(), known)):
            raise ValueError(f"{name} must be of type {known} in {notebook.name}, got {part!r}.")
        found += read
    return name, found


def _parts(text: str) -> list[str]:
    """What stands between commas, but for those in quotes and brackets that a value begins with."""
    parts, open_ = [""], ""  # the quote or brackets that are to be closed, the last one first
    for letter in text:
        if open_ and letter == open_[0]:
            open_ = open_[1:]
        elif open_[:1] not in ("'", '"') and (open_ or not parts[-1].strip()):
            open_ = CLOSING.get(letter, letter if letter in "'\"" else "") + open_
        if letter == "," and not open_:
            parts.append("")
        else:
            parts[-1] += letter
    if open_:
        raise ValueError(f"-g must close its quotes and brackets, got {text!r}.")
    return parts


def _typed(text: str, known: Parameter) -> Sequence[Value]:
    """The values that a text stands for: one, several for a range, none if it has another type."""
    types = known.types
    if "int" in types and re.fullmatch(r"-?\d+:-?\d+(:-?[1-9]\d*)?", text):
        return range(*(int(bound) for bound in text.split(":")))
    if "bool" in types and text.lower() in ("true", "false"):
        return [text.lower() == "true"]
    if "float" in types and "int" not in types:
        with suppress(ValueError):
            return [float(text)]
    if types != ("str",) or text[:1] in ("'", '"'):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError):
            value = ast.literal_eval(text)
            if known.takes(value):
                return [value]
    return [text] if known.takes(text) else []


class _Numbers(yaml.SafeLoader):
    """To yaml 1.1 a number needs a dot before its exponent: `1e-3` would be a text; `1:9` would be
    69, as of hours, and `010` eight."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if not tag.endswith((":int", ":float"))]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Numbers.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9_]*)$"), list("-+0123456789")
)
_Numbers.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?((\d+\.\d*|\.\d+)([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|Inf|INF))$|\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def read_grid(path: Path) -> dict[str, list[Value]]:
    """Axes from a yaml file that maps each parameter to a value or a list of values.

    So of a parameter that is a list a list of lists. Raises ValueError for what is no such file.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Numbers)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be yaml, but {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must map parameters to lists of values, got {content!r}.")
    return {name: v if isinstance(v, list) else [v] for name, v in content.items()}
