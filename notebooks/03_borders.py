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
# A convolution treats every place alike. Then how does a network know that a shoe stands at the bottom and a collar sits
# at the top? One thing in its input is not alike everywhere: the border. Outside the image a zero-padded network sees
# exact zeros, and under noise no pixel inside is ever exactly zero. Whoever sees a zero knows how far away the border is.
# Whoever sees none only knows that it is somewhere in the middle.
#
# **The border is all that a ResNet knows of place, and it steers where a picture lies without fixing it.** A theory in
# which pixels know of the border what they can see, and nothing else, predicts our ResNet best. A theory in which they
# know nothing of it (circular) does worse, and so does one in which they know everything (fixed).

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "fashion-resnet"  # a zero-padded network with calibrated windows, in data/networks
seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 6  # number of noise images, at least 2
circular: str = "mnist-resnet-circular"  # with circular padding, no classes and kept samples
padded: str = "mnist-resnet-plain"  # a zero-padded network of the same images, likewise
n_pair: int = 4  # noise images on which these two are compared, at least 2
moved: int = 8  # by how many pixels the noise is moved, up and to the left
theory_steps: int = 20  # steps of the theory's reverse process, where it is drawn here
network_steps: int = 150  # steps of the network's reverse process

# %% tags=["hide-input"]
import torch

from elslib.analysis.agreement import median
from elslib.analysis.intervals import median_interval
from elslib.analysis.metrics import pearson_r
from elslib.book.glue import glue_all
from elslib.denoisers.machines import EquivariantLocalScore, LocalScore
from elslib.experiments.agreement_results import read_pictures, read_rows
from elslib.experiments.store import load_card, load_network, load_scale, training_images
from elslib.figures.borders import Borders
from elslib.figures.dots import dot_plot
from elslib.figures.plots import image_grid
from elslib.samplers import initial_noise, sample
from elslib.windows import position_classes

denoiser, images = load_network(network), training_images(network)
scale = load_scale(network, "els")
schedule, (height, width) = denoiser.schedule, images.pixels.shape[2:]
seeds, classes = list(range(seed, seed + n_seeds)), denoiser.config.classes
label = None if classes is None else torch.tensor(seeds) % classes
noise = initial_noise(seeds, images.pixels.shape[1:])
machines = {
    "border-aware": EquivariantLocalScore(images, scale, edges="aware", schedule=schedule),
    "circular": EquivariantLocalScore(images, scale, edges="circular", schedule=schedule),
    "fixed": LocalScore(images, load_scale(network, "ls"), schedule=schedule),
}
drawn = {name: sample(machine, noise, label, theory_steps) for name, machine in machines.items()}
drawn["network"] = truth = sample(denoiser, noise, label, network_steps)
r = {name: pearson_r(drawn[name], truth) for name in machines}

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-border-rules", "caption": "From the same noise: a ResNet of clothes with zero padding, and the theory under three rules about the border. Under each picture of a theory its agreement r with the network (the correlation of the two pictures, 1 if they are the same)."}, "image": {"alt": "Grid of small pictures of clothes, one column a noise image. The network and the border-aware theory show nearly the same garments; the circular theory shows fragments in odd places; the fixed one similar garments with other details."}}
image_grid(
    {name: drawn[name] for name in ("network", *machines)},
    [f"seed {s}" for s in seeds],
    {name: [f"r = {value:.2f}" for value in r[name].tolist()] for name in machines},
)

# %% [markdown]
# ## The right theory and two wrong ones
#
# Three rules about the border, and everything else the same. *Border-aware*: a pixel compares itself with all patches
# that see the border as it does. *Circular*: there is no border; windows that leave the picture at the right come in again
# at the left, and every place counts as any other. *Fixed* (the LS machine): each pixel knows its place exactly. The
# network was trained on a sixth of FashionMNIST, and the windows of the theory were *calibrated* on it: at each noise
# level that side which brings the two closest.
#
# *The rule that respects borders wins, for every noise image.* Its r is higher than that of the circular theory by
# {glue:text}`ahead:.2f` in the median of {glue:text}`n_seeds:d`. And where do the others fail? The circular theory fails
# most near the border, of which it knows nothing. The fixed one fails inside, where it knows too much.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-border-errors", "caption": "How far each theory is from the network's picture, in the four outermost rows and columns and in the rest: root mean square of the difference; pixels run from -1 to 1. Each dot is a noise image, the stroke their median."}, "image": {"alt": "Dot plot with three lines. Border-aware: all dots near .15. Circular: the dots near the border lie far to the right, those inside less so. Fixed: dots spread, those inside mostly to the right of those near the border."}}
frame = torch.nn.functional.pad(torch.zeros(height - 8, width - 8), [4] * 4, value=1).bool()
off = {name: (drawn[name] - truth).square().mean(dim=1) for name in machines}
dot_plot(
    {
        name: {
            word: error[:, some].mean(dim=1).sqrt()
            for word, some in (("near the border", frame), ("inside", ~frame))
        }
        for name, error in off.items()
    },
    "difference from the network",
)

