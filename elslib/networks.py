"""Trained networks: the wrapper that makes one a Denoiser, and the files of the zoo."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from elslib.architectures import NetworkConfig, rebuild
from elslib.datasets import data_folder, load, with_split
from elslib.images import ImageSet
from elslib.machines import check_times_and_labels
from elslib.schedules import Schedule, cosine, denoised_from_noise
from elslib.windows import Border


class NetworkDenoiser:
    """A noise-predicting network as a Denoiser: `D = (x - sigma eps) / alpha`."""

    def __init__(self, module: nn.Module, config: NetworkConfig, schedule: Schedule | None = None):
        self.module = module.eval()
        self.config = config
        self.schedule = schedule or cosine()

    @property
    def edges(self) -> Border:
        """The kind of border that the network's padding makes: what its ELS machine needs."""
        return "aware" if self.config.padding == "zeros" else "circular"

    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Posterior mean of x_0; t in [0, 1]; a conditional network needs labels [b].

        Gradients flow to an x that requires them, never to the weights alone. Raises ValueError
        for another number of channels, a missing label, or one out of range.
        """
        check_input(self.config, self.module, x, t, label)
        times = torch.as_tensor(t, dtype=torch.float64).expand(len(x))
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            eps = self.module(x, times.to(x), label)
        alpha, sigma = self.schedule.batch_levels(times, x)
        return denoised_from_noise(x, eps, alpha, sigma)


@runtime_checkable
class Takes(Protocol):
    """What a network takes: a NetworkConfig, or what stands for it in networks of others."""

    @property
    def channels(self) -> int: ...

    @property
    def classes(self) -> int | None: ...

    @property
    def side_multiple(self) -> int: ...


def check_sides(config: Takes, name: str, x: Tensor) -> None:
    """Raise ValueError if `name`, images [b, c, h, w], have sides that a UNet cannot halve."""
    multiple = config.side_multiple
    if any(side % multiple for side in x.shape[2:]):
        raise ValueError(
            f"{name} must have sides that are multiples of {multiple} for this network, got "
            f"{tuple(x.shape[2:])}; it halves them {multiple.bit_length() - 1} times."
        )


def check_input(
    config: Takes, module: nn.Module, x: Tensor, t: float | Tensor, label: Tensor | None
) -> None:
    """Raise ValueError for input that a network does not take; nothing is converted."""
    weights = next(module.parameters())
    if x.dtype != weights.dtype or x.device != weights.device:
        raise ValueError(
            f"x must have the network's dtype and device, {weights.dtype} on {weights.device}, "
            f"got {x.dtype} on {x.device}; convert it with .to()."
        )
    if x.ndim != 4 or x.shape[1] != config.channels:
        raise ValueError(
            f"x must have shape [b, {config.channels}, h, w] for this network, got "
            f"{tuple(x.shape)}; it was trained on {config.channels}-channel images."
        )
    check_sides(config, "x", x)
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x must be finite, got NaN or infinity; check the step before.")
    check_times_and_labels(x, t, label)
    if config.classes is None:
        if label is not None:
            raise ValueError("label must be None: this network is unconditional.")
    elif label is None:
        raise ValueError(
            f"label must hold one class in 0..{config.classes - 1} per image: this network is "
            f"class-conditional, got None."
        )
    elif bool(((label < 0) | (label >= config.classes)).any()):
        raise ValueError(f"label must lie in 0..{config.classes - 1}, got {label.tolist()}.")


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
        state = load_file(weights)
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
