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
# # How well theory predicts networks
#
# A few good-looking pairs prove nothing. So here is the same comparison over many noise images, for
# every network of this book but `mnist-resnet-again`: seeds counted from 0, none left out. From
# each noise image the network draws a picture, and each theory draws its own. How alike are they,
# and how often is the local theory better than one that can only memorise?

# %% tags=["parameters"]
networks: str = ""  # names in data/networks, separated by commas; empty for all with results
seed: int = 0  # turns to other rows for the check, at least 0
n_live: int = 2  # seeds of the first network that are computed anew as a check, at least 0

# %% tags=["hide-input"]
import json

from elslib.analysis.agreement import (
    NETWORK_STEPS,
    compare,
    draw,
    median,
    share_above,
    values,
)
from elslib.analysis.intervals import median_interval, share_interval
from elslib.analysis.metrics import nearest_image
from elslib.analysis.theories import theory_of
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.data.folders import data_folder
from elslib.experiments.agreement_results import read_pictures, read_rows, with_results
from elslib.experiments.spot_checks import spot_checks
from elslib.experiments.store import load_card, load_network, load_scale, training_images
from elslib.figures.plots import agreement_scatter, image_grid

names = with_results(networks)
COLOUR = "emoji-resnet" if "emoji-resnet" in names else names[0]
rows = {name: read_rows(name) for name in names}
cards = {name: load_card(name) for name in names}
published = json.loads((data_folder() / "published_agreement.json").read_text())["networks"]

# %% [markdown]
# ## What the numbers are
#
# Three measures compare two pictures. *Pearson's r* asks whether their bright and dark pixels go
# together; brightness and contrast as a whole do not count. *r²* is its square. The *coefficient of
# determination* R² takes the network's picture as the truth and counts every difference, also in
# brightness and contrast; it can be negative.
#
# They cannot be compared with each other. The paper's table is headed r², but its evaluation script computes r, so it
# most likely holds r. Later papers report R². An r of {glue:text}`first_IS_r:.2f` is an r² of
# {glue:text}`first_IS_r2:.2f`, and goes with an R² of {glue:text}`first_IS_R2:.2f`, as with IS further down this
# page. We give all three, and compare r with the published numbers.
#
# The theories are the *equivariant local* machine (ELS), the *local* one without equivariance (LS)
# and the *ideal* one, which compares whole images (IS). Each gets the images the network was
# trained on, of the same class, and 20 steps. ELS and LS get windows calibrated on this network
# along other noise. The network takes 150 steps, in brackets 20.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["network", "trained on", "updates (fall)", "ELS", "LS", "IS", "ELS above IS"]]
claims = {}  # numbers for the page of claims
for name in names:
    card, cells = cards[name], []
    for theory in ("ELS", "LS", "IS"):
        best, few = (median(rows[name], theory, steps) for steps in reversed(NETWORK_STEPS))
        cells.append(
            f"**{best.estimate:.2f}** [{best.low:.2f}, {best.high:.2f}] ({few.estimate:.2f})"
        )
        claims[f"{name}_{theory}".replace("-", "_")] = best
    few, many = (values(rows[name], "ELS", steps) for steps in NETWORK_STEPS)
    above = share_interval(round(len(many) * share_above(rows[name], "ELS")), len(many))
    claims[f"{name}_above".replace("-", "_")] = above
    claims[f"{name}_gain".replace("-", "_")] = median_interval(many - few)
    cells.append(f"{above.estimate:.2f}")
    network = f"{name}, {card['network']['width']} channels"
    set_name = card["images"]["name"].split("/")[0].replace("_", " ")
    fell = card["loss"]["held_out_fell_in_last_fifth"]
    updates = f"{card['training']['steps']:,} ({f'{100 * fell:.2f}%' if fell else 'unknown'})"
    table.append([network, set_name, updates, *cells])
    key = name.removesuffix("-paper")
    if key in published:
        paper = published[key]
        cells = [f"{paper[kind][0]:.2f} ({paper[kind][1]:.2f})" for kind in ("ELS", "LS", "IS")]
        cells.append(f"{paper['above'][0]:.2f}")
        table.append([f"*published, {key}*", "*full set*", "*about 140,000*", *cells])
glue_all(claims | {"n_seeds": len(values(rows[names[0]], "ELS"))})
markdown_table(table)

# %% [markdown]
# *Median r over {glue:text}`n_seeds` seeds with its 95% bootstrap interval; in round brackets against
# the network's 20-step samples. The last column is the share of seeds on which ELS is closer to the
# network than IS. After the updates, in brackets: by how much the error on held-out images still fell
# over the last fifth of them; below 1% we call a network finished. Below each network stand the
# paper's numbers for the same kind of network, 256 channels wide if it is a ResNet, trained on the
# whole set.*

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-agreement-all", "caption": "One dot a seed. Across: how well the ideal machine, which only memorises, predicts the network. Up: how well ELS does. Dots above the line are seeds on which locality and equivariance pay."}, "image": {"alt": "Scatter panels, one for each network: agreement of IS, horizontal, against agreement of ELS, vertical. Nearly all dots lie above the diagonal, for ResNets far above it."}}
pairs = {name: (values(rows[name], "IS"), values(rows[name], "ELS")) for name in names}
agreement_scatter(pairs, ("IS", "ELS"))

