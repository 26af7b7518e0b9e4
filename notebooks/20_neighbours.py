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
# # Why does a pixel ask its neighbours?
#
# The chapter before found that the theory comes nearer to networks if it is *folded*: if a pixel is not only what its own
# window expects of it, but the mean of what the windows around it expect. It helps every network that we tried. Why? A
# theory should not have a part just because it helps.
#
# **We can say what does not explain it.** A theory that is less decided, one that blurs, and one that averages windows of
# several sizes do not come as near. The fold is just what a network computes that is a sum of parts, each trained on its
# own. But a network without such parts gains by it as well.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "emoji-resnet"  # a network with calibrated windows, drawn by all
others: str = "emoji-resnet-last-1,emoji-patches"  # networks whose layers mix neighbours less
tried: str = "emoji-resnet,fashion-resnet"  # networks with a result of benchmarks/reasons.py
seed: int = 0  # seed of the first noise image of the pictures
n_seeds: int = 6  # number of noise images of the pictures

# %% tags=["hide-input"]
import torch

from elslib.analysis.agreement import median, values
from elslib.analysis.intervals import median_interval
from elslib.analysis.metrics import pearson_r
from elslib.analysis.softer import FOLD_BELOW, folded
from elslib.analysis.theories import theory_of
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments import how_far
from elslib.experiments.agreement_results import read_rows
from elslib.experiments.store import load_card, load_network, load_scale, training_images
from elslib.experiments.titles import title
from elslib.figures.dots import dot_plot
from elslib.figures.plots import image_grid
from elslib.samplers import initial_noise, sample

trained, images, scale = load_network(network), training_images(network), load_scale(network, "els")
machines = {
    "ELS": theory_of(trained, images, scale),
    "with fold": theory_of(trained, images, folded(scale)),
}
seeds = list(range(seed, seed + n_seeds))
noise = initial_noise(seeds, images.pixels.shape[1:])
labels = torch.tensor(seeds) % (trained.classes or 1)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-fold-pictures", "caption": "From the same noise: the network, ELS, and ELS with a fold of three, with their r. Below, where each is off: the mean difference over the colours, bright where the theory is brighter than the network, dark where it is darker, grey where they agree."}, "image": {"alt": "Five rows of six small pictures of emoji. The first three are nearly the same. In the last two, grey with bright and dark specks, the specks of ELS are stronger and single, those with fold weaker."}}
drawn = {"network": sample(trained, noise, labels, 150)}
drawn |= {word: sample(machine, noise, labels, 20) for word, machine in machines.items()}
notes = {
    word: [f"r = {r:.3f}" for r in pearson_r(drawn[word], drawn["network"]).tolist()]
    for word in machines
}
off = {
    f"{word}\nis off": (drawn[word] - drawn["network"]).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    for word in machines
}
image_grid(drawn | off, [f"seed {s}" for s in seeds], notes)

