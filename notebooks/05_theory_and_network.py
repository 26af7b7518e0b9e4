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
# # Theory and network, pair by pair
#
# A diffusion network starts from an image of pure noise and removes the noise step by step.
# Nobody tells it which picture to make; the noise decides.
# The theory makes a bold claim about this. Take a network built from convolutions. Its output can
# be computed *without the network*: only the training images, the noise image and one number per
# step are needed, the size of the window through which a pixel looks at its neighbourhood.
#
# So here is the test. We draw a few noise images. A trained network turns each of them into a
# picture. The theory, the equivariant local score machine (ELS), turns the same noise into its
# own picture. If the theory is right, the two must match: not in style, but pixel by pixel.

# %% tags=["parameters"]
network: str = "fashion-resnet-short"  # a network in data/networks
first_seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 8  # number of noise images
theory_steps: int = 20  # steps of the theory's reverse process
network_steps: int = 150  # steps of the network's reverse process

# %% tags=["hide-input"]
import torch
from myst_nb import glue

from elslib.calibration import load_scale
from elslib.figures import agreement_scatter, image_grid, scales_plot
from elslib.machines import EquivariantLocalScore, IdealScore
from elslib.metrics import (
    coefficient_of_determination,
    median_interval,
    nearest_image,
    pearson_r,
)
from elslib.networks import load_card, load_network, training_images
from elslib.records import Stopwatch, hardware
from elslib.samplers import sample

denoiser, card = load_network(network), load_card(network)
images = training_images(network)
scale = load_scale(network, "els")
shape, schedule = images.images.shape[1:], denoiser.schedule
seeds = list(range(first_seed, first_seed + n_seeds))
label = torch.tensor([seed % len(images.class_names) for seed in seeds])

# %% [markdown]
# The network is a small residual network with zero padding. It was trained on
# {glue:text}`n_images` FashionMNIST images of 32 x 32 pixels and knows which of ten classes it is
# asked for. **It is a short run**: {glue:text}`updates` updates in {glue:text}`minutes:.0f` minutes
# on two CPU cores, far from the plateau of training. Keep this in mind for every number below.
#
# The theory gets the same training images of the same class, and nothing of the network but its
# windows. How they were found is told at the end of the page.

# %% tags=["hide-input"]
edges = "aware" if denoiser.config.padding == "zeros" else "circular"
els = EquivariantLocalScore(images, scale, edges=edges, schedule=schedule)
ideal = IdealScore(images, schedule=schedule)
clock = Stopwatch()
samples = {"ELS": sample(els, seeds, shape, schedule, label, theory_steps)}
seconds_els = clock.seconds
samples |= {
    "network": sample(denoiser, seeds, shape, schedule, label, network_steps),
    "IS": sample(ideal, seeds, shape, schedule, label, theory_steps),
}
same_steps = sample(denoiser, seeds, shape, schedule, label, theory_steps)

# %% tags=["hide-input"]
truth = samples["network"]
r = {name: pearson_r(samples[name], truth) for name in ("ELS", "IS")}
big_r2 = {name: coefficient_of_determination(samples[name], truth) for name in ("ELS", "IS")}
nearest, distance = zip(
    *(nearest_image(truth[i : i + 1], images.subset(int(label[i])).images) for i in range(n_seeds)),
    strict=True,
)
samples["nearest"] = torch.cat(
    [images.subset(int(label[i])).images[nearest[i]] for i in range(n_seeds)]
)
r["nearest"] = pearson_r(samples["nearest"], truth)

# %% [markdown]
# ## The pairs
#
# Each column starts from one noise image. The first row is the theory, the second the network.
# Look at the details: straps, collars, soles, a stray sleeve. Where the network makes an
# odd shape, the theory tends to make the same odd shape.
#
# The third row is the *ideal* score machine (IS). It uses the same formula but looks at whole
# images and so can only return training images. It is what a perfectly trained network with no
# restrictions would do. The last row is the training image nearest to the network's picture.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-pairs", "caption": "Same noise, four answers. ELS predicts the network closely (r under each image: agreement with the network). IS returns a training image, often another one than the nearest to what the network drew."}, "image": {"alt": "Grid of small clothing images. The rows ELS and network look alike in every column; the rows IS and nearest training image show other garments of the same class."}}
names = {
    "theory\n(ELS)": "ELS",
    "network": "network",
    "ideal\n(IS)": "IS",
    "nearest\ntraining\nimage": "nearest",
}
notes = {
    row: [f"r = {value:.2f}" for value in r[name].tolist()]
    for row, name in names.items()
    if name in r
}
titles = [
    f"seed {seed}\n{images.class_names[y]}" for seed, y in zip(seeds, label.tolist(), strict=True)
]
figure = image_grid({row: samples[name] for row, name in names.items()}, titles, notes)
figure

# %% tags=["remove-cell"]
hero = image_grid({"theory": samples["ELS"], "trained\nnetwork": samples["network"]})
glue("hero", hero, display=False)

