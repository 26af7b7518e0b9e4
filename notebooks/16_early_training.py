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
# A network with attention is not bound to be local. But what is near may be easier to learn. In a talk the
# authors add a claim to their paper: stronger networks, too, resemble the theory early in their training, and
# then grow out of it. To see this one needs one network at many ages. So we kept the weights of a UNet with
# attention after ever more updates, and let each draw from the same noise.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "fashion-unet-attention"  # a network that benchmarks/early_training.py was run on
plain: str = "fashion-unet"  # one without attention that stood beside it there
local: str = "fashion-resnet"  # one that sees little, likewise
seed: int = 0  # first noise image of the check, counted on from there, at least 0
n_live: int = 4  # pictures that are drawn anew as a check, at least 0

# %% tags=["hide-input"]
import json

import torch

from elslib.analysis.intervals import median_interval
from elslib.analysis.metrics import pearson_r
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments.agreement_results import read_pictures
from elslib.experiments.store import check_belongs, load_network, result_path, weights_sha256
from elslib.figures.plots import Line, lines
from elslib.samplers import initial_noise, sample

path = result_path("early", network)
if not path.is_file():
    raise FileNotFoundError(f"no {path}; run `benchmarks/early_training.py --network {network}`.")
kept = json.loads(path.read_text())
run, ages = kept["record"]["config"], kept["rows"]
compared = {network: run["weights_sha256"], **run["beside"]}
now = {name: weights_sha256(name) for name in (network, plain, local)}
check_belongs(path, "the weights of these networks", compared, now, "make it again")
names = {"ELS": "ELS", "LS": "LS", "IS": "IS"}
names |= {"ELS, narrow windows": f"ELS of {local}", "ResNet": local, "plain UNet": plain}
updates = [row["steps"] for row in ages]
r = {name: [torch.tensor(row["r"][key]) for row in ages] for name, key in names.items()}

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-ages", "caption": "How well theories predict the network after so many updates, and how like it is to two trained networks without attention: median r over the noise images, with 95% bootstrap interval. ELS and LS have the windows calibrated on the trained network, IS has none; the narrow windows are those of the ResNet."}, "image": {"alt": "Line plot of r against the number of updates on a logarithmic axis. ELS with narrow windows and ResNet rise, have their top at some hundred updates, and fall; the last points are a little higher again, within the bands; ELS, LS, IS and the plain UNet rise to the end and overtake them."}}
course = {name: [median_interval(some) for some in rows] for name, rows in r.items()}
lines(
    {name: Line.through(updates, row) for name, row in course.items()},
    "updates of training",
    "Pearson's r, median",
    log=False,
    xticks=updates,
)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["updates", "held-out loss", *names]]
for i, row in enumerate(ages):
    cells = [course[name][i] for name in names]
    table.append([f"{row['steps']:,}", f"{row['held_out']:.4f}", *cells])
narrow = "ELS, narrow windows"
for key, name in {"narrow": narrow, "local": "ResNet"}.items():  # these rise and fall
    best = max(range(len(updates)), key=lambda i, name=name: course[name][i].estimate)
    lost = median_interval(r[name][best] - r[name][-1])
    glue_all({f"{key}_best": course[name][best], f"{key}_lost": lost})
    low = min(range(best, len(updates)), key=lambda i, name=name: course[name][i].estimate)
    glue_all({f"{key}_when": f"{updates[best]:,}", f"{key}_least": course[name][low]})
    glue_all({f"{key}_least_when": f"{updates[low]:,}"})
glue_all({"narrow_first": course[narrow][0], "wide_first": course["ELS"][0]})
last = {"wide": "ELS", "LS": "LS", "IS": "IS", "plain": "plain UNet"}
glue_all({f"{key}_last": course[name][-1] for key, name in last.items()})
pairs = zip(updates, r["ELS"], r[narrow], strict=True)
gap = {n: median_interval(wide - small) for n, wide, small in pairs}
sure = [n for n, interval in gap.items() if interval.low > 0]
glue_all({"n_seeds": len(r["ELS"][0]), "steps": run["steps"], "n_live": n_live})
glue_all({"first": f"{updates[0]:,}", "last": f"{updates[-1]:,}"})
glue_all({"overtaken": f"{min(sure):,}" if sure else "no", "gap": gap[updates[-1]]})
glue_all(
    {"constant": sum(row["constant"] for row in ages), "n_drawn": len(ages) * len(r["ELS"][0])}
)
markdown_table(table, ".2f")

