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
# # Does a network use what it could know of its place?
#
# Our ResNet looks 8 pixels far. A pixel in the middle of its picture sees no border, and so cannot know where it is. The
# *UNet* looks 21 pixels far, in a picture of 32. Every pixel sees a border above or below and one at a side. It *could*
# know its place. Where all training images are aligned that would be useful: an eye belongs where eyes are, and patches
# from elsewhere only mislead. Does it learn to?
#
# **It does on clothes and digits, which are centred.** There moved pictures disturb the UNet, and the theory that knows
# places (LS) predicts it nearly as well as the one that does not (ELS), but on none of our networks better.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
resnet: str = "fashion-resnet"  # a zero-padded ResNet in data/networks with an agreement table
unet: str = "fashion-unet"  # a UNet trained on the same images, with an agreement table
label: int = 2  # class of the pictures in the grid
seed: int = 0  # seed of the first noise image of the grid, and of the choice of held-out images
n_seeds: int = 6  # number of noise images in the grid
n_images: int = 24  # held-out images that are moved, at least 2
time: float = 0.7  # noise level at which they are moved, above 0 and at most 1

# %% tags=["hide-input"]
import torch
from torch.nn.functional import pad

from elslib import pearson_r
from elslib.analysis.agreement import share_above, values
from elslib.analysis.intervals import median_interval
from elslib.analysis.theories import theory_of
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments import recipes
from elslib.experiments.agreement_results import read_pictures, read_rows
from elslib.experiments.store import load_card, load_network, load_scale, training_images
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import initial_noise, sample, uniform_times
from elslib.windows import admissible_count

names = {"ResNet": resnet, "UNet": unet}
FACES, FACE = {"ResNet": "emoji-resnet", "UNet": "emoji-unet"}, 5
DIGITS = {"ResNet": "mnist-resnet", "UNet": "mnist-unet"}
PAIRS = {"chosen": names, "digits": DIGITS, "emoji": FACES}
# Theories, and the network of the pair on which their windows were calibrated.
THEORIES = {"ELS": ("els", "ResNet"), "LS": ("ls", "UNet"), "ELS, wide": ("els", "UNet")}
cards = {kind: load_card(name) for kind, name in names.items()}
if cards["ResNet"]["images"]["sha256"] != cards["UNet"]["images"]["sha256"]:
    raise ValueError(f"resnet and unet must have learnt the same images, got {resnet}, {unet}.")
known = {what: training_images(pair["UNet"]) for what, pair in PAIRS.items()}
theirs = {}  # for each pair: the theories, both networks
for what, pair in PAIRS.items():
    trained = {kind: load_network(name) for kind, name in pair.items()}
    theirs[what] = {
        name: theory_of(trained[kind], known[what], load_scale(pair[kind], machine), machine)
        for name, (machine, kind) in THEORIES.items()
    } | trained
denoisers, images = theirs["chosen"], known["chosen"]
schedule, shape = denoisers["UNet"].schedule, images.pixels.shape[1:]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-place", "caption": "Same noise, five answers. Under ELS its agreement r with the ResNet, under the other theories theirs with the UNet."}, "image": {"alt": "Grid of small pictures of clothes, one column for each noise image. Rows: ELS and ResNet, both alike and in pieces; ELS with wide windows, LS and UNet, all three alike, most of them whole pullovers."}}
noise = initial_noise(range(seed, seed + n_seeds), shape)
classes = torch.full((n_seeds,), label)
steps = {"ELS": 20, "ResNet": 150, "ELS, wide": 20, "LS": 20, "UNet": 150}
drawn = {name: sample(denoisers[name], noise, classes, n) for name, n in steps.items()}
r = {name: pearson_r(drawn[name], drawn[kind]) for name, (_, kind) in THEORIES.items()}
notes = {row: [f"r = {value:.2f}" for value in some.tolist()] for row, some in r.items()}
image_grid(drawn, [f"seed {seed + i}" for i in range(n_seeds)], notes)

# %% [markdown]
# One column is one noise image; the class is always "{glue:text}`what:s`". ELS and ResNet piece together what nobody could
# wear. LS, which compares a pixel only with the same pixel of the training images, draws garments, and so does ELS with
# the wide windows that fit the UNet. Those are the garments that the UNet draws.
#
# For faces the paper reports that its UNet breaks equivariance: LS predicts it better than ELS. For clothes it reports no
# difference. We ask in three ways: move a picture and see whom it disturbs; see whether knowing the place would help; and
# compare what is drawn.

