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
# A diffusion network starts from an image of pure noise and removes the noise step by step. Nobody tells it which picture
# to make; the noise decides. Can one say beforehand what it will draw?
#
# **Yes, with a formula over small patches of its training images.** The formula has never seen the network draw from this
# noise. It makes nearly the same picture all the same, and not only in style: most pixels are the same.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
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
from elslib.denoisers.machines import IdealScore
from elslib.experiments.agreement_results import read_pictures, read_rows, with_results
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
from elslib.experiments.titles import title
from elslib.figures.dots import dot_plot
from elslib.figures.player import play
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import ddim, initial_noise, sample, uniform_times

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-four-kinds", "caption": "In pairs: above the theory, below the trained network, from the same noise. Four networks, of clothes, digits, emoji and photographs; the first three noise images of each, whatever came out. The number is their agreement, Pearson's r."}, "image": {"alt": "Two pairs of rows of six pictures: clothes and digits, then emoji and photographs, three of each, none of them whole. Each picture by theory closely resembles the one below it, from a trained network."}}
FOUR = {
    "clothes": "fashion-resnet",
    "digits": "mnist-resnet",
    "emoji": "emoji-resnet",
    "photographs": "cifar10-resnet",
}
shown = {word: name for word, name in FOUR.items() if name in with_results()}
drawn = {name: read_pictures(name) for name in shown.values()}
r_of = {name: of_theory(read_rows(name), "ELS").set_index("seed").r for name in drawn}
# Two kinds side by side, and two below, so that a picture is not too small on a phone.
kinds, kept = list(drawn)[: 4 if len(drawn) == 4 else 2], ("ELS", "network")
names = {"ELS": "theory", "network": "trained\nnetwork"}
rows, under = {}, {}
for pair in (kinds[:2], kinds[2:]):
    for kind in kept if pair else ():
        row = f"{names[kind]}{' ' * len(rows)}"  # each row of a grid has a name of its own
        rows[row] = torch.cat([drawn[n][kind][:3].expand(-1, 3, -1, -1) for n in pair])
    under |= {row: [f"r = {r_of[n][i]:.2f}" for n in pair for i in range(3)]} if pair else {}
hero = rows and image_grid(rows, (), under)
hero

# %% tags=["remove-cell"]
if hero:
    glue_all({"hero": hero})

# %% [markdown]
# Most of these are hardly garments, digits or things, in either row. The question is not whether the pictures are good but
# whether both are the same. Compare outlines, holes and stray patches.
#
# The theory is the *equivariant local score machine* (ELS). All that it takes is the training images, the noise image,
# and one number a step: the side of the window through which a pixel looks at its neighbourhood. That number was read off
# the network, along other noise, as the end of this page tells.
#
# ## Point at a noise image
#
# Every dot is one noise image of a hundred. Across: how well IS, the machine that can only memorise, predicts the network;
# up: how well ELS does. Point at a dot, and see what the three of them drew from that noise. Which dots would you expect
# to be the odd ones?

# %% tags=["hide-input"]
browsed = [*shown.values(), "fashion-unet", "mnist-resnet-circular", network]
found = {name: read_rows(name) for name in dict.fromkeys(browsed) if name in with_results()}
enough = {"ELS", "IS"}  # of the network's 150 steps, which a trial may have left out
compared = [n for n in found if enough <= set(found[n].query("network_steps == 150").theory)]
compared and seed_browser({name: title(name) for name in compared})

# %% tags=["remove-cell"]
by_seed = {
    kind: of_theory(found[n], kind).set_index("seed").r for n in compared[:1] for kind in enough
}
odd = (by_seed["IS"] - by_seed["ELS"]).loc[lambda ahead: ahead > 0] if compared else ()
glue_all({"n_odd": len(odd), "lowest": float(by_seed["ELS"].min()) if compared else float("nan")})

# %% [markdown]
# The odd ones would be below the line, where memorising predicts the network better than ELS. For the first network they
# are {glue:text}`n_odd` of a hundred. Where the network's picture is least like that of ELS, they still agree with
# r = {glue:text}`lowest:.2f`: look at the lowest dot, and see what is different.
#
# ## What else could it be?
#
# Pictures of one class resemble each other anyway. So two yardsticks belong beside the theory. The *ideal* score machine
# (IS) uses the same formula but compares whole images, and so can only return training images: what a network without
# limits would do after perfect training. And the training image *nearest* to the network's picture is the best that
# copying could have done, with hindsight.
#
# :::{dropdown} Guess first: which is more like the network's picture, the theory's or the nearest training image?
# The theory's, on {glue:text}`wins_nearest` of the {glue:text}`n_seeds` noise images below, although the nearest training
# image was chosen with the network's picture in hand.
# :::

