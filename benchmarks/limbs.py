"""How often limbs are counted right: on photographs, and on errors planted into them.

    python benchmarks/limbs.py [--split test] [--pictures FOLDER]

Prints one table and, for the test split, writes data/results/limbs_validation.json. Planted errors
are made by cutting and pasting; each row's images are drawn by the seed. The counter was tuned on
images of the train split. It needs the full FashionMNIST and takes half a minute.
"""

from collections import Counter
from pathlib import Path

import click
import torch
from torch import Tensor

from elslib.analysis.intervals import share_interval
from elslib.analysis.limbs import EXPECTED, KINDS, Kind, count_limbs
from elslib.analysis.planted_errors import ERRORS, planted
from elslib.data.folders import data_folder
from elslib.data.full_sets import FASHION_CLASSES
from elslib.data.named import load
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.figures.plots import image_grid
from elslib.io import write_json

REAL, PLANTED, SHOWN = 300, 200, 20


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
        images, full = planted(whole, name, seed, PLANTED)
        rows[name] = {**row(images, KINDS[classes[0]], truth, pictures, name), "no_room": full}
    if split == "test":
        config = {"seed": seed, "real": REAL, "planted": PLANTED, "images": whole.name}
        record = RunRecord("benchmarks/limbs.py", config, whole.sha256, clock.seconds)
        path = data_folder() / "results" / "limbs_validation.json"
        write_json(path, {"record": record.json(), "rows": rows})
        click.echo(f"{path}: in {clock.seconds:.0f} s")


if __name__ == "__main__":
    main()
