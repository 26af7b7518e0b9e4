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
# # What would a perfect denoiser draw?
#
# A diffusion network learns one thing: to take the noise off a noisy image. It practises on its training images, with
# fresh noise each time. Afterwards it is used to draw: we give it an image of pure noise and let it remove that noise in
# small steps until a picture is left. Now suppose the network were perfect, so that nobody could guess the clean image
# better, on average, from what was shown in training. What would this perfect student draw?
#
# **Its training images, and nothing else.** We need not train to find out: the best possible guess can be written down.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
seed: int = 0  # chooses the noise: image i starts from noise seed 1000 * seed + i, at least 0
n_seeds: int = 40  # noise images, at least 8; their classes take turns
n_steps: int = 20  # steps of the reverse process, at least 8
copy_limit: float = 0.02  # a copy is nearer than this (root mean square) to a training image
collapse_limit: float = 1.5  # collapsed: fewer than this many images are effectively in play

# %% tags=["hide-input"]
import math

import torch

from elslib import IdealScore, image_grid, initial_noise, load, uniform_times
from elslib.analysis.intervals import median_interval, share_interval
from elslib.analysis.memorisation import onset
from elslib.analysis.metrics import nearest_image
from elslib.analysis.mosaic import posteriors_along
from elslib.book.glue import glue_all
from elslib.figures.plots import Line, lines

images, held_out = load("fashion_mnist_10k"), load("fashion_mnist_test_1k")
ideal = IdealScore(images)
schedule = ideal.schedule
noise = initial_noise([1000 * seed + i for i in range(n_seeds)], images.pixels.shape[1:])
label = torch.arange(n_seeds) % len(images.class_names)

# %% tags=["hide-input"]
times = uniform_times(n_steps)[:-1]  # of the steps, noise first
seen, guessed = (torch.empty(n_steps, *noise.shape) for _ in range(2))
entropy = torch.empty(n_steps, n_seeds, dtype=torch.float64)
for y in label.unique().tolist():
    rows = label == y
    for step, posterior in posteriors_along(ideal, noise[rows], uniform_times(n_steps), y):
        seen[step.i, rows], guessed[step.i, rows] = step.x, step.x0
        # All pixels of a whole image share one posterior: the first pixel speaks for all.
        entropy[step.i, rows] = posterior.entropy[:, 0, 0]
samples = guessed[-1]
nearest, distance = torch.empty_like(samples), torch.empty(n_seeds, dtype=torch.float64)
picked, yardstick = set(), []
for y in label.unique().tolist():
    rows, candidates = label == y, images.subset(y).pixels
    number, distance[rows] = nearest_image(samples[rows], candidates)
    nearest[rows] = candidates[number]
    picked |= {(y, i) for i in number.tolist()}
    yardstick.append(nearest_image(held_out.subset(y).pixels[:20], candidates)[1])
yardstick = torch.cat(yardstick)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-copies", "caption": "First row: what the ideal machine drew from ten noise images. Second row: the nearest training image, with its distance. The eye finds no difference."}, "image": {"alt": "Two rows of small pictures of clothes. Each picture in the second row looks the same as the one above it."}}
few = min(10, n_seeds)
image_grid(
    {"drawn": samples[:few], "nearest\ntraining\nimage": nearest[:few]},
    [images.class_names[y] for y in label[:few].tolist()],
    {"nearest\ntraining\nimage": [f"{d:.4f}" for d in distance[:few].tolist()]},
)

# %% tags=["remove-cell"]
shown = [0, 1, 9]  # classes of the examples
copies = int((distance < copy_limit).sum())
copied = share_interval(copies, n_seeds)
rising = times[::-1]  # low noise first
collapsed_at = onset(rising, entropy.flip(0), math.log(collapse_limit))
number = entropy.flip(0).exp()
quartiles = torch.quantile(number, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64), dim=1)
i_collapse = median_interval(collapsed_at)
i_distance, i_yardstick = median_interval(distance), median_interval(yardstick.double())
below = entropy < math.log(collapse_limit)  # first step first
reopened = int((below.cummax(dim=0).values & ~below).any(dim=0).sum())
alpha, sigma = schedule.levels(i_collapse.estimate)
glue_all(
    {
        "n_images": f"{len(images):,}",
        "example": images.class_names[shown[-1]].lower(),
        "n_class": f"{len(images.subset(shown[-1])):,}",
        "n_steps": n_steps,
        "n_seeds": n_seeds,
        "copy_limit": copy_limit,
        "copies": copies,
        "share_low": 100 * copied.low,
        "share_high": 100 * copied.high,
        "different": len(picked),
        "distance": i_distance.estimate,
        "rounding": "at a distance that is zero to rounding"
        if float(distance.max()) < 1e-6
        else f"none farther from it than {float(distance.max()):.2g}",
        "yardstick": i_yardstick,
        "yardstick_least": float(yardstick.min()),
        "n_yardstick": len(yardstick),
        "entropy_start": float(entropy[0].quantile(0.5)),
        "number_start": float(quartiles[1, -1]),
        "limit": collapse_limit,
        "collapse": i_collapse,
        "collapse_first": float(collapsed_at.max()),
        "collapse_last": float(collapsed_at.min()),
        "reopened": reopened,
        "ratio_half": schedule.noise_ratio(0.5),
        "ratio_late": schedule.noise_ratio(0.8),
        "sigma_collapse": sigma,
        "alpha_collapse": alpha,
    }
)