# %% tags=["hide-input"]
denoiser, card, images = load_network(network), load_card(network), training_images(network)
scale = load_scale(network, "els")
schedule, n_classes = denoiser.schedule, denoiser.classes or 0
seeds = list(range(seed, seed + n_seeds))
classes = [s % n_classes if n_classes else None for s in seeds]
label = torch.tensor(classes) if n_classes else None
noise = initial_noise(seeds, images.pixels.shape[1:])
other_noise = initial_noise([s + 2000 * (n_classes or 10) for s in seeds], images.pixels.shape[1:])
els, ideal = theory_of(denoiser, images, scale), IdealScore(images, schedule=schedule)
times, clock = uniform_times(theory_steps), Stopwatch()
with torch.no_grad():
    runs = {"theory": list(ddim(els, noise, times, label))}
    seconds_els = clock.seconds
    runs["network"] = list(ddim(denoiser, noise, times, label))
samples = {"ELS": runs["theory"][-1].x0, "network": sample(denoiser, noise, label, network_steps)}
samples["IS"] = sample(ideal, noise, label, theory_steps)
same_steps, truth = runs["network"][-1].x0, samples["network"]
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
# ELS is closer to the network than IS on {glue:text}`wins` of these {glue:text}`n_seeds` seeds, and closer than the
# nearest training image on {glue:text}`wins_nearest`. IS copies: {glue:text}`n_copied` of its pictures lie within 0.02
# of a training image (root mean square, pixels from -1 to 1). The network does not: its pictures are
# {glue:text}`rms_nearest:.2f` away from the nearest one, in the median.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-close", "caption": "How close each answer comes to the network's picture: medians over the pictures above, with 95% intervals. Other noise is the network's own picture of the same class from other noise."}, "image": {"alt": "Dot plot of r, r squared and R squared for ELS, IS, the nearest training image and other noise. ELS is far to the right of all others."}}
table = {}
for name in answers:
    x = samples[name]
    found = {"r": r[name], "r²": r_squared(x, truth), "R²": coefficient_of_determination(x, truth)}
    table[name] = {key: median_interval(values) for key, values in found.items()}
    glue_all({f"{name}_r".replace(" ", "_"): table[name]["r"]})
dot_plot(table, f"median over {n_seeds} noise images")

# %% [markdown]
# Pearson's *r* asks whether bright and dark pixels go together. It is 1 for a perfect match and ignores overall
# brightness and contrast. *r²* is its square. *R²*, the coefficient of determination, also punishes wrong brightness and
# contrast. [The chapter on agreement](06_agreement) compares over a hundred noise images for each network.

# %% [markdown]
# ## Watch them draw
#
# Move the slider, or press play. The upper row is what the theory sees: noise that slowly becomes a
# picture. Below is what theory and network take the finished picture to be, at each time. At the far
# left neither says much: the theory answers with nearly flat grey, the mean over all places, and the
# network with speckle. It guesses the noise, and where there is almost nothing but noise, a small error of
# that guess becomes a large one of the picture. Soon both show the same outline; details come last. Here both take {glue:text}`theory_steps` steps.
#
# In a notebook that is running, not on this page, controls above the figure change images, network,
# class, seed, window and steps; then {glue:text}`n_live` pictures are drawn anew.

# %% tags=["hide-input"]
start = FigureConfig(images.name, network, seed=seed, n_steps=theory_steps)
whole = play(runs, title=f"theory and network from {n_seeds} noise images")
Live(partial(player, n_seeds=n_live), start, whole)

# %% tags=["remove-cell"]
trajectories = json.loads(scale_path(network, "els").read_text())["trajectories"]
glue_all(
    {
        "wins": int((r["ELS"] > r["IS"]).sum()),
        "wins_nearest": int((r["ELS"] > r["nearest"]).sum()),
        "title": title(network),
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
# what it will draw. What the network adds of its own is small beside what it shares with the formula.
#
# ## What could be wrong
#
# - **Few seeds** stand in the grid; the dots are of a hundred. Both speak of these networks, and of no others.
# - **Not the perfect network.** The theory describes a network that has learned all its
#   architecture can learn. A small one, trained briefly, has not, and part of the mismatch is
#   its own.
# - **r is kind.** Pictures of one class resemble each other, so even a wrong garment earns some r:
#   {glue:text}`other_noise_r:.2f` for the network's own picture from other noise.
# - **The windows were fitted to this network**, though on other noise. They are one number per
#   step, far too few to memorise a picture. The smallest window that was tried may be a floor.
# - **The two take different numbers of steps:** the theory {glue:text}`theory_steps`, the network
#   {glue:text}`network_steps`. When the network, too, takes {glue:text}`theory_steps`, the median r is
#   {glue:text}`r_same_steps:.2f`.
#
# ## The network
#
# The pictures of the grid and of the player are drawn by "{glue:text}`title:s`", a network of 3 x 3 convolutions with
# {glue:text}`padding:s` padding, {glue:text}`width` channels wide. It learned {glue:text}`n_images:s` images of
# {glue:text}`side:s` pixels and is told which of {glue:text}`n_classes` classes to draw. It took {glue:text}`updates:s`
# updates, {glue:text}`minutes:.0f` minutes on {glue:text}`train_hardware:s`. Its error on held-out images fell by
# {glue:text}`fell:.1f`% over the last fifth of them; below 1% we call a network finished. The paper's networks are
# larger, 256 channels wide, and were trained for about 140,000 updates on the whole set.
