"""The parameters of a notebook: names, types and defaults."""

import ast
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jupytext
import papermill


def parameters_of(notebook: Path) -> Mapping[str, Any]:
    """A notebook's parameters, as papermill describes them: types and defaults, as text."""
    about = notebook.stat()
    return _inspected(notebook, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=64)
def _inspected(notebook: Path, mtime_ns: int, size: int) -> Mapping[str, Any]:
    return papermill.inspect_notebook(jupytext.read(notebook))


def check_parameters(notebook: Path, parameters: Mapping[str, object]) -> None:
    """Raise ValueError unless every name is a parameter of the notebook and has its type."""
    known = parameters_of(notebook)
    for name, value in parameters.items():
        if name not in known:
            raise ValueError(
                f"{name} must be a parameter of {notebook.name}, which has: {', '.join(known)}."
            )
        default = ast.literal_eval(known[name]["default"])
        # An int serves as a float; nothing else stands in for another type.
        allowed = (float, int) if isinstance(default, float) else (type(default),)
        if default is not None and type(value) not in allowed:
            raise ValueError(
                f"{name} must be of type {type(default).__name__} in {notebook.name}, "
                f"got {value!r}."
            )
