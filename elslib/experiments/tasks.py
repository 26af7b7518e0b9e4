"""Work with a result in files: training, calibration, agreement.

A `Task` knows beforehand what its result depends on, which files it will write and how much of it
is done. The long ones keep each part when it ends, and go on from there after a kill.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from elslib.analysis import agreement, calibration
from elslib.analysis.theories import (
    THEORIES,
    check_machine,
    check_theories,
    classes_of,
    constants_of,
    machines_of,
    theories,
)
from elslib.data.image_set import ImageSet
from elslib.data.pixels import to_uint8
from elslib.denoisers import sharded
from elslib.experiments import agreement_results, recipes, store, train_network
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.resume_log import resume_log
from elslib.io import write_json
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.samplers import SAMPLERS, uniform_times


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
    warnings
        what one should know of the result, in sentences
    """

    name: str
    config: Mapping[str, object]
    files: Sequence[Path]
    parts: int
    done: int
    warnings: Sequence[str] = ()

    @abstractmethod
    def run(self) -> Iterator[str]:
        """Do the other parts, yielding a note (or "") after each; then write the files."""

    @abstractmethod
    def summary(self) -> Mapping[str, object]:
        """What came out; once `run` has ended."""


class Training(Task):
    """Train a network by a recipe.

    Arguments and errors of `recipes.recipe` and `train_network.make`.
    """

    def __init__(
        self,
        dataset: str,
        network: str,
        profile: str = "cpu",
        name: str = "",
        device: str | None = None,
        **changes,
    ):
        self.recipe = recipe = recipes.recipe(dataset, network, profile, name, **changes)
        self.device = sharded.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.name, self.config = recipe.name, recipes.described(recipe)
        self.files, self.parts = [recipe.weights, recipe.card], recipe.config.steps
        self.done = train_network.steps_done(recipe)
        if train_network.is_made(recipe):
            self.warnings = ["it was made before; nothing is done."]

    def run(self) -> Iterator[str]:
        for trainer, _ in train_network.make(self.recipe, self.device):
            yield f"loss {np.mean(trainer.losses[-100:]):.4f}"

    def summary(self) -> dict:
        loss = dict(store.load_card(self.name)["loss"])
        fell = loss["held_out_fell_in_last_fifth"]
        trained = {
            None: "not known, as no images are held out",
            True: "yes, the held-out loss has come to rest",
            False: "not yet: train longer, with --steps",
        }[loss.pop("trained") if fell is not None else None]
        return {"loss": loss, "trained": trained, "minutes": _minutes(self.recipe.card)}


