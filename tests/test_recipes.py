"""Recipes: what they promise, and one tiny network made from end to end."""

import json
from dataclasses import asdict
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from elslib.analysis.metrics import pearson_r
from elslib.cli import networks as commands
from elslib.data.folders import project_folder
from elslib.data.image_set import ImageSet
from elslib.experiments import recipes, train_network
from elslib.experiments.store import load_network
from elslib.io import write_whole
from elslib.networks import training
from elslib.networks.training import TrainConfig
from elslib.samplers import initial_noise, sample

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def no_images(monkeypatch):
    """Plans without the images they name, of which the full ones are not here."""

    def load(name):
        gray = name.startswith(("mnist", "fashion"))
        if name.startswith("celeba"):
            return ImageSet(torch.zeros(9, 3, 32, 32), name=name)
        classes = 8 if name.startswith("noto") else 10
        images = torch.zeros(classes, 1 if gray else 3, 32, 32)
        names = tuple(str(label) for label in range(classes))
        return ImageSet(images, torch.arange(classes), names, name)

    monkeypatch.setattr(recipes, "load", load)


# ---- recipes


@pytest.mark.parametrize("dataset", recipes.SUBJECTS)
@pytest.mark.parametrize("network", ["resnet", "resnet-circular", "unet", "unet-attention"])
def test_plan_of_the_cpu_profile(no_images, dataset, network):
    """Named by images and kind; conditional on all classes or on none."""
    recipe = recipes.recipe(dataset, network)
    assert recipe.name == f"{dataset}-{network}"
    images, held_out, channels, classes = {
        "fashion": ("fashion_mnist_10k", "fashion_mnist_test_1k", 1, 10),
        "mnist": ("mnist_5k/train", "mnist_5k/held_out", 1, None),
        "emoji": ("noto_emoji/train", "noto_emoji/held_out", 3, 8),
        "cifar10": ("cifar10_10k", "cifar10_test_1k", 3, 10),
        "fashion-full": ("fashion_mnist/train", "fashion_mnist/test", 1, 10),
        "mnist-full": ("mnist/train", "mnist/test", 1, None),
        "cifar10-full": ("cifar10/train", "cifar10/test", 3, 10),
        "celeba": ("celeba_10k/train", "celeba_10k/held_out", 3, None),
    }[dataset]
    assert recipe.held_out is not None
    assert (recipe.images.name, recipe.held_out.name) == (images, held_out)
    built = recipe.config.network
    assert (built.channels, built.classes, built.width) == (channels, classes, 64)
    assert built.padding == ("circular" if network == "resnet-circular" else "zeros")
    assert built.architecture == network.removesuffix("-circular")
    assert (recipe.config.lr, recipe.config.decay) == (1e-3, "cosine") and recipe.config.ema > 0
    assert recipe.config.weighting == "relative"


@pytest.mark.parametrize("dataset", ["fashion-full", "mnist-full", "cifar10-full"])
@pytest.mark.parametrize(
    "network, width", [("resnet", 256), ("resnet-circular", 256), ("unet", 64)]
)
def test_paper_profile_is_the_papers(no_images, dataset, network, width):
    """App. C.1, value by value, on the full sets."""
    recipe = recipes.recipe(dataset, network, "paper")
    full = dataset.removesuffix("-full").replace("fashion", "fashion_mnist")
    assert recipe.name == f"{dataset}-{network}-paper"
    assert recipe.held_out is not None
    assert (recipe.images.name, recipe.held_out.name) == (f"{full}/train", f"{full}/test")
    config = recipe.config
    assert config.network.width == width and config.network.blocks == 6
    assert config.network.classes == (None if dataset == "mnist-full" else 10)
    assert (config.steps, config.batch, config.lr) == (140_000, 128, 1e-4)
    assert (config.decay, config.ema, config.weighting) == ("exponential", 0.0, "none")


def test_changes_to_a_plan(no_images):
    """They win over the profile; None, as from a command line, leaves it."""
    changes: dict[str, Any] = {"width": 24, "steps": 7, "lr": 0.1, "decay": "cosine"}
    recipe = recipes.recipe("emoji", "unet", name="mine", **changes)
    config = recipe.config
    assert recipe.name == "mine" and config.network.width == 24
    assert (config.steps, config.lr, config.decay) == (7, 0.1, "cosine")
    nothing: dict[str, Any] = dict.fromkeys(changes)
    assert (
        recipes.recipe("emoji", "unet", **nothing).config == recipes.recipe("emoji", "unet").config
    )
    with pytest.raises(ValueError, match="width must be a multiple of 8 from 24 on, got 0"):
        recipes.recipe("emoji", "unet", width=0)


