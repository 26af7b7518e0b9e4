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
# # Does a network pass through the theory?
#
# A network with attention is not bound to be local. But what is near may be easier to learn. In a talk the authors add
# a claim to their paper: stronger networks, too, resemble the theory early in their training, and then grow out of it.
# To see this one needs one network at many ages. So we kept the weights of a UNet with attention after ever more
# updates, and let each draw from the same noise.
#
# **Partly. A young network draws like the theory with narrow windows; later it fits the theory with wide ones.** So it
# grows out of narrow windows; nothing shows that it grows out of the theory.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "fashion-unet-attention"  # a network that benchmarks/early_training.py was run on
plain: str = "fashion-unet"  # one without attention that stood beside it there
local: str = "fashion-resnet"  # one that sees little, likewise
seed: int = 0  # first noise image of the check, counted on from there, at least 0
n_live: int = 4  # pictures that are drawn anew as a check, at least 0

# %% tags=["hide-input"]
import torch

from elslib.analysis.intervals import median_interval
from elslib.analysis.metrics import pearson_r
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments.ages import read_ages
from elslib.experiments.agreement_results import read_pictures
from elslib.experiments.store import load_network
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import initial_noise, sample

kept = read_ages(network)
updates, r = kept.updates, kept.r
narrow, wide = (read_pictures(name)["ELS"] for name in (local, network))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-film", "caption": "One row is one noise image, and another class. From left to right: the theory with the narrow windows of a ResNet, the network very young and at the end of its training (in updates), and the theory with the wide windows that fit the network in the end. No pictures were kept of the ages between."}, "image": {"alt": "Rows of small pictures of clothes. On the left, local theory: torn, blotchy garments. Next to it the young network: blotches in plain black and white, in the same places. On the right the trained network and the theory with wide windows: whole garments, nearly the same ones."}}
strips = {"theory, narrow\nwindows": narrow, **{f"{n:,}\nupdates": x for n, x in kept.film.items()}}
strips["theory, wide\nwindows"] = wide
image_grid(
    {f"seed {i}": torch.stack([x[i] for x in strips.values()]) for i in range(6)}, list(strips)
)

# %% [markdown]
# ## What we see
#
# *A young network draws where a local theory draws.* It knows no greys yet, but its white patches lie where the theory
# with narrow windows puts its torn garments.
#
# *The old one draws what a far-sighted theory draws.* Its pictures are whole garments, as in the last column, and others
# than those in the first.
#
# *The age that counts most is not among the pictures.* Of {glue:text}`n_ages:d` ages only the first and the last are kept
# as pictures. The network comes nearest to the theory with narrow windows in between, after {glue:text}`narrow_when:s`
# updates. Its weights of that age, and of the others, have not been kept either, so their pictures cannot be drawn again.
# What had been measured on all of them was kept: how near is each age to either theory?
#
# :::{dropdown} Guess first: how much of its training has passed when the network is more like the theory with wide windows?
# It is from {glue:text}`overtaken:s` of {glue:text}`last:s` updates on. There, in the figure below, the line of ELS lies
# above the one of ELS with narrow windows.
# :::

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-ages", "caption": "How well theories predict the network after so many updates, and how like it is to two trained networks without attention: median r over the noise images, with 95% bootstrap interval. ELS and LS have the wide windows, calibrated on the trained network; IS has none; the narrow windows are those of the ResNet."}, "image": {"alt": "Line plot of r against the number of updates on a logarithmic axis. ELS with narrow windows and ResNet rise, have their top at some hundred updates, and fall; the last points are a little higher again, within the bands; ELS, LS, IS and the plain UNet rise to the end and overtake them."}}
names = {"ELS": "ELS", "LS": "LS", "IS": "IS"}
names |= {"ELS, narrow windows": f"ELS of {local}", "ResNet": local, "plain UNet": plain}
course = {name: [median_interval(some) for some in r[key]] for name, key in names.items()}
lines(
    {name: Line.through(updates, row) for name, row in course.items()},
    "updates of training",
    "Pearson's r, median",
    log=False,
    xticks=updates,
)

