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
# image. If it predicts the network as well as the theory does, then the theory tells us nothing new.
#
# So we ask two questions. Who is best at the task itself, taking the noise off images that nobody has seen? And who
# draws what the network draws?

# %% tags=["parameters"]
network: str = "fashion-resnet"  # a network in data/networks with an agreement table
circular: str = "mnist-resnet-circular"  # circular padding, no classes; empty for none
n_images: int = 24  # held-out images, at least 2
n_levels: int = 7  # noise levels, spread over all steps but the first, 2 to 19
seed: int = 0  # which held-out images, and which noise

# %% tags=["hide-input"]
import torch

from elslib.analysis.agreement import median, values
from elslib.analysis.intervals import median_interval, share_interval
from elslib.analysis.metrics import pearson_r
from elslib.analysis.theories import theories
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.denoisers.baselines import StationaryWienerFilter
from elslib.experiments import recipes
from elslib.experiments.agreement_results import read_pictures, read_rows, with_results
from elslib.experiments.store import load_network, load_scale, training_images
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

# %% [markdown]
# ## Removing noise from new images
#
# We take {glue:text}`n_images` images of {glue:text}`held_out:s` that no network and no theory has seen, add noise, and
# ask everybody for their estimate of the clean image. All know the class. The error is the mean square over the pixels,
# which run from -1 to 1.
#
# Five denoisers are compared with the network. *ELS*, *LS* and *IS* are the machines of the theory. *Wiener* is the
# linear filter. *PCA* is a local machine whose windows are not measured on a network, but read off the Wiener filter:
# each pixel looks where the filter has large weights. All five are computed from exactly the images the network learned
# from.

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
# As a denoiser, ELS is not better than a linear filter throughout. Count a noise level only if the whole interval lies
# on one side. Then ELS is better at these t: {glue:text}`ELS_better:s`; and worse at these: {glue:text}`ELS_worse:s`.
# In strong noise a filter that knows the place of every pixel beats a machine that does not. LS knows it. At t =
# {glue:text}`t_top:.2f` its error is {glue:text}`LS_top:.2f` [{glue:text}`LS_top_low:.2f`,
# {glue:text}`LS_top_high:.2f`] times that of the filter, the error of ELS {glue:text}`ELS_top:.2f`
# [{glue:text}`ELS_top_low:.2f`, {glue:text}`ELS_top_high:.2f`] times. But its windows are a little wider there, too,
# {glue:text}`LS_side` pixels against {glue:text}`ELS_side`. So far the sceptic is right about ELS.
#
# But look at the black line. The *network* is better than the linear filter at these t: {glue:text}`network_better:s`;
# and worse at these: {glue:text}`network_worse:s`. Like the theory it is good in weak noise and beaten in strong noise.
# The ratio of the two errors, ELS over network, lies between {glue:text}`least:.2f` [{glue:text}`least_low:.2f`,
# {glue:text}`least_high:.2f`] and {glue:text}`most:.2f` [{glue:text}`most_low:.2f`, {glue:text}`most_high:.2f`] over the
# noise levels. A theory of the network need not be good at the task. It should be as good, and as bad, as the network is,
# and at these levels it nearly is. Between them, at t = .15, [the network is better](09_breaking_equivariance).
#
# ## Who draws what the network draws?
#
# Being good at the task is one thing. The theory claims more: that it makes the *network's* choices, also wrong ones.
# Here every denoiser goes from the network's noise to a picture. The samples are those of `elslib agree`.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["network", "ELS", "Wiener", "PCA", "IS", "ELS above Wiener", "ELS minus Wiener"]]
for name in with_results():
    rows = read_rows(name)
    cells = [median(rows, theory) for theory in ("ELS", "Wiener", "PCA", "IS")]
    ahead = values(rows, "ELS") - values(rows, "Wiener")
    gap, n = median_interval(ahead), len(ahead)
    share = share_interval(int((ahead > 0).sum()), n)
    table.append([name, *cells, share.estimate, f"{gap:+.2f}"])
    key = name.replace("-", "_")
    glue_all({f"{key}_gap": gap, f"{key}_share": share})
    glue_all({f"{key}_PCA": median_interval(values(rows, "ELS") - values(rows, "PCA"))})
    if name == "fashion-unet-attention":
        r2 = [values(rows, theory, measure="R2") for theory in ("ELS", "Wiener")]
        glue_all({"attention_R2": median_interval(r2[0] - r2[1])})
    if name == network:
        glue_all({"gap": gap, "share": share, "n_seeds": n})
glue_all({"network": network})
markdown_table(table, ".2f")

