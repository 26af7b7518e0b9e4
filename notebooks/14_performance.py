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
# # Exact and fast: how the sum is done
#
# Every picture in this book comes from one sum. For each pixel of a noisy image, compare the window around it with
# every admissible patch of every training image. Weigh each patch by how well it fits. Average their centres.
#
# A loop that looks at one pixel of one patch after the other would take {glue:text}`naive:s` for one picture. How can
# two cores do it in {glue:text}`fused_seconds:.0f` seconds, drawing eight at a time and leaving nothing out?
#
# **By computing nothing twice.** The windows of neighbouring pixels overlap, so the squared difference of two pixels is
# needed by many windows at once: it is computed once, summed as the window slides, and weighed as it comes. The sum stays
# exact, to rounding.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
seed: int = 0  # seed of the noise in the picture and in the live check
training_class: int = 3  # class of fashion_mnist_10k for the picture and the live check, 0 to 9
t_picture: float = 0.3  # noise level of the picture, in (0, 1]
window_picture: int = 9  # odd window side of the picture

# %% tags=["hide-input"]
import json
from datetime import datetime

import torch.nn.functional as F

from elslib import cosine, initial_noise, load, patch_posterior, published_scale
from elslib.book.glue import duration, glue_all
from elslib.book.tables import markdown_table
from elslib.data.folders import data_folder
from elslib.experiments.spot_checks import spot_checks
from elslib.figures.plots import Line, lines, panels
from elslib.windows import admissible_count

result = json.loads((data_folder() / "results" / "posterior-benchmark.json").read_text())
speed, errors, scaling = result["speed"], result["errors"], result["scaling"]
kinds = result["kinds"]["aware"]
scale, times = published_scale("fmnist-resnet-zeros"), [(i + 1) / 20 for i in range(20)]
images = load("fashion_mnist_10k").subset(training_class).pixels
clean = load("fashion_mnist_test_1k").subset(training_class).pixels[:1]
alpha, sigma = cosine().levels(t_picture)
x = alpha * clean + sigma * initial_noise([seed], clean.shape[1:])

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-shift", "caption": "One shift. From left: a noisy image; a training image, shifted and dimmed as the noise level says; the square of their difference; and its box sums. Each pixel of the last picture is the distance between two whole windows. The squares mark one window and the one number it becomes."}, "image": {"alt": "Four panels: a noisy picture of a dress, a shifted dress, a mottled picture of their squared difference, and a smooth picture of box sums. A square marks the same window in the first three panels, a dot its place in the fourth."}}
shift = (2, -3)
moved = images[:1].roll(shift, (2, 3))
difference = (x - alpha * moved).square()
boxes = F.avg_pool2d(difference, window_picture, 1) * window_picture**2
panels(
    {
        "noisy image": x[0, 0],
        "training image, shifted": alpha * moved[0, 0],
        "squared difference": difference[0, 0],
        "box sums = distances": boxes[0, 0],
    },
    box=(12, 14, window_picture),
)

# %% [markdown]
# ## How many comparisons
#
# Take FashionMNIST at 32 x 32 pixels, the {glue:text}`per_class:s` images of one class, and the
# windows that the authors published for their residual network. One sample of 20 steps is then
# {glue:text}`comparisons_aware:.0f` billion comparisons with borders respected, and
# {glue:text}`comparisons_circular:.0f` billion with circular borders.
#
# A comparison at the largest window reads {glue:text}`largest_pixels:.0f` pixels of each image. At a
# nanosecond for each pixel that makes the time of the naive loop.

# %% tags=["hide-input"]
per_class = 6000
for border in ("aware", "circular"):
    count = sum(int(admissible_count(32, 32, scale.window_at(t), border).sum()) for t in times)
    glue_all({f"comparisons_{border}": per_class * count / 1e9})
pixels = sum(
    scale.window_at(t) ** 2 * int(admissible_count(32, 32, scale.window_at(t), "aware").sum())
    for t in times
)
each = speed["aware"]["ns_per_comparison_whole"]["fused"]
count = sum(int(admissible_count(32, 32, scale.window_at(t), "aware").sum()) for t in times)
glue_all(
    {"naive": duration(per_class * pixels * 1e-9), "fused_seconds": per_class * count * each * 1e-9}
)
glue_all({"per_class": f"{per_class:,}", "largest_pixels": max(scale.windows) ** 2})

