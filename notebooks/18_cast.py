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
# # The cast
#
# Which networks does this book speak of, and what do they draw?
#
# **{glue:text}`n_networks:d` small networks, trained on a processor, and all of their first pictures.** None of the
# pictures was chosen: they come from the noise images number 0, 1, 2 and so on, one for each class in turn where a network
# knows classes.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
networks: str = ""  # names in data/networks, separated by commas; empty for all with results
seed: int = 0  # of the first picture that is shown, 0 to 90
n_pictures: int = 10  # of each network, at least 1

# %% tags=["hide-input"]
from elslib.analysis.agreement import median
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.data.folders import project_folder
from elslib.experiments.agreement_results import read_pictures, read_rows, with_results
from elslib.experiments.recipes import command
from elslib.experiments.store import load_card
from elslib.experiments.titles import title
from elslib.figures.plots import image_grid

names = with_results(networks)
cards = {name: load_card(name) for name in names}
drawn = {name: read_pictures(name) for name in names}
r = {name: median(read_rows(name), "ELS").estimate for name in names}
grids = {1: {}, 3: {}}  # of networks with so many channels: two rows each, theory above network
for name, kept in drawn.items():
    rows = grids[kept["network"].shape[1]]
    for kind, word in (("ELS", "theory"), ("network", title(name).replace(", ", ",\n", 1))):
        rows[f"{word}{' ' * len(rows)}"] = kept[kind][seed : seed + n_pictures]

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-cast-colour", "caption": "In colour: the first pictures of each network, and above them what the theory (ELS) draws from the same noise."}, "image": {"alt": "Pairs of rows of small pictures in colour, one pair for each network: patchworks of photographs, faces and emoji. In most pairs both rows show nearly the same; the UNet with attention is darker or lighter than the theory, the UNet of faces draws whole faces."}}
image_grid(grids[3]) if grids[3] else None

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-cast-grey", "caption": "The same in grey: clothes and digits."}, "image": {"alt": "Pairs of rows of small grey pictures, one pair for each network: pieces of clothes and strokes of digits. In each pair both rows show nearly the same."}}
image_grid(grids[1]) if grids[1] else None

# %% [markdown]
# ## Who is who
#
# A *ResNet* sees only the neighbourhood of a pixel; its border is filled with zeros, or goes round where it is called
# *circular*. A *UNet* sees nearly the whole picture. Most learned with *relative errors*, which count an error by what is
# usual at its noise level; where it says *plain*, they all count the same. The last column is the median agreement of the
# network's picture with that of ELS, over a hundred noise images.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = [["network", "channels", "updates", "errors", "held-out loss", "r"]]
for name, card in cards.items():
    recipe, loss = card.get("training", {}), card.get("loss", {})  # unknown of imported networks
    errors = {"relative": "relative", "none": "plain"}.get(recipe.get("weighting"), "unknown")
    updates = f"{recipe['steps']:,}" if recipe else "unknown"
    held_out = f"{loss['held_out']:.4f}" if loss.get("held_out") else "unknown"
    shown = f"{title(name)} (`{name}`)"
    table.append([shown, card["network"]["width"], updates, errors, held_out, f"{r[name]:.2f}"])
markdown_table(table)

# %% tags=["remove-cell"]
trained = sorted(path.stem for path in (project_folder() / "networks").glob("*.json"))
others = [title(name) for name in trained if name not in names]
glue_all({"n_networks": len(names), "others": "; ".join(others) or "none"})

# %% [markdown]
# How to train each of them again? A run that was stopped goes on where it was.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "The commands", "code_prompt_hide": "The commands"}
commands = {name: command(load_card(name)) for name in trained}
how = [[f"`{name}`", f"`{asked}`" if asked else "none"] for name, asked in commands.items()]
markdown_table([["network", "command"], *how])

# %% [markdown]
# Trained, but not compared with the theory on a hundred noise images, or only in one chapter: {glue:text}`others:s`.
#
# ## What could be wrong
#
# - **They are small.** The paper's networks have 256 channels, and [learned far more pictures](06_agreement).
# - **One of each.** A network is one training run; [what another run changes](19_how_far) was tried for a few.
