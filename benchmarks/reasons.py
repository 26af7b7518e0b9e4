"""Why does a fold help? Rival reasons, each a theory that would do as well if it were the reason.

    python benchmarks/reasons.py --network emoji-resnet --seeds 24

All change ELS at times below that of the fold only. *Tempered*: the network is less decided between
patches than the sum; squared differences count less. *Sizes*: any mean of several guesses is a
better one; the mean over windows a step smaller, as calibrated, and a step larger. *Smoothed*: the
network blurs; its estimate, mixed with its own mean over 3 x 3 pixels. It writes
data/results/reasons-NETWORK.json: Pearson's r with the network's pictures in 150 steps, for noise
images apart from any test's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import click
import torch
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from elslib.analysis.agreement import batches
from elslib.analysis.metrics import pearson_r
from elslib.analysis.softer import FOLD_BELOW, changed_below, folded
from elslib.analysis.theories import theory_of
from elslib.denoisers.machines import Denoiser
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.store import (
    load_network,
    load_scale,
    made_of,
    result_path,
    training_images,
)
from elslib.io import write_json
from elslib.samplers import initial_noise, sample
from elslib.schedules import Schedule
from elslib.windows import Window

FIRST, NETWORK_STEPS, STEPS = 30_000, 150, 20


@dataclass
class Mean:
    """The mean of denoisers at low times, those of the first one above; and what follows it."""

    denoisers: list[Denoiser]
    schedule: Schedule
    then: Callable[[Tensor], Tensor] = lambda x: x

    def __call__(self, x: Tensor, t: float | Tensor, label: Tensor | None = None) -> Tensor:
        if float(t) >= FOLD_BELOW:
            return self.denoisers[0](x, t, label)
        return self.then(torch.stack([one(x, t, label) for one in self.denoisers]).mean(0))


def smoothed(x: Tensor, share: float = 0.2) -> Tensor:
    """An image mixed with its mean over 3 x 3 pixels."""
    around = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return torch.lerp(x, around, share)


@click.command()
@click.option("--network", default="emoji-resnet", show_default=True)
@click.option("--seeds", default=24, show_default=True, type=click.IntRange(min=2))
def main(network: str, seeds: int) -> None:
    """Compare the reasons; the json is written."""
    clock, images, denoiser = Stopwatch(), training_images(network), load_network(network)
    scale = load_scale(network, "els")

    def els(what: str, change: Callable[[Window], Window]) -> Denoiser:
        return theory_of(denoiser, images, changed_below(scale, FOLD_BELOW, what, change))

    def other(step: int) -> Denoiser:
        return els(f"sides {step:+}", lambda w: replace(w, side=max(1, w.side + step)))

    plain, schedule = theory_of(denoiser, images, scale), denoiser.schedule
    rivals = {
        "ELS": plain,
        "Fold": theory_of(denoiser, images, folded(scale)),
        **{f"Tempered {a}": els(f"amplitude {a}", lambda w, a=a: replace(w, amplitude=a))
           for a in (0.8, 0.6, 0.4)},
        "Sizes": Mean([plain, other(-2), other(2)], schedule),
        "Smoothed": Mean([plain], schedule, smoothed),
    }  # fmt: skip
    rows = []
    parts = batches(range(FIRST, FIRST + seeds), denoiser.classes)
    for label, some in tqdm(parts, desc=f"reasons of {network}"):
        noise = initial_noise(some, images.pixels.shape[1:])
        picture = sample(denoiser, noise, label, NETWORK_STEPS)
        for name, rival in rivals.items():
            r = pearson_r(sample(rival, noise, label, STEPS), picture)
            rows += [
                {"seed": s, "theory": name, "r": v} for s, v in zip(some, r.tolist(), strict=True)
            ]
    rows.sort(key=lambda row: (list(rivals).index(row["theory"]), row["seed"]))
    config = {
        **made_of(network, images),
        "seeds": seeds,
        "steps": STEPS,
        "network_steps": NETWORK_STEPS,
        "windows": list(scale.windows),
    }
    record = RunRecord("benchmarks/reasons.py", config, images.sha256, clock.seconds)
    write_json(result_path("reasons", network), {"rows": rows, "record": record.json()})


if __name__ == "__main__":
    main()
