"""What is kept of trained networks: weights, cards, windows; and whose they are."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as from_bytes

from elslib.data.folders import data_folder
from elslib.data.image_set import ImageSet
from elslib.data.named import load, with_split
from elslib.networks.architectures import NetworkConfig, rebuild
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.scales import ScaleTable


def network_paths(name: str) -> tuple[Path, Path]:
    """Weights and card of a network: a name in data/networks, or a path without its suffix."""
    folder = data_folder() / "networks" if "/" not in name else Path(name).parent
    stem = Path(name).name
    return folder / f"{stem}.safetensors", folder / f"{stem}.json"


def weights_sha256(name: str) -> str:
    """Digest of a network's weights file."""
    return hashlib.sha256(network_paths(name)[0].read_bytes()).hexdigest()


def load_card(name: str) -> dict:
    """What is recorded of a network: configuration, training, images, losses, run record.

    Raises FileNotFoundError for an unknown name and ValueError for a broken card.
    """
    weights, card = network_paths(name)
    if not weights.is_file() or not card.is_file():
        known = sorted(path.stem for path in weights.parent.glob("*.safetensors"))
        raise FileNotFoundError(
            f"no network {name!r} ({weights} with its card .json); known there: "
            f"{', '.join(known) or 'none'}. Train one with `elslib train`."
        )
    try:
        content = json.loads(card.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{card} is corrupt or truncated ({error}); restore it.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{card} must describe a network, got {content!r}; restore it from git.")
    return content


def images_of(name: str) -> dict[str, str]:
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
    """Names of the networks in data/networks that were trained on an image set, by their cards.

    A broken card is passed over here; `load_card` says what is wrong with it.
    """
    names = []
    for weights in sorted((data_folder() / "networks").glob("*.safetensors")):
        with suppress(ValueError, OSError):
            if images_of(weights.stem)["name"] == with_split(dataset):
                names.append(weights.stem)
    return names


def load_network(name: str) -> NetworkDenoiser:
    """The Denoiser saved as `name` in data/networks, or at the path `name` (without suffix).

    Raises FileNotFoundError for an unknown name and ValueError for a broken file or weights of
    another architecture than the card says.
    """
    weights, card = network_paths(name)
    content = load_card(name)
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


def training_images(name: str) -> ImageSet:
    """Exactly the images a network was trained on, by its card.

    Raises ValueError if the set of that name holds other images now, or if the card names none.
    """
    about = images_of(name)
    images = load(about["name"])
    if images.sha256 != about["sha256"]:
        raise ValueError(
            f"images of {name!r} must have sha256 {about['sha256'][:16]}..., but {about['name']} "
            f"has {images.sha256[:16]}...; a theory on other images predicts another network."
        )
    return images


def scale_path(network: str, machine: str) -> Path:
    """Where the calibrated scales of a network are kept; machine is "els" or "ls"."""
    return data_folder() / "scales" / f"{network}-{machine}.json"


def load_scale(network: str, machine: str) -> ScaleTable:
    """The scales calibrated for a network.

    Raises FileNotFoundError if there are none, ValueError if they belong to other weights or do not
    say to which.
    """
    path = scale_path(network, machine)
    if not path.is_file():
        raise FileNotFoundError(
            f"no {machine} scales of {network!r} ({path}); make them with "
            f"`elslib calibrate --network {network} --machine {machine}`."
        )
    scale = ScaleTable.load(path)
    try:
        weights = json.loads(path.read_text())["record"]["config"]["weights_sha256"]
    except KeyError as error:
        raise ValueError(
            f"{path} must hold the record of a calibration, but lacks {error}; calibrate again."
        ) from error
    if weights != weights_sha256(network):
        raise ValueError(
            f"{path} must belong to the weights of {network!r}, but was calibrated on others "
            f"(sha256 {weights[:16]}...); calibrate again."
        )
    return scale
