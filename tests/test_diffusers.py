"""The adapter of diffusers' UNets: time matched by abar, D by hand and by the library itself."""

import json
import math
import sys
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from elslib.denoisers.machines import Denoiser
from elslib.networks import diffusers_adapter
from elslib.samplers import initial_noise, sample
from elslib.schedules import cosine, from_alphas_cumprod, linear

pytestmark = pytest.mark.usefixtures("one_thread")
load_diffusers: Any = diffusers_adapter.load_diffusers
GRID = [i / 20 for i in range(1, 21)]
NOISES = [
    {},
    {"beta_schedule": "squaredcos_cap_v2"},
    {"beta_schedule": "sigmoid"},
    {"num_train_timesteps": 50, "beta_start": 1e-3, "beta_end": 0.4},
    {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
]


@pytest.fixture
def save(tmp_path):
    """Save a tiny UNet of random weights and its scheduler as a pipeline does; gives the folder."""
    reason = "needs the extra diffusers"
    unets = pytest.importorskip("diffusers.models.unets.unet_2d", reason=reason)
    schedulers = pytest.importorskip("diffusers.schedulers", reason=reason)

    def save(scheduler="DDPMScheduler", unet=None, **noise):
        torch.manual_seed(0)
        shape = {
            "in_channels": 2,
            "out_channels": 2,
            "block_out_channels": (8, 16),
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": 1,
            "norm_num_groups": 4,
        }
        unets.UNet2DModel(**{**shape, **(unet or {})}).save_pretrained(tmp_path / "unet")
        getattr(schedulers, scheduler)(**noise).save_pretrained(tmp_path / "scheduler")
        return tmp_path

    return save


def noisy(seeds=(1, 2)):
    return initial_noise(seeds, (2, 8, 8))


def time_of(step, denoiser):
    """The t of the cosine schedule with the abar of an integer step."""
    return float(denoiser.angles[step]) * 2.016 / math.pi


# ---- time


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_the_fractional_step_has_the_abar_of_t(save, noise):
    """Angles interpolated at the step are those of t: alpha and sigma agree to rounding."""
    denoiser = load_diffusers(save(**noise))
    steps = denoiser.timestep(torch.tensor(GRID))
    below = steps.floor().long().clamp(max=len(denoiser.angles) - 2)
    angles = torch.from_numpy(denoiser.angles)
    angle = torch.lerp(angles[below], angles[below + 1], steps - below)
    t = torch.tensor(GRID, dtype=torch.float64)
    assert torch.allclose(angle.cos(), cosine().alpha(t), rtol=0, atol=1e-7)
    assert torch.allclose(angle.sin(), cosine().sigma(t), rtol=0, atol=1e-7)
    assert bool((steps.diff() > 0).all()) and bool((steps != steps.round()).any())


@pytest.mark.parametrize(
    "scheduler, noise",
    [
        *(("DDPMScheduler", noise) for noise in NOISES),
        ("DDIMScheduler", NOISES[0]),
        ("DDIMScheduler", NOISES[4]),
        ("PNDMScheduler", NOISES[1]),
    ],
    ids=str,
)
def test_angles_are_those_of_the_scheduler(save, scheduler, noise):
    """cos^2 of the k-th angle is the scheduler's abar_k, and its time is step k exactly."""
    folder = save(scheduler, **noise)
    schedulers = pytest.importorskip("diffusers.schedulers")
    abar = getattr(schedulers, scheduler).from_pretrained(folder / "scheduler").alphas_cumprod
    denoiser = load_diffusers(folder)
    angles = torch.from_numpy(denoiser.angles)
    assert torch.allclose(angles.cos() ** 2, abar.double(), rtol=0, atol=1e-6)
    for step in (0, 1, 20, 40):
        assert float(denoiser.timestep(time_of(step, denoiser))) == pytest.approx(step, abs=1e-9)


def test_the_adapters_schedule_says_what_t_means(save):
    """diffusers' linear betas are the steps of our linear schedule, by its own t."""
    denoiser = load_diffusers(save(), schedule=linear())
    assert float(denoiser.timestep(0.5)) == pytest.approx(499, abs=1)
    assert float(denoiser.timestep(0.25)) == pytest.approx(249, abs=1)


@pytest.mark.parametrize(
    "noise, t", [({}, 0.0), ({}, 0.006), ({"beta_schedule": "scaled_linear"}, 1.0)], ids=str
)
def test_noise_that_the_network_has_not_seen(save, noise, t):
    """Neither less than at the first step nor more than at the last is taken for the nearest."""
    betas = {"beta_start": 0.00085, "beta_end": 0.012} if noise else {}
    denoiser = load_diffusers(save(**noise, **betas))
    with pytest.raises(
        ValueError, match="t must have noise that this network was trained on, .* got"
    ):
        denoiser(noisy(), t)


def test_a_time_out_of_range(save):
    """t lies in [0, 1], as for every Denoiser."""
    with pytest.raises(ValueError, match=r"t must lie in \[0, 1\], got"):
        load_diffusers(save())(noisy(), 1.1)


def test_each_time_is_looked_at(save):
    """One bad time in a batch is refused, with its own noise."""
    with pytest.raises(ValueError, match=r"\(0.99995, 0.01000\) to .* got \(1.00000, 0.00156\)"):
        load_diffusers(save()).timestep(torch.tensor([0.5, 0.001]))


# ---- the posterior mean


def test_denoised_by_hand(save):
    """D = (x - sigma eps) / alpha, eps from the network at the fractional step."""
    folder = save()
    denoiser, x, before = load_diffusers(folder), noisy(), noisy()
    alpha, sigma = cosine().levels(0.35)
    step = denoiser.timestep(0.35).float()
    assert float(step) != int(step)
    with torch.no_grad():
        eps = denoiser.module(x, step).sample
        at_nearest_step = denoiser.module(x, step.round()).sample
    x0 = denoiser(x, 0.35)
    assert torch.allclose(x0, (x - sigma * eps) / alpha, atol=1e-6)
    assert not torch.equal(eps, at_nearest_step)
    assert isinstance(denoiser, Denoiser)
    steps = "DiffusersDenoiser(UNet2DModel, 1000 steps, 'epsilon', schedule=Schedule('cosine'))"
    assert repr(denoiser) == steps
    assert torch.equal(x, before) and not x0.requires_grad


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("step", [0, 1, 500, 900])
def test_denoised_as_diffusers_does(save, prediction, step):
    """At the time of an integer step D is the scheduler's own estimate of the clean image."""
    folder = save(prediction_type=prediction, clip_sample=False)
    schedulers = pytest.importorskip("diffusers.schedulers")
    scheduler = schedulers.DDPMScheduler.from_pretrained(folder / "scheduler")
    denoiser, x = load_diffusers(folder), noisy()
    with torch.no_grad():
        predicted = denoiser.module(x, step).sample
    expected = scheduler.step(predicted, step, x).pred_original_sample
    actual = denoiser(x, time_of(step, denoiser))
    assert torch.allclose(actual, expected, rtol=1e-3, atol=1e-4)


def test_class_labels_and_batches(save):
    """Each image with its own time and class, as if alone; the class matters."""
    denoiser = load_diffusers(save(unet={"num_class_embeds": 3}))
    assert denoiser.classes == 3
    x, t, label = noisy((1, 2, 3)), torch.tensor([0.1, 0.5, 0.9]), torch.tensor([2, 0, 1])
    together = denoiser(x, t, label)
    for i in range(3):
        alone = denoiser(x[i : i + 1], float(t[i]), label[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)
    assert (denoiser(x, t, label.flip(0)) - together).abs().max() > 1e-3


def test_samplers_take_it(save):
    """A sample of 20 steps on our time grid, from the same noise as any network of ours."""
    denoiser = load_diffusers(save())
    assert bool(sample(denoiser, noisy(), n_steps=20).isfinite().all())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": torch.zeros(2, 3, 8, 8)}, r"x must have shape \[b, 2, h, w\] for this network"),
        ({"x": torch.zeros(2, 2, 8, 7)}, "x must have sides that are multiples of 2 .* 1 times"),
        ({"x": torch.zeros(2, 2, 8, 8).double()}, "x must have the network's dtype and device"),
        ({"label": None}, r"label must hold one class in 0\.\.2 per image"),
        ({"label": torch.tensor([0, 3])}, r"label must hold one class in 0\.\.2 .* got \[0, 3\]"),
    ],
)
def test_wrong_calls(as_installed, save, change, message):
    """What our own networks refuse, the adapter refuses in the same words."""
    denoiser = load_diffusers(save(unet={"num_class_embeds": 3}))
    good = {"x": torch.zeros(2, 2, 8, 8), "t": 0.5, "label": torch.tensor([0, 1])}
    with pytest.raises(ValueError, match=message):
        denoiser(**{**good, **change})


