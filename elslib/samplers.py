"""Reverse-time samplers: free functions that yield one `Step` per evaluation of a Denoiser."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index

import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.checks import checked
from elslib.denoisers.machines import Denoiser
from elslib.schedules import Schedule, noise_from_denoised


@dataclass(frozen=True)
class Step:
    """One evaluation: at time t the noisy image x was seen and x0 was estimated."""

    i: int
    t: float
    x: Float[Tensor, "b c h w"]
    x0: Float[Tensor, "b c h w"]


@checked
def initial_noise(seeds: Sequence[int], shape: Sequence[int]) -> Float[Tensor, "b c h w"]:
    """Standard normal images `[len(seeds), *shape]`, one generator each.

    Seed 17 gives the same image whatever the batch. Float32 on the CPU; move it with `.to()`.
    Raises ValueError for no seed, and for one outside 0..2^31 - 1, where training draws.
    """
    numbers = [index(seed) for seed in seeds]  # NumPy's integers, too
    if not numbers or not all(0 <= seed < 2**31 for seed in numbers):
        raise ValueError(f"seeds must hold at least one in 0..2^31 - 1, got {numbers}.")
    if len(shape) == 0 or min(shape) < 1:
        raise ValueError(f"shape must be that of an image, [c, h, w], got {list(shape)}.")
    generators = (torch.Generator("cpu").manual_seed(seed) for seed in numbers)
    return torch.stack([
        torch.randn(*shape, generator=generator, dtype=torch.float32, device="cpu")
        for generator in generators
    ])  # fmt: skip


@checked
def uniform_times(n_steps: int) -> list[float]:
    """The grid 1, (N-1)/N, ..., 1/N, 0. ValueError unless n_steps >= 1."""
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}; the paper uses 20.")
    return [i / n_steps for i in range(n_steps, -1, -1)]


@checked
def geometric_times(n_steps: int, schedule: Schedule, last: float) -> list[float]:
    """From 1 to 0 in `n_steps`: sigma / alpha falls by one factor a step, to `last`, then to 0.

    Equal steps in t end at a noise level that shrinks as 1 / n_steps only; these reach `last` in
    few. Raises ValueError unless n_steps >= 2 and 0 < last < the noise ratio at t = 1.
    """
    first = schedule.noise_ratio(1.0)
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps}; 100 is plenty.")
    if not 0 < last < first:
        raise ValueError(f"last must lie in (0, {first:.3g}), got {last}; 1e-4 is low noise.")
    ratios = [first * (last / first) ** (i / (n_steps - 1)) for i in range(1, n_steps)]
    return [1.0, *(schedule.time_at(ratio) for ratio in ratios), 0.0]


def schedule_of(denoise: Denoiser) -> Schedule:
    """The schedule of a Denoiser, which samplers read. ValueError if it has none."""
    own = getattr(denoise, "schedule", None)
    if not isinstance(own, Schedule):
        raise ValueError(
            f"denoise must have a .schedule, the Schedule that its times belong to, got {own!r} of "
            f"a {type(denoise).__name__}; set it, for example denoise.schedule = cosine()."
        )
    return own


def common_schedule(*denoisers: Denoiser) -> Schedule:
    """The one schedule of Denoisers that are compared. ValueError if they differ, or have none."""
    first, *others = map(schedule_of, denoisers)
    for other in others:
        if other != first:
            raise ValueError(
                f"denoisers must share one schedule to be compared, got {first.name!r} and "
                f"{other.name!r}; give the machine schedule=network.schedule."
            )
    return first


@checked
def ddim(
    denoise: Denoiser,
    x: Float[Tensor, "b c h w"],
    times: Sequence[float],
    label: Int[Tensor, " b"] | None = None,
) -> Iterator[Step]:
    """Deterministic sampling, `x_t' = alpha_t' D + sigma_t' eps` (the flow of eq. 1, discretised).

    `times` decreases from the time of x to the end; the Denoiser is evaluated at each but the
    last, so with a last time of 0 the final `x0` is the sample. Noise levels are those of
    `denoise.schedule`. Nothing is clipped. Raises ValueError unless times decrease within [0, 1],
    and for a Denoiser without a schedule.
    """
    schedule = schedule_of(denoise)
    if len(times) < 2 or any(b >= a for a, b in zip(times, times[1:], strict=False)):
        raise ValueError(f"times must decrease and hold at least two, got {list(times)}.")
    for i, (t, t_next) in enumerate(zip(times, times[1:], strict=False)):
        x0 = denoise(x, t, label)
        yield Step(i, t, x, x0)
        alpha, sigma = schedule.levels(t)
        eps = noise_from_denoised(x, x0, alpha, sigma)
        alpha_next, sigma_next = schedule.levels(t_next)
        x = alpha_next * x0 + sigma_next * eps


@checked
@torch.no_grad()
def sample(
    denoise: Denoiser,
    x: Float[Tensor, "b c h w"],
    label: Int[Tensor, " b"] | None = None,
    n_steps: int = 20,
    *,
    times: Sequence[float] | None = None,
) -> Float[Tensor, "b c h w"]:
    """The end of `ddim` from the noise x, on the uniform grid or along `times`; unclamped.

    Raises ValueError for what `ddim` refuses, and unless `times` ends at 0, where the sample is.
    """
    times = uniform_times(n_steps) if times is None else times
    if len(times) and times[-1] != 0:
        raise ValueError(f"times must end at 0, got {times[-1]:g}; to stop before, loop over ddim.")
    for step in ddim(denoise, x, times, label):
        x = step.x0
    return x
