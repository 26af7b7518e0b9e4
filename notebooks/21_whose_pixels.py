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
# # Whose pixels?
#
# A network has seen thousands of pictures and draws a new one. Whose is it? For a trained network this is hard to say, for
# the theory it is not: each of its pixels is a weighted mean of training pixels, and we have the weights. Add up those of
# the patches of one training image, take the mean over the pixels, and you have its *share*
# ({cite:t}`zhao2025nonparametric` attribute pictures in a like way). All shares sum to 1.
#
# **A picture belongs to nobody, although a pixel may.** If the images that matter most by the theory, a third of a class, are
# taken away, then a network that is trained without them changes its picture a little as the theory says. With a twentieth,
# the change is lost in what another training changes anyway.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
names: str = "emoji-resnet,fashion-resnet,cifar10-resnet"  # networks that know classes, with calibrated windows
network: str = "fashion-resnet"  # a network with the result of benchmarks/removal.py
seed: int = 1  # seed of the first noise image; its class is the seed's remainder
n_seeds: int = 3  # number of noise images of a network

# %% tags=["hide-input"]
import torch

from elslib.analysis.attribution import attribute
from elslib.analysis.intervals import median_interval
from elslib.analysis.metrics import pearson_r
from elslib.analysis.theories import theory_of
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments.removal import read_removals
from elslib.experiments.store import load_network, load_scale, training_images
from elslib.experiments.titles import title
from elslib.figures.dots import dot_plot
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import initial_noise

networks, seeds = names.split(","), list(range(seed, seed + n_seeds))
images, machines, labels, along = {}, {}, {}, {}
for name in networks:
    denoiser, images[name] = load_network(name), training_images(name)
    machines[name] = theory_of(denoiser, images[name], load_scale(name, "els"))
    labels[name] = [one % (denoiser.classes or 1) for one in seeds]
    noise = initial_noise(seeds, images[name].pixels.shape[1:])
    along[name] = [  # all steps of each sample
        list(attribute(machines[name], z[None], label))
        for z, label in zip(noise, labels[name], strict=True)
    ]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-whose", "caption": "A picture that the theory draws for each network, of one seed, and beside it the five training images with the largest shares of its last step. Under each its share of the whole picture."}, "image": {"alt": "Three rows of six small pictures. On the left a patchwork by the theory, to its right five ordinary pictures of the same class; the percentages under them are small, largest for emoji."}}
rows, notes = {}, {}
for name in networks:
    last = along[name][0][-1]
    top = last.share[0].topk(5)
    found = torch.cat([last.step.x0, images[name].pixels[top.indices]])
    row = title(name).split(", ", 1)[1].replace(", ", "\n")
    rows[row] = found.expand(-1, 3, -1, -1)
    notes[row] = ["", *(f"{100 * share:.1f}%" for share in top.values.tolist())]
image_grid(rows, ["theory", *(f"no. {k}" for k in range(1, 6))], notes)

# %% [markdown]
# The image with the largest share of the emoji's picture has {glue:text}`top_first:.1f`% of it. With clothes and
# photographs, of which a class has about a thousand, it is less still.
#
# ## A pixel may have an owner
#
# The share of a picture is a mean over its pixels. Here is what the five have of each pixel of the first picture.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-where", "caption": "Where in the first of these pictures its five images speak. Above: the images. Below: each one's share of every pixel of the picture, from black, none, to white, the largest share that is under it."}, "image": {"alt": "Two rows of pictures. Above five whole emoji. Below, on black, scattered grey and white spots: an image speaks in a few places of the picture."}}
for number, name in enumerate(reversed(networks)):  # the first one comes last
    last = along[name][0][-1]
    x, t, label = last.step.x, last.step.t, labels[name][0]
    _, mass = machines[name].posterior_and_mass(x, t, label, by_pixel=True)
    owned = (mass[0].amax(0) > 0.5).double().mean()
    glue_all({f"owned_{len(networks) - 1 - number}": 100 * float(owned)})
top = last.share[0].topk(5).indices
spots = mass[0, top]
glue_all({"top_first": 100 * float(last.share[0].max())})
peaks = spots.amax((1, 2))
maps = (2 * spots / peaks[:, None, None] - 1)[:, None].expand(-1, 3, -1, -1)
image_grid(
    {"image": images[name].pixels[top], "its share": maps},
    notes={"its share": [f"{100 * peak:.0f}%" for peak in peaks.tolist()]},
)

