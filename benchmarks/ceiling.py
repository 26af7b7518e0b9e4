"""How far any theory of a recipe can come: two networks that differ in their seed alone.

    python benchmarks/ceiling.py --network fashion-resnet --again fashion-resnet-again

Both draw from the noise of `elslib agree`, seeds 0 to 99, in 20 steps and in 150. It writes
data/results/ceiling-NETWORK.json: Pearson's r between the two, for each seed. If each picture is
one that the recipe says and a part that is the training's own, a theory that knew the recipe whole
would have the square root of it with either.
"""

import click
from tqdm.auto import tqdm

from elslib.analysis.agreement import NETWORK_STEPS, batches
from elslib.analysis.metrics import pearson_r
from elslib.experiments.how_far import check_twins
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.store import (
    load_network,
    made_of,
    result_path,
    training_images,
    weights_sha256,
)
from elslib.io import write_json
from elslib.samplers import initial_noise, sample


@click.command()
@click.option("--network", default="fashion-resnet", show_default=True)
@click.option("--again", required=True, help="The same recipe with another seed.")
@click.option("--seeds", default=100, show_default=True, type=click.IntRange(min=2))
def main(network: str, again: str, seeds: int) -> None:
    """Compare two trainings of one recipe; the json is written."""
    check_twins(network, again)
    clock, images = Stopwatch(), training_images(network)
    pair, rows = [load_network(name) for name in (network, again)], []
    for label, some in tqdm(batches(range(seeds), pair[0].classes), desc=f"ceiling of {network}"):
        noise = initial_noise(some, images.pixels.shape[1:])
        for steps in NETWORK_STEPS:
            one, two = (sample(denoiser, noise, label, steps) for denoiser in pair)
            r = pearson_r(one, two).tolist()
            rows += [{"seed": s, "steps": steps, "r": r_s} for s, r_s in zip(some, r, strict=True)]
    config = {**made_of(network, images), "again": weights_sha256(again), "seeds": seeds}
    record = RunRecord("benchmarks/ceiling.py", config, images.sha256, clock.seconds)
    rows.sort(key=lambda row: (row["steps"], row["seed"]))
    write_json(result_path("ceiling", network), {"rows": rows, "record": record.json()})


if __name__ == "__main__":
    main()
