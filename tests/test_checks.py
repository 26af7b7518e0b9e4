"""Arguments of the wrong kind: the house's error by the annotations, wherever `checked` stands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elslib import samplers
from elslib.analysis import intervals, metrics
from elslib.checks import check_fields, checked
from elslib.data.image_set import ImageSet
from elslib.denoisers.baselines import WienerFilter
from elslib.denoisers.machines import EquivariantLocalScore, IdealScore
from elslib.figures import plots
from elslib.posterior import patch_posterior
from elslib.posterior.query import Query
from elslib.scales import ScaleTable, constant_scale

pytestmark = pytest.mark.usefixtures("as_installed")

IMAGES = ImageSet(torch.linspace(-1, 1, 4 * 64).view(4, 1, 8, 8))
X = torch.zeros(2, 1, 8, 8)
DENOISE: Any = IdealScore(IMAGES)
# For each function a call that works, by the names of its arguments.
CALLS: dict[Any, dict[str, Any]] = {
    samplers.initial_noise: {"seeds": [1, 2], "shape": (1, 2, 2)},
    samplers.uniform_times: {"n_steps": 3},
    samplers.geometric_times: {"n_steps": 3, "schedule": DENOISE.schedule, "last": 0.1},
    samplers.ddim: {"denoise": DENOISE, "x": X, "times": [1.0, 0.0]},
    samplers.sample: {"denoise": DENOISE, "x": X, "n_steps": 2},
    patch_posterior: {
        "x": X, "images": IMAGES.pixels, "alpha": 0.5, "sigma": 0.5, "window": 3, "border": "fixed",
        "top": 1, "chunk": 2,
    },
    IdealScore(IMAGES).__call__: {"x": X, "t": 0.5},
    WienerFilter(IMAGES).__call__: {"x": X, "t": 0.5},
    metrics.coefficient_of_determination: {"prediction": X, "truth": IMAGES.pixels[:2]},
    metrics.nearest_image: {"x": X, "images": IMAGES.pixels},
    metrics.nearest_shift: {"x": X, "images": IMAGES.pixels},
    metrics.near_copies: {"x": X, "images": IMAGES.pixels, "ratio": 0.5},
    intervals.mean_interval: {"values": torch.ones(3), "level": 0.9, "draws": 10, "seed": 0},
    intervals.median_interval: {"values": torch.ones(3), "level": 0.9, "draws": 10, "seed": 0},
    intervals.share_interval: {"hits": 1, "n": 2, "level": 0.9},
    Query: {"alpha": 0.5, "sigma": 0.5, "window": 3, "border": "fixed", "top": 0, "chunk": None},
    ScaleTable: {"times": (0.5, 1.0), "windows": (3, 5), "source": "x"},
}  # fmt: skip
WRONG = {
    "array": np.zeros((2, 1, 8, 8), np.float32), "list": [[0.5]], "text": "0.5", "dict": {"a": 1},
    "whole tensor": torch.zeros(2, 1, 8, 8, dtype=torch.int64), "object": object(), "flag": True,
    "other axes": torch.zeros(2, 2), "none at all": torch.zeros(0, 1, 8, 8), "complex": 1j,
}  # fmt: skip
OWN = {"schedule", "denoise", "border", "source", "window", "windows"}  # checked elsewhere


@pytest.mark.parametrize("call", CALLS, ids=lambda call: getattr(call, "__qualname__", str(call)))
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_kinds(call, wrong):
    """ValueError that begins with the argument's name, whatever is given for whichever."""
    right = CALLS[call]
    call(**right)
    for name in right.keys() - OWN:
        if wrong == "none at all" and name not in ("x", "prediction", "truth"):
            continue  # a batch of none is meant
        with pytest.raises(ValueError, match=rf"^{name} must |^{name} and |^x and |^images must "):
            call(**{**right, name: WRONG[wrong]})


def test_other_names_of_the_same_number():
    """NumPy's integers and floats, tensors of one number, lists and arrays of numbers."""
    two: Any = np.int64(2)
    assert samplers.uniform_times(two) == [1.0, 0.5, 0.0]
    noise = samplers.initial_noise(np.arange(2), np.array([1, 8, 8]))  # pyright: ignore
    assert torch.equal(noise, samplers.initial_noise([0, 1], (1, 8, 8)))
    half: Any = np.float32(0.5)
    narrow = patch_posterior(X, IMAGES.pixels, half, torch.tensor(0.5), 3, "aware")  # pyright: ignore
    assert torch.equal(narrow.mean, patch_posterior(X, IMAGES.pixels, 0.5, 0.5, 3, "aware").mean)
    scale: Any = ScaleTable(np.array([0.5, 1.0]), (3, None), "x")  # pyright: ignore
    assert scale == ScaleTable((0.5, 1.0), (3, None), "x")
    end = samplers.sample(DENOISE, X, times=np.array([1.0, 0.5, 0.0]))  # pyright: ignore
    assert torch.equal(end, samplers.sample(DENOISE, X, n_steps=2))


def test_machines_are_equal_by_what_they_compute():
    """Not by comparing pixel with pixel, which ends in a trace."""
    same = ImageSet(IMAGES.pixels.clone())
    other = ImageSet(-IMAGES.pixels)
    scale = constant_scale(3)
    assert EquivariantLocalScore(IMAGES, scale) == EquivariantLocalScore(same, scale)
    assert EquivariantLocalScore(IMAGES, scale) != EquivariantLocalScore(other, scale)
    assert IdealScore(IMAGES) != IdealScore(IMAGES.to(dtype=torch.float64)) and IMAGES != 3
    assert len({IdealScore(IMAGES), IdealScore(same), IdealScore(other)}) == 2


def test_figures_of_what_is_no_tensor():
    """Named by their row."""
    rows: Any = {"a": np.zeros((1, 1, 4, 4))}
    with pytest.raises(ValueError, match="row 'a' must be a tensor .* got ndarray"):
        plots.image_grid(rows)


def test_paths_as_text():
    """A text becomes the path that it names."""

    @checked
    def name_of(path: Path) -> str:
        return path.name

    anything: Any = "a/b"
    assert name_of(anything) == name_of(path=Path("a/b")) == "b"
    anything = 3
    with pytest.raises(ValueError, match="path must be a path, got int 3"):
        name_of(anything)
    assert callable(check_fields)