# %% [markdown]
# There are pixels that come from a single image, and next to them others that come from another one. Call a pixel *owned* if
# one image has more than half of it. Of the emoji's picture {glue:text}`owned_0:.0f`% are owned, of the photograph's
# {glue:text}`owned_2:.0f`%: these pictures are [mosaics](11_mosaic) of small pieces. Of the clothes' it is
# {glue:text}`owned_1:.0f`%. Their black ground and their plain cloth look alike in hundreds of images.
#
# ## How many make half of a picture?
#
# In pure noise all patches are equally likely, and half of a picture comes from half of the images. It can never be more.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-half", "caption": "How many of the images of its class hold half of a picture, those with the largest shares first, as a share of the class: mean over the pictures of each network, along the way from noise (right) to the picture (left). At 50% all have the same say."}, "image": {"alt": "Line plot of three sawtooth lines that fall from fifty per cent on the right to about twenty, nearly thirty and more than thirty-five on the left; they jump up wherever the window becomes smaller."}}
half = {}
for name in networks:
    shares = torch.stack([torch.cat([s.share for s in steps]) for steps in along[name]])
    held = shares.sort(dim=-1, descending=True).values.cumsum(-1)
    counts = (held < 0.5).sum(-1) + 1.0
    sizes = torch.tensor([len(images[name].of_class(label)) for label in labels[name]])
    half[title(name)] = Line(
        [s.step.t for s in along[name][0]], (100 * counts / sizes[:, None]).mean(0).tolist()
    )
ends = [line.y[-1] for line in half.values()]
glue_all({"half_least": min(ends), "half_most": max(ends)})
lines(half, "time t (0 = image, 1 = noise)", "% of the class", log=False)

