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
# # What locality and equivariance do
#
# A perfect denoiser only [gives back what it was shown](01_memorisation). Two limits of a convolutional network change
# that. It is *local*: a pixel is judged by the window around it. And it is *equivariant*: it does not know where in the
# picture it is, so what it has learned in one place it applies everywhere. Which of the two makes new pictures? And what
# are these made of?
#
# **Locality makes them, out of small pieces of many training images; equivariance gives it more pieces to choose from.**

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 8  # noise images, at least 2
n_toy: int = 30  # noise images of the toy, at least 2
n_fine: int = 3  # noise images that are taken to very low noise, 1 to n_seeds
fine_steps: int = 40  # steps they take, at least 20

# %% tags=["hide-input"]
import torch
import torch.nn.functional as F

from elslib import EquivariantLocalScore, EquivariantScore, IdealScore, ImageSet, LocalScore, load
from elslib.analysis.intervals import median_interval, share_interval
from elslib.analysis.metrics import nearest_image, nearest_shift
from elslib.analysis.mosaic import certify, pieces, plain
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.figures.plots import Line, image_grid, in_colours, lines
from elslib.figures.toy import Toy
from elslib.samplers import ddim, geometric_times, initial_noise, sample, uniform_times
from elslib.scales import constant_scale, published_scale
from elslib.schedules import cosine

schedule, images = cosine(), load("fashion_mnist_10k")
scale = published_scale("fmnist-resnet-zeros")
seeds = list(range(seed, seed + n_seeds))
label = torch.tensor([s % len(images.class_names) for s in seeds])
noise = initial_noise(seeds, images.pixels.shape[1:])
of_class = [images.subset(int(y)).pixels for y in label]

# %% tags=["hide-input"]
machines = {
    "IS": IdealScore(images),
    "ES": EquivariantScore(images),
    "LS": LocalScore(images, scale),
    "ELS": EquivariantLocalScore(images, scale),
}
samples = {name: sample(machine, noise, label) for name, machine in machines.items()}
distance = {
    name: {
        "image": torch.cat([nearest_image(x[i : i + 1], D)[1] for i, D in enumerate(of_class)]),
        "shift": torch.cat([nearest_shift(x[i : i + 1], D) for i, D in enumerate(of_class)]),
    }
    for name, x in samples.items()
}

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-machines", "caption": "One noise image a column, four machines. IS returns a training image, ES a shifted one, cut where it wraps around. LS and ELS put new pictures together. Below each: root mean square distance to the nearest training image, with any cyclic shift allowed."}, "image": {"alt": "Grid of small pictures of clothes. Rows: ideal, equivariant, local, and equivariant local machine. The first row shows plain training images, the second shifted ones, the last two slightly odd new garments."}}
notes = {name: [f"{d:.2f}" for d in found["shift"].tolist()] for name, found in distance.items()}
image_grid(samples, [images.class_names[int(y)] for y in label], notes)

# %% tags=["remove-cell"]
for name, found in distance.items():
    found = {key: median_interval(values) for key, values in found.items()}
    glue_all({f"{name}_{key}": interval for key, interval in found.items()})
ends = {"widest": max(scale.windows), "narrowest": min(scale.windows)}
glue_all(ends | {"n_images": f"{len(images):,}", "n_seeds": n_seeds})

