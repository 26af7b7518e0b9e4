"""Agreement of a network with its theories, kept as a table and as pictures."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from elslib.analysis.agreement import COPIES, SHOWN
from elslib.analysis.theories import THEORIES
from elslib.data.folders import project_folder
from elslib.data.named import may_be_shown
from elslib.data.pixels import from_uint8
from elslib.experiments.recipes import KINDS, SUBJECTS
from elslib.experiments.store import (
    check_belongs,
    read_config,
    result_path,
    weights_sha256,
)
from elslib.io import json_bytes, npz_bytes, write_together

# What a result of more theories has more of.
OF_THEORIES = ("theories", "windows", "pictures", "constants")


def with_results(named: str = "") -> list[str]:
    """The networks named, separated by commas; if none is, all that have results of ELS, LS and IS
    in the usual steps: those of the recipes in their order, then the others alphabetically."""
    if names := [name.strip() for name in named.split(",") if name.strip()]:
        return names
    found = sorted((project_folder() / "results").glob("agreement-*.csv"))
    names = [path.stem.removeprefix("agreement-") for path in found if _is_usual(path)]
    known = [f"{subject}-{kind}" for subject in SUBJECTS for kind in KINDS]
    return sorted(names, key=lambda name: known.index(name) if name in known else len(known))


def _is_usual(rows: Path) -> bool:
    """Whether a result is whole and no trial: of few theories, or of other steps."""
    record = rows.with_suffix(".json")
    if not record.is_file():
        return False
    config = read_config(record)
    return {"ELS", "LS", "IS"} <= set(_theories(config)) and not {"steps", "sampler"} & set(config)


def may_be_kept(picture: str, images: str) -> bool:
    """Whether what a network or a theory drew may be kept and shown, by the name of the images:
    copies of those that may not be passed on may not."""
    return picture not in COPIES or may_be_shown(images)


def kept_before(files: Sequence[Path], config: Mapping) -> Mapping | None:
    """The config of the result in these files, .json last, if it differs from `config` in its
    theories alone, those of both with the same windows; else None."""
    if not all(file.is_file() for file in files):
        return None
    before = read_config(files[-1])
    return None if _differences(before, config) else before


def _differences(before: Mapping, config: Mapping) -> list[str]:
    """In what two results of a network differ, but for their theories."""
    keys = sorted({*before, *config} - set(OF_THEORIES))
    other = [key for key in keys if before.get(key) != config.get(key)]
    both = {*before["windows"]} & {*config["windows"]}
    return other + ["windows"] * any(before["windows"][m] != config["windows"][m] for m in both)


def replaced(files: Sequence[Path], before: Mapping | None, config: Mapping) -> list[str]:
    """A sentence if a result in these files goes, as `before` is None, that has what the new one
    will not have."""
    if before is not None or not all(file.is_file() for file in files):
        return []
    kept = read_config(files[-1])
    other = _differences(kept, config)
    is_more = kept.get("seeds", 0) <= config["seeds"] and {*_theories(kept)} <= {*_theories(config)}
    if other == ["seeds"] and is_more:
        return []
    return [
        f"replaces a result of {kept.get('seeds')} seeds ({', '.join(_theories(kept))}), which was "
        f"made with other {', '.join(other)}; its parts are kept, but copy {files[-1]} and what "
        f"stands beside it to have both."
    ]


def holds(before: Mapping | None, config: Mapping) -> bool:
    """Whether a result has the theories of `config`, with the same windows."""
    return before is not None and joined(before, config) == before


def joined(before: Mapping, config: Mapping) -> dict[str, object]:
    """The config of a result that has the theories of both; those of `config` were made anew."""
    theories = list(dict.fromkeys([*_theories(before), *_theories(config)]))
    usual = theories == list(THEORIES)
    pictures = [name for name in SHOWN if name in before["pictures"] or name in config["pictures"]]
    constants = {**before.get("constants", {}), **config.get("constants", {})}
    return {
        **{key: value for key, value in config.items() if key not in OF_THEORIES},
        **({} if usual else {"theories": theories}),
        **({"constants": constants} if constants else {}),
        "windows": {**before["windows"], **config["windows"]},
        "pictures": pictures,
    }


def _theories(config: Mapping) -> Sequence[str]:
    return config.get("theories", THEORIES)


def join(
    network: str,
    rows: pd.DataFrame,
    seeds: Sequence[int],
    pictures: Mapping[str, UInt8[Tensor, "n c h w"]],
) -> tuple[pd.DataFrame, list[int], dict[str, UInt8[Tensor, "n c h w"]]]:
    """New rows and pictures with those of other theories that are kept; by seed."""
    kept = read_rows(network)
    others = kept.loc[~kept.theory.isin(set(rows.theory)), :]
    order = np.argsort(seeds)
    with np.load(_existing(network, ".npz", "pictures")) as arrays:
        before = {name: torch.from_numpy(x) for name, x in arrays.items()}
    new = {name: x[torch.from_numpy(order)] for name, x in pictures.items()}
    # The network's stay as they were: other theories were compared with those.
    shown = before | new | {"network": before["network"]}
    return pd.concat([others, rows]), sorted(seeds), shown


def write_result(
    network: str,
    rows: pd.DataFrame,
    seeds: Sequence[int],
    pictures: Mapping[str, UInt8[Tensor, "n c h w"]],
    record: Mapping,
) -> None:
    """Keep a result: its table as csv, what the network and its theories drew from these seeds as
    bytes, both sorted by seed, and its run record."""
    table = rows.sort_values("seed", kind="stable").astype({"label": "Int64"})
    order = np.argsort(seeds)
    arrays = {name: x.numpy()[order] for name, x in pictures.items()}
    write_together({
        _path(network, ".csv"): table.to_csv(index=False, lineterminator="\n").encode(),
        _path(network, ".npz"): npz_bytes(arrays, zipfile.ZIP_LZMA),
        _path(network, ".json"): json_bytes(record),
    })  # fmt: skip


def read_rows(network: str) -> pd.DataFrame:
    """The table of a network, as `agreement.compare` makes it.

    FileNotFoundError if `elslib agree` was not run for it, or was killed while it wrote; ValueError
    if the network has other weights now.
    """
    path = _existing(network, ".csv", "agreement")
    return pd.read_csv(path, dtype={"label": "Int64"})


def read_pictures(network: str) -> dict[str, Float[Tensor, "n c h w"]]:
    """What a network ("network") and its theories ("ELS", "LS", "IS") drew, by seed; in [-1, 1].

    Kept as bytes, so 1/255 off. The errors of `read_rows`.
    """
    with np.load(_existing(network, ".npz", "pictures")) as arrays:
        return {name: from_uint8(torch.from_numpy(x)) for name, x in arrays.items()}


def _path(network: str, suffix: str) -> Path:
    return result_path("agreement", network).with_suffix(suffix)


def _existing(network: str, suffix: str, what: str) -> Path:
    path, record = _path(network, suffix), _path(network, ".json")
    remedy = f"run `elslib agree --network {network}`"
    if not (path.is_file() and record.is_file()):
        raise FileNotFoundError(f"no {what} of {network!r} ({path}, {record.name}); {remedy}.")
    now = {"weights_sha256": weights_sha256(network)}
    check_belongs(path, f"the weights of {network!r}", read_config(record), now, remedy)
    return path
