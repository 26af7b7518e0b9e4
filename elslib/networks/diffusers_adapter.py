"""Networks of others: a diffusers `UNet2DModel` as a Denoiser. Needs its own extra."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from elslib.checks import checked
from elslib.denoisers.machines import Label
from elslib.io import read_json
from elslib.networks.network_denoiser import checked_labels
from elslib.networks.wrapped import WrappedNetwork, wrap
from elslib.schedules import (
    Schedule,
    angle_from_log_alpha,
    cosine,
    denoised_from_noise,
    denoised_from_velocity,
    edm,
    flow,
    times_of,
)
from elslib.windows import Border

Prediction = Literal["epsilon", "sample", "v_prediction"]
# Those whose networks see `x = alpha x_0 + sigma eps` with alpha^2 + sigma^2 = 1, at the steps of
# their betas: whatever coordinates they sample in, they bring x to these before they ask.
BY_STEPS = (
    "DDPMScheduler", "DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "LMSDiscreteScheduler",
    "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "DEISMultistepScheduler",
    "UniPCMultistepScheduler", "KDPM2DiscreteScheduler",
)  # fmt: skip
BY_SIGMA = ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler")
BY_FLOW = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
SCHEDULERS = (*BY_STEPS, *BY_SIGMA, *BY_FLOW)
# Angles this close to the first or last one are the same: a scheduler computes in float32.
SLACK = 1e-6


class DiffusersDenoiser:
    """A diffusers UNet, trained on integer steps, as a Denoiser of our continuous time.

    Times are matched by abar. Our t has `abar = alpha_t^2`; the network knows the abar_k of its
    steps k = 0, 1, ... Almost never is one of them the one of t, and x cannot be rescaled to
    another: its noise is what it is. The nearest step would tell the network a wrong noise level,
    by up to 1.7 % of sigma at t = i/20 for the usual 1000 steps. So it is given the fractional
    step whose abar is that of t: its embedding is sinusoidal, a smooth function of the step. In
    between, steps are linear in the angle, `alpha = cos(angle)`. In it the cosine schedule is
    linear, and unlike log(abar / (1 - abar)) it is finite where abar = 0; for the usual schedules
    the two differ by less than a tenth of a step, but for the last one.

    Nothing is clipped, whatever the scheduler's own sampler does.

    Parameters
    ----------
    module
        predicts what `prediction` says from (x, step, class)
    angles
        of the steps, float64 [steps] increasing within [0, pi/2]
    prediction
        "epsilon", `D = (x - sigma eps) / alpha`; "sample", D itself; or "v_prediction", `D
        = alpha x - sigma v`
    schedule
        what our t means, by default the cosine one
    """

    def __init__(
        self,
        module: nn.Module,
        angles: Float[Tensor, " steps"],
        prediction: Prediction,
        schedule: Schedule | None = None,
    ):
        self.module, self.prediction = module.eval(), prediction
        self.angles = angles.double().cpu().numpy()
        self.schedule = schedule or cosine()
        about: Any = module.config
        self.channels: int = about.in_channels
        self.classes: int | None = about.num_class_embeds
        self.side_multiple: int = 2 ** (len(about.block_out_channels) - 1)

    @property
    def edges(self) -> Border:
        """The border rule of its ELS machine; diffusers pads with zeros."""
        return "aware"

    def __repr__(self) -> str:
        about = f"{type(self.module).__name__}, {len(self.angles)} steps, {self.prediction!r}"
        return f"DiffusersDenoiser({about}, schedule={self.schedule})"

    def timestep(self, t: float | Tensor) -> Tensor:
        """The step, float64 and fractional, whose abar is that of t; same shape as t.

        Raises ValueError for t outside [0, 1] and for noise that the network has not seen, below
        its first step or above its last.
        """
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        angle = torch.atan2(sigma, alpha).cpu().numpy()
        first, last = self.angles[0], self.angles[-1]
        outside = (angle < first - SLACK) | (angle > last + SLACK)
        if outside.any():
            worst = np.atleast_1d(angle)[np.atleast_1d(outside)][0]
            raise ValueError(
                f"t must have noise that this network was trained on, (alpha, sigma) from "
                f"{_levels(first)} to {_levels(last)}, got {_levels(worst)} at t = {t}; give "
                f"load_diffusers a schedule that stays within."
            )
        found = np.interp(angle, self.angles, np.arange(len(self.angles)))
        return torch.as_tensor(found, dtype=torch.float64, device="cpu")

    @checked
    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Label = None,
    ) -> Float[Tensor, "b c h w"]:
        """Posterior mean of x_0; t in [0, 1]; a conditional network needs labels, as machines do.

        Gradients flow to an x that requires them, never to the weights alone. Raises ValueError
        for what `timestep` refuses, another number of channels, sides it cannot halve, a missing
        label, or one out of range.
        """
        labels = checked_labels(self, self.module, x, t, label)
        times = times_of(t).expand(len(x))
        steps = self.timestep(times).to(x.device, torch.float32)
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            predicted = _answer(self.module, x, steps, labels)
        alpha, sigma = self.schedule.batch_levels(times, x)
        if self.prediction == "sample":
            return predicted
        convert = denoised_from_noise if self.prediction == "epsilon" else denoised_from_velocity
        return convert(x, predicted, alpha, sigma)


def load_diffusers(
    source: Any, *, scheduler: Any = None, schedule: Schedule | None = None
) -> DiffusersDenoiser | WrappedNetwork:
    """The Denoiser of a diffusers pipeline, or of a UNet: saved in a folder, or in memory.

    `scheduler` is a scheduler_config.json, the folder that holds it, or a scheduler; by default
    scheduler/ in the folder, beside unet/, or that of the pipeline. Its betas or noise levels are
    read, not how it samples: those of DDPM, DDIM, Euler, DPM-Solver and their like give steps (`t`
    is that of the cosine schedule, if no other is given), those of EDM `schedules.edm`, those of
    flow matching `schedules.flow`. A learned variance is left out. Nothing is downloaded. Raises
    ImportError without diffusers, FileNotFoundError for a missing file, and ValueError for a broken
    one or a network of another kind: not a `UNet2DModel`, one that does not take a step number and
    at most a class, or that predicts neither noise, image, nor velocity.
    """
    try:
        import diffusers
    except ImportError as error:
        raise ImportError(
            f"networks of diffusers need that library ({error}); install the extra: "
            f"pip install 'elslib[diffusers]'."
        ) from error
    if isinstance(source, str | Path):
        folder, kind = Path(source), diffusers.UNet2DModel  # pyright: ignore
        config, place = _unet_config(folder)
        about = _scheduler_config(folder / "scheduler" if scheduler is None else scheduler)
        _check_unet(config, place, about)
        module = _load_unet(place, kind)
    else:
        module: Any = getattr(source, "unet", source)
        given = getattr(source, "scheduler", None) if scheduler is None else scheduler
        about = _scheduler_config(given)
        config = {**getattr(module, "config", {}), "_class_name": type(module).__name__}
        _check_unet(config, "memory", about)
    if about["_class_name"] in BY_FLOW:
        n = about.get("num_train_timesteps", 1000)
        classes = module.config.num_class_embeds
        call = partial(_flow, steps=n)
        return wrap(module, "flow", schedule or flow(), classes=classes, call=call)
    prediction = about.get("prediction_type", "epsilon")
    if prediction not in get_args(Prediction):
        raise ValueError(
            f"prediction_type must be one of {', '.join(get_args(Prediction))}, got "
            f"{prediction!r}; the posterior mean of other predictions is not known here."
        )
    if about["_class_name"] in BY_SIGMA:
        return _edm(module, about, prediction, schedule)
    try:
        betas = getattr(diffusers, about["_class_name"]).from_config(about).betas.double()
    except (NotImplementedError, TypeError) as error:
        raise ValueError(f"scheduler must be one that diffusers can make, got {error}.") from error
    # In float32, as diffusers has it, 1 - abar has few digits at the first steps.
    angles = angle_from_log_alpha(torch.log1p(-betas).cumsum(0) / 2)
    return DiffusersDenoiser(module, angles, prediction, schedule)


def _answer(module: Any, x: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
    """What the UNet predicts; without the variance, which stands behind it if it is learned."""
    return module(x, time, class_labels=label).sample[:, : x.shape[1]]


def _flow(module: Any, x: Tensor, s: Tensor, label: Tensor | None, steps: int) -> Tensor:
    return _answer(module, x, s * steps, label)


def _edm(
    module: Any, about: Mapping, prediction: Prediction, schedule: Schedule | None
) -> WrappedNetwork:
    """The network F of `D = c_skip x + c_out F(c_in x, log(sigma) / 4)` (Karras et al.)."""
    if prediction == "sample":
        raise ValueError("prediction_type of EDM must be epsilon or v_prediction, got 'sample'.")
    data, sign = about.get("sigma_data", 0.5), 1 if prediction == "epsilon" else -1

    def call(module: Any, x: Tensor, sigma: Tensor, label: Tensor | None) -> Tensor:
        level = sigma.reshape(-1, 1, 1, 1)
        whole = (level**2 + data**2).sqrt()
        found = _answer(module, x / whole, sigma.log() / 4, label)
        return (data / whole) ** 2 * x + sign * level * data / whole * found

    path = schedule or edm(about.get("sigma_max", 80.0))
    return wrap(module, "edm", path, classes=module.config.num_class_embeds, call=call)


def _levels(angle: float) -> str:
    return f"({np.cos(angle):.5f}, {np.sin(angle):.5f})"


def _unet_config(folder: Path) -> tuple[dict, Path]:
    """What a UNet says of itself, and where it lies."""
    place = folder / "unet" if (folder / "unet").is_dir() else folder
    about = _read(
        place / "config.json",
        f"folder must hold a UNet2DModel, as config.json and weights or as unet/ with both, got "
        f"{folder}; save_pretrained() writes one",
    )
    return about, place


def _load_unet(place: Path, kind: Any) -> nn.Module:
    try:
        # Building draws the weights that are then replaced.
        with torch.random.fork_rng(devices=[]):
            module, info = kind.from_pretrained(
                place,
                local_files_only=True,
                use_safetensors=True,
                low_cpu_mem_usage=False,
                output_loading_info=True,
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"the weights in {place} must be one whole safetensors file that fits its config.json "
            f"({error}); save the network anew, pickled weights are never loaded."
        ) from error
    # diffusers would leave weights that the file lacks at random.
    wrong = {what: keys for what, keys in info.items() if keys}
    if wrong:
        raise ValueError(f"the weights in {place} must fit its config.json, got {wrong}.")
    return module


def _check_unet(about: Mapping, place: object, scheduler: Mapping) -> None:
    """Raise ValueError unless a configuration is of a network that answers as we ask."""
    learned = str(scheduler.get("variance_type", "")).startswith("learned")
    rules = {
        "_class_name": ("UNet2DModel", about.get("_class_name")),
        # Noise levels instead of steps, and a table of the integer ones, cannot be interpolated.
        "time_embedding_type": ("positional", about.get("time_embedding_type", "positional")),
        "class_embed_type": (None, about.get("class_embed_type")),
        "out_channels": (
            about.get("in_channels", 3) * (2 if learned else 1),
            about.get("out_channels", 3),
        ),
    }
    for name, (rule, value) in rules.items():
        if value != rule:
            raise ValueError(
                f"{name} of the network must be {rule!r}, got {value!r} in {place}; networks of "
                f"another kind need an adapter of their own."
            )


def _scheduler_config(scheduler: Any) -> dict:
    """What a scheduler, or the file or folder that it is saved in, says of itself."""
    if scheduler is None:
        raise ValueError(
            "scheduler must be given beside a UNet in memory: a scheduler of diffusers, or where "
            "its scheduler_config.json is; it says which noise belongs to which step."
        )
    if isinstance(scheduler, str | Path):
        path = Path(scheduler)
        file = path / "scheduler_config.json" if path.suffix != ".json" else path
        about = _read(
            file,
            f"scheduler must be a scheduler_config.json or the folder that holds it, got {path}; "
            f"it says which noise belongs to which step",
        )
    else:
        config = dict(getattr(scheduler, "config", {}))
        file, about = "memory", {**config, "_class_name": type(scheduler).__name__}
    if about.get("_class_name") not in SCHEDULERS:
        raise ValueError(
            f"_class_name of the scheduler must be one of {', '.join(SCHEDULERS)}, got "
            f"{about.get('_class_name')!r} in {file}; others scale signal and noise otherwise."
        )
    for name in ("use_flow_sigmas", "invert_sigmas"):
        if about.get(name):
            raise ValueError(
                f"{name} of the scheduler must be false, got {about[name]!r} in {file}."
            )
    return about


def _read(file: Path, missing: str) -> dict:
    if not file.is_file():
        raise FileNotFoundError(f"{missing}.")
    return read_json(file, "restore it")
