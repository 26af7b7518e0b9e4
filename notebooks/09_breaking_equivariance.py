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
# A pixel of our ResNet sees {glue:text}`reach_ResNet:d` x {glue:text}`reach_ResNet:d` pixels. In the middle of a
# picture it sees no border, and so cannot know where it is. The layers of the *UNet* span {glue:text}`reach_UNet:d` x
# {glue:text}`reach_UNet:d`, more than the whole picture. Every pixel sees a border above or below and one at a side. It
# *could* know its place. Where all training images are aligned that would be useful: an eye belongs where eyes are, and
# patches from elsewhere only mislead. Does it learn to?
#
# **On photographs of faces it seems to: there LS, the theory that knows places, predicts the UNet a little better.** On
# clothes and digits, which are only centred, what it knows of its place is hardly more than the sight of borders explains.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
resnet: str = "fashion-resnet"  # a zero-padded ResNet in data/networks with an agreement table
unet: str = "fashion-unet"  # a UNet trained on the same images, with an agreement table
label: int = 2  # class of the pictures in the grid
seed: int = 0  # seed of the first noise image of the grid, and of the choice of held-out images
n_seeds: int = 6  # number of noise images in the grid
n_images: int = 24  # held-out images that are moved, at least 2
time: float = 0.7  # noise level at which they are moved, above 0 and at most 1
other_time: float = 0.9  # a second one, at which they are moved once
faces: str = "celeba-unet"  # a UNet of photographs of faces, with an agreement table
faces_resnet: str = "celeba-resnet"  # a ResNet of the same photographs, likewise

# %% tags=["hide-input"]
import torch
from torch.nn.functional import pad

from elslib import pearson_r
from elslib.analysis.agreement import share_above, values
from elslib.analysis.intervals import median_interval
from elslib.analysis.receptive_field import receptive_field
from elslib.analysis.theories import theory_of
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments import recipes
from elslib.experiments.agreement_results import read_pictures, read_rows
from elslib.experiments.store import load_card, load_network, load_scale, training_images
from elslib.experiments.titles import title
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import initial_noise, sample, uniform_times
from elslib.windows import admissible_count

names = {"ResNet": resnet, "UNet": unet}
EMOJI = {"ResNet": "emoji-resnet", "UNet": "emoji-unet"}
DIGITS = {"ResNet": "mnist-resnet", "UNet": "mnist-unet"}
PAIRS = {"chosen": names, "digits": DIGITS, "emoji": EMOJI}
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
for kind in names:  # from how many rows a pixel gets anything at all, in a picture of any size
    conditions = torch.full((8,), label) if denoisers[kind].config.classes else None
    large = initial_noise(range(8), (shape[0], 64, 64))
    reached = receptive_field(denoisers[kind], large, time, conditions).sum(1) > 0
    glue_all({f"reach_{kind}": int(reached.sum())})

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-faces", "caption": "Two theories, and two networks that learned photographs of faces, from the same noise. Under the theories their agreement r with the UNet. None of these is a photograph."}, "image": {"alt": "Four rows of six small pictures in colour, one column a noise image. ResNet and ELS: nearly the same patchworks of skin, hair and background, with bits of faces in odd places. LS and UNet: whole faces from the front, much alike in the two rows."}}
of_faces, told = read_pictures(faces), read_rows(faces)
drawn = {"ResNet": read_pictures(faces_resnet)["network"][:n_seeds]}
drawn |= {row: of_faces[row.replace("UNet", "network")][:n_seeds] for row in ("ELS", "LS", "UNet")}
r = {name: values(told, name) for name in ("ELS", "LS", "IS")}
notes = {row: [f"r = {v:.2f}" for v in r[row][:n_seeds].tolist()] for row in ("ELS", "LS")}
ahead, gaps = share_above(told, "LS", "ELS"), {"gap": r["LS"] - r["ELS"]}
gaps["short"] = values(told, "LS", 20) - values(told, "ELS", 20)
glue_all({f"faces_{name}": median_interval(some) for name, some in {**r, **gaps}.items()})
widest = max(load_scale(faces, "els").windows)
behind = share_above(read_rows(faces_resnet), "LS", "ELS")  # with a network that sees little
glue_all({"faces_ahead": 100 * ahead, "faces_behind": 100 * behind, "faces_widest": widest})
image_grid(drawn, [f"seed {i}" for i in range(n_seeds)], notes)

