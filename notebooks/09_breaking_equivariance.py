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
# Our ResNet looks 8 pixels far. A pixel in the middle of its picture sees no border, and so cannot
# know where it is. The *UNet* looks 21 pixels far, in a picture of 32. Every pixel sees a border above
# or below and one at a side. It *could* know its place.
#
# That could be useful. Where all training images are aligned, an eye belongs where eyes are, and
# patches from elsewhere only mislead. The machine that knows its place is LS: it compares a pixel only
# with the same pixel of the training images. ELS compares it with pixels from all over, and so obeys
# *equivariance*: a picture that is moved is treated like the picture.
#
# For faces the paper reports that its UNet breaks equivariance: LS predicts it better than ELS, while
# its ResNet is predicted better by ELS. For clothes it reports no difference with the UNet. What does
# our UNet do? It learned pictures of clothes, which are centred and fill their frame. We ask in three
# ways: move a picture and see whom it disturbs; see whether knowing the place would help; and compare
# what theories and networks draw. At the end come faces.

# %% tags=["parameters"]
resnet: str = "fashion-resnet"  # a zero-padded ResNet in data/networks with an agreement table
unet: str = "fashion-unet"  # a UNet trained on the same images, with an agreement table
label: int = 2  # class of the pictures in the grid
seed: int = 0  # seed of the first noise image of the grid, and of the choice of held-out images
n_seeds: int = 6  # number of noise images in the grid
n_images: int = 24  # held-out images that are moved, at least 2
time: float = 0.7  # noise level at which they are moved, above 0 and at most 1

# %% tags=["hide-input"]
import torch
from IPython.display import Markdown
from torch.nn.functional import pad

from elslib import zoo
from elslib.agreement import read_pictures, read_rows, share_above, values
from elslib.calibration import load_scale
from elslib.figures import Line, image_grid, lines
from elslib.gluing import glue_all
from elslib.machines import EquivariantLocalScore, LocalScore
from elslib.metrics import median_interval, near_copies, nearest_image, pearson_r
from elslib.networks import load_card, load_network, training_images
from elslib.samplers import initial_noise, sample, uniform_times

names = {"ResNet": resnet, "UNet": unet}
FACES, FACE = {"ResNet": "emoji-resnet", "UNet": "emoji-unet"}, 5
cards = {kind: load_card(name) for kind, name in names.items()}
if cards["ResNet"]["images"]["sha256"] != cards["UNet"]["images"]["sha256"]:
    raise ValueError(
        f"resnet and unet must be trained on the same images, got {resnet} and {unet}."
    )
networks = {kind: load_network(name) for kind, name in names.items()}
images, held_out = training_images(unet), zoo.held_out_images(unet)
schedule, shape = networks["UNet"].schedule, images.images.shape[1:]
denoisers = {
    "ELS": EquivariantLocalScore(images, load_scale(resnet, "els"), edges="aware"),
    "LS": LocalScore(images, load_scale(unet, "ls")),
    **networks,
}

# %% [markdown]
# ## Move the picture
#
# Take {glue:text}`n_images` pictures on which nobody was trained, and move each to the right by some
# pixels. What leaves the frame is lost; the gap on the left is filled by repeating the first column.
# Add noise, at t = {glue:text}`time`, and ask everybody for the clean picture. Whoever believes that a
# sleeve belongs in a certain place is disturbed. Whoever knows nothing of places hardly notices.

# %% tags=["hide-input"]
generator = torch.Generator().manual_seed(seed)
chosen = torch.randperm(len(held_out), generator=generator)[:n_images]
clean, labels = held_out.images[chosen], held_out.labels[chosen]
eps = torch.randn(clean.shape, generator=generator)
distances = (0, 2, 4, 6, 8)
width = shape[-1]
moved = {d: pad(clean, (d, 0, 0, 0), mode="replicate")[..., :width] for d in distances}
alpha, sigma = schedule.levels(time)
error, estimates = {name: [] for name in denoisers}, {name: {} for name in denoisers}
for name, denoise in denoisers.items():
    for d, picture in moved.items():
        with torch.no_grad():
            estimates[name][d] = denoise(alpha * picture + sigma * eps, time, labels)
        error[name].append((estimates[name][d] - picture).square().mean(dim=(1, 2, 3)))
