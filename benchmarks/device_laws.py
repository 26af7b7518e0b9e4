"""Whether the kernel is right on a device: three parts of `device.py`, and what all share."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, reduce
from itertools import product
from typing import NamedTuple

import click
import torch
from dense import dense_posterior
from posterior import BORDERS, noisy, window_at
from torch import Tensor

from elslib.data.named import load
from elslib.exact import exact
from elslib.posterior import PatchDictionary, PatchPosterior, merge
from elslib.posterior.query import Query
from elslib.posterior.reference import reference_posterior
from elslib.posterior.self_check import LIMITS, fault
from elslib.samplers import uniform_times
from elslib.schedules import cosine
from elslib.windows import Border, as_window

SETS = {"grey": "fashion_mnist_10k", "colour": "cifar10_10k"}
# Answers of the kernel to the same question, asked in another way, differ by rounding only.
SAME = 1e-5


class Sizes(NamedTuple):
    """How large the problems are."""

    side: int
    steps: int
    windows: tuple[int, ...]  # whose speed is measured first; the last is the largest of all
    few: int  # training images for what is slow
    many: int
    batch: int
    samples: int
    problems: tuple[tuple[int, int, int], ...]  # n, h, w: laws are tried on them
    every: int  # one in so many of these, with each time, border and number of channels
    repeats: int
    enough: float  # seconds that a call should take whose speed is measured


FULL = Sizes(
    32, 20, (3, 7, 11, 17), 256, 60_000, 8, 100, ((11, 13, 10), (40, 8, 17)), 1, 3, 0.1
)  # fmt: skip
TINY = Sizes(4, 2, (3,), 4, 12, 2, 2, ((5, 4, 3),), 7, 1, 0.0)


class Bench(NamedTuple):
    """Where a part measures, how large its problems are, and when it stops."""

    device: torch.device
    sizes: Sizes
    end: float

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.end

    def images(self, colour: str, n: int) -> Tensor:
        """Training images of an embedded set."""
        side = self.sizes.side
        return embedded(colour)[:n, :, -side:, -side:].contiguous().to(self.device)

    def window_at(self, t: float) -> int:
        """The published window of FashionMNIST's ResNet, or the largest that is tried."""
        return min(window_at(t), self.sizes.windows[-1])

    def times(self) -> list[float]:
        """Those of a sampler, from noise to image."""
        return uniform_times(self.sizes.steps)[:-1]

    def seconds(self, run: Callable[[], object]) -> float:
        """Wall-clock seconds of one call, to the end of all that it started."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        """Until the device is idle."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@cache
def embedded(colour: str) -> Tensor:
    """An embedded set, read once."""
    return load(SETS[colour]).pixels


def kernel(x: Tensor, images: Tensor | PatchDictionary, query: Query) -> PatchPosterior:
    """The kernel's own answer, with no other engine to fall back on."""
    # Triton looks at the environment when a kernel is declared, and `main` sets it.
    from elslib.posterior.triton_backend import kernel_posterior

    dictionary = images if isinstance(images, PatchDictionary) else PatchDictionary(images)
    with exact(x):
        found = kernel_posterior(x, dictionary, query)
    if found is None:
        raise ArithmeticError(f"float32 cannot tell energies apart at {query}")
    return found


def double(x: Tensor, images: Tensor, query: Query) -> PatchPosterior:
    """The reference engine's answer in float64."""
    with exact(x):
        return reference_posterior(x.double(), PatchDictionary(images.double()), query)


def dense(x: Tensor, images: Tensor, query: Query) -> Tensor:
    """The baseline's mean for one noisy image."""
    assert query.window is not None
    levels = query.alpha, query.sigma
    return dense_posterior(x, images, *levels, query.window.side, query.border)


def asked(t: float, window: int, border: Border) -> Query:
    """The query at time t."""
    return Query(*cosine().levels(t), as_window(window), border)