# %% [markdown]
# One column is one noise image. ELS, with the windows that fit the UNet best among those up to
# {glue:text}`faces_widest:d` pixels, knows what belongs together nearby, but not where. It draws bits of faces in odd
# places, and so does the ResNet. LS compares a pixel only with the same pixel of the training images, and draws faces.
#
# *The UNet mostly draws the same faces.* LS is closer to it than ELS on {glue:text}`faces_ahead:.0f` of a hundred noise
# images, if only by {glue:text}`faces_gap:.3f` in the median, less than in the paper. With the ResNet, which cannot know
# its place, it is on {glue:text}`faces_behind:.0f`. Nor was it so when the UNet was young: then [ELS was
# closer](16_early_training). So it seems to have learned its place. It is no proof, for wider windows were not tried, and
# through such as these ELS sees no border from the middle of the picture.
#
# ## Clothes

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-place", "caption": "Same noise, five answers. Under ELS its agreement r with the ResNet, under the other theories theirs with the UNet."}, "image": {"alt": "Grid of small pictures of clothes, one column for each noise image. Rows: ELS and ResNet, both alike and in pieces; ELS with wide windows, LS and UNet, all three alike, most of them whole pullovers."}}
noise = initial_noise(range(seed, seed + n_seeds), shape)
classes = torch.full((n_seeds,), label)
steps = {"ELS": 20, "ResNet": 150, "ELS, wide": 20, "LS": 20, "UNet": 150}
drawn = {name: sample(denoisers[name], noise, classes, n) for name, n in steps.items()}
r = {name: pearson_r(drawn[name], drawn[kind]) for name, (_, kind) in THEORIES.items()}
notes = {row: [f"r = {value:.2f}" for value in some.tolist()] for row, some in r.items()}
image_grid(drawn, [f"seed {seed + i}" for i in range(n_seeds)], notes)

# %% [markdown]
# The class is always "{glue:text}`what:s`". ELS, with the ResNet's windows, and the ResNet piece together what nobody
# could wear. LS draws garments, and so does ELS with the wide windows that fit the UNet. The UNet draws the same.
#
# For clothes the paper reports that LS and ELS predict its UNet equally well. So we ask three things. Which of them do
# moved pictures disturb? Would it help to know the place? And which theory predicts what is drawn?
#
# ## Move the picture
#
# Take {glue:text}`n_images` pictures on which no network was trained, and move each to the right by some pixels. What
# leaves the frame is lost; the gap on the left is filled by repeating the first column. Add noise, at t =
# {glue:text}`time`, and ask networks and theories for the clean picture. One that expects a sleeve in a certain place
# will make larger errors.

# %% tags=["hide-input"]
distances = 0, 2, 4, 6, 8
clean, moved, noisy, estimates, grown, disturbed = {}, {}, {}, {}, {}, {}
for what, pair in PAIRS.items():
    held_out, width = recipes.held_out_images(pair["UNet"]), shape[-1]
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(held_out), generator=generator)[:n_images]
    labels = held_out.labels[chosen] if theirs[what]["UNet"].config.classes else None
    picture = held_out.pixels[chosen]
    eps = torch.randn(picture.shape, generator=generator)
    clean[what] = picture, eps, labels
    for t in (time, other_time):
        alpha, sigma = schedule.levels(t)
        full = what == "chosen" and t == time  # what the figures show
        by = distances if full else (distances[0], distances[-1])
        for d in by:
            moved[what, d] = pad(picture, (d, 0, 0, 0), mode="replicate")[..., :width]
            noisy[what, t, d] = alpha * moved[what, d] + sigma * eps
        for name, denoise in theirs[what].items():
            error = []
            for d in by:
                with torch.no_grad():
                    estimates[what, name, t, d] = x0 = denoise(noisy[what, t, d], t, labels)
                error.append((x0 - moved[what, d]).square().mean((1, 2, 3)))
            disturbed[what, name, t] = [median_interval(some / error[0]) for some in error]
            grown[what, name, t] = error[-1] / error[0]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-moved-pictures", "caption": "Five of the pictures, moved by six pixels; the same with noise; and what each makes of them. ELS has the windows calibrated on the ResNet; ELS, wide, and LS have those calibrated on the UNet."}, "image": {"alt": "Grid of small pictures of clothes. Rows: moved picture, with noise, and the estimates of ELS, ResNet, ELS with wide windows, LS and UNet."}}
