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
# A piece is usually one pixel: it is the windows that agree with their neighbours', not the sources. Clothes are
# averages of many similar patches; emoji come [closer to a mosaic](11_mosaic).

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 8  # noise images, at least 2
n_toy: int = 30  # noise images of the toy, at least 2
n_fine: int = 3  # noise images that are taken to very low noise, 1 to n_seeds
fine_steps: int = 40  # steps they take, at least 20

# %% tags=["hide-input"]
import torch

from elslib import EquivariantLocalScore, EquivariantScore, IdealScore, ImageSet, LocalScore, load
from elslib.analysis.intervals import mean_interval, median_interval, share_interval
from elslib.analysis.metrics import nearest_image, nearest_shift
from elslib.analysis.mosaic import certify, pieces, plain
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.figures.one_sum import one_sum
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
held_out, classes = load("fashion_mnist_test_1k"), label.unique().tolist()
real = [held_out.subset(y).pixels[:5] for y in classes]  # garments that were never trained on
nearest = [nearest_shift(x, images.subset(y).pixels) for x, y in zip(real, classes, strict=True)]
unseen = torch.cat(nearest)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-machines", "caption": "One noise image a column, four machines. IS returns a training image, ES a shifted one, cut where it wraps around. LS and ELS put new pictures together. Below each: root mean square distance to the nearest training image, with any cyclic shift allowed. The windows are those that the authors published, in 20 steps; later chapters draw from the same noise with other windows and steps, so their pictures differ."}, "image": {"alt": "Grid of small pictures of clothes. Rows: ideal, equivariant, local, and equivariant local machine. The first row shows plain training images, the second shifted ones, the last two slightly odd new garments."}}
notes = {name: [f"{d:.2f}" for d in found["shift"].tolist()] for name, found in distance.items()}
image_grid(samples, [images.class_names[int(y)] for y in label], notes)

# %% tags=["remove-cell"]
for name, found in distance.items():
    found = {key: median_interval(values) for key, values in found.items()}
    glue_all({f"{name}_{key}": interval for key, interval in found.items()})
ends = {"widest": max(scale.windows), "narrowest": min(scale.windows)}
counts = {"n_seeds": n_seeds, "n_toy": n_toy, "n_fine": n_fine}
glue_all(ends | counts | {"n_images": f"{len(images):,}"})
new = min(float(distance[name]["shift"].median()) for name in ("LS", "ELS"))
verdict = f"So these are new{', and strange' if new > float(unseen.median()) else ''}."
glue_all({"unseen": median_interval(unseen), "n_unseen": len(unseen), "verdict": verdict})

# %% [markdown]
# All four answer with weighted means of training pixels, of {glue:text}`n_images:s` images. They differ in what they
# compare.
#
# - The *ideal* machine (IS) compares whole images.
# - The *equivariant* machine (ES) compares whole images with all cyclic shifts of all images.
# - The *local* machine (LS) compares the window around a pixel with the same place in all images.
# - The *equivariant local* machine (ELS) compares the window with all places where the borders look the same.
#
# Equivariance alone does not create: ES ends at a shifted training image. Locality does: LS ends {glue:text}`LS_shift:.2f`
# away from the nearest one, with any shift allowed, and ELS {glue:text}`ELS_shift:.2f`.
#
# Is that far? Real garments that were not in training lie {glue:text}`unseen:.2f` from the nearest one, in the median of
# {glue:text}`n_unseen:d` and again with any shift allowed. {glue:text}`verdict:s`
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

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-one-sum", "caption": "One pixel's guess, late in a drawing. From the left: the noisy picture, with the window of one pixel outlined in blue; the window; the six training patches that explain it best, with their weights; the mean of all the others; and the guess, which is the mean of all patches' centres, by weight. Centres are outlined in orange."}, "image": {"alt": "Ten small pictures: a noisy garment with a square outlined, the noisy content of the square, six small patches of garments that resemble it, each with a number and its middle pixel outlined, and two plain squares: what all other patches say together, and the guess."}}
late = list(ddim(machines["ELS"], noise[:1], uniform_times(20), label[:1]))[14]
one_sum(machines["ELS"], late.x, late.t, int(label[0]), (16, 16))

# %% [markdown]
# ## The smallest world
#
# To see the mechanism, take two training images: one all black, one all white. Windows are 3 x 3, and the picture wraps
# around. Each pixel compares its window with an all-black and an all-white one. The closer one wins, and that is whatever
# colour the *majority* of the nine pixels has. So a picture is stable exactly if every pixel agrees with the majority of
# its window. There are a great many such pictures, while the training set has two.
#
# That is the smallest case of a theorem of {cite:t}`kamb2025analytic`: if the noise is removed infinitely slowly and the
# flow converges, every pixel ends equal to the centre of the training patch nearest to its window.

