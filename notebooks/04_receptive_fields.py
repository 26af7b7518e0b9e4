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
# # How far does a network look?
#
# The theory has one number to choose at each step: the side of the window. It was chosen so that
# the theory's answer is closest to the network's. That could be a mere fit. But how far a network
# looks can also be measured without any theory: wiggle one input pixel, and see whether the output
# in the middle moves. If the theory is right, the two must have to do with each other. Both should
# be wide when there is much noise, and narrow when there is little.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
networks: str = ""  # names in data/networks, separated by commas; empty for all with results
seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 16  # noise images that are averaged, at least 1
share: float = 0.95  # a field's side is that of the window that holds this share, in (0, 1]

# %% tags=["hide-input"]
from math import isnan

import torch

from elslib.analysis.receptive_field import receptive_field, side_holding
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments.agreement_results import with_results
from elslib.experiments.store import load_network, load_scale, training_images
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import ddim, initial_noise, uniform_times
from elslib.scales import published_scale

names = with_results(networks)
PUBLISHED = {
    "fashion-resnet": "fmnist-resnet-zeros",
    "fashion-unet": "fmnist-unet-zeros",
    "mnist-resnet": "mnist-resnet-zeros",
    "mnist-resnet-circular": "mnist-resnet-circular",
    "mnist-unet": "mnist-unet-zeros",
}
shown = (1.0, 0.75, 0.5, 0.25, 0.1, 0.05)
fields, scales = {}, {}
for name in names:
    network, shape = load_network(name), training_images(name).pixels.shape[1:]
    noise = initial_noise(range(seed, seed + n_seeds), shape)
    classes = network.config.classes
    label = None if classes is None else torch.arange(seed, seed + n_seeds) % classes
    scales[name] = load_scale(name, "els")
    for step in ddim(network, noise, uniform_times(20), label):
        fields[name, step.t] = receptive_field(network, step.x, step.t, label)
