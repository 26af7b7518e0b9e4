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
# # Why small windows keep the machine from memorising
#
# The ideal machine compares whole images, and returns training images. The local machine (ELS) uses the same formula with
# the same training images, but compares small windows, and draws new pictures. Why does a small window make such a
# difference?
#
# **Because few pixels are few clues.** A thousand weak clues single out one training image even in strong noise; nine
# clues fit thousands of patches about equally well. And as the noise falls and each clue becomes clearer, the windows of
# networks shrink and, as it turns out, just fast enough to stay undecided.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
seed: int = 0  # chooses the held-out images and the noise, at least 0
n_images: int = 10  # held-out images, at least 2; their classes take turns
n_map: int = 300  # training images of a class for the map, 20 to 900
n_all: int = 900  # training images of a class along the schedule, above n_map, at most 942
schedule_of: str = "fmnist-resnet-zeros"  # a network in data/published_scales.json
threshold: float = 2.0  # memorised: fewer than this many patches are effectively in play

# %% tags=["hide-input"]
import math

import torch

from elslib import cosine, initial_noise, load, published_scale
from elslib.analysis.intervals import median_interval, share_interval
from elslib.analysis.memorisation import nested_entropies, onset
from elslib.book.glue import glue_all
from elslib.figures.one_pixel import OnePixel, Subject, busiest
from elslib.figures.plots import Line, heat_map, lines

