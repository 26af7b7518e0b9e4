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
# # Point at a pixel
#
# Where does a pixel come from? Every pixel of a picture by the theory is a weighted mean of training
# pixels. The weights say which patches of which training images count, and here you can ask each
# pixel for its own.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
network: str = "emoji-resnet"  # a network in data/networks with calibrated windows
clothes_network: str = "fashion-resnet"  # the same, trained on clothes
photo_network: str = "cifar10-resnet"  # the same, trained on photographs
seed: int = 1  # seed of the noise image, the same for all
label: int = 1  # class of the emoji, 0 to 7, if the network knows classes
other_label: int = 1  # class of the clothes and of the photographs, 0 to 9, likewise
photo_steps: int = 10  # of the photographs' explorer, at least 1; each makes the page heavier

# %% tags=["hide-input"]
import torch

from elslib import image_grid, load_network, load_scale, pearson_r, training_images
from elslib.book.glue import glue_all
from elslib.experiments.figure_config import FigureConfig, explorer
from elslib.experiments.live import Live
from elslib.figures.plots import in_colours

sets = {name: training_images(name) for name in (network, clothes_network, photo_network)}
images, clothes, photos = sets.values()
label = label if load_network(network).classes else None
other_label = other_label if load_network(clothes_network).classes else None
live = Live(explorer, FigureConfig(images.name, network, label, seed))
live_clothes = Live(explorer, FigureConfig(clothes.name, clothes_network, other_label, seed))
some_steps = FigureConfig(photos.name, photo_network, other_label, seed, n_steps=photo_steps)
live_photos = Live(explorer, some_steps)


scale, drawn = load_scale(network, "els"), live.figure.frames[-1]
quartiles = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
weights = [
    (100 * one.figure.frames[-1].weight[0].double()).quantile(quartiles).tolist()
    for one in (live, live_clothes)
]
# Rounded, a small share would read as none at all.
said = [[f"{w:.0f}%" if w >= 0.5 else "less than half a per cent" for w in row] for row in weights]
low, middle, high = said[0]
glue_all(
    {
        "seed": seed,
        "what": "any" if label is None else images.class_name(label),
        "n_class": len(images.subset(label)),
        "n_all": f"{len(images):,}",
        "least": min(scale.windows),
        "most": max(scale.windows),
        "r": float(pearson_r(drawn.theory[None], drawn.network[None])),
        "weight_low": low if low.startswith("less") else f"at most {low}",
        "weight_middle": middle,
        "weight_high": high,
        "settled": 100 * drawn.settled,
        "n_clothes": f"{len(clothes.subset(other_label)):,}",
        "clothes": "any" if other_label is None else clothes.class_name(other_label).lower(),
        "clothes_weight": said[1][1],
        "n_photos": f"{len(photos.subset(other_label)):,}",
        "photo": "any" if other_label is None else photos.class_name(other_label),
        "photo_steps": photo_steps,
    }
)
live

# %% [markdown]
# *The theory drew this from noise, out of {glue:text}`n_class` emoji of the class
# "{glue:text}`what:s`". It is the picture of seed {glue:text}`seed`, as everywhere on this page, whatever came
# out. Point at a pixel of any picture: below stand the training patches that it is made of, the likeliest
# first, each framed in its image, with its share of the weight. A click or a tap, or the arrow keys, choose
# a pixel that stays chosen; the slider goes back in time, towards the noise.*
#
# In a notebook that is running, not on this page, there are controls above the figure: other images,
# another network, class, seed or window. Each change computes the picture again.
#
# ## A picture and its pieces
#
# A *piece* is a set of neighbouring pixels that come from one training image and stand beside each other
# there as they do here. Only pixels with a source are counted: one patch must have at least half of
# the weight. The plain background, where one patch is as good as another, is left out.
#
# :::{dropdown} Guess first: from how many different emoji are the pieces of this one picture?
# From {glue:text}`n_sources` of the {glue:text}`n_class` emoji of its class. The figure below marks what comes from
# four of them.
# :::

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-mosaic", "caption": "One picture, taken apart. Above: theory; the same, dimmed, with the pixels marked that come from four training images, a colour each; pieces (one colour a piece); network. Below: these four, which give it most pixels, dimmed. What is taken from them is marked in the same colour as above."}, "image": {"alt": "Two rows of four pictures. Above: a colourful patchwork by theory, the same, dark, with single pixels in four bright colours, the same cut into coloured pieces on black, and the network's patchwork, nearly the same. Below: four emoji, dark, each with some pixels in its colour."}}
sources = live.figure.sources
uses = drawn.image[0][drawn.piece >= 0].bincount(minlength=len(sources))
top = uses.argsort(descending=True)[:4]
pieces = in_colours(drawn.piece[None])[0]
shown = [drawn.theory, drawn.theory, pieces, drawn.network, *sources[top]]
shown = torch.stack([picture.expand(3, -1, -1) for picture in shown])
parts = torch.zeros(len(shown), *drawn.piece.shape, dtype=torch.long)  # 1 to 4: from that image
for k, i in enumerate(top.tolist()):
    from_it = (drawn.image[0] == i) & (drawn.piece >= 0)
    parts[1, from_it] = parts[k + 4, drawn.row[0, from_it], drawn.col[0, from_it]] = k + 1
