"""Where theory and network part: the network draws down to some time, a theory goes on.

    python benchmarks/parting.py --network fashion-resnet --seeds 20

At each of some times the noisy images of a network's path are handed over to ELS and to ELS with a
fold, which draw the rest. It writes data/results/parting-NETWORK.json: for each seed, theory and
time Pearson's r with the network's own end, and the mean squared difference by distance from the
border, beside the variance of the network's pictures there.
"""

import click
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elslib.analysis.agreement import batches
from elslib.analysis.metrics import pearson_r
from elslib.analysis.theories import theories
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.store import (
    load_network,
    load_scale,
    made_of,
    result_path,
    training_images,
)
from elslib.io import write_json
from elslib.samplers import ddim, initial_noise, uniform_times

GRID = uniform_times(20)
# The network takes seven steps between two of the theories', as if it took 140.
FINE = [GRID[i] + (GRID[i + 1] - GRID[i]) * j / 7 for i in range(20) for j in range(7)] + [0.0]
HANDED = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
THEORIES = ("ELS", "Fold")


def by_distance(values: Tensor) -> list[float]:
    """Means of [h, w] over the pixels 0, 1, .. from the border."""
    h, w = values.shape
    rows, cols = (torch.minimum(torch.arange(n), n - 1 - torch.arange(n)) for n in (h, w))
    distance = torch.minimum(rows[:, None], cols)
    return [float(values[distance == d].mean()) for d in range(min(h, w) // 2)]


@click.command()
@click.option("--network", default="fashion-resnet", show_default=True)
@click.option("--seeds", default=20, show_default=True, type=click.IntRange(min=2))
def main(network: str, seeds: int) -> None:
    """Hand the network's samples over; the json is written."""
    clock, images, denoiser = Stopwatch(), training_images(network), load_network(network)
    machines = theories(denoiser, images, {"els": load_scale(network, "els")}, THEORIES)
    rows, pictures = [], []
    parts = batches(range(seeds), denoiser.classes)
    for label, some in tqdm(parts, desc=f"parting of {network}"):
        noise = initial_noise(some, images.pixels.shape[1:])
        path = list(ddim(denoiser, noise, FINE, label))
        end, at = path[-1].x0, {round(step.t, 4): step.x for step in path}
        pictures.append(end)
        for name, machine in machines.items():
            for t in HANDED:
                rest = [later for later in GRID if later < t + 1e-9]
                *_, last = ddim(machine, at[round(t, 4)], rest, label)
                r, error = pearson_r(last.x0, end).tolist(), (last.x0 - end).square().mean(1)
                rows += [
                    {"seed": s, "theory": name, "t": t, "r": r_s, "error": by_distance(e)}
                    for s, r_s, e in zip(some, r, error, strict=True)
                ]
    variance = by_distance(torch.cat(pictures).var(0).mean(0))
    config = {**made_of(network, images), "seeds": seeds, "times": list(HANDED)}
    record = RunRecord("benchmarks/parting.py", config, images.sha256, clock.seconds)
    rows.sort(key=lambda row: (row["theory"], -row["t"], row["seed"]))
    content = {"rows": rows, "variance": variance, "record": record.json()}
    write_json(result_path("parting", network), content)


if __name__ == "__main__":
    main()
