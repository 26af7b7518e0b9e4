"""Receptive fields: a convolution's is its kernel, a ResNet's is as wide as its layers reach."""

import pytest
import torch
import torch.nn.functional as F
from helpers import NETWORK, FunctionDenoiser, seeded

from elslib.analysis.receptive_field import receptive_field, side_holding
from elslib.networks.network_denoiser import NetworkDenoiser

pytestmark = pytest.mark.usefixtures("one_thread")
KERNEL = torch.arange(-4.0, 5).reshape(3, 3)


@FunctionDenoiser
def blur(x, t, label=None):
    """Each channel with one kernel: the field of a pixel is the kernel around it."""
    return F.conv2d(x, KERNEL.expand(2, 1, 3, 3), padding=1, groups=2)


def test_the_field_of_a_convolution_is_its_kernel():
    """Half of it: of the two input channels one counts. Also at another pixel, and cut off."""
    x = torch.randn(3, 2, 7, 8, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(7, 8)
    expected[2:5, 3:6] = KERNEL.abs() / 2
    assert torch.allclose(receptive_field(blur, x, 0.5), expected)
    corner = receptive_field(blur, x, 0.5, pixel=(0, 7))
    assert torch.allclose(corner[:2, 6:], KERNEL.abs()[1:, :2] / 2)
    assert float(corner[2:].abs().max()) == 0
    assert x.grad is None and not x.requires_grad


def test_the_field_of_a_resnet_ends_where_its_layers_do():
    """Two blocks reach 9 pixels; images of a batch count alike, whatever their place in it."""
    network = NetworkDenoiser(seeded(NETWORK), NETWORK)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 3])
    field = receptive_field(network, x, 0.5, label)
    assert side_holding(field, 1.0) == 9
    alone = [receptive_field(network, x[i : i + 1], 0.5, label[i : i + 1]) for i in (0, 1)]
    assert torch.allclose(field, torch.stack(alone).mean(dim=0), rtol=1e-4)


def test_a_side_holds_its_share():
    """The pixel itself does not count."""
    field = torch.zeros(9, 9)
    field[4, 4], field[4, 3], field[0, 4] = 100, 3, 1
    assert [side_holding(field, share) for share in (0.5, 0.75, 0.76, 1)] == [3, 3, 9, 9]
    assert side_holding(field, 0.97, pixel=(8, 8)) == 11  # where the middle counts


def test_bad_arguments():
    """A pixel outside, a Denoiser without gradients, shares, an empty field."""
    x = torch.zeros(1, 2, 4, 4)
    with pytest.raises(ValueError, match="pixel must lie in the image"):
        receptive_field(blur, x, 0.5, pixel=(4, 0))
    with pytest.raises(ValueError, match="denoise must let gradients through"):
        receptive_field(FunctionDenoiser(lambda x, t, label: x.detach()), x, 0.5)
    with pytest.raises(ValueError, match="share must lie in"):
        side_holding(torch.ones(3, 3), 0)
    with pytest.raises(ValueError, match="field must have a positive sum"):
        side_holding(torch.zeros(3, 3), 0.5)