marked = (parts > 0)[:, None]
dimmed = torch.where(marked.any(dim=(2, 3), keepdim=True), 0.4 * shown - 0.5, shown)
shown = torch.where(marked, in_colours(parts - 1), dimmed)
numbers = [f"image {int(live.figure.numbers[i])}\n{int(uses[i])} pixels" for i in top]
glue_all({"n_pieces": int(drawn.piece.max()) + 1, "n_sources": int((uses > 0).sum())})
image_grid(
    {"": shown[:4], " ": shown[4:]},
    ["theory", "from these four", "pieces", "network"],
    {" ": numbers},
)

# %% [markdown]
# This picture from seed {glue:text}`seed` has {glue:text}`n_pieces` pieces from {glue:text}`n_sources` emoji;
# {glue:text}`settled:.0f`% of its pixels, plain ones aside, have a source.
#
# How decided is a pixel at the last step? The likeliest patch has {glue:text}`weight_middle:s` of the weight in the
# median. In a quarter of the pixels it has at least {glue:text}`weight_high:s`, so these are nearly decided. In another
# quarter it has {glue:text}`weight_low:s`, so these are not decided at all.
#
# Go back in time and the windows grow, from {glue:text}`least` to {glue:text}`most` pixels, the weights spread over many
# patches, and no pixel has a source any more. The [theorem's](02_locality_and_equivariance) mosaic, one patch a pixel,
# would remain if the noise were removed infinitely slowly and the picture came to rest.
#
# The network learned {glue:text}`n_all:s` emoji and was asked for the same class. Its picture and the theory's have an r
# of {glue:text}`r:.2f`; that is one example, [a hundred](06_agreement) are counted elsewhere. At the last step even the
# best window matches the network only partly; [the chapter on pairs](05_theory_and_network) says how windows are chosen.
# That there are so few images of the class may be why.
#
# ## Clothes
#
# With {glue:text}`n_clothes:s` images of the class "{glue:text}`clothes:s`" many patches are alike. Even at the
# last step the likeliest patch of a pixel has {glue:text}`clothes_weight:s` of the weight in the
# median. So there is no map of pieces here: hardly any pixel has *one* source. Twenty steps leave some
# noise, and several patches share a pixel.

# %% tags=["hide-input"]
live_clothes

# %% [markdown]
# ## Photographs
#
# The same with {glue:text}`n_photos:s` photographs of the class "{glue:text}`photo:s`" from CIFAR10, in
# {glue:text}`photo_steps` steps. Look for an edge or a patch of sky, and for the photograph that it was taken from.

# %% tags=["hide-input"]
live_photos

# %% [markdown]
# ## What could be wrong
#
# - **Near ties.** The training images resemble each other. The piece next door may come from another
#   image only because that one is nearer by a hair.
# - **Only twelve of thousands.** The figure shows the twelve likeliest patches. Where the weights are spread they
#   are a small part of what a pixel is made of; the sentence above them says of how many.
# - **This is the theory, not the network.** The network stores no images. That it draws nearly the
#   same picture is what makes the theory's sources worth looking at.
