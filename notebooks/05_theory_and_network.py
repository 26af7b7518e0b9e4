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
network: str = "fashion-resnet"  # a network of the project with calibrated windows, or its path
seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 8  # number of noise images, at least 1
theory_steps: int = 20  # steps of the theory's reverse process
network_steps: int = 150  # steps of the network's reverse process
n_live: int = 4  # pictures that the live player draws after a change of its controls

# %% tags=["hide-input"]
import json
from functools import partial

import torch

from elslib.analysis.agreement import of_theory
from elslib.analysis.intervals import median_interval
from elslib.analysis.metrics import (
    coefficient_of_determination,
    nearest_image,
    pearson_r,
    r_squared,
)
from elslib.analysis.theories import theory_of
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.denoisers.machines import IdealScore
from elslib.experiments.agreement_results import read_rows, with_results
from elslib.experiments.figure_config import FigureConfig, player
from elslib.experiments.live import Live
from elslib.experiments.provenance import Stopwatch, hardware
from elslib.experiments.seed_browser import seed_browser
from elslib.experiments.store import (
    load_card,
    load_network,
    load_scale,
    scale_path,
    training_images,
)
from elslib.figures.player import play
from elslib.figures.plots import Line, agreement_scatter, image_grid, lines
from elslib.samplers import ddim, initial_noise, sample, uniform_times

denoiser, card = load_network(network), load_card(network)
images = training_images(network)
scale = load_scale(network, "els")
schedule, n_classes = denoiser.schedule, denoiser.classes or 0
seeds = list(range(seed, seed + n_seeds))
classes = [s % n_classes if n_classes else None for s in seeds]
label = torch.tensor(classes) if n_classes else None
noise = initial_noise(seeds, images.pixels.shape[1:])
other_noise = initial_noise([s + 2000 * (n_classes or 10) for s in seeds], images.pixels.shape[1:])

# %% [markdown]
# The network is a residual network of 3 x 3 convolutions with {glue:text}`padding:s` padding,
# {glue:text}`width` channels wide. It was trained on {glue:text}`n_images:s` images of
# {glue:text}`side:s` pixels from {glue:text}`data:s` and is told which of {glue:text}`n_classes`
# classes to draw. It took {glue:text}`updates:s` updates, {glue:text}`minutes:.0f` minutes on
# {glue:text}`train_hardware:s`. Its error on held-out images fell by
# {glue:text}`fell:.1f`% over the last fifth of them; below 1% we call a network finished. The
# paper's networks are larger, 256 channels wide, and were trained for about 140,000 updates on the
# whole set.
#
# The theory gets the same training images of the same class, and nothing of the network but its
# windows. How they were found is told at the end of the page.

# %% tags=["hide-input"]
els = theory_of(denoiser, images, scale)
ideal = IdealScore(images, schedule=schedule)
times, clock = uniform_times(theory_steps), Stopwatch()
with torch.no_grad():
    runs = {"theory": list(ddim(els, noise, times, label))}
    seconds_els = clock.seconds
    runs["network"] = list(ddim(denoiser, noise, times, label))
samples = {"ELS": runs["theory"][-1].x0}
samples["network"] = sample(denoiser, noise, label, network_steps)
samples["IS"] = sample(ideal, noise, label, theory_steps)
same_steps = runs["network"][-1].x0

# %% [markdown]
# Two yardsticks belong beside the theory. The training image *nearest* to the network's picture
# is the best that copying could have done, with hindsight. And the network's own picture of the
# same class from *other noise* shows how far mere family resemblance goes.

# %% tags=["hide-input"]
truth = samples["network"]
samples["other noise"] = sample(denoiser, other_noise, label, network_steps)
nearest, distance, copied = [], [], []
for i, y in enumerate(classes):
    candidates = images.subset(y).pixels
    number, rms = nearest_image(truth[i : i + 1], candidates)
    nearest.append(candidates[number])
    distance.append(rms)
    copied.append(nearest_image(samples["IS"][i : i + 1], candidates)[1])
samples["nearest"], distance, copied = torch.cat(nearest), torch.cat(distance), torch.cat(copied)
answers = ("ELS", "IS", "nearest", "other noise")
r = {name: pearson_r(samples[name], truth) for name in answers}

