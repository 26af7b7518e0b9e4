"""How far theories come with a network, and how far they could: three results, read back.

`benchmarks/ceiling.py` compares two trainings of one recipe, `benchmarks/parting.py` hands a
network's samples over to theories on the way, `benchmarks/reasons.py` tries rivals of the fold.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from elslib.analysis.agreement import values
from elslib.experiments.agreement_results import read_rows, with_results
from elslib.experiments.store import load_card, read_result, result_path


@dataclass(frozen=True)
class Parting:
    """What theories make of a network's noisy images at some times.

    Attributes
    ----------
    times
        of the hand-over, falling; at 1 the theory draws alone
    r
        by theory, Pearson's r with the network's own end of each time and noise image
    error
        by theory, mean squared difference from it at each time and distance from the border, over
        the noise images, in units of the images
    variance
        of the network's pictures at each distance from the border
    """

    times: tuple[float, ...]
    r: Mapping[str, Float[Tensor, "times n"]]
    error: Mapping[str, Float[Tensor, "times rings"]]
    variance: Float[Tensor, " rings"]

    def rest(self, theory: str) -> Float[Tensor, " times"]:
        """1 - r at each time: the median over the noise images."""
        return (1 - self.r[theory]).quantile(0.5, dim=1)

    def shares(self, theory: str) -> Float[Tensor, " rings"]:
        """Error of a theory that draws alone, as a share of the variance there; NaN where next to
        nothing varies, less than a fiftieth of the most."""
        varies = self.variance > 0.02 * self.variance.max()
        return torch.where(varies, self.error[theory][0] / self.variance, torch.nan)


def left_over(rows: pd.DataFrame, theory: str, steps: int = 150) -> Float[Tensor, " n"]:
    """(1 - r of a theory) / (1 - r of ELS), by noise image: below 1 it is nearer than ELS to what
    the network draws in so many steps."""
    return (1 - values(rows, theory, steps)) / (1 - values(rows, "ELS", steps))


def compared_with(theory: str) -> list[str]:
    """The networks whose agreement with a theory is kept, in the order of the recipes."""
    return [name for name in with_results() if theory in set(read_rows(name).theory)]


def read_ceiling(network: str, steps: int = 150) -> Float[Tensor, " n"] | None:
    """Pearson's r of a network with one that differs in its seed alone, by noise image; None if
    nobody has compared two. ValueError if they are of other weights."""
    if not result_path("ceiling", network).is_file():
        return None
    rows = pd.DataFrame(read_result("ceiling", network, "ceiling")["rows"])
    found = rows.loc[rows.steps == steps, :].sort_values("seed").r.tolist()
    return torch.tensor(found, dtype=torch.float64, device="cpu")


def check_twins(network: str, again: str) -> None:
    """Raise ValueError unless two networks differ in their seed alone."""
    one, two = load_card(network), load_card(again)
    how, other = one["training"], two["training"]
    same = how | {"seed": None} == other | {"seed": None} and how["seed"] != other["seed"]
    images = [card["images"]["sha256"] for card in (one, two)]
    if not same or one["network"] != two["network"] or len(set(images)) > 1:
        raise ValueError(f"again must be {network} trained again with another seed, got {again!r}.")


def read_reasons(network: str) -> pd.DataFrame:
    """A table like those of `read_rows`, of r alone: of ELS, the fold and its rivals, against the
    network in 150 steps.

    FileNotFoundError if they were not tried, ValueError if that was with other weights.
    """
    rows = read_result("reasons", network, "reasons")["rows"]
    return pd.DataFrame(rows).assign(network_steps=150)


def corrected(r: Float[Tensor, " n"], ceiling: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """r / sqrt(r_cc): 1 is all that could be predicted of a network, given r_cc of two trainings.

    If each picture is a common one and a part of the training's own, two of them share r_cc of
    their variance, and the common one has sqrt(r_cc) with each. Noise images are those of both.
    """
    return r / ceiling[: len(r)].sqrt()


def read_parting(network: str) -> Parting:
    """Where theories part from a network. FileNotFoundError if it was not handed over, ValueError
    if that was with other weights."""
    content = read_result("parting", network, "parting")
    rows = pd.DataFrame(content["rows"])
    times = tuple(sorted(set(rows.t), reverse=True))
    r, error = {}, {}
    for theory, of_one in rows.groupby("theory", sort=False):
        at = [of_one.loc[of_one.t == t, :].sort_values("seed") for t in times]
        r[str(theory)] = _float64([list(some.r) for some in at])
        error[str(theory)] = _float64([list(some.error) for some in at]).mean(1)
    return Parting(times, r, error, _float64(content["variance"]))


def _float64(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device="cpu")
