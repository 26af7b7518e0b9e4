"""Networks of others: a saved diffusers `UNet2DModel` as a Denoiser. Needs its own extra."""

import json
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from elslib.networks.network_denoiser import check_input
from elslib.schedules import (
    Schedule,
    angle_from_log_alpha,
    cosine,
    denoised_from_noise,
    denoised_from_velocity,
    times_of,
)

Prediction = Literal["epsilon", "sample", "v_prediction"]
# Those that add noise as we do, `x = alpha x_0 + sigma eps` with alpha^2 + sigma^2 = 1.
SCHEDULERS = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler")
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

    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Posterior mean of x_0; t in [0, 1]; a conditional network needs labels [b].

        Gradients flow to an x that requires them, never to the weights alone. Raises ValueError
        for what `timestep` refuses, another number of channels, sides it cannot halve, a missing
        label, or one out of range.
        """
        check_input(self, self.module, x, t, label)
        times = times_of(t).expand(len(x))
        steps = self.timestep(times).to(x.device, torch.float32)
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            predicted = self.module(x, steps, class_labels=label).sample
        alpha, sigma = self.schedule.batch_levels(times, x)
        if self.prediction == "sample":
            return predicted
        convert = denoised_from_noise if self.prediction == "epsilon" else denoised_from_velocity
        return convert(x, predicted, alpha, sigma)


def load_diffusers(
    folder: Path, *, scheduler: Path | None = None, schedule: Schedule | None = None
) -> DiffusersDenoiser:
    """The Denoiser of a diffusers pipeline saved in `folder`, or of the UNet saved there.

    `scheduler` is a scheduler_config.json or the folder that holds it; by default scheduler/ in
    `folder`, beside unet/. Nothing is downloaded. Raises ImportError without diffusers,
    FileNotFoundError for a missing file, and ValueError for a broken one or a network of another
    kind: not a `UNet2DModel`, one that does not take a step number and at most a class, or that
    predicts neither noise, image, nor velocity.
    """
    try:
        import diffusers
    except ImportError as error:
        raise ImportError(
            f"networks of diffusers need that library ({error}); install the extra: "
            f"pip install 'elslib[diffusers]'."
        ) from error
    module = _load_unet(folder, diffusers.UNet2DModel)  # pyright: ignore[reportPrivateImportUsage]
    about = _scheduler_config(folder / "scheduler" if scheduler is None else scheduler)
    prediction = about.get("prediction_type", "epsilon")
    if prediction not in get_args(Prediction):
        raise ValueError(
            f"prediction_type must be one of {', '.join(get_args(Prediction))}, got "
            f"{prediction!r}; the posterior mean of other predictions is not known here."
        )
    try:
        betas = getattr(diffusers, about["_class_name"]).from_config(about).betas.double()
    except (NotImplementedError, TypeError) as error:
        raise ValueError(f"scheduler must be one that diffusers can make, got {error}.") from error
    # In float32, as diffusers has it, 1 - abar has few digits at the first steps.
    angles = angle_from_log_alpha(torch.log1p(-betas).cumsum(0) / 2)
    return DiffusersDenoiser(module, angles, prediction, schedule)


def _levels(angle: float) -> str:
    return f"({np.cos(angle):.5f}, {np.sin(angle):.5f})"


def _load_unet(folder: Path, kind: Any) -> nn.Module:
    place = folder / "unet" if (folder / "unet").is_dir() else folder
    about = _read(
        place / "config.json",
        f"folder must hold a UNet2DModel, as config.json and weights or as unet/ with both, got "
        f"{folder}; save_pretrained() writes one",
    )
    rules = {
        "_class_name": ("UNet2DModel", about.get("_class_name")),
        # Noise levels instead of steps, and a table of the integer ones, cannot be interpolated.
        "time_embedding_type": ("positional", about.get("time_embedding_type", "positional")),
        "class_embed_type": (None, about.get("class_embed_type")),
        "out_channels": (about.get("in_channels", 3), about.get("out_channels", 3)),
    }
    for name, (rule, value) in rules.items():
        if value != rule:
            raise ValueError(
                f"{name} of the network must be {rule!r}, got {value!r} in {place}; networks of "
                f"another kind need an adapter of their own."
            )
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


def _scheduler_config(path: Path) -> dict:
    file = path / "scheduler_config.json" if path.suffix != ".json" else path
    about = _read(
        file,
        f"scheduler must be a scheduler_config.json or the folder that holds it, got {path}; "
        f"it says which noise belongs to which step",
    )
    if about.get("_class_name") not in SCHEDULERS:
        raise ValueError(
            f"_class_name of the scheduler must be one of {', '.join(SCHEDULERS)}, got "
            f"{about.get('_class_name')!r} in {file}; others scale signal and noise otherwise."
        )
    return about


def _read(file: Path, missing: str) -> dict:
    if not file.is_file():
        raise FileNotFoundError(f"{missing}.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is corrupt or truncated ({error}); restore it.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a json object, got {content!r}; restore it.")
    return content