# %% [markdown]
# ELS makes single pixels too bright or too dark beside their neighbours: each is decided by its own window, whatever the
# windows beside it decided. With the fold there are fewer of them.
#
# ## A sum of parts
#
# Look at the last layer of a ResNet. It is a convolution of 3 x 3: what is drawn at a pixel is a *sum of nine numbers*, one
# from each of the pixels around it, and each of these has seen a window centred on itself. In the theory a pixel asks its
# own window alone.
#
# So write $\hat x_j(m)$ for what the window $\Omega_j$ around pixel $j$ expects at pixel $m$: the posterior mean over the
# patches $p$ that fit the noisy pixels $x_{\Omega_j}$, with weights $w_p$, not of the patches' centre but of their pixel
# at $m$. The *fold* of side $f$ estimates the picture, $D(x)$, by the mean over the windows near by, fewer at a border:
#
# $$
# \begin{aligned}
# D(x)[m] &= \frac1{f^2} \sum_{j \,\in\, f \times f \text{ around } m} \hat x_j(m), \\
# \hat x_j(m) &= \sum_p w_p(x_{\Omega_j})\; p[m - j] .
# \end{aligned}
# $$
#
# *When is that the best denoiser?* Let a network be a sum of $f^2$ parts, $D(x)[m] = \sum_j h_{m-j}(x_{\Omega_j})$, each
# of which sees one window, and let each part be trained to be the best guess that *it* can make of its part of the
# pixel, $x_0[m] / f^2$. Then every part is a posterior mean, $h_{m-j} = \hat x_j(m) / f^2$, and their sum is the fold; for
# $f = 1$ it is ELS. It is not the only way to share the work: parts that are trained together can make up for each other
# and denoise better, and then no closed formula is known. So it is a guess about how a network shares the work, and it says
# something that could be wrong: that what matters are the layers that mix neighbours.
#
# ## Without layers that mix
#
# We trained the network of emoji again with less and less mixing. In one the last kernel is 1 x 1: what is drawn at a
# pixel is one number, from the window around it. In the other, the *network of patches*, the first kernel sees the whole
# window of 17 x 17 pixels at once and all others are 1 x 1: each pixel is a function of its own patch, and patches that
# overlap share nothing. The first kind of network and this one see 17 x 17 pixels, that with the last kernel of 1 x 1 sees
# 15 x 15. Windows were calibrated for each.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-fold-layers", "caption": "What the fold leaves of the difference between ELS and a network, (1 - r of the fold) / (1 - r of ELS): median over a hundred noise images, with its 95% interval. At 1 it changes nothing."}, "image": {"alt": "Dot plot, one line for each of three networks. The folds of three lie clearly left of 1; the fold of five far right of it with the last kernel of 1 x 1, and a little left of it with the network of patches."}}
layers, fell = {}, []
for name in (network, *others.split(",")):  # the last one is of patches
    table = read_rows(name)
    shown = {"fold of 3": "Fold", "fold of 5": "Fold5"}
    layers[title(name)] = {
        word: median_interval(how_far.left_over(table, theory))
        for word, theory in shown.items()
        if theory in set(table.theory)
    }
    key, loss = name.replace("-", "_"), load_card(name)["loss"]["held_out"]
    glue_all({f"{key}_{word[-1]}": found for word, found in layers[title(name)].items()})
    gain = values(table, "Fold") - values(table, "ELS")
    glue_all({f"{key}_r": median(table, "ELS"), f"{key}_loss": loss})
    glue_all({f"{key}_gain": median_interval(gain)})
    fell.append(100 * load_card(name)["loss"]["held_out_fell_in_last_fifth"])
glue_all({"fell_least": min(fell), "fell_most": max(fell)})
windows = load_scale(name, "els")
glue_all({"patches_widest": max(windows.window_at(t) for t in windows.times if t < FOLD_BELOW)})
left = how_far.left_over(table, "Fold")
glue_all({"patches_nearer": int((left < 1).sum()), "patches_n": len(left)})
dot_plot(layers, "(1 - r) / (1 - r of ELS); below 1: nearer to the network than ELS", level=1)

# %% [markdown]
# *Without the last mixing layer the fold has as much to offer:* it leaves {glue:text}`emoji_resnet_last_1_3:.2f` of the
# difference between ELS and the network, and {glue:text}`emoji_resnet_3:.2f` with that layer. *Without any mixing it still
# helps.* In the network of patches nothing is handed from one pixel to the next, and yet the fold is nearer to it on
# {glue:text}`patches_nearer:d` of {glue:text}`patches_n:d` noise images. (What the windows around a pixel expect of it that
# network could still work out alone: where the fold holds they are at most {glue:text}`patches_widest:d` pixels wide, and
# it sees 17.) The fold takes away a smaller share, but of a difference that is three times as large: r
# rises by {glue:text}`emoji_patches_gain:.3f`, and for the ResNet by {glue:text}`emoji_resnet_gain:.3f`. So our guess failed
# twice. (A fold of five helps the network of patches less than one of three; with the last kernel of 1 x 1 it makes things
# worse. With the first network it was tried only when the side was chosen, on other noise
# images.)
#
# Something else happened there that we did not look for. The network of patches is a better denoiser than the ResNet (loss on
# held-out images {glue:text}`emoji_patches_loss:.4f` against {glue:text}`emoji_resnet_loss:.4f`), it is local and knows no
# places, as the theory wants it, and yet ELS predicts it less well: r = {glue:text}`emoji_patches_r:.2f` against
# {glue:text}`emoji_resnet_r:.2f`. With these two, being local and equivariant is not all that makes a network draw what ELS
# draws.
#
# ## Rivals
#
# If the fold helps for another reason, then a theory made for that reason alone should help as much. Here are three, which
# change ELS at the same times as the fold, below t = {glue:text}`below:.1f`.
#
# - *A network is less decided.* The posterior chooses between patches as sharply as the noise allows, and a network of few
#   weights may not. *Tempered*: differences count less, by a factor of .8, .6 or .4.
# - *Several guesses are better than one.* *Sizes*: the mean of what three windows say, the calibrated one, one that is a
#   step smaller, and one that is a step larger. (Where the window is 3, a step smaller is a single pixel.)
# - *A network blurs.* *Smoothed*: four fifths of the estimate and one fifth of its own mean over 3 x 3 pixels.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-fold-rivals", "caption": "The same for the fold and its rivals, over other and fewer noise images; the table at the end says how many. The best of three tempered theories is shown."}, "image": {"alt": "Dot plot, one line for each network. The fold is furthest left. On emoji sizes and smoothing lie a little left of 1, the tempered theory at 1; on clothes all three are near 1, and their intervals hold it."}}
rivals = {}
for name in tried.split(","):
    table = how_far.read_reasons(name)
    shares = {
        word: median_interval(how_far.left_over(table, word))
        for word in dict.fromkeys(table.theory)
        if word != "ELS"
    }
    tempered = [word for word in shares if word.startswith("Tempered")]
    best = min(tempered, key=lambda word, of=shares: of[word].estimate)
    shown = {"fold of 3": "Fold", "tempered": best, "sizes": "Sizes", "smoothed": "Smoothed"}
    rivals[title(name)] = {word: shares[theory] for word, theory in shown.items()}
    key = name.replace("-", "_")
    glue_all({f"{key}_{theory.split()[0]}": shares[theory] for theory in shown.values()})
