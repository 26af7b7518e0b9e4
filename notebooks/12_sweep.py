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
# # A sweep worth reading
#
# A theory should have no adjustable parameter that somebody turned until it fitted. Ours has three that could be
# turned: the side of its windows, the number of training images it may look at, and the number of its steps. What if we
# turn them?
#
# **It gets worse or stays as it is.** Of all factors by which we multiplied the windows that were measured on the
# network, none does better than leaving them alone; a few dozen images of a class are nearly as good as all, and twenty
# steps are enough.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "fashion-resnet"  # a network in data/networks with calibrated windows
machine: str = "els"  # the theory, els or ls
window_factor: float = 1.0  # every calibrated side times this, above 0
n_images: int = 0  # training images of each class that the theory has, the first ones; 0 for all
theory_steps: int = 20  # steps of the theory, at least 1
seed: int = 0  # first noise image; its class is the seed modulo the number of classes
n_seeds: int = 2  # noise images that are computed here, at least 1
sweeps: str = "windows,images,steps"  # in data/results, to compare with: these three, or none while one is made

# %% tags=["hide-input"]
import json
from dataclasses import replace

import pandas as pd
import torch
from IPython.display import Markdown

from elslib.analysis.agreement import NETWORK_STEPS, batches, compare, draw, values
from elslib.analysis.intervals import median_interval
from elslib.analysis.theories import theory_of
from elslib.book.glue import duration, glue_all
from elslib.book.tables import markdown_table
from elslib.experiments.agreement_results import read_rows
from elslib.experiments.store import load_network, load_scale, training_images, weights_sha256
from elslib.experiments.sweep_results import Point, at, at_point, curve, read_sweep, sweep_path
from elslib.figures.plots import Line, lines

denoiser, images = load_network(network), training_images(network)
scale = load_scale(network, machine).scaled(window_factor)
schedule, shape = denoiser.schedule, images.pixels.shape[1:]

# %% tags=["hide-input"]
tables = []
for label, some in batches(range(seed, seed + n_seeds), denoiser.config.classes):
    few = images.subset(label)
    few = few.first(n_images or len(few))
    theory = {machine: theory_of(denoiser, few, scale, machine)}
    drawn = draw(denoiser, theory, some, label, shape, theory_steps)
    tables.append(compare(drawn))
rows = pd.concat(tables)
here = {steps: values(rows, machine, steps) for steps in NETWORK_STEPS}
glue_all({f"r_{steps}": median_interval(r) for steps, r in here.items()})
glue_all(
    {
        "network": network,
        "machine": machine,
        "window_factor": window_factor,
        "n_images": n_images,
        "theory_steps": theory_steps,
        "seeds": " ".join(str(s) for s in sorted(rows.seed.unique())),
        **{f"r_{k}_each": " ".join(f"{x:.6f}" for x in r.tolist()) for k, r in here.items()},
        "windows": " ".join(str(window) for window in scale.windows),
        "weights_sha256": weights_sha256(network),
    }
)

# %% tags=["remove-cell"]
if sweeps not in ("windows,images,steps", "none"):
    raise ValueError(f"sweeps must be 'windows,images,steps' or 'none', got {sweeps!r}.")
names = sweeps.split(",") if sweeps != "none" else []
kept = read_sweep(*names)
kept = kept[kept.network == network]
point = Point(network, machine, window_factor, n_images, theory_steps)
before = {(one.seed, one.network_steps): one.r for one in at_point(kept, point).itertuples()}

# %% tags=["remove-cell"]
base = Point(network, "els", 1.0, 0, 20)
n_all = len(images) // (1 if images.labels is None else len(images.labels.unique()))
drawn, found = {}, {}
for axis in ("window_factor", "n_images", "theory_steps"):
    for key, kind, steps in (("ELS", "els", 150), ("LS", "ls", 150), ("20", "els", 20)):
        start = replace(base, machine=kind)
        swept = {x or n_all: r for x, r in curve(kept, start, axis, steps).items()}
        found[axis, key] = {x: median_interval(swept[x]) for x in sorted(swept)}
        drawn[axis, key] = Line.through(list(found[axis, key]), found[axis, key].values())

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-factor", "caption": "Agreement with the network when all calibrated windows are multiplied by a factor: median r over the noise images with its 95% bootstrap interval as a band. The dashed line is the calibrated ELS."}, "image": {"alt": "Line plot of agreement against window factor on a logarithmic axis, one line for ELS and one for LS, with bands. Both are highest at a factor of 1 and fall to both sides; at a factor of 0.5 and from 3 on they nearly meet."}}
lines(
    {key: drawn["window_factor", key] for key in ("ELS", "LS")},
    "factor on the calibrated windows",
    "agreement r",
    log=False,
    level=median_interval(at(kept, base)).estimate if len(kept) else None,
    xticks=drawn["window_factor", "ELS"].x,
)

