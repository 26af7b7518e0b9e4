"""The networks as Denoisers: what each sees, what it commutes with, the files it is kept in."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from helpers import NETWORK, seeded
from torch import nn

from elslib.experiments.store import load_network, trained_on, training_images
from elslib.networks.architectures import NetworkConfig, ResNet, build, rebuild
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.networks.training import write_tensors

pytestmark = pytest.mark.usefixtures("one_thread")
ARCHITECTURES = ["resnet", "unet", "unet-attention", "patches"]


# ---- configurations and files


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"padding": "reflect"}, "padding must be one of zeros, circular, got 'reflect'"),
        (
            {"architecture": "transformer"},
            "architecture must be one of resnet, unet, unet-attention, patches, got 'transformer'",
        ),
        ({"last": 2}, "last must be odd and at least 1, .* got 2 of a resnet"),
        ({"last": 5, "architecture": "unet"}, "3 unless the architecture is resnet, got 5 of"),
        ({"channels": 0}, "channels must be at least 1, got 0"),
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"classes": 0}, "classes must be at least 1, or None, got 0"),
        ({"width": 0}, "width must be a multiple of 8 from 24 on, got 0"),
        ({"width": 12}, "width must be a multiple of 8 from 24 on, got 12"),
        # One channel per group: GroupNorm then removes t and the class, and fails on one image.
        ({"width": 8}, "width must be .* got 8"),
    ],
)
def test_network_config_is_checked(as_installed, changes, message):
    """Every field of a network's config is checked when it is made."""
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**{"channels": 3, **changes})


@pytest.mark.parametrize("last", [1, 3, 5])
def test_the_last_kernel_widens_what_a_resnet_sees(last):
    """By its side: 2 blocks + 2 + last."""
    module = ResNet(NetworkConfig(1, 24, blocks=1, last=last))
    x = torch.zeros(1, 1, 15, 15, requires_grad=True)
    module(x, torch.ones(1), None)[0, 0, 7, 7].backward()
    assert x.grad is not None
    assert int((x.grad[0, 0] != 0).any(0).sum()) == 4 + last


