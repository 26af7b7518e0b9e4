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
from elslib.analysis.calibration import quality
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
    "label as a text": lambda: TOLD(X, 0.5, "cat"),
    "label as floats": lambda: TOLD(X, 0.5, [0.0, 1.0]),
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
    "calibrate, another machine": lambda: [*els.calibrate(NET, IMAGES, "IS")],
    "agree without scales": lambda: els.agree(NET, IMAGES, {}, range(2), ("ELS",)),
    "agree with an unknown theory": lambda: els.agree(NET, IMAGES, {}, range(2), ("KNN",)),
    "a scale for another time": lambda: els.ScaleTable((0.5,), (3,), "x").window_at(0.9),
    "a network of nobody": lambda: els.load_network("nobody"),
    "diffusers from nowhere": lambda: load_diffusers("/nowhere"),
}


NOISE: Any = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
SCALE: Any = els.constant_scale(3)
RUNS: Any = lambda: els.calibrate(NET, IMAGES, windows=(3, 5), seeds=(1,), n_steps=2)  # noqa: E731
TOY: Any = torch.nn.Conv2d(1, 1, 3, padding=1)
# What is meant is plain; so is what to write instead.
REMEDIES = {
    "a table for a dictionary": (
        lambda: els.agree(NET, IMAGES, SCALE, (1,), ("ELS",)),
        r"scales must be a dictionary .*got ScaleTable .*; give \{'els': scales\}",
    ),
    "a window in it": (
        lambda: els.agree(NET, IMAGES, {"els": 5}, (1,), ("ELS",)),
        r"scales\['els'\] must be a ScaleTable, got int 5; constant_scale\(5\) makes one",
    ),
    "seeds": (
        lambda: els.agree(NET, IMAGES, {}, 2, ("IS",)),
        r"seeds must be a sequence, .* got int 2; write \[2\] or range\(2\)",
    ),
    "a function for a network": (
        lambda: els.agree(lambda x, t, y=None: x, IMAGES, {}, (1,), ("IS",)),
        r"must have a .schedule, .*; set it, for example denoise.schedule = cosine\(\)",
    ),
    "theories of a module": (
        lambda: els.theories(TOY, IMAGES, {}, ("IS",)),
        r"denoise must have a .schedule, .* of a Conv2d; elslib.wrap\(module, 'eps' \| 'x0' \| ",
    ),
    "a sample of a module": (lambda: els.sample(TOY, NOISE), r"elslib.wrap\(module, 'eps' \|"),
    "a calibration of one": (lambda: [*els.calibrate(TOY, IMAGES)], r"elslib.wrap\(module, 'eps'"),
    "an array": (lambda: NET(X.numpy(), 0.5), "x must be a .* got ndarray .*; torch.as_tensor"),
    "a picture for a network": (
        lambda: NET(X[0], 0.5),
        r"x must be a floating-point tensor \[b, c, h, w\] .*; x\[None\] has one axis more",
    ),
    "a picture for a machine": (lambda: MACHINE(X[0], 0.5), r"x\[None\] has one axis more"),
    "a picture to attribute": (lambda: els.attribute(MACHINE, X[0]), r"noise\[None\] has one axis"),
    "pictures compared": (
        lambda: els.pearson_r(X[0], X),
        r"a must be a .*; a\[None\] has one axis",
    ),
    "times of a posterior": (
        lambda: MACHINE.posterior(NOISE, torch.tensor([0.5, 0.5])),
        r"t must be a number, got .*; give one number for all, such as float\(t\[0\]\)",
    ),
    "times of a mass": (
        lambda: MACHINE.posterior_and_mass(NOISE, torch.ones(2)),
        r"such as float\(t\[0\]\)",
    ),
    "a network to attribute": (
        lambda: els.attribute(NET, NOISE),
        "machine must be a ScoreMachine, got WrappedNetwork .*; IS, ES, LS and ELS are",
    ),
    "a baseline to attribute": (
        lambda: els.changed_by_removing(els.WienerFilter(IMAGES), NOISE, [1]),
        "machine must be a ScoreMachine, got WienerFilter .*; IS, ES, LS and ELS are",
    ),
    "a posterior in pieces": (
        lambda: els.pieces(MACHINE.posterior(NOISE, 0.5), "aware"),
        r"origins must be an Origins, got PatchPosterior .*; machine.posterior\(..., top=1\).ori",
    ),
    "drawn pictures in a list": (
        lambda: els.image_grid([NOISE]),
        r"rows must be a dictionary .* got list .*; give \{'els': rows\}",
    ),
    "one picture in a grid": (
        lambda: els.image_grid({"a": NOISE[0]}),
        r"rows\['a'\] must be .*\[n, c, h, w\].*; rows\['a'\]\[None\] has one axis more",
    ),
    "one run to play": (
        lambda: els.play(els.ddim(NET, NOISE, [1.0, 0.0])),
        r"runs must be a dictionary .*got generator .*; give \{'els': runs\}",
    ),
    "no runs to judge": (
        lambda: quality(iter(())),
        "trajectories must hold at least one, got none",
    ),
    "names for labels": (
        lambda: els.ImageSet.from_arrays(BYTES, ["cat", "dog", "cat", "cat"]),
        r"labels must be whole numbers, got <U3; .*np.unique\(labels, return_inverse=True\)",
    ),
    "images for a tensor": (
        lambda: els.patch_posterior(NOISE, IMAGES, 0.5, 0.5, 3, "aware"),
        r"images must be .* got ImageSet .*; give images.pixels",
    ),
    "images to certify": (lambda: els.certify(X, IMAGES, 3, "aware"), r"; give images.pixels"),
    "images for x": (lambda: MACHINE(IMAGES, 0.5), r"x must be .* got ImageSet .*; give x.pixels"),
    "a window for a table": (
        lambda: els.EquivariantLocalScore(IMAGES, 5),
        r"scale must be a ScaleTable, got int 5; constant_scale\(5\) makes one of a window's side",
    ),
    "a tensor for images": (
        lambda: els.EquivariantLocalScore(PIXELS, SCALE),
        r"images must be an ImageSet, got Tensor .*; ImageSet\(tensor\), ImageSet.from_arrays",
    ),
    "zeros for edges": (
        lambda: els.EquivariantLocalScore(IMAGES, SCALE, "zeros"),
        "edges must be 'circular', or 'aware' for zero padding, got 'zeros'",
    ),
    "a network of x alone": (
        lambda: els.wrap(TOY)(X, 0.5),
        r"module must take 2 arguments, .* got Conv2d: .*; say how .* call=lambda net, x, t, label",
    ),
    "steps for the label": (
        lambda: els.sample(MACHINE, NOISE, 5),
        r"label must be None, got 5: the images of 'unnamed' have no labels; .*n_steps=",
    ),
    "steps for the label of a network": (
        lambda: els.sample(NET, NOISE, 5),
        "label must .*n_steps=",
    ),
    "steps twice": (
        lambda: els.sample(MACHINE, NOISE, n_steps=2, times=[1, 0]),
        "n_steps must be left out beside times, got 2; give one of both",
    ),
    "a sampler": (
        lambda: els.sample(MACHINE, NOISE, sampler="hoin"),
        "must be one of ddim, heun, ",
    ),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_a_slip_is_told_its_remedy(name, as_installed):
    """One that can be followed."""
    slip, message = REMEDIES[name]
    with pytest.raises(ValueError, match=message) as caught:
        slip()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda **how: els.agree(NET, IMAGES, {}, range(2), ("IS",), **how),
        lambda **how: [run.json() for run in els.calibrate(NET, IMAGES, "ls", (3, 5), (1,), **how)],
        lambda **how: [one.share.tolist() for one in els.attribute(MACHINE, NOISE, **how)],
        lambda **how: els.changed_by_removing(MACHINE, NOISE, [0], **how).tolist(),
        lambda **how: els.sample(MACHINE, NOISE, **how).tolist(),
    ],
    ids=["agree", "calibrate", "attribute", "changed_by_removing", "sample"],
)
def test_a_number_of_steps_or_their_times(ask, as_installed):
    """The same; both are refused."""
    assert str(ask(n_steps=2)) == str(ask(times=[1.0, 0.5, 0.0])) != str(ask())
    with pytest.raises(ValueError, match="n_steps must be left out beside times, got 2"):
        ask(n_steps=2, times=[1.0, 0.0])


