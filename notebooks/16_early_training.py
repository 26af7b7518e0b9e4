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
# # Does a network pass through the theory?
#
# A network with attention is not bound to be local. But what is near may be easier to learn. In a talk the authors add
# a claim to their paper: stronger networks, too, resemble the theory early in their training, and then grow out of it.
# To see this one needs one network at many ages. So we kept the weights of two after ever more updates, a UNet of
# clothes with attention and one of faces without, and let each age draw from the same noise.
#
# **Partly. When it is young, the network of clothes is nearer to the theory with narrow windows than to that with wide
# ones; later it is the other way round. And the network of faces begins as if it did not know its place.**

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "fashion-unet-attention"  # a network that benchmarks/early_training.py was run on
plain: str = "fashion-unet"  # one without attention that stood beside it there
local: str = "fashion-resnet"  # one that sees little, likewise
faces: str = "celeba-unet"  # one that could know its place, likewise measured at many ages
seed: int = 0  # first noise image of the check, counted on from there, at least 0
n_live: int = 4  # pictures that are drawn anew as a check, at least 0

# %% tags=["hide-input"]
import torch

from elslib.analysis.agreement import share_above
from elslib.analysis.intervals import median_interval
from elslib.analysis.metrics import pearson_r
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments.ages import read_ages
from elslib.experiments.agreement_results import read_pictures, read_rows
from elslib.experiments.store import load_network
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import initial_noise, sample

kept = read_ages(network)
updates, r = kept.updates, kept.r
narrow, wide = (read_pictures(name)["ELS"] for name in (local, network))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-film", "caption": "One row is one noise image, and another class. From left to right: the theory with the narrow windows of a ResNet, the network after ever more updates, and the theory with the wide windows that fit the network in the end."}, "image": {"alt": "Rows of small pictures of clothes. On the left, local theory: torn, blotchy garments. Next to it the youngest network: white blotches on black, mostly in the same places. Then the blotches take the shapes of garments, and greys come in at the last ages; on the right the trained network and the theory with wide windows show whole garments, nearly the same ones."}}
strips = {"narrow\nwindows": narrow, **{f"{n:,}": x for n, x in kept.film.items()}}
strips["wide\nwindows"] = wide
image_grid(
    {f"seed {i}": torch.stack([x[i] for x in strips.values()]) for i in range(6)}, list(strips)
)

# %% [markdown]
# ## Narrow windows, then wide ones
#
# *A young network draws roughly where a local theory draws.* It knows no greys yet. Its white blotches mostly cover
# the places where the theory with narrow windows puts its torn garments, and some more besides.
#
# *Then the pieces join, and greys come last.* In the second row a piece of a leg lies apart, as in the theory with narrow
# windows, until in the middle of the strip it becomes part of a pair. Shapes are settled before shades. The trained
# network draws whole garments, nearly those of the last column. The fifth row is an exception: what is there in the
# beginning almost vanishes before a garment appears.
#
# :::{dropdown} Guess first: how much of its training has passed when the network is more like the theory with wide windows?
# Less than a third. At {glue:text}`overtaken:s` of {glue:text}`last:s` updates, in the figure below, the line of ELS lies
# above the one of ELS with narrow windows; at the age before, the two are about level.
# :::

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-ages", "caption": "How well theories predict the network after so many updates, and how like it is to two trained networks without attention: median r over the noise images, with 95% bootstrap interval. ELS and LS have the wide windows, calibrated on the trained network; IS has none; the narrow windows are those of the ResNet."}, "image": {"alt": "Line plot of r against the number of updates on a logarithmic axis. ELS with narrow windows and ResNet rise, have their top at some hundred updates, and fall; the last points are a little higher again, within the bands; ELS, LS, IS and the plain UNet rise to the end and overtake them."}}
names = {"ELS": "ELS", "LS": "LS", "IS": "IS"}
names |= {"ELS, narrow windows": f"ELS of {local}", "ResNet": local, "plain UNet": plain}
course = {name: [median_interval(some) for some in r[key]] for name, key in names.items()}
lines(
    {name: Line.through(updates, row) for name, row in course.items()},
    "updates of training",
    "Pearson's r, median",
    log=False,
    xticks=updates,
)

# %% tags=["remove-cell"]
close = "ELS, narrow windows"  # it rises and falls
best = max(range(len(updates)), key=lambda i: course[close][i].estimate)
pairs = zip(updates, r["ELS"], r[names[close]], strict=True)
gap = {n: median_interval(far - near) for n, far, near in pairs}
sure = [n for n, interval in gap.items() if interval.low > 0]
glue_all({
    "narrow_first": course[close][0],
    "narrow_best": course[close][best],
    "narrow_when": f"{updates[best]:,}",
    "narrow_lost": median_interval(r[names[close]][best] - r[names[close]][-1]),
    "wide_first": course["ELS"][0],
    "wide_last": course["ELS"][-1],
    "overtaken": f"{min(sure):,}" if sure else "no",
    "first": f"{updates[0]:,}",
    "last": f"{updates[-1]:,}",
    "steps": kept.steps,
    "constant": kept.constant,
    "n_drawn": r["ELS"].numel(),
})  # fmt: skip