times = scales[names[0]].times
middle = tuple(side // 2 for side in shape[1:])

# %% [markdown]
# ## Where the middle pixel looks
#
# We follow each network on its way from noise to picture, from {glue:text}`n_seeds` noise images. At
# each step we take the gradient of the middle pixel of its estimate with respect to every input
# pixel. The mean of its absolute value is the network's *receptive field* at that noise level. The
# middle pixel itself is left out, since it would outshine the rest.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-fields", "caption": "Receptive fields of the middle pixel from much noise (left) to little (right), one network a row. Each picture is scaled to its own maximum; brighter is more. Under it: the side of the window that holds 95% of the field."}, "image": {"alt": "Rows of small heat maps, one row for each network. For the ResNet of clothes the bright blob in the middle shrinks from left to right; for those of emoji and digits it changes less; UNets have a wide faint halo that fades; with attention some of it stays."}}
rows, notes = {}, {}
for name in names:
    maps = torch.stack([fields[name, t] for t in shown])
    maps[:, middle[0], middle[1]] = 0
    # The root shows the faint outskirts too.
    rows[name] = (maps / maps.amax(dim=(1, 2), keepdim=True)).sqrt()[:, None] * 2 - 1
    notes[name] = [f"{side_holding(fields[name, t], share)} px" for t in shown]
image_grid(rows, [f"t = {t:g}" for t in shown], notes)

# %% [markdown]
# ## Measured windows and calibrated windows

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-calibrated", "caption": "The first network: calibrated windows (median of the calibration runs; band: quartiles), the windows the authors published for theirs, and the measured field."}, "image": {"alt": "Line plot of three curves that rise with time: calibrated windows with a band, published windows, and the side of the measured field."}}
sides = {name: [side_holding(fields[name, t], share) for t in times] for name in names}
first = names[0]
scale = scales[first]
series = {"calibrated": Line(scale.times, scale.windows, scale.lower, scale.upper)}
if first in PUBLISHED:
    theirs = published_scale(PUBLISHED[first])
    series["published"] = Line(theirs.times, theirs.windows)
series["field"] = Line(times, sides[first])
widest = int(max(max(line.y) for line in series.values()))
lines(
    series,
    "time t (0 = image, 1 = noise)",
    "side, pixels",
    log=False,
    ticks=range(3, widest + 1, 2 if widest < 20 else 4),
)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
columns = "field", "window", "narrows or stays", "from the published", "field and window", "LS"
table = [["network", *columns]]
for name in names:
    windows = torch.tensor([float(w) for w in scales[name].windows])
    falls = int((windows.diff() >= 0).sum())
    gap, key = "none published", name.replace("-", "_")  # the key for the page of claims
    if name in PUBLISHED:
        theirs = torch.tensor([float(w) for w in published_scale(PUBLISHED[name]).windows])
        apart = float((windows - theirs).abs().mean())
        glue_all({f"{key}_apart": apart})
        gap = f"{apart:.1f} px"
    together = float(
        torch.corrcoef(torch.stack([windows, torch.tensor(sides[name]).float()]))[0, 1]
    )
    glue_all({f"{key}_falls": falls, f"{key}_steps": len(windows) - 1})
    glue_all({f"{key}_field_first": sides[name][-1], f"{key}_field_last": sides[name][0]})
    glue_all({f"{key}_window_first": scales[name].windows[-1]})
    glue_all({f"{key}_lower": scales[name].lower[-1], f"{key}_upper": scales[name].upper[-1]})
    glue_all({f"{key}_window_last": scales[name].windows[0]})
    field = f"{sides[name][-1]} to {sides[name][0]}"
    window = f"{scales[name].windows[-1]} to {scales[name].windows[0]}"
    fixed = load_scale(name, "ls").windows
    both = "field is constant" if isnan(together) else f"{together:.2f}"
    cells = [name, field, window, f"{falls} of {len(windows) - 1}", gap, both]
    table.append([*cells, f"{fixed[-1]} to {fixed[0]}"])
glue_all(
    {
        "n_seeds": n_seeds,
        "first": first,
        "field_first": sides[first][-1],
        "field_last": sides[first][0],
        "window_first": scale.windows[-1],
        "window_last": scale.windows[0],
        "upper_first": scale.upper[-1],
        "lower_first": scale.lower[-1],
    }
)
markdown_table(table)

# %% [markdown]
# *Sides in pixels of field and ELS window at pure noise and at the last step; in how many of the steps
# between the window narrows or stays; its mean absolute difference from the windows that the authors
# published; correlation of window and field over the steps; sides of the LS window, calibrated likewise.*
#
# Take {glue:text}`first:s`. From pure noise to the last step its field narrows from
# {glue:text}`field_first` to {glue:text}`field_last` pixels. The calibrated window goes from
# {glue:text}`window_first` (quartiles {glue:text}`lower_first:.0f` and {glue:text}`upper_first:.0f`)
# to {glue:text}`window_last`. Both shrink together. They are not the same number: the network's
# answer still depends on pixels outside the best window, and a window has to be good for the
# whole picture at once.
#
# On emoji the windows narrow, too, in no step the other way: from {glue:text}`emoji_resnet_window_first` to
# {glue:text}`emoji_resnet_window_last` pixels for the ResNet and from {glue:text}`emoji_unet_window_first` to
# {glue:text}`emoji_unet_window_last` for the UNet. The UNet's field narrows with them, from
# {glue:text}`emoji_unet_field_first` to {glue:text}`emoji_unet_field_last` pixels. That of the ResNet, which cannot look
# farther than 8 pixels anyway, hardly does: from {glue:text}`emoji_resnet_field_first` to
# {glue:text}`emoji_resnet_field_last`.
#
# Of the networks of digits that with zero padding looks less far when noise falls, from
# {glue:text}`mnist_resnet_field_first` to {glue:text}`mnist_resnet_field_last` pixels; that with circular padding goes from
# {glue:text}`mnist_resnet_circular_field_first` to {glue:text}`mnist_resnet_circular_field_last`. The windows of both narrow,
# from {glue:text}`mnist_resnet_window_first` and {glue:text}`mnist_resnet_circular_window_first` pixels to
# {glue:text}`mnist_resnet_window_last` and {glue:text}`mnist_resnet_circular_window_last`. They differ in more than
# padding: the first [was trained otherwise](17_where_they_part). Trained like the second, `mnist-resnet-plain` has a
# field that goes from {glue:text}`mnist_resnet_plain_field_first` to {glue:text}`mnist_resnet_plain_field_last` pixels.
#
# The UNet of digits, trained like `mnist-resnet-fast`, sees far in strong noise: its field goes from
# {glue:text}`mnist_unet_field_first` to {glue:text}`mnist_unet_field_last` pixels, its window from
# {glue:text}`mnist_unet_window_first` to {glue:text}`mnist_unet_window_last`. The UNet of clothes sees farther
# yet: field from {glue:text}`fashion_unet_field_first` to {glue:text}`fashion_unet_field_last`, window from
# {glue:text}`fashion_unet_window_first` to {glue:text}`fashion_unet_window_last`. It widens in one step, the first. In pure
# noise a picture hardly depends on the window, and the runs disagree: quartiles {glue:text}`fashion_unet_lower:.0f` and
# {glue:text}`fashion_unet_upper:.0f`. The windows of these two are the nearest to the published ones,
# {glue:text}`fashion_unet_apart:.1f` pixels off on average for clothes and {glue:text}`mnist_unet_apart:.1f` for digits. An
# earlier UNet of clothes, trained with [plain errors](17_where_they_part), saw no farther than the ResNet.
#
# With attention the field does not narrow, from {glue:text}`fashion_unet_attention_field_first` to
# {glue:text}`fashion_unet_attention_field_last` pixels, but the window does, from
# {glue:text}`fashion_unet_attention_window_first` to {glue:text}`fashion_unet_attention_window_last`.

# %% [markdown]
# ## What it means
#
# The window is a number that was fitted; the field was not. Where both narrow, the window may stand for something in
# the network, its shrinking sight. With the ResNet of emoji and `mnist-resnet-plain` the field hardly narrows, with
# circular padding and with attention not at all; there the window is no more than the number that fits best.
#
# ## What could be wrong
#
# - **A gradient is not a window.** The field falls off smoothly; the theory's window has a sharp edge.
#   Which share of the field counts as inside is our choice, and moves the side up and down. Compare
#   how the curves bend, not how high they lie.
# - **The field is an average** over pictures. In one picture a network may look along an edge and
#   not across it.
# - **Only the middle pixel** was measured. Near a border a network also sees the border itself.
# - **Our windows of the ResNet of clothes are smaller than the published ones** at most noise levels, by
#   {glue:text}`fashion_resnet_apart:.1f` pixels on average. It saw fewer images and was trained for less long. An earlier one,
#   trained with plain errors, had narrower windows still, from t = .35 on.
# - **The correlations have no interval**: neighbouring steps are not independent of each other.
# - **Calibration offers odd windows from 3 pixels on**, so the curve cannot fall below 3. It ends, too: at 17
#   pixels, for the UNets of clothes at 31, for those of digits and emoji at 23. The last two and
#   `fashion-unet-attention` are at that end in the strongest noise and might take more. The ELS windows of
#   `mnist-resnet-plain` and `mnist-resnet-circular` rest on 6 noise images, not 16.
