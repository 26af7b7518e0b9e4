"""How many legs, sleeves or bodies a garment of FashionMNIST has, counted from the image alone.

Locality makes a machine lose count, so generated trousers have three legs and shoes fall apart.
No network looks here: a threshold, silhouettes and rows. `benchmarks/limbs.py` says how often that
is right, on photographs and on errors planted into them.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import ndimage
from torch import Tensor

Kind = Literal["legs", "sleeves", "bodies"]
Array = np.ndarray

# What is counted in a class of FashionMNIST. Not here: T-shirts and shirts, whose sleeves are long,
# short or none; sandals, which are too open; dresses and bags, which have no limbs.
KINDS: Mapping[int, Kind] = {1: "legs", 2: "sleeves", 4: "sleeves", 7: "bodies", 9: "bodies"}
EXPECTED: Mapping[Kind, int] = {"legs": 2, "sleeves": 2, "bodies": 1}

# All tuned on training images. Brightness is 0 for black and 1 for white; a garment's own
# brightness is the upper quartile of what is brighter than GHOST.
GHOST = 0.05
FEWEST = 12  # lit pixels; fewer are no garment
CLOTH = 0.2  # share of the garment's brightness that is cloth, when its outline is wanted
# Legs: a dip this deep between two peaks parts them, in this share of the rows of the lower half.
DIP, LEG_PEAK, LEG_ROWS = 0.3, 0.3, 0.3
# Sleeves: rows of the arms and of the hem, by height. Half a row, from the axis, is the trunk
# alone, or with a sleeve that touches it, or with two. A half below NARROWER of the other has one
# sleeve less. Halves alike have one each above WIDE of the height or WIDER times the hem; of unlike
# ones the narrower has one above TWO of the height, so that the other has two.
ARMS, HEM, NARROWER, WIDE, WIDER, TWO = (0.35, 0.75), (0.8, 0.97), 0.83, 0.31, 1.3, 0.32
# Bodies: share of the garment's brightness, and of its area, below which a piece is no body.
SOLID, PIECE = 0.4, 0.08


def count_limbs(images: Float[Tensor, "b 1 h w"], kind: Kind) -> Int[Tensor, " b"]:
    """Limbs of each image, a bright garment that stands upright on black (-1); int64, on the CPU.

    legs
        limbs side by side in the lower half of trousers
    sleeves
        long sleeves beside the trunk of a top, hanging apart or merged with it; a short one
        ends above the rows that are looked at, and those of a narrow coat may be missed
    bodies
        pieces of a shoe that do not touch; a dark line one pixel high is its sole, no gap

    Values beyond [-1, 1], which samplers produce, count as the nearest value inside. An image with
    nothing on it has 0 limbs. Raises ValueError for an unknown kind, colour, NaN or infinity.
    """
    if kind not in COUNTERS:
        raise ValueError(f"kind must be one of {', '.join(COUNTERS)}, got {kind!r}; see KINDS.")
    pictures = [_garment(picture) for picture in _brightness(images)]
    counts = [0 if picture is None else COUNTERS[kind](picture) for picture in pictures]
    return torch.tensor(counts, dtype=torch.int64, device="cpu")


def counted_parts(images: Float[Tensor, "b 1 h w"], kind: Kind) -> Int[Tensor, "b h w"]:
    """Where `count_limbs` saw the legs or bodies: the pixels of the first are 1, of the next 2, ...

    0 is none. Legs are marked in the rows of the lower half that show exactly as many as were
    counted. Raises ValueError for sleeves, which have no pixels of their own where they touch the
    trunk, and as `count_limbs` does.
    """
    if kind not in PARTS:
        raise ValueError(f"kind must be one of {', '.join(PARTS)}, got {kind!r}; count the others.")
    parts = torch.zeros(len(images), *images.shape[2:], dtype=torch.int64, device="cpu")
    for found, picture in zip(parts, _brightness(images), strict=True):
        if (garment := _garment(picture)) is not None:
            found[:] = torch.from_numpy(PARTS[kind](garment))
    return parts


def _brightness(images: Float[Tensor, "b 1 h w"]) -> Array:
    """The checked images, from 0 to 1."""
    if images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(
            f"images must have the shape [b, 1, h, w], got {tuple(images.shape)}; take the mean "
            f"over colours with .mean(dim=1, keepdim=True)."
        )
    if not bool(torch.isfinite(images).all()):
        raise ValueError("images must be finite, got NaN or infinity; drop the broken samples.")
    return ((images[:, 0].detach().double().cpu().clamp(-1, 1) + 1) / 2).numpy()


def _garment(picture: Array) -> Array | None:
    """The picture with a garment of brightness 1; None if nothing is on it."""
    lit = picture[picture > GHOST]
    return picture / np.quantile(lit, 0.75) if len(lit) >= FEWEST else None


def _legs(picture: Array) -> int:
    """The largest number that enough rows of the lower half show at least."""
    counts = np.array([len(_peaks(row)) for row in _lower_half(picture)[1]], dtype=int)
    seen = [k for k in range(1, counts.max(initial=0) + 1) if (counts >= k).mean() >= LEG_ROWS]
    return max(seen, default=0)


def _leg_parts(picture: Array) -> Array:
    """The number of its leg at each pixel of the rows that show as many legs as there are."""
    parts, (top, lower) = np.zeros(picture.shape, dtype=int), _lower_half(picture)
    legs = _legs(picture)
    for y, row in enumerate(lower, start=top):
        peaks = _peaks(row)
        if len(peaks) == legs:
            for number, columns in enumerate(peaks, start=1):
                parts[y, columns] = number
    return parts


def _lower_half(picture: Array) -> tuple[int, Array]:
    """The first row of the garment's lower half, and its rows, smoothed; none without garment."""
    rows = np.flatnonzero((picture > CLOTH).sum(1) >= 2)
    if len(rows) == 0:
        return 0, picture[:0]
    top, height = int(rows[0]), int(rows[-1] - rows[0]) + 1
    padded = np.pad(picture, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3  # legs are upright, patterns are not
    middle = top + height // 2
    return middle, smooth[middle : top + max(int(0.95 * height), 1)]


def _peaks(row: Array) -> list[Array]:
    """Bright columns of each peak that has two, where the brightness dips by DIP between peaks."""
    cuts, high, low, place = [], 0.0, None, 0
    for x, value in enumerate(row):
        if low is None:
            high = max(high, value)
            if high >= LEG_PEAK and value < (1 - DIP) * high:
                low, place = value, x
        elif value < low:
            low, place = value, x
        elif value >= LEG_PEAK and low < (1 - DIP) * value:
            cuts.append(place)
            high, low = value, None
    pieces = np.split(np.arange(len(row)), cuts)
    bright = [p[row[p] >= max(0.7 * LEG_PEAK, 0.4 * row[p].max(initial=0))] for p in pieces]
    return [columns for columns in bright if len(columns) >= 2]


def _sleeves(picture: Array) -> int:
    """What most rows of the arms show.

    A row counts the strips beside the one that holds the garment's axis. Where a sleeve touches the
    trunk there is no strip, but its half of the row is wider.
    """
    outline = _outline(picture > CLOTH)
    rows = np.flatnonzero(outline.sum(1) >= 3)
    if len(rows) == 0:
        return 0
    top, height = rows[0], rows[-1] - rows[0] + 1
    collar = [np.flatnonzero(outline[y]) for y in rows[:4]]
    axis = float(np.mean([(on[0] + on[-1]) / 2 for on in collar]))
    halves = {y: found for y in rows if (found := _halves(outline[y], axis)) is not None}
    arms, low = (
        [f for y, f in halves.items() if first * height <= y - top <= last * height]
        for first, last in (ARMS, HEM)
    )
    hem = np.median([min(f[1:]) for f in low]) if low else np.inf
    counts = []
    for strips, left, right in arms:
        narrow, wide = sorted((left, right))
        if narrow < NARROWER * wide:
            counts.append(strips + (3 if narrow > TWO * height else 1))
        else:
            both = (narrow + wide) / 2 > min(WIDE * height, WIDER * hem)
            counts.append(strips + 2 * both)
    return int(np.bincount(counts).argmax()) if counts else 0


def _halves(row: Array, axis: float) -> tuple[int, float, float] | None:
    """Strips beside the trunk, and how far the trunk reaches left and right; None without trunk."""
    edges = np.flatnonzero(np.diff(np.pad(row, 1).astype(int)))
    strips = [(a, b - 1) for a, b in edges.reshape(-1, 2) if b - a >= 2]
    off = [max(a - axis, axis - b, 0) for a, b in strips]
    if not strips or min(off) > 2:
        return None
    a, b = strips[int(np.argmin(off))]
    return len(strips) - 1, axis - a + 0.5, b - axis + 0.5


def _bodies(picture: Array) -> int:
    """Pieces of some size, after closing dark lines one pixel high."""
    return int(_body_parts(picture).max(initial=0))


def _body_parts(picture: Array) -> Array:
    """The number of its piece at each solid pixel; crumbs have none."""
    solid = picture > SOLID
    above = np.pad(solid, ((1, 0), (0, 0)))[:-1]
    labels = _labels(solid | above) * solid
    large = np.bincount(labels.ravel()) >= PIECE * solid.sum()
    large[0] = False
    return (np.cumsum(large) * large)[labels]


def _outline(cloth: Array) -> Array:
    """Cloth, and the dark prints that it encloses."""
    dark = _labels(~np.pad(cloth, 1), corners=False)
    return (dark != dark[0, 0])[1:-1, 1:-1]


def _labels(mask: Array, corners: bool = True) -> Array:
    """Pixels that touch, by an edge or also by a corner, share a number; 0 where mask is false."""
    labels = np.empty(mask.shape, dtype=np.int32)
    ndimage.label(mask, ndimage.generate_binary_structure(2, 2 if corners else 1), output=labels)
    return labels


COUNTERS: Mapping[str, Callable[[Array], int]] = {
    "legs": _legs,
    "sleeves": _sleeves,
    "bodies": _bodies,
}
PARTS: Mapping[str, Callable[[Array], Array]] = {"legs": _leg_parts, "bodies": _body_parts}
