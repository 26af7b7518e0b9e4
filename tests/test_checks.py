"""Arguments of the wrong kind: the house's error by the annotations, wherever `checked` stands."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from elslib import samplers, schedules
from elslib.analysis import intervals, metrics, mosaic
from elslib.analysis.agreement import draw
from elslib.analysis.attribution import attribute, changed_by_removing
from elslib.analysis.calibration import Trajectory, calibrate
from elslib.analysis.theories import theories
from elslib.checks import check_fields, checked
from elslib.data import named
from elslib.data.image_set import ImageSet
from elslib.denoisers.baselines import PcaLocality, WienerFilter
from elslib.denoisers.machines import EquivariantLocalScore, IdealScore, LocalScore
from elslib.experiments import store
from elslib.experiments.figure_config import FigureConfig
from elslib.figures import plots
from elslib.figures.explorer import explore
from elslib.figures.player import play
from elslib.networks.architectures import NetworkConfig
from elslib.networks.training import TrainConfig
from elslib.networks.wrapped import wrap
from elslib.posterior import patch_posterior
from elslib.posterior.mass import posterior_and_mass
from elslib.posterior.query import Query
from elslib.scales import ScaleTable, constant_scale
from elslib.windows import Window

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
    IdealScore(IMAGES).posterior: {"x": X, "t": 0.5, "top": 1},
    IdealScore(IMAGES).posterior_and_mass: {"x": X, "t": 0.5},
    wrap(lambda x, t: x, "x0").__call__: {"x": X, "t": 0.5},
    attribute: {"machine": IdealScore(IMAGES), "noise": X, "times": [1.0, 0.0]},
    changed_by_removing: {
        "machine": IdealScore(IMAGES), "noise": X, "which": [1], "n_steps": 2,
    },
    theories: {"network": DENOISE, "images": IMAGES, "scales": {}, "names": ["IS"]},
    metrics.coefficient_of_determination: {"prediction": X, "truth": IMAGES.pixels[:2]},
    metrics.nearest_image: {"x": X, "images": IMAGES.pixels},
    metrics.nearest_shift: {"x": X, "images": IMAGES.pixels},
    metrics.near_copies: {"x": X, "images": IMAGES.pixels, "ratio": 0.5},
    intervals.mean_interval: {"values": torch.ones(3), "level": 0.9, "draws": 10, "seed": 0},
    intervals.median_interval: {"values": torch.ones(3), "level": 0.9, "draws": 10, "seed": 0},
    intervals.share_interval: {"hits": 1, "n": 2, "level": 0.9},
    Query: {"alpha": 0.5, "sigma": 0.5, "window": Window(3), "border": "fixed", "top": 0},
    ScaleTable: {"times": (0.5, 1.0), "windows": (3, 5), "source": "x"},
    ScaleTable((1.0,), (3,), "x").scaled: {"factor": 2.0},
    ScaleTable((1.0,), (3,), "x").widened: {"smallest": 3, "below": 2.0},
    constant_scale: {"window": 3},
    Window: {"side": 3, "boxes": 1, "amplitude": 1.0, "response": 1, "edge": 3},
    posterior_and_mass: {
        "x": X, "images": IMAGES.pixels, "alpha": 0.5, "sigma": 0.5, "window": 3, "border": "fixed",
    },
    schedules.linear: {"rate_min": 0.1, "rate_max": 20.0},
    schedules.ornstein_uhlenbeck: {"horizon": 5.0},
    schedules.edm: {"sigma_max": 80.0, "rho": 7.0},
    schedules.from_alphas_cumprod: {"values": [0.9, 0.5]},
    schedules.Schedule: {"name": "own", "angle": torch.atan, "coordinates": "vp", "steps": 3},
    samplers.karras_times: {"n_steps": 3, "schedule": DENOISE.schedule, "sigma_min": 0.1},
    ImageSet: {"pixels": IMAGES.pixels, "class_names": ("a",), "name": "x", "bounds": (-1.0, 1.0)},
    IdealScore: {"images": IMAGES, "schedule": DENOISE.schedule},
    LocalScore: {"images": IMAGES, "scale": constant_scale(3), "schedule": DENOISE.schedule},
    EquivariantLocalScore: {"images": IMAGES, "scale": constant_scale(3)},
    WienerFilter: {"images": IMAGES, "schedule": DENOISE.schedule},
    PcaLocality: {"images": IMAGES, "threshold": 0.5},
    NetworkConfig: {"channels": 1, "width": 24, "blocks": 1, "classes": 2},
    TrainConfig: {"network": NetworkConfig(1, 24), "steps": 1, "lr": 0.1, "ema": 0.5, "seed": 1},
    Trajectory: {"label": 1, "times": (0.5,), "windows": (3,), "cosine": torch.zeros(1, 1)},
    FigureConfig: {"dataset": "x", "network": "y", "label": 1, "factor": 1.0, "n_steps": 2},
}  # fmt: skip
WRONG = {
    "array": np.zeros((2, 1, 8, 8), np.float32), "list": [[0.5]], "text": "0.5", "dict": {"a": 1},
    "whole tensor": torch.zeros(2, 1, 8, 8, dtype=torch.int64), "object": object(), "flag": True,
    "other axes": torch.zeros(2, 2), "none at all": torch.zeros(0, 1, 8, 8), "complex": 1j,
}  # fmt: skip
FITS = "cosine", "other axes"
NAMED = r"^{name} must |^{name} and |^x and |^images must |^side must "
OWN = {"denoise", "network", "scales", "border", "angle", "coordinates"}  # checked elsewhere


@pytest.mark.parametrize("call", CALLS, ids=lambda call: getattr(call, "__qualname__", str(call)))
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_kinds(call, wrong):
    """ValueError that begins with the argument's name, whatever is given for whichever."""
    right = CALLS[call]
    call(**right)
    for name in right.keys() - OWN:
        if wrong == "none at all" and name not in ("x", "prediction", "truth"):
            continue  # a batch of none is meant
        if type(right[name]) is type(WRONG[wrong]) is str or (name, wrong) == FITS:
            continue
        with pytest.raises(ValueError, match=NAMED.format(name=name)):
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
    five: Any = np.int64(5)
    assert json.dumps(constant_scale(five).json()) == json.dumps(constant_scale(5).json())
    assert Window(five, edge=np.int32(3)) == Window(5, edge=3)  # pyright: ignore
    assert type(NetworkConfig(np.int64(1), np.int64(24)).channels) is int  # pyright: ignore
    config = TrainConfig(NetworkConfig(1, 24), 1, seed=np.int64(3))  # pyright: ignore
    assert type(config.seed) is int
    assert ImageSet(IMAGES.pixels, class_names=["a"]).class_names == ("a",)  # pyright: ignore
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
    with pytest.raises(ValueError, match=r"rows\['a'\] must be a .*tensor .* got ndarray"):
        plots.image_grid(rows)


