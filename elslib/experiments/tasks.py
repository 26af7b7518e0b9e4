"""Work with a result in files: training, calibration, agreement, samples.

A `Task` knows beforehand what its result depends on, which files it will write and how much of it
is done. The long ones keep each part when it ends, and go on from there after a kill.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from elslib.analysis import agreement, calibration
from elslib.data import named
from elslib.data.image_set import ImageSet, to_uint8
from elslib.denoisers import sharded
from elslib.denoisers.machines import EquivariantLocalScore, LocalScore, ScoreMachine
from elslib.experiments import agreement_results, recipes, store
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.resume_log import ResumeLog
from elslib.figures import plots
from elslib.io import write_arrays, write_json, write_whole
from elslib.samplers import ddim, initial_noise, uniform_times
from elslib.scales import ScaleTable, constant_scale
from elslib.schedules import Schedule, cosine
from elslib.windows import Border

MACHINES = ("els", "ls")


@dataclass(frozen=True)
class Task:
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
    run
        does the other parts, yielding a note (or "") after each; then writes the files
    summary
        what came out; once `run` has ended
    """

    name: str
    config: Mapping[str, object]
    files: Sequence[Path]
    parts: int
    done: int
    run: Callable[[], Iterator[str]]
    summary: Callable[[], Mapping[str, object]]


def training(dataset: str, network: str, profile: str = "cpu", name: str = "", **changes) -> Task:
    """Train a network by a recipe; arguments and errors of `recipes.recipe` and `recipes.make`."""
    recipe = recipes.recipe(dataset, network, profile, name, **changes)

    def run() -> Iterator[str]:
        for trainer, _ in recipes.make(recipe, "cuda" if torch.cuda.is_available() else "cpu"):
            yield f"loss {np.mean(trainer.losses[-100:]):.4f}"

    def summary() -> dict:
        return {"loss": store.load_card(recipe.name)["loss"], "minutes": _minutes(recipe.card)}

    files, steps = [recipe.weights, recipe.card], recipe.config.steps
    return Task(
        recipe.name,
        recipes.described(recipe),
        files,
        steps,
        recipes.steps_done(recipe),
        run,
        summary,
    )


def calibrating(network: str, machine: str, trajectories: int = 16, largest: int = 17) -> Task:
    """Find the window, 3, 5, ..., `largest`, of a network at each noise level, for "els" or "ls".

    ValueError for another machine, no trajectory, and a `largest` that is even or below 3; the
    errors of `load_network`, `training_images` and `ResumeLog`.
    """
    _check_positive("trajectories", trajectories)
    denoiser, images = store.load_network(network), store.training_images(network)
    _check_machine(machine)
    if largest < 3 or largest % 2 == 0:
        raise ValueError(f"largest must be odd, as every window is, and at least 3, got {largest}.")
    windows, path = list(range(3, largest + 1, 2)), store.scale_path(network, machine)
    config = {
        "network": network,
        "weights_sha256": store.weights_sha256(network),
        "machine": machine,
        "windows": windows,
        "images_sha256": images.sha256,
    }
    kept = ResumeLog(path.parent / ".state" / path.name, config)
    seeds = [calibration.FIRST_SEED + i for i in range(trajectories)]
    asked, classes = {**config, "seeds": seeds}, denoiser.config.classes
    made = _is_made(path, asked, [path])
    done = trajectories if made else min(len(kept.items), trajectories)

    def run() -> Iterator[str]:
        if made:
            return
        rest, clock = seeds[len(kept.items) :], Stopwatch()
        for trajectory in calibration.calibrate(
            denoiser,
            lambda side: local_machine(
                machine, images, constant_scale(side), denoiser.edges, denoiser.schedule
            ),
            windows,
            initial_noise(rest, images.images.shape[1:]) if rest else images.images[:0],
            None if classes is None else [seed % classes for seed in rest],
        ):
            kept.add({**trajectory.json(), "seconds": clock.seconds})
            clock = Stopwatch()
            yield ""
        chosen = [calibration.Trajectory.from_json(item) for item in kept.items[:trajectories]]
        about = f"{machine} on {network}, {trajectories} trajectories"
        table = calibration.scale_table(chosen, about)
        record = RunRecord("elslib calibrate", asked, images.sha256, kept.seconds(trajectories))
        runs = [trajectory.json() for trajectory in chosen]
        write_json(path, {**table.json(), "record": record.json(), "trajectories": runs})

    def summary() -> dict:
        windows = list(store.load_scale(network, machine).windows)
        return {"windows": windows, "minutes": _minutes(path)}

    return Task(f"calibrate {network}", asked, [path], trajectories, done, run, summary)