# %% tags=["hide-input"]
Toy(seed)

# %% [markdown]
# *Run it from noise, then with fewer steps. Click on a pixel to turn it over: orange pixels go against the
# majority of their window. Run on, and the picture comes to rest again, not always in the same place.*
#
# The theorem speaks of a flow that is followed without error, down to no noise at all. A sampler takes steps. In a
# large one all pixels move at once, each by what its window showed *before*, so it misses what its neighbours change in
# the same step. How many pixels end up against their majority?

# %% tags=["hide-input"]
toy = torch.tensor([-1.0, 1.0], dtype=torch.float64)[:, None, None, None].expand(2, 1, 16, 16)
toy_machine = EquivariantLocalScore(ImageSet(toy), constant_scale(3), edges="circular")
toy_noise = initial_noise(range(seed, seed + n_toy), (1, 16, 16)).double()
grids = {"equal steps": {n: uniform_times(n) for n in (5, 10, 20, 50, 100)}}
for word, end in {"1/100": 1e-2, "1/10,000": 1e-4, "1e-9": 1e-9}.items():
    some = {n: geometric_times(n, schedule, end) for n in (20, 50, 100)}
    grids[f"fixed factor, to {word}"] = some
faults = {}
for name, times in grids.items():
    for n, grid in times.items():
        signs = sample(toy_machine, toy_noise, times=grid).sign()
        wrong = certify(signs, toy, 3, "circular").fault > 1
        faults[name, n] = wrong.double().mean(dim=(1, 2))  # a share for each picture

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-toy-steps", "caption": "Share of pixels against the majority of their window, by the number of steps: mean over the pictures. Equal steps of time end at a noise level that shrinks only as one over their number. In the others noise shrinks by a fixed factor each step, until it is a hundredth, a ten-thousandth or a billionth of the signal."}, "image": {"alt": "Line plot: the share of faulty pixels falls with the number of equal steps. It lies lower where noise shrinks by a fixed factor each step, the lower the less noise is left at the end."}}
lines(
    {
        name: Line(list(times), [100 * float(faults[name, n].mean()) for n in times])
        for name, times in grids.items()
    },
    "steps",
    "faulty pixels, %",
)

# %% tags=["remove-cell"]
toy_table = [["grid", "steps", "pictures with a fault", "faulty pixels"]]
for (name, n), share in faults.items():
    some = share_interval(int((share > 0).sum()), n_toy)
    toy_table.append([name, n, some, mean := mean_interval(100 * share)])
    end = ("uniform", "middle", "fine", "finest")[list(grids).index(name)]
    glue_all({f"toy_{end}_{n}": mean})

# %% [markdown]
# So large steps leave faults, and so does stopping while there is still noise. With small steps few are left, and fewer
# the lower the final noise: {glue:text}`toy_fine_100:.2f`% of the pixels if it is a ten-thousandth of the signal,
# {glue:text}`toy_finest_100:.2f`% if it is a billionth.
#
# ## A certificate for real pictures
#
# The theorem holds for every local machine: if its flow comes to rest, each pixel equals the centre of the training patch
# nearest to its window. That can be checked, pixel by pixel. We call the distance between a pixel and that centre its
# *fault*. Here it is for {glue:text}`n_fine` pictures by ELS: first as they come out of the usual 20 steps, then taken on
# to very low noise.

# %% tags=["hide-input"]
grids = {f"{n} equal steps": uniform_times(n) for n in (20, 100)}
for n in (fine_steps, 3 * fine_steps):
    grids[f"{n} to low noise"] = geometric_times(n, schedule, 1e-4)
