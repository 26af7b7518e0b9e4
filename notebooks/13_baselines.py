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
# # Would a linear filter do?
#
# A sceptic has an easier explanation. Images are smooth. Whoever knows how strongly neighbouring pixels go together can
# already remove much noise, without a single patch. The best that can be done with means and covariances alone is the
# *Wiener filter*: it treats the training images as draws from one Gaussian cloud, and its answer is linear in the noisy
# image. Does it predict what a network draws as well as the theory of this book does?
#
# **It does not, unless the network sees nearly everything.** A ResNet's picture is predicted far better by patches than
# by any linear filter. For UNets the lead is small, and with attention it is gone.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "fashion-resnet"  # a network in data/networks with an agreement table
circular: str = "mnist-resnet-circular"  # one with circular padding, no classes; empty for none
n_images: int = 24  # held-out images, at least 2
n_levels: int = 7  # noise levels, spread over all steps but the first, 2 to 19
seed: int = 0  # which held-out images, and which noise

# %% tags=["hide-input"]
import torch

from elslib.analysis.agreement import median, values
from elslib.analysis.intervals import mean_interval, median_interval, share_interval
from elslib.analysis.metrics import pearson_r
from elslib.analysis.theories import theories
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.denoisers.baselines import StationaryWienerFilter
from elslib.experiments import recipes
from elslib.experiments.agreement_results import read_pictures, read_rows, with_results
from elslib.experiments.store import load_network, load_scale, training_images
from elslib.experiments.titles import title
from elslib.figures.dots import dot_plot
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import initial_noise, sample

denoiser, images = load_network(network), training_images(network)
held_out = recipes.held_out_images(network)
scales = {machine: load_scale(network, machine) for machine in ("ls", "els")}
denoisers = theories(denoiser, images, scales) | {"network": denoiser}
generator = torch.Generator().manual_seed(seed)
chosen = torch.randperm(len(held_out), generator=generator)[:n_images]
clean = held_out.pixels[chosen]
label = None if denoiser.config.classes is None else held_out.labels[chosen]
eps = torch.randn(clean.shape, generator=generator)
# Not t = 1: a network predicts noise, and there its estimate of the image divides by nearly 0.
steps = torch.linspace(0, len(scales["els"].times) - 2, n_levels).round().int().tolist()
times = [scales["els"].times[step] for step in steps]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-linear", "caption": "Who draws what the network draws: median of r between the network's picture and that of each theory from the same noise, with its 95% interval. The Wiener filter is linear. PCA locality is a local theory whose windows are read off the filter rather than measured on a network."}, "image": {"alt": "Dot plot, one line for each network, with dots for ELS, Wiener filter, PCA locality and IS. For ResNets ELS is far to the right of all others; for UNets the dots of ELS, Wiener and PCA are near each other."}}
agreed = {name: read_rows(name) for name in with_results()}
dot_plot(
    {
        title(n): {t: median(r, t) for t in ("ELS", "Wiener", "PCA", "IS")}
        for n, r in agreed.items()
    },
    "median of Pearson's r with the network's picture",
)

# %% tags=["remove-cell"]
for name, rows in agreed.items():
    key = name.replace("-", "_")
    ahead = values(rows, "ELS") - values(rows, "Wiener")
    share = share_interval(int((ahead > 0).sum()), len(ahead))
    glue_all({f"{key}_gap": median_interval(ahead), f"{key}_share": share})
    glue_all({f"{key}_PCA": median_interval(values(rows, "ELS") - values(rows, "PCA"))})
    if name == "fashion-unet-attention":
        r2 = [values(rows, theory, measure="R2") for theory in ("ELS", "Wiener")]
        glue_all({"attention_R2": median_interval(r2[0] - r2[1])})
    if name == network:
        glue_all({"gap": median_interval(ahead), "share": share, "n_seeds": len(ahead)})
glue_all({"network": title(network)})

