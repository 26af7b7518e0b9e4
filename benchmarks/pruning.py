"""What could be skipped, and what that would save: the engine's sum at low noise.

    python benchmarks/pruning.py

At low noise nearly all patches have next to no weight. To leave them out with a proof one needs a
lower bound of their distance that is cheaper than the distance. For the low-noise half of the
published FashionMNIST schedule this measures, over random pixels of noisy held-out images and all
patches of their class, which share of the patches

    weighs       is needed for all but TOLERANCE of the weight, if an oracle names the patches
    distance     is left if each patch is skipped whose own weight is below its share of TOLERANCE
    projection   is left if, instead of the distance, its part along a few principal components is
                 known, and of the rest the lengths, whose difference no distance is below
    cluster      is left if sixty-four neighbours share one bound, a box around those numbers
    distinct     differs from every other patch of the dictionary

and how much faster the fused kernel would be if it computed no weights at all, only distances.
Writes data/results/pruning.json.
"""

import math
import time

import click
import numpy as np
import torch
from skipping import every_comparison
from torch import Tensor
from tqdm import tqdm

from elslib.data.folders import data_folder
from elslib.data.image_set import ImageSet
from elslib.data.named import load
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.io import write_json
from elslib.posterior import cpu, patch_posterior
from elslib.samplers import initial_noise
from elslib.scales import published_scale
from elslib.schedules import cosine

SCALE = published_scale("fmnist-resnet-zeros")
TIMES = [(i + 1) / 20 for i in range(10)]
TOLERANCE = 1e-3
CLASSES, PIXELS = (1, 3, 8), 16  # trousers, dresses, bags; pixels of each
COMPONENTS, CLUSTER, CLUSTER_COMPONENTS = (4, 8, 16, 32), 64, 8
FEW = 256  # images of a class in the timing


def patches(images: Tensor, k: int) -> Tensor:
    """All windows inside grey images [n, 1, h, w], [n positions, k k]."""
    return images.unfold(2, k, 1).unfold(3, k, 1).reshape(-1, k * k)


def energies(q: Tensor, p: Tensor, alpha: float, sigma: float) -> Tensor:
    """`|q - alpha p|^2 / (2 sigma^2)` for all pairs, float64: [queries, patches]."""
    q, p = q.double(), alpha * p.double()
    squares = q.square().sum(1)[:, None] - 2 * q @ p.T + p.square().sum(1)
    return squares.clamp_(min=0) / (2 * sigma**2)


def boxes(points: Tensor) -> list[Tensor]:
    """Cuts points [n, d] at medians of their widest axis into clusters of at most CLUSTER."""
    parts = [torch.arange(len(points))]
    while len(parts[0]) > CLUSTER:
        halves = []
        for part in parts:
            inside = points[part]
            order = inside[:, int((inside.amax(0) - inside.amin(0)).argmax())].argsort()
            half = (len(part) + 1) // 2
            halves += [part[order[:half]], part[order[half:]]]
        parts = halves
    return parts


def shares(q: Tensor, p: Tensor, alpha: float, sigma: float) -> dict[str, Tensor]:
    """Share of the patches p [n, d] that each bound leaves, for each query q [m, d]."""
    n, d = p.shape
    exact = energies(q, p, alpha, sigma)
    logit = exact.amin(1, keepdim=True) - exact
    total = logit.exp().sum(1, keepdim=True)
    # A patch may be skipped if n like it weigh less than TOLERANCE of the sum.
    limit = exact.amin(1, keepdim=True) + math.log(n / TOLERANCE) - total.log()
    kept = logit.exp().sort(1).values.cumsum(1) >= TOLERANCE * total
    found = {"weighs": kept.double().mean(1), "distance": (exact < limit).double().mean(1)}
    middle = p.mean(0)
    axes = torch.linalg.eigh((p - middle).T @ (p - middle)).eigenvectors.flip(1)
    keys, queries = (p - middle) @ axes, (q - alpha * middle) @ axes

    def reduced(numbers: Tensor, m: int) -> Tensor:
        return torch.cat([numbers[:, :m], numbers[:, m:].norm(dim=1, keepdim=True)], 1)

    for m in COMPONENTS:
        if m < d:
            bound = energies(reduced(queries, m), reduced(keys, m), alpha, sigma)
            found[f"projection {m}"] = (bound < limit).double().mean(1)
    near, far = reduced(keys, CLUSTER_COMPONENTS), reduced(queries, CLUSTER_COMPONENTS)[:, None]
    clusters = boxes(near)
    low = alpha * torch.stack([near[part].amin(0) for part in clusters])
    high = alpha * torch.stack([near[part].amax(0) for part in clusters])
    outside = torch.maximum(low - far, far - high).clamp(min=0)  # (m, clusters, numbers)
    bound = outside.double().square().sum(2) / (2 * sigma**2)
    sizes = torch.tensor([len(part) for part in clusters]).double()
    found["cluster"] = ((bound < limit) * sizes).sum(1) / n
    return found