els, window = machines["ELS"], scale.windows[0]
certificates, moving, faults_of = {}, {}, {}
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
        faulty = torch.cat([check.fault for check in checks]) > 2 / 255
        pool = torch.nn.functional.max_pool2d(away[:, None].float(), window, 1, window // 2)
        rest = pool[:, 0] == 0  # no pixel of the window is on its way; of these and of all others:
        shares = [faulty[some].double().mean() if some.any() else 0 for some in (rest, ~rest)]
        faults_of[name] = [100 * float(share) for share in shares]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-certificate", "caption": "ELS pictures, and under each row the fault of every pixel: black is none, white is 0.2 or more (pixels run from -1 to 1). Upper two rows: 20 equal steps. Lower two: noise shrinks by a fixed factor each step, to a ten-thousandth of the signal."}, "image": {"alt": "Four rows of small pictures: garments after 20 steps, a map of their faults, grey specks all over the garments, garments taken to low noise, and their faults, with fewer specks."}}
rows = {}
for name in (list(grids)[0], f"{fine_steps} to low noise"):
    x, checks = certificates[name]
    fault = torch.cat([check.fault for check in checks])[:, None]
    rows |= {name.replace(" ", "\n", 1): x, f"faults,\n{name}": 10 * fault - 1}
image_grid(rows)

# %% tags=["remove-cell"]
columns = ["% with a fault above 2/255", "garment alone", "median fault", "% not at rest"]
certificate_table = [["steps", *columns, "% with a fault, at rest", "others"]]
for name, (x, checks) in certificates.items():
    missed, garment = torch.cat([c.fault for c in checks]) > 2 / 255, ~plain(x, window)
    part = median_interval(100 * (missed & garment).sum(dim=(1, 2)) / garment.sum(dim=(1, 2)))
    middle = torch.cat([check.fault.flatten(1).quantile(0.5, dim=1) for check in checks])
    percent = median_interval(100 * missed.double().mean(dim=(1, 2)))
    key = dict(zip(grids, ("coarse", "equal", "fine", "finer"), strict=True))[name]
    glue_all({key: percent, f"{key}_garment": part, f"{key}_moving": moving[name]})
    glue_all({f"{key}_rest": faults_of[name][0], f"{key}_stir": faults_of[name][1]})
    middle = f"{median_interval(middle):.4f}"
    certificate_table.append([name, percent, part, middle, moving[name], *faults_of[name]])

# %% [markdown]
# After 20 equal steps {glue:text}`coarse:.0f`% of the pixels are farther than 2/255 from their centre: the last estimate
# still averages patches. When noise is 1/10,000 of the signal at the end, it is {glue:text}`fine:.0f`%. We had hoped for
# less than 1%. Why not?
#
# The theorem says what holds *if* the flow comes to rest, and it has not everywhere. Where all pixels of the window have
# come to rest, {glue:text}`fine_rest:.1f`% have a fault; where some are still on their way, {glue:text}`fine_stir:.0f`%. A
# pixel that moves changes its neighbours' windows, and so which patch is nearest to them; they set out anew.
#
# ## How many pieces?
#
# The certificate also says where each pixel comes from: which image, which place. Neighbouring pixels that come from
# neighbouring places of one image form a piece. Plain pixels are left out: thousands of patches are plain, and which of
# them is nearest says nothing.

# %% tags=["hide-input"]
mosaics = {"LS": [], "ELS": []}
for name, found in mosaics.items():
    border = machines[name].border
    for i, D in enumerate(of_class):
        x = samples[name][i : i + 1]
        found.append(pieces(certify(x, D, window, border).origins, border, ~plain(x, window)))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-pieces", "caption": "The pictures of LS and ELS, and the pieces they are made of, one colour a piece. Black: plain pixels, left out, on the garment too."}, "image": {"alt": "Four rows of pictures: garments by LS, the same cut into coloured pieces, garments by ELS, the same cut into coloured pieces, which are small."}}
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
# Assign each pixel of an ELS picture to its nearest patch, and neighbours hardly ever come from the same image: a piece
# has {glue:text}`ELS_area:.1f` pixels in the median, so it is usually a single pixel. With many near ties this says how
# little any one source matters, not how many there are. What neighbours share is not a source but most of their windows.
#
# ## What it means
#
# Nothing in the picture is new except the arrangement: each pixel decides from its own window, without consulting the
# others.
#
# ## What could be wrong
#
# - **Few pictures:** {glue:text}`n_seeds` from noise, {glue:text}`n_fine` with a certificate, {glue:text}`n_toy` toys.
# - **The last window is small.** Choices made earlier, in wide windows, keep many neighbouring pieces consistent; a
#   count at the window of the last step does not show it. Which of many near patches is named is chance, too.
# - **Distances.** Cyclic shifts wrap garments around the border, as the machine ES must; it looks worse for it. And the
#   distance to the nearest image says that a picture is new, not that it is good.
# - **The windows** are those that the authors published for a network on these images, from {glue:text}`widest` pixels at
#   high noise down to {glue:text}`narrowest`.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "Faults of the smallest world", "code_prompt_hide": "Faults of the smallest world"}
markdown_table(toy_table, ".2f")

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "Certificates", "code_prompt_hide": "Certificates"}
markdown_table(certificate_table, ".1f")

# %% [markdown]
# *Of the toy: shares with Wilson's, means with bootstrap 95% intervals. Certificates: medians, and in brackets the range
# over the pictures. "Not at rest" are pixels of the noisy picture farther than 2/255 from the last estimate. The last two
# columns: the faults of pixels whose whole window is at rest (0 if there are none), and of the others.*
