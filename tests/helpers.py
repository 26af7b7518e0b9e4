"""What the tests of networks, of training and of recipes share."""

import torch

from elslib.networks.architectures import NetworkConfig, build

# A small class-conditional network for colour images.
NETWORK = NetworkConfig(3, width=24, blocks=2, classes=4)


def seeded(config):
    """A network whose weights depend on nothing but its config."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(config)