# %% [markdown]
# *It does not begin as the theory.* The youngest network agrees with no theory well. It comes closer to the one with
# narrow windows as it learns, until r is {glue:text}`narrow_best:.2f` after {glue:text}`narrow_when:s` updates.
#
# *Then it moves a little away from it.* From that age to the end r falls by {glue:text}`narrow_lost:.2f` in the median,
# noise image by noise image. The fall is small and not steady. With the ResNet, a network that really sees little, it is
# alike.
#
# *The theory with wide windows fits better and better.* It is far from the young network, and ahead from
# {glue:text}`overtaken:s` updates on. So it is with LS, and with a UNet without attention. IS, which sees the whole
# picture and can only memorise, is behind to the end, but it catches up.
#
# For scale: the two theories agree with each other with a median r of {glue:text}`narrow_wide:.2f`. A network that
# follows one of them is never far from the other, and what counts is which line is higher.
#
# ## Faces: no place, then a place
#
# The UNet of faces [could know where in the picture it is](09_breaking_equivariance), and when it is trained LS, the
# theory that knows, predicts it better than ELS. Has it been so from the beginning?

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-face-film", "caption": "The UNet of faces after ever more updates, between ELS, which does not know places, and LS, which does. One row is one noise image. None of these is a photograph."}, "image": {"alt": "Rows of small pictures in colour. On the left ELS: patches of skin and hair in odd places. Next to it the young network: specks, then glaring blotches, bright and dark where ELS is. At the right end faces in natural colours, like those of LS in the last column."}}
of_faces, theories = read_ages(faces), read_pictures(faces)
strips = {"ELS": theories["ELS"], **{f"{n:,}": x for n, x in of_faces.film.items()}}
strips["LS"] = theories["LS"]
image_grid(
    {f"seed {i}": torch.stack([x[i] for x in strips.values()]) for i in range(4)}, list(strips)
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-face-ages", "caption": "By how much LS agrees better than ELS with the UNet of faces of each age: difference of r, median over the same hundred noise images, with 95% bootstrap interval. Below the dashed line the theory that knows no places is nearer."}, "image": {"alt": "Line plot against the number of updates on a logarithmic axis. The line lies well below 0 and flat for the first four ages, then rises, meets 0 at the seventh, and is above it at the last."}}
ahead = of_faces.r["LS"] - of_faces.r["ELS"]
lead = [median_interval(some) for some in ahead]
lines(
    {"LS minus ELS": Line.through(of_faces.updates, lead)},
    "updates of training",
    "difference of Pearson's r",
    log=False,
    bottom=-0.08,
    level=0.0,
    xticks=of_faces.updates,
)

# %% tags=["remove-cell"]
nearer = (ahead > 0).sum(1).tolist()
glue_all({
    "faces_begun": len(ahead[0]) - nearer[0], "faces_end": nearer[-1],
    "faces_long": round(100 * share_above(read_rows(faces), "LS", "ELS")),
    "faces_before": f"{of_faces.updates[-2]:,}", "faces_first": lead[0], "faces_lead": lead[-1],
    "narrow_wide": median_interval(pearson_r(narrow, wide)),
})  # fmt: skip

# %% [markdown]
# *It has not.* In the beginning ELS is nearer to it on {glue:text}`faces_begun:d` of 100 noise images: the young
# network is bright and dark where a formula without places is. Then LS gains. After {glue:text}`faces_before:s`
# updates the two are level.
#
# *It learns its place late.* Only at the last age that we measured is LS ahead, and then on {glue:text}`faces_end:d` of
# 100. (It takes 20 steps here, at every age; where it takes 150, LS is ahead on {glue:text}`faces_long:d`.) Both
# theories fit better at every age; the one that knows places gains more. By how much it would be ahead after longer
# training we do not know: the line is still rising where it ends.
#
# ## What it means
#
# On clothes, wide windows overtake narrow ones. That looks like sight that grows; but how far each age looks we have not
# measured. On faces, knowing places overtakes not knowing them. So the talk is right in part. While these networks are
# young, the more limited of two theories is ahead; when they are old, the less limited one is. But neither network
# begins as a theory, since all theories fit the youngest ages worst, and in the end others fit as well or better: wider
# windows, [PCA locality](08_attention), LS.
#
# ## What could be wrong
#
# - **Windows of one age, and of another network.** Each age could have its own, and they might fit it better. Those of
#   the faces' theories, calibrated on the trained network, are the [widest that were tried](09_breaking_equivariance) at
#   strong noise.
# - **The youngest pictures have no greys.** Part of the rise at the left may only show that the network learns them.
# - **The best age was chosen** on the same noise images on which we then measure how far r falls. That makes the fall
#   look a little larger.
# - **One run of each network**, and small ones. Larger ones, trained for longer, may go farther, and leave the theory.
# - **The rate of learning falls** as training goes on, by the recipe. The right end of the curves shows the networks
#   coming to rest as much as growing older.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "All numbers", "code_prompt_hide": "All numbers"}
table = [["updates", "held-out loss", *names]]
for i, (after, loss) in enumerate(zip(updates, kept.held_out, strict=True)):
    table.append([f"{after:,}", f"{loss:.4f}", *(course[name][i] for name in names)])
markdown_table(table, ".2f")

# %% [markdown]
# *The UNet of clothes: median r with its 95% bootstrap interval, all drawn in {glue:text}`steps:d` steps. Of {glue:text}`n_drawn:d` pictures
# {glue:text}`constant:d` are one even black; their r counts as 0. Some pictures of the last row were drawn again while
# this page was built:*

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "Drawn again", "code_prompt_hide": "Drawn again"}
denoiser = load_network(network)
table = [["seed", "r of ELS, kept", "now"]]
for number in [(seed + i) % len(wide) for i in range(n_live)]:
    classes = denoiser.config.classes
    label = None if classes is None else torch.tensor([number % classes])
    x = sample(denoiser, initial_noise([number], wide.shape[1:]), label, kept.steps).clamp(-1, 1)
    old, new = (float(some) for some in (r["ELS"][-1][number], pearson_r(x, wide[[number]])))
    if not abs(new - old) <= 5e-3:
        raise AssertionError(f"seed {number}: r is {new} now, {old} in the file")
    table.append([number, old, new])
markdown_table(table, ".4f")
