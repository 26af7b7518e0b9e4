"""Names for readers come from the cards."""

import json

import pytest

from elslib.data.folders import data_folder
from elslib.experiments.titles import published_title, reproduces, title


@pytest.mark.parametrize(
    "network,expected",
    [
        ("cifar10-full-resnet", "ResNet, CIFAR10"),
        ("cifar10-resnet", "ResNet, CIFAR10, a fifth"),
        ("mnist-resnet-circular", "circular ResNet, MNIST, a part"),
        ("mnist-resnet-fast", "ResNet, MNIST, a part (fast learning)"),
        ("mnist-resnet-plain", "ResNet, MNIST, a part (plain errors)"),
        ("fashion-unet-attention", "UNet with attention, FashionMNIST, a sixth"),
        ("emoji-unet", "UNet, emoji"),
    ],
)
def test_a_title_says_build_and_images(network, expected):
    """And what its name adds to that of its recipe."""
    assert title(network) == expected


def test_every_network_has_a_title_of_its_own():
    """So that figures can name rows by it."""
    networks = [path.stem for path in (data_folder() / "networks").glob("*.safetensors")]
    assert len({title(name) for name in networks}) == len(networks) > 10


def test_the_network_of_the_full_set_stands_for_the_papers():
    """Else that of a part, else none."""
    names = ["cifar10-full-resnet", "cifar10-resnet", "mnist-unet"]
    assert reproduces("cifar10-resnet", names) == "cifar10-full-resnet"
    assert reproduces("mnist-unet", names) == "mnist-unet"
    assert reproduces("celeba-unet", names) is None
    published = json.loads((data_folder() / "published_agreement.json").read_text())["networks"]
    titles = [published_title(key) for key in published]
    assert len(set(titles)) == 11
    assert {"circular ResNet, MNIST", "UNet with attention, CIFAR10"} <= set(titles)