images, held_out = load("fashion_mnist_10k"), load("fashion_mnist_test_1k")
schedule, scale = cosine(), published_scale(schedule_of)
times = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0]
windows = [3, 5, 7, 9, 11, 13, 15, 17, None]  # None: the whole image
sizes = [n_map // 10, n_map // 3, n_map, n_all]
names = [str(window or "whole") for window in windows]
middle = slice(8, 24)  # here even the largest window stays inside the image

# %% tags=["hide-input"]
label = torch.arange(n_images) % len(images.class_names)
generator = torch.Generator().manual_seed(seed)
clean = torch.empty(n_images, *images.pixels.shape[1:])
for y in label.unique().tolist():
    candidates = held_out.subset(y).pixels
    chosen = torch.randperm(len(candidates), generator=generator)[: int((label == y).sum())]
    clean[label == y] = candidates[chosen]
noise = initial_noise([1000 * seed + i for i in range(n_images)], clean.shape[1:])
garment = clean[:, 0, middle, middle] > -0.95
shape = (len(sizes), len(windows), len(times), n_images)
entropy = torch.full(shape, math.nan, dtype=torch.float64)  # median over an image's pixels
above = entropy.clone()  # percentage of an image's pixels that are not memorised
for y in label.unique().tolist():
    rows, training = label == y, images.subset(y).pixels
    for j, t in enumerate(times):
        levels = schedule.levels(t)
        x = levels[0] * clean[rows] + levels[1] * noise[rows]
        for k, window in enumerate(windows):
            # The largest training set is for the windows of the schedule and the whole image only.
            some = sizes if window in (None, scale.window_at(t)) else sizes[:-1]
            border = "fixed" if window is None else "aware"
            found = nested_entropies(x, training, some, levels, window, border)
            for i, image in enumerate(rows.nonzero()[:, 0].tolist()):
                pixels = found[:, i, middle, middle][:, garment[image]]  # (sizes, pixels)
                entropy[: len(some), k, j, image] = pixels.quantile(0.5, dim=1)
                undecided = (pixels >= math.log(threshold)).double()
                above[: len(some), k, j, image] = 100 * undecided.mean(dim=1)

# %% tags=["remove-cell"]
path = [windows.index(scale.window_at(t)) for t in times]
typical_number = entropy[2].quantile(0.5, dim=2).exp()
on_path = (slice(None), path, range(len(times)))
sets_in = [onset(times, entropy[s].movedim(1, 0), math.log(threshold)) for s in range(3)]
typical = [[median_interval(row) for row in per_size] for per_size in sets_in]
# A median below the lowest time is no measured onset, and is not drawn.
drawn = [[i.estimate if i.estimate >= times[0] else math.nan for i in row] for row in typical]
collapse = [median_interval(onset(times, e, math.log(threshold))) for e in entropy[:, -1]]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-map", "caption": "How many training patches are effectively in play, for each window and noise level: median over the images. Squares: where memorisation sets in as the noise falls; to the left of them pixels are memorised. Circles: the published windows of a real network. They stay on the undecided side all the way down. In the top row whole images are counted instead of patches."}, "image": {"alt": "Colour map of window against time. Bright at small windows and at high noise, dark at wide windows and low noise. A line of squares runs from the lower left to the upper right; a line of circles stays to the right of it and below."}}
heat_map(
    typical_number,
    times,
    names,
    ("time t (0 = image, 1 = noise)", "window side, pixels", "effective number of patches"),
    {
        "published windows": Line(times, path),
        f"memorisation sets in (n = {n_map})": Line(drawn[2], range(len(windows))),
    },
)

# %% [markdown]
# Every cell of the map is one window at one noise level. Noise rises to the right, windows grow upwards, the top row
# compares whole images. Dark means that one patch has won. Take the top row first: comparing whole images, the machine has
# memorised once the noise has fallen to t = {glue:text}`collapse_map:.2f`. Further down memorisation sets in later. With
# windows of up to {glue:text}`undecided_side:d` pixels the median image stays undecided down to the lowest noise we looked
# at.
#
# Here is one pixel of such an image. Take the noise away, or let the window grow: the weights of the
# training patches gather on fewer and fewer, and at last on one. Which of the two does it faster?

# %% tags=["hide-input"]
subjects = [
    Subject(images.class_name(y), x, n, images.subset(y).pixels[:n_map], *busiest(x, 8))
    for x, n, y in zip(clean[:3], noise, label.tolist(), strict=False)
]
OnePixel(subjects, schedule, times, windows, typical_number, [windows[k] for k in path])

# %% [markdown]
# *The window does.* With the smallest window some {glue:text}`number_three:.0f` patches are still in play at the lowest
# noise, in the median image. With the widest one the machine has memorised from t = {glue:text}`onset_largest:.2f` down,
# and to compare whole images decides earlier still.
#
# ## How it was measured
#
# We take {glue:text}`n_images` test images that are in no training set, of all classes in turn, add noise, and hand them
# to the machine with its training images of the same class. For each pixel it has a *posterior*: the probability of each
# training patch to be the one under the noise. The entropy of the posterior says how undecided it is, read as an
# *effective number* of patches, $\exp(\text{entropy})$. A pixel is **memorised** when fewer than
# {glue:text}`threshold:g` patches are effectively in play: then its value is copied from one place of one training image.
#
# Two choices keep this honest. Only pixels on the garment count; in the plain background thousands of patches are exactly
# equal, so their number says nothing. And only the middle {glue:text}`side` x {glue:text}`side` pixels count, where even a
# window of {glue:text}`largest` lies inside the image. Each image counts once, by the median over its pixels.
#
# ## The published windows keep away from the memorising line
#
# The circles on the map are the windows that the authors found for their zero-padded residual network on
# FashionMNIST. Nobody chose them to avoid memorisation; they are where theory and network agree best.
#
# :::{dropdown} Guess first: as the noise fades, how many patches do these windows leave in play?
# Many. From t = 0.5 down the median is never below {glue:text}`steady_low:.0f`, with the larger training set. Where whole
# images are compared, the number is below the dashed line from t = {glue:text}`collapse_all:.2f` down.
# :::

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-path", "caption": "Effective number of patches along the published windows, and of images for whole images, for a small and a large training set: medians over the images, for the large set with the 95% bootstrap interval as a band. Dashed: the threshold of memorisation. Whole images fall below it early. The published windows stay above, with either training set."}, "image": {"alt": "Line plot with logarithmic vertical axis. Two lines for the published windows stay well above the dashed line at all times; two lines for whole images reach one at middle times."}}
series = {}
for name, rows in (("published windows", entropy[on_path]), ("whole image", entropy[:, -1])):
    for s in (-1, 0):
        found = [median_interval(row) for row in rows[s].exp()]
        low, high = ([getattr(i, key) for i in found] for key in ("low", "high"))
        band = (low, high) if s else (None, None)
        series[f"{name}, n = {sizes[s]}"] = Line(times, [i.estimate for i in found], *band)
lines(series, "time t (0 = image, 1 = noise)", "effective number in play", level=threshold)

# %% tags=["remove-cell"]
on_schedule = [median_interval(row) for row in above[on_path][-1]]
worst = min(range(len(times)), key=lambda j: on_schedule[j].estimate)
number = [median_interval(row.exp()) for row in entropy[on_path][-1]]
fewest = min(range(len(times)), key=lambda j: number[j].estimate)
steady = [i.estimate for i, t in zip(number, times, strict=True) if t <= 0.5]
safe = int((entropy[on_path][-1] >= math.log(threshold)).all(dim=0).sum())
safe_share = share_interval(safe, n_images)
far = entropy[0, :-1] > math.log(10)  # windows: undecided even with the fewest images
gain = entropy[2] - entropy[0]
gain_far = torch.quantile(gain[:-1][far], torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
glue_all(
    {
        "n_images": n_images,
        "threshold": threshold,
        "side": middle.stop - middle.start,
        "largest": windows[-2],
        "pixels": f"{int(garment.sum()):,}",
        "n_map": n_map,
        "n_few": sizes[0],
        "n_all": n_all,
        "t_low": times[0],
        "n_times": len(times),
        "t_worst": times[worst],
        "t_fewest": times[fewest],
        "steady_low": min(steady),
        "steady_high": max(steady),
        "safe": safe,
        "safe_low": 100 * safe_share.low,
        "safe_high": 100 * safe_share.high,
        "whole_memorised": int((entropy[-1, -1] < math.log(threshold)).any(dim=0).sum()),
        "log_ratio": math.log(sizes[2] / sizes[0]),
        "gain_far": float(gain_far[1]),
        "gain_far_low": float(gain_far[0]),
        "gain_far_high": float(gain_far[2]),
        "share_worst": on_schedule[worst],
        "share_wide": median_interval(above[2, -2, 0]),
        "fewest": number[fewest],
        "number_three": median_interval(entropy[2, 0, 0].exp()),
        "gain_whole": median_interval(gain[-1, times.index(0.5)]),
        "undecided_side": max(
            (w for w, onset in zip(windows, drawn[2], strict=True) if w and math.isnan(onset)),
            default=0,
        ),
        "collapse_map": collapse[2],
        "collapse_few": collapse[0],
        "collapse_all": collapse[3],
        "onset_largest": typical[2][-2],
    }
)

# %% [markdown]
# With {glue:text}`n_all` training images of a class, {glue:text}`safe` of {glue:text}`n_images` images have an undecided
# median pixel at all {glue:text}`n_times` noise levels. Compared as whole images, {glue:text}`whole_memorised` are memorised
# at some level. The claim holds for the typical pixel, not for every one: at the worst moment, t = {glue:text}`t_worst`,
# {glue:text}`share_worst:.0f`% of an image's pixels are undecided.
#
# From t = 0.5 down the noise falls a lot, but the windows fall with it: the median number of patches in play stays between
# {glue:text}`steady_low:.0f` and {glue:text}`steady_high:.0f`. A window that does *not* shrink would not do. If it stayed
# at {glue:text}`largest`, only {glue:text}`share_wide:.0f`% of an image's pixels would be undecided in the end.
#
# ## More data help, but slowly
#
# Why not simply use more training images? Information is counted in {term}`nats <Nat>` here: one nat narrows what is
# possible down by a factor $e$. Suppose that what a pixel sees through its window is worth $I$ nats. To single out one
# case among $N$ equally likely ones takes $\ln N$ nats. What is missing is the entropy, about $\max(0, \ln N - I)$.
# Memorisation sets in when $I$ reaches $\ln N$ (Hunt, Kamb and Ganguli, arXiv:2607.08041). They show it for independent
# images. Overlapping patches of one image are not independent, so for patches it is a rule of thumb. By that rule ten
# times the data buy {glue:text}`log_ratio:.1f` nats, no more.
#
# Is it so? Take all windows and times at which more than ten patches are in play even with the fewest images. There ten
# times as many images raise the entropy by {glue:text}`gain_far:.2f` nats in the median. For whole images at t = 0.5, near
# the threshold or below it, they raise it by only {glue:text}`gain_whole:.2f`.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-onset", "caption": "Where memorisation sets in, for three sizes of the training set: median over the images. The whole image is drawn at its side, 32. Ten times the data move the line a little to the left. No mark: no onset down to the lowest noise we looked at. The published windows lie below and to the right."}, "image": {"alt": "Line plot of window side against time. Three lines close together rise to the right; the line of published windows stays below them."}}
sides = [window or 32 for window in windows]
borders = {f"onset, n = {sizes[s]}": Line(drawn[s], sides) for s in range(3)}
lines(
    borders | {"published windows": Line(times, [scale.window_at(t) for t in times])},
    "time t (0 = image, 1 = noise)",
    "window side, pixels",
    log=False,
    ticks=sides,
)

# %% [markdown]
# Making the window smaller does far more than adding data. (Onsets are read between few noise levels: trust the direction,
# not the pace.)
#
# ## What it means
#
# A local machine is not undecided because it is bad. It is undecided because it asks little. While
# many patches are in play, each pixel is an average over many patches, and nothing ties the picture
# to one training image. The windows shrink as the noise falls, and so keep it that way.
#
# ## What could be wrong
#
# - **Memorising a patch is not memorising an image.** At vanishing noise every window ends up with
#   its one nearest patch; the theory says so. We stop at t = {glue:text}`t_low`. By then the window
#   is 3 pixels wide, and whoever copies 3 x 3 pixels from here and 3 x 3 from there makes a mosaic.
# - **Held-out images, not drawings.** The machine meets these images with fresh noise. Along its own drawing it meets
#   images that it has made, which fit better. For whole images that can be seen: with about as many training images they
#   collapse here at t = {glue:text}`collapse_all:.2f`, in [the chapter on perfect denoisers](01_memorisation), along the
#   machine's own way, at {glue:text}`../notebooks/01_memorisation.ipynb::collapse:.2f`, though its limit is stricter. For
#   small windows we did not measure the entropy along the machine's own way.
# - **Few images, ten classes.** The medians are over {glue:text}`n_images` images, and garments
#   differ. The intervals show how much.
# - **Many patches need not be many values.** On plain fabric thousands of patches are nearly equal,
#   also after noise. A large number there means that nothing is singled out, not that much is mixed.
# - **Few training images.** The windows were found with thousands of a class. More images make every
#   window *more* undecided, so the finding is on the safe side.
# - **The threshold is a choice.** With a higher one the line moves to the right. The map shows the
#   numbers, so that you can draw your own.
# - **These windows belong to one network** of the authors. That they avoid memorisation does not
#   prove that they are what they are *because* of it.
