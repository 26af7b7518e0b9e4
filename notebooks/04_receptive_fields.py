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
# # How far does a network look?
#
# The theory has one number to choose at each step: the side of the window. It was chosen so that the theory's answer is
# closest to the network's, and that could be a mere fit. But how far a network looks can also be measured without any
# theory. Wiggle one pixel of the input, and see whether the middle pixel of the output moves.
#
# **Most networks look far while there is much noise, and less far as the picture emerges.** Sight narrows in
# {glue:text}`n_narrowed:d` of the {glue:text}`n_networks:d` networks that we measured, and the window that suits the
# theory narrows with it.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
networks: str = ""  # names in data/networks, separated by commas; empty for all with results
seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 16  # noise images that are averaged, at least 1
share: float = 0.95  # a field's side is that of the window that holds this share, in (0, 1]

# %% tags=["hide-input"]
from math import isnan

import torch

from elslib.analysis.intervals import Interval
from elslib.analysis.receptive_field import receptive_field, side_holding
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments.agreement_results import with_results
from elslib.experiments.store import load_network, load_scale, training_images
from elslib.experiments.titles import title
from elslib.figures.dots import dot_plot
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import ddim, initial_noise, uniform_times
from elslib.scales import published_scale

names = with_results(networks)
PUBLISHED = {
    "fashion-resnet": "fmnist-resnet-zeros",
    "fashion-unet": "fmnist-unet-zeros",
    "mnist-resnet": "mnist-resnet-zeros",
    "mnist-resnet-circular": "mnist-resnet-circular",
    "mnist-unet": "mnist-unet-zeros",
}
shown = (1.0, 0.75, 0.5, 0.25, 0.1, 0.05)
fields, scales, sides, builds = {}, {}, {}, {}
for name in names:
    network, shape = load_network(name), training_images(name).pixels.shape[1:]
    builds.setdefault(network.config.architecture, name)  # the first of its kind
    noise = initial_noise(range(seed, seed + n_seeds), shape)
    classes = network.config.classes
    label = None if classes is None else torch.arange(seed, seed + n_seeds) % classes
    scales[name] = load_scale(name, "els")
    for step in ddim(network, noise, uniform_times(20), label):
        fields[name, step.t] = receptive_field(network, step.x, step.t, label)
    sides[name] = [side_holding(fields[name, t], share) for t in scales[name].times]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-fields", "caption": "Where the middle pixel looks, from pure noise (left) to the last details (right), for the first network of each kind. Brighter is more; each square is scaled to its own brightest pixel. Under it: the side of the window that holds 95% of the field."}, "image": {"alt": "Three rows of heat maps on black. For the ResNet a bright square in the middle shrinks to a small cross from left to right. For the UNet a wide faint halo fades. With attention a halo over the whole square stays."}}