# %% [markdown]
# *Median r over {glue:text}`n_seeds` noise images with 95% bootstrap interval, all drawn in {glue:text}`steps` steps (the
# [chapter on attention](08_attention) takes 150). Of the {glue:text}`n_drawn` pictures {glue:text}`constant` are one even
# black; their r counts as 0.*
#
# The network does not begin as the theory. After {glue:text}`first:s` updates its pictures agree with ELS with *narrow*
# windows, those of a network that sees little, with r {glue:text}`narrow_first:.2f` [{glue:text}`narrow_first_low:.2f`,
# {glue:text}`narrow_first_high:.2f`]. It comes closer as it learns, until after {glue:text}`narrow_when:s` updates it
# reaches {glue:text}`narrow_best:.2f` [{glue:text}`narrow_best_low:.2f`, {glue:text}`narrow_best_high:.2f`]. From there to
# the end r falls by {glue:text}`narrow_lost:.2f` [{glue:text}`narrow_lost_low:.2f`, {glue:text}`narrow_lost_high:.2f`], the
# median of the differences. With the ResNet itself it is the same: most alike after {glue:text}`local_when:s` updates,
# {glue:text}`local_best:.2f` [{glue:text}`local_best_low:.2f`, {glue:text}`local_best_high:.2f`], and
# {glue:text}`local_lost:.2f` [{glue:text}`local_lost_low:.2f`, {glue:text}`local_lost_high:.2f`] less at the end. Between
# it is lower still, with ELS {glue:text}`narrow_least:.2f` [{glue:text}`narrow_least_low:.2f`,
# {glue:text}`narrow_least_high:.2f`] after {glue:text}`narrow_least_when:s` updates, with the ResNet
# {glue:text}`local_least:.2f` [{glue:text}`local_least_low:.2f`, {glue:text}`local_least_high:.2f`] after
# {glue:text}`local_least_when:s`; that it rises from there may be chance. So it passes by: it comes near, and goes on. That
# is what the talk says, but for the beginning.
#
# The theory with *wide* windows, those that fit the trained network, is far from the young one, with
# {glue:text}`wide_first:.2f` [{glue:text}`wide_first_low:.2f`, {glue:text}`wide_first_high:.2f`]. After
# {glue:text}`overtaken:s` updates it fits better than the one with narrow windows, and at the end by
# {glue:text}`gap:.2f` [{glue:text}`gap_low:.2f`, {glue:text}`gap_high:.2f`]. It gains to the end, where it has
# {glue:text}`wide_last:.2f` [{glue:text}`wide_last_low:.2f`, {glue:text}`wide_last_high:.2f`]. So do LS and IS, with
# {glue:text}`LS_last:.2f` and {glue:text}`IS_last:.2f`. And the trained network draws what the plain UNet draws:
# {glue:text}`plain_last:.2f` [{glue:text}`plain_last_low:.2f`, {glue:text}`plain_last_high:.2f`].
#
# The last row again, for {glue:text}`n_live` noise images, drawn while this page was built:

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
denoiser, theory = load_network(network), read_pictures(network)["ELS"]
table = [["seed", "r of ELS, kept", "now"]]
for number in [(seed + i) % len(theory) for i in range(n_live)]:
    classes = denoiser.config.classes
    label = None if classes is None else torch.tensor([number % classes])
    noise = initial_noise([number], theory.shape[1:])
    now = sample(denoiser, noise, label, run["steps"]).clamp(-1, 1)
    old, new = (float(some) for some in (r["ELS"][-1][number], pearson_r(now, theory[[number]])))
    if abs(new - old) > 5e-3:
        raise AssertionError(f"seed {number}: r is {new} now, {old} in the file")
    table.append([number, old, new])
markdown_table(table, ".4f")

# %% [markdown]
# ## What it means
#
# Growing older seems to mean looking farther; how far each age looks we have not measured. A young network draws much
# like a trained one that sees little, and the theory with narrow windows describes it. The old one is described by the
# theory with wide windows. So this network grows out of narrow windows, and nothing shows that it grows out of the
# theory. But in the end other theories [fit nearly as well](08_attention). IS, which sees the whole picture and can
# only memorise, is behind to the end, but it catches up.
#
# ## What could be wrong
#
# - **Windows of one age, and of another network.** Each age could have its own, and they might fit it better.
# - **The best age was chosen** by the same noise images on which the loss since then is measured. That makes
#   the loss look a little larger.
# - **One network, one run**, and a small one. A larger one, trained for longer, may go farther, and leave the theory.
# - **The rate of learning falls** as training goes on, by the recipe. The right end of the picture shows the
#   network coming to rest as much as growing older.