far = distances[-2]
shown = {"moved": moved["chosen", far], "noisy": noisy["chosen", time, far]}
shown |= {name: estimates["chosen", name, time, far] for name in steps}
image_grid({name: some[:5] for name, some in shown.items()})

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-disturbed", "caption": "By which factor the error grows when a picture is moved: median over the pictures, with the 95% bootstrap interval as a band. What depends on position rises; some of every rise is due to the border, and to the part that was cut off."}, "image": {"alt": "Line plot of relative error against the number of pixels moved, one line each for ELS, ELS with wide windows, LS, ResNet and UNet. LS rises most, then ELS with wide windows, then the UNet; ELS with narrow windows and the ResNet hardly rise."}}
curves = {name: Line.through(distances, disturbed["chosen", name, time]) for name in denoisers}
axes = ("moved by, pixels", "error / error before it was moved")
lines(curves, *axes, level=1.0, log=False, bottom=0.5)

# %% [markdown]
# LS is disturbed most. The UNet is disturbed, too: if pictures move by {glue:text}`far` pixels, its error grows by a
# factor of {glue:text}`chosen_UNet_disturbed:.2f`. The ResNet, which *cannot* know its place in the middle, hardly
# notices. So the UNet depends on position.
#
# Has it learned where things belong? That does not follow. ELS with the UNet's windows is disturbed still more, by a
# factor of {glue:text}`chosen_wide_disturbed:.2f`, and it knows nothing of places but what borders tell it: near a
# border it compares a pixel only with those that lie equally far from it. Such a [window](04_receptive_fields) is so
# wide here that {glue:text}`sees:.0f`% of all pixels see a border.
#
# So what disturbs the UNet need not be more than the sight of borders. Picture by picture, its error grows
# {glue:text}`chosen_over_wide:.2f` times as much as that of ELS with its windows, which is less.
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
# Seeing far would help, and helps the UNet. In strong noise, at t = {glue:text}`high`, its error is
# {glue:text}`UNet_relative:.2f` of that of ELS with narrow windows. LS and ELS with wide windows come to much the same,
# the ResNet gains nothing. But LS and ELS with wide windows both see far and know places; which of the two helps this
# does not say.
#
# In weak noise, at t = {glue:text}`low`, both networks are better than ELS, the ResNet with
# {glue:text}`ResNet_weak:.2f` of its error.
#
# ## What they draw
#
# A network may know its place because it has stored whole images. We see no sign of it: of {glue:text}`n_copies` samples
# of all networks of this chapter, those of faces included, {glue:text}`copies` nearly copy a training image. With the
# UNet of clothes LS agrees better than ELS on only {glue:text}`chosen_ahead:.0f` of a hundred noise images.
#
# ## Digits and emoji
#
# Two more pairs, and once more clothes, to compare. First the moved pictures, at two noise levels.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["images", "t", "LS", "ELS, UNet's windows", "ResNet", "UNet"]]
for what, pair in PAIRS.items():
    for t in (time, other_time):
        factors = {name: disturbed[what, name, t][-1] for name in denoisers}
        cells = [factors[name] for name in ("LS", "ELS, wide", "ResNet", "UNet")]
        table.append([title(pair["UNet"]).partition(", ")[2], f"{t:g}", *cells])
    for name in denoisers:
        key, over = name.split(", ")[-1], grown[what, "UNet", time] / grown[what, name, time]
        glue_all({f"{what}_{key}_disturbed": disturbed[what, name, time][-1]})
        glue_all({f"{what}_over_{key}": median_interval(over)})
