"""Agreement of a network with its theories, kept as a table and as pictures."""

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from elslib.analysis.agreement import Row
from elslib.data.folders import data_folder
from elslib.data.image_set import from_uint8
from elslib.experiments.recipes import KINDS, SUBJECTS
from elslib.io import write_arrays, write_whole


def result_path(network: str) -> Path:
    """The csv of a network; its run record is the json beside it."""
    return data_folder() / "results" / f"agreement-{network}.csv"


def with_results(named: str = "") -> list[str]:
    """The networks named, separated by commas; if none is, all that have results: those of the
    recipes in their order, then the others alphabetically."""
    if names := [name.strip() for name in named.split(",") if name.strip()]:
        return names
    found = result_path("*").parent.glob(result_path("*").name)
    known = [f"{subject}-{kind}" for subject in SUBJECTS for kind in KINDS]
    names = sorted(path.stem.removeprefix("agreement-") for path in found)
    return sorted(names, key=lambda name: known.index(name) if name in known else len(known))


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as csv, sorted by seed."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in sorted(rows, key=lambda row: row.seed))
    write_whole(path, text.getvalue().encode())


def read_rows(network: str) -> list[Row]:
    """The rows of a network. FileNotFoundError if `elslib agree` was not run for it."""
    path = result_path(network)
    if not path.is_file():
        raise FileNotFoundError(
            f"no agreement of {network!r} ({path}); run `elslib agree --network {network}`."
        )
    with path.open(newline="") as file:
        return [
            Row(
                int(row["seed"]),
                int(row["label"]) if row["label"] else None,
                row["theory"],
                int(row["network_steps"]),
                *(float(row[name]) for name in ("r", "r2", "R2")),
            )
            for row in csv.DictReader(file)
        ]


def write_pictures(
    network: str, seeds: Sequence[int], pictures: Mapping[str, UInt8[Tensor, "n c h w"]]
) -> None:
    """Keep what a network and its theories drew from these seeds, as bytes, sorted by seed."""
    order = np.argsort(seeds)
    path = result_path(network).with_suffix(".npz")
    arrays = {name: x.numpy()[order] for name, x in pictures.items()}
    write_arrays(path, arrays, zipfile.ZIP_LZMA)


def read_pictures(network: str) -> dict[str, Float[Tensor, "n c h w"]]:
    """What a network ("network") and its theories ("ELS", "LS", "IS") drew, by seed; in [-1, 1].

    Kept as bytes, so 1/255 off. FileNotFoundError if `elslib agree` was not run for it.
    """
    path = result_path(network).with_suffix(".npz")
    if not path.is_file():
        raise FileNotFoundError(
            f"no pictures of {network!r} ({path}); run `elslib agree --network {network}`."
        )
    with np.load(path) as arrays:
        return {name: from_uint8(torch.from_numpy(x)) for name, x in arrays.items()}