# %% [markdown]
# ## The pairs
#
# Each column starts from one noise image. The first row is the theory, the second the network.
# Most of these are hardly garments, in either row: our network's windows are narrower than the published
# ones of [chapter 2](02_locality_and_equivariance), and narrow windows draw in pieces. The question is not
# whether the pictures are good but whether both are the same. Compare outlines, holes and stray patches.
#
# The third row is the *ideal* score machine (IS). It uses the same formula but compares whole
# images, and so can only return training images: of the {glue:text}`n_seeds` pictures here,
# {glue:text}`n_copied` lie within 0.02 (root mean square, pixels from -1 to 1) of one. This is what
# a network without limits would do after perfect training. The last row is the training image
# nearest to the network's picture.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-pairs", "caption": "Same noise, four answers: the theory (ELS), the trained network, the ideal machine (IS), and the training image nearest to the network's picture. The number under an image is its agreement r with the network's."}, "image": {"alt": "Grid of small pictures of clothes, one column for each noise image. Rows from top to bottom: theory, network, ideal machine, nearest training image, with the agreement r under each."}}
rows = ("theory\n(ELS)", "network", "ideal\n(IS)", "nearest\ntraining\nimage")
names = dict(zip(rows, ("ELS", "network", "IS", "nearest"), strict=True))
notes = {
    row: [f"r = {value:.2f}" for value in r[name].tolist()]
    for row, name in names.items()
    if name in r
}
kinds = ["" if y is None else images.class_name(y) for y in classes]
titles = [f"seed {s}\n{kind}" for s, kind in zip(seeds, kinds, strict=True)]
image_grid({row: samples[name] for row, name in names.items()}, titles, notes)

# %% [markdown]
# ## Watch them draw
#
# Move the slider, or press play. The upper row is what the theory sees: noise that slowly becomes a
# picture. Below is what theory and network take the finished picture to be, at each time. At the far
# left neither says much: the theory answers with nearly flat grey, the mean over all places, and the
# network with speckle, for its estimate is divided by a tiny $\alpha$ there. Soon both show the same
# outline; details come last. Here both take {glue:text}`theory_steps` steps.
#
# In a notebook that is running, not on this page, controls above the figure change images, network,
# class, seed, window and steps; then {glue:text}`n_live` pictures are drawn anew.

# %% tags=["hide-input"]
start = FigureConfig(images.name, network, seed=seed, n_steps=theory_steps)
whole = play(runs, title=f"theory and network from {n_seeds} noise images")
Live(partial(player, n_seeds=n_live), start, whole)

# %% tags=["remove-cell"]
hero = image_grid({"theory": samples["ELS"], "trained\nnetwork": samples["network"]})
glue_all({"hero": hero})

# %% [markdown]
# ## How close is close?
#
# Three measures are in use, and papers mix them up, so we give all three.
# Pearson's *r* asks whether bright and dark pixels go together. It is 1 for a perfect match and
# ignores overall brightness and contrast. *r²* is its square. *R²*, the coefficient of
# determination, also punishes wrong brightness and contrast, and can be negative.
# The published table is headed r² but was, by its own script, most likely computed as *r*.

# %% tags=["hide-input"]
table = [["answer", "r", "r²", "R²"]]
for name in answers:
    x = samples[name]
    found = {"r": r[name], "rr": r_squared(x, truth), "R2": coefficient_of_determination(x, truth)}
    found = {key: median_interval(values) for key, values in found.items()}
    glue_all({f"{name}_{key}".replace(" ", "_"): i for key, i in found.items()})
    table.append([name, *found.values()])
trajectories = json.loads(scale_path(network, "els").read_text())["trajectories"]
glue_all(
    {
        "wins": int((r["ELS"] > r["IS"]).sum()),
        "wins_nearest": int((r["ELS"] > r["nearest"]).sum()),
        "n_copied": int((copied < 0.02).sum()),
        "n_seeds": n_seeds,
        "n_live": n_live,
        "n_classes": n_classes,
        "n_trajectories": len(trajectories),
        "smallest_window": min(trajectories[0]["windows"]),
        "largest_window": max(trajectories[0]["windows"]),
        "theory_steps": theory_steps,
        "network_steps": network_steps,
        "n_images": f"{len(images):,}",
        "side": " x ".join(str(side) for side in images.pixels.shape[2:]),
        "data": card["images"]["name"].split("/")[0],
        "padding": denoiser.config.padding.removesuffix("s"),
        "width": denoiser.config.width,
        "updates": f"{card['training']['steps']:,}",
        "fell": 100 * (card["loss"]["held_out_fell_in_last_fifth"] or float("nan")),
        "minutes": card["record"]["seconds"] / 60,
        "train_hardware": card["record"]["hardware"],
        "r_same_steps": median_interval(pearson_r(samples["ELS"], same_steps)),
        "rms_nearest": float(distance.quantile(0.5)),
        "r_min": float(r["ELS"].min()),
        "r_max": float(r["ELS"].max()),
        "hardware": hardware(),
        "seconds_els": seconds_els,
    }
)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
markdown_table(table, ".2f")

