"""Networks of the authors' files: pickled under names that are not here, and never executed."""

import json
import pickle
import sys
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from elslib import cli
from elslib.experiments.store import load_card, load_network, training_images
from elslib.networks.released import read_released

pytestmark = pytest.mark.usefixtures("one_thread")
DIM = 256


class SinusoidalEmbedding(nn.Module):
    """As the science says: sines and cosines of the time, plus a vector of the class."""

    def __init__(self, classes, table):
        super().__init__()
        frequencies = torch.exp(-torch.log(torch.tensor(10_000.0)) * torch.arange(128) / 127)
        self.table = frequencies
        if table:
            self.register_buffer("frequencies", frequencies)
        if classes:
            self.class_embeddings = nn.Embedding(classes, DIM)

    def forward(self, t, y):
        angles = t[:, None] * self.table
        e = torch.cat([angles.sin(), angles.cos()], 1)
        return e + self.class_embeddings(y) if hasattr(self, "class_embeddings") else e


class MinimalResNet(nn.Module):
    """The released ResNet, small."""

    def __init__(self, classes, padding, width=24, channels=3, table=False):
        super().__init__()
        how = {"padding": "same", "padding_mode": padding}
        self.embedding = SinusoidalEmbedding(classes, table)
        self.up_projection = nn.Conv2d(channels, width, 3, **how)
        self.embs = nn.ModuleList(
            nn.Sequential(nn.Linear(DIM, width), nn.GroupNorm(8, width), nn.ReLU())
            for _ in range(7)
        )
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, **how), nn.ReLU()) for _ in range(6)
        )
        self.down_projection = nn.Conv2d(width, channels, 3, **how)

    def forward(self, t, x, y=None):
        e = self.embedding(t, y)
        vectors = [emb(e)[:, :, None, None] for emb in self.embs]
        h = self.up_projection(x)
        for conv, vector in zip(self.convs, vectors, strict=False):
            h = h + conv(h + vector)
        return self.down_projection(h + vectors[-1])


class Block(nn.Module):
    """A block of the released UNet; its inner names are its own."""

    def __init__(self, inputs, outputs, padding):
        super().__init__()
        how = {"padding": 1, "padding_mode": padding}
        self.conv1 = nn.Conv2d(inputs, outputs, 3, **how)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, **how)
        self.emb = nn.Sequential(nn.ReLU(), nn.Linear(DIM, inputs))

    def forward(self, h, e):
        return self.conv2(self.conv1(h + self.emb(e)[:, :, None, None]).relu()).relu()


class MinimalUNet(nn.Module):
    """The released UNet, small."""

    def __init__(self, classes, padding, width=24, channels=3):
        super().__init__()
        w = width
        self.embedding = SinusoidalEmbedding(classes, False)
        self.feature_blocks = nn.ModuleList([Block(channels, w, padding), Block(w, 2 * w, padding)])
        self.bottleneck = Block(2 * w, 4 * w, padding)
        self.upsamples = nn.ModuleList(
            nn.ConvTranspose2d(2 * n, n, 2, stride=2) for n in (2 * w, w)
        )
        self.output_blocks = nn.ModuleList(Block(2 * n, n, padding) for n in (2 * w, w))
        self.last_emb = nn.Sequential(nn.ReLU(), nn.Linear(DIM, w))
        self.output_conv = nn.Conv2d(w, channels, 3, padding=1, padding_mode=padding)

    def forward(self, t, x, y=None):
        e = self.embedding(t, y)
        kept, h = [], x
        for block in self.feature_blocks:
            kept.append(block(h, e))
            h = nn.functional.max_pool2d(kept[-1], 2)
        h = self.bottleneck(h, e)
        for up, block in zip(self.upsamples, self.output_blocks, strict=True):
            h = block(torch.cat([kept.pop(), up(h)], 1), e)
        return self.output_conv(h + self.last_emb(e)[:, :, None, None])


class DDIM(nn.Module):
    """The wrapper that they may sit in."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.noise_schedule = cosine_schedule


def cosine_schedule(t):
    return t


PLACES = {
    SinusoidalEmbedding: "models.embeddings", MinimalResNet: "models.resnet", Block: "models.unet",
    MinimalUNet: "models.unet", DDIM: "models.ddim", cosine_schedule: "utils.noise_schedules",
}  # fmt: skip


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Pickle a module under names that are gone when it is read."""

    def save(module, name="net.pt"):
        with monkeypatch.context() as patch:
            for thing, place in PLACES.items():
                for i in range(1, place.count(".") + 2):
                    part = ".".join(place.split(".")[:i])
                    if part not in sys.modules:
                        patch.setitem(sys.modules, part, ModuleType(part))
                patch.setattr(sys.modules[place], thing.__name__, thing, raising=False)
                patch.setattr(thing, "__module__", place)
            torch.save(module, tmp_path / name)
        assert "models" not in sys.modules
        return tmp_path / name

    return save