# %% [markdown]
# {glue:text}`copies` of {glue:text}`n_seeds` pictures are copies of a training image, {glue:text}`rounding:s`. The noise
# decides which training image is returned, and that is all it decides.
#
# Is that so unusual? Distances here are root mean squares over the pixels, which run from -1 for black to 1 for white.
# Garments that are *not* in the training set lie {glue:text}`yardstick:.2f` from the nearest one that is, in the median,
# and none lies nearer than {glue:text}`yardstick_least:.2f`.
#
# ## Forward: an image drowns in noise
#
# How much noise there is depends on the time $t$. A training image $x_0$ becomes
#
# $$x_t = \alpha_t\, x_0 + \sigma_t\, \epsilon .$$
#
# Here $\epsilon$ is an image of pure noise, one random number for each pixel. The factor $\alpha_t$ fades
# the image out, from 1 to almost 0, while $\sigma_t$ brings the noise up, so that
# $\alpha_t^2 + \sigma_t^2 = 1$. At $t = 0$ we have the image, at $t = 1$ noise.
#
# What a time means is said best by the ratio of noise to signal, $\sigma_t / \alpha_t$. At t = 0.5 it is
# {glue:text}`ratio_half:.2f`: noise and image are about equally strong. At t = 0.8 the noise is already
# {glue:text}`ratio_late:.1f` times as strong.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-forward", "caption": "Forward: three training images, each with one fixed noise image, at rising noise from left to right. Below: how many times as strong as the image the noise is. At t = 0.8 the eye finds little; at t = 1 there is nothing to find."}, "image": {"alt": "Grid of three garments in eight columns. From left to right the pictures fade into grey noise."}}
forward_times = [0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0]
forward = {}
for y in shown:
    x0 = images.subset(y).pixels[0]
    levels = [schedule.levels(t) for t in forward_times]
    forward[images.class_names[y]] = torch.stack(
        [alpha * x0 + sigma * noise[y % n_seeds] for alpha, sigma in levels]
    )
strength = [f"{sigma / alpha:.2g} times" for alpha, sigma in levels]
image_grid(forward, [f"t = {t:.2f}" for t in forward_times], {list(forward)[-1]: strength})

# %% [markdown]
# ## The best guess
#
# Somebody shows us $x_t$ and says: this was made from one of the {glue:text}`n_class:s` training
# images of the class {glue:text}`example:s`. (The network is told what to draw, so the machine also uses only
# that class.) Which one? Each of these images gets
# a weight: the probability that it, and not another, lies under this noise. The closer the noisy image
# is to the faded training image, the larger the weight:
#
# $$w_i \;\propto\; \exp\!\left(-\frac{\lVert x_t - \alpha_t x_0^{(i)}\rVert^2}{2\sigma_t^2}\right).$$
#
# These weights are called the *posterior*. The guess with the least mean square error is the average
# of the training images with these weights. A machine that always gives this guess is the *ideal
# score machine*, IS for short. (*Score* is the field's word for the direction towards likelier images; it
# carries the same information as the guess.) No network, no training: it is a formula with the training
# images in it. It reaches the lowest error that is possible on the training task.
#
# ## Backward: the ideal machine draws
#
# To draw, we start with noise at $t = 1$ and go down in {glue:text}`n_steps` steps. In each step the
# machine guesses the clean image, $\hat x_0$. Whatever in $x_t$ is not explained by the guess must be noise:
#
# $$\hat\epsilon = \frac{x_t - \alpha_t\, \hat x_0}{\sigma_t} .$$
#
# Then we mix the two again, as the next, lower time $s$ says:
#
# $$x_s = \alpha_s\, \hat x_0 + \sigma_s\, \hat\epsilon .$$
#
# No fresh noise is added, so the first noise image decides everything. (The rule is known as DDIM.)
#
# :::{dropdown} Guess first: how much noise is left in the picture when the machine makes up its mind?
# Most of it. In the lower row of each pair below, the guess soon becomes one sharp training image, while the row above it is
# still mostly noise. In the median that happens at t = {glue:text}`collapse:.2f`.
# :::

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-reverse", "caption": "Backward, from noise at the left to the finished picture at the right. Upper row of each pair: the noisy image. Lower row: the machine's guess at the clean image. At first the guess is a blur, the average of a whole class. A few steps later it is one sharp training image, while the row above it is still mostly noise."}, "image": {"alt": "Grid of small pictures in three pairs of rows. In the upper row of a pair noise turns into a garment; in the lower row a blurred garment soon becomes a sharp one."}}
marks = sorted({round(i * (n_steps - 1) / 7) for i in range(8)})
reverse = {}
for y in shown:
    name = images.class_names[y]
    for row, along in ((name, seen), (f"guess ({name})", guessed)):
        reverse[row] = torch.cat([along[marks, y % n_seeds], samples[y % n_seeds][None]])
