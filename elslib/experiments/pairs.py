"""The grid theory | network: what both draw from the same noise."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from elslib.analysis import agreement
from elslib.analysis.theories import check_theories, classes_of, machines_of, theories
from elslib.experiments import store
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.tasks import Task, load_on
from elslib.figures import plots
from elslib.io import write_json, write_whole
from elslib.samplers import SAMPLERS, initial_noise, uniform_times


class Pairs(Task):
    """Draw a network and theories from the noise of some seeds into OUT.png and OUT.json.

    Under each picture of a theory stands its r with the network's above. The class of a seed is the
    seed modulo the number of classes. The errors of `load_network`, `load_scale`, `check_theories`
    and `image_grid`; when it runs, those of `theories`.
    """

    def __init__(
        self,
        network: str,
        seeds: Sequence[int],
        names: Sequence[str] = ("ELS",),
        steps: int = 20,
        sampler: str = "ddim",
        out: Path | None = None,
        device: str = "cpu",
    ):
        check_theories(names)
        self.denoiser, self.images = load_on(network, device)
        plots.check_channels("images of the network", self.images.pixels)
        plots.check_columns("seeds", len(seeds))
        scales = {machine: store.load_scale(network, machine) for machine in machines_of(names)}
        self.warnings = store.scale_warnings(network, scales)
        self.scales, self.names = scales, names
        self.seeds, self.times, self.sampler = seeds, uniform_times(steps), SAMPLERS[sampler]
        initial_noise(seeds, (1, 1, 1))  # refuses seeds that are none
        self.batches = agreement.batches(seeds, classes_of(self.denoiser))
        self.name, self.parts, self.done = f"pairs of {network}", len(self.batches), 0
        self.config = {
            **store.made_of(network, self.images),
            "windows": {machine: list(scale.windows) for machine, scale in scales.items()},
            "seeds": list(seeds),
            "theories": list(names),
            "steps": steps,
            "sampler": sampler,
        }
        out = out or store.result_path("pairs", network).with_suffix("")
        self.files = [out.with_name(f"{out.name}.{kind}") for kind in ("png", "json")]
        self.r: dict[str, dict[int, float]] = {name: {} for name in names}

    def run(self) -> Iterator[str]:
        clock, device = Stopwatch(), self.images.pixels.device
        machines = theories(self.denoiser, self.images, self.scales, self.names)
        found: dict[str, dict] = {"network": {}, **{name: {} for name in self.r}}
        for label, some in self.batches:
            drawn = agreement.draw(
                self.denoiser, machines, some, label, self.images.pixels.shape[1:],
                times=self.times, sampler=self.sampler, device=device,
            )  # fmt: skip
            (network,) = drawn.network.values()
            for name, x in {"network": network, **drawn.theories}.items():
                found[name] |= dict(zip(some, x, strict=True))
            for row in agreement.compare(drawn).itertuples():
                self.r[str(row.theory)][int(row.seed)] = float(row.r)  # pyright: ignore
            yield ""
        rows = {name: torch.stack([x[seed] for seed in self.seeds]) for name, x in found.items()}
        notes = {name: [f"r {r[s]:.2f}" for s in self.seeds] for name, r in self.r.items()}
        picture = io.BytesIO()
        titles = [str(seed) for seed in self.seeds]
        plots.image_grid(rows, titles, notes).savefig(picture, format="png", dpi=200)
        self.files[1].unlink(missing_ok=True)  # a kill must not leave it beside another picture
        write_whole(self.files[0], picture.getvalue())
        record = RunRecord("elslib pairs", self.config, self.images.sha256, clock.seconds)
        write_json(self.files[1], {"record": record.json(), "r": self.r})

    def summary(self) -> dict:
        return {
            "r": {name: [round(r[s], 3) for s in self.seeds] for name, r in self.r.items()},
        }