# %% [markdown]
# All four answer with weighted means of training pixels, of {glue:text}`n_images:s` images. They differ in what they
# compare.
#
# - The *ideal* machine (IS) compares whole images.
# - The *equivariant* machine (ES) compares whole images with all cyclic shifts of all images.
# - The *local* machine (LS) compares the window around a pixel with the same place in all images.
# - The *equivariant local* machine (ELS) compares the window with all places of all images where
#   the borders look the same.
#
# Equivariance alone does not create: ES ends at a shifted training image. Locality does: LS ends {glue:text}`LS_shift:.2f`
# away from the nearest one, with any shift allowed, and ELS {glue:text}`ELS_shift:.2f`. A real garment that was not in
# training is [nearer to the data](01_memorisation): these are new, and strange.
#
# ## Why blindness gives this sum
#
# Training asks for the guess with the least mean square error. Whatever the guess may depend on, the best one is the mean
# of what is possible, given just that. So everything hangs on what a pixel is *given*.
#
# 1. *Given the whole noisy image*, the possible pictures are the training images. Each counts by how well it explains the
#    noise, $w_i \propto \exp(-\lVert x_t - \alpha_t x_0^{(i)} \rVert^2 / 2\sigma_t^2)$, and the mean is that of IS.
# 2. *Given only the window* around it, a pixel cannot tell apart two noisy images that agree there. What is outside drops
#    out of the distance; each pixel has weights of its own. That is LS.
# 3. *Given the window, but not the place*, it cannot tell apart two windows of the same content in different places.
#    Every place of every training image where such a window could have come from is possible, and counts alike. That is
#    ELS: the same sum over more patches.
#
# Here is that sum for one pixel.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-one-sum", "caption": "One pixel's guess, late in a drawing. From the left: the noisy picture, with the window of one pixel outlined; the window; the six training patches that explain it best, with their weights. The guess is the mean of all patches' centres, by weight."}, "image": {"alt": "Eight small pictures: a noisy garment with a square outlined, the noisy content of the square, and six small patches of garments that resemble it, each with a number."}}
late = list(ddim(machines["ELS"], noise[:1], uniform_times(20), label[:1]))[14]
side, (q, p) = scale.window_at(late.t), (16, 16)
found = machines["ELS"].posterior(late.x, late.t, int(label[0]), top=6)
of, reach, noisy = found.origins, side // 2, late.x[0] / late.x[0].abs().max()
box = noisy.clone()
for edge in (q - reach - 1, q + reach + 1):
    box[:, edge, p - reach - 1 : p + reach + 2] = box[:, q - reach - 1 : q + reach + 2, edge] = 1.0
squares = [noisy[:, q - reach : q + reach + 1, p - reach : p + reach + 1]]
for k in range(6):
    i, a, b = (int(some[0, k, q, p]) for some in (of.image, of.row, of.col))
    squares.append(images.pixels[i, :, a - reach : a + reach + 1, b - reach : b + reach + 1])
squares = F.interpolate(torch.stack(squares), size=noisy.shape[1:])
weights = [f"{100 * float(w):.0f}%" for w in of.weight[0, :, q, p]]
image_grid(
    {"": torch.cat([box[None], squares])},
    ["picture", "window", *["patch"] * 6],
    {"": ["", "", *weights]},
)

# %% [markdown]
# ## The smallest world
#
# To see the mechanism, take two training images: one all black, one all white. Windows are 3 x 3,
# and the picture wraps around. Each pixel compares its window with an all-black and an all-white
# one. The closer one wins, and that is whatever colour the *majority* of the nine pixels has. So a
# picture is stable exactly if every pixel agrees with the majority of its window. There are a great
# many such pictures, while the training set has two.

# %% tags=["hide-input"]
Toy(seed)

# %% [markdown]
# *Run it from noise, then with fewer steps. Click on a pixel to turn it over: orange pixels go against the
# majority of their window. Run on, and the picture comes to rest again, not always in the same place.*
#
# The theory promises a picture at rest for a flow that is followed without error, down to no noise at all.
# A sampler takes steps. In a large one all pixels move at once, each by what its window showed *before*, and
# a neighbour that turned over meanwhile is not heard. How many pixels end up against their majority?

