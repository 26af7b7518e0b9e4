"""Recipes: which networks are trained on what and how, and the run that makes one of them.

A network is named by its images and its kind, `fashion-unet`; those trained on a full set say so,
`cifar10-full-unet`, and those of the profile "paper" end in `-paper`.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from elslib.analysis.metrics import near_copies
from elslib.data.image_set import ImageSet
from elslib.data.named import is_path, load, second_split, with_split
from elslib.experiments.provenance import RunRecord
from elslib.experiments.store import check_belongs, images_of, load_card, network_paths
from elslib.io import write_json
from elslib.networks.architectures import NetworkConfig
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.networks.training import (
    MEASUREMENTS,
    TrainConfig,
    Trainer,
    TrainStep,
    read_state,
    train,
    write_tensors,
)
from elslib.samplers import initial_noise, sample
from elslib.schedules import cosine

# Samples that are compared with the training images, from seeds that nothing else uses.
SAMPLES, FIRST_SEED = 100, 50_000
# Trained: the held-out loss fell less than this over the last fifth of the steps.
PLATEAU = 0.01
SNAPSHOTS = 8


@dataclass(frozen=True)
class Subject:
    """Names of the images to train on and to hold out; whether networks are told their class."""

    images: str
    held_out: str | None
    conditional: bool


SUBJECTS = {
    "fashion": Subject("fashion_mnist_10k", "fashion_mnist_test_1k", True),
    "mnist": Subject("mnist_5k/train", "mnist_5k/held_out", False),
    "emoji": Subject("noto_emoji/train", "noto_emoji/held_out", True),
    "cifar10": Subject("cifar10_10k", "cifar10_test_1k", True),
    "fashion-full": Subject("fashion_mnist/train", "fashion_mnist/test", True),
    "mnist-full": Subject("mnist/train", "mnist/test", False),
    "cifar10-full": Subject("cifar10/train", "cifar10/test", True),
    "celeba": Subject("celeba_10k/train", "celeba_10k/held_out", False),
}
KINDS: dict[str, dict] = {
    "resnet": {"architecture": "resnet", "padding": "zeros"},
    "resnet-circular": {"architecture": "resnet", "padding": "circular"},
    "unet": {"architecture": "unet", "padding": "zeros"},
    "unet-attention": {"architecture": "unet-attention", "padding": "zeros"},
}


# How the networks of a profile are trained, and how wide their ResNets and UNets are.
PROFILES: dict[str, dict] = {
    # At most two hours of two cores for a network. Some UNets got stuck at twice this rate.
    "cpu": {
        "width": {"resnet": 64, "unet": 64},
        "steps": 7_000, "batch": 32, "lr": 1e-3, "decay": "cosine", "ema": 0.999,
        "weighting": "relative",
    },
    # The paper's recipe (App. C.1).
    "paper": {
        "width": {"resnet": 256, "unet": 64},
        "steps": 140_000, "batch": 128, "lr": 1e-4, "decay": "exponential", "ema": 0.0,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """A network to be: its name, images to train on and to hold out, how to train it."""

    name: str
    images: ImageSet
    held_out: ImageSet | None
    config: TrainConfig

    @property
    def weights(self) -> Path:
        return network_paths(self.name)[0]

    @property
    def card(self) -> Path:
        return network_paths(self.name)[1]

    @property
    def state(self) -> Path:
        """Where an unfinished run is kept."""
        return self.weights.parent / ".state" / self.weights.name

    @property
    def snapshots(self) -> tuple[int, ...]:
        """Log-spaced numbers of steps after which the weights are kept, to see it learn."""
        last = self.config.steps
        marks = np.geomspace(min(100, last), last, SNAPSHOTS)
        return tuple(sorted({round(mark) for mark in marks}))

    def snapshot(self, steps: int) -> Path:
        """Where the weights after so many steps are kept."""
        folder = self.weights.parent / ".snapshots"
        return folder / f"{self.weights.stem}-{steps}.safetensors"


def recipe(
    dataset: str,
    network: str,
    profile: str = "cpu",
    name: str = "",
    held_out: str | None = None,
    unconditional: bool = False,
    **changes,
) -> Recipe:
    """The network `dataset`-`network` of a profile; `changes` to width, steps, lr, ...

    `dataset` is a subject, or anything that `load` knows: then `held_out` names the images that
    the network does not see, by default the second split of an imported or embedded set, and a
    network is told the classes of images that have labels, unless `unconditional`. Raises
    ValueError for an unknown dataset, network or profile, FileNotFoundError for images that are not
    here.
    """
    for what, value, known in (("network", network, KINDS), ("profile", profile, PROFILES)):
        if value not in known:
            raise ValueError(f"{what} must be one of {', '.join(known)}, got {value!r}.")
    if dataset not in SUBJECTS and is_path(dataset) and not Path(dataset).exists():
        raise ValueError(
            f"dataset must be one of {', '.join(SUBJECTS)}, or an image set, a folder or a file "
            f"that `elslib.load` knows, got {dataset!r}."
        )
    subject = SUBJECTS.get(dataset) or Subject(dataset, second_split(dataset), True)
    images = load(subject.images)
    rest = held_out or subject.held_out
    told = subject.conditional and not unconditional and images.labels is not None
    classes = _count_classes(images) if told else None
    how = PROFILES[profile] | {"width": PROFILES[profile]["width"][network.split("-")[0]]}
    how |= {name: value for name, value in changes.items() if value is not None}
    width = how.pop("width")
    built = NetworkConfig(images.pixels.shape[1], width, classes=classes, **KINDS[network])
    config = TrainConfig(built, **how)
    suffix = "-paper" if profile == "paper" else ""
    own = Path(dataset).stem if "." in dataset else Path(dataset).name
    subject_name = own if is_path(dataset) else dataset.replace("/", "-")
    name = name or f"{subject_name}-{network}{suffix}"
    return Recipe(name, images, load(rest) if rest else None, config)


def _count_classes(images: ImageSet) -> int:
    assert images.labels is not None
    low, high = (int(label) for label in images.labels.aminmax())
    if low < 0:
        raise ValueError(f"labels must be at least 0 to train with, got {low} in {images.name!r}.")
    return max(len(images.class_names), high + 1)


def held_out_images(name: str) -> ImageSet:
    """The images that were held out of a network's training, by its card.

    Raises ValueError if neither it nor a subject names them.
    """
    about = images_of(name)
    if "held_out" in about:
        return load(about["held_out"])
    trained_on = about["name"]
    for subject in SUBJECTS.values():
        if with_split(subject.images) == with_split(trained_on):
            assert subject.held_out is not None
            return load(subject.held_out)
    raise ValueError(
        f"name must be of a network trained on images of the recipes, got {name!r}, trained on "
        f"{trained_on!r}; nothing is known to be held out of these."
    )


def make(recipe: Recipe, device: torch.device | str = "cpu") -> Iterator[tuple[Trainer, TrainStep]]:
    """Train the network of a recipe, or resume it; yields after each step.

    At the end its weights and its card are in data/networks; if they are there already, nothing
    is done. Raises ValueError if a network of another configuration has its name.
    """
    if is_made(recipe):
        return
    trainer = Trainer(recipe.config, recipe.images.to(device))
    marks = recipe.snapshots
    for step in train(trainer, recipe.state, held_out=recipe.held_out):
        if step.step + 1 in marks:
            write_weights(recipe.snapshot(step.step + 1), trainer.average, recipe.images)
        yield trainer, step
    if not recipe.snapshot(marks[-1]).is_file():  # of a run that was killed after its last step
        write_weights(recipe.snapshot(marks[-1]), trainer.average, recipe.images)
    finish(recipe, trainer)


def steps_done(recipe: Recipe) -> int:
    """How many steps of a recipe are done and kept; the errors of `is_made` and `read_state`."""
    if is_made(recipe):
        return recipe.config.steps
    if not recipe.state.exists():
        return 0
    return len(read_state(recipe.state, recipe.config, recipe.images)["losses"])


def is_made(recipe: Recipe) -> bool:
    """Whether the network is in data/networks. ValueError if another one has its name."""
    if not recipe.weights.is_file() or not recipe.card.is_file():
        return False
    there, remedy = load_card(recipe.name), "give another name, or delete that network"
    for part, now in described(recipe).items():
        what = f"{part} of the network {recipe.name!r} ({recipe.card})"
        check_belongs(what, "this recipe", there.get(part) or {}, now, remedy)
    return True


def finish(recipe: Recipe, trainer: Trainer) -> None:
    """Write the weights in half precision and the card of a trained network."""
    content = card(recipe, trainer)
    recipe.card.unlink(missing_ok=True)  # so that a kill never leaves it with other weights
    write_weights(recipe.weights, trainer.average, recipe.images)
    write_json(recipe.card, content)


def write_weights(path: Path, weights: dict[str, torch.Tensor], images: ImageSet) -> None:
    """Half precision: it changes no measured agreement, see tests/test_recipes.py."""
    half = {name: tensor.half() for name, tensor in weights.items()}
    write_tensors(path, half, {"images": images.sha256})


def described(recipe: Recipe) -> dict[str, dict]:
    """What a card says of a recipe: what the network is, how it is trained, and on what."""
    config = asdict(recipe.config)
    images = {"name": recipe.images.name, "sha256": recipe.images.sha256}
    return {"network": config.pop("network"), "training": config, "images": images}


def card(recipe: Recipe, trainer: Trainer) -> dict:
    """What is recorded of a network beside its weights."""
    asked, seconds = described(recipe), round(trainer.seconds, 1)
    record = RunRecord("elslib train", asked["training"], recipe.images.sha256, seconds)
    tail = trainer.losses[-max(1, len(trainer.losses) // 10) :]
    curve = np.array_split(np.array(trainer.losses), min(60, len(trainer.losses)))
    if recipe.held_out is not None:
        asked["images"]["held_out"] = recipe.held_out.name
    return {
        "name": recipe.name,
        **asked,
        "schedule": cosine().name,
        "loss": {
            "training": round(float(np.mean(tail)), 5),  # of the last tenth of the steps
            **_held_out_losses(trainer.held_out),
        },
        "precision": str(trainer.precision).removeprefix("torch."),
        "near_copies": share_of_copies(trainer.denoiser(), recipe.images),
        "loss_curve": [round(float(part.mean()), 5) for part in curve],
        "held_out_curve": [round(loss, 5) for loss in trainer.held_out],
        "record": record.json(),
    }


def _held_out_losses(losses: list[float]) -> dict[str, float | bool | None]:
    """The last one, how much it fell, and whether that says that the network is trained; without
    held-out images nobody knows."""
    if not losses:
        return {"held_out": None, "held_out_fell_in_last_fifth": None, "trained": False}
    n = len(losses)
    fell = 1 - losses[-1] / losses[n - 1 - n // 5]
    return {
        "held_out": round(losses[-1], 5),
        "held_out_fell_in_last_fifth": round(fell, 5),
        "trained": n == MEASUREMENTS and fell < PLATEAU,
    }


def share_of_copies(denoise: NetworkDenoiser, images: ImageSet) -> float:
    """Share of 100 samples that nearly copy one of the images, by `metrics.near_copies`."""
    device = next(denoise.module.parameters()).device
    seeds = range(FIRST_SEED, FIRST_SEED + SAMPLES)
    noise = initial_noise(seeds, images.pixels.shape[1:]).to(device)
    classes = denoise.config.classes
    labels = None if classes is None else torch.arange(SAMPLES, device=device) % classes
    x = sample(denoise, noise, labels)
    return float(near_copies(x, images.pixels.to(device)).double().mean())