def write_network(path, weights, card=None):
    """A pair of weights and card at `path` plus suffix, as `elslib train` writes it."""
    parameters = {k: v.detach() for k, v in seeded(weights).named_parameters()}
    write_tensors(path.with_suffix(".safetensors"), parameters, {})
    path.with_suffix(".json").write_text(json.dumps({"network": asdict(card or weights)}))
    return str(path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_load_network_restores_the_function(tmp_path, architecture):
    """A network loaded from weights and card denoises as the one saved, and draws nothing."""
    config = replace(NETWORK, architecture=architecture)
    path = write_network(tmp_path / "tiny", config)
    before = torch.get_rng_state()
    loaded = load_network(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert loaded.config == config
    x, label = torch.randn(2, 3, 8, 8), torch.tensor([1, 3])
    saved = NetworkDenoiser(seeded(config), config)
    assert torch.equal(loaded(x, 0.3, label), saved(x, 0.3, label))


@pytest.mark.parametrize(
    "card",
    [
        NetworkConfig(3, width=32, blocks=2, classes=4),
        NetworkConfig(3, width=24, blocks=3, classes=4),
        NetworkConfig(3, width=24, blocks=1, classes=4),
        NetworkConfig(1, width=24, blocks=2, classes=4),
        NetworkConfig(3, width=24, blocks=2, classes=5),
        NetworkConfig(3, width=24, blocks=2),
        NetworkConfig(3, width=24, classes=4, architecture="unet"),
    ],
    ids=str,
)
def test_load_network_of_another_architecture(tmp_path, card):
    """Weights that do not fit the card are refused: wider, deeper, shallower, other classes."""
    path = write_network(tmp_path / "tiny", NETWORK, card)
    with pytest.raises(ValueError, match="(?s)must fit the architecture of its card.*another one"):
        load_network(path)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_load_truncated_network(tmp_path, suffix, kept):
    """Truncated weights, and a truncated card, are refused."""
    path = Path(write_network(tmp_path / "tiny", NETWORK)).with_suffix(suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(
        ValueError, match="tiny.(json|safetensors or its card) is corrupt or truncated"
    ):
        load_network(str(tmp_path / "tiny"))


def test_load_network_of_another_schedule(tmp_path):
    """A card of weights that were trained along another path: refused, not read as cosine."""
    path = write_network(tmp_path / "tiny", NETWORK)
    card = {"network": asdict(NETWORK), "schedule": "linear"}
    (tmp_path / "tiny.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="tiny.json must be cosine, .* got 'linear'; build"):
        load_network(path)


@pytest.mark.parametrize("card", [{}, {"network": {"channel": 3}}, {"network": None}, [], 3])
def test_load_network_with_a_foreign_card(as_installed, tmp_path, card):
    """A card that is json but describes no network is refused."""
    path = write_network(tmp_path / "tiny", NETWORK)
    Path(path).with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(
        ValueError, match="its card is corrupt or truncated|tiny.json must hold a json object"
    ):
        load_network(path)


def test_load_unknown_network(tmp_path):
    """An unknown network is refused with the names of those that are there."""
    write_network(tmp_path / "tiny", NETWORK)
    with pytest.raises(FileNotFoundError, match="no network 'no-such-network'"):
        load_network("no-such-network")
    with pytest.raises(FileNotFoundError, match="known there: tiny. Train one with `elslib train`"):
        load_network(str(tmp_path / "small"))
    (tmp_path / "tiny.json").unlink()
    with pytest.raises(FileNotFoundError, match="no network .*tiny.* with its card .json"):
        load_network(str(tmp_path / "tiny"))


# ---- calls

PLAIN = NetworkConfig(1, width=24, blocks=1)
CONDITIONAL = NetworkDenoiser(seeded(NETWORK), NETWORK)
UNCONDITIONAL = NetworkDenoiser(seeded(PLAIN), PLAIN)


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 4, 8, 8), (3, 8, 8)])
def test_network_called_with_wrong_channels(as_installed, shape):
    """Images of another number of channels, or without a batch axis, are refused."""
    message = r"x must have shape \[b, 3, h, w\] for this network, got"
    if len(shape) == 3:
        message = (
            r"x must be a floating-point tensor \[b, c, h, w\] .*; x\[None\] has one axis more"
        )
    with pytest.raises(ValueError, match=message):
        CONDITIONAL(torch.zeros(shape), 0.5, torch.tensor([0, 1]))


def test_conditional_network_called_without_a_label():
    """A conditional network never guesses a class."""
    with pytest.raises(ValueError, match=r"label must hold one class in 0\.\.3 .* got None"):
        CONDITIONAL(torch.zeros(2, 3, 8, 8), 0.5)


def test_unconditional_network_called_with_a_label():
    """An unconditional network never ignores a class."""
    with pytest.raises(ValueError, match="label must be None: this network is told no classes"):
        UNCONDITIONAL(torch.zeros(2, 1, 8, 8), 0.5, torch.tensor([0, 1]))


@pytest.mark.parametrize("label", [-1, 4])
def test_network_called_with_a_label_out_of_range(label):
    """A label must be a class of the network."""
    with pytest.raises(ValueError, match=rf"label must .* in 0\.\.3 .* got \[0, {label}\]"):
        CONDITIONAL(torch.zeros(2, 3, 8, 8), 0.5, torch.tensor([0, label]))


@pytest.mark.parametrize("t", [-0.1, 1.1, float("nan")])
def test_network_called_at_a_time_out_of_range(t):
    """Times lie in [0, 1]."""
    with pytest.raises(ValueError, match=r"t must lie in \[0, 1\], got"):
        UNCONDITIONAL(torch.zeros(2, 1, 8, 8), t)


@pytest.mark.parametrize("architecture", ["unet", "unet-attention"])
@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (2, 3, 8, 30)])
def test_unet_called_with_sides_it_cannot_halve_twice(architecture, shape):
    """28 and 32 pixels will do, 30 will not."""
    config = replace(NETWORK, architecture=architecture)
    with pytest.raises(
        ValueError, match=r"x must have sides that are multiples of 4 .* got \((6, 8|8, 30)\)"
    ):
        NetworkDenoiser(seeded(config), config)(torch.zeros(shape), 0.5, torch.tensor([0, 1]))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": torch.full((3, 3, 8, 8), float("nan"))}, "x must be finite"),
        ({"x": torch.zeros(3, 3, 8, 8).double()}, "x must have the network's dtype"),
        (
            {"x": torch.zeros(3, 3, 8, 8, device="meta")},
            "x must have the network's dtype",
        ),
        ({"t": torch.full((2,), 0.5)}, "t must hold one entry per image, .* for a batch of 3"),
        (
            {"label": torch.tensor([1])},
            r"label must hold one entry per image, got the shape \(1,\)",
        ),
        ({"label": [0.5, 1, 2]}, "label must be whole numbers"),
        ({"label": 4}, r"label must hold one class in 0..3 .* got \[4, 4, 4\]"),
    ],
)
def test_a_network_broadcasts_and_converts_nothing(as_installed, change, message):
    """NaN, another dtype or device, and lists of another length are refused."""
    good = {"x": torch.zeros(3, 3, 8, 8), "t": 0.5, "label": torch.tensor([0, 1, 2])}
    with pytest.raises(ValueError, match=message):
        CONDITIONAL(**{**good, **change})


