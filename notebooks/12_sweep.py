# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A sweep worth reading
#
# The theory has one number per noise level that was measured on the network: the side of its window.
# It also has a training set and a number of steps. What if we turn these knobs?

# %% tags=["parameters"]
network: str = "fashion-resnet"  # a network in data/networks with calibrated windows
machine: str = "els"  # the theory, els or ls
window_factor: float = 1.0  # every calibrated side times this, above 0
n_images: int = 0  # training images of each class that the theory has, the first ones; 0 for all
theory_steps: int = 20  # steps of the theory, at least 1
seed: int = 0  # first noise image; its class is the seed modulo the number of classes
n_seeds: int = 3  # noise images that are computed here, at least 1
sweeps: str = "windows,images,steps"  # in data/results, to compare with; none while one is made

# %% tags=["hide-input"]
from elslib.agreement import NETWORK_STEPS, batches, compare, values
from elslib.calibration import load_scale
from elslib.gluing import glue_all
from elslib.machines import EquivariantLocalScore, LocalScore
from elslib.metrics import median_interval
from elslib.networks import load_network, training_images, weights_sha256

denoiser, images = load_network(network), training_images(network)
scale = load_scale(network, machine).scaled(window_factor)
schedule, shape = denoiser.schedule, images.images.shape[1:]

# %% [markdown]
# ## One point
#
# First a single setting.

# %% tags=["hide-input"]
rows = []
for label, some in batches(range(seed, seed + n_seeds), denoiser.config.classes):
    few = images.subset(label)
    few = few.first(n_images) if n_images else few
    theory = (
        EquivariantLocalScore(few, scale, edges=denoiser.edges)
        if machine == "els"
        else LocalScore(few, scale)
    )
    rows += compare(denoiser, {machine: theory}, some, label, shape, schedule, theory_steps)
here = {steps: values(rows, machine, steps) for steps in NETWORK_STEPS}
glue_all({f"r_{steps}": median_interval(r) for steps, r in here.items()})
glue_all(
    {
        "network": network,
        "machine": machine,
        "window_factor": window_factor,
        "n_images": n_images,
        "theory_steps": theory_steps,
        "seeds": " ".join(str(s) for s in sorted({row.seed for row in rows})),
        **{f"r_{k}_each": " ".join(f"{x:.6f}" for x in r.tolist()) for k, r in here.items()},
        "windows": " ".join(str(window) for window in scale.windows),
        "weights_sha256": weights_sha256(network),
    }
)
