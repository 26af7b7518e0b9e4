"""What `benchmarks/removal.py` measured: a network that is trained again without some images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from elslib.data.pixels import from_uint8
from elslib.experiments.store import read_result, result_path


@dataclass(frozen=True)
class Removals:
    """What the theory says that removing images does to pictures of a network, and what it does.

    Attributes
    ----------
    rows
        for each number of images `removed` of each class, `of` which kind, "most" or "random", and
        each `seed`: their `share` of the theory's picture; `size_said`, `size_done` and
        `size_again`, root mean square of the change that ELS says, of the network's, and of that by
        training with another seed, in units of the images; `r_with_most`, `r_with_random` and
        `r_with_again`, Pearson's r of what ELS says with the network's changes
    pictures
        [seeds, c, h, w] in [-1, 1], off by 1/255, of "network", "ELS", "again", and of
        "network-KIND-COUNT" and "ELS-KIND-COUNT" without so many images of each class
    """

    rows: pd.DataFrame
    pictures: Mapping[str, Float[Tensor, "seeds c h w"]]

    def of(self, removed: int, kind: str, column: str) -> Float[Tensor, " seeds"]:
        """A column of the rows of one kind, by seed."""
        rows = self.rows.loc[(self.rows.removed == removed) & (self.rows.of == kind), :]
        found = rows.sort_values("seed")[column].tolist()
        return torch.tensor(found, dtype=torch.float64, device="cpu")


def read_removals(network: str) -> Removals:
    """What removing images from a network's training did.

    Raises FileNotFoundError if that was not measured, ValueError if the network has other weights.
    """
    content = read_result("removal", network, "removal")
    with np.load(result_path("removal", network).with_suffix(".npz")) as arrays:
        pictures = {name: from_uint8(torch.from_numpy(x)) for name, x in arrays.items()}
    return Removals(pd.DataFrame(content["rows"]), pictures)
