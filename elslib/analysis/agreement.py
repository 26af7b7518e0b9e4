"""How well theories predict a network: the same noise through both, compared image by image.

A table has one row for each seed, theory and number of the network's steps. Its columns:

seed
    of the noise image
label
    its class, or None
theory
    whose sample is compared with the network's
network_steps
    of the network; a theory takes 20
r, r2, R2
    Pearson's r, its square, the coefficient of determination with the network as truth
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from elslib.analysis.intervals import Interval, median_interval
from elslib.analysis.metrics import coefficient_of_determination, pearson_r
from elslib.analysis.theories import THEORIES, classes_of, theories
from elslib.checks import Brief, checked
from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import Denoiser
from elslib.samplers import (
    Sampler,
    common_schedule,
    ddim,
    initial_noise,
    sample,
    times_along,
    uniform_times,
)
from elslib.scales import ScaleTable

THEORY_STEPS, NETWORK_STEPS = 20, (20, 150)

COLUMNS = ["seed", "label", "theory", "network_steps", "r", "r2", "R2"]

# Theories whose pictures are kept beside the network's; those of them that draw training images.
SHOWN, COPIES = ("ELS", "LS", "IS"), ("IS",)


@dataclass(frozen=True)
class Drawn(Brief):
    """What a network, by its number of steps, and theories draw from the noise of some seeds."""

    seeds: Sequence[int]
    label: int | None
    network: Mapping[int, Float[Tensor, "b c h w"]]
    theories: Mapping[str, Float[Tensor, "b c h w"]]

    def pictures(self, theories: Sequence[str]) -> dict[str, Float[Tensor, "b c h w"]]:
        """Those of the network after most steps, "network", and of some theories."""
        shown = {name: self.theories[name] for name in theories}
        return {"network": self.network[max(self.network)], **shown}


@checked
def draw(
    network: Denoiser,
    theories: Mapping[str, Denoiser],
    seeds: Sequence[int],
    label: int | None,
    shape: Sequence[int],
    theory_steps: int = THEORY_STEPS,
    *,
    times: Sequence[float] | None = None,
    sampler: Sampler | str = ddim,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Drawn:
    """Sample every theory and the network from the noise of these seeds, of one class.

    All use one `sampler`. Theories take `theory_steps`, the network 20 and 150, or all go along
    `times`, which end at 0. `shape` is that of an image, [c, h, w]. Raises ValueError unless all
    have one schedule, and what `sample` refuses.
    """
    common_schedule(network, *theories.values())
    noise = initial_noise(seeds, shape).to(device, dtype)

    def drawn(denoise: Denoiser, steps: int) -> Tensor:
        way = uniform_times(steps) if times is None else times
        return sample(denoise, noise, label, times=way, sampler=sampler).cpu()

    network_steps = NETWORK_STEPS if times is None else (len(times) - 1,)
    return Drawn(
        seeds,
        label,
        {steps: drawn(network, steps) for steps in network_steps},
        {name: drawn(theory, theory_steps) for name, theory in theories.items()},
    )


@checked
def compare(drawn: Drawn) -> pd.DataFrame:
    """One row for each seed, theory and number of steps of the network; to six decimals.

    ValueError for pictures that are not finite, or are constant.
    """
    rows = []
    for who, pictures in (*drawn.theories.items(), *drawn.network.items()):
        whole = pictures.isfinite().flatten(1).all(1).tolist()
        if broken := [seed for seed, fine in zip(drawn.seeds, whole, strict=True) if not fine]:
            name = who if isinstance(who, str) else f"the network in {who} steps"
            raise ValueError(
                f"pictures must be finite, got NaN or infinity in what {name} drew from seed "
                f"{broken[0]}; look at its steps, `list(elslib.ddim(denoise, noise, times))`."
            )
    for theory, prediction in drawn.theories.items():
        for steps, truth in drawn.network.items():
            r = pearson_r(prediction, truth)
            R2 = coefficient_of_determination(prediction, truth)
            rows += [
                (seed, drawn.label, theory, steps, round(r_i, 6), round(r_i**2, 6), round(R_i, 6))
                for seed, r_i, R_i in zip(drawn.seeds, r.tolist(), R2.tolist(), strict=True)
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


@checked
def agree(
    network: Denoiser,
    images: ImageSet,
    scales: Mapping[str, ScaleTable],
    seeds: Iterable[int] = range(100),
    names: Sequence[str] = THEORIES,
    *,
    n_steps: int | None = None,
    times: Sequence[float] | None = None,
    sampler: Sampler | str = ddim,
) -> pd.DataFrame:
    """How well theories predict a network: the table of `compare` over many seeds.

    Its columns are seed, label, theory, network_steps, r, r2 and R2: one row for each seed, theory
    and number of the network's steps, sorted by seed. Raises ValueError for no seeds, and for what
    `theories` and `draw` refuse.

    Parameters
    ----------
    network
        any Denoiser; one with `.classes` draws seed s of class s modulo their number
    images
        exactly those that it was trained on; their device is where all is computed
    scales
        windows calibrated for it, "els" and "ls", as far as `names` needs them
    names
        of theories, see `theories`
    n_steps
        equal ones of both sides; by default those of `draw`
    times, sampler
        of both sides, see `draw`; a sampler may be told by its name
    """
    if not (seeds := list(seeds)):
        raise ValueError("seeds must hold at least one, got none.")
    if times is not None or n_steps is not None:
        times = times_along(times, n_steps)
    machines, shape = theories(network, images, scales, names), images.pixels.shape[1:]
    tables = [
        compare(
            draw(
                network, machines, some, label, shape,
                times=times, sampler=sampler, device=images.pixels.device,
                dtype=images.pixels.dtype,
            )
        )
        for label, some in batches(seeds, classes_of(network))
    ]  # fmt: skip
    return pd.concat(tables).sort_values("seed", kind="stable", ignore_index=True)


def batches(seeds: Iterable[int], classes: int | None) -> list[tuple[int | None, list[int]]]:
    """Seeds by class, seed s having class s mod `classes`; ten at a time if there is no class."""
    seeds = list(seeds)
    if classes is None:
        return [(None, seeds[i : i + 10]) for i in range(0, len(seeds), 10)]
    return [(y, some) for y in range(classes) if (some := [s for s in seeds if s % classes == y])]


def of_theory(rows: pd.DataFrame, theory: str, steps: int = 150) -> pd.DataFrame:
    """The rows of one theory at one number of steps, sorted by seed. ValueError if none."""
    chosen = rows.loc[(rows.theory == theory) & (rows.network_steps == steps), :]
    if chosen.empty:
        raise ValueError(f"rows must hold theory {theory!r} at {steps} network steps, got none.")
    return chosen.sort_values("seed", kind="stable")


def values(
    rows: pd.DataFrame, theory: str, steps: int = 150, measure: str = "r"
) -> Float[Tensor, " n"]:
    """One measure of one theory, in the order of the seeds; float64. ValueError if none."""
    found = of_theory(rows, theory, steps)[measure].tolist()
    return torch.tensor(found, dtype=torch.float64, device="cpu")


def median(rows: pd.DataFrame, theory: str, steps: int = 150, measure: str = "r") -> Interval:
    """Median over the seeds with its 95% bootstrap interval."""
    return median_interval(values(rows, theory, steps, measure))


def share_above(rows: pd.DataFrame, theory: str, other: str = "IS", steps: int = 150) -> float:
    """Share of the seeds on which a theory's r exceeds another's. ValueError unless they have the
    same seeds."""
    a, b = (of_theory(rows, name, steps).set_index("seed").r for name in (theory, other))
    if not a.index.equals(b.index):
        raise ValueError(f"rows must hold {theory!r} and {other!r} on the same seeds, got others.")
    return float((a > b).mean())
