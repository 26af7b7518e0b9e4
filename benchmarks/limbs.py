"""How often limbs are counted right: on photographs, and on errors planted into them.

    python benchmarks/limbs.py [--split test] [--pictures FOLDER]

Prints one table and, for the test split, writes data/results/limbs_validation.json. Planted errors
are made by cutting and pasting; each row's images are drawn by the seed. The counter was tuned on
images of the train split. It needs the full FashionMNIST and takes half a minute.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from elslib.analysis.intervals import share_interval
from elslib.analysis.limbs import EXPECTED, KINDS, Kind, count_limbs
from elslib.data.folders import data_folder
from elslib.data.full_sets import FASHION_CLASSES
from elslib.data.image_set import ImageSet
from elslib.data.named import load
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.figures.plots import image_grid
from elslib.io import write_json

REAL, PLANTED, SHOWN = 300, 200, 20
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


def planted(whole: ImageSet, name: str, seed: int) -> tuple[Tensor, int]:
    """PLANTED images with this error, from random images of its classes, at random mirrored; and
    how many images had no room for it."""
    plant, classes, _ = ERRORS[name]
    rng = np.random.default_rng([seed, list(ERRORS).index(name)])
    found, full = [], 0
    for label in classes:
        pictures = (whole.subset(label).pixels[:, 0].double().numpy() + 1) / 2
        wanted = len(found) + PLANTED // len(classes)
        for i in rng.permutation(len(pictures)):
            picture = plant(pictures[i], pictures[rng.integers(len(pictures))], rng)
            full += picture is None
            if picture is not None:
                found.append(picture[:, ::-1] if rng.random() < 0.5 else picture)
            if len(found) == wanted:
                break
    return torch.from_numpy(np.stack(found)[:, None] * 2 - 1).float(), full


def row(images: Tensor, kind: Kind, truth: int, pictures: Path | None, name: str) -> dict:
    """One line of the table, printed; failures and successes are drawn if there is a folder."""
    counts = count_limbs(images, kind)
    right = counts == truth
    hits, n = int(right.sum()), len(images)
    share = share_interval(hits, n)
    tally = {int(k): int(v) for k, v in sorted(Counter(counts.tolist()).items())}
    click.echo(f"{name:26}{kind:9}{truth:5}{n:5}   {share:.3f}  {tally}")
    if pictures is not None:
        for word, chosen in (("wrong", ~right), ("right", right)):
            draw(images[chosen], counts[chosen], pictures / f"{name}-{word}.png".replace("/", " "))
    return {
        "kind": kind, "truth": truth, "n": n, "hits": hits, "share": share.estimate,
        "low": share.low, "high": share.high, "counts": tally,
    }  # fmt: skip


def draw(images: Tensor, counts: Tensor, path: Path) -> None:
    """The first images with their counts."""
    if len(images):
        lines = [slice(i, i + SHOWN) for i in range(0, min(len(images), 3 * SHOWN), SHOWN)]
        empty = -torch.ones(SHOWN, *images.shape[1:])
        whole = {str(i): torch.cat([images[s], empty])[:SHOWN] for i, s in enumerate(lines)}
        notes = {
            str(i): [str(c) for c in counts[s].tolist()] + [""] * (SHOWN - len(counts[s]))
            for i, s in enumerate(lines)
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        image_grid(whole, notes=notes).savefig(path, dpi=100)


@click.command()
@click.option("--split", type=click.Choice(["train", "test"]), default="test", show_default=True)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0))
@click.option("--pictures", type=click.Path(file_okay=False, path_type=Path))
def main(split: str, seed: int, pictures: Path | None) -> None:
    """Count on real and on planted images of a split; PICTURES: a folder for what to look at."""
    clock, whole = Stopwatch(), load(f"fashion_mnist/{split}")
    rows: dict[str, dict] = {}
    click.echo(f"{'images':26}{'kind':9}{'truth':>5}{'n':>5}{'share':>8}  95% interval    counts")
    for label, kind in KINDS.items():
        images = whole.subset(label).pixels
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        name = FASHION_CLASSES[label]
        rows[name] = row(images[order[:REAL]], kind, EXPECTED[kind], pictures, name)
    for name, (_, classes, truth) in ERRORS.items():
        images, full = planted(whole, name, seed)
        rows[name] = {**row(images, KINDS[classes[0]], truth, pictures, name), "no_room": full}
    if split == "test":
        config = {"seed": seed, "real": REAL, "planted": PLANTED, "images": whole.name}
        record = RunRecord("benchmarks/limbs.py", config, whole.sha256, clock.seconds)
        path = data_folder() / "results" / "limbs_validation.json"
        write_json(path, {"record": record.json(), "rows": rows})
        click.echo(f"{path}: in {clock.seconds:.0f} s")


if __name__ == "__main__":
    main()
