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
# # What does a pixel know about where it is?
#
# A convolution treats every place alike. Then how does a network know that a shoe stands at the bottom and a collar
# sits at the top? There is one thing in its input that is not alike everywhere: the border. Outside the image a
# zero-padded network sees exact zeros, and under noise no pixel inside is ever exactly zero. So whoever sees a zero
# knows how far the border is. Whoever sees none only knows that it is somewhere in the middle.
#
# The theory takes this literally. Here is how, and whether networks behave that way: one that sees its border, and
# one that is built not to. The first was trained on 10,000 pictures of clothes; [a later
# chapter](05_theory_and_network) introduces it. The theory's windows were *calibrated* on the network: at each
# noise level that side which brings the two closest. *r* is the correlation of two pictures, 1 if they are the
# same.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "fashion-resnet"  # a zero-padded network with calibrated windows, in data/networks
seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 6  # number of noise images, at least 2
circular: str = "mnist-resnet-circular"  # with circular padding, no classes and kept samples
padded: str = "mnist-resnet-plain"  # a zero-padded network of the same images, likewise
n_pair: int = 6  # noise images on which these two are compared, at least 2
moved: int = 8  # by how many pixels the noise is moved, up and to the left
theory_steps: int = 20  # steps of the theory's reverse process, where it is drawn here
network_steps: int = 150  # steps of the network's reverse process

# %% tags=["hide-input"]
import torch

from elslib.analysis.agreement import median
from elslib.analysis.intervals import median_interval
from elslib.analysis.metrics import pearson_r
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.denoisers.machines import EquivariantLocalScore, LocalScore
from elslib.experiments.agreement_results import read_pictures, read_rows
from elslib.experiments.store import load_network, load_scale, training_images
from elslib.figures.plots import image_grid
from elslib.samplers import initial_noise, sample
from elslib.windows import position_classes

denoiser, images = load_network(network), training_images(network)
scale = load_scale(network, "els")
schedule, (height, width) = denoiser.schedule, images.pixels.shape[2:]
seeds = list(range(seed, seed + n_seeds))
classes = denoiser.config.classes
label = None if classes is None else torch.tensor(seeds) % classes
noise = initial_noise(seeds, images.pixels.shape[1:])