markdown_table(table, ".2f")

# %% [markdown]
# *By which factor the error of each grows when pictures are moved by {glue:text}`far:d` pixels: medians with 95%
# bootstrap intervals.*
#
# The UNet of digits depends on position, too. At t = {glue:text}`time` its error grows
# {glue:text}`digits_over_wide:.2f` times as much as that of ELS with its windows: among moved pictures the one sign of a
# UNet that knows more than borders tell. But these windows are narrow there. In stronger noise, where they are wide, it
# is disturbed less than ELS. The UNet of emoji is hardly disturbed at all. The next table compares what they draw.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["network", "r of LS minus r of ELS", "LS is closer"]]
between = {}  # r of LS minus r of ELS with each network, seed by seed
for what, pair in PAIRS.items():
    for kind, name in pair.items():
        rows = read_rows(name)
        between[name] = values(rows, "LS") - values(rows, "ELS")
        gap, ahead = median_interval(between[name]), share_above(rows, "LS", "ELS")
        table.append([title(name), f"{gap:+.3f}", f"{100 * ahead:.0f}%"])
        glue_all({f"{what}_{kind}_gap": gap, f"{what}_{kind}_ahead": ahead})
markdown_table(table)

# %% [markdown]
# *Medians over the noise images with 95% bootstrap intervals; on which share of them LS is closer.* With each of these
# networks LS is behind: with the UNets of clothes and digits only a little, with that of emoji clearly.

# %% tags=["remove-cell"]
everyone = [name for pair in PAIRS.values() for name in pair.values()] + [faces, faces_resnet]
shares = [load_card(name)["near_copies"] for name in everyone]
wide = load_scale(unet, "els").window_at(time)
n = admissible_count(*shape[1:], wide, "aware")  # fewer places for who sees a border
glue_all(
    {
        "n_images": n_images,
        "far": distances[-1],
        "time": time,
        "high": times[1],
        "what": images.class_names[label],
        "n_class": f"{len(images.subset(label)):,}",
        "chosen_ahead": 100 * share_above(read_rows(unet), "LS", "ELS"),
        "copies": round(100 * sum(shares)),
        "n_copies": 100 * len(shares),
        "sees": 100 * float((n < n.max()).float().mean()),
        **{f"{name.split(', ')[-1]}_relative": row[1] for name, row in relative.items()},
        "low": times[-1],
        "ResNet_weak": relative["ResNet"][-1],
    }
)

# %% [markdown]
# ## What it means
#
# UNets of clothes and digits depend on their place. On clothes ELS with as wide windows depends on it still more,
# merely because it sees borders; so this is no sign that the UNet knows more. On digits there is a small one. For
# clothes we find what the paper finds: LS and ELS predict the UNet about equally well. This does not say that it is
# equivariant: it is not, and ELS with such windows is not either. And for faces we find what the paper finds, too, if a
# smaller lead: LS predicts the UNet better.
#
# ## What could be wrong
#
# - **Few pictures, two noise levels.** The factors rest on {glue:text}`n_images` pictures, and their intervals are wide.
# - **One training each**, and the pairs of digits and emoji differ in rates of learning, too.
# - **LS has few patches**, one from each of {glue:text}`n_class:s` images of the class; the paper's has six times as
#   many.
# - **Faces were not moved,** and their windows end at {glue:text}`faces_widest:d` pixels, the widest that was tried. With
#   wider ones ELS might do better than it does here.
# - **A moved picture is an odd picture.** Part of it is cut off. ELS and the ResNet show what this alone does.
