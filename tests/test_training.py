"""Training that survives kills, what the trainer feeds its network, and the network's laws.

Run as a script, `python test_training.py STATE`, this file is the training run that the test of
kills starts, kills and resumes.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from elslib.architectures import NetworkConfig, build
from elslib.images import ImageSet
from elslib.networks import NetworkDenoiser, load_network
from elslib.training import TrainConfig, Trainer, held_out_loss, train, write_tensors

SAVE_EVERY = 2
NETWORK = NetworkConfig(3, width=24, blocks=2, classes=4)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks gain nothing from threads, and bits depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def image_set(n=10, channels=3, side=8, classes: int | None = 4, seed=0):
    """Random images; None classes: without labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, channels, side, side, generator=generator) * 2 - 1
    return ImageSet(images, None if classes is None else torch.arange(n) % classes)


def tiny_trainer(images=None, network=NETWORK, updates=24, batch=4, **changes):
    config = TrainConfig(network, updates=updates, batch=batch, **changes)
    return Trainer(config, image_set() if images is None else images)


# ---- kills


def trainer_to_kill():
    return tiny_trainer(updates=160, seed=3)


def train_in_this_process(state):
    """What the killed processes run: one line of progress per update."""
    torch.set_num_threads(1)
    for step in train(trainer_to_kill(), state, save_every=SAVE_EVERY):
        print(step.update, flush=True)