# %% [markdown]
# ## How close is close?
#
# Three measures are in use, and papers mix them up, so we give all three.
# Pearson's *r* asks whether bright and dark pixels go together. It is 1 for a perfect match and
# ignores overall brightness and contrast. *r²* is its square. *R²*, the coefficient of
# determination, also punishes wrong brightness and contrast, and can be negative.
# The published table is headed r² but was, by its own script, computed as *r*.

# %% tags=["hide-input"]
table = ["| machine | r | r² | R² |", "| --- | --- | --- | --- |"]
for name in ("ELS", "IS"):
    cells = []
    for key, values in (("r", r[name]), ("rr", r[name].square()), ("R2", big_r2[name])):
        interval = median_interval(values)
        cells.append(f"{interval.median:.2f} [{interval.low:.2f}, {interval.high:.2f}]")
        glue(f"{name}_{key}", interval.median, display=False)
        glue(f"{name}_{key}_low", interval.low, display=False)
        glue(f"{name}_{key}_high", interval.high, display=False)
    table.append(f"| {name} | {' | '.join(cells)} |")
wins = int((r["ELS"] > r["IS"]).sum())
steps_20 = median_interval(pearson_r(samples["ELS"], same_steps))
for key, value in {
    "wins": wins,
    "n_seeds": n_seeds,
    "theory_steps": theory_steps,
    "network_steps": network_steps,
    "n_images": f"{len(images):,}",
    "updates": f"{card['training']['updates']:,}",
    "minutes": card["record"]["seconds"] / 60,
    "r_same_steps": steps_20.median,
    "r_same_steps_low": steps_20.low,
    "r_same_steps_high": steps_20.high,
    "rms_nearest": float(torch.cat(distance).median()),
    "hardware": hardware(),
    "seconds_els": seconds_els,
    "r_min": float(r["ELS"].min()),
    "r_max": float(r["ELS"].max()),
}.items():
    glue(key, value, display=False)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
from IPython.display import Markdown

Markdown("\n".join(table))

# %% [markdown]
# *Agreement with the network: median over {glue:text}`n_seeds` seeds, with 95% bootstrap interval
# in brackets. Theory and IS: {glue:text}`theory_steps` steps; network: {glue:text}`network_steps`
# steps.*
#
# ELS reaches a median r of {glue:text}`ELS_r:.2f`
# [{glue:text}`ELS_r_low:.2f`, {glue:text}`ELS_r_high:.2f`], IS only {glue:text}`IS_r:.2f`
# [{glue:text}`IS_r_low:.2f`, {glue:text}`IS_r_high:.2f`]. ELS is the closer one on
# {glue:text}`wins` of {glue:text}`n_seeds` seeds. With the network run at as many steps as the
# theory the median r is {glue:text}`r_same_steps:.2f`
# [{glue:text}`r_same_steps_low:.2f`, {glue:text}`r_same_steps_high:.2f`].
#
# The seeds differ: r runs from {glue:text}`r_min:.2f` to {glue:text}`r_max:.2f`. And the network
# does not copy. Its pictures are, in the median, {glue:text}`rms_nearest:.2f` away from the nearest
# training image of their class (root mean square over pixels; pixels run from -1 to 1).

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-agreement", "caption": "One dot a noise image. Dots above the line: ELS is closer to the network than IS is."}, "image": {"alt": "Scatter plot of agreement of IS with the network, horizontal, against agreement of ELS with the network, vertical."}}
agreement_scatter(r["IS"], r["ELS"], ("IS", "ELS"))

# %% [markdown]
# ## The windows
#
# The theory has one free number per step: the side of the square window through which a pixel sees
# the noisy image. We read it off the network. Along its reverse process, from noise that is
# used nowhere else, the network's noise estimate is compared with that of ELS at every odd window;
# the best window wins, and the median over eight runs is kept.
#
# At high noise the network looks at a wide neighbourhood, at low noise only at the next pixels.
# Coarse shapes are settled early and with a wide view. Details come late and nearly blind. This
# is why a shoe can end up with two halves that do not belong together.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-windows", "caption": "The window shrinks as the noise falls (time runs from right to left). Line: median over the calibration runs; band: quartiles."}, "image": {"alt": "Line plot: calibrated window side against time, rising from 3 pixels at low noise to wide windows at high noise."}}
scales_plot({"calibrated": (scale.times, scale.windows, scale.lower, scale.upper)})

# %% [markdown]
# ## What could be wrong
#
# - **Few seeds.** With {glue:text}`n_seeds` noise images the intervals are wide. They say how sure
#   the median is, given these seeds, and nothing about other networks.
# - **A short run.** The theory describes a network that has learned all its architecture can
#   learn. This one has not, and part of the mismatch is its own.
# - **r is kind.** FashionMNIST images of one class resemble each other, so even a wrong garment
#   of the right class earns some r. That is why IS and the nearest training image stand beside
#   ELS: their r is what resemblance alone is worth.
# - **The windows were fitted to this network**, though on other noise. They are one number per
#   step, far too few to memorise a picture.