disturbed = {
    name: [median_interval(some / rows[0]) for some in rows] for name, rows in error.items()
}

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-moved-pictures", "caption": "Five of the pictures, moved by six pixels; the same with noise; and what each makes of them. ELS has the windows calibrated on the ResNet, LS those of the UNet."}, "image": {"alt": "Grid of small pictures of clothes. Rows: moved picture, with noise, and the estimates of ELS, LS, ResNet and UNet."}}
far = distances[-2]
noisy = alpha * moved[far] + sigma * eps
shown = {"moved": moved[far], "noisy": noisy, **{name: e[far] for name, e in estimates.items()}}
image_grid({name: some[:5] for name, some in shown.items()})

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-disturbed", "caption": "By which factor the error grows when a picture is moved: median over the pictures, with the 95% bootstrap interval as a band. Who goes by places rises; some of every rise is the border, and the part that was cut off."}, "image": {"alt": "Line plot of relative error against the number of pixels moved, one line each for ELS, LS, ResNet and UNet."}}
lines(
    {name: Line.through(distances, row) for name, row in disturbed.items()},
    "moved by, pixels",
    "error / error before it was moved",
    level=1.0,
    log=False,
    bottom=0.5,
)

# %% [markdown]
# LS is disturbed: with the pictures moved by {glue:text}`far` pixels its error grows by a factor of
# {glue:text}`LS_disturbed:.2f` [{glue:text}`LS_disturbed_low:.2f`,
# {glue:text}`LS_disturbed_high:.2f`]. For the UNet the factor is {glue:text}`UNet_disturbed:.2f`
# [{glue:text}`UNet_disturbed_low:.2f`, {glue:text}`UNet_disturbed_high:.2f`], for the ResNet, which
# *cannot* know its place in the middle, {glue:text}`ResNet_disturbed:.2f`
# [{glue:text}`ResNet_disturbed_low:.2f`, {glue:text}`ResNet_disturbed_high:.2f`], and for ELS
# {glue:text}`ELS_disturbed:.2f` [{glue:text}`ELS_disturbed_low:.2f`,
# {glue:text}`ELS_disturbed_high:.2f`]. (Near a border ELS, too, compares only what has the same place.) So the
# UNet is no more disturbed than those who cannot know. No theory was needed to see this.
#
# ## Would it help?
#
# If LS removes noise better than ELS, then a network that can know its place has a reason to learn it.
# Here are the same pictures, not moved, at several noise levels.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-place-helps", "caption": "Error on new pictures, divided by that of ELS on the same picture: median with 95% bootstrap interval. Below the blue line: better than ELS."}, "image": {"alt": "Line plot of error relative to ELS against time on a logarithmic axis, one line each for ELS, which is flat at 1, LS, ResNet and UNet."}}
times = uniform_times(20)[1::4]
relative = {name: [] for name in denoisers}
for t in times:
    alpha, sigma = schedule.levels(t)
    with torch.no_grad():
        off = {
            name: (denoise(alpha * clean + sigma * eps, t, labels) - clean).square().mean((1, 2, 3))
            for name, denoise in denoisers.items()
        }
    for name, rows in relative.items():
        rows.append(median_interval(off[name] / off["ELS"]))
lines(
    {name: Line.through(times, row) for name, row in relative.items()},
    "time t (0 = image, 1 = noise)",
    "error / error of ELS",
)

