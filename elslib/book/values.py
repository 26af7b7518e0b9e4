"""Values that a notebook takes as parameters and gives as results: what json can hold."""

from typing import Any

Value = int | float | str | bool | list | tuple | dict | None


def as_python(value: Any) -> Any:
    """A number of NumPy's or torch's, as a grid or a computation gives it, as Python's own."""
    return value.item() if getattr(value, "ndim", None) == 0 else value
