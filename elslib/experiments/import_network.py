"""Importing: a network that the paper's authors released becomes one of the project."""

import hashlib
from dataclasses import asdict
from pathlib import Path

from elslib.data.named import load
from elslib.experiments.store import network_paths
from elslib.io import json_bytes, write_together
from elslib.networks.batches import check_images
from elslib.networks.released import read_released
from elslib.networks.training import tensors_bytes
from elslib.schedules import cosine


def import_released(file: Path, name: str, dataset: str | None = None) -> dict:
    """Keep a released network as `name`, with its card, which is returned.

    `dataset` names the images that it was trained on, which `calibrate` and `agree` need. Raises
    ValueError for a name that is taken, for images that do not fit, and what `read_released`
    refuses.
    """
    weights, card = network_paths(name)
    if not name or weights.is_file() or card.is_file():
        raise ValueError(f"name must be given and not be taken, got {name!r} ({weights}).")
    config, tensors = read_released(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    about: dict[str, object] = {
        "name": Path(name).name,
        "network": asdict(config),
        "schedule": cosine().name,
        "released": {"file": file.name, "sha256": digest},
    }
    if dataset is not None:
        images = load(dataset)
        check_images(config, images)
        about["images"] = {"name": images.name, "sha256": images.sha256}
    of_tensors = tensors_bytes(tensors, {"released": digest})
    write_together({weights: of_tensors, card: json_bytes(about)})
    return about