# %% [markdown]
# It would help. In strong noise, at t = {glue:text}`high`, the error of LS is
# {glue:text}`LS_relative:.2f` [{glue:text}`LS_relative_low:.2f`, {glue:text}`LS_relative_high:.2f`] of
# that of ELS. There, with wide windows, coarse shapes are settled, and a shape has its place. That of
# the UNet is {glue:text}`UNet_relative:.2f` [{glue:text}`UNet_relative_low:.2f`,
# {glue:text}`UNet_relative_high:.2f`], of the ResNet {glue:text}`ResNet_relative:.2f`
# [{glue:text}`ResNet_relative_low:.2f`, {glue:text}`ResNet_relative_high:.2f`]. The UNet shows no such gain.
# But a network's small errors are divided by a small alpha here, so this alone does not prove much.
#
# ## What they draw
#
# A network may know its place because it has stored whole images. Ours have not. Of
# {glue:text}`n_new` pictures by each, {glue:text}`ResNet_copies` (ResNet) and {glue:text}`UNet_copies`
# (UNet) nearly copy a training image. From the nearest one they are {glue:text}`ResNet_new:.2f`
# [{glue:text}`ResNet_new_low:.2f`, {glue:text}`ResNet_new_high:.2f`] and {glue:text}`UNet_new:.2f`
# [{glue:text}`UNet_new_low:.2f`, {glue:text}`UNet_new_high:.2f`] away (root mean square, median), new real
# pictures only {glue:text}`among:.2f` [{glue:text}`among_low:.2f`, {glue:text}`among_high:.2f`].
#
# Now from noise to picture, as in [the chapter on pairs](05_theory_and_network). One column is one
# noise image; the class is always "{glue:text}`what:s`". If the UNet used its place, its row would look
# like that of LS above it. It looks like the two rows at the top.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-place", "caption": "Same noise, four answers. Under ELS its agreement r with the ResNet, under LS its agreement with the UNet, under the UNet the agreement of ELS with it."}, "image": {"alt": "Grid of small pictures of clothes, one column for each noise image. Rows: ELS, ResNet, LS, UNet. ResNet and UNet both resemble ELS; LS often shows another garment."}}
noise = initial_noise(range(seed, seed + n_seeds), shape)
classes = torch.full((n_seeds,), label)
steps = {"ELS": 20, "ResNet": 150, "LS": 20, "UNet": 150}
drawn = {name: sample(denoisers[name], noise, schedule, classes, n) for name, n in steps.items()}
pairs = {"ELS": ("ELS", "ResNet"), "LS": ("LS", "UNet"), "UNet": ("ELS", "UNet")}
r = {row: pearson_r(drawn[one], drawn[other]) for row, (one, other) in pairs.items()}
notes = {row: [f"r = {value:.2f}" for value in some.tolist()] for row, some in r.items()}
image_grid(drawn, [f"seed {seed + i}" for i in range(n_seeds)], notes)