def test_containers_and_functions():
    """What a dictionary holds is named by its key; an iterator is read; a function is one."""

    def several(
        sides: Mapping[str, int | None],
        seeds: Iterable[int],
        call: Callable[..., Any] | None = None,
    ) -> Any:
        return sides, seeds, call

    f: Any = checked(several)
    assert f({"a": np.int64(3), "b": None}, iter((1, 2)), len) == ({"a": 3, "b": None}, [1, 2], len)
    for wrong, message in (
        (
            (3, [1]),
            r"sides must be a dictionary of names, each with a .* got int 3; give \{'els': s",
        ),
        (({"a": 0.5}, [1]), r"sides\['a'\] must be a whole number or None, got float 0.5"),
        (
            ({}, 3),
            r"seeds must be a sequence, each a whole number, got int 3; write \[3\] or range",
        ),
        (({}, [1], "x"), "call must be a function or None, got str 'x'"),
    ):
        with pytest.raises(ValueError, match=message):
            f(*wrong)


def results():
    """What functions of the library answer, by its class."""
    machine = EquivariantLocalScore(IMAGES, constant_scale(3))
    posterior = machine.posterior(X, 0.5, top=2)
    steps = list(samplers.ddim(machine, X, [1.0, 0.5, 0.0]))
    found = [
        posterior, posterior.origins, mosaic.certify(X, IMAGES.pixels, 3, "aware"), steps[0],
        mosaic.pieces(posterior.origins, "aware"), play({"IS": steps}),  # pyright: ignore
        explore(machine, None, X[:1]), next(attribute(machine, X)),
        draw(DENOISE, {"ELS": machine}, range(2), None, (1, 8, 8), times=[1.0, 0.0]),
        next(calibrate(DENOISE, IMAGES, "ls", (3, 5), (1,))),
    ]  # fmt: skip
    return {type(one).__name__: one for one in found}


def test_results_take_one_line():
    """Whatever they hold: sizes, and what is short."""
    texts = {name: repr(one) for name, one in results().items()}
    for name, text in texts.items():
        assert text.startswith(f"{name}(") and len(text) < 300 and "\n" not in text, text
        assert "tensor" not in text
    assert texts["Step"] == "Step(i=0, t=1.0, x=[2, 1, 8, 8], x0=[2, 1, 8, 8])"
    assert "origins=Origins(image=[2, 2, 8, 8], row=[2, 2, 8, 8]" in texts["PatchPosterior"]
    assert texts["Trajectory"].startswith("Trajectory(label=None, times=20 float 0.05..1.0, window")
    assert "frames=20 Frame, " in texts["Explorer"]


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


def test_paths_and_texts_name_the_same(tmp_path, monkeypatch):
    """Wherever something is loaded; a Path never means a set, or a network of the project."""
    monkeypatch.chdir(tmp_path)
    np.save("own.npy", IMAGES.pixels.numpy())
    for own in ("own.npy", Path("own.npy"), tmp_path / "own.npy"):
        assert torch.equal(named.load(own).pixels, IMAGES.pixels)
    Path("mnist_5k").mkdir()
    with pytest.raises(ValueError, match="mnist_5k must hold pictures"):
        named.load(Path("mnist_5k"))
    (tmp_path / "scale.json").write_text(json.dumps(constant_scale(3).json()), encoding="utf-8")
    text: Any = "scale.json"
    number: Any = 3
    assert ScaleTable.load(text) == ScaleTable.load(tmp_path / "scale.json") == constant_scale(3)
    assert store.network_paths(Path("net"))[0] == Path("net.safetensors")
    assert store.scale_path(Path("net"), "els") == Path("net-els.json")
    for load in (store.load_network, store.training_images):
        with pytest.raises(FileNotFoundError, match="no network 'mnist-resnet'"):
            load(Path("mnist-resnet"))
        with pytest.raises(ValueError, match="^name must be a text or a path, got int 3"):
            load(number)
