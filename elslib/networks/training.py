"""Training by denoising score matching, as a generator that resumes where a kill left it.

Everything random is a function of the seed and the step number: batch order, times and noise.
A run that was killed and resumed therefore ends with the same bits as one that was not, given the
same number of threads.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from elslib.checks import check_fields, checked
from elslib.data.image_set import ImageSet
from elslib.io import write_whole
from elslib.networks.architectures import NetworkConfig, build, rebuild
from elslib.networks.batches import HELD_OUT, check_images, noisy_batch
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.schedules import cosine

# The held-out loss is measured so many times in a run, evenly spread.
MEASUREMENTS = 20
Decay = Literal["cosine", "exponential"]
DECAYS = get_args(Decay)
Weighting = Literal["none", "relative"]
WEIGHTINGS = get_args(Weighting)
# Relative weights: into how many equal parts of [0, 1] times fall, and how far a batch moves the
# running error of its parts.
LEVELS, MOVE = 20, 0.02


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained with the paper's objective (App. C.1).

    Adam starts at `lr`. `decay="exponential"` is the paper's, 0.999965^step over its 140,000
    steps, stretched over these `steps`; `"cosine"` falls to 0. The result is an exponential
    moving average of the weights with decay `ema`, less at first so that it forgets the initial
    weights; 0, as in the paper, keeps none. `autocast` computes in bfloat16 where `has_bfloat16`.
    `steps`, `batch` at least 1.

    `weighting="none"` is the paper's plain mean of squared errors. `"relative"` divides the error
    of an image by the running mean of the errors at its noise level; the weights that Karras et
    al. (CVPR 2024) learn come to the same. The best estimate at each level does not change. But a
    plain mean hardly counts the small errors in strong noise, which samplers multiply most.
    """

    network: NetworkConfig
    steps: int
    batch: int = 64
    lr: float = 1e-3
    decay: Decay = "cosine"
    ema: float = 0.999
    seed: int = 0
    autocast: bool = True
    weighting: Weighting = "none"

    def __post_init__(self):
        check_fields(self)
        for name in ("steps", "batch"):
            number = getattr(self, name)
            if number < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {number}.")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be positive, got {self.lr}; 1e-3 works.")
        if self.decay not in DECAYS:
            raise ValueError(f"decay must be cosine or exponential, got {self.decay!r}.")
        if self.weighting not in WEIGHTINGS:
            raise ValueError(f"weighting must be none or relative, got {self.weighting!r}.")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must lie in [0, 1), got {self.ema}; 0 keeps no average.")

    def lr_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        done = step / self.steps
        if self.decay == "exponential":
            return self.lr * 0.999965 ** (140_000 * done)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class TrainStep:
    """One step: its number (from 0), plain mean squared error of the noise, learning rate."""

    step: int
    loss: float
    lr: float