glue_all({"below": FOLD_BELOW})
dot_plot(rivals, "(1 - r) / (1 - r of ELS); below 1: nearer to the network than ELS", level=1)

# %% [markdown]
# *None of them does as well.* On emoji the fold leaves {glue:text}`emoji_resnet_Fold:.2f` of what ELS leaves, the best
# tempered theory {glue:text}`emoji_resnet_Tempered:.2f`, the mean over sizes {glue:text}`emoji_resnet_Sizes:.2f`, and
# smoothing {glue:text}`emoji_resnet_Smoothed:.2f`. On clothes it is {glue:text}`fashion_resnet_Fold:.2f`,
# {glue:text}`fashion_resnet_Tempered:.2f`, {glue:text}`fashion_resnet_Sizes:.2f` and
# {glue:text}`fashion_resnet_Smoothed:.2f`; there the noise images are few, and the fold and the tempered theory are not far
# apart. Several sizes and smoothing help a little on emoji. None of the three, as we tried them, does as well as to hear
# what *other places* expect of this pixel.
#
# ## What it means
#
# The fold is just what a network computes that is a sum of parts, each with its own window and trained on its own. Real
# networks behave a little like that, but not because of layers that mix neighbours. The reason may lie in the theory: hard
# windows with one centre may be too crude a picture of what *any* network of finite size does with a patch. What would be
# the right one, we do not know.
#
# ## What could be wrong
#
# - **One network of each kind,** all on emoji, each with its own windows. Another training may give another number.
# - **None of the three is finished:** over the last fifth of its updates the error on held-out images still fell by
#   {glue:text}`fell_least:.1f` to {glue:text}`fell_most:.1f`%, where we call less than 1% finished. Longer training may change which
#   of them denoises best.
# - **With a fold a theory sees two pixels more,** and its windows were not calibrated again. The mean over sizes, which sees
#   as far and helps little, speaks against that as the reason, but does not exclude it.
# - **The two others differ from the first in more than mixing.** The network of patches is wider (128 channels, not 64),
#   and its first layer sees far pixels as well as near ones; that alone may be why ELS predicts it less well.
# - **Rivals had few tries,** three factors and one share, where the fold had its side and its time chosen from five. And
#   rivals that fail say nothing for the fold, only against themselves.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "All numbers", "code_prompt_hide": "All numbers"}
table = [["network", "theory", "left, of what ELS leaves", "nearer"]]
for name in tried.split(","):
    found = how_far.read_reasons(name)
    for theory in dict.fromkeys(found.theory):
        share = how_far.left_over(found, theory)
        nearer = f"{int((share < 1).sum())} of {len(share)}"
        table.append([title(name), theory, f"{median_interval(share):.3f}", nearer])
markdown_table(table)