def test_natural_input_is_taken(as_installed):
    """Where what is meant is clear."""
    how: Any = {"n_steps": 2, "sampler": "heun"}
    assert torch.equal(
        els.sample(NET, NOISE, **how), els.sample(NET, NOISE, n_steps=2, sampler=els.heun)
    )
    runs = els.calibrate(NET, IMAGES, windows=(3, 5), seeds=(1,), **how)
    assert quality(runs) == quality(
        [*els.calibrate(NET, IMAGES, windows=(3, 5), seeds=(1,), n_steps=2, sampler=els.heun)]
    )
    rows = els.agree(NET, IMAGES, {}, iter(range(2)), ("IS", "nearest"), **how)
    assert list(rows.index) == list(range(len(rows))) and list(rows.seed) == [0, 0, 1, 1]
    player = els.play({"IS": els.ddim(els.IdealScore(IMAGES), NOISE, [1.0, 0.5, 0.0])})
    assert len(player.times) == 2
    assert len(els.image_grid(NOISE).axes) == 2
    names = els.theories(NET, IMAGES, {"ELS": SCALE}, ("els", "is", "localwiener"))
    assert list(names) == ["ELS", "IS", "LocalWiener"] and names["ELS"] == MACHINE
    alike = (els.calibrate(NET, IMAGES, name, (3, 5), (1,), n_steps=2) for name in ("LS", "ls"))
    assert len({str([run.json() for run in runs]) for runs in alike}) == 1


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