def distinct(p: Tensor) -> float:
    """Share of the patches that are left when each is kept once."""
    generator = torch.Generator().manual_seed(0)
    key = torch.randint(1, 2**40, (p.shape[1],), generator=generator)
    pixels = ((p + 1) * 127.5).round().long()
    return len(((pixels * key).sum(1)).unique()) / len(p)


def without_weights(images: Tensor, x: Tensor, alpha: float, sigma: float, k: int) -> float:
    """How many times faster the fused kernel is if every comparison counts as out of reach."""
    seconds = {}
    for _ in range(3):
        for bits in (cpu.PRECISION, -1000):
            before, cpu.PRECISION = cpu.PRECISION, bits
            start = time.perf_counter()
            with every_comparison():
                patch_posterior(x, images, alpha, sigma, k, "aware")
            taken = time.perf_counter() - start
            cpu.PRECISION = before
            seconds[bits] = min(seconds.get(bits, math.inf), taken)
    return seconds[cpu.PRECISION] / seconds[-1000]


def measure(whole: ImageSet, held_out: ImageSet, t: float) -> dict[str, float]:
    """Means over all pixels and classes at time t."""
    alpha, sigma = cosine().levels(t)
    k = SCALE.window_at(t)
    assert k is not None
    rows: dict[str, list[float]] = {}
    generator = torch.Generator().manual_seed(0)
    for label in CLASSES:
        images, clean = whole.subset(label).images, held_out.subset(label).images[:4]
        x = alpha * clean + sigma * initial_noise(range(4), clean.shape[1:])
        p, q = patches(images, k), patches(x, k)
        q = q[torch.randperm(len(q), generator=generator)[:PIXELS]]
        for name, share in shares(q, p, alpha, sigma).items():
            rows.setdefault(name, []).extend(share.tolist())
        rows.setdefault("distinct", []).append(distinct(p))
        rows.setdefault("faster", []).append(without_weights(images[:FEW], x, alpha, sigma, k))
    return {"t": t, "window": k, **{name: float(np.mean(row)) for name, row in rows.items()}}


@click.command()
def main() -> None:
    """Measure every step, print the table, write data/results/pruning.json."""
    clock, whole = Stopwatch(), load("fashion_mnist_10k")
    held_out = load("fashion_mnist_test_1k")
    steps = [measure(whole, held_out, t) for t in tqdm(TIMES, disable=None)]
    for step in steps:
        click.echo("  ".join(f"{name} {value:.3g}" for name, value in step.items()))
    config = {"classes": CLASSES, "pixels": PIXELS, "tolerance": TOLERANCE, "scale": SCALE.source}
    config |= {"cluster": CLUSTER, "cluster_components": CLUSTER_COMPONENTS}
    record = RunRecord("benchmarks/pruning.py", config, whole.sha256, clock.seconds)
    path = data_folder() / "results" / "pruning.json"
    write_json(path, {"record": record.json(), "steps": steps})
    click.echo(f"{path}: {clock.seconds / 60:.1f} minutes")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
