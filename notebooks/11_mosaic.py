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
# Every pixel of a picture by the theory is a weighted mean of training pixels. The weights say which
# patches of which training images count. So one can ask of each pixel: where are you from? Here you
# can.

# %% tags=["parameters"]
network: str = "fashion-resnet"  # a network in data/networks with calibrated windows
emoji_network: str = "emoji-resnet"  # the same, trained on emoji
seed: int = 1  # seed of the noise image; the next one follows
label: int = 1  # class of both pictures, 0 to 9, if the network knows classes
emoji_label: int = 1  # class of the emoji, 0 to 7, likewise

# %% tags=["hide-input"]
import json
import statistics

import torch

from elslib import image_grid, load_network, load_scale, pearson_r, training_images
from elslib.book.glue import glue_all
from elslib.experiments.figure_config import FigureConfig, explorer
from elslib.experiments.live import Live
from elslib.experiments.store import scale_path
from elslib.figures.plots import in_colours

images, emoji = training_images(network), training_images(emoji_network)
label = label if load_network(network).classes else None
emoji_label = emoji_label if load_network(emoji_network).classes else None
what = "picture" if label is None else images.class_name(label).lower()
live = Live(explorer, FigureConfig(images.name, network, label, seed))
figures = [live.figure, explorer(FigureConfig(images.name, network, label, seed + 1))]
emoji_scale = load_scale(emoji_network, "els")
live_emoji = Live(explorer, FigureConfig(emoji.name, emoji_network, emoji_label, seed))

# %% [markdown]
# ## A picture and its pieces
#
# Left to right: what the theory draws from seed {glue:text}`first_seed`, the pieces it is made of, and
# the network's picture from the same noise. A piece is a set of neighbouring pixels that come from
# one training image and stand beside each other there as they do here.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-mosaic", "caption": "One picture, taken apart. From left to right: theory, pieces (one colour a piece), network, and the four training images that give it most pixels."}, "image": {"alt": "A row of small pictures: a garment by theory, a patchwork of coloured pieces with the same outline on black, the network's garment, and four training images."}}
last = figures[0].frames[-1]
uses = last.image[last.piece >= 0].bincount(minlength=len(figures[0].sources))
most = uses.argsort(descending=True)[:4]
shown = [last.theory, last.network, *figures[0].sources[most]]
row = torch.stack([picture.expand(3, -1, -1) for picture in shown])
row = torch.cat([row[:1], in_colours(last.piece[None]), row[1:]])
numbers = [f"image {int(figures[0].numbers[i])}\n{int(uses[i])} pixels" for i in most]
weights = 100 * last.weight[last.piece >= 0]
trajectories = json.loads(scale_path(emoji_network, "els").read_text())["trajectories"]
drawn = live_emoji.figure.frames[-1]
glue_all(
    {
        "first_seed": seed,
        "n_pieces": int(last.piece.max()) + 1,
        "n_sources": int((uses > 0).sum()),
        "what": what,
        "emoji_class": "any" if emoji_label is None else emoji.class_name(emoji_label),
        "n_emoji": len(emoji.subset(emoji_label)),
        "n_trajectories": len(trajectories),
        "emoji_cosine": statistics.median(max(run["cosine"][0]) for run in trajectories),
        "emoji_least": min(emoji_scale.windows),
        "emoji_most": max(emoji_scale.windows),
        "n_all_emoji": f"{len(emoji):,}",
        "emoji_r": float(pearson_r(drawn.theory[None], drawn.network[None])),
        "weight_low": float(weights.quantile(0.25)),
        "weight_middle": float(weights.quantile(0.5)),
        "weight_high": float(weights.quantile(0.75)),
    }
)
image_grid({"": row}, ["theory", "pieces", "network", *numbers])

# %% [markdown]
# Name for each pixel its most probable patch in the last step. Then this picture, of the class
# {glue:text}`what:s`, has {glue:text}`n_pieces` pieces from {glue:text}`n_sources` training images. The plain background is left out: there one source is as
# good as another. Even so the most probable patch of a pixel has a weight of only
# {glue:text}`weight_middle:.0f`% in the median (quartiles {glue:text}`weight_low:.0f`% and
# {glue:text}`weight_high:.0f`%): after 20 steps there is still some noise, and several patches share
# a pixel. The theorem's mosaic, one patch a pixel, is what remains when the noise is gone.
#
# ## See for yourself
#
# Touch the picture on the left, or click on it and use the arrow keys. Beside it appears the
# training image that the pixel most probably comes from, with the patch that matched. The slider
# goes back in time, towards the noise. Then the window grows, the weights spread over many patches,
# and the "most probable" one says less and less.
#
# In a notebook that is running, not on this page, there are controls above the figure: other images,
# another network, class, seed or window. Each change computes the picture again.

# %% tags=["hide-input"]
live

# %% [markdown]
# The same for the next noise image.

# %% tags=["hide-input"]
figures[1]

# %% [markdown]
# ## In colour
#
# The same with emoji. The network learned {glue:text}`n_all_emoji:s` of them; the theory draws from the
# {glue:text}`n_emoji` of the class "{glue:text}`emoji_class:s`", with windows calibrated on this network.
# The windows narrow with the noise, from {glue:text}`emoji_most` to {glue:text}`emoji_least` pixels. This pair has an r of
# {glue:text}`emoji_r:.2f`; it is one example, [a hundred](06_agreement) are counted elsewhere. In the last step no
# window fits well: the best has a cosine of {glue:text}`emoji_cosine:.2f` with the network's noise estimate, the
# median over {glue:text}`n_trajectories` trajectories. That there are so few images of the
# class may be why.

# %% tags=["hide-input"]
live_emoji

# %% [markdown]
# ## What could be wrong
#
# - **One source stands for many.** The explorer names the most probable patch. Where its weight is
#   small, others count about as much. The weight is given for each pixel.
# - **Near ties.** The training images resemble each other. The piece next door may come from another
#   image only because that one is nearer by a hair.
# - **This is the theory, not the network.** The network stores no images. That it draws nearly the
#   same picture is what makes the theory's sources worth looking at.
