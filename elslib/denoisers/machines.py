"""The score machines. Each is a Denoiser: `machine(x, t, label) -> posterior mean of x_0`.

They differ in which pixels are compared and which training positions are admissible; the sum
itself is `elslib.posterior.patch_posterior` for all of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, SupportsIndex, cast, final, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.checks import brief, check_fields, checked
from elslib.data.image_set import ImageSet
from elslib.data.pixels import class_number, holds_integers
from elslib.posterior import PatchDictionary, PatchPosterior, patch_posterior
from elslib.posterior.mass import posterior_and_mass
from elslib.scales import ScaleTable
from elslib.schedules import Schedule, cosine
from elslib.windows import Border, Side

# Which classes a batch is of: one each, or one for all of it; None for none.
Label = Int[Tensor, " b"] | Sequence[int] | SupportsIndex | None

# Bytes of scattered classes, which must be copied, that a set keeps: of a file that exceeds the
# memory all classes together may, too. The rest is copied at each call.
COPIES = 2**30


@runtime_checkable
class Denoiser(Protocol):
    """Anything that estimates the clean image: machines, baselines, wrapped networks."""

    @property
    def schedule(self) -> Schedule:
        """Which noise levels its times mean; samplers read it."""
        ...

    def __call__(self, x: Tensor, t: float | Tensor, label: Tensor | None = None) -> Tensor:
        """Posterior mean of x_0 [b, c, h, w] at noisy x [b, c, h, w], time t and class [b]."""
        ...


@dataclass(frozen=True)
class ScoreMachine(ABC):
    """A posterior over training patches, used as a Denoiser.

    What the sum needs of a class of images again is prepared at its first use, and kept with them.

    Attributes
    ----------
    images
        the training set; its device and dtype decide where and how the sum is done
    schedule
        alpha and sigma over time
    """

    images: ImageSet
    schedule: Schedule = field(default_factory=cosine, kw_only=True)

    def __post_init__(self):
        check_fields(self)

    @property
    @abstractmethod
    def border(self) -> Border:
        """Which training positions are admissible."""

    @abstractmethod
    def window_at(self, t: float) -> Side:
        """The window at time t, None for the whole image."""

    def pools(self, t: float) -> bool:
        """Whether all images count at time t, whatever the label."""
        return False

    @checked
    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Label = None,
    ) -> Float[Tensor, "b c h w"]:
        """Posterior mean of x_0 at noisy x; t in (0, 1]; `label`, one class for all or one each,
        restricts the training set.

        No gradient flows back to x. Raises ValueError for t outside (0, 1], a class nobody has,
        and all that `patch_posterior` refuses.
        """
        return map_by_time_and_label(lambda *rows: self.posterior(*rows).mean, x, t, label)

    @checked
    def posterior(
        self,
        x: Float[Tensor, "b c h w"],
        t: float,
        label: SupportsIndex | None = None,
        *,
        top: int = 0,
    ) -> PatchPosterior:
        """The whole posterior at one t and one class; origins count through `self.images`.

        Raises ValueError as calling the machine does.
        """
        y, question = self._asked(t, label)
        posterior = patch_posterior(x, *question, top=top)
        if posterior.origins is None or y is None:
            return posterior
        image = posterior.origins.image
        place = self.images.of_class(y).to(image.device)
        image = torch.where(image < 0, image, place[image])
        return replace(posterior, origins=replace(posterior.origins, image=image))

    @checked
    def posterior_and_mass(
        self,
        x: Float[Tensor, "b c h w"],
        t: float,
        label: SupportsIndex | None = None,
        *,
        by_pixel: bool = False,
    ) -> tuple[PatchPosterior, Float[Tensor, "b n *pixels"]]:
        """The posterior, and how much of it each training image has.

        Both as `elslib.posterior.mass.posterior_and_mass` gives them. Images count through
        `self.images`; those of other classes than `label` have no mass. The errors of `posterior`.
        """
        y, question = self._asked(t, label)
        posterior, found = posterior_and_mass(x, *question, by_pixel=by_pixel)
        if y is None:
            return posterior, found
        size = (len(x), len(self.images), *found.shape[2:])
        mass = torch.zeros(size, dtype=found.dtype, device="cpu")
        mass[:, self.images.of_class(y).cpu()] = found
        return posterior, mass

    def _asked(
        self, t: float, label: SupportsIndex | None
    ) -> tuple[int | None, tuple[PatchDictionary, float, float, Side, Border]]:
        """The class whose patches are compared at t, None for all; what the engine is asked."""
        y = None if label is None else class_number(label)
        if y is not None and self.pools(t):
            self.images.of_class(y)  # raises for a class nobody has
            y = None
        levels = self.schedule.levels(t)
        return y, (self._dictionary(y), *levels, self.window_at(t), self.border)

    def _dictionary(self, label: int | None) -> PatchDictionary:
        """The patches of a class, or of all images."""
        prepared: dict[int | None, PatchDictionary] = self.images._prepared
        if label in prepared:
            return prepared[label]
        dictionary = PatchDictionary(self.images.subset(label).pixels)
        kept = [dictionary, *prepared.values()]
        whole = self.images.pixels
        if sum(d.images.nbytes for d in kept if not d.shares_memory(whole)) <= COPIES:
            prepared[label] = dictionary
        return dictionary


def labels_of(label: Label, x: Tensor) -> Int[Tensor, " b"] | None:
    """One class for each picture of a batch x [b, c, h, w]: those given, or one for all of them.

    Raises ValueError for what are no whole numbers, and for another number of them than b.
    """
    if label is None:
        return None
    if isinstance(label, SupportsIndex) and not getattr(label, "ndim", 0):
        labels = x.new_full(x.shape[:1], class_number(label), dtype=torch.int64)
    elif isinstance(label, Tensor) and holds_integers(label):
        labels = label.to(x.device, torch.int64)
    else:
        try:
            labels = x.new_tensor([class_number(y) for y in cast(Any, label)], dtype=torch.int64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"label must be whole numbers, one class per image or one for all, got "
                f"{brief(label)}; write 3, [1, 0] or torch.tensor([1, 0])."
            ) from error
    if labels.shape != (len(x),):
        raise ValueError(
            f"label must hold one entry per image, got the shape {tuple(labels.shape)} for a batch "
            f"of {len(x)}; one number, such as 3, is the class of all."
        )
    return labels


def check_times(x: Tensor, t: float | Tensor, name: str = "t") -> None:
    """Raise ValueError unless t is one number or [b]."""
    if isinstance(t, Tensor) and t.ndim and t.shape != (len(x),):
        raise ValueError(
            f"{name} must hold one entry per image, got the shape {tuple(t.shape)} for a batch of "
            f"{len(x)}; give a tensor [b], or one number for all."
        )


def map_by_time_and_label(
    answer: Callable[[Tensor, float, int | None], Tensor],
    x: Tensor,
    t: float | Tensor,
    label: Label,
) -> Tensor:
    """What `answer(rows, t, class)` says, for the rows of a batch that share time and class."""
    check_times(x, t)
    b, labels = len(x), labels_of(label, x)
    times = t.tolist() if isinstance(t, Tensor) and t.ndim else [float(t)] * b
    classes = [None] * b if labels is None else labels.tolist()
    keys, out = list(zip(times, classes, strict=True)), torch.empty_like(x)
    for key in dict.fromkeys(keys):
        rows = x.new_tensor([i for i in range(b) if keys[i] == key], dtype=torch.int64)
        out[rows] = answer(x[rows], *key)
    return out


@final
@dataclass(frozen=True)
class IdealScore(ScoreMachine):
    """IS: whole images compared with whole training images (eqs. 3, 4). It only memorises."""

    @property
    def border(self) -> Border:
        return "fixed"

    def window_at(self, t: float) -> None:
        return None


@final
@dataclass(frozen=True)
class EquivariantScore(ScoreMachine):
    """ES: whole images compared with all cyclic shifts of every image (eqs. 5, 6)."""

    @property
    def border(self) -> Border:
        return "circular"

    def window_at(self, t: float) -> None:
        return None


@final
@dataclass(frozen=True)
class LocalScore(ScoreMachine):
    """LS: a window compared with the same place in every image, clipped at borders (eqs. 7, 8)."""

    scale: ScaleTable

    @property
    def border(self) -> Border:
        return "fixed"

    def window_at(self, t: float) -> Side:
        return self.scale.window_at(t)


@final
@dataclass(frozen=True)
class EquivariantLocalScore(ScoreMachine):
    """ELS: a window compared with every admissible place of every image.

    `edges="aware"`, the machine of zero-padded networks, clips windows and lets a pixel use only
    places with the same borders in view (eq. 41). `edges="circular"` wraps both the query and the
    training patches (eqs. 9, 10, 39, 40); the released code wraps the query only. At times under
    `pooled_below` the patches of all classes count, whatever the label: what a network has learned
    of small patches it need not keep apart by class.
    """

    scale: ScaleTable
    edges: Border = "aware"
    pooled_below: float = field(default=0.0, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        if self.edges not in ("aware", "circular"):
            raise ValueError(
                f"edges must be 'circular', or 'aware' for zero padding, got {self.edges!r}; for a "
                f"fixed place use LocalScore."
            )
        if not self.pooled_below >= 0:
            raise ValueError(
                f"pooled_below must be a time of at least 0, got {self.pooled_below}; 0 keeps the "
                f"classes apart at all times."
            )

    @property
    def border(self) -> Border:
        return self.edges

    def window_at(self, t: float) -> Side:
        return self.scale.window_at(t)

    def pools(self, t: float) -> bool:
        return t < self.pooled_below - 1e-6  # a float32 time may stand a little below its number
