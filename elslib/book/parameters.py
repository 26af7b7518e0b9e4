"""The parameters of a notebook: names, types and defaults, as its cell of that tag says them."""

import ast
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jupytext

PLAIN = {"int", "float", "str", "bool", "None", "list", "tuple", "dict"}


@dataclass(frozen=True)
class Parameter:
    """What a value must be: names of types; none if the notebook does not say, by an annotation or
    by the type of its default."""

    types: tuple[str, ...]

    def takes(self, value: object) -> bool:
        """Whether a value is of one of the types. An int serves as a float, and a list as a tuple,
        which no file can hold; nothing else stands in for another type."""
        own = _name(value)
        also = {"int": "float", "list": "tuple"}.get(own)
        return own in PLAIN and (not self.types or own in self.types or also in self.types)

    def __str__(self) -> str:
        return " | ".join(self.types) or f"any of {', '.join(sorted(PLAIN))}"


def _name(value: object) -> str:
    return "None" if value is None else type(value).__name__


def parameters_of(notebook: Path) -> Mapping[str, Parameter]:
    """A notebook's parameters by name. ValueError for a cell that is no Python."""
    about = notebook.stat()
    return _read(notebook, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=64)
def _read(notebook: Path, mtime_ns: int, size: int) -> Mapping[str, Parameter]:
    found = {}
    for cell in jupytext.read(notebook).cells:
        if "parameters" in cell.metadata.get("tags", ()):
            try:
                lines = ast.parse(cell.source).body
            except SyntaxError as error:
                raise ValueError(
                    f"the parameters of {notebook.name} must be Python, but {error}; give each a "
                    f"line like `seed: int = 0`."
                ) from error
            for line in lines:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    found[line.target.id] = Parameter(tuple(_annotated(line.annotation) or ()))
                elif isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                    found[line.targets[0].id] = Parameter(_inferred(line.value))
    return found


def _annotated(node: ast.expr) -> Sequence[str] | None:
    """The types that an annotation names; None for one that stands for any, or is not plain."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):  # an annotation in quotes
            return _annotated(ast.parse(node.value, mode="eval").body)
        return ["None"]
    if isinstance(node, ast.BinOp):
        return _union([node.left, node.right])
    if isinstance(node, ast.Subscript):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        name = ast.unparse(node.value).rpartition(".")[2]
        if name == "Literal":
            return [_name(ast.literal_eval(value)) for value in inner]
        if name == "Optional":
            return _union([*inner, ast.Constant(None)])
        return _union(inner) if name == "Union" else _annotated(node.value)
    name = ast.unparse(node).rpartition(".")[2].lower()  # List is list
    return [name] if name in PLAIN else None


def _union(parts: Sequence[ast.expr]) -> Sequence[str] | None:
    found = [_annotated(part) for part in parts]
    return None if None in found else [name for types in found for name in types or ()]


def _inferred(default: ast.expr) -> tuple[str, ...]:
    """The type of a default without annotation; none if it is computed, or None."""
    with suppress(ValueError):
        value = ast.literal_eval(default)
        return () if value is None else (_name(value),)
    return ()


def parameter(notebook: Path, name: str) -> Parameter:
    """One of a notebook's parameters. ValueError if it has none of that name."""
    known = parameters_of(notebook)
    if name not in known:
        raise ValueError(
            f"{name} must be a parameter of {notebook.name}, which has: {', '.join(known)}."
        )
    return known[name]


def check_parameters(notebook: Path, parameters: Mapping[str, object]) -> None:
    """Raise ValueError unless every name is a parameter of the notebook and has its type."""
    for name, value in parameters.items():
        if not (known := parameter(notebook, name)).takes(value):
            raise ValueError(f"{name} must be of type {known} in {notebook.name}, got {value!r}.")
