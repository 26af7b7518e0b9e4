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
            load(data), windows, load_network(network), range(seed, seed + n_seeds), per_class
        )
        for title, (data, network, windows, per_class) in chosen.items()
    }
)
glue_all({"live": live, "clothes": clothes, "emoji": emoji, "photographs": photographs})
live

# %% [markdown]
# *Of each class the page holds {glue:text}`clothes:d` pieces of clothing, {glue:text}`emoji:d` emoji or
# {glue:text}`photographs:d` photographs; each network was trained on all of its images. Both take twenty
# steps. r is Pearson's correlation of the two pictures. The windows are those that the networks were found
# to use.*
#
# ## What to try
#
# - **Point at a pixel.** Below the picture appear the training patches that it is made of, and how
#   much each of them counts. At the last step there are often only a few; move the slider towards the noise,
#   and there are many.
# - **Choose another machine.** *IS* compares whole images, and returns one of them. *ES* may also shift
#   them. *LS* compares windows, but only at their own place. Only *ELS* lets a piece move.
# - **Change the window.** Three pixels make texture. With seventeen the machine begins to
#   remember whole images.
# - **Take training images away.** How few does it need to still resemble the network?
# - **Draw from new noise.** No network has been asked about it. The formula has an answer
#   all the same.
#
# ## What is going on
#
# At every step the machine has a noisy picture and asks, for each of its pixels: which patches of the
# training images could lie under the noise in the window around me? It weighs them by how well they
# fit, and takes the mean of their middles. That is the estimate. Then some noise is removed, and it asks
# again. [The next chapters](01_memorisation) say why a network that is local, and does not know where
# it is, must do just that.
#
# ## What could be wrong
#
# The page holds a small part of the training images, or it would be slow to load. So r is lower here than
# [with all of them](06_agreement), and a picture here is another one than in the other chapters. The sum
# itself is the library's own, compiled for the browser, and it agrees with the library's to within 2 of
# 255 shades at every pixel: a test compares them in a real browser.