def agreeing(network: str, seeds: int = 100) -> Task:
    """Compare a network with every theory on the seeds 0, 1, ..., and keep the pictures.

    Needs its windows, for "els" and for "ls". ValueError for no seeds; the errors of
    `load_network`, `training_images`, `load_scale` and `ResumeLog`.
    """
    _check_positive("seeds", seeds)
    denoiser, images = store.load_network(network), store.training_images(network)
    scales = {machine: store.load_scale(network, machine) for machine in ("ls", "els")}
    config = {
        "network": network,
        "weights_sha256": store.weights_sha256(network),
        "images_sha256": images.sha256,
        "windows": {machine: list(scale.windows) for machine, scale in scales.items()},
        "pictures": list(agreement.SHOWN),
    }
    path = agreement_results.result_path(network)
    record_path = path.with_suffix(".json")
    kept = ResumeLog(path.parent / ".state" / record_path.name, config)
    asked, files = {**config, "seeds": seeds}, [path, path.with_suffix(".npz"), record_path]
    made = _is_made(record_path, asked, files)

    def todo() -> list[tuple[int | None, list[int]]]:
        missing = sorted(set(range(seeds)).difference(kept.gathered("seeds")))
        return agreement.batches(missing, denoiser.config.classes)

    def run() -> Iterator[str]:
        if made:
            return
        theories, shape = agreement.theories(denoiser, images, scales), images.images.shape[1:]
        for label, some in todo():
            clock = Stopwatch()
            drawn = agreement.draw(denoiser, theories, some, label, shape)
            kept.add({
                "rows": [asdict(row) for row in agreement.compare(drawn)],
                "seeds": some,
                "pictures": {name: to_uint8(x).tolist() for name, x in drawn.pictures.items()},
                "seconds": clock.seconds,
            })  # fmt: skip
            yield ""
        _write_agreement(network, kept, seeds)
        record = RunRecord("elslib agree", asked, images.sha256, kept.seconds())
        write_json(record_path, record.json())

    def summary() -> dict:
        rows = agreement_results.read_rows(network)
        found = {
            theory: {
                **{
                    f"r_at_{steps}_steps": agreement.median(rows, theory, steps)
                    for steps in agreement.NETWORK_STEPS
                },
                "share_above_IS": agreement.share_above(rows, theory),
            }
            for theory in sorted({row.theory for row in rows})
        }
        return {"theories": found, "minutes": _minutes(record_path)}

    done = len(kept.items)
    parts = done + len(todo())
    return Task(f"agree {network}", asked, files, parts, parts if made else done, run, summary)


def _write_agreement(network: str, kept: ResumeLog, seeds: int) -> None:
    """The rows and pictures of the first seeds; more may be kept, of a run that asked for more."""
    rows = [agreement.Row(**row) for row in kept.gathered("rows")]
    path = agreement_results.result_path(network)
    path.with_suffix(".json").unlink(missing_ok=True)  # a kill must not leave it beside other rows
    agreement_results.write_rows(path, [row for row in rows if row.seed < seeds])
    drawn_from = torch.tensor(kept.gathered("seeds"))
    first = drawn_from < seeds
    pictures = {
        name: torch.tensor([x for item in kept.items for x in item["pictures"][name]])[first]
        for name in kept.items[0]["pictures"]
    }
    bytes_of = {name: x.byte() for name, x in pictures.items()}
    agreement_results.write_pictures(network, drawn_from[first].tolist(), bytes_of)