@contextmanager
def training_process(state):
    """A training run in its own process, and the lines that it prints."""
    command = [sys.executable, __file__, state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout


def kill_after(state, lines, delay):
    """SIGKILL a run `delay` seconds after its `lines`-th update; None: when it starts a save.

    Returns the last update that the run reported.
    """
    with training_process(state) as (process, output):
        reported = [output.readline() for _ in range(lines)]
        if delay is None:
            files = set(os.listdir(state.parent))
            while set(os.listdir(state.parent)) <= files and process.poll() is None:
                pass
        else:
            time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        reported += output.readlines()
    assert process.returncode == -signal.SIGKILL, "the run must be killed before its end"
    return int(reported[-1])


def test_killed_and_resumed_run_ends_with_the_same_bits(tmp_path):
    """Killed at random moments, also while saving, and resumed, a run ends as if never killed."""
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, state = tmp_path / "whole" / "run.safetensors", tmp_path / "killed" / "run.safetensors"
    with training_process(whole) as (process, output):
        assert len(output.readlines()) == 160
    assert process.returncode == 0
    expected = load_file(whole)
    dice = random.Random(17)
    # An update takes about 5 ms and saving 10 ms, so most delays end in the middle of either.
    delays = [dice.uniform(0, 0.04), dice.uniform(0, 0.04), None, dice.uniform(0, 0.04)]
    moments = [(dice.randint(1, 15), delay) for delay in delays]
    done = 0
    for lines, delay in moments:
        reported = kill_after(state, lines, delay)
        print(f"killed {delay} s after {lines} lines at update {reported}, from {done};", end=" ")
        resumed = trainer_to_kill()
        if state.exists():
            resumed.load(state)
        saved = len(resumed.losses)
        print(f"saved {saved}, files {sorted(os.listdir(state.parent))}")
        assert saved % SAVE_EVERY == 0
        assert saved >= (reported + 1) // SAVE_EVERY * SAVE_EVERY >= done
        assert resumed.losses == expected["losses"][:saved].tolist()
        done = saved
    with training_process(state) as (process, output):
        assert int(output.readlines()[0]) == done
    assert process.returncode == 0
    actual = load_file(state)
    assert actual.keys() == expected.keys()
    assert {"losses", "weights.up.weight", "average.up.weight"} <= expected.keys()
    for key in expected.keys() - {"seconds"}:
        assert torch.equal(actual[key], expected[key]), key


def test_resuming_a_finished_run_does_nothing(tmp_path):
    """A state of the last update loads, yields no step and is not written again."""
    state = tmp_path / "run.safetensors"
    first, again = tiny_trainer(updates=5), tiny_trainer(updates=5)
    assert [step.update for step in train(first, state)] == [0, 1, 2, 3, 4]
    written = state.stat().st_mtime_ns
    assert list(train(again, state)) == []
    assert state.stat().st_mtime_ns == written
    assert again.losses == first.losses and again.seconds == first.seconds
    for name, value in first.average.items():
        assert torch.equal(again.average[name], value)


def test_training_does_not_touch_the_global_generator():
    """Weights come from the seed alone, whatever was drawn before, and nothing is drawn."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = tiny_trainer(updates=3)
    list(train(one))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    two = tiny_trainer(updates=3)
    list(train(two))
    assert one.losses == two.losses


# ---- what the trainer feeds the network


def fed(trainer, updates):
    """The (noisy images, times, labels) that the network is given in the next updates."""
    batches = []
    hook = trainer.module.register_forward_pre_hook(lambda _, args: batches.append(args))
    for _ in range(updates):
        trainer.update()
    hook.remove()
    return batches


def labelled_by_position(n):
    """n images whose labels are their positions, and a network that is told the labels."""
    return image_set(n, classes=n), NetworkConfig(3, width=24, blocks=1, classes=n)


@pytest.mark.parametrize("n, batch", [(12, 4), (10, 4), (7, 4), (3, 4), (5, 12), (4, 1)])
def test_every_epoch_visits_every_image_once(n, batch):
    """Entries kn to (k + 1)n of the order are a permutation, also where a batch spans epochs."""
    images, network = labelled_by_position(n)
    updates = -(-3 * n // batch)
    trainer = tiny_trainer(images, network, updates=updates, batch=batch)
    order = torch.cat([label for _, _, label in fed(trainer, updates)])
    epochs = order[: 3 * n].reshape(3, n)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(n))
    if n >= 7:  # that two of 5,040 permutations agree would be no accident
        assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3


def test_batch_is_a_function_of_seed_and_update(tmp_path):
    """A resumed run, and one of other weights, is fed the very bits of an uninterrupted one."""
    images, network = labelled_by_position(10)
    whole = fed(tiny_trainer(images, network, seed=3), 8)
    first = tiny_trainer(images, network, seed=3)
    for _ in range(5):
        first.update()
    first.save(tmp_path / "run.safetensors")
    resumed = tiny_trainer(images, network, seed=3)
    resumed.load(tmp_path / "run.safetensors")
    other_rate = fed(tiny_trainer(images, network, seed=3, rate=0.1, ema=0.5), 8)
    for expected, actual in zip([*whole[5:], *whole], [*fed(resumed, 3), *other_rate], strict=True):
        for a, b in zip(expected, actual, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("seed", [1, 4, 2**16, 2**30 - 1])
def test_seeds_give_different_batches(seed):
    """Another seed draws another order, other times and other noise: it is another run."""
    images, network = labelled_by_position(10)
    one = fed(tiny_trainer(images, network, seed=0), 3)
    two = fed(tiny_trainer(images, network, seed=seed), 3)
    for part in range(3):
        same = [torch.equal(a[part], b[part]) for a, b in zip(one, two, strict=True)]
        assert not all(same)


def test_updates_give_different_batches():
    """Times and noise differ from update to update, also for one image in batches of one."""
    images = image_set(1, classes=None)
    network = NetworkConfig(3, width=24, blocks=1)
    batches = fed(tiny_trainer(images, network, updates=40, batch=1), 40)
    assert len({float(x.sum()) for x, _, _ in batches}) == 40
    assert len({float(t) for _, t, _ in batches}) > 30


def test_noisy_images_have_the_schedules_levels():
    """x = alpha x_0 + sigma eps with alpha = cos(pi t / 2.016) and eps of unit variance."""
    images = image_set(1, classes=None, side=32)
    network = NetworkConfig(3, width=24, blocks=1)
    (x, t, _), *_ = fed(tiny_trainer(images, network, batch=64), 1)
    angle = (torch.pi * t.double() / 2.016).reshape(-1, 1, 1, 1)
    assert ((t >= 0) & (t < 1)).all()
    seen = t > 0.05  # at the very start the noise is lost in the rounding of x
    eps = ((x - angle.cos() * images.images) / angle.sin())[seen]
    count = eps.numel()
    assert eps.mean().abs() < 6 / count**0.5
    assert (eps.var() - 1).abs() < 6 * (2 / count) ** 0.5


# ---- what training does


@pytest.mark.parametrize("autocast", [False, True])
def test_loss_falls_on_a_learnable_set(autocast):
    """On one constant image the noise follows from x and t, so the loss falls far below 1."""
    images = ImageSet(torch.full((1, 1, 8, 8), 0.5))
    network = NetworkConfig(1, width=24, blocks=1)
    trainer = tiny_trainer(images, network, updates=150, batch=16, rate=1e-2, autocast=autocast)
    losses = [step.loss for step in train(trainer)]
    assert losses == trainer.losses
    first, last = sum(losses[:5]) / 5, sum(losses[-20:]) / 20
    assert first > 0.7
    assert last < 0.35


def test_rate_falls_from_rate_to_zero():
    """The learning rate starts at `rate`, is half of it midway, ends near 0, and never rises."""
    config = TrainConfig(NETWORK, updates=1000, rate=0.01)
    rates = [config.rate_at(update) for update in range(1000)]
    assert rates[0] == 0.01
    assert rates[500] == pytest.approx(0.005)
    assert 0 < rates[-1] < 1e-6
    assert rates == sorted(rates, reverse=True)


def test_steps_report_update_and_rate():
    """The steps that `train` yields are numbered from 0 and carry the rate that was used."""
    trainer = tiny_trainer(updates=6)
    steps = list(train(trainer))
    assert [step.update for step in steps] == list(range(6))
    assert [step.rate for step in steps] == [trainer.config.rate_at(i) for i in range(6)]
    assert trainer.trained


def test_average_without_memory_is_the_weights():
    """With ema = 0 the average is the weights themselves, bit for bit."""
    trainer = tiny_trainer(updates=5, ema=0.0)
    list(train(trainer))
    for name, weight in trainer.module.named_parameters():
        assert torch.equal(trainer.average[name], weight)


def test_average_is_exponential():
    """average <- ema average + (1 - ema) weights after every update, starting at the weights."""
    trainer = tiny_trainer(updates=5, ema=0.75)
    expected = {k: v.detach().clone() for k, v in trainer.module.named_parameters()}
    for _ in train(trainer):
        for name, weight in trainer.module.named_parameters():
            expected[name] = 0.75 * expected[name] + 0.25 * weight.detach()
    for name, value in expected.items():
        assert torch.allclose(trainer.average[name], value, atol=1e-7)


def test_denoiser_holds_the_average():
    """Trainer.denoiser has the averaged weights, and denoises without touching its input."""
    trainer = tiny_trainer(updates=5, ema=0.5)
    list(train(trainer))
    denoiser = trainer.denoiser()
    for name, value in denoiser.module.named_parameters():
        assert torch.equal(value, trainer.average[name])
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    mean = denoiser(x, 0.5, torch.tensor([0, 1]))
    assert mean.shape == x.shape and mean.dtype == x.dtype and not mean.requires_grad
    assert torch.equal(x, before)


def test_held_out_loss_is_fixed():
    """Held-out loss is a function of network and images: 1 for a network that predicts 0."""
    module = build(NETWORK)
    for parameter in module.get_submodule("down").parameters():
        torch.nn.init.zeros_(parameter)
    denoiser = NetworkDenoiser(module, NETWORK)
    loss = held_out_loss(denoiser, image_set(), batches=4, batch=16)
    assert loss == held_out_loss(denoiser, image_set(), batches=4, batch=16)
    # The mean of 64 * 192 squared normals, each of variance 2.
    assert abs(loss - 1) < 6 * (2 / (64 * 192)) ** 0.5


# ---- errors of training


@pytest.fixture
def saved(tmp_path):
    """The state of a run after four updates."""
    trainer = tiny_trainer()
    for _ in range(4):
        trainer.update()
    trainer.save(tmp_path / "run.safetensors")
    return tmp_path / "run.safetensors"


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_resume_from_a_truncated_state(saved, kept):
    """A truncated state is refused, whatever is left of it, and stays where it is."""
    content = saved.read_bytes()
    saved.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="run.safetensors is corrupt or truncated .*; delete it"):
        next(train(tiny_trainer(), saved))
    assert saved.read_bytes() == content[: int(kept * len(content))]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"updates": 25},
        {"batch": 5},
        {"rate": 2e-3},
        {"ema": 0.9},
        {"autocast": False},
        {"network": NetworkConfig(3, width=32, blocks=2, classes=4)},
        {"network": NetworkConfig(3, width=24, blocks=2, classes=4, padding="circular")},
    ],
    ids=str,
)
def test_resume_from_a_state_of_another_config(saved, changes):
    """A state goes only with the config that wrote it, in every field."""
    with pytest.raises(ValueError, match="must be of this run .* but it is of .*another name"):
        next(train(tiny_trainer(**changes), saved))


def test_resume_from_a_state_of_other_images(saved):
    """A state goes only with the images it was trained on."""
    with pytest.raises(ValueError, match="must be of this run .* but it is of"):
        next(train(tiny_trainer(image_set(seed=1)), saved))


def test_resume_from_a_file_that_is_no_state(saved):
    """Tensors without the identity of a run are refused."""
    write_tensors(saved, {"up.weight": torch.zeros(3)}, {})
    with pytest.raises(ValueError, match=r"must be of this run .* but it is of \{\}"):
        next(train(tiny_trainer(), saved))


def test_images_with_wrong_channels():
    """Gray images do not train a network for colour."""
    with pytest.raises(ValueError, match="images must have 3 channels for this network, got 1"):
        tiny_trainer(image_set(channels=1))


def test_unlabelled_images_for_a_conditional_network():
    """A class-conditional network needs labels."""
    with pytest.raises(ValueError, match="must have labels for a class-conditional network"):
        tiny_trainer(image_set(classes=None))


def test_labels_beyond_classes():
    """Every label must be a class of the network."""
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.3 for this network, got 0\.\.4"):
        tiny_trainer(image_set(classes=5))


@pytest.mark.parametrize("name", ["updates", "batch"])
@pytest.mark.parametrize("value", [0, -1])
def test_updates_and_batch_must_be_positive(name, value):
    """There is no run without updates and no update without images."""
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got {value}"):
        TrainConfig(NETWORK, **{"updates": 5, name: value})


@pytest.mark.parametrize("ema", [1.0, 1.5, -0.1, float("nan")])
def test_ema_must_lie_in_range(ema):
    """An average that never moves, or that moves away, is refused."""
    with pytest.raises(ValueError, match=r"ema must lie in \[0, 1\), got"):
        TrainConfig(NETWORK, updates=5, ema=ema)


# ---- errors of networks


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"padding": "reflect"}, "padding must be zeros or circular, got 'reflect'"),
        ({"architecture": "unet"}, "architecture must be resnet, got 'unet'"),
        ({"width": 0}, "width must be a multiple of 8 from 24 on, got 0"),
        ({"width": 12}, "width must be a multiple of 8 from 24 on, got 12"),
        # One channel per group: GroupNorm then removes t and the class, and fails on one image.
        ({"width": 8}, "width must be .* got 8"),
    ],
)
def test_network_config_is_checked(as_installed, changes, message):
    """Every field of a network's config is checked when it is made."""
    with pytest.raises(ValueError, match=message):
        NetworkConfig(3, **changes)


def write_network(path, weights, card=None):
    """A pair of weights and card at `path` plus suffix, as `elslib train` writes it."""
    write_tensors(path.with_suffix(".safetensors"), dict(build(weights).named_parameters()), {})
    path.with_suffix(".json").write_text(json.dumps({"network": asdict(card or weights)}))
    return str(path)


def test_load_network_restores_the_function(tmp_path):
    """A network loaded from its weights and card denoises as the one that was saved."""
    trainer = tiny_trainer(updates=3)
    list(train(trainer))
    write_tensors(tmp_path / "tiny.safetensors", trainer.average, {})
    (tmp_path / "tiny.json").write_text(json.dumps({"network": asdict(NETWORK)}))
    loaded = load_network(str(tmp_path / "tiny"))
    assert loaded.config == NETWORK
    x, label = torch.randn(2, 3, 8, 8), torch.tensor([1, 3])
    assert torch.allclose(loaded(x, 0.3, label), trainer.denoiser()(x, 0.3, label), atol=1e-6)


@pytest.mark.parametrize(
    "card",
    [
        NetworkConfig(3, width=32, blocks=2, classes=4),
        NetworkConfig(3, width=24, blocks=3, classes=4),
        NetworkConfig(3, width=24, blocks=1, classes=4),
        NetworkConfig(1, width=24, blocks=2, classes=4),
        NetworkConfig(3, width=24, blocks=2, classes=5),
        NetworkConfig(3, width=24, blocks=2),
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


@pytest.mark.parametrize("card", [{}, {"network": {"channel": 3}}, {"network": None}, [], 3])
def test_load_network_with_a_foreign_card(as_installed, tmp_path, card):
    """A card that is json but describes no network is refused."""
    path = write_network(tmp_path / "tiny", NETWORK)
    Path(path).with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="or its card is corrupt or truncated"):
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


def seeded(config):
    """A network whose weights depend on nothing but its config."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(config)


PLAIN = NetworkConfig(1, width=24, blocks=1)
CONDITIONAL = NetworkDenoiser(seeded(NETWORK), NETWORK)
UNCONDITIONAL = NetworkDenoiser(seeded(PLAIN), PLAIN)


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 4, 8, 8), (3, 8, 8)])
def test_network_called_with_wrong_channels(as_installed, shape):
    """Images of another number of channels, or without a batch axis, are refused."""
    with pytest.raises(ValueError, match=r"x must have shape \[b, 3, h, w\] for this network, got"):
        CONDITIONAL(torch.zeros(shape), 0.5, torch.tensor([0, 1]))


def test_conditional_network_called_without_a_label():
    """A conditional network never guesses a class."""
    with pytest.raises(ValueError, match=r"label must hold one class in 0\.\.3 .* got None"):
        CONDITIONAL(torch.zeros(2, 3, 8, 8), 0.5)


def test_unconditional_network_called_with_a_label():
    """An unconditional network never ignores a class."""
    with pytest.raises(ValueError, match="label must be None: this network is unconditional"):
        UNCONDITIONAL(torch.zeros(2, 1, 8, 8), 0.5, torch.tensor([0, 1]))


@pytest.mark.parametrize("label", [-1, 4])
def test_network_called_with_a_label_out_of_range(label):
    """A label must be a class of the network."""
    with pytest.raises(ValueError, match=rf"label must lie in 0\.\.3, got \[0, {label}\]"):
        CONDITIONAL(torch.zeros(2, 3, 8, 8), 0.5, torch.tensor([0, label]))


@pytest.mark.parametrize("t", [-0.1, 1.1, float("nan")])
def test_network_called_at_a_time_out_of_range(t):
    """Times lie in [0, 1]."""
    with pytest.raises(ValueError, match=r"t must lie in \[0, 1\], got"):
        UNCONDITIONAL(torch.zeros(2, 1, 8, 8), t)


# ---- the ResNet


@pytest.mark.parametrize(
    "config, count",
    [(NetworkConfig(3, 256, classes=10), 4_021_251), (NetworkConfig(1, 256), 4_009_473)],
    ids=["conditional", "unconditional"],
)
def test_resnet_parameter_count(config, count):
    """The paper's ResNet has exactly the published number of parameters."""
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build(config).parameters()) == count


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_resnet_sees_17_by_17_pixels(padding):
    """With 6 blocks an output pixel depends on 17x17 inputs, up to the rim, and on no others."""
    module = seeded(NetworkConfig(2, width=32, padding=padding)).double()
    x = torch.randn(1, 2, 25, 25, dtype=torch.float64).requires_grad_()
    module(x, torch.tensor([0.5]).double(), None)[0, :, 12, 12].sum().backward()
    seen = (x.grad != 0).any(dim=1)[0]
    expected = torch.zeros(25, 25, dtype=torch.bool)
    expected[4:21, 4:21] = True
    assert torch.equal(seen, expected)


def shift_error(padding):
    """How far a network is from commuting with a cyclic shift."""
    config = NetworkConfig(3, width=24, blocks=2, padding=padding, classes=4)
    denoiser = NetworkDenoiser(seeded(config).double(), config)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    t, label = torch.tensor([0.2, 0.9]).double(), torch.tensor([0, 3])
    shifted = denoiser(x.roll((3, -2), dims=(2, 3)), t, label)
    return float((shifted - denoiser(x, t, label).roll((3, -2), dims=(2, 3))).abs().max())


def test_circular_padding_commutes_with_shifts():
    """A network with circular padding treats all places alike; float64, so to 1e-12."""
    assert shift_error("circular") < 1e-12


def test_zero_padding_does_not_commute_with_shifts():
    """Negative control: zero padding tells a network where the border is."""
    assert shift_error("zeros") > 1e-3


def test_network_uses_time_and_class():
    """The noise estimate depends on t and on the class, each alone."""
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(2)).expand(3, -1, -1, -1)
    t, label = torch.tensor([0.1, 0.9, 0.1]), torch.tensor([1, 1, 2])
    with torch.no_grad():
        base, other_time, other_class = CONDITIONAL.module(x, t, label)
    assert (base - other_time).abs().max() > 1e-2
    assert (base - other_class).abs().max() > 1e-2