# %% [markdown]
# ## What we see
#
# *A filter removes noise, but it does not choose.* For the network "{glue:text}`network:s`" ELS is closer than the
# filter on {glue:text}`share:.2f` of all seeds.
#
# *The wider a network looks, the less patches add.* A UNet's windows in strong noise hold nearly the whole picture. There
# a theory of patches and one of covariances see the same thing, and what is usual at each place says much of what will be
# drawn. For the UNet with attention PCA locality predicts the network as well as ELS does. Here the sceptic is almost
# right.
#
# ## Others found the reverse
#
# {cite:t}`shang2026fast` compared the same theories with networks on coloured photographs, and there ELS came last.
# Their measure is *R²*: 1 for the same picture, 0 for one no closer than the network's own mean grey, and less for
# worse. So here are our samples once more, in their measure, and theirs beside them.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-linear-r2", "caption": "Means of R² over the samples, since theirs were published as means without intervals; ours with 95% bootstrap intervals. Below the line, hollow: theirs, UNets without attention or classes, 128 samples in 10 steps."}, "image": {"alt": "Dot plot of R squared for ELS, PCA and Wiener. On our lines ELS is to the right of the others or next to them. On the three lines of others ELS is to the left of both."}}
# Published for CIFAR10, CelebA-HQ and AFHQ, 64 pixels wide the latter two.
THEORIES = ("ELS", "PCA", "Wiener")
PUBLISHED = {
    "theirs: CIFAR10": (0.411, 0.670, 0.553),
    "theirs: CelebA-HQ": (0.720, 0.802, 0.781),
    "theirs: AFHQ": (0.576, 0.703, 0.687),
}
means = {
    title(n): {t: mean_interval(values(rows, t, measure="R2")) for t in THEORIES}
    for n, rows in agreed.items()
}
theirs = {name: dict(zip(THEORIES, row, strict=True)) for name, row in PUBLISHED.items()}
dot_plot(
    means | dict.fromkeys(theirs, {}),
    "mean of R²",
    theirs,
    hollow_is="published by others",
    rules=(len(means),),
)

# %% [markdown]
# In our rows without attention ELS comes first or shares the first place, in colour as in grey; in theirs it comes last.
# Much differs. Our ELS has windows measured on the very network that it predicts; how theirs were chosen we do not know.
# Ours knows the class where the network does. Their networks take 10 steps, ours 150. Now that our networks, too, learned
# photographs, it is not the photographs that make the difference.
#
# ## Removing noise from new images
#
# There is a second question: who is best at the task itself? We take {glue:text}`n_images` images of
# {glue:text}`held_out:s` that no network and no theory has seen, add noise, and ask everybody for their estimate of the
# clean image. All know the class. The error is the mean square over the pixels, which run from -1 to 1.

# %% tags=["hide-input"]
estimates = {name: [] for name in denoisers}
error = {name: torch.empty(n_levels, n_images) for name in denoisers}
for level, t in enumerate(times):
    alpha, sigma = denoiser.schedule.levels(t)
    x = alpha * clean + sigma * eps
    for name, denoise in denoisers.items():
        with torch.no_grad():
            estimate = denoise(x, t, label)
        estimates[name].append(estimate[:8])
        error[name][level] = (estimate - clean).square().mean(dim=(1, 2, 3))
relative = {
    name: [median_interval(row) for row in error[name] / error["Wiener"]] for name in denoisers
}

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-denoising", "caption": "Error of each denoiser on new images, divided by that of the Wiener filter on the same image: median over the images, with the 95% bootstrap interval as a band. Below the dashed line: better than linear."}, "image": {"alt": "Line plot of error relative to the Wiener filter against time, on a logarithmic axis, one line for each other denoiser; the filter is the dashed line at 1."}}
axes = ("time t (0 = image, 1 = noise)", "error / error of the Wiener filter")
curves = {name: Line.through(times, row) for name, row in relative.items() if name != "Wiener"}
lines(curves, *axes, level=1.0)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-answers", "caption": "The same noisy images, and what each denoiser makes of them, at a middle noise level. The Wiener filter blurs; IS answers with a training image, right or wrong; the local machines guess piece by piece."}, "image": {"alt": "Grid of small pictures of clothes: rows are the clean image, the noisy image, and the estimates of IS, LS, ELS, Wiener filter, PCA locality and network."}}
middle = n_levels // 2
alpha, sigma = denoiser.schedule.levels(times[middle])
noisy = alpha * clean + sigma * eps
shown = {"clean": clean[:8], "noisy": noisy[:8]}
image_grid(shown | {name: some[middle] for name, some in estimates.items()})

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
marks = sorted({0, middle, n_levels - 1})
table = [["denoiser", *(f"t = {times[level]:.2f}" for level in marks)]]
for name in denoisers:
    table.append([name, *(median_interval(error[name][level]) for level in marks)])
sure = {  # noise levels at which the whole interval is on one side of the linear filter
    (name, word): ", ".join(
        f"{t:.2f}" for t, i in zip(times, relative[name], strict=True) if side(i)
    )
    for name in ("ELS", "network")
    for word, side in (("better", lambda i: i.high < 1), ("worse", lambda i: i.low > 1))
}
as_network = [median_interval(row) for row in error["ELS"] / error["network"]]
top = max(range(n_levels), key=lambda level: times[level])
for name in ("LS", "ELS"):  # in the strongest noise, against the filter
    glue_all({f"{name}_top": relative[name][top], f"{name}_side": scales[name.lower()].windows[-2]})
