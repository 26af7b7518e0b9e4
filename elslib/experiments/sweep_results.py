"""Sweeps of the agreement: read back what `notebooks/12_sweep.py` glued over a grid of parameters.

A sweep has one csv, as `elslib sweep` writes it, a row a run; a run has several seeds. Here is one
row a seed, so that runs of different seeds add up.
"""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from elslib.analysis.agreement import NETWORK_STEPS
from elslib.data.folders import project_folder
from elslib.experiments.store import check_belongs, load_scale, weights_sha256


@dataclass(frozen=True)
class Point:
    """What a theory was made of: the parameters of the notebook that were swept.

    `n_images` counts the training images of a class, 0 for all.
    """

    network: str
    machine: str
    window_factor: float
    n_images: int
    theory_steps: int


COLUMNS = [*(field.name for field in fields(Point)), "seed", "network_steps", "r"]


def sweep_path(name: str) -> Path:
    """The csv of a sweep; its run record is the json beside it."""
    return project_folder() / "results" / f"sweep-{name}.csv"


def read_sweep(*names: str) -> pd.DataFrame:
    """All seeds of all runs of some sweeps: the fields of `Point`, seed, network_steps, r.

    Raises FileNotFoundError if there is no sweep of that name, or no scale, ValueError if a network
    has other weights or other windows now.
    """
    tables = [_read(sweep_path(name), name) for name in names]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def _read(path: Path, name: str) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"no sweep {name!r} ({path}); make it with `elslib sweep`.")
    lists = ["seeds", "windows", *(f"r_{steps}_each" for steps in NETWORK_STEPS)]
    runs = pd.read_csv(path, dtype=dict.fromkeys(lists, str))
    for network, sha in _different(runs, "network", "weights_sha256"):
        recorded, now = {"weights_sha256": sha}, {"weights_sha256": weights_sha256(network)}
        check_belongs(path, f"the weights of {network!r}", recorded, now, "sweep again")
    asked = ("network", "machine", "window_factor", "windows")
    for network, machine, factor, windows in _different(runs, *asked):
        sides = load_scale(network, machine).scaled(factor).windows
        now = {"windows": " ".join(str(side) for side in sides)}
        to = f"{network!r} and its {machine!r} windows times {factor:g}"
        check_belongs(path, to, {"windows": windows}, now, "sweep again")
    each = [
        runs.assign(
            network_steps=steps,
            seed=runs.seeds.str.split(),
            r=runs[f"r_{steps}_each"].str.split(),
        ).explode(["seed", "r"])
        for steps in NETWORK_STEPS
    ]
    return pd.concat(each).loc[:, COLUMNS].astype({"seed": int, "r": float})


def _different(runs: pd.DataFrame, *columns: str) -> list[tuple]:
    return list(runs[list(columns)].drop_duplicates().itertuples(index=False, name=None))


def at_point(swept: pd.DataFrame, point: Point, but: str = "") -> pd.DataFrame:
    """The rows of a point, or, but for one parameter, of all points along it."""
    wanted = {name: value for name, value in asdict(point).items() if name != but}
    return swept.loc[(swept[list(wanted)] == list(wanted.values())).all(axis=1), :]


def at(swept: pd.DataFrame, point: Point, network_steps: int = 150) -> Float[Tensor, " n"]:
    """r at a point in the order of the seeds, float64; each seed once. ValueError if there is none.

    Sweeps that share a point may have it twice: the first counts.
    """
    found = at_point(swept.loc[swept.network_steps == network_steps, :], point)
    if found.empty:
        raise ValueError(f"the sweep must hold {point} at {network_steps} network steps, got none.")
    r = found.drop_duplicates("seed").sort_values("seed").r
    return torch.tensor(r.tolist(), dtype=torch.float64, device="cpu")


def curve(
    swept: pd.DataFrame, base: Point, axis: str, network_steps: int = 150
) -> dict[float, Float[Tensor, " n"]]:
    """r, as `at` gives it, along one parameter: of all points that differ from `base` in it alone.

    By the parameter's value, in increasing order. Empty if there is no such point.
    """
    along = sorted(at_point(swept, base, but=axis)[axis].unique().tolist())
    return {x: at(swept, replace(base, **{axis: x}), network_steps) for x in along}
