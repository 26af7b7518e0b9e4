"""Samples of a local machine, drawn into files: one process, or several with a shard each."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from elslib.analysis.theories import check_machine, local_machine
from elslib.data import named
from elslib.data.image_set import ImageSet
from elslib.denoisers import sharded
from elslib.denoisers.machines import ScoreMachine
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.tasks import Task
from elslib.figures import plots
from elslib.io import json_bytes, npz_bytes, write_together, write_whole
from elslib.samplers import ddim, initial_noise, uniform_times
from elslib.scales import ScaleTable
from elslib.schedules import cosine
from elslib.windows import Border


class Sampling(Task):
    """Draw samples from "els" or "ls" into OUT.npz, OUT.json and OUT.png.

    The picture is drawn of grey or RGB images, at most `plots.MOST_COLUMNS`. Under torchrun each
    process sums over its shard of the images, on a "cuda" device of its own if so asked, and the
    first one writes. ValueError for another machine, for circular edges with "ls", and for images
    that a GPU cannot hold; the errors of `named.load`, `initial_noise`, `ImageSet.of_class` and
    `sharded.device`.
    """

    def __init__(
        self,
        dataset: str,
        machine: str,
        edges: Border,
        scale: ScaleTable,
        label: int | None,
        seeds: Sequence[int],
        steps: int,
        out: Path,
        device: str = "cpu",
    ):
        check_machine(machine)
        if machine == "ls" and edges != "aware":
            raise ValueError(
                f"edges must be aware with the machine ls, whose pixels know their place, got "
                f"{edges!r}; --machine els has circular ones."
            )
        self.images, self.device = named.load(dataset), sharded.device(device)
        if label is not None:
            self.images.of_class(label)  # refuses a class that nobody has
        self.machine, self.scale = machine, scale
        self.edges: Border = edges
        self.noise = initial_noise(seeds, self.images.pixels.shape[1:])
        self.label, self.seeds, self.seconds = label, seeds, 0.0
        self.name, self.parts, self.done = f"{len(seeds)} samples", steps, 0
        self.config = {
            "dataset": self.images.name,
            "machine": machine,
            "edges": edges,
            "scale": asdict(scale),
            "label": label,
            "seeds": list(seeds),
            "steps": steps,
            "device": device,
            "processes": sharded.current_rank().size,
        }
        pictured = self.images.pixels.shape[1] in (1, 3) and len(seeds) <= plots.MOST_COLUMNS
        kinds = ["npz", "json", *["png"] * pictured]
        self.files = [out.with_name(f"{out.name}.{kind}") for kind in kinds]

    def run(self) -> Iterator[str]:
        x, clock, schedule = self.noise.to(self.device), Stopwatch(), cosine()
        labels = None
        if self.label is not None:
            labels = torch.full((len(x),), self.label, dtype=torch.int64, device=self.device)

        def local(shard: ImageSet) -> ScoreMachine:
            # A mapped file stays one: moving it, even to where it is, would read it all.
            moved = shard if self.device.type == "cpu" else shard.to(self.device)
            return local_machine(self.machine, moved, self.scale, self.edges, schedule)

        try:
            with sharded.join_processes() as process:
                denoise = sharded.shard_denoiser(local, self.images, process)
                for step in ddim(denoise, x, uniform_times(self.parts), labels):
                    x = step.x0
                    yield ""
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"device must hold the images of its process, and {self.device} cannot ({error}); "
                f"take more processes, each with one, or cpu."
            ) from error
        x = x.cpu()
        self.seconds = clock.seconds
        if process.rank == 0:
            self._write(x)

    def _write(self, x: Tensor) -> None:
        arrays, record_path, *picture_paths = self.files
        of_arrays = npz_bytes({"images": x.numpy(), "seeds": np.array(self.seeds)})
        record = RunRecord("elslib sample", self.config, self.images.sha256, self.seconds)
        write_together({arrays: of_arrays, record_path: json_bytes(record.json())})
        for path in picture_paths:
            picture, names = io.BytesIO(), [str(seed) for seed in self.seeds]
            plots.image_grid({"": x}, names).savefig(picture, format="png")
            write_whole(path, picture.getvalue())

    def summary(self) -> dict:
        return {"seconds_a_sample": round(self.seconds / len(self.seeds), 2)}