# %% [markdown]
# ## Move the picture
#
# Take {glue:text}`n_images` pictures on which nobody was trained, and move each to the right by some pixels. What leaves
# the frame is lost; the gap on the left is filled by repeating the first column. Add noise, at t = {glue:text}`time`,
# and ask everybody for the clean picture. Who believes that a sleeve belongs in a certain place is disturbed.

# %% tags=["hide-input"]
distances, (alpha, sigma) = (0, 2, 4, 6, 8), schedule.levels(time)
clean, moved, noisy, estimates, grown, disturbed = {}, {}, {}, {}, {}, {}
for what, pair in PAIRS.items():
    held_out, width = recipes.held_out_images(pair["UNet"]), shape[-1]
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(held_out), generator=generator)[:n_images]
    labels = held_out.labels[chosen] if theirs[what]["UNet"].config.classes else None
    picture = held_out.pixels[chosen]
    eps = torch.randn(picture.shape, generator=generator)
    clean[what] = picture, eps, labels
    by = distances if what == "chosen" else (distances[0], distances[-1])
    for d in by:
        moved[what, d] = pad(picture, (d, 0, 0, 0), mode="replicate")[..., :width]
        noisy[what, d] = alpha * moved[what, d] + sigma * eps
    for name, denoise in theirs[what].items():
        error = []
        for d in by:
            with torch.no_grad():
                estimates[what, name, d] = denoise(noisy[what, d], time, labels)
            error.append((estimates[what, name, d] - moved[what, d]).square().mean((1, 2, 3)))
        disturbed[what, name] = [median_interval(some / error[0]) for some in error]
        grown[what, name] = error[-1] / error[0]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-moved-pictures", "caption": "Five of the pictures, moved by six pixels; the same with noise; and what each makes of them. ELS has the windows calibrated on the ResNet; ELS, wide, and LS have those calibrated on the UNet."}, "image": {"alt": "Grid of small pictures of clothes. Rows: moved picture, with noise, and the estimates of ELS, ELS with wide windows, LS, ResNet and UNet."}}
far = distances[-2]
shown = {"moved": moved["chosen", far], "noisy": noisy["chosen", far]}
shown |= {name: estimates["chosen", name, far] for name in denoisers}
image_grid({name: some[:5] for name, some in shown.items()})

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-disturbed", "caption": "By which factor the error grows when a picture is moved: median over the pictures, with the 95% bootstrap interval as a band. What depends on position rises; some of every rise is the border, and the part that was cut off."}, "image": {"alt": "Line plot of relative error against the number of pixels moved, one line each for ELS, ELS with wide windows, LS, ResNet and UNet. LS rises most, then ELS with wide windows, then the UNet; ELS with narrow windows and the ResNet hardly rise."}}
curves = {name: Line.through(distances, disturbed["chosen", name]) for name in denoisers}
axes = ("moved by, pixels", "error / error before it was moved")
lines(curves, *axes, level=1.0, log=False, bottom=0.5)

# %% [markdown]
# LS is disturbed: if pictures move by {glue:text}`far` pixels, its error grows by a factor of
# {glue:text}`chosen_LS_disturbed:.2f`. So is the UNet, by {glue:text}`chosen_UNet_disturbed:.2f`. The ResNet, which
# *cannot* know its place in the middle, hardly notices, {glue:text}`chosen_ResNet_disturbed:.2f`. So the UNet depends on
# position.
#
# ELS with the ResNet's windows comes to {glue:text}`chosen_ELS_disturbed:.2f`, with the UNet's to
# {glue:text}`chosen_wide_disturbed:.2f`. Near a border ELS, too, compares only what lies equally far from it. The
# UNet's [window](04_receptive_fields) is {glue:text}`chosen_side:d` pixels wide here. So {glue:text}`sees:.0f`% of all
# pixels see a border, {glue:text}`sees_both:.0f`% one in each direction. With such windows ELS knows places as well.
#
# ## Would it help?
#
# If LS removes noise better than ELS, a network that can know its place has a reason to learn it. Here are the same
# pictures, not moved, at several noise levels.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-place-helps", "caption": "Error on new pictures, divided by that of ELS on the same picture: median with 95% bootstrap interval. Below the blue line: better than ELS."}, "image": {"alt": "Line plot of error relative to ELS against time on a logarithmic axis, one line each for ELS, which is flat at 1, ELS with wide windows, LS, ResNet and UNet."}}
times, (picture, eps, labels) = uniform_times(20)[1::4], clean["chosen"]
relative = {name: [] for name in denoisers}
for t in times:
    alpha, sigma = schedule.levels(t)
    with torch.no_grad():
        off = {
            name: (denoise(alpha * picture + sigma * eps, t, labels) - picture).square()
            for name, denoise in denoisers.items()
        }
    for name, rows in relative.items():
        rows.append(median_interval(off[name].mean((1, 2, 3)) / off["ELS"].mean((1, 2, 3))))
