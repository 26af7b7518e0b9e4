"""Work with a result in files: training, calibration, agreement.

A `Task` knows beforehand what its result depends on, which files it will write and how much of it
is done. The long ones keep each part when it ends, and go on from there after a kill.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from elslib.analysis import agreement, calibration
from elslib.analysis.theories import check_machine, theories, theory_of
from elslib.data.pixels import to_uint8
from elslib.experiments import agreement_results, recipes, store
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.resume_log import ResumeLog
from elslib.io import write_json
from elslib.samplers import initial_noise
from elslib.scales import constant_scale


class Task(ABC):
    """Work that is known but not done.

    Attributes
    ----------
    name
        of the work, for its progress
    config
        what the result depends on, plain json
    files
        what it writes at its end
    parts
        steps, trajectories or batches, of which `done` are kept already
    """

    name: str
    config: Mapping[str, object]
    files: Sequence[Path]
    parts: int
    done: int

    @abstractmethod
    def run(self) -> Iterator[str]:
        """Do the other parts, yielding a note (or "") after each; then write the files."""

    @abstractmethod
    def summary(self) -> Mapping[str, object]:
        """What came out; once `run` has ended."""


class Training(Task):
    """Train a network by a recipe; arguments and errors of `recipes.recipe` and `recipes.make`."""

    def __init__(self, dataset: str, network: str, profile: str = "cpu", name: str = "", **changes):
        self.recipe = recipe = recipes.recipe(dataset, network, profile, name, **changes)
        self.name, self.config = recipe.name, recipes.described(recipe)
        self.files, self.parts = [recipe.weights, recipe.card], recipe.config.steps
        self.done = recipes.steps_done(recipe)

    def run(self) -> Iterator[str]:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        for trainer, _ in recipes.make(self.recipe, device):
            yield f"loss {np.mean(trainer.losses[-100:]):.4f}"

    def summary(self) -> dict:
        return {"loss": store.load_card(self.name)["loss"], "minutes": _minutes(self.recipe.card)}


class Calibration(Task):
    """Find the window, 3, 5, ..., `largest`, of a network at each noise level, for "els" or "ls".

    ValueError for another machine, no trajectory, and a `largest` that is even or below 3; the
    errors of `load_network`, `training_images` and `ResumeLog`.
    """

    def __init__(self, network: str, machine: str, trajectories: int = 16, largest: int = 17):
        _check_positive("trajectories", trajectories)
        check_machine(machine)
        if largest < 3 or largest % 2 == 0:
            raise ValueError(
                f"largest must be odd, as every window is, and at least 3, got {largest}."
            )
        self.denoiser, self.images = store.load_network(network), store.training_images(network)
        self.network, self.machine = network, machine
        self.windows = list(range(3, largest + 1, 2))
        made_of = store.made_of(network, self.images)
        config = {**made_of, "machine": machine, "windows": self.windows}
        self.path = store.scale_path(network, machine)
        self.kept = ResumeLog(self.path.parent / ".state" / self.path.name, config)
        self.seeds = [calibration.FIRST_SEED + i for i in range(trajectories)]
        self.name, self.files = f"calibrate {network}", [self.path]
        self.config, self.parts = {**config, "seeds": self.seeds}, trajectories
        self.made = _is_made(self.path, self)
        self.done = trajectories if self.made else min(len(self.kept.items), trajectories)

    def run(self) -> Iterator[str]:
        if self.made:
            return
        denoiser, images, n = self.denoiser, self.images, len(self.seeds)
        rest, clock = self.seeds[len(self.kept.items) :], Stopwatch()
        classes = denoiser.config.classes
        for trajectory in calibration.calibrate(
            denoiser,
            lambda side: theory_of(denoiser, images, constant_scale(side), self.machine),
            self.windows,
            initial_noise(rest, images.pixels.shape[1:]) if rest else images.pixels[:0],
            None if classes is None else [seed % classes for seed in rest],
        ):
            self.kept.add({**trajectory.json(), "seconds": clock.seconds})
            clock = Stopwatch()
            yield ""
        chosen = [calibration.Trajectory.from_json(item) for item in self.kept.items[:n]]
        about = f"{self.machine} on {self.network}, {n} trajectories"
        table = calibration.scale_table(chosen, about)
        seconds = self.kept.seconds(n)
        record = RunRecord("elslib calibrate", self.config, images.sha256, seconds).json()
        runs = [trajectory.json() for trajectory in chosen]
        write_json(self.path, {**table.json(), "record": record, "trajectories": runs})

    def summary(self) -> dict:
        windows = list(store.load_scale(self.network, self.machine).windows)
        return {"windows": windows, "minutes": _minutes(self.path)}


class Agreement(Task):
    """Compare a network with every theory on the seeds 0, 1, ..., and keep the pictures.

    Needs its windows, for "els" and for "ls". ValueError for no seeds; the errors of
    `load_network`, `training_images`, `load_scale` and `ResumeLog`.
    """

    def __init__(self, network: str, seeds: int = 100):
        _check_positive("seeds", seeds)
        self.denoiser, self.images = store.load_network(network), store.training_images(network)
        self.scales = {machine: store.load_scale(network, machine) for machine in ("ls", "els")}
        config = {
            **store.made_of(network, self.images),
            "windows": {machine: list(scale.windows) for machine, scale in self.scales.items()},
            "pictures": list(agreement.SHOWN),
        }
        self.network, self.seeds = network, seeds
        self.record = store.result_path("agreement", network)
        self.kept = ResumeLog(self.record.parent / ".state" / self.record.name, config)
        self.name, self.config = f"agree {network}", {**config, "seeds": seeds}
        self.files = [self.record.with_suffix(suffix) for suffix in (".csv", ".npz", ".json")]
        self.made = _is_made(self.record, self)
        self.parts = len(self.kept.items) + len(self._todo())
        self.done = self.parts if self.made else len(self.kept.items)

    def _todo(self) -> list[tuple[int | None, list[int]]]:
        missing = sorted(set(range(self.seeds)).difference(self.kept.gathered("seeds")))
        return agreement.batches(missing, self.denoiser.config.classes)

    def run(self) -> Iterator[str]:
        if self.made:
            return
        network, shape = self.denoiser, self.images.pixels.shape[1:]
        machines = theories(network, self.images, self.scales)
        for label, some in self._todo():
            clock = Stopwatch()
            drawn = agreement.draw(network, machines, some, label, shape)
            self.kept.add({
                "rows": agreement.compare(drawn).to_dict("records"),
                "seeds": some,
                "pictures": {name: to_uint8(x).tolist() for name, x in drawn.pictures.items()},
                "seconds": clock.seconds,
            })  # fmt: skip
            yield ""
        self._write()
        seconds = self.kept.seconds()
        record = RunRecord("elslib agree", self.config, self.images.sha256, seconds)
        write_json(self.record, record.json())

    def _write(self) -> None:
        """The rows and pictures of the first seeds; more may be kept, of a run that asked for
        more."""
        self.record.unlink(missing_ok=True)  # a kill must not leave it beside other rows
        rows = pd.DataFrame(self.kept.gathered("rows"))
        agreement_results.write_rows(self.network, rows.loc[rows.seed < self.seeds, :])
        drawn_from = torch.tensor(self.kept.gathered("seeds"))
        first = drawn_from < self.seeds
        pictures = {
            name: torch.tensor([x for item in self.kept.items for x in item["pictures"][name]])
            for name in self.kept.items[0]["pictures"]
        }
        bytes_of = {name: x[first].byte() for name, x in pictures.items()}
        agreement_results.write_pictures(self.network, drawn_from[first].tolist(), bytes_of)

    def summary(self) -> dict:
        rows = agreement_results.read_rows(self.network)
        found = {
            theory: {
                **{
                    f"r_at_{steps}_steps": agreement.median(rows, theory, steps)
                    for steps in agreement.NETWORK_STEPS
                },
                "share_above_IS": agreement.share_above(rows, theory),
            }
            for theory in sorted(rows.theory.unique())
        }
        return {"theories": found, "minutes": _minutes(self.record)}


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")


def _minutes(path: Path) -> float:
    return round(store.read_record(path)["seconds"] / 60, 1)


def _is_made(path: Path, task: Task) -> bool:
    """Whether the files of a task are there and the record says that they are of its config."""
    return all(file.is_file() for file in task.files) and store.read_config(path) == task.config
