"""Attention maps: what the layers compute, seen from outside."""

from dataclasses import replace

import pytest
import torch
from helpers import NETWORK, seeded

from elslib.analysis.attention import attention_maps, share_beyond
from elslib.networks.architectures import SelfAttention
from elslib.networks.network_denoiser import NetworkDenoiser

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = replace(NETWORK, architecture="unet-attention", width=32)
LABEL = torch.tensor([1, 3])


def noise(b=2):
    return torch.randn(b, 3, 16, 8, generator=torch.Generator().manual_seed(0))


def test_weights_are_those_that_the_layer_mixes_with():
    """Loops over heads and places, from the layer's own queries, keys and values."""
    layer = SelfAttention(32)
    torch.nn.init.normal_(layer.project.weight, generator=torch.Generator().manual_seed(0))
    h = torch.randn(1, 32, 2, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        weights = layer.weights(h)
        qkv = layer.query_key_value(layer.normalise(h)).reshape(3, 4, 8, 6)
        mixed = torch.empty(4, 8, 6)
        for head in range(4):
            for place in range(6):
                mixed[head, :, place] = qkv[2, head] @ weights[0, head, place]
        expected = h + layer.project(mixed.reshape(1, 32, 2, 3))
        assert torch.allclose(layer(h), expected, atol=1e-5)
    assert weights.shape == (1, 4, 6, 6)


def test_a_map_for_each_layer():
    """Two coarser scales down, one up; each place's weights sum to 1; images apart."""
    network = NetworkDenoiser(seeded(CONFIG), CONFIG)
    maps = attention_maps(network, noise(), 0.5, LABEL)
    assert [tuple(m.shape) for m in maps] == [(2, 8, 4, 8, 4), (2, 4, 2, 4, 2), (2, 8, 4, 8, 4)]
    for found in maps:
        assert torch.allclose(found.sum(dim=(3, 4)), torch.ones(found.shape[:3]), atol=1e-5)
        assert float(found.min()) >= 0
    alone = attention_maps(network, noise()[1:], 0.5, LABEL[1:])
    assert all(torch.allclose(a[0], b[1], atol=1e-6) for a, b in zip(alone, maps, strict=True))
    assert not any(layer._forward_pre_hooks for layer in network.module.modules())


def test_a_network_without_attention():
    """Says which has some."""
    plain = replace(CONFIG, architecture="unet")
    with pytest.raises(ValueError, match="network must have attention, got a unet"):
        attention_maps(NetworkDenoiser(seeded(plain), plain), noise(), 0.5, LABEL)


def test_share_beyond_by_loops():
    """On random maps of 3 x 4 places."""
    weights = torch.rand(2, 3, 4, 3, 4, generator=torch.Generator().manual_seed(0))
    weights /= weights.sum(dim=(3, 4), keepdim=True)
    for reach in (0, 1, 1.5, 2):
        expected = torch.zeros(2)
        for i, j, k, l in torch.cartesian_prod(*(torch.arange(n) for n in (3, 4, 3, 4))).tolist():
            if max(abs(i - k), abs(j - l)) > reach:
                expected += weights[:, i, j, k, l] / 12
        assert torch.allclose(share_beyond(weights, reach), expected, atol=1e-6)
    assert share_beyond(weights, 3).tolist() == [0, 0]


def test_share_beyond_needs_a_reach():
    """No negative one."""
    with pytest.raises(ValueError, match="reach must be at least 0, got -1"):
        share_beyond(torch.ones(1, 1, 1, 1, 1), -1)
