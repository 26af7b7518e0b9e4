"""Photographs of clothes with an error planted into them by cutting and pasting.

On these a counter of limbs is judged: the true count is known, and nothing was drawn by a machine.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from elslib.data.image_set import ImageSet

# A picture and another one of its class, brightness 0..1 on 32 x 32, and numbers that the seed
# decides, make the picture with an error; None if it has no room for it.
Plant = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray | None]


def third_leg(picture: np.ndarray, _: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """The left half stands twice; or a copy of the left leg hangs beside it, from the hip on."""
    axis, first = silhouette(picture)
    rows = np.flatnonzero(first < 32)
    near = np.arange(round(axis) - 3, round(axis) + 4)
    cut = int(near[picture[rows[len(rows) // 2] :, near].mean(0).argmin()])  # between the legs
    if rng.random() < 0.5:
        return framed(np.concatenate([picture[:, first.min() : cut], picture[:, first.min() :]], 1))
    hip = rows[round(0.4 * len(rows))]
    return framed(beside(picture, cut, rows[rows >= hip], rng))


def third_sleeve(picture: np.ndarray, _: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A copy of the left sleeve hangs outside it, from the shoulder on."""
    edge = trunk_edge(picture, rng)
    rows = np.flatnonzero(silhouette(picture)[1] < edge - 1)
    return framed(beside(picture, edge, rows, rng)) if len(rows) >= 8 else None


def missing_sleeve(picture: np.ndarray, _: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All beyond the left edge of the trunk is erased; the cut is soft."""
    edge, out = trunk_edge(picture, rng), picture.copy()
    out[:, :edge] = 0
    out[:, edge] *= 0.5
    return out


def no_sleeves(picture: np.ndarray, _: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Both sleeves are erased."""
    return missing_sleeve(missing_sleeve(picture, _, rng)[:, ::-1], _, rng)


def split_shoe(picture: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut along a slanted line and moved apart by 2 to 4 pixels; half of the time the heel is
    another shoe's. The cut is soft, and a ghost of the shoe stays in the gap."""
    gap, middle, slope = int(rng.integers(2, 5)), rng.uniform(12, 20), rng.uniform(-0.4, 0.4)
    heel, ghost = other if rng.random() < 0.5 else picture, rng.uniform(0, 0.15)
    out = ghost * picture
    for y in range(32):
        a = round(middle + slope * (y - 16))
        b = a + gap
        out[y, :a] = picture[y, gap // 2 : a + gap // 2]  # toe and heel may leave the picture
        out[y, b:] = heel[y, b - gap + gap // 2 : 32 - gap + gap // 2]
        out[y, [a - 1, b]] *= 0.7
    return out


def silhouette(picture: np.ndarray) -> tuple[float, np.ndarray]:
    """The axis under the collar or waistband, and the first lit column of each row (32: none)."""
    lit = picture > 0.1 * picture.max()
    first = np.where(lit.any(1), lit.argmax(1), 32)
    last = 31 - lit[:, ::-1].argmax(1)
    rows = np.flatnonzero(first < 32)[:4]
    return float((first[rows] + last[rows]).mean() / 2), first


def trunk_edge(picture: np.ndarray, rng: np.random.Generator) -> int:
    """The column where the left sleeve is taken to begin: 60 to 70% of the half's width."""
    axis, first = silhouette(picture)
    rows = np.flatnonzero(first < 32)
    arms = first[rows[round(0.4 * len(rows)) : round(0.7 * len(rows))]]
    return round(axis - rng.uniform(0.6, 0.7) * (axis - np.median(arms)))


def beside(picture: np.ndarray, edge: int, rows: np.ndarray, rng: np.random.Generator):
    """The picture on 64 columns, with a copy of its left limb outside it: what is left of `edge`
    or of a dark gap. It touches in the first three rows, then one or two pixels part it."""
    first = silhouette(picture)[1]
    ends = np.full(32, edge)
    for y in rows:
        limb = picture[y, first[y] : edge]
        dark = np.flatnonzero(limb < 0.3 * limb.max(initial=0))
        ends[y] = first[y] + dark[dark > 2].min(initial=len(limb))
    starts, ends = (smoothed(columns, rows) for columns in (first, ends))
    out, gap = np.pad(picture, ((0, 0), (32, 0))), int(rng.integers(1, 3))
    for i, y in enumerate(rows):
        limb = picture[y, starts[i] : ends[i]]
        end = 32 + starts[i] - (gap if i > 2 else 0)
        out[y, end - len(limb) : end] = limb
    return out


def smoothed(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Columns of these rows, each the median of five, so that a cut is not ragged."""
    padded = np.pad(columns[rows], 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1).astype(int)


def framed(picture: np.ndarray) -> np.ndarray | None:
    """The picture in the middle of 32 columns; None if what is lit is wider."""
    columns = np.flatnonzero((picture > 0.02).any(0))
    width = columns[-1] - columns[0] + 1
    if width > 32:
        return None
    out, start = np.zeros((32, 32)), (32 - width) // 2
    out[:, start : start + width] = picture[:, columns[0] : columns[-1] + 1]
    return out


# Name: what makes the error, the classes it is planted into, the true count.
ERRORS: dict[str, tuple[Plant, tuple[int, ...], int]] = {
    "third leg": (third_leg, (1,), 3),
    "missing sleeve": (missing_sleeve, (2, 4), 1),
    "third sleeve": (third_sleeve, (2, 4), 3),
    "split shoe": (split_shoe, (7, 9), 2),
    "no sleeves": (no_sleeves, (2, 4), 0),
}


def planted(
    whole: ImageSet, name: str, seed: int, n: int = 200
) -> tuple[Float[Tensor, "n 1 32 32"], int]:
    """n photographs with the error of this name, shared evenly among its classes; and how many had
    no room for it.

    `whole` holds FashionMNIST, and the seed chooses from it; half of the pictures are mirrored.
    Raises ValueError for another error.
    """
    if name not in ERRORS:
        raise ValueError(f"name must be one of {', '.join(ERRORS)}, got {name!r}.")
    plant, classes, _ = ERRORS[name]
    rng = np.random.default_rng([seed, list(ERRORS).index(name)])
    found, full = [], 0
    for label in classes:
        pictures = (whole.subset(label).pixels[:, 0].double().cpu().numpy() + 1) / 2
        wanted = len(found) + n // len(classes)
        for i in rng.permutation(len(pictures)):
            picture = plant(pictures[i], pictures[rng.integers(len(pictures))], rng)
            full += picture is None
            if picture is not None:
                found.append(picture[:, ::-1] if rng.random() < 0.5 else picture)
            if len(found) == wanted:
                break
    return torch.from_numpy(np.stack(found)[:, None] * 2 - 1).float(), full
