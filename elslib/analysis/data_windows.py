"""Windows that the training images suggest by themselves: no network is asked.

Two rules, each with a constant that was fixed on one network, the ResNet of clothes, and then kept.
*Entropy windows*: networks stay on the side where pixels are undecided between many patches, so
take the widest window that leaves them so (after Hunt, Kamb and Ganguli, 2026). *Wiener windows*:
the best linear denoiser weighs the pixels around the one that it guesses, so take the window that
holds those that count (after Lukoianov et al., 2025).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from elslib.checks import checked
from elslib.data.image_set import ImageSet
from elslib.denoisers.baselines import StationaryWienerFilter
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.samplers import initial_noise, uniform_times
from elslib.scales import ScaleTable, constant_scale
from elslib.schedules import Schedule, cosine
from elslib.windows import Border

SIDES = (3, 5, 7, 9, 11, 13)
NATS, SHARE = 9.0, 0.25
TIMES = tuple(sorted(uniform_times(20))[1:])
EXAMPLES = 10


@checked
def entropy_windows(
    images: ImageSet,
    *,
    by_class: bool = True,
    nats: float = NATS,
    sides: Sequence[int] = SIDES,
    times: Sequence[float] = TIMES,
    edges: Border = "aware",
    schedule: Schedule | None = None,
) -> ScaleTable:
    """At each time the widest of `sides` with a median posterior entropy of at least `nats`.

    The median is over all pixels of some images that are taken out of the others, one of each class
    that has two, but ten at most, with noise of the seeds 0, 1, ..; the posterior is over the
    patches of the others, of their class. The narrowest side where even it has less. Entropy falls
    as windows grow, so halving finds it. Raises ValueError unless `sides` are odd and increase, for
    classes of one image each, and for what a machine refuses.

    Parameters
    ----------
    images
        those that a network would be trained on
    by_class
        whether a posterior is over one class, as of a network that is told it
    nats
        of entropy: its exponential is an effective number of patches
    times
        increasing, in (0, 1]
    edges
        which places of an image a pixel compares itself with
    schedule
        of noise; by default the cosine's
    """
    schedule, times = schedule or cosine(), _times(times)
    chosen = _examples(images, by_class)
    examples, others = images.select(chosen).pixels, images.without(chosen)
    noise = initial_noise(range(len(examples)), examples.shape[1:]).to(examples)
    labels = images.labels[chosen].tolist() if by_class and images.labels is not None else None
    machines = {
        side: EquivariantLocalScore(others, constant_scale(side), edges=edges, schedule=schedule)
        for side in _increasing(sides)
    }

    def undecided(side: int, t: float) -> bool:
        alpha, sigma = schedule.levels(t)
        x = alpha * examples + sigma * noise
        classes = [None] * len(x) if labels is None else labels
        found = [machines[side].posterior(x[[i]], t, y).entropy for i, y in enumerate(classes)]
        return float(torch.cat(found).median()) >= nats

    windows = []
    for t in times:
        low, high = 0, len(sides) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if undecided(sides[middle], t) else (low, middle - 1)
        windows.append(sides[low])
    return ScaleTable(tuple(times), tuple(windows), f"entropy of {nats:g} nats, {images.name}")


def _examples(images: ImageSet, by_class: bool) -> list[int]:
    """The first image of each class that has another one, or the first ones."""
    if not by_class or images.labels is None:
        chosen = list(range(min(EXAMPLES, len(images) - 1)))
    else:
        of_class = (images.of_class(y) for y in sorted(set(images.labels.tolist())))
        chosen = [int(numbers[0]) for numbers in of_class if len(numbers) > 1][:EXAMPLES]
    if not chosen:
        raise ValueError(
            f"images must hold at least two of a class, one to ask and one to answer, got "
            f"{len(images)} in {images.name!r}; by_class=False asks all."
        )
    return chosen


@checked
def wiener_windows(
    images: ImageSet,
    *,
    share: float = SHARE,
    sides: Sequence[int] = SIDES,
    times: Sequence[float] = TIMES,
    schedule: Schedule | None = None,
) -> ScaleTable:
    """At each time the narrowest of `sides` outside which no pixel has `share` of the weight that
    the best linear filter gives to the pixel in the middle.

    The filter moves with its input (`StationaryWienerFilter`), so it is one picture of weights: its
    answer to a single bright pixel, channels added up by absolute value. The widest side where none
    is enough. Raises ValueError unless `sides` are odd and increase, and 0 < share < 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}; .1 is a tenth.")
    sides, times = _increasing(sides), _times(times)
    c, h, w = images.pixels.shape[1:]
    denoise = StationaryWienerFilter(images, schedule=schedule or cosine())
    dot = images.pixels.new_zeros(c + 1, c, h, w)
    dot[range(c), range(c), h // 2, w // 2] = 1  # one in each channel, and none
    row, col = (torch.arange(n, device=dot.device) - n // 2 for n in (h, w))
    apart = torch.maximum(row.abs()[:, None], col.abs())
    windows = [_holding(apart[_weights(denoise(dot, t)) >= share], sides) for t in times]
    return ScaleTable(tuple(times), tuple(windows), f"Wiener filter, {share:g}, {images.name}")


def _weights(answer: Tensor) -> Tensor:
    """What a pixel counts for the one in the middle, which counts 1 [h, w], given the answers to
    one dot in each channel and to none."""
    weight = (answer[:-1] - answer[-1]).abs().sum((0, 1))
    middle = weight[weight.shape[0] // 2, weight.shape[1] // 2]
    if not middle > 0:
        raise ValueError("images must differ, got equal ones: of them no filter learns anything.")
    return weight / middle


def _holding(distances: Tensor, sides: Sequence[int]) -> int:
    """The narrowest window that reaches so far, or else the widest."""
    reach = int(distances.max())
    return next((side for side in sides if side // 2 >= reach), sides[-1])


def _increasing(sides: Sequence[int]) -> Sequence[int]:
    """The sides themselves, once they are what they must be."""
    if not sides or any(side < 1 or side % 2 == 0 for side in sides) or sorted(sides) != [*sides]:
        raise ValueError(f"sides must be odd, at least 1 and increase, got {list(sides)}.")
    return sides


def _times(times: Sequence[float]) -> Sequence[float]:
    """The same of times, before any work is done."""
    if not times or not all(0 < t <= 1 for t in times) or sorted({*times}) != [*times]:
        raise ValueError(f"times must increase within (0, 1], got {list(times)}.")
    return times