def test_an_unconditional_network_called_with_a_label(save):
    """It never ignores a class."""
    with pytest.raises(ValueError, match="label must be None: this network is told no classes"):
        load_diffusers(save())(noisy(), 0.5, torch.tensor([0, 1]))


# ---- files


def test_a_unet_folder_with_its_scheduler_elsewhere(save):
    """The UNet's own folder, and the scheduler's folder or file, do as well as the pipeline's."""
    folder = save()
    before = torch.get_rng_state()
    expected = load_diffusers(folder)(noisy(), 0.5)
    for scheduler in (folder / "scheduler", folder / "scheduler" / "scheduler_config.json"):
        other = load_diffusers(folder / "unet", scheduler=scheduler)
        assert torch.equal(other(noisy(), 0.5), expected)
    assert torch.equal(torch.get_rng_state(), before), "loading draws nothing"


def test_without_diffusers(monkeypatch, tmp_path):
    """What to install."""
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"pip install 'elslib\[diffusers\]'"):
        load_diffusers(tmp_path)


def test_missing_files(save, tmp_path):
    """A folder without a network, a network without a scheduler or weights."""
    folder = save()
    for wrong in (folder / "nowhere", folder / "scheduler"):
        with pytest.raises(FileNotFoundError, match="folder must hold a UNet2DModel, .* got /"):
            load_diffusers(wrong)
    with pytest.raises(FileNotFoundError, match="scheduler must be a scheduler_config.json or"):
        load_diffusers(folder / "unet")
    with pytest.raises(FileNotFoundError, match="scheduler must be a scheduler_config.json or"):
        load_diffusers(folder, scheduler=folder / "nowhere")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))  # pickled: not even looked at
    weights.unlink()
    with pytest.raises(ValueError, match="must be one whole safetensors .* pickled weights are ne"):
        load_diffusers(folder)


