"""Arguments of the wrong kind get the house's error, by the annotations of what they are given to.

`checked` looks at kinds alone: whether something is a tensor, and of how many axes, or a number, a
path, a text, a function, a record of a class, or a container of such. What its values must be is
the function's own affair. `Brief` tells such records in one line.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import wraps
from numbers import Real
from operator import index
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin

from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")
NAMES = {
    int: "a whole number", float: "a number", Path: "a path", NoneType: "None", str: "a text",
    bool: "True or False", Callable: "a function",
}  # fmt: skip
SEVERAL = Sequence, Iterable, tuple
# What makes a record of what was given for it.
REMEDIES = {
    "ScaleTable": "constant_scale({0}) makes one of a window's side",
    "ImageSet": "ImageSet(tensor), ImageSet.from_arrays and from_folder make one",
    "Origins": "machine.posterior(..., top=1).origins are some",
    "ScoreMachine": "IS, ES, LS and ELS are, no baseline and no network is",
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with ValueError for an argument of another kind than its annotation.

    NumPy's numbers become Python's, texts become the paths that they name.
    """
    kinds = {
        name: parameter.annotation
        for name, parameter in inspect.signature(function).parameters.items()
        if _known(parameter.annotation)
    }
    names = list(inspect.signature(function).parameters)

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        given: list[Any] = [
            _as(kinds[name], name, value) if name in kinds else value
            for name, value in zip(names, args, strict=False)
        ]
        given += args[len(names) :]
        named: dict[str, Any] = {
            name: _as(kinds[name], name, value) if name in kinds else value
            for name, value in kwargs.items()
        }
        return function(*given, **named)  # pyright: ignore

    return wrapped


def check_fields(record: Any) -> None:
    """The same for the fields of a frozen dataclass; call it in `__post_init__`."""
    for field in fields(record):
        if field.init and _known(field.type):
            value = _as(field.type, field.name, getattr(record, field.name))
            object.__setattr__(record, field.name, value)


class Brief:
    """Of which a record is derived whose repr takes one line: of a tensor it has the shape."""

    def __init_subclass__(cls) -> None:
        cls.__repr__ = Brief.__repr__  # `dataclass` writes one for those without

    def __repr__(self) -> str:
        told = (f"{name}={_short(value)}" for name, value in vars(self).items())
        return f"{type(self).__name__}({', '.join(told)})"


def _short(value: Any) -> str:
    if hasattr(value, "shape"):
        return str(list(value.shape))
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_short(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple | range) and len(value) > 3:
        kind = type(value[0])
        return (
            f"{len(value)} {kind.__name__}" + (kind in (int, float)) * f" {value[0]}..{value[-1]}"
        )
    return repr(value)


def _is_tensor(kind: Any) -> bool:
    """Whether a kind is jaxtyping's, of floating-point numbers."""
    return hasattr(kind, "dims") and "float64" in kind.dtypes


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)


def _known(kind: Any) -> bool:
    """Whether this module knows what is of a kind."""
    if get_origin(kind) in (UnionType, Union):
        return all(map(_known, get_args(kind)))
    if get_origin(kind) in (*SEVERAL, Mapping):
        return _known(get_args(kind)[get_origin(kind) is Mapping])
    return _is_tensor(kind) or (get_origin(kind) or kind) in NAMES or is_dataclass(kind)


def _as(kind: Any, name: str, value: Any) -> Any:
    """The value as one of a kind. ValueError if it is none."""
    for one in _alternatives(kind):
        with suppress(TypeError):
            return _of(one, name, value)
    raise ValueError(
        f"{name} must be {_words(kind)}, got {type(value).__name__} {brief(value)}"
        f"{_remedy(_alternatives(kind), name, value)}."
    )


def _of(kind: Any, name: str, value: Any) -> Any:
    """The value as one of a single kind; TypeError if it is none."""
    if kind is NoneType and value is None:
        return None
    if _is_tensor(kind) and isinstance(value, Tensor) and value.is_floating_point():
        axes: str = kind.dim_str  # pyright: ignore
        named = axes.split()
        if "." in axes or "*" in axes or value.ndim == len(named):
            if named[:1] != ["b"] or len(value) > 0:
                return value
    if kind is int and not isinstance(value, bool):
        return index(value)
    if kind is float and not isinstance(value, bool):
        if isinstance(value, Real) or isinstance(value, Tensor) and value.ndim == 0:
            return float(value)
    if kind is Path and isinstance(value, str | os.PathLike):
        return Path(value)
    if (kind in (str, bool) or is_dataclass(kind)) and isinstance(value, kind):
        return value
    if get_origin(kind) is Callable and callable(value):
        return value
    if get_origin(kind) is Mapping and isinstance(value, Mapping):
        inner = get_args(kind)[1]
        return {key: _as(inner, f"{name}[{key!r}]", one) for key, one in value.items()}
    if get_origin(kind) in SEVERAL and not isinstance(value, str | bytes | Mapping):
        alternatives = _alternatives(get_args(kind)[0])
        found = [_first(alternatives, name, one) for one in value]  # pyright: ignore
        return tuple(found) if get_origin(kind) is tuple else found
    raise TypeError


def _first(kinds: Sequence[Any], name: str, value: Any) -> Any:
    for kind in kinds:
        with suppress(TypeError):
            return _of(kind, name, value)
    raise TypeError


def _remedy(kinds: Sequence[Any], name: str, value: Any) -> str:
    """What makes one of these kinds of a value that is none; empty if nothing is known."""
    for kind in kinds:
        if _is_tensor(kind) and not isinstance(value, Tensor):
            own = hasattr(value, "pixels")
            return f"; give {name}.pixels" if own else "; torch.as_tensor makes a tensor"
        if _is_tensor(kind) and value.is_floating_point():
            one_less = value.ndim + 1 == len(kind.dim_str.split())
            return f"; {name}[None] has one axis more" if one_less else ""
        if kind is float and isinstance(value, Tensor) and value.ndim == 1:
            return f"; give one number for all, such as float({name}[0])"
        if get_origin(kind) is Mapping:
            return f"; give {{'els': {name}}}"
        if get_origin(kind) in SEVERAL and type(value) is int:
            return f"; write [{value}] or range({value})"
        if is_dataclass(kind) and kind.__name__ in REMEDIES:  # pyright: ignore
            side = value if type(value) is int else 5
            return f"; {REMEDIES[kind.__name__].format(side)}"  # pyright: ignore
    return ""


def _words(kind: Any) -> str:
    if get_origin(kind) in (UnionType, Union):
        return " or ".join(_words(one) for one in get_args(kind))
    if get_origin(kind) in SEVERAL:
        return f"a sequence, each {_words(get_args(kind)[0])}"
    if get_origin(kind) is Mapping:
        return f"a dictionary of names, each with {_words(get_args(kind)[1])}"
    if _is_tensor(kind):
        named = kind.dim_str.split()
        some = " with b at least 1" if named[:1] == ["b"] else ""
        return f"a floating-point tensor [{', '.join(named)}]{some}"
    if (plain := get_origin(kind) or kind) in NAMES:
        return NAMES[plain]
    return f"{'an' if kind.__name__[0] in 'AEIO' else 'a'} {kind.__name__}"


def brief(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) < 60 else f"{text[:56]}..."


def check_choice(name: str, value: object, kinds: Any) -> None:
    """Raise ValueError unless a value is one of those that a Literal names."""
    if value not in get_args(kinds):
        raise ValueError(f"{name} must be one of {', '.join(get_args(kinds))}, got {value!r}.")
