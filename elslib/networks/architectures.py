"""The paper's convolutional networks (App. C.1): modules that predict noise from (x, t, class)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elslib.checks import check_fields

Padding = Literal["zeros", "circular"]
Architecture = Literal["resnet", "unet", "unet-attention", "patches"]
FREQUENCIES = 128
HEADS = 4


@dataclass(frozen=True)
class NetworkConfig:
    """What a network is: enough to build it again.

    Attributes
    ----------
    channels
        of the images
    width
        feature channels of a ResNet (the paper: 256), or of a UNet at its finest scale (the
        paper: 64)
    blocks
        residual blocks of a ResNet
    padding
        "zeros" or "circular"
    classes
        number of classes, None if unconditional
    architecture
        "resnet", "unet", "unet-attention", a UNet with self-attention at its two coarser scales, or
        "patches", a ResNet whose first kernel sees all and whose others see one pixel
    last
        odd side of a ResNet's last kernel: how many neighbours' features a pixel is a sum of;
        3 (the paper) for others
    """

    channels: int
    width: int = 256
    blocks: int = 6
    padding: Padding = "zeros"
    classes: int | None = None
    architecture: Architecture = "resnet"
    last: int = 3

    def __post_init__(self):
        check_fields(self)
        for name, kinds in (("padding", Padding), ("architecture", Architecture)):
            value = getattr(self, name)
            if value not in get_args(kinds):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(kinds))}, got {value!r}."
                )
        # With fewer than 3 channels in each of 8 groups the normalisation erases time and class.
        if self.width < 24 or self.width % 8:
            raise ValueError(f"width must be a multiple of 8 from 24 on, got {self.width}.")
        for name, value in (("channels", self.channels), ("blocks", self.blocks)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if (
            self.last < 1
            or self.last % 2 == 0
            or (self.architecture != "resnet" and self.last != 3)
        ):
            raise ValueError(
                f"last must be odd and at least 1, and 3 unless the architecture is resnet, got "
                f"{self.last} of a {self.architecture}."
            )
        if self.classes is not None and self.classes < 1:
            raise ValueError(f"classes must be at least 1, or None, got {self.classes}.")

    @property
    def side_multiple(self) -> int:
        """What the sides of an image must be a multiple of; a UNet halves them twice."""
        return 1 if self.architecture in ("resnet", "patches") else 4


class Embedding(nn.Module):
    """Sinusoids of the raw t in [0, 1], sin and cos of 128 frequencies, plus a class vector."""

    frequencies: Tensor

    def __init__(self, classes: int | None):
        super().__init__()
        j = torch.arange(FREQUENCIES, device="cpu").float()
        frequencies = torch.exp(-math.log(10_000) * j / (FREQUENCIES - 1))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.classes = nn.Embedding(classes, 2 * FREQUENCIES) if classes else None

    def forward(self, t: Tensor, label: Tensor | None) -> Tensor:
        angles = t[:, None] * self.frequencies
        e = torch.cat([angles.sin(), angles.cos()], dim=1)  # (b, 256)
        return e if self.classes is None else e + self.classes(label)


class ResNet(nn.Module):
    """3x3 convolutions, but for the last if asked: an output pixel sees a square of side
    2 blocks + 2 + last.

    A convolution up to `width`, residual blocks `h + relu(conv(h + e_l))`, one more embedding
    added, a convolution down. No normalisation in the path of the image: it would carry
    information across the whole image. With 6 blocks the receptive field is 17x17.

    Of the architecture "patches" the first kernel has this side, and all others are 1x1: each pixel
    is a function of its own patch, and nothing is shared between patches that overlap.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        c, f = config.channels, config.width
        self.embed = Embedding(config.classes)
        self.conditioners = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * FREQUENCIES, f), nn.GroupNorm(8, f), nn.ReLU())
            for _ in range(config.blocks + 1)
        )
        sees_all = 2 * config.blocks + 5
        apart = config.architecture == "patches"
        first, inner, last = (sees_all, 1, 1) if apart else (3, 3, config.last)

        def conv(inputs: int, outputs: int, side: int) -> nn.Conv2d:
            half = side // 2
            return nn.Conv2d(inputs, outputs, side, padding=half, padding_mode=config.padding)

        self.up = conv(c, f, first)
        self.convs = nn.ModuleList(conv(f, f, inner) for _ in range(config.blocks))
        self.down = conv(f, c, last)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        """Noise estimate [b, c, h, w] for x [b, c, h, w] at times [b] and classes [b]."""
        e = self.embed(t, label)
        vectors = [conditioner(e)[:, :, None, None] for conditioner in self.conditioners]
        h = self.up(x)
        for conv, vector in zip(self.convs, vectors, strict=False):
            h = h + torch.relu(conv(h + vector))
        return self.down(h + vectors[-1])