class Calibration(Task):
    """Find the window, 3, 5, ..., `largest`, of a network at each noise level, for "els" or "ls".

    Along `steps` times of a sampler. Runs that are kept go on with more trajectories, and with more
    windows. ValueError for another machine, no trajectory, and a `largest` that is even or below 3;
    the errors of `load_network`, `training_images` and `resume_log`.
    """

    def __init__(
        self,
        network: str,
        machine: str,
        trajectories: int = 16,
        largest: int = 17,
        device: str = "cpu",
        steps: int = 20,
        sampler: str = "ddim",
    ):
        _check_positive("trajectories", trajectories)
        check_machine(machine)
        if largest < 3 or largest % 2 == 0:
            raise ValueError(
                f"largest must be odd, as every window is, and at least 3, got {largest}."
            )
        self.denoiser, self.images = load_on(network, device)
        self.network, self.machine, self.sampler = network, machine, SAMPLERS[sampler]
        self.times, self.windows = uniform_times(steps), list(range(3, largest + 1, 2))
        changed = _changed(steps=(steps, 20), sampler=(sampler, "ddim"))
        made_of = {**store.made_of(network, self.images), **changed}
        config = {**made_of, "machine": machine, "windows": self.windows}
        self.path = store.scale_path(network, machine)
        self.kept = resume_log(self.path, config, grows=("windows",))
        self.seeds = [calibration.FIRST_SEED + i for i in range(trajectories)]
        self.name, self.files = f"calibrate {network}", [self.path]
        self.config, self.parts = {**config, "seeds": self.seeds}, trajectories
        self.made = _is_made(self.path, self)
        self.done = trajectories if self.made else trajectories - len(self._todo())

    def _todo(self) -> list[tuple[int, list[int]]]:
        """The numbers of the runs that lack windows, and the windows that they lack."""
        kept = [item["windows"] for item in self.kept.items[: len(self.seeds)]]
        kept += [[]] * (len(self.seeds) - len(kept))
        lacking = [[w for w in self.windows if w not in windows] for windows in kept]
        return [(i, windows) for i, windows in enumerate(lacking) if windows]

    def run(self) -> Iterator[str]:
        if self.made:
            return
        n = len(self.seeds)
        for i, windows in self._todo():
            clock = Stopwatch()
            (run,) = calibration.calibrate(
                self.denoiser, self.images, self.machine, windows, [self.seeds[i]],
                times=self.times, sampler=self.sampler,
            )  # fmt: skip
            seconds = clock.seconds
            if i < len(self.kept.items):
                run = calibration.Trajectory.from_json(self.kept.items[i]).joined(run)
                seconds += self.kept.items[i]["seconds"]
            self.kept.put(i, {**run.json(), "seconds": seconds})
            yield ""
        runs = [calibration.Trajectory.from_json(item) for item in self.kept.items[:n]]
        chosen = [run.of(self.windows) for run in runs]
        about = f"{self.machine} on {self.network}, {n} trajectories"
        table, judged = calibration.scale_table(chosen, about), calibration.quality(chosen)
        seconds = self.kept.seconds(n)
        record = RunRecord("elslib calibrate", self.config, self.images.sha256, seconds).json()
        write_json(self.path, {
            **table.json(),
            "record": record,
            "quality": asdict(judged),
            "trajectories": [run.json() for run in chosen],
        })  # fmt: skip

    def summary(self) -> dict:
        table = store.load_scale(self.network, self.machine)
        runs = json.loads(self.path.read_text(encoding="utf-8"))["trajectories"]
        judged = calibration.quality([calibration.Trajectory.from_json(run) for run in runs])
        return {
            "times": list(table.times),
            "windows": list(table.windows),
            "cosine": list(judged.cosine),
            "spread": list(judged.spread),
            "warnings": list(judged.warnings) or ["none"],
            "minutes": _minutes(self.path),
        }