rows, notes = {}, {}
for name in builds.values():
    maps = torch.stack([fields[name, t] for t in shown])
    maps[:, maps.shape[1] // 2, maps.shape[2] // 2] = 0  # it would outshine all others
    label = title(name).replace(", ", ",\n", 1)
    # The root shows the faint outskirts too.
    rows[label] = (maps / maps.amax(dim=(1, 2), keepdim=True)).sqrt()[:, None] * 2 - 1
    notes[label] = [f"{side_holding(fields[name, t], share)} px" for t in shown]
image_grid(rows, [f"t = {t:g}" for t in shown], notes)

# %% [markdown]
# ## What we see
#
# *What is near counts more than what is far, in all three.* Locality is not something that the theory imposes: it is there
# before any window is fitted.
#
# *A ResNet cannot see far, and looks still less far at the end.* Its layers reach a few pixels only. In strong noise it
# uses nearly all of them, since a single pixel tells little there and many must be averaged. In weak noise a pixel's own
# neighbours tell nearly all.
#
# *A UNet can see the whole picture, and does so while there is much noise.* Its halo fades as the noise falls, but never
# quite goes.
#
# *Attention keeps looking everywhere.* Its halo is faint, but it stays to the end. [The chapter on
# attention](08_attention) asks what that changes in the pictures.
#
# How the maps were made: we follow each network on its way from noise to picture, from {glue:text}`n_seeds:d` noise
# images. At each step we take the gradient of the middle pixel of its estimate with respect to every input pixel. The
# mean of its absolute value is the network's *receptive field* at that noise level.
#
# ## Do windows narrow as sight does?

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-narrowing", "caption": "How far all networks of this book look, in pixels, and how wide the window is with which the theory (ELS) fits them best. Filled: in pure noise. Hollow: at the last step. The bar of a window spans the middle half of the runs by which it was chosen. Where there is no filled circle, it lies under the square."}, "image": {"alt": "Dot plot, one line for each network. All hollow window marks are at 3. Most hollow field marks are left of the filled ones, far left for UNets of digits and emoji; with attention and with circular padding they coincide."}}
ends = {
    name: {
        "field": Interval(*[float(sides[name][-1])] * 3),
        "window": Interval(
            scales[name].windows[-1], scales[name].lower[-1], scales[name].upper[-1]
        ),
    }
    for name in names
}
dot_plot(
    {title(name): found for name, found in ends.items()},
    "side, pixels",
    {title(n): {"field": sides[n][0], "window": scales[n].windows[0]} for n in names},
    hollow_is="at the last step",
)

# %% tags=["remove-cell"]
glue_all({"n_narrowed": sum(s[-1] > s[0] for s in sides.values())})
glue_all({"n_networks": len(names), "n_seeds": n_seeds})
apart, falls, together = {}, {}, {}
for name in names:
    windows, key = torch.tensor([float(w) for w in scales[name].windows]), name.replace("-", "_")
    falls[name] = int((windows.diff() >= 0).sum())
    pair = torch.stack([windows, torch.tensor(sides[name]).float()])
    together[name] = float(torch.corrcoef(pair)[0, 1])
    glue_all({f"{key}_falls": falls[name], f"{key}_steps": len(windows) - 1})
    glue_all({f"{key}_field_first": sides[name][-1], f"{key}_field_last": sides[name][0]})
    if name in PUBLISHED:
        theirs = torch.tensor([float(w) for w in published_scale(PUBLISHED[name]).windows])
        apart[name] = float((windows - theirs).abs().mean())
glue_all({"widens": sum(len(scales[n].windows) - 1 - falls[n] for n in names)})
glue_all({"apart_least": min(apart.values()), "apart_most": max(apart.values())})

# %% [markdown]
# *They do, though they are not the same number.* Windows that were fitted narrow as the measured fields do, and farther:
# at the end three pixels are enough for every network. Over all steps of all networks a window widens only
# {glue:text}`widens:d` times as the noise falls. The network's answer still depends a little on pixels outside the best
# window; and a window has to be good for the whole picture at once, not only for its middle.
#
# *Where sight does not narrow, the window is no more than a fit.* With attention the field is as wide at the end as in
# the beginning, and the window shrinks all the same. The same goes for the ResNet with circular padding. Two other
# ResNets narrow by two pixels only: that of emoji, and one of digits that was trained with plain errors (the chapter on
# [where theory and network part](17_where_they_part) says what these are).
#
# *Our windows resemble the ones that the authors published.* They differ by {glue:text}`apart_least:.1f` to
# {glue:text}`apart_most:.1f` pixels on average over the steps, on networks that were trained separately. Here is the first
# network, step by step.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-calibrated", "caption": "The ResNet of clothes: windows calibrated on it (median of the runs; band: the middle half), the windows that the authors published for theirs, and the measured field."}, "image": {"alt": "Line plot of three curves that rise with time: calibrated windows with a band, published windows, and the side of the measured field."}}
first = names[0]
scale = scales[first]
series = {"calibrated": Line(scale.times, scale.windows, scale.lower, scale.upper)}
if first in PUBLISHED:
    theirs = published_scale(PUBLISHED[first])
    series["published"] = Line(theirs.times, theirs.windows)
series["field"] = Line(scale.times, sides[first])
widest = int(max(max(line.y) for line in series.values()))
lines(
    series,
    "time t (0 = image, 1 = noise)",
    "side, pixels",
    log=False,
    ticks=range(3, widest + 1, 2 if widest < 20 else 4),
)

# %% [markdown]
# ## What it means
#
# The window is a number that was fitted; the field was not. Where both narrow, the window stands for something in the
# network: its shrinking sight. So the theory did not put locality into these networks. It found it there.
#
# ## What could be wrong
#
# - **A gradient is not a window.** The field falls off smoothly; the theory's window has a sharp edge. Which share of
#   the field counts as inside is our choice, and moves the side up and down. Compare how the curves bend, not how high
#   they lie.
# - **The field is an average** over pictures. In one picture a network may look along an edge and not across it.
# - **Only the middle pixel** was measured. Near a border a network [also sees the border itself](03_borders).
# - **Our networks saw fewer images** than the authors', and were trained for less long. How errors count in training
#   matters, too: earlier networks of clothes, trained with plain errors, had narrower windows.
# - **Calibration offers odd windows from 3 pixels on**, so the curve cannot fall below 3. It ends, too: at 17 pixels for
#   most ResNets, at 23 for the UNets of digits and emoji, at 31 for those of clothes. Where a UNet's filled dot lies at
#   that end it might take more.
# - **In pure noise runs disagree.** A picture hardly depends on the window there. For two networks of digits, the
#   circular one and the one trained with plain errors, the windows rest on 6 noise images, not 16.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "All numbers", "code_prompt_hide": "All numbers"}
columns = "field", "window", "narrows or stays", "from the published", "field and window", "LS"
table = [["network", *columns]]
for name in names:
    windows, fixed = scales[name].windows, load_scale(name, "ls").windows
    constant = isnan(together[name])
    table.append([
        title(name),
        f"{sides[name][-1]} to {sides[name][0]}",
        f"{windows[-1]} to {windows[0]}",
        f"{falls[name]} of {len(windows) - 1}",
        f"{apart[name]:.1f} px" if name in apart else "none published",
        "field is constant" if constant else f"{together[name]:.2f}",
        f"{fixed[-1]} to {fixed[0]}",
    ])  # fmt: skip
markdown_table(table)

# %% [markdown]
# *The folded table: sides in pixels of field and ELS window at pure noise and at the last step; in how many of the steps
# between the window narrows or stays; its mean absolute difference from the windows that the authors published;
# correlation of window and field over the steps, which are not independent of each other; sides of the LS window,
# calibrated likewise.*
