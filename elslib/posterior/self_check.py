"""Whether a fast engine can be trusted on a device: small problems tell, once in a process.

A kernel is compiled where it runs, by a compiler, for a driver and a chip with which nobody may
have tried it before. An error there is loud, but a wrong sum is silent.
"""

import warnings
from collections.abc import Callable
from functools import cache
from textwrap import shorten
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor

from elslib.exact import exact
from elslib.posterior.dictionary import PatchDictionary
from elslib.posterior.query import Query
from elslib.posterior.reference import reference_posterior
from elslib.posterior.result import PatchPosterior
from elslib.windows import Border, as_window

# None where float32 cannot tell energies apart; of the problems below that is true of none.
Engine = Callable[[Tensor, PatchDictionary, Query], PatchPosterior | None]

# How far an engine in float32 may be from the reference engine in float64.
LIMITS = {"mean": 1e-4, "log_sum": 1e-3, "entropy": 1e-3, "count": 0.0}
_ONE_AT_A_TIME = Lock()


class Problem(NamedTuple):
    """Noisy images [b, c, h, w] against n training images, of which half are near-duplicates."""

    border: Border
    b: int
    n: int
    c: int
    h: int
    w: int
    window: int
    sigma: float
    chunk: int | None = None

    def __str__(self) -> str:
        return (
            f"{self.border} border, {self.c} channels, window {self.window}, sigma {self.sigma:g}"
        )


# All borders, grey and colour; more queries and patches than a tile holds, tiles that are not full,
# sums to merge; and a noise so low that expanded squares would lose what tells near-duplicates
# apart.
PROBLEMS = (
    Problem("aware", 2, 7, 1, 7, 6, 3, 0.6, chunk=3),
    Problem("circular", 2, 6, 3, 4, 3, 3, 0.6),
    Problem("fixed", 3, 5, 1, 4, 3, 5, 0.6),
    Problem("aware", 1, 6, 3, 5, 4, 3, 4e-3),
    Problem("circular", 1, 6, 1, 5, 5, 5, 4e-3),
)


def sound(engine: Engine, device: torch.device) -> bool:
    """Whether an engine answers as the reference does on a device: found out when first asked.

    If not, one warning says why. Raises torch.OutOfMemoryError if the device is full, and finds
    out the next time.
    """
    with _ONE_AT_A_TIME:
        return _is_sound(engine, device)


@cache
def _is_sound(engine: Engine, device: torch.device) -> bool:
    why = fault(engine, device)
    if why:
        warnings.warn(
            f"the fused kernel failed its check on {device} and is not used there: {why}. The "
            f"reference engine answers instead, more slowly.",
            stacklevel=4,
        )
    return why is None


def fault(engine: Engine, device: torch.device) -> str | None:
    """What is wrong with an engine on a device, None if nothing was found."""
    for problem in PROBLEMS:
        try:
            why = _difference(engine, device, problem)
        except torch.OutOfMemoryError:  # of what else is on the device it says nothing
            raise
        except Exception as error:  # compilers and drivers have errors of all kinds
            why = f"it raised {type(error).__name__}: {error}"
        if why:
            return shorten(f"{why} ({problem})", 400)
    return None


def _difference(engine: Engine, device: torch.device, problem: Problem) -> str | None:
    """Where an engine's answer differs from the reference engine's on the processor."""
    x, images, query = _posed(problem)
    fast = engine(x.to(device), PatchDictionary(images.to(device)), query)
    if fast is None:
        return "it did not answer"
    with exact(x):
        slow = reference_posterior(x.double(), PatchDictionary(images.double()), query)
    for name, limit in LIMITS.items():
        found = getattr(fast, name).cpu().double()
        off = float((found - getattr(slow, name).double()).abs().max())
        if not off <= limit:  # NaN is no number within a limit
            return f"its {name} is off by {off:.1e}, more than {limit:g}"
    return None


def _posed(problem: Problem) -> tuple[Tensor, Tensor, Query]:
    """x, training images and the query of a problem: always the same numbers."""
    border, b, n, c, h, w, window, sigma, chunk = problem
    generator = torch.Generator("cpu").manual_seed(0)

    def noise(count: int) -> Tensor:
        return torch.randn(count, c, h, w, generator=generator, dtype=torch.float32, device="cpu")

    images = noise(n).clamp(-1, 1)
    near = n // 2
    images[:near] = images[:1] + 2e-3 * noise(near)
    images[-1] = images[0]
    alpha = (1 - sigma**2) ** 0.5
    x = alpha * images[:b] + sigma * noise(b)
    return x, images, Query(alpha, sigma, as_window(window), border, chunk=chunk)