# %% [markdown]
# How much closer LS is to each network than ELS is, by class, over all samples of `elslib agree`:

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = {kind: read_rows(name) for kind, name in names.items()}
gap = {kind: values(some, "LS") - values(some, "ELS") for kind, some in rows.items()}
label_of = {row.seed: row.label for row in rows["UNet"]}
of_class = torch.tensor([label_of[s] for s in sorted(label_of)])
table = ["| class | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
for y, what in enumerate(images.class_names):
    cells = [f"{median_interval(some[of_class == y]):+.2f}" for some in gap.values()]
    table.append(f"| {what} | {' | '.join(cells)} |")
cells = [f"{median_interval(some):+.2f}" for some in gap.values()]
table.append(f"| all | {' | '.join(cells)} |")
Markdown("\n".join(table))

# %% tags=["remove-cell"]
new, copies, n_new = {}, {}, len(of_class)
pictures = {name: read_pictures(name)["network"] for name in names.values()}
for name, some in pictures.items():
    new[name], copies[name] = [], 0
    for y in range(len(images.class_names)):
        mine, known = some[of_class == y], images.subset(y).images
        new[name].append(nearest_image(mine, known)[1])
        copies[name] += int(near_copies(mine, known).sum())
among = [
    nearest_image(held_out.subset(y).images[:10], images.subset(y).images)[1]
    for y in range(len(images.class_names))
]
last, high = len(distances) - 1, times[1]
glue_all(
    {
        "n_images": n_images,
        "far": distances[-1],
        "time": time,
        "high": high,
        "what": images.class_names[label],
        "n_class": f"{len(images.subset(label)):,}",
        "updates": f"{cards['UNet']['training']['updates']:,}",
        "n_new": n_new,
        "among": median_interval(torch.cat(among)),
        **{f"{name}_disturbed": row[last] for name, row in disturbed.items()},
        **{f"{name}_relative": row[1] for name, row in relative.items()},
        **{f"{kind}_gap": median_interval(some) for kind, some in gap.items()},
        **{f"{kind}_ahead": share_above(some, "LS", "ELS") for kind, some in rows.items()},
        **{f"{kind}_copies": copies[name] for kind, name in names.items()},
        **{f"{kind}_new": median_interval(torch.cat(new[n])) for kind, n in names.items()},
    }
)

# %% [markdown]
# *r of LS with the network minus r of ELS with it: median over {glue:text}`n_new` noise images, ten of
# each class, with 95% bootstrap interval.*
#
# Below zero means that ELS is closer. It is so for both networks and in every class. LS is closer to the
# ResNet on a share of {glue:text}`ResNet_ahead:.2f` of the noise images, to the UNet on
# {glue:text}`UNet_ahead:.2f`.
#
# ## And faces?
#
# We have small ones: {glue:text}`n_faces` smileys among our emoji, round, centred, eyes above the mouth.
# Two networks, `emoji-resnet` and `emoji-unet`, learned emoji of all kinds and are told the kind. Of their
# {glue:text}`n_drawn` smileys {glue:text}`faces_copies` nearly copy a training image.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-faces", "caption": "Smileys: same noise, four answers, as above. The ELS shown has the ResNet's windows; each r is with the windows of the network it names."}, "image": {"alt": "Grid of small colour pictures, one column for each noise image. Rows: ELS, yellow lumps; ResNet, harsh red and black blobs; LS, round yellow faces with stray patches; UNet, ragged yellow shapes."}}
emoji = {kind: read_pictures(name) for kind, name in FACES.items()}
kinds = training_images(FACES["UNet"])
is_face = torch.arange(len(emoji["UNet"]["LS"])) % len(kinds.class_names) == FACE
drawn = {"ELS": emoji["ResNet"]["ELS"], "LS": emoji["UNet"]["LS"]}
drawn |= {kind: some["network"] for kind, some in emoji.items()}
drawn = {row: drawn[row][is_face] for row in steps}
faces = {"copies": sum(int(near_copies(drawn[k], kinds.subset(FACE).images).sum()) for k in FACES)}
for kind, name in FACES.items():
    some = values(read_rows(name), "LS") - values(read_rows(name), "ELS")
    faces |= {kind: median_interval(some[is_face]), f"{kind}_all": median_interval(some)}
glue_all({f"faces_{name}": value for name, value in faces.items()})
glue_all({"n_faces": len(kinds.subset(FACE)), "n_drawn": len(FACES) * int(is_face.sum())})
r = {row: values(read_rows(FACES[kind]), one)[is_face] for row, (one, kind) in pairs.items()}
notes = {row: [f"r = {v:.2f}" for v in some[:n_seeds].tolist()] for row, some in r.items()}
image_grid({row: some[:n_seeds] for row, some in drawn.items()}, (), notes)

# %% [markdown]
# LS knows that a face is round, and where its eyes belong. ELS does not, and neither do the networks. (That
# the ResNet's colours are too strong is a fault of its own; see [the mosaic chapter](11_mosaic).) LS minus ELS
# is {glue:text}`faces_ResNet:+.2f` [{glue:text}`faces_ResNet_low:+.2f`,
# {glue:text}`faces_ResNet_high:+.2f`] for the ResNet and {glue:text}`faces_UNet:+.2f`
# [{glue:text}`faces_UNet_low:+.2f`, {glue:text}`faces_UNet_high:+.2f`] for the UNet; on emoji of all kinds
# {glue:text}`faces_ResNet_all:+.2f` [{glue:text}`faces_ResNet_all_low:+.2f`,
# {glue:text}`faces_ResNet_all_high:+.2f`] and {glue:text}`faces_UNet_all:+.2f`
# [{glue:text}`faces_UNet_all_low:+.2f`, {glue:text}`faces_UNet_all_high:+.2f`]. LS trails by
# less with this UNet than with this ResNet, which is the direction of the paper's result. But it trails.
#
# ## What it means
#
# Our UNets could know their place, and on clothes would gain by it, but behave as if they did not. They are
# predicted best by the machine without places, as the ResNets are. So we do not find what the paper finds
# on faces, nor what it finds on clothes: there LS and ELS predict its UNet equally well. Being *able* to
# break equivariance is not yet breaking it. A part of what is wrong with the networks' pictures may be
# just this: that they do not know where they are.
#
# ## What could be wrong
#
# - **Training may be too short.** To learn where it is, a UNet must carry what it sees of the borders
#   through its coarse scales to the middle. That may come late. Ours made {glue:text}`updates:s`
#   updates, the paper's about 140,000.
# - **LS has few patches**, one from each of {glue:text}`n_class:s` images of the class; the paper's has six
#   times as many. With more it might be more like the UNet. But the first test does not depend on LS.
# - **Smileys are few and plain.** Photographs of faces may still give what the paper has. And the ResNet of
#   emoji is a poor control: it overshoots, so every theory fits it badly, place or no place.
# - **A moved picture is an odd picture.** Part of it is cut off. ELS and the ResNet show what this
#   alone does. And in strong noise the UNet is the worst of the four before anything is moved, so
#   that the same disturbance makes a smaller factor.
