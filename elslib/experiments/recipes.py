"""Recipes: which networks are trained on what and how.

A network is named by its images and its kind, `fashion-unet`; those trained on a full set say so,
`cifar10-full-unet`, and those of the profile "paper" end in `-paper`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path

import numpy as np

from elslib.data.image_set import ImageSet
from elslib.data.named import is_path, load, second_split, with_split
from elslib.experiments.store import images_of, network_paths
from elslib.networks.architectures import NetworkConfig
from elslib.networks.training import TrainConfig

SNAPSHOTS, SNAPSHOT_FOLDER = 8, ".snapshots"


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
    "patches": {"architecture": "patches", "padding": "zeros"},
}


# How the networks of a profile are trained, and how wide their ResNets and UNets are.
PROFILES: dict[str, dict] = {
    # At most two hours of two cores for a network. Some UNets got stuck at twice this rate.
    "cpu": {
        "width": {"resnet": 64, "unet": 64, "patches": 128},
        "steps": 7_000, "batch": 32, "lr": 1e-3, "decay": "cosine", "ema": 0.999,
        "weighting": "relative",
    },
    # The paper's recipe (App. C.1).
    "paper": {
        "width": {"resnet": 256, "unet": 64, "patches": 256},
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
        return self.weights.parent / SNAPSHOT_FOLDER / f"{self.weights.stem}-{steps}.safetensors"


def kept_snapshots(weights: Path) -> dict[int, Path]:
    """Where the weights after so many steps are, of the network whose weights are there, in
    order."""
    folder, name = weights.parent / SNAPSHOT_FOLDER, weights.stem
    ends = {path: path.stem.removeprefix(f"{name}-") for path in folder.glob(f"{escape(name)}-*")}
    return dict(sorted((int(end), path) for path, end in ends.items() if end.isdigit()))


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
    subject = SUBJECTS.get(dataset) or Subject(_anywhere(dataset), second_split(dataset), True)
    images = load(subject.images)
    rest = _anywhere(held_out) if held_out else subject.held_out
    told = subject.conditional and not unconditional and images.labels is not None
    classes = _count_classes(images) if told else None
    how = PROFILES[profile] | {"width": PROFILES[profile]["width"][network.split("-")[0]]}
    how |= {name: value for name, value in changes.items() if value is not None}
    made = {name: how.pop(name) for name in ("width", "last") if name in how}
    built = NetworkConfig(images.pixels.shape[1], classes=classes, **made, **KINDS[network])
    config = TrainConfig(built, **how)
    suffix = "-paper" if profile == "paper" else ""
    own = Path(dataset).stem if "." in dataset else Path(dataset).name
    subject_name = own if is_path(dataset) else dataset.replace("/", "-")
    name = name or f"{subject_name}-{network}{suffix}"
    return Recipe(name, images, load(rest) if rest else None, config)


def _anywhere(dataset: str) -> str:
    """Its name as it holds in any folder: the card of a network says it."""
    return str(Path(dataset).resolve()) if is_path(dataset) and Path(dataset).exists() else dataset


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


def described(recipe: Recipe) -> dict[str, dict]:
    """What a card says of a recipe: what the network is, how it is trained, and on what."""
    config = asdict(recipe.config)
    images = {"name": recipe.images.name, "sha256": recipe.images.sha256}
    if recipe.held_out is not None:
        images["held_out"] = recipe.held_out.name
    return {"network": config.pop("network"), "training": config, "images": images}


def command(about: Mapping) -> str | None:
    """The `elslib train` that makes the network of a card, or None if no recipe does: it was
    imported, or trained on images or in a way that only Python can ask for."""
    how, built, images = about.get("training"), about["network"], about["images"]["name"]
    subjects = [
        name for name, some in SUBJECTS.items() if with_split(some.images) == with_split(images)
    ]
    kinds = [name for name, kind in KINDS.items() if kind.items() <= built.items()]
    if not (how and subjects and kinds):
        return None
    (subject, *_), (kind, *_) = subjects, kinds
    width = PROFILES["cpu"]["width"][kind.split("-")[0]]
    usual = PROFILES["cpu"] | {"width": width, "last": 3, "seed": 0}
    asked = how | {"width": built["width"], "last": built["last"]}
    if asked["ema"] != usual["ema"]:
        return None
    words = ["elslib train --dataset", subject, "--network", kind]
    words += ["--unconditional"] * (SUBJECTS[subject].conditional and built["classes"] is None)
    for name in ("width", "last", "steps", "batch", "lr", "decay", "weighting", "seed"):
        if asked[name] != usual[name]:
            words += [f"--{name}", str(asked[name])]
    if about["name"] != f"{subject}-{kind}":
        words += ["--name", about["name"]]
    return " ".join(words)
