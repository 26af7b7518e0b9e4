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
# # Draw one yourself
#
# Can a formula draw? Nothing on this page was trained. Press a number, and a picture forms out of
# noise, as an average of small patches of training images. Beside it stands what a trained network
# drew from the same noise.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
seed: int = 0  # of the first noise image that the networks are asked about; the others count up
clothes: int = 100  # pieces of clothing that the page holds of each class
emoji: int = 40  # emoji likewise
photographs: int = 30  # photographs of CIFAR10 likewise
n_seeds: int = 10  # noise images that each network is asked about, at least 1
start: int = 5  # which of them the page opens with, from 0; of clothes 5 is the first shoe

# %% tags=["hide-input"]
from elslib import load, load_network, load_scale
from elslib.book.glue import glue_all
from elslib.figures.live_machine import LiveMachine, LiveSet

chosen = {  # images, network, its windows, images of each class
    "clothes": (
        "fashion_mnist_10k",
        "fashion-resnet",
        load_scale("fashion-resnet", "els"),
        clothes,
    ),
    "emoji": ("noto_emoji", "emoji-resnet", load_scale("emoji-resnet", "els"), emoji),
    "CIFAR10": (
        "cifar10_10k",
        "cifar10-resnet",
        load_scale("cifar10-resnet", "els"),
        photographs,
    ),
}
live = LiveMachine(
    {
        title: LiveSet(
            load(data),
            windows,
            load_network(network),
            range(seed, seed + n_seeds),
            per_class,
            min(start, n_seeds - 1) if title == "clothes" else 0,
        )
        for title, (data, network, windows, per_class) in chosen.items()
    }
)
sides = live.sets["clothes"].scale.windows
glue_all({"live": live, "clothes": clothes, "emoji": emoji, "photographs": photographs})
glue_all({"widest": max(sides), "narrowest": min(sides)})
live

# %% [markdown]
# *Of each class the page holds {glue:text}`clothes:d` pieces of clothing, {glue:text}`emoji:d` emoji or
# {glue:text}`photographs:d` photographs; each network was trained on all of its images. Both take twenty
# steps. r is Pearson's correlation of the two pictures: 1 is identical. The clothes open with the first shoe
# of the ten noise images; all ten are there, whatever came out.*
#
# The machine looks through a window around each pixel: for clothes up to {glue:text}`widest:d` pixels wide
# in strong noise, {glue:text}`narrowest:d` at the end. These widths were fitted to the network, on other noise
# images than those of this page. [The chapter on receptive fields](04_receptive_fields) shows that networks
# look this way too.
#
# ## What to try
#
# - **Point at a pixel.** Below the pictures appear the training patches that it is made of, and how
#   much each of them counts. At the last step there are often only a few; move the slider towards the noise,
#   and there are many.
# - **Choose another machine.** One compares
#   <a href="#live?machine=IS&seed=5">whole images</a> (IS), and returns one of them. One may also
#   <a href="#live?machine=ES&seed=5&images=20">shift them</a> (ES). One compares
#   <a href="#live?machine=LS&seed=5">small windows, each at its fixed place</a> (LS). Only one
#   <a href="#live?machine=ELS&seed=5">lets each small piece move on its own</a> (ELS).
# - **Change the window.** <a href="#live?window=3&seed=5">Three pixels</a> make texture. With
#   <a href="#live?window=17&seed=5">seventeen</a> the machine begins to remember whole images.
# - **Take training images away.** How few does it need to still resemble the network?
#   <a href="#live?images=10&seed=5">Ten</a>?
# - **Draw from new noise.** No network has been asked about it. The formula has an answer
#   all the same.
#
# ## What is going on
#
# At every step the machine has a noisy picture and asks, for each of its pixels: which patches of the
# training images could lie under the noise in the window around me? It weighs them by how well they
# fit, and averages the pixels at their centres. That is the estimate. Then some noise is removed, and it asks
# again. [The next chapters](01_memorisation) say why a network that is local, and does not know where
# it is, must do just that.
#
# ## What could be wrong
#
# The page holds a small part of the training images, or it would be slow to load, and the network takes only twenty
# steps. So r is lower here than [with all images and 150 steps](06_agreement), and a picture here is another one than
# in the other chapters. The sum itself is the library's own, compiled for the browser, and it agrees with the library's
# to within 2 of 255 shades at every pixel: a test compares them in a real browser.
