"""Training that survives kills, what the trainer feeds its network, and what comes of it.

Run as a script, `python test_training.py STATE`, this file is the training run that the test of
kills starts, kills and resumes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import NETWORK, seeded
from safetensors.torch import load_file

from elslib.data.image_set import ImageSet
from elslib.networks.architectures import NetworkConfig
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.networks.training import (
    TrainConfig,
    Trainer,
    has_bfloat16,
    held_out_loss,
    train,
    write_tensors,
)

SAVE_EVERY = 2
pytestmark = pytest.mark.usefixtures("one_thread")


def image_set(n=10, channels=3, side=8, classes: int | None = 4, seed=0):
    """Random images; None classes: without labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, channels, side, side, generator=generator) * 2 - 1
    return ImageSet(images, None if classes is None else torch.arange(n) % classes)


def tiny_trainer(images=None, network=NETWORK, steps=24, batch=4, **changes):
    config = TrainConfig(network, steps=steps, batch=batch, **changes)
    return Trainer(config, image_set() if images is None else images)


# ---- kills


def trainer_to_kill():
    return tiny_trainer(steps=160, seed=3, weighting="relative")


def train_in_this_process(state):
    """What the killed processes run: one line of progress per step."""
    torch.set_num_threads(1)
    for step in train(trainer_to_kill(), state, save_every=SAVE_EVERY):
        print(step.step, flush=True)


