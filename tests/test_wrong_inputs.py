"""Forty slips of somebody who brings images and a network, and what each is told.

`python tests/test_wrong_inputs.py` prints them as a table.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import elslib
from elslib.networks.diffusers_adapter import load_diffusers

BYTES: Any = np.zeros((4, 1, 8, 8), np.uint8)
PIXELS: Any = torch.linspace(-1, 1, 256).view(4, 1, 8, 8)
IMAGES = elslib.ImageSet(PIXELS)
LABELLED = elslib.ImageSet(PIXELS, torch.tensor([0, 0, 1, 1]))
MACHINE: Any = elslib.EquivariantLocalScore(IMAGES, elslib.constant_scale(3))
TOLD: Any = elslib.EquivariantLocalScore(LABELLED, elslib.constant_scale(3))
X: Any = torch.zeros(2, 1, 8, 8)
NET: Any = elslib.wrap(lambda x, t: x, "x0", elslib.cosine())
STEPS: Any = elslib.wrap(
    lambda x, t: x, "x0", elslib.from_alphas_cumprod([0.9, 0.5]), integer_steps=True
)
els: Any = elslib

SLIPS = {
    "ImageSet of a numpy array": lambda: els.ImageSet(BYTES),
    "ImageSet of bytes": lambda: els.ImageSet(torch.from_numpy(BYTES)),
    "ImageSet of half precision": lambda: els.ImageSet(PIXELS.half()),
    "ImageSet with gradients": lambda: els.ImageSet(PIXELS.clone().requires_grad_()),
    "ImageSet without a batch axis": lambda: els.ImageSet(PIXELS[0]),
    "ImageSet with channels last": lambda: els.ImageSet(torch.zeros(4, 8, 8, 3)),
    "ImageSet of latents": lambda: els.ImageSet(3 * PIXELS),
    "ImageSet with NaN": lambda: els.ImageSet(PIXELS.log()),
    "ImageSet in [0, 1]": lambda: els.ImageSet(PIXELS.abs()),
    "labels as a list": lambda: els.ImageSet(PIXELS, [0, 1, 0, 1]),
    "labels as floats": lambda: els.ImageSet(PIXELS, torch.zeros(4)),
    "too few labels": lambda: els.ImageSet(PIXELS, torch.zeros(3, dtype=torch.int64)),
    "from_arrays of a list": lambda: els.ImageSet.from_arrays([[0.5]]),
    "from_arrays of grey without an axis": lambda: els.ImageSet.from_arrays(BYTES[:, 0]),
    "from_folder of nothing": lambda: els.ImageSet.from_folder("/nowhere"),
    "from_folder of an empty one": lambda: els.ImageSet.from_folder(tempfile.mkdtemp()),
    "from_folder, another fit": lambda: els.ImageSet.from_folder("/nowhere", 8, "stretch"),
    "load of an unknown name": lambda: els.load("mnits"),
    "load of a number": lambda: els.load(5),
    "select of an image too far": lambda: IMAGES.select([9]),
    "a machine of a tensor": lambda: els.IdealScore(PIXELS),
    "a machine with a number for its scale": lambda: els.LocalScore(IMAGES, 3),
    "an even window": lambda: els.constant_scale(4),
    "a window of a half": lambda: els.constant_scale(3.5),
    "x as a numpy array": lambda: MACHINE(X.numpy(), 0.5),
    "x of one channel too many": lambda: MACHINE(torch.zeros(2, 2, 8, 8), 0.5),
    "x in double precision": lambda: MACHINE(X.double(), 0.5),
    "x with NaN": lambda: MACHINE(X / 0, 0.5),
    "t as a list": lambda: MACHINE(X, [0.5, 0.5]),
    "t as a step": lambda: MACHINE(X, 500),
    "t of another length": lambda: MACHINE(X, torch.ones(3) / 2),
    "label as a number": lambda: TOLD(X, 0.5, 1),
    "label as a list": lambda: TOLD(X, 0.5, [0, 1]),
    "label that nobody has": lambda: TOLD(X, 0.5, torch.tensor([0, 7])),
    "label for images without": lambda: MACHINE(X, 0.5, torch.tensor([0, 1])),
    "seeds as one number": lambda: els.initial_noise(5, (1, 8, 8)),
    "times that rise": lambda: els.sample(MACHINE, X, times=[0.0, 0.5, 1.0]),
    "a sampler without a schedule": lambda: els.sample(lambda x, t, y: x, X),
    "wrap, another word": lambda: els.wrap(torch.nn.Identity(), "noise"),
    "wrap of weights": lambda: els.wrap({"weight": PIXELS}),
    "wrap, betas as the schedule": lambda: els.wrap(torch.nn.Identity(), "eps", [0.1, 0.2]),
    "a network that answers another shape": lambda: els.wrap(lambda x, t: x[0], "x0")(X, 0.5),
    "a step between two": lambda: STEPS(X, 0.7),
    "betas as alphas_cumprod": lambda: els.from_alphas_cumprod(torch.linspace(1e-4, 0.02, 9)),
    "calibrate, windows that fall": lambda: [*els.calibrate(NET, IMAGES, windows=(5, 3))],
    "calibrate, another machine": lambda: [*els.calibrate(NET, IMAGES, "ELS")],
    "agree without scales": lambda: els.agree(NET, IMAGES, {}, range(2), ("ELS",)),
    "agree with an unknown theory": lambda: els.agree(NET, IMAGES, {}, range(2), ("KNN",)),
    "a scale for another time": lambda: els.ScaleTable((0.5,), (3,), "x").window_at(0.9),
    "a network of nobody": lambda: els.load_network("nobody"),
    "diffusers from nowhere": lambda: load_diffusers("/nowhere"),
}


def told(slip) -> str:
    """What is said: of an error, or of a warning if there is none."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            slip()
        except (ValueError, OSError) as error:
            return str(error)
    return str(said[0].message)


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_told_in_one_sentence(name, as_installed):
    """Not by a trace from within: what must be, what was got."""
    text = told(SLIPS[name])
    assert "\n" not in text and len(text) < 600
    assert any(word in text for word in ("must ", "missing", "no network")), text


if __name__ == "__main__":
    assert Path(elslib.__file__).is_file()
    print("| what is given | what is said |\n| --- | --- |")
    for what, slip in SLIPS.items():
        print(f"| {what} | {told(slip).replace('|', '/')} |")
