"""The paper's convolutional networks, which predict noise, and the wrapper that denoises."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from elslib.datasets import data_folder, load
from elslib.images import ImageSet
from elslib.schedules import Schedule, cosine, denoised_from_noise

Padding = Literal["zeros", "circular"]
FREQUENCIES = 128


@dataclass(frozen=True)
class NetworkConfig:
    """What a network is: enough to build it again.

    channels  image channels; width  feature channels (the paper: 256); blocks  residual blocks;
    padding   "zeros" or "circular"; classes  number of classes, None if unconditional.
    """

    channels: int
    width: int = 256
    blocks: int = 6
    padding: Padding = "zeros"
    classes: int | None = None
    architecture: Literal["resnet"] = "resnet"

    def __post_init__(self):
        if self.padding not in get_args(Padding):
            raise ValueError(f"padding must be zeros or circular, got {self.padding!r}.")
        if self.architecture != "resnet":
            raise ValueError(f"architecture must be resnet, got {self.architecture!r}.")
        # With fewer than 3 channels in each of 8 groups the normalisation erases time and class.
        if self.width < 24 or self.width % 8:
            raise ValueError(f"width must be a multiple of 8 from 24 on, got {self.width}.")
        for name, value in (("channels", self.channels), ("blocks", self.blocks)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if self.classes is not None and self.classes < 1:
            raise ValueError(f"classes must be at least 1, or None, got {self.classes}.")


class Embedding(nn.Module):
    """Sinusoids of the raw t in [0, 1], sin and cos of 128 frequencies, plus a class vector."""

    frequencies: Tensor

    def __init__(self, classes: int | None):
        super().__init__()
        j = torch.arange(FREQUENCIES)
        frequencies = torch.exp(-math.log(10_000) * j / (FREQUENCIES - 1))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.classes = nn.Embedding(classes, 2 * FREQUENCIES) if classes else None

    def forward(self, t: Tensor, label: Tensor | None) -> Tensor:
        angles = t[:, None] * self.frequencies
        e = torch.cat([angles.sin(), angles.cos()], dim=1)  # (b, 256)
        return e if self.classes is None else e + self.classes(label)


class ResNet(nn.Module):
    """3x3 convolutions only, so that each output pixel sees a square of side 2 blocks + 5.

    A convolution up to `width`, residual blocks `h + relu(conv(h + e_l))`, one more embedding
    added, a convolution down. No normalisation in the path of the image: it would carry
    information across the whole image. With 6 blocks the receptive field is 17x17.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        c, f = config.channels, config.width
        self.embed = Embedding(config.classes)
        self.conditioners = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * FREQUENCIES, f), nn.GroupNorm(8, f), nn.ReLU())
            for _ in range(config.blocks + 1)
        )
        self.up = nn.Conv2d(c, f, 3, padding=1, padding_mode=config.padding)
        self.convs = nn.ModuleList(
            nn.Conv2d(f, f, 3, padding=1, padding_mode=config.padding) for _ in range(config.blocks)
        )
        self.down = nn.Conv2d(f, c, 3, padding=1, padding_mode=config.padding)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        """Noise estimate [b, c, h, w] for x [b, c, h, w] at times [b] and classes [b]."""
        e = self.embed(t, label)
        vectors = [conditioner(e)[:, :, None, None] for conditioner in self.conditioners]
        h = self.up(x)
        for conv, vector in zip(self.convs, vectors, strict=False):
            h = h + torch.relu(conv(h + vector))
        return self.down(h + vectors[-1])


class NetworkDenoiser:
    """A noise-predicting network as a Denoiser: `D = (x - sigma eps) / alpha`."""

    def __init__(self, module: nn.Module, config: NetworkConfig, schedule: Schedule | None = None):
        self.module = module.eval()
        self.config = config
        self.schedule = schedule or cosine()

    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Posterior mean of x_0; t in [0, 1]; a conditional network needs labels [b].

        Raises ValueError for another number of channels, a missing label, or one out of range.
        """
        weights = next(self.module.parameters())
        if x.dtype != weights.dtype or x.device != weights.device:
            raise ValueError(
                f"x must have the network's dtype and device, {weights.dtype} on {weights.device}, "
                f"got {x.dtype} on {x.device}; convert it with .to()."
            )
        _check_input(self.config, x, t, label)
        times = torch.as_tensor(t, dtype=torch.float64).expand(len(x))
        with torch.no_grad():
            eps = self.module(x, times.to(x), label)
        alpha, sigma = (
            level.to(x).reshape(-1, 1, 1, 1)
            for level in (self.schedule.alpha(times), self.schedule.sigma(times))
        )
        return denoised_from_noise(x, eps, alpha, sigma)


def _check_input(config: NetworkConfig, x: Tensor, t: float | Tensor, label: Tensor | None) -> None:
    if x.ndim != 4 or x.shape[1] != config.channels:
        raise ValueError(
            f"x must have shape [b, {config.channels}, h, w] for this network, got "
            f"{tuple(x.shape)}; it was trained on {config.channels}-channel images."
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x must be finite, got NaN or infinity; check the step before.")
    for name, value in (("t", t), ("label", label)):
        if isinstance(value, Tensor) and value.ndim and len(value) != len(x):
            raise ValueError(
                f"{name} must hold one entry per image, got {len(value)} for a batch of {len(x)}."
            )
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


def build(config: NetworkConfig) -> nn.Module:
    """A freshly initialised network, from torch's global generator."""
    return ResNet(config)


def network_paths(name: str) -> tuple[Path, Path]:
    """Weights and card of a network: a name in data/networks, or a path without its suffix."""
    folder = data_folder() / "networks" if "/" not in name else Path(name).parent
    stem = Path(name).name
    return folder / f"{stem}.safetensors", folder / f"{stem}.json"


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
        return json.loads(card.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{card} is corrupt or truncated ({error}); restore it.") from error


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
    module = build(config)
    try:
        module.load_state_dict({key: value.float() for key, value in state.items()})
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {weights} must fit the architecture of its card, {asdict(config)}; "
            f"they belong to another one ({error})."
        ) from error
    return NetworkDenoiser(module, config)


def training_images(name: str) -> ImageSet:
    """Exactly the images a network was trained on, by its card.

    Raises ValueError if the set of that name holds other images now.
    """
    about = load_card(name)["images"]
    images = load(about["name"])
    if images.sha256 != about["sha256"]:
        raise ValueError(
            f"images of {name!r} must have sha256 {about['sha256'][:16]}..., but {about['name']} "
            f"has {images.sha256[:16]}...; a theory on other images predicts another network."
        )
    return images