# %% [markdown]
# ## What it means
#
# On clothes ELS agrees with our ResNet and UNet better than with the paper's. For the UNet all three theories do what
# they do in the paper: ELS has {glue:text}`fashion_unet_ELS:.2f` [{glue:text}`fashion_unet_ELS_low:.2f`,
# {glue:text}`fashion_unet_ELS_high:.2f`], LS is next to it with {glue:text}`fashion_unet_LS:.2f`
# [{glue:text}`fashion_unet_LS_low:.2f`, {glue:text}`fashion_unet_LS_high:.2f`], and IS, with
# {glue:text}`fashion_unet_IS:.2f` [{glue:text}`fashion_unet_IS_low:.2f`, {glue:text}`fashion_unet_IS_high:.2f`], is
# high, too. This network sees nearly the whole picture and [goes by places](09_breaking_equivariance).
#
# For the ResNet of clothes ELS is higher than in the paper, {glue:text}`fashion_resnet_ELS:.2f`
# [{glue:text}`fashion_resnet_ELS_low:.2f`, {glue:text}`fashion_resnet_ELS_high:.2f`]. LS, with
# {glue:text}`fashion_resnet_LS:.2f` [{glue:text}`fashion_resnet_LS_low:.2f`,
# {glue:text}`fashion_resnet_LS_high:.2f`], and IS, with {glue:text}`fashion_resnet_IS:.2f`
# [{glue:text}`fashion_resnet_IS_low:.2f`, {glue:text}`fashion_resnet_IS_high:.2f`], are lower; why, we have not
# tested. Both networks learned with [relative errors](17_where_they_part), which count by noise level. Earlier ones,
# with plain errors as in the paper, were predicted less well by all three theories, though trained for longer; but
# other things differed, too.
#
# Digits with circular padding are where locality and equivariance matter most. ELS has
# {glue:text}`mnist_resnet_circular_ELS:.2f` [{glue:text}`mnist_resnet_circular_ELS_low:.2f`,
# {glue:text}`mnist_resnet_circular_ELS_high:.2f`], more than in the paper; why, we have not tested. Theories
# that know places fail, with ours as with the paper's: LS has {glue:text}`mnist_resnet_circular_LS:.2f`
# [{glue:text}`mnist_resnet_circular_LS_low:.2f`, {glue:text}`mnist_resnet_circular_LS_high:.2f`] and IS
# {glue:text}`mnist_resnet_circular_IS:.2f` [{glue:text}`mnist_resnet_circular_IS_low:.2f`,
# {glue:text}`mnist_resnet_circular_IS_high:.2f`]. This network [cannot know any](03_borders).
#
# Digits with zero padding are predicted as well as clothes are: {glue:text}`mnist_resnet_ELS:.2f`
# [{glue:text}`mnist_resnet_ELS_low:.2f`, {glue:text}`mnist_resnet_ELS_high:.2f`]; the paper is at .94. LS is at
# {glue:text}`mnist_resnet_LS:.2f` [{glue:text}`mnist_resnet_LS_low:.2f`, {glue:text}`mnist_resnet_LS_high:.2f`], the
# paper's at .82. This network, too, was trained with relative errors. `mnist-resnet-fast` was as well, at twice the
# rate, and there LS has only {glue:text}`mnist_resnet_fast_LS:.2f` [{glue:text}`mnist_resnet_fast_LS_low:.2f`,
# {glue:text}`mnist_resnet_fast_LS_high:.2f`]. `mnist-resnet-plain`, at that rate with plain errors, comes to
# {glue:text}`mnist_resnet_plain_ELS:.2f` [{glue:text}`mnist_resnet_plain_ELS_low:.2f`,
# {glue:text}`mnist_resnet_plain_ELS_high:.2f`], and to far less with 20 steps. [The next chapter](17_where_they_part)
# finds out why. For the UNet of digits ELS has {glue:text}`mnist_unet_ELS:.2f` [{glue:text}`mnist_unet_ELS_low:.2f`,
# {glue:text}`mnist_unet_ELS_high:.2f`], where the paper's is at .89, and LS, with {glue:text}`mnist_unet_LS:.2f`
# [{glue:text}`mnist_unet_LS_low:.2f`, {glue:text}`mnist_unet_LS_high:.2f`], is not far behind, as in the paper.
#
# The network with attention is not local, and is predicted all the same; [a chapter of its
# own](08_attention) asks what attention changes.
#
# Emoji have colours and small parts, and there are few of a kind. ELS has {glue:text}`emoji_resnet_ELS:.2f`
# [{glue:text}`emoji_resnet_ELS_low:.2f`, {glue:text}`emoji_resnet_ELS_high:.2f`] for the ResNet and
# {glue:text}`emoji_unet_ELS:.2f` [{glue:text}`emoji_unet_ELS_low:.2f`, {glue:text}`emoji_unet_ELS_high:.2f`] for the
# UNet, both trained with relative errors. There are no published numbers to compare with. IS draws emoji that exist.
# What the network and ELS draw is none of those it learned: from the nearest one it is {glue:text}`network_apart:.2f`
# [{glue:text}`network_apart_low:.2f`, {glue:text}`network_apart_high:.2f`] and {glue:text}`ELS_apart:.2f`
# [{glue:text}`ELS_apart_low:.2f`, {glue:text}`ELS_apart_high:.2f`] away (median of the ResNet's, root mean square,
# pixels from -1 to 1), what IS draws {glue:text}`IS_apart:.2f` [{glue:text}`IS_apart_low:.2f`,
# {glue:text}`IS_apart_high:.2f`].

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-agreement-emoji", "caption": "From the same noise: a network that learned emoji, and three theories. One column is one seed, 0 to 7, each of another class; under the theories their r with the network."}, "image": {"alt": "Four rows of eight small colour pictures. Network and ELS: nearly the same patchworks of bright colours on white. LS: patchworks that share some of it. IS: eight emoji, among them a gorilla, a popcorn box and a face."}}
colour, compared = read_pictures(COLOUR), read_rows(COLOUR)
known = training_images(COLOUR).pixels
for kind in ("network", "ELS", "IS"):
    glue_all({f"{kind}_apart": median_interval(nearest_image(colour[kind], known)[1])})