def change_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"_class_name": "UNet2DConditionModel"}, "_class_name of the network must be 'UNet2DMod"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type .* 'positional', got 'fourier'"),
        ({"class_embed_type": "timestep"}, "class_embed_type of the network must be None, got 't"),
        ({"out_channels": 4}, "out_channels of the network must be 2, got 4 .* adapter of their"),
    ],
)
def test_networks_of_another_kind(save, changes, message):
    """Networks that take other than a step and a class, or return other than an image."""
    folder = save()
    change_json(folder / "unet" / "config.json", **changes)
    with pytest.raises(ValueError, match=message):
        load_diffusers(folder)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"prediction_type": "flow_prediction"},
            "prediction_type must be one of epsilon, sample, v_prediction, got 'flow_prediction'",
        ),
        (
            {"_class_name": "ScoreSdeVeScheduler"},
            "_class_name of the scheduler must be one of DDPMScheduler, .* got 'ScoreSdeVeSched",
        ),
        (
            {"beta_schedule": "quadratic"},
            "scheduler must be one that diffusers can make, got quadratic is not implemented",
        ),
    ],
)
def test_schedulers_of_another_kind(save, changes, message):
    """Predictions from which no D follows, and noise that is not scaled as ours."""
    folder = save()
    change_json(folder / "scheduler" / "scheduler_config.json", **changes)
    with pytest.raises(ValueError, match=message):
        load_diffusers(folder)


@pytest.mark.parametrize("file", ["unet/config.json", "scheduler/scheduler_config.json"])
def test_broken_configurations(save, file):
    """Truncated json, and json of something else."""
    path = save() / file
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ValueError, match="config.json is corrupt or truncated .* restore it"):
        load_diffusers(path.parents[1])
    path.write_text("[3]")
    with pytest.raises(ValueError, match=r"config.json must hold a json object, got \[3\]"):
        load_diffusers(path.parents[1])


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_truncated_weights(save, kept):
    """Refused, whatever is left."""
    folder = save()
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match="must be one whole safetensors file that fits"):
        load_diffusers(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: {**weights, "conv_in.weight": torch.zeros(8, 3, 3, 3)},
        lambda weights: {k: v for k, v in weights.items() if k != "conv_in.weight"},
        lambda weights: {**weights, "conv_more.weight": torch.zeros(3)},
    ],
    ids=["another shape", "one too few", "one too many"],
)
def test_weights_of_another_network(save, change):
    """No weight is left at random, and none is left out."""
    folder = save()
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="weights in .* must .* config.json"):
        load_diffusers(folder)


# ---- schedulers that sample in other coordinates, and networks in memory

STEPS = 12


def own_sampler(scheduler, unet, noise):
    """The loop of diffusers, from the noise that the scheduler starts with."""
    x = noise * float(getattr(scheduler, "init_noise_sigma", 1))
    for step in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, step) if hasattr(scheduler, "betas") else x
        if type(scheduler).__name__ == EDM:
            scaled = scheduler.scale_model_input(x, step)
        found = unet(scaled, step).sample
        x = scheduler.step(found, step, x).prev_sample
    return x


def times_of(scheduler, schedule):
    """The same noise levels as times of our schedule, which the loop of diffusers walks."""
    ratios = scheduler.sigmas.double().tolist()
    if "Flow" in type(scheduler).__name__:
        ratios = [s / (1 - s) if s < 1 else math.inf for s in ratios]
    last = schedule.noise_ratio(1.0)  # they are rounded to float32
    return [1.0 if r > last * (1 - 1e-6) else schedule.time_at(r) for r in ratios]


