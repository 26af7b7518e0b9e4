"""The brushed agreement of networks with kept results: rows and pictures, made a figure."""

from collections.abc import Mapping

from elslib.analysis.agreement import values
from elslib.experiments.agreement_results import read_pictures, read_rows
from elslib.experiments.store import training_images
from elslib.figures.seeds import SHOWN, SeedBrowser, Seeds

FACES = "celeba"  # IS returns training images, and these may not be shown


def seed_browser(networks: Mapping[str, str]) -> SeedBrowser:
    """The figure of networks with results, name to title. Raises what reading them raises."""
    return SeedBrowser({title: _seeds(name) for name, title in networks.items()})


def _seeds(network: str) -> Seeds:
    rows, images = read_rows(network), training_images(network)
    hidden = {"IS"} if images.name.startswith(FACES) else set()
    pictures = {
        kind: x
        for kind, x in read_pictures(network).items()
        if kind in SHOWN and kind not in hidden
    }
    labels = rows.drop_duplicates("seed").sort_values("seed").label
    classes = () if labels.isna().any() else [images.class_name(int(y)) for y in labels]
    return Seeds(values(rows, "ELS"), values(rows, "IS"), pictures, classes)
