"""Which threshold suits PCA locality: r with a network's pictures, for each of several.

    python benchmarks/pca_threshold.py --network cifar10-resnet

A baseline should be at its best. The noise is that of calibrations; no table of agreement uses it.
Writes data/results/pca-NETWORK.json: Pearson's r of each seed and threshold.
"""

import click
import torch

from elslib.analysis.agreement import NETWORK_STEPS, THEORY_STEPS
from elslib.analysis.calibration import FIRST_SEED
from elslib.analysis.metrics import pearson_r
from elslib.analysis.theories import classes_of
from elslib.denoisers.baselines import PcaLocality
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.store import load_network, made_of, result_path, training_images
from elslib.io import write_json
from elslib.samplers import initial_noise, sample


@click.command()
@click.option("--network", required=True)
@click.option("--threshold", "thresholds", type=float, multiple=True,
              default=(0.005, 0.02, 0.05, 0.1), show_default=True)  # fmt: skip
@click.option("--seeds", "n_seeds", type=click.IntRange(1, 1000), default=4, show_default=True)
def main(network, thresholds, n_seeds):
    """Draw with each threshold from the same noise as the network, and compare."""
    denoiser, images, clock = load_network(network), training_images(network), Stopwatch()
    seeds = [FIRST_SEED + i for i in range(n_seeds)]
    noise, classes = initial_noise(seeds, images.pixels.shape[1:]), classes_of(denoiser)
    label = None if classes is None else torch.tensor(seeds) % classes
    truth = sample(denoiser, noise, label, max(NETWORK_STEPS))
    found = {}
    for threshold in thresholds:
        pca = PcaLocality(images, threshold=threshold, schedule=denoiser.schedule)
        r = pearson_r(sample(pca, noise, label, THEORY_STEPS), truth)
        found[f"{threshold:g}"] = [round(value, 4) for value in r.tolist()]
        click.echo(f"{threshold:g}: median r {float(r.quantile(0.5)):.3f}")
    config = {**made_of(network, images), "thresholds": list(thresholds), "seeds": seeds}
    command = "benchmarks/pca_threshold.py"
    record = RunRecord(command, config, images.sha256, clock.seconds).json()
    write_json(result_path("pca", network), {"record": record, "r": found})


if __name__ == "__main__":
    main()