@contextmanager
def training_process(state):
    """A training run in its own process, and the lines that it prints."""
    command = [sys.executable, __file__, state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout


def kill_after(state, lines, delay):
    """SIGKILL a run `delay` seconds after its `lines`-th step; None: when it starts a save.

    Returns the last step that the run reported.
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
    # A step takes about 5 ms and saving 10 ms, so most delays end in the middle of either.
    delays = [dice.uniform(0, 0.04), dice.uniform(0, 0.04), None, dice.uniform(0, 0.04)]
    moments = [(dice.randint(1, 15), delay) for delay in delays]
    done = 0
    for lines, delay in moments:
        reported = kill_after(state, lines, delay)
        print(f"killed {delay} s after {lines} lines at step {reported}, from {done};", end=" ")
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


@pytest.mark.parametrize("architecture", ["resnet", "unet", "unet-attention"])
def test_every_architecture_resumes_with_the_same_bits(tmp_path, architecture):
    """Stopped after any of its steps a run continues as if it had not been."""
    network = replace(NETWORK, architecture=architecture)
    whole = tiny_trainer(network=network, steps=4)
    list(train(whole))
    state = tmp_path / "run.safetensors"
    for done in range(4):
        stopped = tiny_trainer(network=network, steps=4)
        next(train(stopped, state, save_every=1))
        assert stopped.losses == whole.losses[: done + 1]
    final = tiny_trainer(network=network, steps=4)
    final.load(state)
    for name, value in whole.average.items():
        assert torch.equal(final.average[name], value), name


def test_resuming_a_finished_run_does_nothing(tmp_path):
    """A state of the last step loads, yields no step and is not written again."""
    state = tmp_path / "run.safetensors"
    first, again = tiny_trainer(steps=5), tiny_trainer(steps=5)
    assert [step.step for step in train(first, state)] == [0, 1, 2, 3, 4]
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
    one = tiny_trainer(steps=3)
    list(train(one))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    two = tiny_trainer(steps=3)
    list(train(two))
    assert one.losses == two.losses


# ---- what the trainer feeds the network


def fed(trainer, steps):
    """The (noisy images, times, labels) that the network is given in the next steps."""
    batches = []
    hook = trainer.module.register_forward_pre_hook(lambda _, args: batches.append(args))
    for _ in range(steps):
        trainer.step()
    hook.remove()
    return batches


def labelled_by_position(n):
    """n images whose labels are their positions, and a network that is told the labels."""
    return image_set(n, classes=n), NetworkConfig(3, width=24, blocks=1, classes=n)


@pytest.mark.parametrize("n, batch", [(12, 4), (10, 4), (7, 4), (3, 4), (5, 12), (4, 1)])
def test_every_epoch_visits_every_image_once(n, batch):
    """Entries kn to (k + 1)n of the order are a permutation, also where a batch spans epochs."""
    images, network = labelled_by_position(n)
    steps = -(-3 * n // batch)
    trainer = tiny_trainer(images, network, steps=steps, batch=batch)
    order = torch.cat([label for _, _, label in fed(trainer, steps)])
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
        first.step()
    first.save(tmp_path / "run.safetensors")
    resumed = tiny_trainer(images, network, seed=3)
    resumed.load(tmp_path / "run.safetensors")
    other_rate = fed(tiny_trainer(images, network, seed=3, lr=0.1, ema=0.5), 8)
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


def test_steps_give_different_batches():
    """Times and noise differ from step to step, also for one image in batches of one."""
    images = image_set(1, classes=None)
    network = NetworkConfig(3, width=24, blocks=1)
    batches = fed(tiny_trainer(images, network, steps=40, batch=1), 40)
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
    eps = ((x - angle.cos() * images.pixels) / angle.sin())[seen]
    count = eps.numel()
    assert eps.mean().abs() < 6 / count**0.5
    assert (eps.var() - 1).abs() < 6 * (2 / count) ** 0.5


# ---- what training does


@pytest.mark.parametrize("autocast", [False, True])
def test_loss_falls_on_a_learnable_set(autocast):
    """On one constant image the noise follows from x and t, so the loss falls far below 1."""
    images = ImageSet(torch.full((1, 1, 8, 8), 0.5))
    network = NetworkConfig(1, width=24, blocks=1)
    trainer = tiny_trainer(images, network, steps=150, batch=16, lr=1e-2, autocast=autocast)
    losses = [step.loss for step in train(trainer)]
    assert losses == trainer.losses
    first, last = sum(losses[:5]) / 5, sum(losses[-20:]) / 20
    assert first > 0.7
    assert last < 0.35


def test_precision_follows_the_processor():
    """bfloat16 only where it is fast, and then the steps differ; float32 if so asked."""
    fast = has_bfloat16(torch.device("cpu"))
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2"):
        assert not fast
    assert has_bfloat16(torch.device("cuda"))
    precise, auto = tiny_trainer(autocast=False), tiny_trainer(autocast=True)
    assert precise.precision == torch.float32
    assert auto.precision == (torch.bfloat16 if fast else torch.float32)
    assert (precise.step().loss != auto.step().loss) == fast


def test_a_run_that_diverges_ends():
    """At an absurd rate the weights blow up: an error, not hours of nan."""
    trainer = tiny_trainer(lr=1e30, steps=50, autocast=False)
    with pytest.raises(ValueError, match="lr must be small enough .*1e.30: the loss of step"):
        list(train(trainer))
    assert len(trainer.losses) < 50


def test_rate_falls_from_rate_to_zero():
    """The learning rate starts at `lr`, is half of it midway, ends near 0, and never rises."""
    config = TrainConfig(NETWORK, steps=1000, lr=0.01)
    rates = [config.lr_at(step) for step in range(1000)]
    assert rates[0] == 0.01
    assert rates[500] == pytest.approx(0.005)
    assert 0 < rates[-1] < 1e-6
    assert rates == sorted(rates, reverse=True)


def test_exponential_rate_is_the_papers():
    """0.999965^step over the paper's 140,000 steps; over fewer it falls as far, only faster."""
    paper = TrainConfig(NETWORK, steps=140_000, lr=1e-4, decay="exponential")
    for step in (0, 1, 1000, 139_999):
        assert paper.lr_at(step) == pytest.approx(1e-4 * 0.999965**step, rel=1e-9)
    short = TrainConfig(NETWORK, steps=1400, lr=1e-4, decay="exponential")
    for step in (0, 1, 700, 1399):
        assert short.lr_at(step) == pytest.approx(paper.lr_at(100 * step), rel=1e-9)


def test_steps_report_update_and_rate():
    """The steps that `train` yields are numbered from 0 and carry the rate that was used."""
    trainer = tiny_trainer(steps=6)
    steps = list(train(trainer))
    assert [step.step for step in steps] == list(range(6))
    assert [step.lr for step in steps] == [trainer.config.lr_at(i) for i in range(6)]
    assert trainer.trained


def test_relative_weights_make_every_noise_level_count_alike():
    """An error counts as a multiple of the running mean at its noise level: 1 at first, whatever
    its size; then the mean moves by a fiftieth of the way. Levels without an image keep theirs."""
    trainer = tiny_trainer(weighting="relative")
    t, errors = torch.tensor([0.0, 0.049, 0.5, 0.999]), torch.tensor([0.2, 0.4, 0.02, 1e-4])
    weights = trainer._weights(0, t, errors)
    assert (weights * errors).tolist() == pytest.approx([0.2 / 0.3, 0.4 / 0.3, 1, 1])
    assert trainer.level_errors[1].item() == 1
    weights = trainer._weights(1000, t[2:3], torch.tensor([0.04]))
    assert weights.item() == pytest.approx(1 / (0.02 + (0.04 - 0.02) / 50))
    assert tiny_trainer()._weights(0, t, errors).tolist() == [1] * 4


def test_the_loss_is_reported_without_weights():
    """The first step's is the same for both weightings, whose next weights are not."""
    plain, weighted = tiny_trainer(), tiny_trainer(weighting="relative")
    assert plain.step().loss == weighted.step().loss
    assert any(
        not torch.equal(a, b)
        for a, b in zip(plain.module.parameters(), weighted.module.parameters(), strict=True)
    )


def test_average_without_memory_is_the_weights():
    """With ema = 0 the average is the weights themselves, bit for bit."""
    trainer = tiny_trainer(steps=5, ema=0.0)
    list(train(trainer))
    for name, weight in trainer.module.named_parameters():
        assert torch.equal(trainer.average[name], weight)


def test_average_is_exponential():
    """average <- decay average + (1 - decay) weights after step n, from the initial weights on;
    decay is ema, at first (1 + n) / (10 + n)."""
    trainer = tiny_trainer(steps=8, ema=0.25)
    expected = {k: v.detach().clone() for k, v in trainer.module.named_parameters()}
    for _, decay in zip(train(trainer), [0.1, 2 / 11, *[0.25] * 6], strict=True):
        for name, weight in trainer.module.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * weight.detach()
    for name, value in expected.items():
        assert torch.allclose(trainer.average[name], value, atol=1e-7)


def test_the_average_forgets_the_initial_weights():
    """However slow it is in the end: after 100 steps it has none of them left."""
    trainer = tiny_trainer(steps=100, ema=0.999)
    for average, weights in zip(trainer.average.values(), trainer.module.parameters(), strict=True):
        average.fill_(1)
        weights.data.zero_()
    for number in range(100):
        trainer._average(number)
    assert all(float(average.abs().max()) < 1e-12 for average in trainer.average.values())


def test_denoiser_holds_the_average():
    """Trainer.denoiser has the averaged weights, and denoises without touching its input."""
    trainer = tiny_trainer(steps=5, ema=0.5)
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
    module = seeded(NETWORK)
    for parameter in module.get_submodule("down").parameters():
        torch.nn.init.zeros_(parameter)
    denoiser = NetworkDenoiser(module, NETWORK)
    loss = held_out_loss(denoiser, image_set(), batches=4, batch=16)
    assert loss == held_out_loss(denoiser, image_set(), batches=4, batch=16)
    # The mean of 64 * 192 squared normals, each of variance 2.
    assert abs(loss - 1) < 6 * (2 / (64 * 192)) ** 0.5


def measured(trainer, state=None, steps=None):
    """Train with held-out images, to the end or until so many steps are done."""
    for step in train(trainer, state, held_out=image_set(n=6, seed=9), save_every=1):
        if step.step + 1 == steps:
            break
    return trainer


@pytest.fixture
def quick_measurements(monkeypatch):
    """The held-out loss on 8 triples instead of 1,024; every measurement is counted."""
    counted = []

    def measure(denoiser, images):
        counted.append(held_out_loss(denoiser, images, batches=2, batch=4))
        return counted[-1]

    monkeypatch.setattr("elslib.networks.training.held_out_loss", measure)
    return counted


@pytest.mark.parametrize("steps, entries", [(20, 20), (24, 20), (45, 20), (7, 7)])
def test_held_out_curve_has_20_entries(quick_measurements, steps, entries):
    """Evenly spread and the last one at the end; a run of fewer steps has one for each."""
    trainer = tiny_trainer(steps=steps)
    at = []
    for step in train(trainer, held_out=image_set(n=6, seed=9)):
        at += [step.step + 1] * (len(trainer.held_out) - len(at))
    # The k-th is measured after the first step at which k twentieths of them are done.
    assert at == sorted({-(-k * steps // 20) for k in range(1, 21)})
    assert len(trainer.held_out) == entries and trainer.held_out == quick_measurements
    assert trainer.held_out[-1] == held_out_loss(trainer.denoiser(), image_set(n=6, seed=9), 2, 4)


def test_held_out_curve_survives_a_resume(quick_measurements, tmp_path):
    """Stopped and resumed, also between two measurements, it has the very values of one run."""
    state = tmp_path / "run.safetensors"
    whole = measured(tiny_trainer(steps=50))
    for stop in (11, 12, 30):
        assert len(measured(tiny_trainer(steps=50), state, stop).losses) == stop
    resumed = measured(tiny_trainer(steps=50), state)
    assert resumed.held_out == whole.held_out and len(whole.held_out) == 20
    assert resumed.losses == whole.losses


def test_held_out_curve_of_a_run_that_was_not_measured_at_first(quick_measurements, tmp_path):
    """What was not measured in time is not made up for later: entries stay where they belong."""
    state = tmp_path / "run.safetensors"
    for step in train(tiny_trainer(steps=20), state, save_every=1):
        if step.step == 9:
            break
    trainer = measured(tiny_trainer(steps=20), state)
    assert trainer.held_out == measured(tiny_trainer(steps=20)).held_out[10:]


def test_measuring_changes_nothing(quick_measurements):
    """Weights have the same bits whether or not the run is measured, and nothing is drawn."""
    plain = tiny_trainer(steps=20)
    list(train(plain))
    before = torch.get_rng_state()
    trainer = measured(tiny_trainer(steps=20))
    assert torch.equal(torch.get_rng_state(), before)
    assert trainer.losses == plain.losses
    for name, value in plain.average.items():
        assert torch.equal(trainer.average[name], value)


# ---- errors of training


@pytest.fixture
def saved(tmp_path):
    """The state of a run after four steps."""
    trainer = tiny_trainer()
    for _ in range(4):
        trainer.step()
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
        {"steps": 25},
        {"batch": 5},
        {"lr": 2e-3},
        {"ema": 0.9},
        {"decay": "exponential"},
        {"autocast": False},
        {"weighting": "relative"},
        {"network": NetworkConfig(3, width=32, blocks=2, classes=4)},
        {"network": NetworkConfig(3, width=24, blocks=2, classes=4, padding="circular")},
        {"network": NetworkConfig(3, width=24, blocks=2, classes=4, architecture="unet")},
    ],
    ids=str,
)
def test_resume_from_a_state_of_another_config(saved, changes):
    """A state goes only with the config that wrote it, in every field."""
    with pytest.raises(ValueError, match=r"of this run, .* other \w+ \(.*, now .*another name"):
        next(train(tiny_trainer(**changes), saved))


def test_resume_from_a_state_of_other_images(saved):
    """A state goes only with the images it was trained on."""
    with pytest.raises(ValueError, match="must be of this run, but is of one with other images"):
        next(train(tiny_trainer(image_set(seed=1)), saved))


def test_resume_from_a_file_that_is_no_state(saved):
    """Tensors without the identity of a run are refused."""
    write_tensors(saved, {"up.weight": torch.zeros(3)}, {})
    with pytest.raises(ValueError, match=r"must be of this run, .* other network \(None, now"):
        next(train(tiny_trainer(), saved))


def test_images_with_wrong_channels():
    """Gray images do not train a network for colour."""
    with pytest.raises(ValueError, match="images must have 3 channels for this network, got 1"):
        tiny_trainer(image_set(channels=1))


def test_images_with_sides_that_a_unet_cannot_halve():
    """6 pixels are 3 at the middle scale, which has no half."""
    network = NetworkConfig(3, width=24, classes=4, architecture="unet")
    with pytest.raises(ValueError, match=r"images must have sides that are multiples of 4 .*6, 6"):
        tiny_trainer(image_set(side=6), network)


def test_unlabelled_images_for_a_conditional_network():
    """A class-conditional network needs labels."""
    with pytest.raises(ValueError, match="must have labels for a class-conditional network"):
        tiny_trainer(image_set(classes=None))


def test_labels_beyond_classes():
    """Every label must be a class of the network."""
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.3 for this network, got 0\.\.4"):
        tiny_trainer(image_set(classes=5))


@pytest.mark.parametrize("name", ["steps", "batch"])
@pytest.mark.parametrize("value", [0, -1, 2.5])
def test_steps_and_batch_must_be_positive(name, value, as_installed):
    """There is no run without steps, no step without images, and no half of either."""
    with pytest.raises(ValueError, match=f"{name} must be a whole number( of at least 1)?, got"):
        TrainConfig(NETWORK, **{"steps": 5, name: value})


def test_states_are_written_after_whole_steps(tmp_path):
    """A state after every 0 steps is refused before the first."""
    with pytest.raises(ValueError, match="save_every must be at least 1, got 0"):
        next(train(tiny_trainer(), tmp_path / "state", save_every=0))


@pytest.mark.parametrize("lr", [0.0, -1e-3, float("nan")])
def test_lr_must_be_positive(lr):
    """A rate that learns nothing, or unlearns, is refused."""
    with pytest.raises(ValueError, match="lr must be positive, got .*; 1e-3 works"):
        TrainConfig(NETWORK, steps=5, lr=lr)


def test_weighting_must_be_known(as_installed):
    """There are two weightings."""
    with pytest.raises(ValueError, match="weighting must be none or relative, got 'snr'"):
        TrainConfig(NETWORK, steps=5, weighting="snr")  # pyright: ignore[reportArgumentType]


def test_decay_must_be_known(as_installed):
    """There are two decays."""
    with pytest.raises(ValueError, match="decay must be cosine or exponential, got 'linear'"):
        TrainConfig(NETWORK, steps=5, decay="linear")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("ema", [1.0, 1.5, -0.1, float("nan")])
def test_ema_must_lie_in_range(ema):
    """An average that never moves, or that moves away, is refused."""
    with pytest.raises(ValueError, match=r"ema must lie in \[0, 1\), got"):
        TrainConfig(NETWORK, steps=5, ema=ema)


if __name__ == "__main__":
    train_in_this_process(Path(sys.argv[1]))


def test_a_state_belongs_to_its_held_out_images(quick_measurements, tmp_path):
    """A curve of two sets would compare nothing."""
    path, other = tmp_path / "state", image_set(6, seed=1)
    run = train(tiny_trainer(), path, held_out=image_set(), save_every=1)
    next(run)
    next(run)
    for held_out in (other, None):
        with pytest.raises(ValueError, match="other held-out ones"):
            next(train(tiny_trainer(), path, held_out=held_out))
    assert next(train(tiny_trainer(), path, held_out=image_set())).step == 2


def test_training_leaves_the_generators_of_gpus_alone(monkeypatch):
    """Weights are drawn on the CPU."""
    asked = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", asked.append)
    tiny_trainer()
    assert asked == []


def test_images_of_double_precision_are_refused():
    """With the remedy."""
    with pytest.raises(ValueError, match="images must be float32 .* images.to"):
        tiny_trainer(image_set().to(dtype=torch.float64))
