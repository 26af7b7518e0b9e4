"""Importing: a folder of pictures becomes a set with a name, which every command knows."""

import hashlib
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from elslib.checks import checked
from elslib.data.folders import cache_folder
from elslib.data.full_sets import FULL_SETS
from elslib.data.image_set import SIDE
from elslib.data.named import embedded
from elslib.data.own_images import Fit, Mode, read_folder
from elslib.io import write_arrays, write_json


@checked
def import_folder(
    folder: Path,
    name: str,
    size: int = SIDE,
    fit: Fit = "crop",
    mode: Mode = "RGB",
    held_out: float = 0.1,
) -> dict:
    """Keep a folder of pictures in `sets/` of the cache folder, for `load(name)`; its manifest.

    The pictures are read as `ImageSet.from_folder` reads them. The share `held_out` of them, drawn
    at random, always alike, becomes the split held_out, the others train, where each class keeps at
    least one; 0 keeps all together.
    Raises ValueError for a name that is taken or no word, a share outside [0, 1), and what
    `read_folder` refuses.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or Path(name).suffix in (".npy", ".npz"):
        raise ValueError(f"name must be one word of letters, digits, _ and -, got {name!r}.")
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out must lie in [0, 1), a share of the images, got {held_out}.")
    about = cache_folder() / "sets" / f"{name}.json"
    if name in FULL_SETS or name in embedded() or about.is_file():
        raise ValueError(
            f"name must not be taken, got {name!r}, a set that is here; give another, or, for one "
            f"that you imported, delete {about}."
        )
    pixels, labels, class_names = read_folder(folder, size, fit, mode)
    n = len(pixels)
    last = torch.zeros(n, dtype=torch.bool, device="cpu")
    chosen = _held_out(labels if labels is not None else torch.zeros_like(last), held_out)
    last[chosen] = True
    n_held_out = len(chosen)
    order = last.int().argsort(stable=True)  # in either part as before, so classes stay together
    arrays: dict[str, np.ndarray] = {"images": pixels[order].numpy()}
    if labels is not None:
        arrays["labels"] = labels[order].numpy()
    file = about.with_suffix(".npz")
    write_arrays(file, arrays)
    splits = {"train": [0, n - n_held_out]}
    if n_held_out:
        splits["held_out"] = [n - n_held_out, n]
    content = {
        "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest()},
        "shape": list(pixels.shape),
        "source": f"{Path(folder).resolve()}, fit {fit}",
        "licence": "your own",
        "class_names": list(class_names),
        "splits": splits,
    }
    write_json(about, content)
    return content


def _held_out(labels: Tensor, share: float) -> Tensor:
    """Numbers of the images to hold out, by the classes of all: not the last one of a class."""
    n = len(labels)
    drawn = torch.randperm(n, generator=torch.Generator("cpu").manual_seed(0), device="cpu")
    last_drawn = {y: i for i, y in zip(drawn.tolist(), labels[drawn].tolist(), strict=True)}
    kept = set(last_drawn.values())  # one of each class
    free = [i for i in drawn.tolist() if i not in kept]
    return torch.tensor(free[: round(n * share)], dtype=torch.int64, device="cpu")