def sampling(
    dataset: str,
    machine: str,
    edges: Border,
    scale: ScaleTable,
    label: int | None,
    seeds: Sequence[int],
    steps: int,
    out: Path,
    device: str = "cpu",
) -> Task:
    """Draw samples from "els" or "ls" into OUT.npz, OUT.json and, if grey or RGB, OUT.png.

    Under torchrun each process sums over its shard of the images, on a "cuda" device of its own if
    so asked, and the first one writes. ValueError for another machine, for circular edges with
    "ls", and for images that a GPU cannot hold; the errors of `named.load`, `initial_noise`,
    `ImageSet.of_class` and `sharded.device`.
    """
    _check_machine(machine)
    if machine == "ls" and edges != "aware":
        raise ValueError(
            f"edges must be aware with the machine ls, whose pixels know their place, got "
            f"{edges!r}; --machine els has circular ones."
        )
    images, schedule = named.load(dataset), cosine()
    where = sharded.device(device)
    noise = initial_noise(seeds, images.images.shape[1:])
    if label is not None:
        images.of_class(label)
    config = {
        "dataset": images.name,
        "machine": machine,
        "edges": edges,
        "scale": asdict(scale),
        "label": label,
        "seeds": list(seeds),
        "steps": steps,
        "device": device,
        "processes": sharded.current_rank().size,
    }
    labels = None if label is None else torch.full((len(seeds),), label, device=where)
    kinds = ["npz", "json", *(["png"] if images.images.shape[1] in (1, 3) else [])]
    files = {kind: out.with_name(f"{out.name}.{kind}") for kind in kinds}
    seconds: list[float] = []

    def local(shard: ImageSet) -> ScoreMachine:
        # A mapped file stays one: moving it, even to where it is, would read it all.
        moved = shard if where.type == "cpu" else shard.to(where)
        return local_machine(machine, moved, scale, edges, schedule)

    def run() -> Iterator[str]:
        x, clock = noise.to(where), Stopwatch()
        try:
            with sharded.join_processes() as process:
                denoise = sharded.shard_denoiser(local, images, process)
                for step in ddim(denoise, x, uniform_times(steps), labels):
                    x = step.x0
                    yield ""
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"device must hold the images of its process, and {where} cannot ({error}); take "
                f"more processes, each with one, or cpu."
            ) from error
        x = x.cpu()
        seconds.append(clock.seconds)
        if process.rank > 0:
            return
        files["json"].unlink(missing_ok=True)  # a kill must not leave it beside other samples
        write_arrays(files["npz"], {"images": x.numpy(), "seeds": np.array(seeds)})
        record = RunRecord("elslib sample", config, images.sha256, clock.seconds)
        write_json(files["json"], record.json())
        if "png" in files:
            picture, names = io.BytesIO(), [str(seed) for seed in seeds]
            plots.image_grid({"": x}, names).savefig(picture, format="png")
            write_whole(files["png"], picture.getvalue())

    def summary() -> dict:
        return {"seconds_a_sample": round(seconds[-1] / len(seeds), 2)}

    name = f"{len(seeds)} samples"
    return Task(name, config, list(files.values()), steps, 0, run, summary)


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")


def _check_machine(machine: str) -> None:
    if machine not in MACHINES:
        raise ValueError(f"machine must be one of {', '.join(MACHINES)}, got {machine!r}.")


def _record(path: Path) -> Mapping:
    """The run record that a json file is, or holds."""
    try:
        content = json.loads(path.read_text())
        return content.get("record", content)
    except (json.JSONDecodeError, AttributeError) as error:
        raise ValueError(f"{path} is no record of a run ({error}); delete it.") from error


def _minutes(path: Path) -> float:
    return round(_record(path)["seconds"] / 60, 1)


def _is_made(path: Path, config: Mapping[str, object], files: Sequence[Path]) -> bool:
    """Whether the files are there and the record says that they are of this configuration."""
    return all(file.is_file() for file in files) and _record(path).get("config") == config


def local_machine(
    machine: str, images: ImageSet, scale: ScaleTable, edges: Border, schedule: Schedule
) -> LocalScore | EquivariantLocalScore:
    """LS, for "ls", or, for "els", ELS with these edges."""
    if machine == "ls":
        return LocalScore(images, scale, schedule=schedule)
    return EquivariantLocalScore(images, scale, edges=edges, schedule=schedule)
