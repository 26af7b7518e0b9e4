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
# # Attention in photographs
#
# On clothes [attention changed little](08_attention): a UNet draws whole shoes without it, so there was nothing left to
# mend. The paper saw what it does on photographs, where a local network draws no objects to begin with. There the
# theory draws a patchwork, and from the same noise a well-trained network with attention mostly draws an object, carved
# out of that patchwork. Here is a network of that kind, a UNet with attention that learned all of CIFAR10. Does it make
# objects?
#
# **Ours makes no objects. It makes light and dark, and for that it does not need attention.** The theory predicts it well,
# better than the paper's network was predicted. What the theory misses is mostly how far the network goes: where the
# theory draws a slightly dark picture, the network draws a very dark one. A UNet without attention does the same, if not
# as far.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "cifar10-full-unet-attention"  # one with attention, seen by benchmarks/objects.py
plain: str = "cifar10-full-unet"  # one of the same images that sees as far, without attention
local: str = "cifar10-full-resnet"  # one of the same images that sees little
seed: int = 0  # first of the noise images of the first figure, 0 to 92
n_live: int = 1  # pictures of the network that are drawn anew as a check, at least 0

# %% tags=["hide-input"]
import json

import pandas as pd
import torch

from elslib.analysis.agreement import NETWORK_STEPS, compare, median, values
from elslib.analysis.intervals import median_interval, share_interval
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.data.folders import data_folder
from elslib.data.named import load
from elslib.experiments.agreement_results import read_pictures, read_rows
from elslib.experiments.spot_checks import spot_checks
from elslib.experiments.store import load_card, load_network, load_scale, read_result
from elslib.experiments.titles import title
from elslib.figures.dots import dot_plot
from elslib.figures.plots import image_grid
from elslib.samplers import initial_noise, sample

names = {"ResNet": local, "UNet": plain, "with attention": network}
rows, drawn = ({w: read(n) for w, n in names.items()} for read in (read_rows, read_pictures))
r = {w: values(rows[w], "ELS") for w in names}

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-photographs", "caption": "One noise image a column, each of another class. For each of three networks first what the theory draws with its windows, then the network: a ResNet, a UNet, and a UNet with attention. Under each network's picture stands its r with the theory's above."}, "image": {"alt": "Six rows of eight small colour pictures, in pairs. The first two rows are nearly the same patchworks. In the other two pairs the theory's are like them, and the network's have the same shapes, much brighter, darker or more colourful."}}
grid = {}
for w in names:
    grid |= {f"theory,\n{w}": drawn[w]["ELS"], w: drawn[w]["network"]}
notes = {w: [f"r = {value:.2f}" for value in r[w].tolist()] for w in names}
columns = slice(seed, seed + 8)
image_grid(
    {w: x[columns] for w, x in grid.items()}, (), {w: some[columns] for w, some in notes.items()}
)

# %% [markdown]
# ## How well is it predicted?

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-photographs-agreement", "caption": "How well theories predict the three networks: median of r with its 95% interval over the same noise images. Hollow: the paper's numbers; its network with attention was another author's. Every theory saw all training images."}, "image": {"alt": "Dot plot with three lines. ResNet: ELS in front, then LS. UNet: ELS in front, LS and the Wiener filter behind it. With attention: the Wiener filter in front, ELS and LS close behind it. IS far left on all. The paper's hollow dots of ELS and LS lie left of ours, far so with attention."}}
published = json.loads((data_folder() / "published_agreement.json").read_text())["networks"]
shown = ("ELS", "LS", "IS", "Wiener")
agreed = {w: {t: median(rows[w], t) for t in shown} for w in names}
keys = {
    "ResNet": "cifar10-resnet",
    "UNet": "cifar10-unet",
    "with attention": "cifar10-unet-attention",
}
paper = {w: {t: published[key][t][0] for t in ("ELS", "LS", "IS")} for w, key in keys.items()}
ahead = {w: values(rows[w], "Wiener") - values(rows[w], "ELS") for w in names}
squared = {w: median(rows[w], "ELS", measure="R2") for w in names}
glue_all({
    **{f"{w.split()[-1]}_{t}": x for w, of in agreed.items() for t, x in of.items()},
    **{f"{w.split()[-1]}_R2": x for w, x in squared.items()},
    **{f"{w.split()[-1]}_Wiener_ahead": median_interval(x) for w, x in ahead.items()},
    "paper_attention": paper["with attention"]["ELS"], "paper_UNet": paper["UNet"]["ELS"],
    "largest": max(load_scale(network, "els").windows),
    "largest_local": max(load_scale(local, "els").windows),
    "updates": f"{load_card(network)['training']['steps']:,}",
    "fell": 100 * load_card(network)["loss"]["held_out_fell_in_last_fifth"],
})  # fmt: skip
dot_plot(agreed, "median of Pearson's r with the network's picture", paper)