class Trainer:
    """The state of a run: weights, their average, Adam's moments, the losses so far.

    `losses` has one entry a step, `held_out` the averaged weights' loss on `held_out_images` at
    every twentieth of the steps, if it was measured. `level_errors` is what relative weights divide
    by.
    """

    def __init__(self, config: TrainConfig, images: ImageSet):
        check_images(config.network, images)
        self.config, self.images = config, images
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(config.seed)  # torch's own seeds GPUs as well
            self.module = build(config.network).to(memory_format=torch.channels_last)
        self.module.to(images.pixels.device)
        self.average = {k: v.detach().clone() for k, v in self.module.named_parameters()}
        self.adam = torch.optim.Adam(self.module.parameters(), lr=config.lr, fused=True)
        self.losses: list[float] = []
        self.held_out: list[float] = []
        self.held_out_images: ImageSet | None = None
        self.level_errors = torch.ones(LEVELS, dtype=torch.float32, device="cpu")
        self.seconds = 0.0

    def step(self) -> TrainStep:
        """Do the next step."""
        start = time.monotonic()
        number, config = len(self.losses), self.config
        x, t, label, eps = noisy_batch(self.images, config.batch, config.seed, number, cosine())
        label = label if config.network.classes else None
        self.adam.param_groups[0]["lr"] = lr = config.lr_at(number)
        with self._precision():
            estimate = self.module(x.to(memory_format=torch.channels_last), t, label)
        errors = (estimate.float() - eps).square().mean(dim=(1, 2, 3))  # (b)
        self.adam.zero_grad()
        (self._weights(number, t, errors.detach()) * errors).mean().backward()
        self.adam.step()
        self._average(number)
        self.losses.append(float(errors.detach().mean()))
        self.seconds += time.monotonic() - start
        return TrainStep(number, self.losses[-1], lr)

    @property
    def precision(self) -> torch.dtype:
        """In what the network computes on this device; the weights are float32."""
        fast = self.config.autocast and has_bfloat16(self.images.pixels.device)
        return torch.bfloat16 if fast else torch.float32

    def _precision(self) -> AbstractContextManager:
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.images.pixels.device.type, self.precision)

    def _weights(self, number: int, t: Tensor, errors: Tensor) -> Tensor:
        """What the errors of the images of a batch count, by the noise level of each."""
        if self.config.weighting == "none":
            return torch.ones_like(errors)
        level = (t.cpu() * LEVELS).long()
        found, sums = level.bincount(minlength=LEVELS), torch.zeros_like(self.level_errors)
        sums.index_add_(0, level, errors.cpu())
        here = found > 0
        move = max(MOVE, 1 / (1 + number))  # so that it forgets that it began at 1
        self.level_errors[here] = self.level_errors[here].lerp(sums[here] / found[here], move)
        return 1 / self.level_errors[level].to(errors.device)

    def _average(self, number: int) -> None:
        """Move the average towards the weights after a step, the more, the earlier it is: else
        the first thousand averages would be of the initial weights, and so would snapshots."""
        decay = min(self.config.ema, (1 + number) / (10 + number))
        for average, weights in zip(self.average.values(), self.module.parameters(), strict=True):
            average.lerp_(weights.detach(), 1 - decay)

    @property
    def trained(self) -> bool:
        """Whether all steps are done."""
        return len(self.losses) >= self.config.steps

    def denoiser(self) -> NetworkDenoiser:
        """The averaged weights as a Denoiser."""
        module = rebuild(self.config.network, self.average).to(self.images.pixels.device)
        return NetworkDenoiser(module, self.config.network)

    def save(self, path: Path) -> None:
        """Write the whole state so that a kill leaves the old file or the new one."""
        state = {f"average.{k}": v for k, v in self.average.items()}
        for name, parameter in self.module.named_parameters():
            state[f"weights.{name}"] = parameter.detach()
            for key, value in self.adam.state[parameter].items():
                state[f"adam.{key}.{name}"] = value
        state["losses"] = torch.tensor(self.losses, dtype=torch.float64, device="cpu")
        state["held_out"] = torch.tensor(self.held_out, dtype=torch.float64, device="cpu")
        state["level_errors"] = self.level_errors
        state["seconds"] = torch.tensor(self.seconds, dtype=torch.float64, device="cpu")
        write_tensors(path, state, _identity(self.config, self.images, self.held_out_images))

    def load(self, path: Path) -> None:
        """Continue from a file of `save`; the errors of `read_state`."""
        state = read_state(path, self.config, self.images, self.held_out_images)
        self.losses, self.held_out = state["losses"].tolist(), state["held_out"].tolist()
        self.level_errors = state["level_errors"]
        self.seconds = float(state["seconds"])
        for name, parameter in self.module.named_parameters():
            parameter.data.copy_(state[f"weights.{name}"])
            self.average[name].copy_(state[f"average.{name}"])
            moments = {key: state[f"adam.{key}.{name}"] for key in ("exp_avg", "exp_avg_sq")}
            # Moments take their weights' memory layout, on which the bits of a step depend.
            self.adam.state[parameter] = {
                "step": state[f"adam.step.{name}"].to(parameter.device, copy=True),
                **{k: torch.empty_like(parameter).copy_(v) for k, v in moments.items()},
            }