def noise(seed, *shape):
    """Random numbers that the seed alone decides."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shaken(module):
    """With every weight random, so that none is left out unseen."""
    for i, weight in enumerate(module.parameters()):
        weight.data = 0.1 * noise(i, *weight.shape)
    return module


@pytest.mark.parametrize("kind", [MinimalResNet, MinimalUNet])
@pytest.mark.parametrize("classes", [None, 10])
@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_imported_network_is_the_one_that_was_pickled(
    saved, tmp_path, monkeypatch, kind, classes, padding, wrapped
):
    """The same noise, to rounding; its card says what it is."""
    monkeypatch.setenv("ELSLIB_PROJECT", str(tmp_path))
    module = shaken(kind(classes, padding))
    file = saved(DDIM(module) if wrapped else module)
    done = CliRunner().invoke(cli.main, ["network", "import", str(file), "--name", "released"])
    assert done.exit_code == 0, done.output
    network = load_network("released")
    assert (network.classes, network.config.padding) == (classes, padding)
    x, t = noise(1, 2, 3, 16, 16), torch.tensor([0.2, 0.9])
    y = torch.tensor([3, 7]) if classes else None
    with torch.no_grad():
        ours, theirs = network.module(x, t, y), module(t, x, y)
    assert float(theirs.std()) > 1e-3
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert load_card("released")["released"]["file"] == "net.pt"
    with pytest.raises(ValueError, match="must hold the name and sha256 of the network's 'images'"):
        training_images("released")


def test_with_its_images_it_is_calibrated_as_others(saved, tmp_path, monkeypatch):
    """By its card; a name is not taken twice, and a wrong channel count is refused."""
    monkeypatch.setenv("ELSLIB_PROJECT", str(tmp_path))
    file = saved(shaken(MinimalResNet(None, "zeros", channels=1, table=True)))

    def asked(*arguments):
        return CliRunner().invoke(cli.main, [*map(str, arguments)])

    given = ("network", "import", file, "--name", "own", "--dataset")
    assert "images must have 1 channels" in asked(*given, "noto_emoji").output
    assert asked(*given, "mnist_5k", "--json").exit_code == 0
    assert training_images("own").name == "mnist_5k/train"
    again = asked(*given, "mnist_5k")
    assert again.exit_code == 2 and "must be given and not be taken, got 'own'" in again.output
    done = asked("calibrate", "--network", "own", "--trajectories", 1, "--largest", 3, "--dry-run")
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "networks" / "own.json").read_text())
    assert card["network"]["channels"] == 1 and len(card["released"]["sha256"]) == 64


class Evil:
    """What a pickle would run if it were executed."""

    def __reduce__(self):
        return exec, ("import sys; sys.ran = True",)


def test_nothing_is_executed(saved):
    """Neither at the top of the file nor within a module that is read."""
    module = shaken(MinimalResNet(None, "zeros"))
    vars(module)["note"] = Evil()
    read_released(saved(module))
    with pytest.raises(ValueError, match="must be a whole module"):
        read_released(saved(Evil()))
    assert not hasattr(sys, "ran")


def changed(change):
    module = MinimalResNet(None, "zeros")
    change(module)
    return module


@pytest.mark.parametrize(
    "module, message",
    [
        (changed(lambda m: delattr(m, "down_projection")), "down.weight missing"),
        (changed(lambda m: m.add_module("extra", nn.Linear(2, 2))), "extra.weight .2, 2., not"),
        (changed(lambda m: m.embs.pop(6)), "conditioners.6.0.weight missing"),
        (
            changed(lambda m: setattr(m, "down_projection", nn.Conv2d(24, 3, 5))),
            r"down.weight \(3, 24, 5, 5\), not \(3, 24, 3, 3\)",
        ),
        (
            changed(lambda m: m.embedding.register_buffer("other", torch.ones(128))),
            r"embedding.other \(128,\), not",
        ),
        (
            changed(lambda m: setattr(m.convs[0][0], "padding_mode", "circular")),
            "its convolutions must have one padding, got .'circular', 'zeros'.",
        ),
        (
            changed(lambda m: [setattr(c[0], "padding_mode", "reflect") for c in m.convs]
                    + [setattr(c, "padding_mode", "reflect")
                       for c in (m.up_projection, m.down_projection)]),
            "padding must be one of zeros, circular",
        ),
        (nn.Linear(3, 3), "released network, but it is none: its convolutions"),
        (nn.Sequential(nn.Conv2d(3, 24, 3)), "released network, but it is none: 'up.weight'"),
        ({"up_projection.weight": torch.ones(2)}, "must be a whole module"),
        (nn.ReLU(), "must hold a module with weights, got none"),
        (torch.ones(3), "must be a whole module"),
    ],
)  # fmt: skip
def test_other_files_are_refused(saved, as_installed, module, message):
    """By what they lack or have too much."""
    with pytest.raises(ValueError, match=message):
        read_released(saved(module))


def test_broken_files(saved, tmp_path, as_installed):
    """Cut short, of the format before zip archives, a plain pickle, missing."""
    file = saved(MinimalResNet(None, "zeros"))
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", pickle.dumps({"a": 1}), b"PK\x03\x04"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="net.pt must be a whole module as torch.save"):
            read_released(file)
    with pytest.raises(FileNotFoundError, match="none.pt is missing"):
        read_released(tmp_path / "none.pt")
