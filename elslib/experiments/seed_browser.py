"""The brushed agreement of networks with kept results: rows and pictures, made a figure."""

from collections.abc import Mapping

from elslib.analysis.agreement import values
from elslib.data.named import class_names
from elslib.experiments.agreement_results import may_be_kept, read_pictures, read_rows
from elslib.experiments.store import images_of
from elslib.figures.seeds import SHOWN, SeedBrowser, Seeds


def seed_browser(networks: Mapping[str, str]) -> SeedBrowser:
    """The figure of networks with results, name to title. Raises what reading them raises."""
    return SeedBrowser({title: _seeds(name) for name, title in networks.items()})


def _seeds(network: str) -> Seeds:
    rows, images = read_rows(network), images_of(network)["name"]
    shown = [kind for kind in SHOWN if may_be_kept(kind, images)]
    pictures = {kind: x for kind, x in read_pictures(network).items() if kind in shown}
    labels, names = rows.drop_duplicates("seed").sort_values("seed").label, class_names(images)
    classes = () if labels.isna().any() or not names else [names[int(y)] for y in labels]
    return Seeds(values(rows, "ELS"), values(rows, "IS"), pictures, classes)