# %% tags=["hide-input"]
toy = torch.tensor([-1.0, 1.0], dtype=torch.float64)[:, None, None, None].expand(2, 1, 16, 16)
toy_machine = EquivariantLocalScore(ImageSet(toy), constant_scale(3), edges="circular")
toy_noise = initial_noise(range(seed, seed + n_toy), (1, 16, 16)).double()
grids = {
    "equal steps in t": {n: uniform_times(n) for n in (5, 10, 20, 50, 100)},
    "equal factors, to 0.0001": {n: geometric_times(n, schedule, 1e-4) for n in (20, 50, 100)},
    "equal factors, to 0.01": {n: geometric_times(n, schedule, 1e-2) for n in (20, 50, 100)},
}
faults = {}
for name, times in grids.items():
    for n, grid in times.items():
        signs = sample(toy_machine, toy_noise, times=grid).sign()
        wrong = certify(signs, toy, 3, "circular").fault > 1
        faults[name, n] = wrong.double().mean(dim=(1, 2))  # a share for each picture

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-toy-steps", "caption": "Share of pixels against the majority of their window, by the number of steps: mean over the pictures. Equal steps in t end at a noise level that shrinks only as one over their number. The others end at a ratio of noise to signal of 0.01 or 0.0001."}, "image": {"alt": "Line plot on a logarithmic axis: the share of faulty pixels falls with the number of steps, and lies lowest for steps of equal factors."}}
lines(
    {
        name: Line(list(times), [100 * float(faults[name, n].mean()) for n in times])
        for name, times in grids.items()
    },
    "steps",
    "faulty pixels, %",
)

# %% tags=["remove-cell"]
table = [["grid", "steps", "pictures with a fault", "faulty pixels"]]
for (name, n), share in faults.items():
    some = share_interval(int((share > 0).sum()), n_toy)
    mean, error = 100 * float(share.mean()), 100 * float(share.std()) / n_toy**0.5
    table.append([name, n, some, f"{mean:.2f} ± {error:.2f}%"])
    end = "fine" if "0.0001" in name else "uniform" if "equal steps" in name else "middle"
    glue_all({f"toy_{end}_{n}": mean, f"toy_{end}_{n}_error": error})
glue_all({"n_toy": n_toy})
toy_table = table

# %% [markdown]
# So two things leave faults: large steps, and stopping while there is still noise.
#
# ## A certificate for real pictures
#
# The theorem says the same of every local machine: follow the flow to its end, and each pixel equals
# the centre of the training patch nearest to its window. That can be checked, pixel by pixel. We
# call the distance between a pixel and that centre its *fault*. Here it is for
# {glue:text}`n_fine` pictures by ELS. First as they come out of the usual 20 steps, then taken on to
# very low noise.

# %% tags=["hide-input"]
grids = {f"{n} equal steps": uniform_times(n) for n in (20, 200)}
for n in (fine_steps, 3 * fine_steps):
    grids[f"{n} to low noise"] = geometric_times(n, schedule, 1e-4)
els, window = machines["ELS"], scale.windows[0]
certificates, moving = {}, {}
with torch.no_grad():
    for name, times in grids.items():
        *_, last = ddim(els, noise[:n_fine], times, label[:n_fine])
        checks = [
            certify(x[None], D, window, "aware")
            for x, D in zip(last.x0, of_class[:n_fine], strict=True)
        ]
        certificates[name] = last.x0, checks
        away = (last.x / schedule.levels(last.t)[0] - last.x0).abs().amax(dim=1) > 2 / 255
        moving[name] = median_interval(100 * away.double().mean(dim=(1, 2)))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-certificate", "caption": "ELS pictures, and under each row the fault of every pixel: black is none, white is 0.2 or more (pixels run from -1 to 1). Upper two rows: 20 steps. Lower two: taken to low noise."}, "image": {"alt": "Four rows of small pictures: garments after 20 steps, a map of their faults, grey specks all over the garments, garments taken to low noise, and their faults, with fewer specks."}}
rows = {}
for name in (list(grids)[0], list(grids)[-1]):
    x, checks = certificates[name]
    fault = torch.cat([check.fault for check in checks])[:, None]
    rows |= {name.replace(" ", "\n", 1): x, f"faults,\n{name}": 10 * fault - 1}
image_grid(rows)