# %% tags=["remove-cell"]
table = [["factor", "sides", "r of ELS", "less than at factor 1 by", "r of LS"]]
drops = {}
if len(kept):
    whole = at(kept, base)
    narrow_to_wide = curve(kept, base, "window_factor")
    for factor, r in narrow_to_wide.items():
        sides = load_scale(network, "els").scaled(factor).windows
        drops[factor] = median_interval(whole - r)
        cells = [f"{factor:g}", f"{min(sides)} to {max(sides)}", median_interval(r)]
        table.append([*cells, f"{drops[factor]:.3f}", found["window_factor", "LS"][factor]])
    best_of_each = torch.stack(list(narrow_to_wide.values())).argmax(dim=0)  # (seeds,)
    ideal = values(read_rows(network), "IS")[: len(whole)]
    glue_all(
        {f"drop_{factor:g}": drop for factor, drop in drops.items()}
        | {
            "r_base": median_interval(whole),
            "n_swept": len(whole),
            "n_factors": len(narrow_to_wide),
            "n_best": int((best_of_each == list(narrow_to_wide).index(1.0)).sum()),
            "widest": max(narrow_to_wide),
            "r_widest": median_interval(narrow_to_wide[max(narrow_to_wide)]),
            "ideal": median_interval(ideal),
        }
    )
factor_table = table

# %% [markdown]
# ## Are the calibrated windows the best ones?
#
# The windows were found by comparing *single steps* of theory and network, on noise that is used nowhere else. Nobody
# looked at finished pictures. So all sides are multiplied by one factor and rounded to odd sides. If the windows mean
# what we say they mean, a factor of 1 must be best. It is the best of the {glue:text}`n_factors` factors that we tried,
# on {glue:text}`n_best` of {glue:text}`n_swept` noise images. LS has windows calibrated on its own, and its curve is
# highest at the same place.
#
# So the windows were not adjusted until the pictures matched. They were read off the network one step at a time, and no
# common factor that we tried draws its pictures better. Wide windows fail in the way one expects: at a factor of
# {glue:text}`widest:g` most are wider than the image, where ELS and LS are one machine, close to the ideal one.
#
# ## How many images does the theory need?
#
# The network saw {glue:text}`all_images:s` images, about {glue:text}`n_all` of each class. Let it be as
# it is, and give ELS only the first few of the class. Each image has hundreds of patches, and ELS may
# use a patch at other places than its own.
#
# :::{dropdown} Guess first: how well does the theory predict the network from a single image of each class?
# Quite well: with a median r of {glue:text}`r_one:.2f`, at the left end of the line below.
# :::

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-few-images", "caption": "Agreement with the same network when the theory has fewer images of each class: median r over the noise images with its 95% bootstrap interval as a band. The windows are the calibrated ones."}, "image": {"alt": "Line plot of agreement against number of training images on a logarithmic axis, with a band. It rises steeply over the first ten images and is level from thirty on."}}
lines(
    {"ELS": drawn["n_images", "ELS"]},
    "training images of each class that the theory has",
    "agreement r",
    log=False,
    xticks=drawn["n_images", "ELS"].x,
)

# %% [markdown]
# With a few dozen images r is {glue:text}`r_few:.2f`, and all the others add almost nothing. A single image of the class
# already gives {glue:text}`r_one:.2f`.
#
# That shows as well how lenient r is. One shirt can hardly say all that a network knows of shirts, and yet its picture
# has its light and dark in about the right places, and that is what r counts. Small differences near 1 mean more than
# large numbers below. (A stricter measure, R², was not kept in these sweeps. [The chapter on linear
# filters](13_baselines) has it for all images.)
#
# This does not mean that a network needs only a handful of images to learn. It means that the patches
# of a few shirts are about the patches of all shirts, on images as plain as these. For the
# theory it is good news: most of its sum can be left out at little cost.
#
# ## How many steps?
#
# In [the chapter on agreement](06_agreement) networks that take 150 steps agree better with the theory than those
# that take 20, as the paper found too. The theory took 20 steps both times. One would rather expect the same number
# of steps to agree best. Does it?

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-steps", "caption": "Agreement of ELS with the network for other numbers of steps of the theory, against the network with few steps and with many: median r over the noise images with its 95% bootstrap interval as a band. The axis does not begin at 0."}, "image": {"alt": "Line plot of agreement against the number of steps of the theory on a logarithmic axis, one line for each number of steps of the network, with bands. From ten steps on the lines lie within two hundredths of each other. At five and ten steps of the theory that of few steps lies higher, from twenty on that of many."}}
lines(
    {f"network, {NETWORK_STEPS[1]} steps": drawn["theory_steps", "ELS"]}
    | {f"network, {NETWORK_STEPS[0]} steps": drawn["theory_steps", "20"]},
    "steps of the theory",
    "agreement r",
    log=False,
    bottom=0.8,
    xticks=drawn["theory_steps", "ELS"].x,
)

