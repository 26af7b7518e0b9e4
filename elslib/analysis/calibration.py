"""Which window a network uses at which noise: the locality scale, read off its own predictions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.analysis.theories import classes_of, theory_of
from elslib.checks import Brief, check_fields, checked
from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import Denoiser
from elslib.samplers import (
    Sampler,
    common_schedule,
    ddim,
    initial_noise,
    sampler_of,
    times_along,
)
from elslib.scales import ScaleTable, constant_scale
from elslib.schedules import noise_from_denoised

# Calibration noise is seeded from here on, so that no test seed (0, 1, ...) is ever calibrated on.
FIRST_SEED = 10_000
WINDOWS = tuple(range(3, 18, 2))
# Cosines that differ by less choose no window; x so much larger than an image with noise explodes.
FLAT, EXPLODED = 1e-4, 2.0


@dataclass(frozen=True)
class Trajectory(Brief):
    """One calibration run: cosine[i][j] compares network and machine at times[i], windows[j].

    `growth` is the largest root mean square of x on the way, by that of the brightest image with
    noise; None of runs that were kept before it was measured.
    """

    label: int | None
    times: tuple[float, ...]
    windows: tuple[int, ...]
    cosine: Float[Tensor, "times windows"]
    growth: float | None = None

    def __post_init__(self):
        check_fields(self)

    def best(self) -> list[int]:
        """The best window at each time; of equals the smaller."""
        return [self.windows[int(row.argmax())] for row in self.cosine]

    def json(self) -> dict:
        """The run as a dictionary that `json.dump` takes and `from_json` reads back; cosines to
        twelve decimals, since near t = 1 those of all windows are nearly 1."""
        cosine = [[round(value, 12) for value in row] for row in self.cosine.tolist()]
        return {**vars(self), "cosine": cosine}

    @classmethod
    def from_json(cls, content: dict) -> "Trajectory":
        """A run that `json` wrote."""
        return cls(
            label=content["label"],
            times=tuple(content["times"]),
            windows=tuple(content["windows"]),
            cosine=torch.tensor(content["cosine"], dtype=torch.float64, device="cpu"),
            growth=content.get("growth"),
        )

    def joined(self, other: "Trajectory") -> "Trajectory":
        """The same run with the windows of both. ValueError for runs of another class or of other
        times, and for a window that both have."""
        if (self.label, self.times) != (other.label, other.times):
            raise ValueError(
                f"runs must be of one class and the same times to be joined, got class "
                f"{self.label} at {_listed(self.times)}, and {other.label} at "
                f"{_listed(other.times)}."
            )
        if both := sorted({*self.windows} & {*other.windows}):
            raise ValueError(f"runs must have no window in common to be joined, got {both}.")
        cosine = torch.cat([self.cosine, other.cosine], 1)
        windows = (*self.windows, *other.windows)
        order = sorted(range(len(windows)), key=windows.__getitem__)
        windows = tuple(windows[i] for i in order)
        return replace(self, windows=windows, cosine=cosine[:, order], growth=other.growth)

    def of(self, windows: Sequence[int]) -> "Trajectory":
        """The same run with some of its windows. ValueError for one that it lacks."""
        if lacking := [window for window in windows if window not in self.windows]:
            raise ValueError(f"windows must be of {self.windows}, got {lacking}.")
        kept = [self.windows.index(window) for window in windows]
        return replace(self, windows=tuple(windows), cosine=self.cosine[:, kept])


@checked
def calibrate(
    network: Denoiser,
    images: ImageSet,
    machine: str = "els",
    windows: Sequence[int] = WINDOWS,
    seeds: Sequence[int] = range(FIRST_SEED, FIRST_SEED + 16),
    labels: Sequence[int] | None = None,
    *,
    n_steps: int | None = None,
    times: Sequence[float] | None = None,
    sampler: Sampler | str = ddim,
) -> Iterator[Trajectory]:
    """Yield how a network compares with a local machine along its own reverse trajectories (C.2).

    From the noise of each seed, at each time, the network's predicted noise is compared with each
    window's by uncentred cosine over all channels and pixels. Yields one Trajectory a seed;
    `scale_table` sums them up, `quality` judges them.

    Raises ValueError for windows that do not increase, labels that are not one a seed, a network
    without schedule or edges, and an estimate that is not finite.

    Parameters
    ----------
    network
        any Denoiser; with "els" it must have `.edges`
    images
        exactly those that it was trained on; their device is where all is computed
    machine
        "els" or "ls"
    windows
        odd sides that are tried; they increase
    labels
        one class per seed; by default, for a network with `.classes`, the seed modulo their number
    n_steps
        equal ones, by default twenty
    times
        instead, from 1 to the last, as `sampler` takes them
    sampler
        how the network walks back: a function, or its name, "ddim", "heun" or "ddpm"
    """
    if not windows or any(b <= a for a, b in zip(windows, windows[1:], strict=False)):
        raise ValueError(f"windows must increase and hold at least one, got {list(windows)}.")
    if labels is not None and len(labels) != len(seeds):
        raise ValueError(f"labels must be one per seed, got {len(labels)} for {len(seeds)}.")
    if labels is None and (classes := classes_of(network)):
        labels = [seed % classes for seed in seeds]
    schedule = common_schedule(network)
    machines = [theory_of(network, images, constant_scale(side), machine) for side in windows]
    times, walk = list(times_along(times, n_steps)), sampler_of(sampler)
    brightest = _brightest(images)
    for number, seed in enumerate(seeds):
        x = initial_noise([seed], images.pixels.shape[1:]).to(images.pixels)
        label = None if labels is None else x.new_tensor([labels[number]], dtype=torch.int64)
        rows, growth = [], 0.0
        with torch.no_grad():
            for step in walk(network, x, times, label):
                alpha, sigma = levels = schedule.levels(step.t)
                target = noise_from_denoised(step.x, step.x0, *levels)
                estimates = (denoise(step.x, step.t, label) for denoise in machines)
                rows.append(
                    [_cosine(noise_from_denoised(step.x, x0, *levels), target) for x0 in estimates]
                )
                usual = (alpha**2 * brightest**2 + sigma**2) ** 0.5
                growth = max(growth, float(step.x.square().mean().sqrt()) / usual)
        cosine = torch.tensor(rows[::-1], dtype=torch.float64, device="cpu")
        if not bool(cosine.isfinite().all()):
            raise ValueError("network and machine must estimate finite noise, got NaN or infinity.")
        yield Trajectory(
            label=None if labels is None else labels[number],
            times=tuple(times[:-1][::-1]),
            windows=tuple(windows),
            cosine=cosine,
            growth=round(growth, 6),
        )


def _brightest(images: ImageSet) -> float:
    """The largest root mean square that an image can have, or has if no bounds are known."""
    if images.bounds is not None:
        return max(map(abs, images.bounds))
    return float(images.pixels.square().mean((1, 2, 3)).max().sqrt())


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a.double().flatten(), b.double().flatten(), dim=0))


@checked
def scale_table(trajectories: Iterable[Trajectory], source: str = "calibrated") -> ScaleTable:
    """Lower median (so that it stays odd) and quartiles of the best windows at each time.

    ValueError for no runs, and unless all tried the same windows at the same times.
    """
    trajectories = _alike(trajectories)
    found = [trajectory.best() for trajectory in trajectories]
    best = torch.tensor(found, dtype=torch.float64, device="cpu")
    quartiles = torch.quantile(best, best.new_tensor([0.25, 0.75]), dim=0)
    return ScaleTable(
        times=trajectories[0].times,
        windows=tuple(int(w) for w in best.median(dim=0).values),  # torch's median is the lower
        source=source,
        lower=tuple(quartiles[0].tolist()),
        upper=tuple(quartiles[1].tolist()),
    )


def _alike(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """The runs, once they are what can be summed up."""
    runs = list(trajectories)
    if not runs:
        raise ValueError("trajectories must hold at least one, got none.")
    for run in runs:
        if (run.times, run.windows) != (runs[0].times, runs[0].windows):
            raise ValueError(
                f"trajectories must have tried the same windows at the same times, got "
                f"{runs[0].windows} at {_listed(runs[0].times)}, and {run.windows} at "
                f"{_listed(run.times)}."
            )
    return runs


@dataclass(frozen=True)
class Quality:
    """How far calibration runs can be trusted, at each of their times, low noise first.

    Attributes
    ----------
    cosine
        median over the runs of the best window's cosine
    spread
        median over the runs of the best less the worst cosine: what choosing a window gains
    warnings
        what is wrong, in words; empty if nothing is
    """

    times: tuple[float, ...]
    cosine: tuple[float, ...]
    spread: tuple[float, ...]
    warnings: tuple[str, ...]

    def __post_init__(self):
        check_fields(self)


@checked
def quality(trajectories: Iterable[Trajectory]) -> Quality:
    """Judge calibration runs: are windows at an end of those tried, are cosines all alike to 1e-4,
    did a trajectory explode? The errors of `scale_table`."""
    trajectories = _alike(trajectories)
    table = scale_table(trajectories)
    cosines = torch.stack([run.cosine for run in trajectories])  # (runs, times, windows)
    best = cosines.amax(2).quantile(0.5, dim=0)
    spread = (cosines.amax(2) - cosines.amin(2)).quantile(0.5, dim=0)
    tried = trajectories[0].windows
    flat = [t for t, gain in zip(table.times, spread.tolist(), strict=True) if gain < FLAT]
    told = {t: w for t, w in zip(table.times, table.windows, strict=True) if t not in flat}
    found = []
    if len(tried) > 1:
        if at := [t for t, window in told.items() if window == tried[-1]]:
            found.append(
                f"the window is {tried[-1]}, the largest tried, at {_listed(at)}; try larger ones"
            )
        if at := [t for t, window in told.items() if window == tried[0]]:
            found.append(f"the window is {tried[0]}, the smallest tried, at {_listed(at)}")
        if flat:
            found.append(
                f"all windows have the same cosine to {FLAT:g} at {_listed(flat)}; there the data "
                f"choose none"
            )
    if at := [t for t, cosine in zip(table.times, best.tolist(), strict=True) if cosine < 0]:
        found.append(
            f"network and theory point in opposite directions at {_listed(at)}; does it predict "
            f"what it is said to, with this sign and this schedule?"
        )
    growths = [run.growth for run in trajectories if run.growth is not None]
    if exploded := [growth for growth in growths if growth > EXPLODED]:
        found.append(
            f"{len(exploded)} of {len(growths)} trajectories explode, x up to {max(exploded):.3g} "
            f"times an image with noise; their windows mean nothing: train the network "
            f"longer, or give times and a schedule that it was trained on"
        )
    cosine, gained = (
        tuple(round(value, 6) for value in values.tolist()) for values in (best, spread)
    )
    return Quality(table.times, cosine, gained, tuple(found))


def _listed(times: Sequence[float]) -> str:
    return f"t = {', '.join(f'{t:.3g}' for t in times)}"
