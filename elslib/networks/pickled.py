"""The tensors of a pickled torch module, taken out without executing the pickle.

A pickle is a program that calls what it names. Here every name is one inert record, which keeps
what it is given and does nothing; only tensors are made, and those by this module.
"""

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64,
}  # fmt: skip


class Parts(NamedTuple):
    """What a pickled module is made of, by the names of a state dict, in their order."""

    tensors: dict[str, Tensor]
    paddings: dict[str, str]  # of its convolutions, by their names


def read_parts(path: Path) -> Parts:
    """The tensors of a module that `torch.save(module, path)` wrote; nothing in it is executed.

    FileNotFoundError without the file; ValueError for one that is no such module.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; give the file of a pickled module.")
    try:
        with zipfile.ZipFile(path) as archive:
            root = _Reader(archive).load()
        tensors, paddings = {}, {}
        for name, state in _modules(root, ""):
            for kind in ("_parameters", "_buffers"):
                tensors |= {f"{name}{k}": v for k, v in state[kind].items() if v is not None}
            if "kernel_size" in state:
                paddings[name.removesuffix(".")] = str(state["padding_mode"])
    except Exception as error:  # whatever is wrong with a file of others
        raise ValueError(
            f"{path} must be a whole module as torch.save(module, path) writes it ({error!r}); "
            f"fetch it again."
        ) from error
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ValueError(
            f"{path} must hold a module with weights, got {sorted(tensors) or 'none'}."
        )
    return Parts(tensors, paddings)


class _Inert:
    """Stands for whatever a pickle names: is made of anything, does nothing."""

    def __init__(self, *_args: Any, **_kwargs: Any):
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, _key: Any, _value: Any) -> None: ...

    def append(self, _value: Any) -> None: ...


class _Reader(pickle.Unpickler):
    """Reads data.pkl of an archive of torch's: its tensors, all else inert."""

    def __init__(self, archive: zipfile.ZipFile):
        (name,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
        super().__init__(io.BytesIO(archive.read(name)))
        self.archive, self.folder = archive, name.removesuffix("data.pkl")

    def find_class(self, module: str, name: str) -> Any:
        """No name of a pickle is looked up."""
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        known = {"_rebuild_tensor_v2": _tensor, "_rebuild_parameter": _same, "OrderedDict": dict}
        if (module, name) == ("collections", "OrderedDict") or module == "torch._utils":
            return known.get(name, _Inert)
        return _Inert

    def persistent_load(self, pid: Any) -> Tensor:
        """The numbers that a tensor lies in."""
        _, dtype, key, _, count = pid
        content = self.archive.read(f"{self.folder}data/{key}")
        return torch.frombuffer(bytearray(content), dtype=dtype, count=count)


def _tensor(storage: Tensor, offset: int, size: tuple, stride: tuple, *_rest: Any) -> Tensor:
    return storage.as_strided(size, stride, offset).clone()


def _same(tensor: Tensor, *_rest: Any) -> Tensor:
    return tensor


def _modules(module: Any, prefix: str) -> Iterator[tuple[str, dict]]:
    """The state of a module and of all within it, each with what its names begin with."""
    yield prefix, module.state
    for name, part in module.state["_modules"].items():
        if part is not None:
            yield from _modules(part, f"{prefix}{name}.")