def read_state(
    path: Path, config: TrainConfig, images: ImageSet, held_out: ImageSet | None = None
) -> dict[str, Tensor]:
    """The file of a `Trainer.save`. ValueError if it is broken or of another run."""
    try:
        with safe_open(path, "pt") as file:
            identity = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is corrupt or truncated ({error}); delete it to train from the start."
        ) from error
    now = _identity(config, images, held_out)
    if "held_out" not in identity:  # it was not measured so far
        now.pop("held_out", None)
    if identity != now:
        there = json.loads(identity.get("config", "{}"))
        other = [
            f"{key} ({there.get(key)}, now {value})"
            for key, value in asdict(config).items()
            if there.get(key) != value
        ]
        raise ValueError(
            f"{path} must be of this run, but is of one with other "
            f"{', '.join(other) or 'images, or other held-out ones'}; delete it or give this run "
            f"another name."
        )
    return state


def _identity(config: TrainConfig, images: ImageSet, held_out: ImageSet | None) -> dict[str, str]:
    about = {"config": json.dumps(asdict(config), sort_keys=True), "images": images.sha256}
    return about if held_out is None else {**about, "held_out": held_out.sha256}


@checked
def train(
    trainer: Trainer,
    state: Path | None = None,
    *,
    held_out: ImageSet | None = None,
    save_every: int = 500,
) -> Iterator[TrainStep]:
    """Run a Trainer to its last step, from the start or from the file `state`; yields each.

    The state is written every `save_every` steps and at the end; the loss on the images
    `held_out` goes to `trainer.held_out`. Raises ValueError for `save_every` below 1, for a state
    that is broken or of another run, and when the loss is no number any more.
    """
    if save_every < 1:
        raise ValueError(f"save_every must be at least 1, got {save_every}; 500 is usual.")
    trainer.held_out_images = held_out
    if state is not None and state.exists():
        trainer.load(state)
    steps = trainer.config.steps
    while not trainer.trained:
        step = trainer.step()
        if not math.isfinite(step.loss):
            raise ValueError(
                f"lr must be small enough to learn with, got {trainer.config.lr}: the loss of "
                f"step {step.step} is {step.loss}; take a smaller one."
            )
        done = step.step + 1
        due = done * MEASUREMENTS // steps > step.step * MEASUREMENTS // steps
        if held_out is not None and due:
            trainer.held_out.append(held_out_loss(trainer.denoiser(), held_out))
        if state is not None and (done % save_every == 0 or trainer.trained):
            trainer.save(state)
        yield step


def held_out_loss(
    denoiser: NetworkDenoiser, images: ImageSet, batches: int = 8, batch: int = 128
) -> float:
    """Mean squared error of the noise on `batches * batch` fixed (image, t, noise) triples.

    Raises ValueError for images that do not fit the network.
    """
    check_images(denoiser.config, images)
    images = images.to(next(denoiser.module.parameters()).device)
    total = 0.0
    with torch.no_grad():
        for number in range(batches):
            x, t, label, eps = noisy_batch(images, batch, 0, number, denoiser.schedule, HELD_OUT)
            label = label if denoiser.config.classes else None
            total += float(F.mse_loss(denoiser.module(x, t, label), eps))
    return total / batches


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    """Write a safetensors file with `write_whole`."""
    write_whole(path, tensors_bytes(tensors, about))


def tensors_bytes(tensors: dict[str, Tensor], about: dict[str, str]) -> bytes:
    """As a safetensors file."""
    return save({k: v.contiguous() for k, v in tensors.items()}, metadata=about)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device convolves in bfloat16 fast: any CUDA device we train on, and processors
    for which oneDNN has kernels. Elsewhere torch has only loops, ten times slower than float32."""
    if device.type != "cpu":
        return True
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