curves = {name: Line.through(times, row) for name, row in relative.items()}
lines(curves, "time t (0 = image, 1 = noise)", "error / error of ELS")

# %% [markdown]
# Seeing far would help, and helps the UNet. In strong noise, at t = {glue:text}`high`, the error of LS is
# {glue:text}`LS_relative:.2f` of that of ELS with narrow windows. That of the UNet is {glue:text}`UNet_relative:.2f`,
# of ELS with wide windows {glue:text}`wide_relative:.2f`, of the ResNet {glue:text}`ResNet_relative:.2f`. LS and ELS
# with wide windows both see far and know places. Which of the two helps this does not say. In weak noise, at t =
# {glue:text}`low`, both networks are better than ELS, the ResNet with {glue:text}`ResNet_weak:.2f` of its error.
#
# ## What they draw
#
# A network may know its place because it has stored whole images. We see no sign of it: when they were trained, 100
# samples were drawn of each, of those in this chapter {glue:text}`n_copies` in all, and {glue:text}`copies` of them
# nearly copy a training image.
#
# Over all {glue:text}`n_new` samples of `elslib agree`, ten of each class, each theory with the windows of the network
# it is compared with, r of LS minus that of ELS is {glue:text}`chosen_ResNet_gap:+.2f` with the ResNet and
# {glue:text}`chosen_UNet_gap:+.2f` with the UNet, in the median. LS is closer to the UNet on a share of
# {glue:text}`chosen_UNet_ahead:.2f` of them.
#
# ## Digits and emoji
#
# Two more pairs. Clothes first, to compare.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["networks", "LS", "ELS, UNet's windows", "ResNet", "UNet", "r, ResNet", "r, UNet"]]
between = {}  # r of LS minus r of ELS with each network, seed by seed
for what, pair in PAIRS.items():
    factors = {name: disturbed[what, name][-1] for name in denoisers}
    cells = [factors[name] for name in ("LS", "ELS, wide", *pair)]
    glue_all({f"{what}_{k.split(', ')[-1]}_disturbed": factor for k, factor in factors.items()})
    glue_all({f"{what}_paired": median_interval(grown[what, "UNet"] / grown[what, "ResNet"])})
    for kind, name in pair.items():
        rows = read_rows(name)
        between[name] = values(rows, "LS") - values(rows, "ELS")
        gap, ahead = median_interval(between[name]), share_above(rows, "LS", "ELS")
        cells.append(f"{gap:+.2f}")
        glue_all({f"{what}_{kind}_gap": gap, f"{what}_{kind}_ahead": ahead})
    table.append([", ".join(pair.values()), *cells])
markdown_table(table, ".2f")

# %% tags=["remove-cell"]
shares = [load_card(name)["near_copies"] for pair in PAIRS.values() for name in pair.values()]
wide = {w: load_scale(pair["UNet"], "els").window_at(time) for w, pair in PAIRS.items()}
n = admissible_count(*shape[1:], wide["chosen"], "aware")  # fewer places for who sees a border
glue_all(
    {
        "n_images": n_images,
        "far": distances[-1],
        "time": time,
        "high": times[1],
        "what": images.class_names[label],
        "n_class": f"{len(images.subset(label)):,}",
        "n_new": len(between[unet]),
        "copies": round(100 * sum(shares)),
        "n_copies": 100 * len(shares),
        **{f"{what}_side": side for what, side in wide.items()},
        "sees": 100 * float((n < n.max()).float().mean()),
        "sees_both": 100 * float((n == n.min()).float().mean()),
        **{f"{name.split(', ')[-1]}_relative": row[1] for name, row in relative.items()},
        "low": times[-1],
        "ResNet_weak": relative["ResNet"][-1],
    }
)

