"""FigureConfig: what a reader may choose for an interactive figure, and the figure of a choice."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from elslib.analysis.theories import theory_of
from elslib.checks import check_fields
from elslib.data.image_set import ImageSet
from elslib.data.named import load, with_split
from elslib.denoisers.machines import Denoiser, EquivariantLocalScore, LocalScore
from elslib.experiments.store import load_network, load_scale, scale_path, training_images
from elslib.figures.explorer import Explorer, explore
from elslib.figures.player import Player, play
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.samplers import ddim, initial_noise, uniform_times
from elslib.scales import ScaleTable, constant_scale, published_scale, published_scales

CALIBRATED, CONSTANT = "calibrated on the network", "one side at all times"


@dataclass(frozen=True)
class FigureConfig:
    """What an interactive figure is of. A wrong value is refused when the figure is computed.

    Attributes
    ----------
    dataset
        the theory's training images, a name that `elslib.load` knows
    network
        one that was trained on them, None for the theory alone
    label
        class of the pictures; None: each its own, seed modulo the number of classes, or no
        class at all where there is none to choose
    seed
        of the (first) noise image
    windows
        CALIBRATED, CONSTANT, or the name of a published scale
    factor
        by which a table's windows are multiplied
    side
        odd, of a CONSTANT window
    n_steps
        of the reverse process, at least 1
    """

    dataset: str
    network: str | None
    label: int | None = None
    seed: int = 0
    windows: str = CALIBRATED
    factor: float = 1.0
    side: int = 5
    n_steps: int = 20

    def __post_init__(self):
        check_fields(self)


def windows_for(network: str | None) -> list[str]:
    """The scales to choose from beside a network: its own if it is calibrated, then the others."""
    own = network is not None and scale_path(network, "els").is_file()
    return [*([CALIBRATED] if own else []), CONSTANT, *published_scales()]


def classes_of(dataset: str, network: str | None) -> Mapping[str, int]:
    """Class names and numbers to choose from; none if the network is not told any."""
    images, denoiser = _loaded(dataset, network)
    if images.labels is None or (denoiser and denoiser.config.classes is None):
        return {}
    return {images.class_name(number): number for number in images.labels.unique().tolist()}


def explorer(config: FigureConfig) -> Explorer:
    """The mosaic explorer of the config's noise image. Raises what its parts raise."""
    machine, network = _theory_and_network(config)
    labels = _labels(config, 1)
    noise = initial_noise([config.seed], machine.images.pixels.shape[1:])
    label = None if labels is None else int(labels)
    images = machine.images.subset(label)  # refuses a class that nobody has
    what = "a picture" if label is None else images.class_name(label).lower()
    title = f"{what}, seed {config.seed}"
    return explore(machine, network, noise, label, n_steps=config.n_steps, title=title)


def player(config: FigureConfig, n_seeds: int = 8) -> Player:
    """The time player of so many noise images, from the config's seed on."""
    machine, network = _theory_and_network(config)
    denoisers: dict[str, Denoiser] = {"theory": machine}
    if network is not None:
        denoisers["network"] = network
    seeds = range(config.seed, config.seed + n_seeds)
    noise = initial_noise(seeds, machine.images.pixels.shape[1:])
    times, labels = uniform_times(config.n_steps), _labels(config, n_seeds)
    with torch.no_grad():
        runs = {
            name: list(ddim(denoise, noise, times, labels)) for name, denoise in denoisers.items()
        }
    return play(runs, title=f"{' and '.join(denoisers)} from {n_seeds} noise images")


def _theory_and_network(
    config: FigureConfig,
) -> tuple[EquivariantLocalScore | LocalScore, NetworkDenoiser | None]:
    images, network = _loaded(config.dataset, config.network)
    if network is None:
        return EquivariantLocalScore(images, _scale(config)), None
    return theory_of(network, images, _scale(config)), network


def _scale(config: FigureConfig) -> ScaleTable:
    if config.windows == CONSTANT:
        return constant_scale(config.side)
    if config.windows != CALIBRATED:
        return published_scale(config.windows).scaled(config.factor)
    if config.network is None:
        raise ValueError(
            f"windows must not be {CALIBRATED!r} for the theory alone; take one side, or a "
            f"published scale."
        )
    return load_scale(config.network, "els").scaled(config.factor)


def _labels(config: FigureConfig, n_seeds: int) -> Tensor | None:
    n_classes = len(classes_of(config.dataset, config.network))
    if config.label is not None:
        return torch.full((n_seeds,), config.label, dtype=torch.int64, device="cpu")
    seeds = torch.arange(config.seed, config.seed + n_seeds, device="cpu")
    return seeds % n_classes if n_classes else None


@lru_cache(maxsize=1)  # another seed needs no other files
def _loaded(dataset: str, network: str | None) -> tuple[ImageSet, NetworkDenoiser | None]:
    if network is None:
        return load(dataset), None
    images = training_images(network)
    if images.name != with_split(dataset):
        raise ValueError(
            f"network must be trained on {dataset!r}, got {network!r}, trained on "
            f"{images.name!r}; a theory on other images predicts another network."
        )
    return images, load_network(network)