# %% [markdown]
# ## Three pixels and their dictionaries
#
# To guess its value, a pixel compares what it sees with patches of the training images. Which patches? Those that
# look alike as far as borders go. A pixel that sees no border may compare itself with every patch that sees none,
# wherever it lies. A pixel that sees the left border sees it at a certain distance; patches at the same distance
# from it qualify, higher or lower. A pixel that sees two borders knows its place: one patch from each training
# image is left.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-dictionaries", "caption": "Three pixels (white), what each sees (orange), and where the centres of the patches lie that it may compare itself with (blue; pale where it is both). Under each picture: how many these are in each training image. Windows of the last, a middle and the first step."}, "image": {"alt": "Three rows of three squares, for a small, a middle and a large window. In the middle of the image the blue region is a large square. For the pixel near the left border it is the same square with the small window, and a thin vertical strip with the larger ones. For the pixel near the corner it shrinks to a single pixel."}}
chosen = {
    "in the\nmiddle": (height // 2, width // 2),
    "near the\nleft border": (height // 2, 2),
    "near a\ncorner": (2, 2),
}
BLUE, ORANGE = torch.tensor([-1.0, -0.1, 0.4]), torch.tensor([0.8, 0.4, 0.0])
pictures, notes = {}, {}
for side in dict.fromkeys(
    (scale.windows[0], scale.windows[len(scale.windows) // 2], scale.windows[-1])
):
    title = f"window {side}"
    pictures[title], notes[title] = torch.full((len(chosen), 3, height, width), -0.8), []
    for picture, (y, x) in zip(pictures[title], chosen.values(), strict=True):
        for row, column in position_classes(height, width, side, "aware"):
            if row.start <= y < row.stop and column.start <= x < column.stop:
                break
        picture[:, row.start : row.stop, column.start : column.stop] = BLUE[:, None, None]
        rows = slice(y - row.before, y + row.after + 1)
        columns = slice(x - column.before, x + column.after + 1)
        picture[:, rows, columns] += ORANGE[:, None, None]
        picture[:, y, x] = 1
        notes[title].append(f"{row.size * column.size:,}")
image_grid(pictures, list(chosen), notes)

# %% [markdown]
# How much a pixel knows depends on how far it sees. With a window of 3 only the outermost pixels see a border. The
# wider the window, the more do.
#
# Windows are wide at first and narrow at the end. So borders place the picture early, when only its coarse shape is
# settled. Details are then drawn by pixels most of which know nothing of where they are. For {glue:text}`network:s`
# the calibrated window is {glue:text}`widest` pixels at first: then {glue:text}`know_first:.0f`% of the pixels see
# a border. At the end it is {glue:text}`narrowest`, and {glue:text}`know_last:.0f`% do.

# %% [markdown]
# ## The right theory and two wrong ones
#
# The same noise images, but three rules about the border. *Border-aware* is the rule above. *Circular* ignores
# borders: windows wrap around, and every place counts as any other. *Fixed* (the LS machine) goes the other way:
# each pixel knows its place exactly. The network is {glue:text}`network:s`, with zero padding. If its pixels know
# of the border what they can see, and nothing else, then the first rule must win.

# %% tags=["hide-input"]
machines = {
    "border-aware": EquivariantLocalScore(images, scale, edges="aware", schedule=schedule),
    "circular": EquivariantLocalScore(images, scale, edges="circular", schedule=schedule),
    "fixed": LocalScore(images, load_scale(network, "ls"), schedule=schedule),
}
drawn = {name: sample(machine, noise, label, theory_steps) for name, machine in machines.items()}
drawn["network"] = truth = sample(denoiser, noise, label, network_steps)
r = {name: pearson_r(drawn[name], truth) for name in machines}

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-border-rules", "caption": "Same noise: the network, and the theory under three rules about the border. Under each picture of a theory its agreement r with the network."}, "image": {"alt": "Grid of small pictures of clothes, one column a noise image. The network and the border-aware theory show nearly the same garments; the circular theory shows fragments in odd places; the fixed one similar garments with other details."}}
image_grid(
    {name: drawn[name] for name in ("network", *machines)},
    [f"seed {s}" for s in seeds],
    {name: [f"r = {value:.2f}" for value in r[name].tolist()] for name in machines},
)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
frame = torch.ones(height, width, dtype=torch.bool)
frame[4:-4, 4:-4] = False
table = [["rule", "r with the network", "error near the border", "error inside"]]
for name in machines:
    error = (drawn[name] - truth).square().mean(dim=1)
    near, inside = (median_interval(error[:, some].mean(dim=1).sqrt()) for some in (frame, ~frame))
    agreement = median_interval(r[name])
    table.append([name, agreement, near, inside])
ahead = median_interval(r["border-aware"] - r["circular"])
glue_all({"ahead": ahead})
markdown_table(table, ".2f")

# %% [markdown]
# *Median over {glue:text}`n_seeds` noise images with 95% bootstrap interval. Errors are root mean squares of the
# difference from the network's picture, in the four outermost rows and columns and in the rest; pixels run from -1
# to 1. Border-aware and fixed theory have windows calibrated for them, circular theory those of the border-aware.*
#
# The rule that respects borders wins. On the same noise images its r is higher than that of circular theory by
# {glue:text}`ahead:.2f` [{glue:text}`ahead_low:.2f`, {glue:text}`ahead_high:.2f`] in the median.
#
# ## Does the picture move with the noise?
#
# A machine that knows nothing of borders must follow its noise. Move the noise by a few pixels, around the edges,
# and its picture moves by as many. A machine that knows the place of every pixel has no reason to. So we move each
# noise image by {glue:text}`moved` pixels up and {glue:text}`moved` to the left, and ask what the new picture is
# more like: the old one moved along, or the old one where it was?

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
shift = (-moved, -moved)
again = torch.roll(noise, shift, dims=(2, 3))
steps = dict.fromkeys(machines, theory_steps) | {"network": network_steps}
after = {
    name: sample(machine, again, label, steps[name])
    for name, machine in (machines | {"network": denoiser}).items()
}
pictures = read_pictures(network)["network"]
table = [
    ["", "like the old one moved along", "like the old one in place", "like others of its class"]
]
for name in ("circular", "network", "border-aware", "fixed"):
    along = median_interval(pearson_r(after[name], torch.roll(drawn[name], shift, dims=(2, 3))))
    still = median_interval(pearson_r(after[name], drawn[name]))
    family, step = [], classes or 1
    for number, x in zip(seeds, after[name], strict=True):
        others = pictures[[i for i in range(number % step, len(pictures), step) if i not in seeds]]
        family.append(pearson_r(x.expand_as(others), others).mean())
    family = median_interval(torch.stack(family))
    table.append([name, along, still, family])
    if name == "network":
        glue_all({"network_along": along, "network_still": still, "network_family": family})
moved_r = median_interval(pearson_r(after["border-aware"], after["network"]))
windows = [scale.windows[-1], scale.windows[0]]
inside = [max(height - k + 1, 0) * max(width - k + 1, 0) / frame.numel() for k in windows]
glue_all(
    {
        "network": network,
        "n_seeds": n_seeds,
        "moved": moved,
        "widest": windows[0],
        "narrowest": windows[1],
        "know_first": 100 - 100 * inside[0],
        "know_last": 100 - 100 * inside[1],
        "moved_r": moved_r,
    }
)
markdown_table(table, ".2f")

# %% [markdown]
# *Pearson's r, median over {glue:text}`n_seeds` noise images with 95% bootstrap interval. The last column is what
# any picture of the same class gives: the mean r with what the network draws from other noise.*

# %% [markdown]
# Circular theory follows its noise exactly: r is 1. The network does not. Its picture resembles the old one moved
# along with r = {glue:text}`network_along:.2f` [{glue:text}`network_along_low:.2f`,
# {glue:text}`network_along_high:.2f`]. So borders have a say in it. They do not pin it down either: to the old
# picture in place, r is {glue:text}`network_still:.2f` [{glue:text}`network_still_low:.2f`,
# {glue:text}`network_still_high:.2f`], where any picture of its class has {glue:text}`network_family:.2f`
# [{glue:text}`network_family_low:.2f`, {glue:text}`network_family_high:.2f`]. Whatever the network makes of the
# moved noise, the border-aware theory makes too: there the two agree with a median r of {glue:text}`moved_r:.2f`
# [{glue:text}`moved_r_low:.2f`, {glue:text}`moved_r_high:.2f`].
#
# ## The same network with and without a border
#
# Now a fair pair: {glue:text}`padded:s` and {glue:text}`circular:s` have the same layers and learned from the same
# {glue:text}`n_digits:,.0f` digits, each in the middle of a black square, with as many updates. They differ in what
# is outside. The first pads with zeros. In the second whoever looks out at the right looks in again at the left: no
# pixel of it ever sees a border. So the border-aware rule must win for the one, and the circular rule for the
# other.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
wrapped, digits = load_network(circular), training_images(circular)
if (wrapped.edges, load_network(padded).edges) != ("circular", "aware"):
    raise ValueError(f"circular must wrap and padded pad with zeros, got {circular!r}, {padded!r}.")
rules = {"aware": "border-aware", "circular": "circular"}
table = [["network", *rules.values()]]
rows, notes, ink, keys = {"learnt from": digits.pixels[:n_pair]}, {}, {}, {}
for word, name, right, wrong in (
    ("zero padding", padded, "aware", "circular"),
    ("circular padding", circular, "circular", "aware"),
):
    kept = read_pictures(name)  # by the network and by the theory under the right rule
    numbers = [number % len(kept["network"]) for number in range(seed, seed + n_pair)]
    truth, best = (kept[who][numbers] for who in ("network", "ELS"))
    first = initial_noise(numbers, truth.shape[1:])
    rule = EquivariantLocalScore(digits, load_scale(name, "els"), edges=wrong)
    r = {right: pearson_r(best, truth)}
    r[wrong] = pearson_r(sample(rule, first, n_steps=theory_steps), truth)
    rows |= {word: truth, rules[right]: best}
    notes[rules[right]] = [f"r = {value:.2f}" for value in r[right].tolist()]
    table.append([word, *(median_interval(r[edges]) for edges in rules)])
    keys[f"{right}_right"] = median(read_rows(name), "ELS")
    keys[f"{right}_ahead"] = median_interval(r[right] - r[wrong])
    ink[f"ink_{right}"] = kept["network"]
again = sample(wrapped, torch.roll(first, shift, (2, 3)), n_steps=network_steps)
before = sample(wrapped, first, n_steps=network_steps)
keys["followed"] = float(pearson_r(again, torch.roll(before, shift, (2, 3))).min())
for key, x in (
    ink | {"ink_learnt": digits.pixels}
).items():  # share in the four outermost rows and columns
    light = (x.clamp(-1, 1) + 1) / 2
    share = (light * frame).sum((1, 2, 3)) / light.sum((1, 2, 3)).clamp(min=1)
    keys[key] = median_interval(100 * share)
keys |= {"circular": circular, "padded": padded, "n_pair": n_pair, "n_kept": len(kept["network"])}
glue_all(keys | {"n_digits": len(digits.pixels), "frame_area": 100 * float(frame.float().mean())})
markdown_table(table, ".2f")

# %% [markdown]
# *Pearson's r of theory and network, median over {glue:text}`n_pair` noise images with 95% bootstrap interval.
# Windows were calibrated for the right rule of each network.*
#
# The rule that is right for one network is wrong for the other. On the same noise images the border-aware rule is
# ahead by {glue:text}`aware_ahead:.2f` [{glue:text}`aware_ahead_low:.2f`, {glue:text}`aware_ahead_high:.2f`] for
# zero padding, the circular one by {glue:text}`circular_ahead:.2f` [{glue:text}`circular_ahead_low:.2f`,
# {glue:text}`circular_ahead_high:.2f`] for circular padding. Over {glue:text}`n_kept` noise images the right rules
# have {glue:text}`aware_right:.2f` [{glue:text}`aware_right_low:.2f`, {glue:text}`aware_right_high:.2f`] and
# {glue:text}`circular_right:.2f` [{glue:text}`circular_right_low:.2f`, {glue:text}`circular_right_high:.2f`] ([all
# numbers](06_agreement)). And when its noise is moved, the picture of the network without a border moves along: the
# lowest r of them all is {glue:text}`followed:.2f`.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-no-border", "caption": "Some of the digits that were learnt; then, from the same noise, the two networks, and under each the theory with the rule that is right for it."}, "image": {"alt": "Rows of small pictures: digits in the middle of black squares; blots and pieces of strokes that stay inside the square by the network with zero padding, nearly the same ones by border-aware theory; some that run over the edges by the network with circular padding, nearly the same ones by circular theory."}}
image_grid(rows, notes=notes)

# %% [markdown]
# Neither network draws a digit. There are strokes and blots that do not gather into one. But with a border they
# keep away from the edges; without, they run out at one side and in at the other. Where is the ink? A frame
# of four rows and columns along the edges is {glue:text}`frame_area:.0f`% of the square. It holds
# {glue:text}`ink_learnt:.1f`% [{glue:text}`ink_learnt_low:.1f`, {glue:text}`ink_learnt_high:.1f`] of a
# training digit's ink, {glue:text}`ink_aware:.0f`% [{glue:text}`ink_aware_low:.0f`,
# {glue:text}`ink_aware_high:.0f`] of what the network with a border draws, and {glue:text}`ink_circular:.0f`%
# [{glue:text}`ink_circular_low:.0f`, {glue:text}`ink_circular_high:.0f`] of what the other draws, as if place
# meant nothing. So the border is what holds a picture in its place. Without it a picture is a texture.
#
# ## What could be wrong
#
# - **Two networks.** Either kind of padding was trained once. Neither is trained to the end, and the processors
#   differed, so that one was trained in single precision, the other in half; their cards say so.
# - **The windows were calibrated for the right rule.** Each wrong rule might do better with windows of its own.
# - **Few noise images**, wherever two rules are compared. The differences are large, some intervals are wide.
# - **A grey border.** Zero is mid-grey here, and clothes and digits stand on black. So the border is also a visible
#   edge, which may help a network in ways the theory does not count.
