"""Reverse-time samplers: free functions that yield one `Step` per evaluation of a Denoiser."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from elslib.checks import Brief, checked
from elslib.denoisers.machines import Denoiser, Label, labels_of
from elslib.schedules import Schedule, noise_from_denoised


@dataclass(frozen=True)
class Step(Brief):
    """One of the times of a sampler: at time t the noisy image x was seen and x0 was estimated."""

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
def geometric_times(
    n_steps: int, schedule: Schedule, last: float, sigma_max: float = math.inf
) -> list[float]:
    """From 1 to 0 in `n_steps`: sigma / alpha falls by one factor a step, to `last`, then to 0.

    Equal steps in t end at a noise level that shrinks as 1 / n_steps only; these reach `last` in
    few. It falls from the noise ratio at t = 1, or from `sigma_max` if that is less, as it must be
    where alpha_1 = 0. Raises ValueError unless n_steps >= 2 and 0 < last < that ratio, and where
    none is given to fall from.
    """
    first = _largest_ratio(schedule, sigma_max)
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps}; 100 is plenty.")
    if not 0 < last < first:
        raise ValueError(f"last must lie in (0, {first:.3g}), got {last}; 1e-4 is low noise.")
    ratios = [first * (last / first) ** (i / (n_steps - 1)) for i in range(1, n_steps)]
    return [1.0, *(schedule.time_at(ratio) for ratio in ratios), 0.0]


@checked
def karras_times(
    n_steps: int,
    schedule: Schedule,
    sigma_min: float = 0.002,
    rho: float = 7.0,
    sigma_max: float = math.inf,
) -> list[float]:
    """From 1 to 0 in `n_steps`, as Karras et al. (2022, eq. 5): the rho-th root of sigma / alpha
    falls by equal steps to that of `sigma_min`; then it is 0.

    It falls from where `geometric_times` begins; 80 is a usual `sigma_max`. Raises ValueError
    unless n_steps >= 2 and 0 < sigma_min < that ratio, and where none is given to fall from.
    """
    first = _largest_ratio(schedule, sigma_max)
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps}; 18 is usual.")
    if not 0 < sigma_min < first:
        raise ValueError(f"sigma_min must lie in (0, {first:.3g}), got {sigma_min}; .002 is usual.")
    ends = first ** (1 / rho), sigma_min ** (1 / rho)
    roots = [ends[0] + (ends[1] - ends[0]) * i / (n_steps - 1) for i in range(1, n_steps)]
    return [1.0, *(schedule.time_at(root**rho) for root in roots), 0.0]


def _largest_ratio(schedule: Schedule, sigma_max: float) -> float:
    """The noise ratio that levels fall from. ValueError where it would be infinite."""
    first = min(schedule.noise_ratio(1.0), sigma_max)
    if not 0 < first < 1e7:
        raise ValueError(
            f"sigma_max must be positive and finite for {schedule}, whose alpha is 0 at t = 1, got "
            f"{sigma_max}; 80 is usual."
        )
    return first


def schedule_of(denoise: Denoiser) -> Schedule:
    """The schedule of a Denoiser, which samplers read. ValueError if it has none."""
    own = getattr(denoise, "schedule", None)
    if not isinstance(own, Schedule):
        remedy = "set it, for example denoise.schedule = cosine()"
        if isinstance(denoise, nn.Module):  # which need not answer with x_0
            remedy = (
                "elslib.wrap(module, 'eps' | 'x0' | 'v' | 'flow' | 'edm') makes a Denoiser of it"
            )
        raise ValueError(
            f"denoise must have a .schedule, the Schedule that its times belong to, got {own!r} of "
            f"a {type(denoise).__name__}; {remedy}."
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


@runtime_checkable
class Sampler(Protocol):
    """`ddim`, `heun`, `ddpm`, or a function of your own that walks back like them."""

    def __call__(
        self, denoise: Denoiser, x: Tensor, times: Sequence[float], label: Tensor | None = None
    ) -> Iterator[Step]:
        """From x at `times[0]`, one Step at each of the times but the last."""
        ...


@checked
def ddim(
    denoise: Denoiser,
    x: Float[Tensor, "b c h w"],
    times: Sequence[float],
    label: Label = None,
) -> Iterator[Step]:
    """Deterministic sampling, `x_t' = alpha_t' D + sigma_t' eps` (the flow of eq. 1, discretised).

    `label` is one class for all images, or one each. `times` decreases from the time of x to the
    end; the Denoiser is evaluated at each but the last, so with a last time of 0 the final `x0` is
    the sample. Noise levels are those of `denoise.schedule`. Nothing is clipped. Of order 1 in the
    steps. Raises ValueError unless times decrease within [0, 1], and for a Denoiser without a
    schedule.
    """
    labels = labels_of(label, x)
    for i, here, after in _levels(denoise, times):
        x0 = denoise(x, times[i], labels)
        yield Step(i, times[i], x, x0)
        eps = noise_from_denoised(x, x0, *here)
        x = after[0] * x0 + after[1] * eps


@checked
def heun(
    denoise: Denoiser,
    x: Float[Tensor, "b c h w"],
    times: Sequence[float],
    label: Label = None,
) -> Iterator[Step]:
    """Heun's method, of order 2: two evaluations a step, but one in the step that ends at 0.

    In the coordinates of the schedule the path is `dz / ds = u`: for "ve", `z = x / alpha` by `s =
    sigma / alpha` with `u = eps`, as Karras et al. (2022, algorithm 1); else, as in flow matching,
    `z = x / (alpha + sigma)` by `s = sigma / (alpha + sigma)` with `u = eps - D`. The step of
    `ddim` is taken, and then again with the mean of u at both ends. Arguments and errors as of
    `ddim`; a Step is what the first of two evaluations saw.
    """
    own = 0.0 if schedule_of(denoise).coordinates == "ve" else 1.0
    labels = labels_of(label, x)
    for i, here, after in _levels(denoise, times):
        x0 = denoise(x, times[i], labels)
        yield Step(i, times[i], x, x0)
        eps = noise_from_denoised(x, x0, *here)
        end = after[0] * x0 + after[1] * eps
        if after[1] > 0:
            x0_end = denoise(end, times[i + 1], labels)
            eps_end = noise_from_denoised(end, x0_end, *after)
            u = (eps - own * x0 + eps_end - own * x0_end) / 2
            x0 = (x - here[1] * u) / (here[0] + own * here[1])
            end = after[0] * x0 + after[1] * (u + own * x0)
        x = end


@checked
def ddpm(
    denoise: Denoiser,
    x: Float[Tensor, "b c h w"],
    times: Sequence[float],
    label: Label = None,
) -> Iterator[Step]:
    """Ancestral sampling (Ho et al. 2020), `x_t' = alpha_t' D + sigma_t' (rho eps + (1 - rho^2)^.5
    z)` with `rho = (sigma_t' / alpha_t') / (sigma_t / alpha_t)` and new noise z at each step.

    z comes from one generator an image, seeded by the bytes of its x: so two Denoisers get the same
    noise from the same x, in any batch. Of order 1, in distribution. Arguments and errors as of
    `ddim`.
    """
    noise = [torch.Generator("cpu").manual_seed(_seed_of(image)) for image in x]
    labels = labels_of(label, x)
    for i, here, after in _levels(denoise, times):
        x0 = denoise(x, times[i], labels)
        yield Step(i, times[i], x, x0)
        eps = noise_from_denoised(x, x0, *here)
        drawn = [
            torch.randn(x.shape[1:], generator=one, dtype=torch.float32, device="cpu")
            for one in noise
        ]
        z = torch.stack(drawn).to(x)
        rho = here[0] * after[1] / (after[0] * here[1])
        x = after[0] * x0 + after[1] * (rho * eps + math.sqrt(1 - rho**2) * z)


SAMPLERS: dict[str, Sampler] = {"ddim": ddim, "heun": heun, "ddpm": ddpm}


def sampler_of(sampler: Sampler | str) -> Sampler:
    """A sampler by its name, or as it is. ValueError for another name, and for no function."""
    found = SAMPLERS.get(sampler, sampler) if isinstance(sampler, str) else sampler
    if not callable(found):
        raise ValueError(
            f"sampler must be one of {', '.join(SAMPLERS)}, or a function like them, got {found!r}."
        )
    return found


def times_along(
    times: Sequence[float] | None, n_steps: int | None = None, usual: int = 20
) -> Sequence[float]:
    """The times that are given, or uniform ones in `n_steps`, `usual` ones if neither is.

    ValueError if both are.
    """
    if times is None:
        return uniform_times(usual if n_steps is None else n_steps)
    if n_steps is not None:
        raise ValueError(f"n_steps must be left out beside times, got {n_steps}; give one of both.")
    return times


def _levels(
    denoise: Denoiser, times: Sequence[float]
) -> Iterator[tuple[int, tuple[float, float], tuple[float, float]]]:
    """The number of each step, and (alpha, sigma) where it begins and where it ends."""
    schedule = schedule_of(denoise)
    if len(times) < 2 or any(b >= a for a, b in zip(times, times[1:], strict=False)):
        raise ValueError(f"times must decrease and hold at least two, got {list(times)}.")
    levels = [schedule.levels(t) for t in times]
    yield from zip(range(len(times) - 1), levels, levels[1:], strict=False)


def _seed_of(image: Tensor) -> int:
    """One in 2^63 that the pixels decide."""
    digest = hashlib.sha256(image.detach().cpu().contiguous().numpy().data).digest()
    return int.from_bytes(digest[:8]) >> 1


@checked
@torch.no_grad()
def sample(
    denoise: Denoiser,
    x: Float[Tensor, "b c h w"],
    label: Label = None,
    n_steps: int | None = None,
    *,
    times: Sequence[float] | None = None,
    sampler: Sampler | str = ddim,
) -> Float[Tensor, "b c h w"]:
    """The end of a sampler, also by its name, from the noise x; unclamped.

    It takes `n_steps` equal steps, by default 20, or goes along `times`. Raises ValueError for what
    `ddim` refuses, and unless `times` ends at 0, where the sample is.
    """
    times, labels = times_along(times, n_steps), labels_of(label, x)
    if len(times) and times[-1] != 0:
        raise ValueError(f"times must end at 0, got {times[-1]:g}; to stop before, loop over ddim.")
    for step in sampler_of(sampler)(denoise, x, times, labels):
        x = step.x0
    return x