# ---- what a network sees


@pytest.mark.parametrize(
    "config, count",
    [
        (NetworkConfig(3, 256, classes=10), 4_021_251),
        (NetworkConfig(1, 256), 4_009_473),
        (NetworkConfig(3, 64, classes=10, architecture="unet"), 2_032_326),
        (NetworkConfig(1, 64, architecture="unet"), 2_026_946),
    ],
    ids=["resnet, CIFAR10", "resnet, MNIST", "unet, CIFAR10", "unet, MNIST"],
)
def test_parameter_count(config, count):
    """The paper's networks have exactly the published number of parameters."""
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build(config).parameters()) == count


def pixels_seen(module, side, row, col):
    """Which inputs [side, side] of a gray network its output at one place depends on.

    By gradients, in float64: far pixels change little. The maximum of a pool passes the gradient
    to one pixel of its four, not the same one for every feature and image.
    """
    x = torch.randn(4, 1, side, side, generator=torch.Generator().manual_seed(3)).double()
    t = torch.full((4,), 0.5, dtype=torch.float64)
    module.double()(x.requires_grad_(), t, None)[:, 0, row, col].sum().backward()
    assert x.grad is not None
    return (x.grad != 0).any(dim=0)[0]


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_resnet_sees_17_by_17_pixels(padding):
    """With 6 blocks an output pixel depends on 17x17 inputs, up to the rim, and on no others."""
    seen = pixels_seen(seeded(NetworkConfig(1, width=32, padding=padding)), 25, 12, 12)
    expected = torch.zeros(25, 25, dtype=torch.bool)
    expected[4:21, 4:21] = True
    assert torch.equal(seen, expected)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_a_network_of_patches_knows_no_neighbour_of_a_patch(padding):
    """It sees as much as a ResNet, by its first kernel; no other looks beyond its pixel."""
    module = seeded(NetworkConfig(1, width=32, padding=padding, architecture="patches"))
    seen = pixels_seen(module, 25, 12, 12)
    expected = torch.zeros(25, 25, dtype=torch.bool)
    expected[4:21, 4:21] = True
    assert torch.equal(seen, expected)
    kernels = [layer.kernel_size for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert kernels == [(17, 17), *[(1, 1)] * 7]


# How many pixels a UNet sees before and after one that stands 0, 1, 2 or 3 pixels into its block.
REACH = [(22, 21), (23, 24), (24, 23), (21, 22)]


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("row, col", [(28, 29), (29, 28), (30, 31), (31, 30)])
def test_unet_sees_21_to_24_pixels_each_way(padding, row, col):
    """Pooling ties four pixels together, so the reach is the paper's 21 at least; no hole in it."""
    config = NetworkConfig(1, width=24, architecture="unet", padding=padding)
    expected = torch.zeros(60, 60, dtype=torch.bool)
    (up, down), (left, right) = REACH[row % 4], REACH[col % 4]
    expected[row - up : row + down + 1, col - left : col + right + 1] = True
    assert torch.equal(pixels_seen(seeded(config), 60, row, col), expected)


def with_attention(config):
    """A network whose attention has an effect, as it has none before training."""
    module = seeded(config)
    for name, parameter in module.named_parameters():
        if "project" in name:
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(1))
    return module