# %% tags=["remove-cell"]
close = "ELS, narrow windows"  # it rises and falls
best = max(range(len(updates)), key=lambda i: course[close][i].estimate)
pairs = zip(updates, r["ELS"], r[names[close]], strict=True)
gap = {n: median_interval(far - near) for n, far, near in pairs}
sure = [n for n, interval in gap.items() if interval.low > 0]
glue_all({
    "narrow_first": course[close][0],
    "narrow_best": course[close][best],
    "narrow_when": f"{updates[best]:,}",
    "narrow_lost": median_interval(r[names[close]][best] - r[names[close]][-1]),
    "wide_first": course["ELS"][0],
    "wide_last": course["ELS"][-1],
    "overtaken": f"{min(sure):,}" if sure else "no",
    "first": f"{updates[0]:,}",
    "last": f"{updates[-1]:,}",
    "n_ages": len(updates),
    "steps": kept.steps,
    "constant": kept.constant,
    "n_drawn": r["ELS"].numel(),
})  # fmt: skip

# %% [markdown]
# *It does not begin as the theory.* The youngest network agrees with no theory well. It comes closer to the one with
# narrow windows as it learns, until r is {glue:text}`narrow_best:.2f` after {glue:text}`narrow_when:s` updates.
#
# *Then it leaves that theory.* The later it gets, the less it resembles narrow windows, and so it is with the ResNet
# itself, a network that really sees little. That the last points rise again may be chance.
#
# *The theory with wide windows fits better and better.* It is far from the young network. From {glue:text}`overtaken:s`
# updates on it fits better than the one with narrow windows, and in the end r is {glue:text}`wide_last:.2f`. So it is
# with LS, and with a UNet without attention. IS, which sees the whole picture and can only memorise, is behind to the
# end, but it catches up.
#
# ## What it means
#
# A young network resembles a trained one that sees little, and the theory with narrow windows describes it. The old one
# resembles one that sees far, and the theory with wide windows describes it. That looks like sight that grows; but how
# far each age looks we have not measured. So the talk is right that a strong network passes near the local theory on
# its way, though it does not begin there. But in the end other theories fit nearly as well, as [the chapter on
# attention](08_attention) shows.
#
# ## What could be wrong
#
# - **The pictures show two ages only**, the youngest and the oldest. That the network comes near the theory in between
#   rests on numbers alone.
# - **Windows of one age, and of another network.** Each age could have its own, and they might fit it better.
# - **The best age was chosen** by the same noise images on which the loss since then is seen. That makes the loss look a
#   little larger.
# - **One network, one run**, and a small one. A larger one, trained for longer, may go farther, and leave the theory.
# - **The rate of learning falls** as training goes on, by the recipe. The right end of the curves shows the network
#   coming to rest as much as growing older.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "All numbers", "code_prompt_hide": "All numbers"}
table = [["updates", "held-out loss", *names]]
for i, (after, loss) in enumerate(zip(updates, kept.held_out, strict=True)):
    table.append([f"{after:,}", f"{loss:.4f}", *(course[name][i] for name in names)])
markdown_table(table, ".2f")

# %% [markdown]
# *Median r with its 95% bootstrap interval, all drawn in {glue:text}`steps:d` steps. Of {glue:text}`n_drawn:d` pictures
# {glue:text}`constant:d` are one even black; their r counts as 0. Some pictures of the last row were drawn again while
# this page was built:*

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "Drawn again", "code_prompt_hide": "Drawn again"}
denoiser = load_network(network)
table = [["seed", "r of ELS, kept", "now"]]
for number in [(seed + i) % len(wide) for i in range(n_live)]:
    classes = denoiser.config.classes
    label = None if classes is None else torch.tensor([number % classes])
    x = sample(denoiser, initial_noise([number], wide.shape[1:]), label, kept.steps).clamp(-1, 1)
    old, new = (float(some) for some in (r["ELS"][-1][number], pearson_r(x, wide[[number]])))
    if abs(new - old) > 5e-3:
        raise AssertionError(f"seed {number}: r is {new} now, {old} in the file")
    table.append([number, old, new])
markdown_table(table, ".4f")