@pytest.mark.parametrize(
    "asked, message",
    [
        (("faces", "resnet"), "dataset must be one of fashion, mnist, emoji, .* got 'faces'"),
        (("emoji", "vit"), "network must be one of resnet, resnet-circular, .* got 'vit'"),
        (("emoji", "resnet", "gpu"), "profile must be one of cpu, paper, got 'gpu'"),
    ],
)
def test_unknown_plans(no_images, asked, message):
    """Every name must be known."""
    with pytest.raises(ValueError, match=message):
        recipes.recipe(*asked)


def test_a_full_set_that_is_not_here(folder, monkeypatch):
    """Nothing is downloaded behind one's back."""
    monkeypatch.setenv("ELSLIB_DATA", str(folder))
    with pytest.raises(FileNotFoundError, match="elslib data fetch cifar10"):
        recipes.recipe("cifar10-full", "resnet", "paper")


@pytest.mark.parametrize("steps", [14_000, 140_000, 2_000])
def test_snapshots_are_log_spaced(no_images, steps):
    """Eight, from 100 to the last step, each the same factor after the one before."""
    marks = recipes.recipe("fashion", "unet", steps=steps).snapshots
    assert len(marks) == 8 and (marks[0], marks[-1]) == (100, steps)
    factor = (steps / 100) ** (1 / 7)
    for before, after in zip(marks, marks[1:], strict=False):
        assert after / before == pytest.approx(factor, rel=0.01)


def test_snapshots_of_a_short_run(no_images):
    """A run that ends before the first mark has its end as the only one."""
    assert recipes.recipe("fashion", "unet", steps=30).snapshots == (30,)


# ---- making a network


def tiny_recipe(**changes):
    return recipes.recipe("emoji", "resnet", **{"width": 24, "steps": 22, "batch": 2, **changes})


def test_make_writes_weights_and_card(folder, quick):
    """Half-precision weights that hold the average, and a card that says how they were made."""
    recipe = tiny_recipe()
    made = list(train_network.make(recipe))
    assert [step.step for _, step in made] == list(range(22))
    trainer, _ = made[-1]

    state = load_file(folder / "networks" / "emoji-resnet.safetensors")
    assert state.keys() == trainer.average.keys()
    for name, value in state.items():
        assert value.dtype == torch.float16 and torch.equal(value, trainer.average[name].half())

    card = json.loads((folder / "networks" / "emoji-resnet.json").read_text())
    assert card["name"] == "emoji-resnet" and card["schedule"] == "cosine"
    assert TrainConfig(recipe.config.network, **card["training"]) == recipe.config
    assert card["network"] == asdict(recipe.config.network)
    images = {"name": "noto_emoji/train", "sha256": recipe.images.sha256}
    assert card["images"] == {**images, "held_out": "noto_emoji/held_out"}
    assert card["held_out_curve"] == [round(loss, 5) for loss in trainer.held_out]
    assert len(card["held_out_curve"]) == 20 and len(card["loss_curve"]) == 22
    loss = card["loss"]
    assert loss["held_out"] == card["held_out_curve"][-1]
    # The sixteenth of twenty measurements stands at four fifths of the steps.
    fell = 1 - trainer.held_out[19] / trainer.held_out[15]
    assert loss["held_out_fell_in_last_fifth"] == pytest.approx(fell, abs=1e-5)
    assert loss["trained"] == (fell < 0.01)
    assert 0 <= card["near_copies"] <= 1
    assert card["record"]["command"] == "elslib train"
    assert card["record"]["data_sha256"] == recipe.images.sha256

    # Half precision: loaded again it draws the images that the average itself draws.
    noise, labels = initial_noise([1, 2], (3, 32, 32)), torch.tensor([0, 5])
    loaded, whole = load_network("emoji-resnet"), trainer.denoiser()
    a, b = (sample(network, noise, labels) for network in (loaded, whole))
    assert bool((pearson_r(a, b) > 1 - 1e-5).all())


OPTIONS = (
    "dataset", "network", "profile", "name", "held_out", "unconditional", "width", "last", "steps",
    "batch", "lr", "decay", "weighting", "seed",
)  # fmt: skip
CARDS = sorted(project_folder().glob("networks/*.json"))


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_the_command_of_a_card_makes_its_network(no_images, path):
    """Of every network that is committed: read by the command line it asks for the same."""
    card = json.loads(path.read_text(encoding="utf-8"))
    asked = recipes.command(card)
    assert asked is not None and asked.startswith("elslib train ")
    options = commands.train.make_context("train", asked.split()[2:]).params
    recipe = recipes.recipe(**{key: options[key] for key in OPTIONS})
    assert recipe.name == card["name"]
    described = recipes.described(recipe)
    assert {part: described[part] for part in ("network", "training")} == {
        part: card[part] for part in ("network", "training")
    }