# %% [markdown]
# Not as a rule. Only very few steps of the theory go better with few of the network. At twenty the theory is as good as
# finished: with {glue:text}`most_steps` steps r changes by {glue:text}`gain_150:+.3f`. The network is not: with more
# steps its pictures move towards the theory. [The chapter on where they part](17_where_they_part) finds, for a network
# trained with plain errors, that it is the first step which has to be short.
#
# ## What could be wrong
#
# - **Ten noise images.** Each point has {glue:text}`n_swept` of them, the same ones at each, so differences
#   between points are surer than the bands look.
# - **One network, a few factors, each for all noise levels.** Windows that are too wide early and too narrow
#   late could do better together than either alone; there are too many such tables to try them all.
# - **The first images of each class**, always the same ones. Others would give somewhat other numbers,
#   and with few images other windows might be better.
#
# ## How it was run
#
# `elslib sweep` ran this page over three grids, {glue:text}`n_runs` runs in all; added up they took {glue:text}`cost:s`.
# Commands, keys and a check are folded below.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "The commands, and what holds numbers and code together", "code_prompt_hide": "The commands, and what holds numbers and code together"}
records = [json.loads(sweep_path(name).with_suffix(".json").read_text()) for name in names]
text = ["From the root of the repository:", "```"]
for name, record in zip(names, records, strict=True):
    axes = record["config"]["axes"].items()
    grid = (f"-g {axis}={','.join(f'{x}' for x in choice)}" for axis, choice in axes)
    text.append(f"elslib sweep notebooks/{record['config']['notebook']} " + " ".join(grid))
    text.append(f"cp sweeps/12_sweep/sweep.csv data/results/sweep-{name}.csv")
    text.append(f"cp sweeps/12_sweep/sweep.json data/results/sweep-{name}.json")
glue_all({"cost": duration(sum(record["seconds"] for record in records))})
Markdown(
    "\n".join([*text, "```"])
    + """
A point is one setting of the three parameters: theory and network each draw a picture from the same noise, and Pearson's r
says how alike they are, as in [the chapter on agreement](06_agreement). Each command writes
`data/sweeps/12_sweep/sweep.csv`, and `sweep.json` with the grid, the versions and the time. Two or more runs at a time
shared two cores that did other work too.

Each row of the csv has the commit and the seconds of its run, and a key: a hash of notebook, library, data and parameters.
This page got its text later, so today's keys are others and `elslib sweep` would compute all again: it cannot know that
only words changed. What holds the numbers and the code together is one point of the grid, computed anew while this page
is built, in the next table. If a number differed by more than 0.005 from the earlier run, the page would not be built.
"""
)

# %% tags=["remove-cell"]
glue_all(
    {
        "fast": NETWORK_STEPS[0],
        "slow": NETWORK_STEPS[1],
        "n_here": n_seeds,
        "n_runs": sum(record["config"]["runs"] for record in records),
        "n_all": n_all,
        "all_images": f"{len(images):,}",
    }
)
if len(kept):
    few, many = (curve(kept, base, "theory_steps", steps) for steps in NETWORK_STEPS)
    images_of, enough, most = curve(kept, base, "n_images"), 30, max(many)
    glue_all(
        {
            "usual_steps": base.theory_steps,
            "most_steps": most,
            "gain_20": median_interval(few[most] - few[base.theory_steps]),
            "gain_150": median_interval(many[most] - many[base.theory_steps]),
            "gap": median_interval(many[base.theory_steps] - few[base.theory_steps]),
            "gap_least": median_interval(many[min(many)] - few[min(few)]),
            "least_steps": min(many),
            "n_few": enough,
            "r_few": median_interval(images_of[enough]),
            "r_one": median_interval(images_of[1]),
            "missing": median_interval(images_of[0] - images_of[enough]),
        }
    )

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "The point computed anew", "code_prompt_hide": "The point computed anew"}
table = [["seed", "network's steps", "r, in the sweep", "r, now"]]
for row in rows.itertuples():
    old = before.get((row.seed, row.network_steps))
    if old is not None and not abs(row.r - old) <= 5e-3:
        raise AssertionError(f"seed {row.seed}: r is {row.r} now, {old} in the sweep")
    shown = "not in it" if old is None else f"{old:.4f}"
    table.append([row.seed, row.network_steps, shown, row.r])
markdown_table(table, ".4f")


# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "All factors", "code_prompt_hide": "All factors"}
markdown_table(factor_table, ".2f")

# %% [markdown]
# *Sides of the windows from the lowest to the highest noise; median r with 95% bootstrap interval, network with
# {glue:text}`slow` steps; differences seed by seed.*