# %% [markdown]
# ## Four pixels and their dictionaries
#
# To guess its value, a pixel compares what it sees with patches of the training images: its dictionary. Which patches are
# in it? Those that look alike as far as borders go. A pixel that sees no border may compare itself with every patch that
# sees none, wherever it lies. A pixel that sees the left border sees how far away it is, and patches at the same distance
# from it qualify, higher or lower. A pixel that sees two borders knows its place: one patch from each training image is
# left.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-dictionaries", "caption": "Four pixels (yellow), what each sees (orange), and where the centres of the patches lie that it may compare itself with (blue; pale where it is both). Under each picture: how many of these there are in each training image. Windows of the last, a middle and the first step."}, "image": {"alt": "Three rows of four squares, for a small, a middle and a large window. In the middle of the image the blue region is a large square. Two pixels from the left border it is the same square with the small window, and a thin upright strip with the larger ones. At the left border it is a strip with every window. In the corner it is a single pixel."}}
chosen = {
    "in the\nmiddle": (height // 2, width // 2),
    "near the\nleft border": (height // 2, 2),
    "at the\nleft border": (height // 2, 0),
    "in a\ncorner": (0, 0),
}
BLUE, ORANGE, YELLOW = torch.tensor([[-1.0, -0.1, 0.4], [0.8, 0.4, 0.0], [1.0, 0.9, -0.6]])
pictures, notes = {}, {}
for side in (scale.windows[i] for i in (0, len(scale.windows) // 2, -1)):
    row_name = f"window {side}"
    pictures[row_name] = torch.full((len(chosen), 3, height, width), -0.8)
    notes[row_name] = []
    for picture, (y, x) in zip(pictures[row_name], chosen.values(), strict=True):
        for row, column in position_classes(height, width, side, "aware"):
            if row.start <= y < row.stop and column.start <= x < column.stop:
                break
        picture[:, row.start : row.stop, column.start : column.stop] = BLUE[:, None, None]
        seen = (
            slice(y - row.before, y + row.after + 1),
            slice(x - column.before, x + column.after + 1),
        )
        picture[:, *seen] += ORANGE[:, None, None]
        picture[:, y, x] = YELLOW
        notes[row_name].append(f"{row.size * column.size:,}")
image_grid(pictures, list(chosen), notes)

# %% [markdown]
# *How much a pixel knows depends on how far it sees.* Windows are wide at first and narrow at the end. With the first
# window {glue:text}`know_first:.0f`% of all pixels see a border, with the last one {glue:text}`know_last:.0f`%. So borders
# place a picture early, when only its coarse shape is settled. Its details are drawn by pixels most of which know nothing
# of where they are.
#
# ## Does the picture move with the noise?
#
# A machine that knows nothing of borders must follow its noise. Move the noise by a few pixels, around the edges, and its
# picture moves by as many. A machine that knows the place of every pixel has no reason to. So we move each noise image by
# {glue:text}`moved:d` pixels, up and to the left. What happens to the pictures?


# %% tags=["hide-input"]
shift = (-moved, -moved)
again, half = (
    torch.roll(x, (-m, -m), (2, 3)) for x, m in ((noise, moved), (noise[:1], moved // 2))
)
told = None if label is None else torch.cat([label, label[:1]])
steps = dict.fromkeys(machines, theory_steps) | {"network": network_steps}
after = {
    name: sample(machine, torch.cat([again, half]), told, steps[name])
    for name, machine in ({"network": denoiser} | machines).items()
}
halfway, after = ({name: x[some] for name, x in after.items()} for some in ([-1], slice(n_seeds)))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-moved", "caption": "The same noise, and the same noise moved up and to the left, around the edges; and what is drawn from either. Under the border-aware theory r with the network, from the moved noise."}, "image": {"alt": "Ten rows of small pictures. The noise. Circular theory: each picture is the one above it moved. Border-aware theory and network: the garments of the moved noise are partly the old ones moved, partly others. Fixed theory: nearly the same garments in the same place."}}
rows = {"noise": noise / 3, "noise, moved": again / 3}
for name in ("circular", "border-aware", "network", "fixed"):
    rows |= {name: drawn[name], f"{name}, moved": after[name]}
agreed = pearson_r(after["border-aware"], after["network"])
image_grid(rows, notes={"border-aware, moved": [f"r = {value:.2f}" for value in agreed.tolist()]})

# %% [markdown]
# *The circular theory follows its noise exactly.* Its pictures are the old ones, moved along. *The fixed theory stays where
# it was:* it draws much the same garment in the same place, from other noise.
#
# *The network does neither.* Some pieces move along, others change. The border steers the picture, but does not pin it
# down. And whatever the network makes of the moved noise, the border-aware theory makes too.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-moved-dots", "caption": "What does the picture from the moved noise resemble: the old picture, shifted as the noise was; the old picture, unshifted; or other pictures of the class? Each dot is a noise image, the stroke their median. For the last: the mean r with what the network draws from other noise, which any picture of the class has."}, "image": {"alt": "Dot plot with four lines. Circular: the old picture shifted at 1, all others between -.3 and .4. Border-aware and network: the dots of the old picture shifted and unshifted are spread widely. Fixed: the old picture unshifted lies right of the shifted one."}}
kept = read_pictures(network)["network"]
alike, step = {}, classes or 1
for name in ("circular", "border-aware", "network", "fixed"):
    family = []
    for number, x in zip(seeds, after[name], strict=True):
        others = kept[[i for i in range(number % step, len(kept), step) if i not in seeds]]
        family.append(pearson_r(x.expand_as(others), others).mean())
    alike[name] = {
        "the old picture, shifted": pearson_r(after[name], torch.roll(drawn[name], shift, (2, 3))),
        "the old picture, unshifted": pearson_r(after[name], drawn[name]),
        "other pictures": torch.stack(family),
    }
dot_plot(alike, "r of the picture from moved noise with ...")

# %% [markdown]
# *Try it.* Choose a pixel, a window and a rule: which places count? Then drag the noise of the first picture: what follows?

# %% tags=["hide-input"]
followed = {n: torch.cat([drawn[n][:1], x, after[n][:1]]) for n, x in halfway.items()}
ground = images.subset(None if label is None else int(label[0])).pixels[0]
Borders(ground, noise[0], followed, (0, moved // 2, moved), scale.windows[len(scale.windows) // 2])

# %% [markdown]
# ## The same network with and without a border
#
# Now a pair: two ResNets of digits with the same layers, which learned from the same {glue:text}`n_digits:,.0f`
# digits, each in the middle of a black square, with as many updates. They differ in what is outside. The first pads with
# zeros. The second is circular: whoever looks out at the right looks in again at the left, and no pixel ever sees a
# border. So the border-aware rule must win for the one, and the circular rule for the other.
#
# The pair is nearly fair. The network with zero padding was trained in {glue:text}`aware_precision:s`, the circular one in
# {glue:text}`circular_precision:s`. On digits they had not seen their losses were {glue:text}`aware_loss:.3f` and
# {glue:text}`circular_loss:.3f`. Both were trained with {term}`plain errors <Relative errors>`, which teach little where
# noise is strong and a picture gets its shape; [the chapter on where they part](17_where_they_part) shows what that costs.
# It may be why both draw blots.

# %% tags=["hide-input"]
wrapped, digits = load_network(circular), training_images(circular)
if (wrapped.edges, load_network(padded).edges) != ("circular", "aware"):
    raise ValueError(f"circular must wrap and padded pad with zeros, got {circular!r}, {padded!r}.")
rules = {"aware": "border-aware theory", "circular": "circular theory"}
rows, notes, ink, keys, pair = {"learned from": digits.pixels[:n_pair]}, {}, {}, {}, {}
for word, name, right, wrong in (
    ("zero padding", padded, "aware", "circular"),
    ("circular padding", circular, "circular", "aware"),
):
    kept = read_pictures(name)  # by the network and by the theory under the right rule
    numbers = [number % len(kept["network"]) for number in range(seed, seed + n_pair)]
    truth, best = (kept[who][numbers] for who in ("network", "ELS"))
    first = initial_noise(numbers, truth.shape[1:])
    rule = EquivariantLocalScore(digits, load_scale(name, "els"), edges=wrong)
    by = {right: pearson_r(best, truth)}
    by[wrong] = pearson_r(sample(rule, first, n_steps=theory_steps), truth)
    rows |= {f"network,\n{word}": truth, rules[right]: best}
    notes[rules[right]] = [f"r = {value:.2f}" for value in by[right].tolist()]
    pair[f"network, {word}"] = {rules[edges]: by[edges] for edges in rules}
    keys[f"{right}_right"] = median(read_rows(name), "ELS")
    keys[f"{right}_ahead"] = median_interval(by[right] - by[wrong])
    ink[f"ink_{right}"] = kept["network"]
    card = load_card(name)
    words = {"float32": "single precision", "bfloat16": "half precision (bfloat16)"}
    keys[f"{right}_precision"] = words.get(card["precision"], card["precision"])
    keys[f"{right}_loss"] = card["loss"]["held_out"]
again = sample(wrapped, torch.roll(first, shift, (2, 3)), n_steps=network_steps)
before = sample(wrapped, first, n_steps=network_steps)
keys["followed"] = float(pearson_r(again, torch.roll(before, shift, (2, 3))).min())

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-no-border", "caption": "Some of the digits that were learned; then, from the same noise, the two networks, and under each the theory with the rule that is right for it."}, "image": {"alt": "Rows of small pictures: digits in the middle of black squares; blots and pieces of strokes that stay inside the square by the network with zero padding, nearly the same ones by border-aware theory; some that run over the edges by the network with circular padding, nearly the same ones by circular theory."}}
image_grid(rows, notes=notes)

# %% [markdown]
# *Neither network draws a digit.* There are strokes and blots that do not gather into one. But with a border they keep
# away from the edges; without one they run out at one side and in at the other. Both draw blots; only the circular one
# puts them anywhere.
#
# *The rule that is right for one network is wrong for the other*, on every noise image. Over {glue:text}`n_kept:d` of
# them, the [chapter on agreement](06_agreement) finds the right rule close to either network. As a check we moved the
# noise of the network without a border, too: its picture must move along, and does (the lowest r is
# {glue:text}`followed:.2f`).

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-right-rule", "caption": "How well either rule predicts either network. Each dot is a noise image, the stroke their median."}, "image": {"alt": "Dot plot with two lines. For zero padding all dots of the border-aware rule lie right of those of the circular rule; for circular padding the other way round."}}
dot_plot(pair, "r with the network's picture")

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-ink", "caption": "How much of a picture's ink lies in the four outermost rows and columns: median over the pictures, with its 95% interval. Even spread: the share of the square that these rows and columns are."}, "image": {"alt": "Dot plot with three lines. Digits that were learned: near 2 percent. The network with zero padding: near 12. The network with circular padding: near 42, next to the dashed line of an even spread, at 44."}}
names = {
    "ink_learnt": "digits that were learned",
    "ink_aware": "network, zero padding",
    "ink_circular": "network, circular padding",
}
shares = {}
for key, x in (ink | {"ink_learnt": digits.pixels}).items():
    light = (x.clamp(-1, 1) + 1) / 2
    share = (light * frame).sum((1, 2, 3)) / light.sum((1, 2, 3)).clamp(min=1)
    keys[key] = shares[key] = median_interval(100 * share)
outside = 100 * float(frame.float().mean())
rows = {name: {"ink": shares[key]} for key, name in names.items()}
figure = dot_plot(rows, "ink near the border, % of all", level=outside)
(axis,) = figure.axes
axis.text(outside, -0.6, "even spread", color="0.35", ha="right", va="bottom")
figure

# %% tags=["remove-cell"]
windows = [scale.windows[-1], scale.windows[0]]
inside = [max(height - k + 1, 0) * max(width - k + 1, 0) / frame.numel() for k in windows]
glue_all(keys | {
    "n_seeds": n_seeds, "n_pair": n_pair, "moved": moved, "n_kept": len(kept["network"]), "n_digits": len(digits.pixels),
    "know_first": 100 - 100 * inside[0], "know_last": 100 - 100 * inside[1],
    "ahead": median_interval(r["border-aware"] - r["circular"]),
    "network_along": median_interval(alike["network"]["the old picture, shifted"]),
})  # fmt: skip

# %% [markdown]
# The digits that were learned hardly touch the frame. The network with a border keeps most of its ink away from it, the
# other puts as much there as anywhere.
#
# ## What could be wrong
#
# - **Two networks.** Either kind of padding was trained once, neither to the end, and not in the same precision.
# - **The windows were calibrated for the right rule.** Each wrong rule might do better with windows of its own.
# - **Few noise images**, wherever two rules are compared. The differences are large, but the dots are few.
# - **A grey border.** Zero is mid-grey here, clothes and digits stand on black: so the border is a visible edge as well.