class Agreement(Task):
    """Compare a network with theories on the seeds 0, 1, ..., and keep the pictures.

    Needs its windows for the local ones. Both sides go along `steps` times of the sampler, or, by
    default, theories in 20, the network in 20 and 150. Other theories of the same network and
    seeds, compared before, stay in the result. ValueError for no seeds and no theories; the errors
    of `load_network`, `training_images`, `load_scale` and `resume_log`.
    """

    def __init__(
        self,
        network: str,
        seeds: int = 100,
        names: Sequence[str] = THEORIES,
        device: str = "cpu",
        steps: int | None = None,
        sampler: str = "ddim",
    ):
        _check_positive("seeds", seeds)
        check_theories(names)
        self.denoiser, self.images = load_on(network, device)
        self.names, self.sampler = names, SAMPLERS[sampler]
        self.times = None if steps is None else uniform_times(steps)
        self.scales = {
            machine: store.load_scale(network, machine) for machine in machines_of(names)
        }
        kept = agreement_results.may_be_kept
        self.shown = [
            name for name in agreement.SHOWN if name in names and kept(name, self.images.name)
        ]
        changed = _changed(
            theories=(list(names), list(THEORIES)),
            steps=(steps, None),
            sampler=(sampler, "ddim"),
            constants=(constants_of(names), {}),
        )
        config = {
            **store.made_of(network, self.images),
            **changed,
            "windows": {machine: list(scale.windows) for machine, scale in self.scales.items()},
            "pictures": self.shown,
        }
        self.network, self.seeds = network, seeds
        self.record = store.result_path("agreement", network)
        self.kept = resume_log(self.record, config)
        self.name, self.config = f"agree {network}", {**config, "seeds": seeds}
        self.files = [self.record.with_suffix(suffix) for suffix in (".csv", ".npz", ".json")]
        self.before = agreement_results.kept_before(self.files, self.config)
        self.made = agreement_results.holds(self.before, self.config)
        self.parts = len(self.kept.items) + len(self._todo())
        self.done = self.parts if self.made else len(self.kept.items)
        self.warnings = [
            *store.scale_warnings(network, self.scales),
            *agreement_results.replaced(self.files, self.before, self.config),
        ]

    def _todo(self) -> list[tuple[int | None, list[int]]]:
        missing = sorted(set(range(self.seeds)).difference(self.kept.gathered("seeds")))
        return agreement.batches(missing, classes_of(self.denoiser))

    def run(self) -> Iterator[str]:
        if self.made:
            return
        network, shape = self.denoiser, self.images.pixels.shape[1:]
        machines = theories(network, self.images, self.scales, self.names)
        for label, some in self._todo():
            clock = Stopwatch()
            drawn = agreement.draw(
                network, machines, some, label, shape,
                times=self.times, sampler=self.sampler, device=self.images.pixels.device,
                dtype=self.images.pixels.dtype,
            )  # fmt: skip
            pictures = drawn.pictures(self.shown)
            self.kept.add({
                "rows": agreement.compare(drawn).to_dict("records"),
                "seeds": some,
                "pictures": {name: to_uint8(x).tolist() for name, x in pictures.items()},
                "seconds": clock.seconds,
            })  # fmt: skip
            yield ""
        self._write()

    def _write(self) -> None:
        """The rows and pictures of the first seeds, beside those of other theories; more may be
        kept, of a run that asked for more."""
        rows = pd.DataFrame(self.kept.gathered("rows"))
        rows = rows.loc[rows.seed < self.seeds, :]
        drawn_from = torch.tensor(self.kept.gathered("seeds"), dtype=torch.int64, device="cpu")
        first = drawn_from < self.seeds
        pictures = {
            name: torch.tensor(
                [x for item in self.kept.items for x in item["pictures"][name]],
                dtype=torch.uint8,
                device="cpu",
            )
            for name in self.kept.items[0]["pictures"]
        }
        bytes_of = {name: x[first] for name, x in pictures.items()}
        seeds, config, seconds = drawn_from[first].tolist(), self.config, self.kept.seconds()
        if self.before is not None:
            rows, seeds, bytes_of = agreement_results.join(self.network, rows, seeds, bytes_of)
            config = agreement_results.joined(self.before, config)
            seconds += store.read_record(self.record)["seconds"]
        record = RunRecord("elslib agree", config, self.images.sha256, round(seconds, 1))
        agreement_results.write_result(self.network, rows, seeds, bytes_of, record.json())

    def summary(self) -> dict:
        rows = agreement_results.read_rows(self.network)
        found = {}
        for theory in sorted(rows.theory.unique()):
            steps = sorted(rows.network_steps.unique())
            found[theory] = {
                f"r_at_{n}_steps": agreement.median(rows, theory, int(n)) for n in steps
            }
            if "IS" in set(rows.theory):
                found[theory]["share_above_IS"] = agreement.share_above(
                    rows, theory, steps=int(steps[-1])
                )
        return {"theories": found, "minutes": _minutes(self.record)}


def load_on(network: str, device: str = "cpu") -> tuple[NetworkDenoiser, ImageSet]:
    """A network and its training images on a device; the errors of `sharded.device`, too."""
    place = sharded.device(device)
    denoiser, images = store.load_network(network), store.training_images(network)
    denoiser.module.to(place)
    return denoiser, images if place.type == "cpu" else images.to(place)


def _changed(**options: tuple[object, object]) -> dict[str, object]:
    """Those options, each with its usual value, that differ from it: what is made with the usual
    ones does not say so, as nothing did before there were others."""
    return {name: value for name, (value, usual) in options.items() if value != usual}


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")


def _minutes(path: Path) -> float:
    return round(store.read_record(path)["seconds"] / 60, 1)


def _is_made(path: Path, task: Task) -> bool:
    """Whether the files of a task are there and the record says that they are of its config."""
    return all(file.is_file() for file in task.files) and store.read_config(path) == task.config
