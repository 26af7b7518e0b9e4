"""What is kept of trained networks: weights, cards, windows, results; where, and of what made.

A network is named: one in networks/ of the project by its name, one elsewhere by its path without
suffix, which has a slash. What is made of it goes to the project, or beside the network:
`PATH-els.json`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from safetensors import SafetensorError
from safetensors.torch import load as from_bytes

from elslib.checks import checked
from elslib.data.folders import command, project_folder
from elslib.data.image_set import ImageSet
from elslib.data.named import load, with_split
from elslib.io import read_json
from elslib.networks.architectures import Architecture, NetworkConfig, rebuild
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.scales import ScaleTable
from elslib.schedules import cosine


def network_paths(name: str | Path) -> tuple[Path, Path]:
    """Weights and card of a network: a name in the project, or a path without its suffix."""
    stem = name if _is_path(name) else project_folder() / "networks" / name
    return Path(f"{stem}.safetensors"), Path(f"{stem}.json")


def scale_path(network: str | Path, machine: str) -> Path:
    """Where the calibrated scales of a network are kept; machine is "els" or "ls"."""
    stem = network if _is_path(network) else project_folder() / "scales" / network
    return Path(f"{stem}-{machine}.json")


def result_path(kind: str, network: str | Path) -> Path:
    """The run record of a result of a network, such as "agreement"; its other files have the same
    name and another suffix."""
    if _is_path(network):
        return Path(f"{network}-{kind}.json")
    return project_folder() / "results" / f"{kind}-{network}.json"


def read_result(kind: str, network: str | Path, benchmark: str) -> dict:
    """What a benchmark wrote of a network. FileNotFoundError, naming the benchmark, if there is
    none, ValueError if the network has other weights now."""
    path, remedy = result_path(kind, network), f"make it again with `benchmarks/{benchmark}.py`"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; run `benchmarks/{benchmark}.py`.")
    content = read_json(path, remedy)
    now = {"weights_sha256": weights_sha256(network)}
    check_belongs(path, f"the weights of {network!r}", content["record"]["config"], now, remedy)
    return content


def _is_path(network: str | Path) -> bool:
    return isinstance(network, Path) or "/" in network


def weights_sha256(name: str | Path) -> str:
    """Digest of a network's weights file."""
    return hashlib.sha256(network_paths(name)[0].read_bytes()).hexdigest()


def made_of(network: str | Path, images: ImageSet) -> dict[str, object]:
    """What every result of a network depends on, as its run record says it."""
    return {
        "network": Path(network).name,
        "weights_sha256": weights_sha256(network),
        "images_sha256": images.sha256,
    }


def check_belongs(
    what: object, to: str, recorded: Mapping, now: Mapping[str, object], remedy: str
) -> None:
    """Raise ValueError, naming each difference, unless `what` was made of what is there now.

    `recorded` is what it says that it was made of, `now` what that is today; other keys of
    `recorded` are not looked at.
    """
    other = [
        f"{key} ({_brief(recorded.get(key))}, now {_brief(value)})"
        for key, value in now.items()
        if recorded.get(key) != value
    ]
    if other:
        raise ValueError(
            f"{what} must belong to {to}, but was made with other {', '.join(other)}; {remedy}."
        )


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:16]}...{text[-12:]}"  # parts of a set end alike


def load_card(name: str | Path) -> dict:
    """What is recorded of a network: configuration, training, images, losses, run record.

    Raises FileNotFoundError for an unknown name and ValueError for a broken card.
    """
    weights, card = network_paths(name)
    if not weights.is_file() or not card.is_file():
        known = sorted(path.stem for path in weights.parent.glob("*.safetensors"))
        some = ", ".join(known[:5])
        if len(known) > 5:
            some = f"{len(known)}, such as {some}"
        raise FileNotFoundError(
            f"no network {str(name)!r} ({weights} with its card .json); known there: "
            f"{some or 'none'}. Train one with `elslib train`; another project is "
            f"named by --project or the variable ELSLIB_PROJECT."
        )
    return read_json(card, "restore it from git, or train the network again")