# %% [markdown]
# *Agreement with the network's pictures: median over {glue:text}`n_seeds` seeds, with 95% bootstrap
# interval in brackets. ELS and IS: {glue:text}`theory_steps` steps; network:
# {glue:text}`network_steps` steps.*
#
# ELS has a median r of {glue:text}`ELS_r:.2f` [{glue:text}`ELS_r_low:.2f`, {glue:text}`ELS_r_high:.2f`], IS {glue:text}`IS_r:.2f`
# [{glue:text}`IS_r_low:.2f`, {glue:text}`IS_r_high:.2f`]. ELS is closer than IS on
# {glue:text}`wins` of {glue:text}`n_seeds` seeds, and closer than the nearest training image on
# {glue:text}`wins_nearest`. Over the seeds its r runs from {glue:text}`r_min:.2f` to
# {glue:text}`r_max:.2f`. With the network run at as many steps as the theory the median r is
# {glue:text}`r_same_steps:.2f`
# [{glue:text}`r_same_steps_low:.2f`, {glue:text}`r_same_steps_high:.2f`].
#
# The network does not copy. Its pictures are, in the median, {glue:text}`rms_nearest:.2f` (root mean
# square) away from the nearest training image of their class.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-agreement", "caption": "One dot a noise image. Dots above the line: ELS is closer to the network than IS is."}, "image": {"alt": "Scatter plot of agreement of IS with the network, horizontal, against agreement of ELS with the network, vertical."}}
agreement_scatter({"": (r["IS"], r["ELS"])}, ("IS", "ELS"))

# %% [markdown]
# ## The best, the middling and the worst
#
# A few columns may be lucky. [The next chapter](06_agreement) compares at least {glue:text}`n_compared`
# noise images for each network that we trained. Here are all of them: one dot a noise image. Point at a dot, or ask
# for the best, the middling or the worst. Nobody picked them.

# %% tags=["hide-input"]
compared = {name: read_rows(name) for name in with_results()}
glue_all(
    {"n_compared": min((len(of_theory(found, "ELS")) for found in compared.values()), default=0)}
)
compared and seed_browser({name: name for name in compared})

# %% [markdown]
# ## The windows
#
# The theory has one free number per step: the side of the square window through which a pixel sees
# the noisy image. We read it off the network. Along its reverse process, from noise that is
# used nowhere else, the network's noise estimate is compared with that of ELS at every odd window
# from {glue:text}`smallest_window` to {glue:text}`largest_window` pixels. The best window wins, and
# the median over {glue:text}`n_trajectories` runs is kept.
#
# If the paper is right, the network looks at a wide neighbourhood at high noise and only at
# the next pixels at low noise. Coarse shapes are then settled early and with a wide view. Details
# come late and nearly blind, which would explain a shoe made of two halves that do not
# belong together.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-windows", "caption": "The window shrinks as the noise falls (time runs from right to left). Line: median over the calibration runs; band: quartiles."}, "image": {"alt": "Line plot: calibrated window side against time, rising from 3 pixels at low noise to wide windows at high noise."}}
lines(
    {"calibrated": Line(scale.times, scale.windows, scale.lower, scale.upper)},
    "time t (0 = image, 1 = noise)",
    "window side, pixels",
    log=False,
    ticks=trajectories[0]["windows"],
)

# %% [markdown]
# ## What it means
#
# A formula over training patches, which has never seen the network draw from this noise, says most of
# what it will draw. Far less of a picture than it seems is the network's own doing.
#
# ## What could be wrong
#
# - **Few seeds.** Intervals say how sure the median is for this network, and nothing about others.
# - **Not the perfect network.** The theory describes a network that has learned all its
#   architecture can learn. A small one, trained briefly, has not, and part of the mismatch is
#   its own.
# - **r is kind.** Pictures of one class resemble each other, so even a wrong garment earns some r:
#   {glue:text}`other_noise_r:.2f` [{glue:text}`other_noise_r_low:.2f`,
#   {glue:text}`other_noise_r_high:.2f`] for the network's own picture from other noise.
# - **The windows were fitted to this network**, though on other noise. They are one number per
#   step, far too few to memorise a picture. The smallest window that was tried may be a floor.