def off(found: Tensor, right: Tensor) -> float:
    """The largest difference; infinite if there is a NaN."""
    return float((found.double() - right.double()).abs().nan_to_num(torch.inf).max())


def check(bench: Bench) -> dict:
    """What the library's own check of the kernel says; its seconds with compiling, and without."""
    from elslib.posterior.triton_backend import kernel_posterior

    found: list[str | None] = []

    def run() -> None:
        found.append(fault(kernel_posterior, bench.device))

    times = {"seconds_first": bench.seconds(run), "seconds_again": bench.seconds(run)}
    click.echo(f"self-check: {found[0] or 'passes'}; {times}")
    return {"fault": found[0], "holds": found == [None, None], **times}


def laws(bench: Bench) -> dict:
    """Largest differences from the reference engine, and between ways of asking the same."""
    limits = LIMITS | dict.fromkeys(("shards", "chunks", "one by one", "order"), SAME)
    cases = list(product(bench.sizes.problems, (0.9, 0.4, 0.05), (*BORDERS, "fixed"), (1, 3)))
    rows, cases = [], cases[:: bench.sizes.every]
    for (n, h, w), t, border, c in cases:
        generator = torch.Generator().manual_seed(h)
        images = (torch.rand(n, c, h, w, generator=generator) * 2 - 1).to(bench.device)
        images[-1] = images[0]  # the dictionary is a multiset
        here = _differences(noisy(images[:2], t), images, asked(t, 3, border))
        rows.append({"shape": [n, c, h, w], "t": t, "border": border, **here})
        if bench.is_over:
            break
    largest = {name: max(row[name] for row in rows) for name in limits}
    for name, limit in limits.items():
        click.echo(f"{name:>12} differs by at most {largest[name]:.1e} (limit {limit:g})")
    return {
        "limits": limits, "largest": largest, "unfinished": len(rows) < len(cases),
        "holds": all(largest[name] <= limit for name, limit in limits.items()), "problems": rows,
    }  # fmt: skip


def _differences(x: Tensor, images: Tensor, query: Query) -> dict[str, float]:
    whole, right = kernel(x, images, query), double(x, images, query)
    shards = reduce(merge, (kernel(x, part, query) for part in images.tensor_split(2)))
    ways = {
        "shards": shards.mean,
        "chunks": kernel(x, images, replace(query, chunk=3)).mean,
        "one by one": torch.cat([kernel(one[None], images, query).mean for one in x]),
        "order": kernel(x, images.flip(0), query).mean,
    }
    found = {name: off(getattr(whole, name), getattr(right, name)) for name in LIMITS}
    return found | {name: off(mean, whole.mean) for name, mean in ways.items()}


def errors(bench: Bench) -> dict:
    """Largest error of the mean against float64 at each step, near-duplicates among the images."""
    generator, few, rows = torch.Generator().manual_seed(0), bench.sizes.few // 2, []
    cases = list(product(reversed(bench.times()), BORDERS, SETS))  # low noise first
    for t, border, colour in cases:
        images = bench.images(colour, few)
        near = images[: max(1, few // 4)]
        moved = near + 2e-3 * torch.randn(near.shape, generator=generator).to(near)
        images = torch.cat([images, moved.clamp(-1, 1), images[:1]])
        x, query = noisy(images[:2], t), asked(t, bench.window_at(t), border)
        right = double(x, images, query).mean
        rows.append({
            "t": t, "border": border, "colour": colour,
            "kernel": off(kernel(x, images, query).mean, right),
            "dense": off(torch.cat([dense(one[None], images, query) for one in x]), right),
        })  # fmt: skip
        if bench.is_over:
            break
    largest = {name: max(row[name] for row in rows) for name in ("kernel", "dense")}
    click.echo(f"largest error in {len(rows)} steps: {largest} (limit {LIMITS['mean']:g})")
    return {
        "limit": LIMITS["mean"], "largest": largest, "unfinished": len(rows) < len(cases),
        "holds": largest["kernel"] <= LIMITS["mean"], "steps": rows,
    }  # fmt: skip