def images_of(name: str | Path) -> dict[str, str]:
    """The name and the sha256 of a network's training images, by its card; the errors of
    `load_card`, and ValueError for a card without."""
    about = load_card(name).get("images")
    if not isinstance(about, dict) or not {"name", "sha256"} <= about.keys():
        raise ValueError(
            f"{network_paths(name)[1]} must hold the name and sha256 of the network's 'images', "
            f"got {about!r}; restore it."
        )
    return about


def trained_on(dataset: str) -> list[str]:
    """Names of the project's networks that were trained on an image set, by their cards: ResNets
    first, and a network before its variants.

    A broken card is passed over here; `load_card` says what is wrong with it.
    """
    found, kinds = [], get_args(Architecture)
    there = {weights.stem for weights in (project_folder() / "networks").glob("*.safetensors")}
    for name in there:
        with suppress(ValueError, OSError):
            if images_of(name)["name"] == with_split(dataset):
                kind = load_card(name).get("network", {}).get("architecture")
                found.append((kinds.index(kind) if kind in kinds else len(kinds), name))
    return [name for _, name in sorted(found)]


@checked
def load_network(name: str | Path) -> NetworkDenoiser:
    """The Denoiser saved as `name` in the project, or at the path `name` (without suffix).

    Raises FileNotFoundError for an unknown name and ValueError for a broken file or weights of
    another architecture than the card says.
    """
    weights, card = network_paths(name)
    content = load_card(name)
    if (found := content.get("schedule", "cosine")) != cosine().name:
        raise ValueError(
            f"schedule of {card} must be cosine, which networks here are trained with, got "
            f"{found!r}; build the network and give its schedule to NetworkDenoiser."
        )
    try:
        config = NetworkConfig(**content["network"])
        state = from_bytes(weights.read_bytes())  # read by Python, or no run would note the file
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(
            f"{weights} or its card is corrupt or truncated ({error}); restore it from git or "
            f"train it again."
        ) from error
    try:
        module = rebuild(config, {key: value.float() for key, value in state.items()})
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {weights} must fit the architecture of its card, {asdict(config)}; "
            f"they belong to another one ({error})."
        ) from error
    return NetworkDenoiser(module, config)


@checked
def training_images(name: str | Path) -> ImageSet:
    """Exactly the images a network was trained on, by its card.

    Raises ValueError if the set of that name holds other images now, or if the card names none.
    """
    about = images_of(name)
    images = load(about["name"])
    remedy = "a theory on other images predicts another network"
    check_belongs(network_paths(name)[1], about["name"], about, {"sha256": images.sha256}, remedy)
    return images


@checked
def load_scale(network: str | Path, machine: str) -> ScaleTable:
    """The scales calibrated for a network, of the machine "els" or "ls".

    Raises FileNotFoundError if there are none, ValueError if they belong to other weights or do not
    say to which.
    """
    machine = machine.lower()
    path = scale_path(network, machine)
    if not path.is_file():
        raise FileNotFoundError(
            f"no {machine} scales of {str(network)!r} ({path}); make them with "
            f"{command(f'calibrate --network {network} --machine {machine}')}, or ask for theories "
            f"that need none."
        )
    scale, recorded = ScaleTable.load(path), read_config(path)
    now = {"weights_sha256": weights_sha256(network)}
    check_belongs(path, f"the weights of {network!r}", recorded, now, "calibrate again")
    return scale


def scale_warnings(network: str | Path, machines: Iterable[str]) -> list[str]:
    """What calibrations said against their own windows, "els: ...", if they judged themselves."""
    kept = {m: read_json(scale_path(network, m), "calibrate again") for m in machines}
    return [
        f"{machine}: {told}"
        for machine, content in kept.items()
        for told in content.get("quality", {}).get("warnings", [])
    ]


def read_record(path: Path) -> Mapping:
    """The run record that a json file is, or holds. ValueError for a file that has none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        record = content.get("record", content)
        return {key: record[key] for key in ("command", "config", "data_sha256", "seconds")}
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must hold the record of a run ({error!r}); delete it.") from error


def read_config(path: Path) -> Mapping:
    """What the run depended on that wrote a json file; the errors of `read_record`."""
    return read_record(path)["config"]