# %% [markdown]
# In the end it still takes {glue:text}`half_least:.0f` to {glue:text}`half_most:.0f`% of the class to make half of a picture.
# Even in the last step a patch of plain ground or of an edge finds its like in many images. The lines jump up wherever
# [the window](04_receptive_fields) becomes smaller, since small patches are common.
#
# ## Take them away
#
# If an image has a share of a picture, the picture should be another without it. In the theory this is no question of
# training: its sum runs over the images that there are, so leave some out and draw again, in seconds
# (`elslib.changed_by_removing`). For the network it is a training.
#
# We did both with clothes, eight classes of the ten. For one picture of each class we took away the {glue:text}`most:d` of
# about a thousand images of this class that have its largest shares, on the mean over all steps. They hold
# {glue:text}`share_most:.0f`% of it, where an equal say would give them some thirty. As many drawn at random from the rest
# hold {glue:text}`share_random:.0f`%. In their places stand other images of the class, which are then seen twice or more,
# by ELS as by the network. That was trained again from the same first weights and in the same order. Then all drew from
# {glue:text}`n_each:d` noise images of each class: the one that chose the images, and others, of which the images taken
# away hold hardly more than an equal say, {glue:text}`share_others:.0f`%.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-without", "caption": "Taken away: one class a column. What ELS draws, and how the picture changes without the images that have its largest shares: brighter where it is light, darker where it is dark, grey where it stays. Then the same of the network, with r between its change and that of ELS. Below, how its picture changes without as many other images, and with another seed of its training."}, "image": {"alt": "Six rows of eight small grey pictures. The changes of ELS and of the network are alike in some columns: where one is light, so is the other. Those of the last two rows are of about the same size, and elsewhere."}}
removals = read_removals(network)
most, drawn = int(removals.rows.removed.max()), removals.pictures
share = {kind: removals.of(most, kind, "share")[:8].median() for kind in ("most", "random")}
glue_all({f"share_{kind}": 100 * float(found) for kind, found in share.items()})
glue_all({"share_others": 100 * float(removals.of(most, "most", "share")[8:].median())})
agree = removals.of(most, "most", "r_with_most")[:8].tolist()
image_grid(
    {
        "ELS": drawn["ELS"],
        "changes by": drawn[f"ELS-most-{most}"] - drawn["ELS"],
        "network": drawn["network"],
        "changes by ": drawn[f"network-most-{most}"] - drawn["network"],
        "by others\naway": drawn[f"network-random-{most}"] - drawn["network"],
        "by another\nseed": drawn["again"] - drawn["network"],
    },
    notes={"changes by ": [f"r = {r:.2f}" for r in agree]},
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-sizes", "caption": "How much a picture changes: root mean square over the pixels, which run from -1 to 1. Median over noise images, with its 95% interval."}, "image": {"alt": "Dot plot of sizes of changes. What ELS says is two to three times as large for the images with the largest shares as for others; the network's change is smallest without fifty others, largest without the three hundred largest shares, and alike in the rest."}}
words = {"most": "largest shares", "random": "others"}
counts = sorted(set(removals.rows.removed))
sizes = {
    f"{count}, {word}": {
        "said by ELS": median_interval(removals.of(count, kind, "size_said")),
        "done by the network": median_interval(removals.of(count, kind, "size_done")),
    }
    for count in counts
    for kind, word in words.items()
}
again = median_interval(removals.of(most, "most", "size_again"))
sizes["another seed"] = {"done by the network": again}
dot_plot(sizes, "change of the picture")

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-said-done", "caption": "Does the network's picture change as ELS says? Median of Pearson's r between the change that ELS says and changes of the network, with its 95% interval: the one that it speaks of, the one by the other removal, and the one by another seed."}, "image": {"alt": "Dot plot of r. With fifty images all dots are near zero. With three hundred largest shares the change that ELS speaks of is clearly right of zero, the two others are near it; with three hundred others that by the other removal is left of zero."}}
said, table = {}, [["removed", "change", "r with what ELS says", "r above 0"]]
for count in counts:
    for kind, word in words.items():
        row, other = f"{count}, {word}", "random" if kind == "most" else "most"
        columns = {"this removal": kind, "the other": other, "another seed": "again"}
        found = {w: removals.of(count, kind, f"r_with_{column}") for w, column in columns.items()}
        said[row] = {w: median_interval(r) for w, r in found.items()}
        for w, r in found.items():
            key, right = f"r_{count}_{kind}_{w.split()[-1]}", int((r > 0).sum())
            glue_all({key: said[row][w], f"{key}_right": right})
            table.append([row, w, f"{said[row][w]:.2f}", f"{right} of {len(r)}"])
apart = [drawn[f"{by}-most-{most}"] - drawn[f"{by}-random-{most}"] for by in ("ELS", "network")]
size, r = (removals.of(most, "most", column) for column in ("size_said", "r_with_most"))
glue_all({"most": most, "few": counts[0], "n_shown": len(apart[0]), "n": len(r)})
glue_all({"r_apart": median_interval(pearson_r(*apart))})
glue_all(
    {"r_large": median_interval(r[size > size.quantile(0.5)]), "n_each": len(r) // len(apart[0])}
)
for word, control in (("other", "random"), ("seed", "again")):
    glue_all({f"above_{word}": int((r > removals.of(most, "most", f"r_with_{control}")).sum())})
done = [removals.of(counts[0], kind, "size_done") for kind in words]
said_twentieth = [removals.of(counts[0], kind, "size_said").quantile(0.5) for kind in words]
glue_all({"few_more": int((done[0] > done[1]).sum())})
glue_all({"few_times": float(said_twentieth[0] / said_twentieth[1])})
dot_plot(said, "r with the change that ELS says", level=0)

# %% [markdown]
# *A third of a class can be seen.* Without the {glue:text}`most:d` images with the largest shares the network's picture
# changes as ELS says with r = {glue:text}`r_300_most_removal:.2f` in the median, and in the right direction (r above 0) on
# {glue:text}`r_300_most_removal_right:d` of {glue:text}`n:d` noise images. Where ELS says much, on the half of them with the
# larger changes, it is {glue:text}`r_large:.2f`. That is a small part of the change, though more than the controls have:
# r with what ELS says is larger for this removal than for the other on {glue:text}`above_other:d` of the noise images, and
# than for another seed on {glue:text}`above_seed:d`. In the median those two have r =
# {glue:text}`r_300_most_other:.2f` and {glue:text}`r_300_most_seed:.2f`. The difference between the two removals, in which
# the first network does not occur, agrees with r = {glue:text}`r_apart:.2f` over the {glue:text}`n_shown:d` noise images
# that are shown.
#
# *Others can hardly be seen.* For the {glue:text}`most:d` random ones, which by ELS matter less, r is
# {glue:text}`r_300_random_removal:.2f`. With the network's change by the other removal it is even negative: what one
# removal takes away, the other leaves with more weight.
#
# *The direction of a twentieth cannot.* With {glue:text}`few:d` images with the largest shares r is
# {glue:text}`r_50_most_removal:.2f`. ELS says that they change the picture {glue:text}`few_times:.1f` times as much as
# {glue:text}`few:d` at random. The network's picture does change more without them, on {glue:text}`few_more:d` of
# {glue:text}`n:d`, but no more than where only the first weights and the order are others.
#
# ## What it means
#
# The theory says of each training image how much of a picture comes from it, exactly and in seconds. That is a statement
# about the theory. A network follows it a little, where many images are meant. Single images we did not try: one training
# without an image would not show what it did, since even fifty were lost among the accidents of training.
#
# ## What could be wrong
#
# - **One network, one training of each kind.** A change by removal and a change by accident can be told apart only by their
#   direction. With several trainings of each one could take means.
# - **Noise images of one class move together,** so there are rather eight cases than thirty-two, and the intervals are too
#   narrow.
# - **Shares are nearly equal.** The images that were taken away hold little more than their number would give them. A
#   picture with a few owners would be a better case, and clothes have none.
# - **The images were chosen by one picture of each class,** the one that is shown, and all pictures of the class are compared.
# - **A mean over the steps** is one way to add shares up. At the last step alone others come first.
# - **Twenty steps,** for the network as well, which draws better in more.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "All numbers", "code_prompt_hide": "All numbers"}
markdown_table(table)