# %% [markdown]
# Well. The median r of ELS with our network with attention is {glue:text}`attention_ELS:.2f`, with that of the paper it
# was {glue:text}`paper_attention:.2f`. Part of this may be the windows: ours were measured on this network, the paper
# took those of its ResNet. In any case one can tell much of what such a network will draw without knowing how attention
# works. Without attention it is {glue:text}`UNet_ELS:.2f`, and in the paper {glue:text}`paper_UNet:.2f`.
#
# But the simplest theory knows more. The *Wiener filter* is linear and knows no patches, only which pixels tend to be
# alike; its pictures are blurs. With attention it is ahead of ELS, by {glue:text}`attention_Wiener_ahead:.3f` of r in
# the median. With the ResNet and the UNet of the same photographs it is behind. [Others found](13_baselines) that order on
# photographs for UNets.
#
# ## What the theory misses
#
# Look at the first figure again, at the last four rows. The shapes are alike, the light is not.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-light", "caption": "How bright a whole picture is, -1 for black and 1 for white: one dot a picture, a hundred in each line; the stroke is their median."}, "image": {"alt": "Dot plot of seven lines of small dots. Photographs spread widely about the middle; the theories and the ResNet less; the UNet more, and the one with attention most, nearly from black to white."}}
photographs = load("cifar10_10k").pixels[:100]
light = {"photographs": photographs.mean((1, 2, 3)).double()}
light |= {name.replace("\n", " "): x.mean((1, 2, 3)).double() for name, x in grid.items()}
asked = {w: (light[f"theory, {w}"], light[w]) for w in names}
noise = initial_noise(range(len(r["ResNet"])), photographs.shape[1:]).mean((1, 2, 3)).double()
leaning = {who: torch.corrcoef(torch.stack([noise, x]))[0, 1]
           for who, x in zip(("theory", "network"), asked["with attention"], strict=True)}  # fmt: skip
further = {
    w: float(by_network.std() / by_theory.std()) for w, (by_theory, by_network) in asked.items()
}
alike = {w: float(torch.corrcoef(torch.stack(pair))[0, 1]) for w, pair in asked.items()}
glue_all({
    **{f"light_{w.split()[-1]}": x for w, x in alike.items()},
    **{f"leaning_{who}": float(x) for who, x in leaning.items()},
    **{f"further_{w.split()[-1]}": x for w, x in further.items()},
})  # fmt: skip
dot_plot({name: {"a picture": x} for name, x in light.items()}, "mean of all pixels")