EDM = "EDMEulerScheduler"


@pytest.mark.parametrize(
    "scheduler, options",
    [
        ("EulerDiscreteScheduler", {}),
        ("EulerDiscreteScheduler", {"prediction_type": "v_prediction"}),
        ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
        ("DPMSolverMultistepScheduler", {"solver_order": 1}),
        ("DPMSolverMultistepScheduler", {"solver_order": 1, "prediction_type": "v_prediction"}),
        (EDM, {}),
        (EDM, {"prediction_type": "v_prediction"}),
        ("FlowMatchEulerDiscreteScheduler", {}),
        ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@torch.no_grad()
def test_a_network_is_sampled_as_by_its_own_sampler(save, scheduler, options):
    """The first-order loop of diffusers, and ddim through the adapter along the same levels. The
    first order of a flow or of EDM is Euler's, in coordinates where ddim's step is the same."""
    schedulers = pytest.importorskip("diffusers.schedulers")
    unets = pytest.importorskip("diffusers.models.unets.unet_2d")
    folder = save(scheduler, **options)
    made = getattr(schedulers, scheduler).from_pretrained(folder / "scheduler")
    made.set_timesteps(STEPS)
    unet = unets.UNet2DModel.from_pretrained(folder / "unet")
    noise = noisy()
    expected = own_sampler(made, unet, noise)
    path = None
    if hasattr(made, "betas"):  # its own steps, so that its last one is at t = 1
        path = from_alphas_cumprod((1 - made.betas.double()).cumprod(0))
    network = load_diffusers(folder, schedule=path)
    times = times_of(made, network.schedule)
    assert times[-1] == 0 and len(times) == STEPS + 1
    x = noise  # "flow" begins with pure noise, DPM-Solver samples in our coordinates
    if scheduler in ("EulerDiscreteScheduler", EDM):  # in x_0 + s eps
        x = noise * float(made.init_noise_sigma) * network.schedule.levels(times[0])[0]
    found = sample(network, x, times=times)
    r = torch.corrcoef(torch.stack([found.flatten(), expected.flatten()]))[0, 1]
    scale = float(expected.abs().max())
    assert r > 0.9999 and float((found - expected).abs().max()) < 5e-3 * scale, (r, scale)


def test_a_pipeline_in_memory_and_by_its_name(save):
    """The same network as from the folder; a UNet alone needs a scheduler."""
    schedulers = pytest.importorskip("diffusers.schedulers")
    unets = pytest.importorskip("diffusers.models.unets.unet_2d")
    folder = save()
    unet = unets.UNet2DModel.from_pretrained(folder / "unet")
    scheduler = schedulers.DDPMScheduler.from_pretrained(folder / "scheduler")

    class Pipeline:
        pass

    pipeline = Pipeline()
    pipeline.unet, pipeline.scheduler = unet, scheduler  # pyright: ignore
    expected = load_diffusers(folder)(noisy(), 0.5)
    for source, given in ((str(folder), None), (pipeline, None), (unet, scheduler)):
        network = load_diffusers(source, scheduler=given)
        assert torch.equal(network(noisy(), 0.5), expected) and network.edges == "aware"
    with pytest.raises(ValueError, match="scheduler must be given beside a UNet in mem"):
        load_diffusers(unet)
    with pytest.raises(ValueError, match="_class_name of the network must be 'UNet2DModel', got"):
        load_diffusers(torch.nn.Linear(1, 1), scheduler=scheduler)


def test_a_learned_variance_is_left_out(save):
    """Its channels stand behind the image's; without the word for it they are refused."""
    folder = save(unet={"out_channels": 4}, variance_type="learned_range")
    x = noisy()
    network = load_diffusers(folder)
    assert network(x, 0.5).shape == x.shape
    change_json(folder / "scheduler" / "scheduler_config.json", variance_type="fixed_small")
    with pytest.raises(ValueError, match="out_channels of the network must be 2, got 4"):
        load_diffusers(folder)


def test_sigmas_of_another_kind(save):
    """Levels that are none of the betas; EDM without preconditioning."""
    folder = save("DPMSolverMultistepScheduler")
    change_json(folder / "scheduler" / "scheduler_config.json", use_flow_sigmas=True)
    with pytest.raises(ValueError, match="use_flow_sigmas of the scheduler must be false"):
        load_diffusers(folder)
    folder = save(EDM)
    change_json(folder / "scheduler" / "scheduler_config.json", prediction_type="sample")
    with pytest.raises(ValueError, match="prediction_type of EDM must be epsilon or v_prediction"):
        load_diffusers(folder)
