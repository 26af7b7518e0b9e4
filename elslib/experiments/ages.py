"""A network at many ages: how near the theories its pictures were after ever more updates.

`benchmarks/early_training.py` measures and draws them; here they are read back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from elslib.data.pixels import from_uint8
from elslib.experiments.store import check_belongs, result_path, weights_sha256
from elslib.io import read_json

REMEDY = "make it again with `benchmarks/early_training.py`"


@dataclass(frozen=True)
class Ages:
    """What was measured and drawn after so many updates of one training.

    Attributes
    ----------
    updates
        the ages, ascending
    held_out
        loss on held-out images at each age
    r
        by theory or network that it was compared with, Pearson's r of each age and noise image, in
        [-1, 1]; 0 where the network's picture is constant
    constant
        how many pictures are
    steps
        in which all pictures were drawn
    film
        by age, what it draws of the first noise images, in [-1, 1], off by 1/255; some ages only
    """

    updates: tuple[int, ...]
    held_out: tuple[float, ...]
    r: Mapping[str, Float[Tensor, "ages n"]]
    constant: int
    steps: int
    film: Mapping[int, Float[Tensor, "m c h w"]]


def read_ages(network: str) -> Ages:
    """The ages of a network.

    Raises FileNotFoundError if they were not measured and drawn, ValueError if it, or a network it
    was compared with, has other weights now.
    """
    path = result_path("early", network)
    for file, command in ((path, "measure"), (path.with_suffix(".npz"), "film")):
        if not file.is_file():
            made_by = f"`benchmarks/early_training.py {command} --network {network}`"
            raise FileNotFoundError(f"no {file}; run {made_by}.")
    content = read_json(path, REMEDY)
    run, rows = content["record"]["config"], content["rows"]
    compared = {network: run["weights_sha256"], **run["beside"]}
    now = {name: weights_sha256(name) for name in compared}
    check_belongs(path, "the weights of these networks", compared, now, REMEDY)
    with np.load(path.with_suffix(".npz")) as arrays:
        film = {int(updates): from_uint8(torch.from_numpy(x)) for updates, x in arrays.items()}
    return Ages(
        tuple(row["steps"] for row in rows),
        tuple(row["held_out"] for row in rows),
        {name: _each(row["r"][name] for row in rows) for name in rows[0]["r"]},
        sum(row["constant"] for row in rows),
        run["steps"],
        dict(sorted(film.items())),
    )


def _each(rows: Iterable[list[float]]) -> Float[Tensor, "ages n"]:
    return torch.tensor(list(rows), dtype=torch.float64, device="cpu")
