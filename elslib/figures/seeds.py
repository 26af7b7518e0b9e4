"""Agreement, brushed: a dot for each noise image, and behind it the pictures that were compared."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.figures.html import Page, check_channels, fill, own_name, png, sheet, webp

SHOWN = ("ELS", "network", "IS")
COLUMNS = 10  # of a sheet of pictures


@dataclass(frozen=True)
class Seeds:
    """What a network and its theories drew from the same noise, seed by seed.

    Attributes
    ----------
    theory
        r of ELS with the network
    ideal
        r of IS with the network
    pictures
        of "ELS", "network" and "IS" by seed, in [-1, 1]; what may not be shown is left out, but
        network and ELS must be there
    classes
        name of each seed's class; none for networks that are not told any
    """

    theory: Float[Tensor, " n"]
    ideal: Float[Tensor, " n"]
    pictures: Mapping[str, Float[Tensor, "n c h w"]]
    classes: Sequence[str] = ()

    def __post_init__(self):
        if missing := [name for name in SHOWN[:2] if name not in self.pictures]:
            raise ValueError(f"pictures must hold ELS and network, got none of {missing[0]}.")
        for name, images in self.pictures.items():
            check_channels(f"pictures of {name}", images)
        lengths = {len(self.theory), len(self.ideal), *map(len, self.pictures.values())}
        lengths |= {len(self.classes)} if self.classes else set()
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                f"theory, ideal, pictures and classes must hold the same seeds, got "
                f"{sorted(lengths)} of them."
            )


@dataclass(frozen=True)
class SeedBrowser(Page):
    """The figure: dots of one network, chosen from a menu, and the pictures of one dot.

    Attributes
    ----------
    networks
        title to seeds, in the order of the menu
    title
        what the figure is, for a file of its own
    """

    networks: Mapping[str, Seeds]
    title: str = "Theory and network, noise image by noise image"

    def __post_init__(self):
        if not self.networks:
            raise ValueError("networks must hold at least one, got none.")

    def _repr_html_(self) -> str:
        """The figure, with its data, style and program inside."""
        name, first = next(iter(self.networks.items()))
        order = first.theory.argsort(descending=True)
        some = order[[0, len(order) // 2, -1]]
        kinds = [kind for kind in SHOWN if kind in first.pictures]
        still = torch.stack([first.pictures[kind][i] for i in some for kind in kinds])
        found = [r for one in self.networks.values() for r in (one.theory, one.ideal)]
        low = min(0.0, *(float(r.min()) for r in found))
        data = {
            "low": round(low - 0.05, 3),
            "networks": [{"name": name, **_data(one)} for name, one in self.networks.items()],
        }
        parts = {
            "NAME": own_name("seeds"),
            "TITLE": html.escape(self.title),
            "STILL": png(sheet(still, len(kinds))),
            "ALT": html.escape(
                f"{name}: what {', '.join(kinds)} drew from the same noise. Above: where "
                f"theory and network agree best; below: where they do least."
            ),
        }
        return fill("seeds", parts, data)


def _data(one: Seeds) -> dict:
    kinds = [kind for kind in SHOWN if kind in one.pictures]
    return {
        "shape": list(one.pictures["network"].shape[1:]),
        "columns": COLUMNS,
        "theory": [round(r, 6) for r in one.theory.tolist()],
        "ideal": [round(r, 6) for r in one.ideal.tolist()],
        "classes": list(one.classes),
        "sheets": {kind: webp(sheet(one.pictures[kind], COLUMNS)) for kind in kinds},
    }
