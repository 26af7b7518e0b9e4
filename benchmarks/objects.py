"""Pictures in which somebody looks for an object, without knowing who drew which.

    python benchmarks/objects.py sheets --pictures FOLDER
    python benchmarks/objects.py join --pictures FOLDER --by "who looked"

`sheets` takes pictures that `elslib agree` kept, of the first 30 noise images: by a network with
attention, by ELS with its windows, by a ResNet of the same photographs, and by IS, which draws
photographs. It shuffles and enlarges them, and writes twelve to a sheet, numbered, into FOLDER.
Whoever looks writes FOLDER/answers.csv: `picture`, its number; `object`, which is yes, partly or
no; and `seen`, one of the ten classes, guessed if need be. `join` says who drew what, and writes
data/results/objects-cifar10-full-unet-attention.json.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from torch.nn.functional import interpolate

from elslib.experiments.agreement_results import read_pictures, read_rows
from elslib.experiments.provenance import RunRecord
from elslib.experiments.store import made_of, result_path, training_images
from elslib.figures.plots import image_grid
from elslib.io import write_json

NETWORK, LOCAL, SEEDS = "cifar10-full-unet-attention", "cifar10-full-resnet", 30
DRAWN = ((NETWORK, "network"), (NETWORK, "ELS"), (LOCAL, "network"), (LOCAL, "IS"))
ACROSS, DOWN, LARGER = 4, 3, 6
OBJECT = ("yes", "partly", "no")


def order() -> list[tuple[str, str, int]]:
    """Network, who drew it, and seed of each picture, by its number."""
    every = [(*drawn, seed) for drawn in DRAWN for seed in range(SEEDS)]
    return [every[i] for i in np.random.default_rng(0).permutation(len(every))]


@click.group()
def main() -> None:
    """Objects in pictures, looked for by eye."""


@main.command()
@click.option("--pictures", type=click.Path(file_okay=False, path_type=Path), required=True)
def sheets(pictures: Path) -> None:
    """Draw the sheets."""
    pictures.mkdir(parents=True, exist_ok=True)
    kept = {network: read_pictures(network) for network, _ in DRAWN}
    small = torch.stack([kept[network][of][seed] for network, of, seed in order()])
    large = interpolate(small, scale_factor=LARGER, mode="bicubic").clamp(-1, 1)
    for i, sheet in enumerate(large.split(ACROSS * DOWN)):
        first = i * ACROSS * DOWN
        rows = {f"row {j}": some for j, some in enumerate(sheet.split(ACROSS))}
        notes = {
            name: [str(first + j * ACROSS + k) for k in range(ACROSS)]
            for j, name in enumerate(rows)
        }
        image_grid(rows, notes=notes).savefig(pictures / f"sheet-{i}.png", dpi=300)


@main.command()
@click.option("--pictures", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--by", required=True, help="Who looked, and when.")
def join(pictures: Path, by: str) -> None:
    """Say who drew what, and keep the answers."""
    drawn = pd.DataFrame(order(), columns=["network", "of", "seed"])
    answers = pd.read_csv(pictures / "answers.csv").set_index("picture").sort_index()
    images = training_images(NETWORK)
    classes = images.class_names
    allowed = answers.object.isin(OBJECT) & answers.seen.isin(classes)
    if list(answers.index) != list(range(len(drawn))) or not allowed.all():
        raise click.UsageError(
            f"{pictures / 'answers.csv'} must have each picture from 0 to {len(drawn) - 1} once, "
            f"with object one of {', '.join(OBJECT)} and seen one of {', '.join(classes)}."
        )
    labels = read_rows(NETWORK).groupby("seed").label.first()
    table = drawn.join(answers).assign(asked=[classes[labels[s]] for s in drawn.seed])
    table = table.sort_values(["network", "of", "seed"])
    config = {**made_of(NETWORK, images), "local": LOCAL, "seeds": SEEDS, "by": by}
    record = RunRecord("benchmarks/objects.py join", config, images.sha256, 0.0)
    write_json(
        result_path("objects", NETWORK),
        {"record": record.json(), "rows": table.to_dict(orient="records")},
    )


if __name__ == "__main__":
    main()