closest, farthest = (choose(as_network, key=lambda i: i.estimate) for choose in (min, max))
glue_all(
    {
        "n_images": n_images,
        "n_levels": n_levels,
        "held_out": held_out.name,
        "data": images.name,
        **{f"{name}_{word}": found or "none" for (name, word), found in sure.items()},
        "t_top": times[top],
        "least": closest,
        "most": farthest,
    }
)
markdown_table(table, ".4f")

# %% [markdown]
# *Mean squared error on new images at the lowest, a middle and the highest noise: median over {glue:text}`n_images`
# images with 95% bootstrap interval.*
#
# As a denoiser, ELS is not better than a linear filter throughout. It is better at these noise levels:
# {glue:text}`ELS_better:s`; and worse at these: {glue:text}`ELS_worse:s`. (A level counts if its whole band lies on one
# side.) In strong noise a filter that knows the place of every pixel beats a machine that does not. LS knows it, and is
# less far behind. So far the sceptic is right about ELS.
#
# But look at the black line. The *network* is better than the filter at these levels: {glue:text}`network_better:s`; and
# worse at these: {glue:text}`network_worse:s`. Like the theory it is good in weak noise and beaten in strong noise. A
# theory of the network need not be good at the task. It should be as good, and as bad, as the network is: and the errors
# of the two stay within a factor of {glue:text}`most:.2f` of each other. Where they differ most, at t = .15, [the network
# is better](09_breaking_equivariance).

# %% [markdown]
# ## A filter that knows no places
#
# For {glue:text}`circular:s` the filter looks hopeless: {glue:text}`circular_fixed:.2f`
# [{glue:text}`circular_fixed_low:.2f`, {glue:text}`circular_fixed_high:.2f`]. But that is no fair race. This network
# has circular padding, sees no border and cannot know where anything is. The filter does know, and puts its digit in
# the middle. A fair one must not know places either. The best linear filter of that kind is the Wiener filter of the
# training images *at all their cyclic shifts*. It works on each frequency alone.

# %% tags=["hide-input"]
if circular:
    blind, shifted = load_network(circular), training_images(circular)
    if blind.edges != "circular":
        raise ValueError(f"circular must name a network with circular padding, got {circular!r}.")
    kept = read_pictures(circular)
    start = initial_noise(range(len(kept["network"])), shifted.pixels.shape[1:])
    linear = StationaryWienerFilter(shifted, schedule=blind.schedule)
    kept["linear"] = sample(linear, start, n_steps=20)
    r = {name: pearson_r(kept[name], kept["network"]) for name in ("ELS", "linear")}
    glue_all(
        {
            "circular": circular,
            "circular_fixed": median(read_rows(circular), "Wiener"),
            "circular_linear": median_interval(r["linear"]),
            "circular_ELS": median_interval(r["ELS"]),
            "circular_ahead": median_interval(r["ELS"] - r["linear"]),
            "circular_won": share_interval(int((r["ELS"] > r["linear"]).sum()), len(start)),
            "n_circular": len(start),
        }
    )

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-no-places", "caption": "From the same noise: the network with circular padding, circular ELS, and the best linear filter that knows no places, with its r. The filter finds where ink is, not the strokes."}, "image": {"alt": "Three rows of eight black squares. In the first two, nearly the same white strokes; in the third, grey smears over most of the square, brightest at those places."}}
image_grid(
    {name: kept[name][:8] for name in ("network", "ELS", "linear")},
    notes={name: [f"r = {value:.2f}" for value in row[:8].tolist()] for name, row in r.items()},
) if circular else None

# %% [markdown]
# It does far better. Most of the filter's deficit came from knowing places. But ELS stays ahead, by
# {glue:text}`circular_ahead:.2f` in the median, and on nearly every seed. That is what patches add to covariances here.
#
# ## What it means
#
# To be a good denoiser and to be a good account of a network are two things. Where noise is strong a linear filter is the
# better denoiser. But ELS draws more nearly what our networks draw than the filter does: by far for those that see little,
# by little for those that see nearly everything. How much of that is in the patches and not in knowing places we know for
# circular padding alone.
#
# ## What could be wrong
#
# - **The filter knows places**, ResNets hardly do. Where we tried one that knows none, most of the lead was that.
# - **Denoising is not drawing.** Small errors early in a drawing decide what is drawn.
# - **The windows of ELS and LS were fitted to the network.** The baselines' were not; they have no number to fit,
#   except the threshold of PCA locality: a pixel is out of sight if its relative weight in the filter is below that
#   share of the largest. Its authors take .02 to .05, we .005, the better of two values that we tried on grey images.
# - **One class at a time.** Where a network is told the class, all denoisers know it. Without it a single Gaussian would
#   have to cover ten kinds of things, and the Wiener filter would do worse.