# %% [markdown]
# ## The trick: one shift at a time
#
# Do not take the windows one by one. Lay a training image over the noisy image, as in the picture above, shifted by some
# rows and columns. Subtract, and square: that is one picture of squared differences. Now the distance
# between *any* two windows that lie on top of each other is the sum of a square box of this picture. All
# boxes of all sizes can be summed by passing over the picture twice, once down and once across.
# So with circular borders a comparison with a large window costs no more than one with a small window.
# With borders respected it does, as we shall see.
#
# Then shift by one pixel more, and again, until every shift has had its turn.
#
# ## Four things that make it quick
#
# **Sixteen at once.** A processor's vector register holds sixteen numbers: the same pixel of sixteen
# training images, side by side. So each addition serves sixteen comparisons.
#
# **Only additions.** The usual way to slide a sum along is to add the pixel that comes in and
# subtract the one that leaves. The subtraction loses digits. Here each box is the tail of one block
# plus the head of the next, both made by adding. Nothing cancels, and single precision is enough.
#
# **No needless exponentials.** A patch far worse than the best one has a weight too small to matter.
# If all that share a register are, their weights are not computed. The bound is safe: all that is
# skipped, even if every patch of the training set were skipped at the bound, would change the sum by
# less than one part in a hundred thousand.
#
# **Nothing is stored.** Patches, distances and weights are used and forgotten. Memory does not grow
# with the number of training images.
#
# The code is `elslib/posterior/native/kernel.cpp`, compiled when elslib is installed. Beside it stands
# `reference.py`, plain and slow, and the tests compare it with that on random shapes.

# %% [markdown]
# ## What it costs
#
# Three ways of doing the same sum, in one run, on {glue:text}`hardware:s`. *Dense* is the published
# way: patches become the filters of a convolution, and all distances are written out. *Reference* is
# our own plain version, one matrix product per border class. *Fused* is the trick above.
#
# A call of the fused sum had {glue:text}`batch` noisy images and a whole class; a call of the others had one noisy image
# and fewer training images. So what is compared is the cost of one comparison. Timed on {glue:text}`timed_on:s`.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-cost", "caption": "Nanoseconds per admissible comparison at each step of a sample, border-aware, two cores; the best of the repeats. The window at each step is the published one. Lower is better."}, "image": {"alt": "Line plot with logarithmic vertical axis. The dense and the reference line lie more than ten times above the fused line at every time."}}
lines(
    {
        name: Line(times, speed["aware"]["ns_per_comparison"][name])
        for name in ("dense", "reference", "fused")
    },
    "time t (0 = image, 1 = noise)",
    "ns per comparison",
)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["borders", "dense", "reference", "fused", "dense / fused", "reference / fused"]]
for border in ("aware", "circular"):
    part = speed[border]
    whole, spread = part["ns_per_comparison_whole"], part["times_faster_repeats"]
    cells = [f"{whole[name]:.2f} ns" for name in ("dense", "reference", "fused")]
    for name in ("dense", "reference"):
        found = [part["times_faster"][name], *spread[name]]
        cells.append(f"{min(found):.0f} to {max(found):.0f}")
        glue_all({f"faster_{border}_{name}": part["times_faster"][name]})
    runs = [run[border] for run in speed["runs"]]
    glue_all({f"runs_{border}_low": min(runs), f"runs_{border}_high": max(runs)})
    table.append([border, *cells])
glue_all(
    {
        "batch": speed["aware"]["batch"],
        "timed_on": datetime.fromisoformat(speed["record"]["finished"]).strftime("%d %B %Y"),
        "scaled_on": datetime.fromisoformat(scaling["record"]["finished"]).strftime("%d %B %Y"),
        "n_runs": len(runs),
        "repeats": speed["record"]["config"]["repeats"],
        "hardware": speed["record"]["hardware"],
        "exponent": scaling["n_exponent"],
        "window_ratio": scaling["window_17_over_3"],
        "memory": max(result["memory"]["megabytes"].values()),
        **{f"kind_{name.split()[0]}": cost for name, cost in kinds.items() if name != "fold of 5"},
        "error": max(max(errors[border]["fused"]) for border in ("aware", "circular")),
        "error_dense": max(max(errors[border]["dense"]) for border in ("aware", "circular")),
        "threads_gain": scaling["threads"]["1"][0] / min(v[0] for v in scaling["threads"].values()),
    }
)
markdown_table(table)

# %% [markdown]
# Over a whole schedule the fused sum is {glue:text}`faster_aware_dense:.0f` times faster than the dense one with
# borders respected, and {glue:text}`faster_circular_dense:.0f` times with circular borders, if the best of the repeats
# is taken at each step and for either side. The table gives the range of this and single repeats.
#
# Earlier runs, with older kernels, gave at least {glue:text}`runs_aware_low:.0f` and
# {glue:text}`runs_circular_low:.0f` times: processors differ, and shared ones by the hour.
#
# [The softer theories](19_how_far) cost more. With borders respected a *fold* of three takes
# {glue:text}`kind_fold:.1f` times as long as a plain window, because every patch answers for nine pixels, and a
# *pyramid* {glue:text}`kind_pyramid:.1f` times, because distances are summed twice. To learn
# [how much of a pixel comes from each training image](21_whose_pixels) takes {glue:text}`kind_mass:.2f` times as long.
#
# ## Does it scale?
#
# This was timed in another run, on {glue:text}`scaled_on:s`, with two noisy images a call in place of eight, and with an
# older kernel: what counts is the shape of the curve, not its height.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-window", "caption": "Cost of a comparison against the window side, at t = 0.5. With circular borders every squared difference is used, and a larger window costs no more; fewer of its weights matter, so it may even cost less. With borders respected, the larger the window, the fewer pairs of windows share it, but the squared differences are still needed."}, "image": {"alt": "Line plot of nanoseconds per comparison against window side 3 to 17 for circular and border-aware machines."}}
lines(
    {
        border: Line([int(k) for k in rows], [values[0] for values in rows.values()])
        for border, rows in scaling["window"].items()
    },
    "window side, pixels",
    "ns per comparison",
    log=False,
)

