"""How well theories predict a network: the same noise through both, compared image by image.

One `Row` is one noise image and one theory. Rows are kept as a tidy csv in data/results, pictures
beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.analysis.intervals import Interval, median_interval
from elslib.analysis.metrics import coefficient_of_determination, pearson_r
from elslib.data.image_set import ImageSet
from elslib.denoisers.baselines import PcaLocality, WienerFilter
from elslib.denoisers.machines import Denoiser, EquivariantLocalScore, IdealScore, LocalScore
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.samplers import common_schedule, initial_noise, sample
from elslib.scales import ScaleTable

THEORY_STEPS, NETWORK_STEPS = 20, (20, 150)

# Theories whose pictures are kept beside the network's.
SHOWN = ("ELS", "LS", "IS")


@dataclass(frozen=True)
class Row:
    """Agreement of one theory's sample with the network's from the same noise, seed and class.

    `network_steps` tells the network's samples apart; r is Pearson's, r2 its square, R2 the
    coefficient of determination with the network as truth.
    """

    seed: int
    label: int | None
    theory: str
    network_steps: int
    r: float
    r2: float
    R2: float


def theories(
    network: NetworkDenoiser, images: ImageSet, scales: Mapping[str, ScaleTable]
) -> dict[str, Denoiser]:
    """The theories and baselines of a network, all on exactly its training images.

    `scales` holds those calibrated for it, "ls" and "els".
    """
    schedule, edges = network.schedule, network.edges
    return {
        "IS": IdealScore(images, schedule=schedule),
        "LS": LocalScore(images, scales["ls"], schedule=schedule),
        "ELS": EquivariantLocalScore(images, scales["els"], edges=edges, schedule=schedule),
        "Wiener": WienerFilter(images, schedule=schedule),
        # The smaller threshold is the better one on grey images: a baseline should be at its best.
        "PCA": PcaLocality(images, threshold=0.005, schedule=schedule),
    }


@dataclass(frozen=True)
class Drawn:
    """What a network, by its number of steps, and theories draw from the noise of some seeds."""

    seeds: Sequence[int]
    label: int | None
    network: Mapping[int, Float[Tensor, "b c h w"]]
    theories: Mapping[str, Float[Tensor, "b c h w"]]

    @property
    def pictures(self) -> dict[str, Float[Tensor, "b c h w"]]:
        """Those that are kept, of the network after most steps, and of the theories in SHOWN."""
        theories = {name: self.theories[name] for name in SHOWN if name in self.theories}
        return {"network": self.network[max(self.network)], **theories}


def draw(
    network: Denoiser,
    theories: Mapping[str, Denoiser],
    seeds: Sequence[int],
    label: int | None,
    shape: Sequence[int],
    theory_steps: int = THEORY_STEPS,
) -> Drawn:
    """Sample every theory and the network from the noise of these seeds, of one class.

    Theories take `theory_steps`, the network 20 and 150. `shape` is that of an image, [c, h, w].
    Raises ValueError unless all have one schedule.
    """
    common_schedule(network, *theories.values())
    noise = initial_noise(seeds, shape)
    labels = None if label is None else torch.full((len(seeds),), label)
    return Drawn(
        seeds,
        label,
        {steps: sample(network, noise, labels, steps) for steps in NETWORK_STEPS},
        {name: sample(theory, noise, labels, theory_steps) for name, theory in theories.items()},
    )


def compare(drawn: Drawn) -> list[Row]:
    """One row for each seed, theory and number of steps of the network."""
    return [
        row
        for name, prediction in drawn.theories.items()
        for steps, truth in drawn.network.items()
        for row in _rows(name, steps, drawn.seeds, drawn.label, prediction, truth)
    ]


def _rows(
    name: str,
    steps: int,
    seeds: Sequence[int],
    label: int | None,
    prediction: Float[Tensor, "b c h w"],
    truth: Float[Tensor, "b c h w"],
) -> list[Row]:
    r = pearson_r(prediction, truth).tolist()
    determination = coefficient_of_determination(prediction, truth).tolist()
    return [
        Row(seed, label, name, steps, round(r_i, 6), round(r_i**2, 6), round(R_i, 6))
        for seed, r_i, R_i in zip(seeds, r, determination, strict=True)
    ]


def batches(seeds: Iterable[int], classes: int | None) -> list[tuple[int | None, list[int]]]:
    """Seeds by class, seed s having class s mod `classes`; ten at a time if there is no class."""
    seeds = list(seeds)
    if classes is None:
        return [(None, seeds[i : i + 10]) for i in range(0, len(seeds), 10)]
    return [(y, some) for y in range(classes) if (some := [s for s in seeds if s % classes == y])]


def examples(rows: Iterable[Row], n: int, theory: str = "ELS") -> dict[str, list[int]]:
    """The `n` seeds on which a theory is best, about its median, and worst, by r at 150 steps.

    Raises ValueError for fewer than 3n seeds, or n below 1.
    """
    chosen = [row for row in rows if row.theory == theory and row.network_steps == 150]
    seeds = [row.seed for row in sorted(chosen, key=lambda row: -row.r)]
    if not 1 <= n <= len(seeds) // 3:
        raise ValueError(f"n must lie in 1..{len(seeds) // 3}, a third of the seeds, got {n}.")
    middle = (len(seeds) - n) // 2
    return {"best": seeds[:n], "median": seeds[middle : middle + n], "worst": seeds[-n:]}


def values(
    rows: Iterable[Row], theory: str, steps: int = 150, measure: str = "r"
) -> Float[Tensor, " n"]:
    """One measure of one theory, in the order of the seeds; float64. ValueError if none."""
    chosen = [row for row in rows if row.theory == theory and row.network_steps == steps]
    if not chosen:
        raise ValueError(f"rows must hold theory {theory!r} at {steps} network steps, got none.")
    chosen.sort(key=lambda row: row.seed)
    return torch.tensor([getattr(row, measure) for row in chosen], dtype=torch.float64)


def median(rows: Iterable[Row], theory: str, steps: int = 150, measure: str = "r") -> Interval:
    """Median over the seeds with its 95% bootstrap interval."""
    return median_interval(values(rows, theory, steps, measure))


def share_above(rows: Sequence[Row], theory: str, other: str = "IS", steps: int = 150) -> float:
    """Share of the seeds on which a theory's r exceeds another's. ValueError unless they have the
    same seeds."""
    has = {
        name: sorted(row.seed for row in rows if (row.theory, row.network_steps) == (name, steps))
        for name in (theory, other)
    }
    if has[theory] != has[other]:
        raise ValueError(f"rows must hold {theory!r} and {other!r} on the same seeds, got others.")
    return float((values(rows, theory, steps) > values(rows, other, steps)).double().mean())