def test_batch_equals_one_by_one():
    """Each image of a batch is denoised as if alone, with its own time and class."""
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    t, label = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([2, 0, 3])
    together = CONDITIONAL(x, t, label)
    for i in range(3):
        alone = CONDITIONAL(x[i : i + 1], float(t[i]), label[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, atol=1e-5)


if __name__ == "__main__":
    train_in_this_process(Path(sys.argv[1]))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": torch.full((3, 3, 8, 8), float("nan"))}, "x must be finite"),
        ({"x": torch.zeros(3, 3, 8, 8).double()}, "x must have the network's dtype"),
        (
            {"x": torch.zeros(3, 3, 8, 8, device="meta")},
            "x must have the network's dtype",
        ),
        ({"t": torch.full((2,), 0.5)}, "t must hold one entry per image, got 2 for a batch of 3"),
        ({"label": torch.tensor([1])}, "label must hold one entry per image, got 1"),
    ],
)
def test_a_network_broadcasts_and_converts_nothing(as_installed, change, message):
    """NaN, another dtype or device, and lists of another length are refused."""
    good = {"x": torch.zeros(3, 3, 8, 8), "t": 0.5, "label": torch.tensor([0, 1, 2])}
    with pytest.raises(ValueError, match=message):
        CONDITIONAL(**{**good, **change})
