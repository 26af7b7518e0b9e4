"""Pictures whose limbs the book counts: the same noise through a network and its theory.

`benchmarks/limb_samples.py` draws them; here they are read back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.analysis.agreement import NETWORK_STEPS, THEORY_STEPS
from elslib.analysis.limbs import EXPECTED, Kind, count_limbs
from elslib.analysis.theories import theory_of
from elslib.data.pixels import from_uint8
from elslib.experiments.spot_checks import spot_checks
from elslib.experiments.store import (
    check_belongs,
    load_network,
    load_scale,
    made_of,
    read_config,
    result_path,
    training_images,
)
from elslib.samplers import initial_noise, sample

# 0.004 is the rounding to bytes; other processors round otherwise.
ALIKE = 0.02


@dataclass(frozen=True)
class LimbResults:
    """What each painter drew of each noise image.

    Attributes
    ----------
    kind
        for each kind of limb that was drawn, the numbers of its noise images
    label
        class of each noise image
    seed
        its seed
    drawn
        by painter ("theory", "network", others), in [-1, 1], off by 1/255
    sheet
        which pictures were shown to be counted by eye: number of the noise image; 0 if the
        network drew it, 1 if the theory
    run
        how they were drawn: "windows", "seeds", "late", "sides", "kinds"
    """

    kind: Mapping[Kind, Int[Tensor, " _"]]
    label: Int[Tensor, " n"]
    seed: Int[Tensor, " n"]
    drawn: Mapping[str, Float[Tensor, "n 1 h w"]]
    sheet: Int[Tensor, "m 2"]
    run: Mapping

    def counts(self, painter: str) -> Int[Tensor, " n"]:
        """Limbs in each picture of a painter, of the kind that is counted there."""
        found = torch.zeros_like(self.label)
        for kind, rows in self.kind.items():
            found[rows] = count_limbs(self.drawn[painter][rows], kind)
        return found

    @property
    def expected(self) -> Int[Tensor, " n"]:
        """How many limbs each picture should have."""
        found = torch.zeros_like(self.label)
        for kind, rows in self.kind.items():
            found[rows] = EXPECTED[kind]
        return found


def read_limb_results(network: str) -> LimbResults:
    """The pictures that a network and its theory drew.

    Raises FileNotFoundError if none were drawn, ValueError if the network has other weights, other
    images or other windows now.
    """
    record = result_path("limbs", network)
    path = record.with_suffix(".npz")
    if not path.is_file() or not record.is_file():
        raise FileNotFoundError(
            f"no pictures of {network!r} whose limbs to count ({path} with its record .json); draw "
            f"them with `benchmarks/limb_samples.py sample --network {network}`."
        )
    run, windows = read_config(record), list(load_scale(network, "els").windows)
    now = {**made_of(network, training_images(network)), "windows": windows}
    remedy = "delete it and draw it again with `benchmarks/limb_samples.py`"
    check_belongs(path, repr(network), run, now, remedy)
    with np.load(path) as file:
        arrays = dict(file)
    kinds, label, seed, sheet = (arrays.pop(key) for key in ("kind", "label", "seed", "sheet"))
    return LimbResults(
        {k: torch.from_numpy(np.flatnonzero(kinds == k)) for k in EXPECTED if k in kinds},
        torch.from_numpy(label),
        torch.from_numpy(seed),
        {name: from_uint8(torch.from_numpy(x[:, None])) for name, x in arrays.items()},
        torch.from_numpy(sheet),
        run,
    )


@dataclass(frozen=True)
class Redrawn:
    """A kept picture drawn anew: whose, of which noise image, and how far the farthest pixel is."""

    painter: str
    row: int
    difference: float


def draw_again(network: str, kept: LimbResults, rows: Iterable[int]) -> Iterator[Redrawn]:
    """Draw what theory and network made of some noise images anew, as a check.

    Raises AssertionError if a picture is another one now, more than 0.02 off.
    """
    images, denoiser = training_images(network), load_network(network)
    theory = theory_of(denoiser, images, load_scale(network, "els"))
    painters = {
        "theory": (theory, THEORY_STEPS),
        "network": (denoiser, max(NETWORK_STEPS)),
    }
    for row in rows:
        noise = initial_noise([int(kept.seed[row])], images.pixels.shape[1:])
        for name, (painter, steps) in painters.items():
            x = sample(painter, noise, kept.label[[row]], steps)
            difference = float((x[0].clamp(-1, 1) - kept.drawn[name][row]).abs().max())
            if not difference <= ALIKE:
                raise AssertionError(
                    f"row {row} by the {name} is {difference} off the kept picture of {network}."
                )
            yield Redrawn(name, row, difference)


def redrawn_table(network: str, kept: LimbResults, n: int, seed: int = 0) -> list[list]:
    """`draw_again` for n noise images, as rows with the largest difference of a pixel, names first.

    A hash of the source of `draw_again` chooses them, `seed` counts on from there. Raises
    ValueError for more noise images than there are, AssertionError as `draw_again` does.
    """
    names = training_images(network).class_names
    table: list[list] = [["class", "seed", "drawn by", "largest difference"]]
    rows = [(row + seed) % len(kept.seed) for row in spot_checks(len(kept.seed), n, draw_again)]
    for again in draw_again(network, kept, rows):
        label, noise_seed = int(kept.label[again.row]), int(kept.seed[again.row])
        table.append([names[label], noise_seed, again.painter, f"{again.difference:.3f}"])
    return table
