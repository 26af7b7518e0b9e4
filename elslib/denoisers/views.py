"""Any Denoiser as programs of others ask for it: as D(x; sigma), or as a velocity."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.checks import checked
from elslib.denoisers.machines import Denoiser, Label, check_times, labels_of


@dataclass(frozen=True)
class SigmaView:
    """A Denoiser as D(x; sigma) of Karras et al. (2022): x is `x_0 + sigma eps`."""

    denoise: Denoiser

    @checked
    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        sigma: float | Float[Tensor, " b"],
        label: Label = None,
    ) -> Float[Tensor, "b c h w"]:
        """Posterior mean of x_0. ValueError for a sigma beyond the Denoiser's schedule."""
        check_times(x, sigma, "sigma")
        noise = torch.as_tensor(sigma, dtype=torch.float64, device="cpu").expand(len(x))
        alpha = torch.rsqrt(1 + noise**2).to(x).reshape(-1, 1, 1, 1)
        return self.denoise(alpha * x, _times(self.denoise, noise), labels_of(label, x))


@dataclass(frozen=True)
class VelocityView:
    """A Denoiser as the velocity `eps - x_0` of flow matching: x is `(1 - t) x_0 + t eps`."""

    denoise: Denoiser

    @checked
    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Label = None,
    ) -> Float[Tensor, "b c h w"]:
        """Mean velocity at t in (0, 1]. ValueError for a t beyond the Denoiser's schedule: at t =
        1 only one with alpha_1 = 0, as `flow` has, answers."""
        check_times(x, t)
        noise = torch.as_tensor(t, dtype=torch.float64, device="cpu").expand(len(x))
        if not bool(((noise > 0) & (noise <= 1)).all()):
            raise ValueError(f"t must lie in (0, 1], got {t}; at 0 there is no noise to estimate.")
        scale = torch.rsqrt(noise**2 + (1 - noise) ** 2).to(x).reshape(-1, 1, 1, 1)
        x0 = self.denoise(scale * x, _times(self.denoise, noise / (1 - noise)), labels_of(label, x))
        return (x - x0) / noise.to(x).reshape(-1, 1, 1, 1)  # eps = (x - (1 - t) x_0) / t


def _times(denoise: Denoiser, ratios: Tensor) -> Tensor:
    """The times of the Denoiser's schedule with these noise ratios, [b]."""
    last = denoise.schedule.noise_ratio(1.0)
    found = {
        r: 1.0 if r == torch.inf and last > 1e15 else denoise.schedule.time_at(r)
        for r in set(ratios.tolist())
    }
    return ratios.new_tensor([found[r] for r in ratios.tolist()])
