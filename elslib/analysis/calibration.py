"""Which window a network uses at which noise: the locality scale, read off its own predictions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.denoisers.machines import Denoiser
from elslib.samplers import common_schedule, ddim, uniform_times
from elslib.scales import ScaleTable
from elslib.schedules import noise_from_denoised

# Calibration noise is seeded from here on, so that no test seed (0, 1, ...) is ever calibrated on.
FIRST_SEED = 10_000


@dataclass(frozen=True)
class Trajectory:
    """One calibration run: cosine[i][j] compares network and machine at times[i], windows[j]."""

    label: int | None
    times: tuple[float, ...]
    windows: tuple[int, ...]
    cosine: Float[Tensor, "times windows"]

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
        )


def calibrate(
    network: Denoiser,
    machine: Callable[[int], Denoiser],
    windows: Sequence[int],
    noise: Float[Tensor, "b c h w"],
    labels: Sequence[int] | None = None,
    n_steps: int = 20,
) -> Iterator[Trajectory]:
    """Compare a network with `machine(window)` along the network's own reverse trajectories (C.2).

    From each noise image, at each step, the network's predicted noise is compared with each
    machine's by uncentred cosine over all channels and pixels. `windows` increases; `labels` gives
    one class per image. Yields one Trajectory an image; `scale_table` sums them up.
    Raises ValueError for windows that do not increase, labels that are not one an image, machines
    with another schedule than the network's, and an estimate that is not finite.
    """
    if not windows or any(b <= a for a, b in zip(windows, windows[1:], strict=False)):
        raise ValueError(f"windows must increase and hold at least one, got {list(windows)}.")
    if labels is not None and len(labels) != len(noise):
        raise ValueError(f"labels must be one per image, got {len(labels)} for {len(noise)}.")
    machines = [machine(window) for window in windows]
    schedule = common_schedule(network, *machines)
    for number, x in enumerate(noise):
        label = None if labels is None else x.new_tensor([labels[number]], dtype=torch.int64)
        rows = []
        for step in ddim(network, x[None], uniform_times(n_steps), label):
            levels = schedule.levels(step.t)
            target = noise_from_denoised(step.x, step.x0, *levels)
            estimates = (denoise(step.x, step.t, label) for denoise in machines)
            rows.append(
                [_cosine(noise_from_denoised(step.x, x0, *levels), target) for x0 in estimates]
            )
        cosine = torch.tensor(rows[::-1], dtype=torch.float64, device="cpu")
        if not bool(cosine.isfinite().all()):
            raise ValueError("network and machine must estimate finite noise, got NaN or infinity.")
        yield Trajectory(
            label=None if labels is None else labels[number],
            times=tuple((n_steps - i) / n_steps for i in range(n_steps))[::-1],
            windows=tuple(windows),
            cosine=cosine,
        )


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a.double().flatten(), b.double().flatten(), dim=0))


def scale_table(trajectories: Sequence[Trajectory], source: str) -> ScaleTable:
    """Lower median (so that it stays odd) and quartiles of the best windows at each time."""
    if not trajectories:
        raise ValueError("trajectories must hold at least one, got none.")
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