notes = {kind: values(compared, kind)[:8] for kind in ("ELS", "LS", "IS")}
image_grid(
    {kind: colour[kind][:8] for kind in ("network", *notes)},
    notes={kind: [f"r = {value:.2f}" for value in r.tolist()] for kind, r in notes.items()},
)

# %% [markdown]
# A network that takes 150 steps instead of 20 is closer to the theory: seed by seed the r of ELS rises
# by {glue:text}`fashion_resnet_gain:.3f` [{glue:text}`fashion_resnet_gain_low:.3f`,
# {glue:text}`fashion_resnet_gain_high:.3f`] for the ResNet and {glue:text}`fashion_unet_gain:.3f`
# [{glue:text}`fashion_unet_gain_low:.3f`, {glue:text}`fashion_unet_gain_high:.3f`] for the UNet of clothes, in
# the median; for that of emoji it is {glue:text}`emoji_unet_gain:.3f` [{glue:text}`emoji_unet_gain_low:.3f`,
# {glue:text}`emoji_unet_gain_high:.3f`]. [A later chapter](12_sweep) asks which of the two sides is
# unfinished at 20, and [the next](17_where_they_part) what goes wrong there.
#
# ## The same pictures, three measures
#
# For the first network, with two baselines beside the theories. The *Wiener filter* is the best
# linear denoiser. *PCA locality* ({cite:t}`lukoianov2025locality`) reads each pixel's window off the
# Wiener filter and keeps places fixed, as LS does.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["theory", "r", "r²", "R²"]]
for theory in ("ELS", "LS", "IS", "Wiener", "PCA"):
    cells = []
    for measure in ("r", "r2", "R2"):
        cells.append(median(rows[names[0]], theory, measure=measure))
        glue_all({f"first_{theory}_{measure}": cells[-1]})
    table.append([theory, *cells])
glue_all({"first": names[0]})
markdown_table(table, ".2f")

# %% [markdown]
# *{glue:text}`first:s`, 150 steps: median over {glue:text}`n_seeds` seeds with 95% bootstrap interval.*
#
# ## Computed anew
#
# The rows above were loaded from `data/results/`, made by `elslib agree`. Here are
# a few of them again, computed while this page was built; a hash of the source that made them chose the
# seeds.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
network, images = load_network(names[0]), training_images(names[0])
checked = {"ELS": theory_of(network, images, load_scale(names[0], "els"))}
table = [["seed", "ELS, kept", "ELS, now"]]
n_kept = len(pairs[names[0]][0])
for chosen in spot_checks(n_kept, n_live, draw, compare):
    number = (chosen + seed) % n_kept
    label = None if network.config.classes is None else number % network.config.classes
    now = compare(draw(network, checked, [number], label, images.pixels.shape[1:]))
    kept = rows[names[0]].query("seed == @number and theory == 'ELS'")
    for new, old in zip(now.itertuples(), kept.itertuples(), strict=True):
        if abs(new.r - old.r) > 5e-3:
            raise AssertionError(f"seed {number}: r is {new.r} now, {old.r} in the file")
    table.append([number, old.r, new.r])
markdown_table(table, ".4f")

# %% [markdown]
# ## What could be wrong
#
# - **Our networks are smaller and learned from fewer images** than the paper's. Each row says how
#   wide, on what, and for how long. Fewer images make memorising easier for a network.
# - **The windows were fitted** on the same network, though never on these seeds: one number for each
#   noise level.
# - **The interval is about the seeds.** It says how sure the median is for *this* network. Another
#   training run of the same recipe gives another network. For digits [we tried one](17_where_they_part).
# - **r is kind.** Two pictures of the same class go together even if they have little in common, so
#   the distance from IS and from the baselines matters more than the number itself.