image_grid(reverse, [f"t = {times[i]:.2f}" for i in marks] + ["end"])

# %% [markdown]
# ## When the choice is made
#
# How many training images are in play at a given time? The *entropy* of the posterior says. It is easiest to read as a
# number of images: $\exp(\text{entropy})$ equally likely images would leave one as much in doubt. We call it the
# effective number; elsewhere it is known as the perplexity. Two equally likely images count as two, and one that has
# all the weight counts as one.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-entropy", "caption": "Effective number of training images in the posterior along the way: median over the noise images, quartiles as a band. Drawing goes from right to left. Below the dashed line we call the posterior collapsed. The number drops from a whole class to one image while most of the picture is still noise."}, "image": {"alt": "Line plot with logarithmic vertical axis: the effective number of images stays at one for low times and rises to about a thousand at time one."}}
figure = lines(
    {"IS": Line(rising, *(quartiles[i].tolist() for i in (1, 0, 2)))},
    "time t (0 = image, 1 = noise)",
    "effective number of images",
    level=collapse_limit,
)
(axis,) = figure.axes
axis.text(1, collapse_limit * 0.97, "collapsed", color="0.35", ha="right", va="top")
ends = {"xy": (0.02, 0.5), "xytext": (0.3, 0.5), "xycoords": "axes fraction"}
axis.annotate("drawing goes this way", **ends, va="center", arrowprops={"arrowstyle": "->"})
figure

# %% [markdown]
# At first it is nearly the whole class. We call the posterior collapsed when the effective number is below
# {glue:text}`limit`. That happens at t = {glue:text}`collapse:.2f` in the median, while most of the picture is still
# noise. In the median run the choice has then been made. The machine has recognised a training image, or thinks so, and
# goes straight to it.
#
# ## What it means
#
# A perfect denoiser wins the training game by knowing the training images by heart. Yet trained networks draw pictures
# that they were never shown. So they cannot be perfect. Something keeps them from the best guess, and that something
# makes them creative. The paper's answer is the architecture: a convolutional network sees only a small window, and does
# the same in every place. [The chapter on locality and equivariance](02_locality_and_equivariance) puts exactly these two
# limits into the formula.
#
# ## What could be wrong
#
# - **Perfect at what?** The machine is perfect on the training images. On new images it answers with an old one; [the
#   chapter on linear filters](13_baselines) counts what that costs. A perfect denoiser for *all* garments would draw new
#   ones; nobody has it.
# - **The limits are ours.** A copy is nearer than {glue:text}`copy_limit`, collapse is an effective number below
#   {glue:text}`limit`. The distances above leave little room for argument. The time of collapse moves somewhat with the
#   limit.
# - **{glue:text}`n_seeds` pictures.** With so many, the true share of copies lies above {glue:text}`share_low:.0f`% (95%
#   interval).
# - **{glue:text}`n_steps` steps.** Large steps carry the noise past points where a finer flow would
#   have turned. That may change which training image is returned.
# - **A small training set, one class at a time.** With more images the collapse comes later, but only slowly, as [the
#   chapter on small windows](10_curse_of_dimensionality) measures. Small garments of 32 x 32 pixels are not photographs;
#   larger images have more dimensions and should collapse earlier.