# %% [markdown]
# *Median r with the network's 150-step samples from the same noise, with 95% bootstrap interval; share of the seeds on
# which ELS is closer to the network than the Wiener filter; median of the difference in r, seed by seed.*
#
# Here the answer is clear. For {glue:text}`network:s` ELS is closer to the network than the Wiener filter on a share of
# {glue:text}`share:.2f` [{glue:text}`share_low:.2f`, {glue:text}`share_high:.2f`] of {glue:text}`n_seeds` seeds, by
# {glue:text}`gap:.2f` [{glue:text}`gap_low:.2f`, {glue:text}`gap_high:.2f`] in the median. A linear filter removes
# noise well, but it does not draw what this network draws.
#
# The wider the windows, it seems, the less ELS adds. For the UNet of digits it is ahead of the filter by
# {glue:text}`mnist_unet_gap:.2f` [{glue:text}`mnist_unet_gap_low:.2f`, {glue:text}`mnist_unet_gap_high:.2f`], of PCA
# locality by {glue:text}`mnist_unet_PCA:.2f` [{glue:text}`mnist_unet_PCA_low:.2f`, {glue:text}`mnist_unet_PCA_high:.2f`].
# For the UNet of clothes, whose windows in strong noise hold nearly the whole picture, it is
# {glue:text}`fashion_unet_gap:.3f` [{glue:text}`fashion_unet_gap_low:.3f`, {glue:text}`fashion_unet_gap_high:.3f`] and
# {glue:text}`fashion_unet_PCA:.3f` [{glue:text}`fashion_unet_PCA_low:.3f`, {glue:text}`fashion_unet_PCA_high:.3f`], with
# attention {glue:text}`fashion_unet_attention_gap:.3f` [{glue:text}`fashion_unet_attention_gap_low:.3f`,
# {glue:text}`fashion_unet_attention_gap_high:.3f`] and {glue:text}`fashion_unet_attention_PCA:.3f`
# [{glue:text}`fashion_unet_attention_PCA_low:.3f`, {glue:text}`fashion_unet_attention_PCA_high:.3f`]: there PCA locality
# predicts the network as well as ELS does. The one without attention [goes by places](09_breaking_equivariance), the other
# may, and means and covariances of every place say much of what is usual there. Here the sceptic is almost right.
#
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
# It does far better: median r {glue:text}`circular_linear:.2f` [{glue:text}`circular_linear_low:.2f`,
# {glue:text}`circular_linear_high:.2f`] over {glue:text}`n_circular` noise images. Most of the filter's deficit came
# from knowing places. ELS, with {glue:text}`circular_ELS:.2f` [{glue:text}`circular_ELS_low:.2f`,
# {glue:text}`circular_ELS_high:.2f`], stays ahead by {glue:text}`circular_ahead:.2f`
# [{glue:text}`circular_ahead_low:.2f`, {glue:text}`circular_ahead_high:.2f`], on a share of
# {glue:text}`circular_won:.2f` [{glue:text}`circular_won_low:.2f`, {glue:text}`circular_won_high:.2f`] of them. That is
# what patches add to covariances here.
#
# ## Others found the reverse
#
# {cite:t}`shang2026fast` compared the same theories with networks on coloured photographs, and there ELS came last.
# Their measure is *R²*: 1 for the same picture, 0 for one no closer than the network's own mean grey, and less for
# worse. So here are our samples once more, in their measure.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
compared = ("ELS", "PCA", "Wiener")
table = [["network", *compared]]
for name in with_results():
    rows = read_rows(name)
    cells = []
    for theory in compared:
        mean = float(values(rows, theory, measure="R2").mean())
        cells.append(f"{median(rows, theory, measure='R2'):.2f}, mean {mean:.2f}")
    table.append([name, *cells])
# Published as means without intervals: CIFAR10, CelebA-HQ and AFHQ, 64 pixels wide the latter two.
PUBLISHED = {
    "*theirs: CIFAR10*": (0.411, 0.670, 0.553),
    "*theirs: CelebA-HQ*": (0.720, 0.802, 0.781),
    "*theirs: AFHQ*": (0.576, 0.703, 0.687),
}
table += [[name, *row] for name, row in PUBLISHED.items()]
markdown_table(table, ".2f")

# %% [markdown]
# *R² of theory and network from the same noise. Ours: medians with 95% bootstrap intervals, and means. Theirs: means,
# without intervals; 128 samples of UNets without attention or classes, 10 steps.*
#
# In our rows without attention ELS comes first, in means, too; theirs have none, and there it comes last. With attention
# ours cannot be told from the filter, with a median of the differences of {glue:text}`attention_R2:.3f`
# [{glue:text}`attention_R2_low:.3f`, {glue:text}`attention_R2_high:.3f`]. Much differs. Our ELS has windows measured on the
# very network that it predicts; how theirs were chosen we do not know. Ours knows the class. Their images are photographs,
# and their networks take 10 steps, ours 150. Which of these it is we cannot tell without their networks.
#
# ## What it means
#
# To be a good denoiser and to be a good account of a network are two things. Where noise is strong a linear filter is the
# better denoiser. But ELS draws more nearly what our networks draw than the filter does: by far for those that see little,
# by little for those that see nearly everything. How much of that is in the patches and not in knowing places we know for
# circular padding alone: {glue:text}`circular_ahead:.2f`.
#
# ## What could be wrong
#
# - **The filter knows places**, ResNets hardly do. Where we tried one that knows none, most of the lead was that.
# - **Denoising is not drawing.** Small errors early in a drawing decide what is drawn.
# - **The windows of ELS and LS were fitted to the network.** The baselines' were not; they have no number to fit,
#   except the threshold of PCA locality: a pixel is out of sight if its relative weight in the filter is below that
#   share of the largest. Its authors take .02 to .05, we .005, the better of two values that we tried.
# - **One class at a time.** All denoisers know the class. Without it a single Gaussian would have to cover ten kinds of
#   things, and the Wiener filter would do worse.
# - **These images are small and plain.** On them much can be said with covariances.