def test_attention_sees_everything():
    """Also the corner, from the opposite one, twice as far as the UNet reaches."""
    config = NetworkConfig(1, width=24, architecture="unet-attention")
    assert bool(pixels_seen(with_attention(config), 52, 0, 51).all())


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16, torch.float64])
def test_attention_answers_in_the_precision_of_its_weights(precision):
    """Half ones are computed in float32 inside, and double ones in double."""
    config = replace(NETWORK, architecture="unet-attention")
    x, t, label = torch.randn(2, 3, 8, 8), torch.tensor([0.2, 0.9]), torch.tensor([0, 3])
    expected = with_attention(config)(x, t, label)
    found = with_attention(config).to(precision)(x.to(precision), t.to(precision), label)
    assert found.dtype == precision
    assert torch.allclose(found.float(), expected, atol=0.05)


def test_attention_has_no_effect_before_training():
    """Its projection starts at zero, so the network is the UNet with the same weights."""
    config = replace(NETWORK, architecture="unet-attention")
    module = seeded(config)
    weights = {k: v for k, v in module.state_dict().items() if not k.startswith("attend")}
    plain = rebuild(replace(NETWORK, architecture="unet"), weights)
    x, t = torch.randn(2, 3, 8, 8), torch.tensor([0.2, 0.9])
    label = torch.tensor([0, 3])
    assert torch.equal(module(x, t, label), plain(x, t, label))
    assert not torch.allclose(with_attention(config)(x, t, label), plain(x, t, label), atol=1e-4)


def shift_error(shift, module, config):
    """How far a network is from commuting with a cyclic shift."""
    denoiser = NetworkDenoiser(module.double(), config)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double()
    t, label = torch.tensor([0.2, 0.9]).double(), torch.tensor([0, 3])
    shifted = denoiser(x.roll(shift, dims=(2, 3)), t, label)
    return float((shifted - denoiser(x, t, label).roll(shift, dims=(2, 3))).abs().max())


@pytest.mark.parametrize(
    "architecture, shift",
    [("resnet", (3, -2)), ("unet", (4, -8)), ("unet", (0, 4)), ("unet-attention", (4, -8))],
)
def test_circular_padding_commutes_with_shifts(architecture, shift):
    """All places are alike to a ResNet, every fourth one to a UNet; float64, so to 1e-12."""
    config = replace(NETWORK, architecture=architecture, padding="circular")
    assert shift_error(shift, with_attention(config), config) < 1e-12


@pytest.mark.parametrize("shift", [(1, 0), (0, 2), (3, 3)])
def test_circular_unet_does_not_commute_with_other_shifts(shift):
    """Negative control: pooling tells the places in a block of four apart."""
    config = replace(NETWORK, architecture="unet", padding="circular")
    assert shift_error(shift, seeded(config), config) > 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_zero_padding_does_not_commute_with_shifts(architecture):
    """Negative control: zero padding tells a network where the border is."""
    config = replace(NETWORK, architecture=architecture)
    assert shift_error((4, -8), seeded(config), config) > 1e-3


def denoiser_of(architecture):
    config = replace(NETWORK, architecture=architecture)
    return NetworkDenoiser(with_attention(config), config)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_network_uses_time_and_class(architecture):
    """The noise estimate depends on t and on the class, each alone."""
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(2)).expand(3, -1, -1, -1)
    t, label = torch.tensor([0.1, 0.9, 0.1]), torch.tensor([1, 1, 2])
    with torch.no_grad():
        base, other_time, other_class = denoiser_of(architecture).module(x, t, label)
    assert (base - other_time).abs().max() > 1e-2
    assert (base - other_class).abs().max() > 1e-2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batch_equals_one_by_one(architecture):
    """Each image of a batch is denoised as if alone, with its own time and class."""
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    t, label = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([2, 0, 3])
    denoiser = denoiser_of(architecture)
    together = denoiser(x, t, label)
    for i in range(3):
        alone = denoiser(x[i : i + 1], float(t[i]), label[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, atol=1e-5)


@pytest.mark.parametrize("content", ["[]", "{}", "{"])
def test_a_foreign_card_is_named_and_hides_no_other_network(folder, content):
    """Valid json that is no card, or half of one."""
    path = folder / "networks" / "stranger.json"
    path.parent.mkdir()
    path.with_suffix(".safetensors").write_bytes(b"")
    path.write_text(content)
    with pytest.raises(
        ValueError,
        match="stranger.json (must hold (the name and sha256|a json object)|.*corrupt)",
    ):
        training_images("stranger")
    path.with_name("known.safetensors").write_bytes(b"")
    about = {"name": "noto_emoji/train", "sha256": ""}
    path.with_name("known.json").write_text(json.dumps({"images": about}))
    assert trained_on("noto_emoji") == ["known"]
