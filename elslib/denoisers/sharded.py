"""One sum over several processes, each with a shard of the training images.

`merge` is exact, so the shards together answer as the whole set does. Start them with torchrun.
They talk through gloo, from GPUs too: what a process sends is a posterior, for each pixel of each
query its mean, evidence, entropy and count, some 30 bytes, however many images there are.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import SupportsIndex

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from elslib.data.image_set import ImageSet
from elslib.data.pixels import class_number
from elslib.denoisers.machines import Denoiser, Label, ScoreMachine, map_by_time_and_label
from elslib.posterior import PatchPosterior, merge
from elslib.posterior.result import shift_images
from elslib.schedules import Schedule


@dataclass(frozen=True)
class RankInfo:
    """Which of how many processes this one is."""

    rank: int = 0
    size: int = 1


def current_rank() -> RankInfo:
    """Which of how many processes this one is, as torchrun says; joins nothing."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return RankInfo()
    return RankInfo(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def device(kind: str) -> torch.device:
    """Where this process computes: the processor, "cpu", or a GPU, "cuda", of its own if there are
    enough. ValueError for another kind, and for one that is not there."""
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device must be cpu or cuda, got {kind!r}.")
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ValueError(
            "device must be cpu on this machine, got 'cuda': torch finds no such device."
        )
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())


@contextmanager
def join_processes() -> Iterator[RankInfo]:
    """Join the processes that torchrun started; alone, if it did not start this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield current_rank()
        return
    # One may sum for hours while the others, without an image of the class, wait.
    dist.init_process_group("gloo", timeout=timedelta(days=7))
    try:
        yield current_rank()
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class ShardedDenoiser:
    """A Denoiser: a machine whose training images are spread over processes.

    Every process gets the same answer. Some may have no image of a class.

    Attributes
    ----------
    machine
        on the images of this process, `whole.shard(process.rank, process.size)`
    first
        the number of its first image in the whole set
    process
        this one; all must be asked the same, in the same order
    """

    machine: ScoreMachine
    first: int
    process: RankInfo

    @property
    def schedule(self) -> Schedule:
        """That of the machine."""
        return self.machine.schedule

    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Label = None,
    ) -> Float[Tensor, "b c h w"]:
        """Posterior mean of x_0 over all images; the errors of the machine."""
        return map_by_time_and_label(lambda *rows: self.posterior(*rows).mean, x, t, label)

    def posterior(
        self,
        x: Float[Tensor, "b c h w"],
        t: float,
        label: SupportsIndex | None = None,
        *,
        top: int = 0,
    ) -> PatchPosterior:
        """The posterior over all images, at one t and one class; origins count through them.

        ValueError, on every process, for a class that nobody has.
        """
        y = None if label is None else class_number(label)
        labels, mine = self.machine.images.labels, None
        known = y is None or labels is None or bool((labels == y).any())
        try:
            if known or self.machine.pools(t):
                mine = self.machine.posterior(x, t, y if known else None, top=top)
                mine = shift_images(mine, self.first).to("cpu")
        except ValueError as error:  # all must hear of it, or they would wait
            mine = error
        parts: list[tuple[bool, PatchPosterior | ValueError | None]]
        parts = [(False, None)] * self.process.size
        dist.all_gather_object(parts, (known, mine))
        for _, part in parts:
            if isinstance(part, ValueError):
                raise part
        if not any(known for known, _ in parts):
            raise ValueError(f"label must be a class of the images, got {y}; none has it.")
        found = [part for _, part in parts if isinstance(part, PatchPosterior)]
        return reduce(merge, found).to(x.device)


def shard_denoiser(
    make: Callable[[ImageSet], ScoreMachine], images: ImageSet, process: RankInfo
) -> Denoiser:
    """What `make` makes of the images, its sums spread over the processes.

    ValueError if there are more processes than images.
    """
    if process.size == 1:
        return make(images)
    shard = images.shard(process.rank, process.size)
    return ShardedDenoiser(
        make(shard), images.shard_slice(process.rank, process.size).start, process
    )