# %% tags=["remove-cell"]
table = [["steps", "% with a fault above 2/255", "garment alone", "median fault", "% not at rest"]]
for name, (x, checks) in certificates.items():
    missed, garment = torch.cat([c.fault for c in checks]) > 2 / 255, ~plain(x, window)
    part = median_interval(100 * (missed & garment).sum(dim=(1, 2)) / garment.sum(dim=(1, 2)))
    middle = torch.cat([check.fault.flatten(1).quantile(0.5, dim=1) for check in checks])
    percent = median_interval(100 * missed.double().mean(dim=(1, 2)))
    key = dict(zip(grids, ("coarse", "equal", "fine", "finer"), strict=True))[name]
    glue_all({key: percent, f"{key}_garment": part, f"{key}_moving": moving[name]})
    table.append([name, percent, part, f"{median_interval(middle):.4f}", moving[name]])
glue_all({"n_fine": n_fine, "window": window})
certificate_table = table

# %% [markdown]
# After 20 steps {glue:text}`coarse:.0f`% of the pixels are farther than 2/255 from their centre: the last estimate still
# averages patches. When the noise ends at a ten-thousandth of the picture, it is {glue:text}`fine:.0f`%. We had hoped for
# less than 1%. Why not?
#
# The theorem says what holds *if* the flow comes to rest, and it has not: {glue:text}`fine_moving:.0f`% of the pixels are
# still on their way, farther off than so little noise explains. A pixel that moves changes its neighbours' windows, and
# so which patch is nearest to them; they set out anew. Three times as many steps change little: it is mostly the flow
# itself.
#
# ## How many pieces?
#
# The certificate also says where each pixel comes from: which image, which place. Neighbouring
# pixels that come from neighbouring places of one image form a piece. The plain background is left
# out: thousands of patches are plain, and which of them is nearest says nothing.

# %% tags=["hide-input"]
mosaics = {"LS": [], "ELS": []}
for name, found in mosaics.items():
    border = machines[name].border
    for i, D in enumerate(of_class):
        x = samples[name][i : i + 1]
        found.append(pieces(certify(x, D, window, border).origins, border, ~plain(x, window)))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-pieces", "caption": "The pictures of LS and ELS, and the pieces they are made of, one colour a piece. Black: background, left out."}, "image": {"alt": "Four rows of pictures: garments by LS, the same cut into coloured pieces, garments by ELS, the same cut into coloured pieces, which are small."}}
rows = {}
for name, found in mosaics.items():
    rows[name] = samples[name].expand(-1, 3, -1, -1)
    rows[f"pieces,\n{name}"] = in_colours(torch.cat([part.number for part in found]))
image_grid(rows)

# %% tags=["remove-cell"]
count = torch.cat([part.count for part in mosaics["ELS"]])
area = torch.cat([(part.number >= 0).sum((1, 2)) for part in mosaics["ELS"]]) / count
glue_all({"ELS_area": median_interval(area.double())})

# %% [markdown]
# Give each pixel of an ELS picture to its nearest patch, and neighbours hardly ever come from the same image: a piece has
# {glue:text}`ELS_area:.1f` pixels in the median. With many near ties this says how little any one source matters, not how
# many there are.
#
# ## What it means
#
# What is new is the arrangement. Each place was settled by what its own window shows, asking no other.
#
# ## What could be wrong
#
# - **Few pictures:** {glue:text}`n_seeds` from noise, {glue:text}`n_fine` with a certificate, {glue:text}`n_toy` toys.
# - **The last window is small.** Choices made earlier, in wide windows, keep many neighbouring pieces in
#   agreement; a count at the window of the last step does not show it.
# - **Near ties.** Where patches are about equally near, which one is named is chance, and may cut a piece.
# - **Cyclic shifts** wrap garments around the border, as the machine ES must. It looks worse for it.
# - **The distance to the nearest image** says that a picture is new, not that it is good.
# - **The windows** are those that the authors published for a network on these images, from {glue:text}`widest` pixels at
#   high noise down to {glue:text}`narrowest`.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "Faults of the smallest world", "code_prompt_hide": "Faults of the smallest world"}
markdown_table(toy_table, ".2f")

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "Certificates", "code_prompt_hide": "Certificates"}
markdown_table(certificate_table, ".1f")

# %% [markdown]
# *Medians with 95% bootstrap intervals, shares with Wilson's, after ± the standard error. "Not at rest" are
# pixels of the noisy picture farther than 2/255 from the last estimate.*