# %% [markdown]
# *First by which factor the error of each grows when pictures are moved by {glue:text}`far:d` pixels, at t =
# {glue:text}`time`. Then r of LS with the network minus r of ELS with it. Medians with 95% bootstrap intervals.*
#
# The UNet of digits depends on position, too. Moved pictures disturb it by a factor of
# {glue:text}`digits_UNet_disturbed:.2f`, picture by picture {glue:text}`digits_paired:.2f` times as much as the ResNet.
# LS trails by little, and is closer than ELS on a share of {glue:text}`digits_UNet_ahead:.2f` of the noise images. ELS
# with the UNet's windows comes to {glue:text}`digits_wide_disturbed:.2f`; at this noise level they are only
# {glue:text}`digits_side:d` pixels wide, for emoji {glue:text}`emoji_side:d`.
#
# The UNet of emoji of all kinds is not disturbed here: {glue:text}`emoji_UNet_disturbed:.2f`, LS
# {glue:text}`emoji_LS_disturbed:.2f`.
#
# ## And faces?
#
# We have small ones: {glue:text}`n_faces` smileys among our emoji, round, centred, eyes above the mouth. The networks
# learned emoji of all kinds and are told the kind.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-faces", "caption": "Smileys: same noise, five answers, as above."}, "image": {"alt": "Grid of small colour pictures, one column for each noise image. Rows: ELS, yellow patchworks of any outline; ResNet, much the same, blurred; ELS with wide windows, patchworks too; LS, round yellow faces with stray patches; UNet, blurred yellow faces, some of them round."}}
emoji = {kind: read_pictures(name) for kind, name in FACES.items()}
is_face = torch.arange(len(emoji["UNet"]["LS"])) % len(known["emoji"].class_names) == FACE
drawn = {name: emoji[kind][machine.upper()] for name, (machine, kind) in THEORIES.items()}
drawn |= {kind: some["network"] for kind, some in emoji.items()}
drawn = {row: drawn[row][is_face] for row in steps}
for kind, name in FACES.items():
    glue_all({f"faces_{kind}": median_interval(between[name][is_face])})
glue_all({"n_faces": len(known["emoji"].subset(FACE)), "n_drawn": int(is_face.sum())})
r = {n: values(read_rows(FACES[k]), m.upper())[is_face] for n, (m, k) in THEORIES.items()}
notes = {row: [f"r = {v:.2f}" for v in some[:n_seeds].tolist()] for row, some in r.items()}
image_grid({row: some[:n_seeds] for row, some in drawn.items()}, (), notes)

# %% [markdown]
# LS knows that a face is round, and where its eyes belong. ELS does not, nor does the ResNet. Of those by the UNet some
# are round, as most by LS are, others as odd as those of ELS. Over {glue:text}`n_drawn` smileys r of LS minus that of
# ELS is {glue:text}`faces_ResNet:+.2f` for the ResNet and {glue:text}`faces_UNet:+.2f` for the UNet. LS trails by less
# with the UNet: the direction of the paper's result. But it trails.
#
# ## What it means
#
# A UNet can know its place. Those of clothes and digits use it, that of emoji perhaps where faces are concerned. For
# clothes we find what the paper finds: LS and ELS predict the UNet about equally well. Here this does not say that it
# is equivariant. It is not, and ELS with windows like these is not either. No network of ours is predicted *better* by
# LS, as the paper's of faces is. So there we find the direction, but not the size.
#
# Being *able* to break equivariance is not yet breaking it. An earlier UNet of clothes, of the same build but trained
# with plain errors, for longer, was not disturbed by moved pictures, and LS trailed far. In strong noise it looked no
# farther than the ResNet. What it lacked, it seems, were [relative errors](17_where_they_part): where noise is strong,
# places tell. But its rate of learning was another one, too.
#
# ## What could be wrong
#
# - **Two pairs differ in more than sight.** Those of digits and emoji had other rates of learning, too.
# - **One training each.** Another run might use places more, or less.
# - **LS has few patches**, one from each of {glue:text}`n_class:s` images of the class; the paper's has six
#   times as many. With more it might be more like the UNet. But the first test does not depend on LS.
# - **Smileys are few and plain.** Photographs of faces may still give what the paper has.
# - **A moved picture is an odd picture.** Part of it is cut off. ELS and the ResNet show what this alone does.
