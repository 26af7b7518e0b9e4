"""`wrap`: networks that know the answer, in every parametrisation, on every path."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from elslib.analysis.agreement import agree
from elslib.analysis.calibration import calibrate, scale_table
from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import Denoiser, EquivariantLocalScore
from elslib.networks.wrapped import wrap
from elslib.samplers import heun, initial_noise, sample, uniform_times
from elslib.scales import constant_scale
from elslib.schedules import cosine, edm, flow, from_alphas_cumprod, linear

ABAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
PATHS = [cosine(), linear(), edm(), flow(), from_alphas_cumprod(ABAR)]
IMAGES = ImageSet(
    torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1,
    torch.arange(6) % 2,
)


class Oracle(nn.Module):
    """The network that says exactly what the ELS machine says, in its own words: it is told x and
    the time in the coordinates of its path alone."""

    def __init__(self, schedule, predicts):
        super().__init__()
        self.machine = EquivariantLocalScore(IMAGES, constant_scale(3), schedule=schedule)
        self.schedule, self.predicts = schedule, predicts

    def forward(self, own, time, label=None):
        coordinates: Any = {"edm": "ve", "flow": "flow"}.get(
            self.predicts, self.schedule.coordinates
        )
        if self.schedule.steps:
            t = (float(time[0]) + 1) / self.schedule.steps
        elif coordinates == "vp":
            t = float(time[0])
        else:
            s = float(time[0])
            ratio = s if coordinates == "ve" else s / (1 - s) if s < 1 else math.inf
            t = 1.0 if ratio > 1e7 else self.schedule.time_at(ratio)
        alpha, sigma = self.schedule.levels(t)
        scale = {"vp": 1.0, "ve": alpha, "flow": alpha + sigma}[coordinates]
        x0 = self.machine(own * scale, t, label)
        eps = (own * scale - alpha * x0) / sigma
        return {
            "eps": eps, "x0": x0, "edm": x0, "v": alpha * eps - sigma * x0, "flow": eps - x0
        }[self.predicts]  # fmt: skip


@pytest.mark.parametrize("predicts", ["eps", "x0", "v", "flow", "edm"])
@pytest.mark.parametrize("schedule", PATHS, ids=lambda s: s.name)
def test_every_parametrisation_on_every_path(schedule, predicts):
    """The posterior mean comes back, at strong, middle and low noise."""
    module = Oracle(schedule, predicts)
    network = wrap(module, predicts, schedule)
    assert isinstance(network, Denoiser) and network.schedule == schedule
    assert network.edges == "aware" and not module.training
    x = initial_noise([0, 1], (1, 8, 8))
    for t in (0.3, 0.5, 0.9):
        # Of eps, D has an error of 1 / alpha times that of float32.
        assert torch.allclose(network(x, t), module.machine(x, t), atol=2e-4), t


def test_usual_paths():
    """By what is predicted; the border rule by the padding."""
    function = lambda x, t: x  # noqa: E731
    assert wrap(function, "edm").schedule == edm() and wrap(function, "flow").schedule == flow()
    assert wrap(function, "v").schedule == wrap(function).schedule == cosine()
    assert wrap(function, padding="circular").edges == "circular"
    assert repr(wrap(Oracle(flow(), "flow"), "flow")).startswith("WrappedNetwork(Oracle, predicts=")


def test_labels_and_calls():
    """A conditional network gets its labels; another order of arguments goes through call."""
    seen = {}

    def network(time, pixels, y):
        seen["y"], seen["time"] = y.tolist(), time
        return {"answer": pixels}

    wrapped = wrap(network, "x0", classes=3, call=lambda f, x, t, y: f(t, x, y)["answer"])
    x, label = initial_noise([0, 1], (1, 4, 4)), torch.tensor([2, 0])
    assert torch.equal(wrapped(x, 0.5, label), x) and seen["y"] == [2, 0]
    assert seen["time"].tolist() == [0.5, 0.5]
    plain = wrap(lambda x, t, y: x, "x0", classes=3)
    assert torch.equal(plain(x, 0.5, label), x)


def test_whole_steps():
    """A table of steps is asked at steps alone; the grid of 20 lies on 1000."""
    told = []
    table = nn.Embedding(1000, 1)

    def network(x, step):
        told.append(step)
        return x * table(step)[:, :, None, None]

    wrapped = wrap(network, "x0", from_alphas_cumprod(ABAR), integer_steps=True)
    with torch.no_grad():
        sample(wrapped, initial_noise([0], (1, 4, 4)), n_steps=20)
    assert [int(step) for step in told] == [50 * i - 1 for i in range(20, 0, -1)]
    with pytest.raises(ValueError, match=r"t must be \(k \+ 1\) / 1000 for a whole step k of this"):
        wrapped(initial_noise([0], (1, 4, 4)), 0.50005)
    with pytest.raises(ValueError, match="t must be at least 1 / 1000, the network's first step"):
        wrapped(initial_noise([0], (1, 4, 4)), 0.0001)


def test_gradients_flow_to_x_alone():
    """As through our own networks."""
    conv = nn.Conv2d(1, 1, 3, padding=1)
    network = wrap(lambda x, t: conv(x), "x0")
    x = initial_noise([0], (1, 4, 4))
    assert not network(x, 0.5).requires_grad
    assert network(x.requires_grad_(), 0.5).requires_grad


WRONG: dict[str, tuple[Any, str]] = {
    "predicts": (lambda: wrap(len, "noise"), "predicts must be one of eps, x0, v, .* 'noise'"),  # pyright: ignore
    "padding": (lambda: wrap(len, padding="reflect"), "padding must be one of zeros, circular"),  # pyright: ignore
    "module": (lambda: wrap({}), "module must be a torch module or a function, got dict; load"),  # pyright: ignore
    "schedule": (lambda: wrap(len, "eps", "cosine"), "schedule must be a Schedule, got str"),  # pyright: ignore
    "steps": (
        lambda: wrap(len, integer_steps=True),
        r"integer_steps must be False for Schedule\('cosine'\), which has no steps",
    ),
    "shape": (
        lambda: wrap(lambda x, t: x[:, :1])(torch.zeros(2, 3, 4, 4), 0.5),
        r"answer with a tensor of the shape of x, \(2, 3, 4, 4\), got \(2, 1, 4, 4\)",
    ),
    "kind": (
        lambda: wrap(lambda x, t: {"sample": x})(torch.zeros(2, 3, 4, 4), 0.5),
        "got dict; take it out with call=lambda module, x, time, label",
    ),
    "label": (
        lambda: wrap(lambda x, t: x)(torch.zeros(1, 1, 4, 4), 0.5, torch.tensor([0])),
        "label must be None: this network is told no classes",
    ),
    "no label": (
        lambda: wrap(lambda x, t, y: x, classes=2)(torch.zeros(1, 1, 4, 4), 0.5),
        r"label must hold one class in 0..1 per image, got None",
    ),
    "other label": (
        lambda: wrap(lambda x, t, y: x, classes=2)(torch.zeros(1, 1, 4, 4), 0.5, torch.tensor([2])),
        r"label must hold one class in 0..1 per image, got \[2\]",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_refused(as_installed, what):
    """With the remedy."""
    make, message = WRONG[what]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("predicts", ["edm", "flow"])
def test_from_a_network_to_its_agreement(predicts):
    """No card and no files: a network that is ELS is found to have its windows, and is predicted,
    along its own times by its own sampler."""
    network = wrap(Oracle(PATHS[2 if predicts == "edm" else 3], predicts), predicts)
    times = uniform_times(6)
    runs = list(calibrate(network, IMAGES, "els", (3, 5), range(2), times=times, sampler=heun))
    scale = scale_table(runs)
    assert scale.windows[2] == 3 and scale.times == tuple(times[:-1][::-1])
    exact = {"els": constant_scale(3)}
    rows = agree(network, IMAGES, exact, range(2), ("ELS", "IS"), times=times, sampler=heun)
    r = {name: some.r.min() for name, some in rows.groupby("theory")}
    assert r["ELS"] > 0.9999 > r["IS"] and set(rows.network_steps) == {6}


@pytest.mark.parametrize("schedule", [flow(), from_alphas_cumprod(torch.linspace(0.99, 0, 10))])
def test_noise_where_nothing_is_left_of_the_image(schedule):
    """At alpha = 0 an estimate of the noise says nothing; x0 and v do."""
    x = torch.ones(1, 1, 4, 4)
    with pytest.raises(ValueError, match="t must leave something of the image .* got alpha = "):
        wrap(lambda x, t: 0.9 * x, "eps", schedule)(x, 1.0)
    for predicts in ("x0", "v"):
        assert float(wrap(lambda x, t: 0.9 * x, predicts, schedule)(x, 1.0).abs().max()) < 2


def test_whole_steps_in_float32():
    """A time that was rounded to float32 is its step still."""
    told = []
    network = wrap(
        lambda x, t: told.append(int(t[0])) or x, "x0", from_alphas_cumprod(ABAR),
        integer_steps=True,
    )  # fmt: skip
    for k in range(0, 1000, 37):
        network(torch.zeros(1, 1, 4, 4), torch.tensor([(k + 1) / 1000]))
        assert told[-1] == k
    with pytest.raises(ValueError, match="for a whole step k"):
        network(torch.zeros(1, 1, 4, 4), 0.0105)


@pytest.mark.parametrize("classes", ["10", 0, -1, 2.5])
def test_numbers_of_classes(as_installed, classes):
    """Said when it is wrapped."""
    with pytest.raises(ValueError, match="classes must be how many"):
        wrap(lambda x, t: x, classes=classes)