# %% [markdown]
# From 1,000 to 60,000 training images the time grows with exponent {glue:text}`exponent:.2f`: in proportion. With
# circular borders a comparison at window 17 costs {glue:text}`window_ratio:.2f` times one at window 3. Two threads are
# {glue:text}`threads_gain:.1f` times as fast as one. Beyond the images themselves, a batch of eight needs at most
# {glue:text}`memory:.0f` MB.
#
# ## Is it still exact?
#
# Exact means: the same number as the formula in double precision, up to rounding. The promise is an
# error of at most 0.0001 in a pixel, on a scale from -1 to 1. The largest found at any step, with
# near-duplicates among the training images, is {glue:text}`error:.1e`; the dense version has
# {glue:text}`error_dense:.1e`, because it expands squares and so subtracts large numbers.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-error", "caption": "Largest absolute error of a pixel against double precision, at each step. The promise is 0.0001."}, "image": {"alt": "Line plot with logarithmic vertical axis. The fused line lies below a dashed line at 0.0001 everywhere."}}
lines(
    {
        f"{name}, {border}": Line(times, errors[border][name])
        for border in ("aware", "circular")
        for name in ("dense", "fused")
    },
    "time t (0 = image, 1 = noise)",
    "largest error",
    level=1e-4,
)

# %% [markdown]
# These numbers were loaded from `data/results/`; timing inside a book build would mean nothing. So
# here is a live check: two steps, chosen by a hash of the engine's source, computed anew.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["step", "window", "largest error now"]]
for step in spot_checks(len(times), 2, patch_posterior):
    t, window = times[step], scale.window_at(times[step])
    alpha, sigma = cosine().levels(t)
    noisy = alpha * clean + sigma * initial_noise([seed + step], clean.shape[1:])
    fast = patch_posterior(noisy, images[:32], alpha, sigma, window, "aware").mean
    exact = patch_posterior(
        noisy.double(), images[:32].double(), alpha, sigma, window, "aware"
    ).mean
    error = float((fast - exact).abs().max())
    if not error <= 1e-4:
        raise AssertionError(f"the fused engine errs by {error} at t = {t}; 1e-4 was promised")
    table.append([step + 1, window, error])
markdown_table(table, ".1e")

# %% [markdown]
# ## Could most of it be skipped?

# %% tags=["hide-input"]
searches = json.loads((data_folder() / "results" / "tree-search.json").read_text())
batches = {size: [row for row in searches["rows"] if row["batch"] == size] for size in (1, 8)}
step_gains = [
    every / search
    for row in batches[8]
    for every, search in zip(
        *(row["seconds_a_step"][way] for way in ("every", "search")), strict=True
    )
]
glue_all(
    {
        "search_alone": max(row["gain"] for row in batches[1]),
        "search_low": min(row["gain"] for row in batches[8]),
        "search_high": max(row["gain"] for row in batches[8]),
        "search_kept": max(row["gain_kept"] for row in searches["rows"]),
        "search_step": max(step_gains),
        "search_memory": max(row["megabytes_of_trees"] for row in batches[8]),
    }
)

# %% [markdown]
# At low noise nearly all patches weigh nothing. So why compare them? To leave a patch out and still be
# exact, we must *prove* that its weight is small, from something that costs less than its distance. We
# tried: equal patches kept once, similar ones in the boxes of a tree, and whole boxes skipped with a
# proof. At the best single step that was {glue:text}`search_step:.1f` times as fast. But only few of the steps have
# little noise and a small window. Whole samples of clothes, digits and emoji were {glue:text}`search_low:.2f` to
# {glue:text}`search_high:.2f` times as fast, eight pictures in a call; one alone {glue:text}`search_alone:.2f`
# times. With trees kept from earlier samples it would be at most {glue:text}`search_kept:.2f` times; they take
# up to {glue:text}`search_memory:.0f` MB. So the search is gone, and the engine makes every comparison.
#
# On a graphics card `triton_backend.py` squares differences one by one. Its logic is tested and it
# compiles, but we had no such card at hand: its speed, and that of the dense version there, is not
# known yet.
#
# ## What could be wrong
#
# - **One machine**, and a shared one. `python benchmarks/posterior.py` measures yours.
# - **Very low noise.** Where even the best patch is far away in units of the noise, single precision
#   cannot rank the patches. There the engine compares the closest ones again in double precision. If
#   it cannot prove that these are enough, it hands over to the reference, which is slow.
# - **Large windows with borders respected** cost more than they need: most squares serve few windows.