def test_networks_that_no_recipe_makes():
    """Imported ones, those of other images, and those of the profile "paper"."""
    card = json.loads(CARDS[0].read_text(encoding="utf-8"))
    assert recipes.command({key: card[key] for key in ("name", "network", "images")}) is None
    assert recipes.command(card | {"images": {"name": "cats"}}) is None
    assert recipes.command(card | {"training": card["training"] | {"ema": 0.0}}) is None
    assert recipes.command(card | {"network": card["network"] | {"padding": "mirror"}}) is None


def test_images_held_out_of_a_network(no_images, monkeypatch):
    """Found by the card; a network of other images has none."""
    for trained_on, held_out in [
        ("fashion_mnist_10k/train", "fashion_mnist_test_1k"),
        ("mnist_5k/train", "mnist_5k/held_out"),
        ("cifar10/train", "cifar10/test"),
    ]:
        monkeypatch.setattr(recipes, "images_of", lambda name, of=trained_on: {"name": of})
        assert recipes.held_out_images("some").name == held_out
    monkeypatch.setattr(recipes, "images_of", lambda name: {"name": "cats"})
    with pytest.raises(ValueError, match="must be of a network trained on images of the recipes"):
        recipes.held_out_images("some")


def test_a_network_is_not_made_twice(folder, quick):
    """What is there stays: the same one is not trained again, another one needs another name."""
    assert len(list(train_network.make(tiny_recipe(steps=2)))) == 2
    files = {path: path.read_bytes() for path in (folder / "networks").glob("emoji*")}
    assert len(files) == 2
    assert list(train_network.make(tiny_recipe(steps=2))) == []
    for changes, other in [
        ({"steps": 3}, r"training of .* other steps \(2, now 3\)"),
        ({"width": 32}, r"network of .* other width \(24, now 32\)"),
    ]:
        with pytest.raises(ValueError, match=f"{other}; give another name"):
            next(train_network.make(tiny_recipe(**{"steps": 2, **changes})))
    assert {path: path.read_bytes() for path in (folder / "networks").glob("emoji*")} == files
    assert len(list(train_network.make(tiny_recipe(steps=1, name="other")))) == 1


def test_a_run_that_was_stopped_before_its_card_is_finished(folder, quick, monkeypatch):
    """Killed after the last step, and after the weights were written: the rest is made up."""

    def killed(files):
        write_whole(*next(iter(files.items())))
        raise KeyboardInterrupt

    recipe, whole = tiny_recipe(steps=2), tiny_recipe(steps=2, name="whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_network, "write_together", killed)
        list(train_network.make(recipe))
    assert recipe.weights.is_file() and not recipe.card.is_file()
    assert train_network.steps_done(recipe) == 2
    assert list(train_network.make(recipe)) == []
    list(train_network.make(whole))
    card, again = (json.loads(made.card.read_text()) for made in (whole, recipe))
    assert again["held_out_curve"] == card["held_out_curve"] and again["loss"] == card["loss"]
    assert not recipe.state.exists()


def test_every_network_keeps_snapshots(folder, quick):
    """After the marks of the recipe, in a folder of their own; the last is the network itself."""
    recipe = tiny_recipe(steps=2, name="fashion-unet-tiny")
    list(train_network.make(recipe))
    assert sorted(p.name for p in recipe.snapshot(2).parent.iterdir()) == [
        "fashion-unet-tiny-2.safetensors"
    ]
    last, weights = load_file(recipe.snapshot(2)), load_file(recipe.weights)
    assert all(torch.equal(last[name], weights[name]) for name in weights)
    list(train_network.make(tiny_recipe(steps=1)))
    assert len(list(recipe.snapshot(2).parent.iterdir())) == 2


def test_samples_that_copy(folder, monkeypatch):
    """The share of samples that a training image explains much better than any other."""
    images = tiny_recipe().images
    copies = images.pixels[[0, 5, 9]] + 0.001
    novel = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(train_network, "sample", lambda *_: torch.cat([copies, novel]))
    trainer = training.Trainer(tiny_recipe().config, images)
    assert train_network.share_of_copies(trainer.denoiser(), images) == 0.75
