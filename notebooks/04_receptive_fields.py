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
# **Most networks look far while there is much noise, and less far as the picture emerges.** Sight narrows clearly in
# {glue:text}`n_clear:d` of the {glue:text}`n_networks:d` networks that we measured, and the window that suits the theory
# narrows with it. In the others it narrows by about one step of our measure, or not at all.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
networks: str = ""  # names in data/networks, separated by commas; empty for all with results
seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 16  # noise images that are averaged, at least 1
share: float = 0.95  # a field's side is that of the window that holds this share, in (0, 1]

# %% tags=["hide-input"]
from math import isnan

import torch

from elslib.analysis.intervals import mean_interval
from elslib.analysis.receptive_field import receptive_field, side_holding
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments.agreement_results import read_pictures, with_results
from elslib.experiments.store import load_card, load_network, load_scale
from elslib.experiments.titles import title
from elslib.figures.arrows import arrow_plot
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
fields, scales, sides, halves, builds, narrows = {}, {}, {}, {}, {}, {}
for name in names:
    network, shape = load_network(name), read_pictures(name)["network"].shape[1:]
    builds.setdefault(network.config.architecture, name)  # the first of its kind
    noise = initial_noise(range(seed, seed + n_seeds), shape)
    classes = network.config.classes
    label = None if classes is None else torch.arange(seed, seed + n_seeds) % classes
    scales[name] = load_scale(name, "els")
    ends = []  # sides of the field in each picture alone, in pure noise and at the last step
    labels = [None] * n_seeds if label is None else label.split(1)
    for step in ddim(network, noise, uniform_times(20), label):
        fields[name, step.t] = receptive_field(network, step.x, step.t, label)
        if step.t in (scales[name].times[0], scales[name].times[-1]):
            pairs = zip(step.x.split(1), labels, strict=True)
            alone = [receptive_field(network, x, step.t, y) for x, y in pairs]
            ends.append(torch.tensor([float(side_holding(field, share)) for field in alone]))
    narrows[name] = mean_interval(ends[0] - ends[1])
    sides[name] = [side_holding(fields[name, t], share) for t in scales[name].times]
    halves[name] = [side_holding(fields[name, t], 0.5) for t in scales[name].times]