class Convolutions(nn.Module):
    """A UNet's block: the embedding added to the input, then twice a 3x3 convolution and ReLU."""

    def __init__(self, inputs: int, outputs: int, padding: Padding):
        super().__init__()
        self.condition = nn.Linear(2 * FREQUENCIES, inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=padding)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, padding_mode=padding)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        h = torch.relu(self.first(h + self.condition(e)[:, :, None, None]))
        return torch.relu(self.second(h))


class SelfAttention(nn.Module):
    """Every place looks at every other, `h + project(attention(normalised h))`; at first `h`."""

    def __init__(self, features: int):
        super().__init__()
        self.normalise = nn.GroupNorm(8, features)
        self.query_key_value = nn.Conv2d(features, 3 * features, 1)
        self.project = nn.Conv2d(features, features, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self._queries_keys_values(h)
        with torch.autocast(h.device.type, enabled=False):
            mixed = F.scaled_dot_product_attention(q, k, v)  # (b, heads, places, f / heads)
        return h + self.project(mixed.to(h.dtype).transpose(-1, -2).reshape(h.shape))

    def weights(self, h: Tensor) -> Tensor:
        """Which place attends to which: [b, heads, places, places] for the input [b, f, h, w] of
        `forward`; each row sums to 1."""
        q, k, _ = self._queries_keys_values(h)
        return (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(dim=-1)

    def _queries_keys_values(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        b, f, rows, cols = h.shape
        qkv = self.query_key_value(self.normalise(h))
        # Not in bfloat16: processors take twice as long over attention's gradient as in float32.
        qkv = qkv.to(torch.promote_types(torch.float32, qkv.dtype))
        q, k, v = qkv.reshape(b, 3, HEADS, f // HEADS, rows * cols).transpose(-1, -2).unbind(1)
        return q, k, v


class UNet(nn.Module):
    """Three scales of `width`, 2 `width`, 4 `width` channels; two convolutions a block.

    Max-pooling down, 2x2 transposed convolutions up, the finer scale concatenated, one more
    embedding before the last convolution. No normalisation and, as in the released code, no
    residual connections. It sees 21 to 24 pixels each way, after the pixel's place in its block
    of 4x4. With `attention` self-attention follows the blocks of the two coarser scales.
    """

    def __init__(self, config: NetworkConfig, attention: bool):
        super().__init__()
        c, f, padding = config.channels, config.width, config.padding
        self.embed = Embedding(config.classes)
        self.fine = Convolutions(c, f, padding)
        self.middle = Convolutions(f, 2 * f, padding)
        self.coarse = Convolutions(2 * f, 4 * f, padding)
        self.to_middle = nn.ConvTranspose2d(4 * f, 2 * f, 2, stride=2)
        self.middle_up = Convolutions(4 * f, 2 * f, padding)
        self.to_fine = nn.ConvTranspose2d(2 * f, f, 2, stride=2)
        self.fine_up = Convolutions(2 * f, f, padding)
        self.condition = nn.Linear(2 * FREQUENCIES, f)
        self.down = nn.Conv2d(f, c, 3, padding=1, padding_mode=padding)
        self.attend = nn.ModuleList(
            SelfAttention(n) if attention else nn.Identity() for n in (2 * f, 4 * f, 2 * f)
        )

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        """Noise estimate [b, c, h, w] for x [b, c, h, w] at times [b] and classes [b]."""
        e = torch.relu(self.embed(t, label))
        fine = self.fine(x, e)
        middle = self.attend[0](self.middle(F.max_pool2d(fine, 2), e))
        coarse = self.attend[1](self.coarse(F.max_pool2d(middle, 2), e))
        h = torch.cat([middle, self.to_middle(coarse)], dim=1)
        h = self.attend[2](self.middle_up(h, e))
        h = self.fine_up(torch.cat([fine, self.to_fine(h)], dim=1), e)
        return self.down(h + self.condition(e)[:, :, None, None])


def build(config: NetworkConfig) -> nn.Module:
    """A freshly initialised network, float32 on the CPU, from torch's global generator."""
    default = torch.get_default_dtype()  # the only way to tell torch's layers
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            if config.architecture in ("resnet", "patches"):
                return ResNet(config)
            return UNet(config, attention=config.architecture == "unet-attention")
    finally:
        torch.set_default_dtype(default)


def rebuild(config: NetworkConfig, weights: Mapping[str, Tensor]) -> nn.Module:
    """The network with these weights; draws nothing. RuntimeError if they do not fit `config`."""
    with torch.random.fork_rng(devices=[]):
        module = build(config)
    module.load_state_dict(weights)
    return module
