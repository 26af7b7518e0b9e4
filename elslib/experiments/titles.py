"""Names of networks for readers, told by their cards."""

from elslib.experiments.recipes import KINDS
from elslib.experiments.store import load_card

IMAGES = {
    "cifar10": "CIFAR10",
    "cifar10_10k": "CIFAR10, a fifth",
    "celeba_10k": "CelebA, a part",
    "fashion_mnist": "FashionMNIST",
    "fashion_mnist_10k": "FashionMNIST, a sixth",
    "mnist": "MNIST",
    "mnist_5k": "MNIST, a part",
    "noto_emoji": "emoji",
}
# What a name adds to that of its recipe, in a reader's words.
RESTS = {
    "last-1": "last kernel 1 x 1",
    "again": "trained again",
    "fast": "fast learning",
    "plain": "plain errors",
}
BUILDS = {
    "resnet": "ResNet",
    "unet": "UNet",
    "unet-attention": "UNet with attention",
    "patches": "network of patches",
}


def title(network: str) -> str:
    """Which network on which images, as in "circular ResNet, MNIST, a part".

    What its name adds to that of its recipe follows in brackets: "(plain errors)". The errors of
    `load_card`.
    """
    card = load_card(network)
    config, name = card["network"], card["images"]["name"].partition("/")[0]
    build = BUILDS[config["architecture"]]
    padding = "circular " if config["padding"] == "circular" else ""
    return f"{padding}{build}, {IMAGES.get(name, name)}{_rest(network)}"


def _rest(network: str) -> str:
    """What follows the kind of network in a name, as "plain" in "mnist-resnet-plain"."""
    for kind in sorted(KINDS, key=len, reverse=True):
        _, found, rest = f"{network}-".partition(f"-{kind}-")
        if found:
            rest = rest.rstrip("-")
            return f" ({RESTS.get(rest, rest.replace('-', ' '))})" if rest else ""
    return ""


def published_title(published: str) -> str:
    """The name of one of the paper's networks, by its key in `published_agreement.json`."""
    subject, _, kind = published.partition("-")
    build = BUILDS[kind.removesuffix("-circular")]
    images = {"celeba": "CelebA", "cifar10": "CIFAR10", "fashion": "FashionMNIST", "mnist": "MNIST"}
    return f"{'circular ' * kind.endswith('-circular')}{build}, {images[subject]}"


def reproduces(published: str, names: list[str]) -> str | None:
    """Which of our networks stands for one of the paper's: that of the full set, if it is among
    `names`, else that of a part; None if neither is."""
    subject, _, kind = published.partition("-")
    return next((name for name in (f"{subject}-full-{kind}", published) if name in names), None)