even = [side_holding(torch.ones(shape[1:]), some) for some in (0.5, share)]  # if all counted alike

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-fields", "caption": "Where the middle pixel looks, from pure noise (left) to the last details (right), for the first network of each kind. Brightness is logarithmic over three powers of ten, in each square from its own brightest pixel down. The middle pixel itself is left out, and so is black: it would outshine all others. Under each square the sides of two windows: the one that holds half of the field, and the one that holds 95% of it."}, "image": {"alt": "Three rows of heat maps on black, each with a black pixel in its middle. For the ResNet a square in the middle fades to a small cross from left to right. For the UNet a halo over most of the square draws together. With attention a halo over the whole square stays."}}
rows, notes = {}, {}
for name in builds.values():
    maps = torch.stack([fields[name, t] for t in shown])
    maps[:, maps.shape[1] // 2, maps.shape[2] // 2] = 0  # it would outshine all others
    label = title(name).replace(", ", ",\n", 1)
    decades = (maps / maps.amax(dim=(1, 2), keepdim=True)).log10()  # what is 0 becomes black
    rows[label] = (1 + decades[:, None] / 3) * 2 - 1
    found = [[side_holding(fields[name, t], some) for some in (0.5, share)] for t in shown]
    notes[label] = [f"{half}, {most} px" for half, most in found]
image_grid(rows, [f"t = {t:g}" for t in shown], notes)

# %% [markdown]
# ## What we see
#
# *What is near counts more than what is far, in all three.* If a network looked at all pixels alike, it would take a
# window of {glue:text}`even_half:d` pixels to hold half of the field. None of our networks needs more than
# {glue:text}`most_half:d`, at any step. Locality is not something that the theory imposes: it is there before any
# window is fitted.
#
# *A ResNet cannot see far, and looks still less far at the end.* Its layers reach a few pixels only. In strong noise it
# uses nearly all of them, since a single pixel tells little there and many must be averaged. In weak noise a pixel's own
# neighbours tell nearly all.
#
# *A UNet can see the whole picture, and uses most of it while there is much noise.* Its halo is brightest in the second
# square, not in pure noise. From there on its sight draws together, though a faint rest of the halo stays.
#
# *Attention keeps looking everywhere, if faintly.* On clothes the side that holds 95% of its field hardly changes, and
# is nearly that of a field which is the same everywhere, {glue:text}`even_most:d` pixels. Half of the field does draw
# together. [The chapter on attention](08_attention) asks what its long sight changes in the pictures.
#
# How the maps were made: we follow each network on its way from noise to picture, from {glue:text}`n_seeds:d` noise
# images. At each step we take its estimate of the clean picture, and of that the gradient of the middle pixel with
# respect to every input pixel. The mean of its absolute value is the network's *receptive field* at that noise level.
# (The paper takes the gradient of the estimated noise. It differs from ours by one factor for the whole map, and in the
# middle pixel.)
#
# ## Do windows narrow as sight does?
#
# :::{dropdown} Guess first: where the theory's window shrinks, does the network always look less far, too?
# No. In the figure below the window shrinks for every network. Sight narrows clearly in {glue:text}`n_clear:d` of
# {glue:text}`n_networks:d`; in some of the others it does not narrow at all.
# :::

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-narrowing", "caption": "How far all networks of this book look (field: the side of the window that holds 95%), and how wide the window is with which the theory (ELS) fits them best. Each arrow leads from pure noise, the mark, to the last step, the head. A mark without an arrow stays where it is."}, "image": {"alt": "Two arrows for each network, all pointing left. All window arrows but one end at 3. Field arrows are long for UNets of digits and emoji, a single step for the ResNet of emoji and one of digits; for clothes with attention and with circular padding there is none."}}
arrow_plot(
    {
        title(name): {
            "field": (sides[name][-1], sides[name][0]),
            "window": (scales[name].windows[-1], scales[name].windows[0]),
        }
        for name in names
    },
    "side, pixels",
    ticks=range(3, 32, 4),
)

# %% tags=["remove-cell"]
RESOLUTION = 2  # sides are odd, so this is the smallest change that the measure can show
glue_all({"n_clear": sum(some.low > RESOLUTION for some in narrows.values())})
glue_all({"n_networks": len(names), "n_seeds": n_seeds})
glue_all({"n_trained": sum(load_card(name)["loss"]["trained"] is True for name in names)})
glue_all({"even_half": even[0], "even_most": even[1]})
glue_all({"most_half": max(max(some) for some in halves.values())})
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
n_steps = sum(len(scales[name].windows) - 1 for name in names)
glue_all({"end_widest": max(scales[name].windows[0] for name in names)})
glue_all({"widens": n_steps - sum(falls.values()), "n_between": n_steps})
theirs = (
    published_scale("celeba-resnet-zeros").windows,
    published_scale("mnist-resnet-circular").windows,
)
glue_all({"celeba_widest": max(theirs[0]), "circular_end": theirs[1][-1]})
glue_all(
    {"circular_widest": max(theirs[1]), "digits_LS_end": load_scale("mnist-unet", "ls").windows[-1]}
)
glue_all({"apart_least": min(apart.values()), "apart_most": max(apart.values())})

# %% [markdown]
# *They do, though they are not the same number.* Windows that were fitted narrow as the measured fields do, and
# farther: at the end three pixels are enough for all but the UNet with attention of photographs, which takes
# {glue:text}`end_widest:d`. In {glue:text}`widens:d` of the {glue:text}`n_between:d` steps of all networks together the
# window grows instead of shrinking, each time in strong noise. The network's answer still depends a little on pixels
# outside the best window; and a window has to be good for the whole picture at once, not only for its middle.
#
# *Where sight does not narrow, the window is no more than a fit.* With attention, on clothes, the field is about as
# wide at the end as in the beginning, and the window shrinks all the same. The same goes for the ResNet with circular
# padding. Two other ResNets narrow by about two pixels, the smallest change that sides in odd numbers can show: that of
# emoji, and one of digits that was trained with plain errors (the chapter on [where theory and network
# part](17_where_they_part) says what these are).
#
# *The authors' own windows do not all narrow either.* Those of their ResNet of digits with circular padding begin at
# {glue:text}`circular_end:d` pixels in pure noise, grow to {glue:text}`circular_widest:d`, and only then shrink.
#
# *Our windows resemble the ones that the authors published for such networks.* They differ by
# {glue:text}`apart_least:.1f` to {glue:text}`apart_most:.1f` pixels on average over the steps, on networks that were
# trained separately. Here is the first network, step by step.

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
# - **A side cannot exceed the picture.** A field as wide as that of attention has little room left in which to grow or
#   shrink, when 95% of it are asked for.
# - **Calibration offers odd windows from 3 pixels on**, so the curve cannot fall below 3. It ends, too: at 17 pixels for
#   all ResNets and for the UNet of faces, at 23 for the UNets of digits and emoji, at 31 for those of clothes and of
#   CIFAR10. Where the arrow of a UNet begins at that end it might take more.
# - **In pure noise runs disagree.** A picture hardly depends on the window there, and so the best one is uncertain. The
#   windows that the authors published for photographs of faces show it: they begin at {glue:text}`celeba_widest:d` pixels
#   for a ResNet whose layers do not reach so far. Our own table of LS for the UNet of digits shows it as well, which
#   drops to {glue:text}`digits_LS_end:d` there. For two networks of digits, the
#   circular one and the one trained with plain errors, the windows rest on 6 noise images, not 16.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "All numbers", "code_prompt_hide": "All numbers"}
columns = "95% of the field", "narrows by", "half of it", "window"
columns += "window narrows or stays", "from the published", "field and window", "LS"
table = [["network", *columns]]
for name in names:
    windows, fixed = scales[name].windows, load_scale(name, "ls").windows
    constant = isnan(together[name])
    table.append([
        title(name),
        f"{sides[name][-1]} to {sides[name][0]}",
        f"{narrows[name]:.1f}",
        f"{halves[name][-1]} to {halves[name][0]}",
        f"{windows[-1]} to {windows[0]}",
        f"{falls[name]} of {len(windows) - 1}",
        f"{apart[name]:.1f} px" if name in apart else "none published",
        "field is constant" if constant else f"{together[name]:.2f}",
        f"{fixed[-1]} to {fixed[0]}",
    ])  # fmt: skip
markdown_table(table)

# %% [markdown]
# *All numbers: sides in pixels of the windows that hold 95% and half of the field, and of the ELS window, in pure
# noise and at the last step; by how many pixels the first of them narrows, measured in each picture alone (mean with
# its 95% bootstrap interval; we call it clear if the interval lies above 2 pixels); in how many of the steps between
# the window narrows or stays; its mean absolute difference from the windows that the authors published; correlation of
# window and field over the steps, which are not independent of each other; sides of the LS window, calibrated
# likewise.*