# %% [markdown]
# Photographs differ in how bright they are. The theory's pictures and the ResNet's differ less. Those of the network
# with attention differ far more: they spread {glue:text}`further_attention:.1f` times as far as the theory's, and further
# than photographs do.
#
# *Attention is not needed for that.* The UNet has none, and its pictures spread {glue:text}`further_UNet:.1f` times as
# far as the theory's; those of the ResNet {glue:text}`further_ResNet:.1f` times. To see far is enough, and with
# attention it goes further.
#
# It does not happen at random. Which picture is to be dark the theory says beforehand: the brightness of its picture
# and of the network's are correlated with {glue:text}`light_attention:.2f`. Behind both is the noise image. Its mean is
# nearly 0, never quite; it is correlated with the brightness of the theory's picture with
# {glue:text}`leaning_theory:.2f`, and with that of the network's with {glue:text}`leaning_network:.2f`. So the network
# leans on the mean of the whole noise image, and more than the theory does.
#
# Pearson's r overlooks this, since it asks only how two pictures vary about their means. The stricter R² does not: for
# the network with attention its median is {glue:text}`attention_R2:.2f`, for the UNet {glue:text}`UNet_R2:.2f`, for the
# ResNet {glue:text}`ResNet_R2:.2f`. Flat white shoes were [the same fault on clothes](08_attention); there only the
# network with attention had it.
#
# ## Are there objects?
#
# A language model looked at pictures by both networks, by the theory, and by IS, which draws training photographs. They
# were shuffled and enlarged, and it was not told who drew which. Of each it said whether there is a whole object to be
# seen: yes; partly, where one shape stands out from its ground; or no.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-objects", "caption": "In how many pictures a language model saw an object, not knowing who drew them, as a share with its 95% interval."}, "image": {"alt": "Dot plot of four lines. IS, which draws photographs: nearly all. ResNet, theory and network with attention: none or nearly none; partly, between a quarter and a half."}}
seen = pd.DataFrame(read_result("objects", network, "objects")["rows"])
labels = {
    (local, "IS"): "IS, which draws photographs",
    (local, "network"): "ResNet",
    (network, "ELS"): "theory, with attention",
    (network, "network"): "with attention",
}
shares, numbers = {}, {"n_seen": len(seen) // len(labels)}
for (name, of), some in seen.groupby(["network", "of"]):
    found, n = some.object, len(some)
    shares[labels[name, of]] = {
        "an object": share_interval(int((found == "yes").sum()), n),
        "at least partly": share_interval(int((found != "no").sum()), n),
    }
    key = f"{'local' if name == local else 'attention'}_{of}"
    numbers |= {
        f"{key}_yes": int((found == "yes").sum()),
        f"{key}_some": int((found != "no").sum()),
    }
    numbers[f"{key}_class"] = share_interval(int((some.seen == some.asked).sum()), n)
glue_all(numbers)
dot_plot({name: shares[name] for name in labels.values()}, "share of pictures")

# %% [markdown]
# Of {glue:text}`n_seen:d` pictures by the network with attention {glue:text}`attention_network_yes:d` show an object,
# and {glue:text}`attention_network_some:d` at least something that stands out. For the theory with its windows these are
# {glue:text}`attention_ELS_yes:d` and {glue:text}`attention_ELS_some:d`: if anything, more. So nothing was made whole.
# The eye is not blind, for in {glue:text}`local_IS_yes:d` of the photographs that IS returns it saw an object.
#
# Asked to guess the class all the same, it was right on a share of {glue:text}`attention_network_class:.2f` with
# attention and {glue:text}`attention_ELS_class:.2f` for the theory, where chance is a tenth. Colours and textures alone
# tell something of a class.
#
# These are the pictures of the network in which something stands out.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-partly", "caption": "Pictures by the network with attention in which one shape stands out, at most eight, each under the theory's from the same noise. Below each: what the eye guessed, and what was asked for."}, "image": {"alt": "Two rows of small colour pictures. Above patchworks by the theory; below by the network dark or bright blots on a plain ground, at the same places."}}
some = seen[(seen.network == network) & (seen.of == "network") & (seen.object != "no")][:8]
places = some.seed.tolist()
guesses = [
    f"{row.seen},\n" + ("as asked" if row.seen == row.asked else f"asked {row.asked}")
    for row in some.itertuples()
]
by = {"theory": "ELS", "network": "network"}
pairs = {who: drawn["with attention"][of][places] for who, of in by.items()}
image_grid(pairs, (), {"network": guesses}) if places else None

# %% [markdown]
# ## What it means
#
# The paper sorts the pictures of its network with attention into three kinds: patchworks like the theory's; objects
# that are unlike it; and, most often, objects carved out of the theory's patchwork. Ours draws the first kind, with more
# light and shade. So having attention is not enough to join pieces into objects. What ours has learned is cheaper: to
# make a picture as a whole dark or bright. For that it is enough to see far. We had guessed that attention was to blame,
# and trained the UNet without it to see: the guess was wrong.
#
# ## What could be wrong
#
# - **Our network is small.** It learned for {glue:text}`updates:s` updates on two processor cores. The paper's was
#   trained by another author for very much longer. Ours has finished in the sense that its error fell by
#   {glue:text}`fell:.2f`% over the last fifth of its training, but a larger one would go on. Objects may come with size.
# - **One training each.** The ResNet differs from the UNets in more than in how far it sees, also in its rate of
#   learning; the two UNets differ in attention alone, and in the weights that come with it. Nobody has judged whether
#   the UNet without attention draws objects.
# - **The eye is one language model,** and {glue:text}`n_seen:d` pictures of each kind are few. It had looked at all
#   sheets before it answered, and pictures from the same noise are alike.
# - **Windows** for it reach up to {glue:text}`largest` pixels, nearly the whole picture; those of the ResNet up to
#   {glue:text}`largest_local`.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "In numbers, and drawn anew", "code_prompt_hide": "In numbers, and drawn anew"}
denoiser, table = load_network(network), [["picture", "largest difference"]]
kept = drawn["with attention"]["network"]
for chosen in spot_checks(len(kept), n_live, sample, compare):
    number = (chosen + seed) % len(kept)
    label = number % (denoiser.classes or 1)
    with torch.no_grad():
        x = sample(denoiser, initial_noise([number], kept.shape[1:]), label, max(NETWORK_STEPS))
    apart = float((x[0].clamp(-1, 1) - kept[number]).abs().max())
    if not apart <= 0.02:
        raise AssertionError(f"seed {number} is {apart} off the kept picture of {network}")
    table.append([f"{title(network)}, seed {number}", f"{apart:.3f}"])
markdown_table(table)
