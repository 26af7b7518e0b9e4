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
# # Where theory and network part ways
#
# From the same noise, theory and network draw pictures that are alike, but not the same. Somewhere on the way they part: in the
# last strokes, in the middle, or at the very first step. Where it is says what is to blame.
#
# The test is to *hand over*. The theory draws down to some time t. There the network gets the noisy image and finishes it. The
# later that is, the more of the way is common, and the more alike the ends must be. What tells is *where* they become alike.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
first: str = "mnist-resnet-plain"  # a network without classes, plain errors; has results
other: str = "fashion-resnet"  # another one with windows, for the tables
fast: str = "mnist-resnet-fast"  # the first one again, with relative errors; has results
last: str = "mnist-resnet"  # that one again, at another rate; has results
again: str = "mnist-resnet-again"  # the last one, trained once more with another seed
seed: int = 0  # seed of the first noise image; the others count up from it
n_seeds: int = 5  # number of noise images, at least 2

# %% tags=["hide-input"]
import torch
import torch.nn.functional as F

from elslib.analysis.agreement import NETWORK_STEPS, THEORY_STEPS
from elslib.analysis.intervals import median_interval
from elslib.analysis.metrics import pearson_r
from elslib.analysis.theories import theory_of
from elslib.book.glue import glue_all
from elslib.book.tables import markdown_table
from elslib.experiments import recipes
from elslib.experiments.agreement_results import read_pictures
from elslib.experiments.store import load_card, load_network, load_scale, training_images
from elslib.figures.plots import Line, image_grid, lines
from elslib.samplers import ddim, initial_noise, sample, uniform_times
from elslib.schedules import noise_from_denoised

names = list(dict.fromkeys([first, other, last]))
cards = {name: load_card(name) for name in (*names, fast, again)}
for key, *pair in (("weighting", first, fast), ("lr, decay", fast, last), ("seed", last, again)):
    one, two = ({**cards[name], **cards[name]["training"]} for name in pair)
    changed = {k for k in ("network", "images", *one["training"]) if one[k] != two[k]}
    if not set() < changed <= set(key.split(", ")) or one["network"]["classes"]:
        raise ValueError(f"networks must differ in {key} only and have no classes, got {pair}.")
(few, many), seeds = NETWORK_STEPS, list(range(seed, seed + n_seeds))
grid = uniform_times(THEORY_STEPS)
trained, theories, labels, course, ends = {}, {}, {}, {}, {}
for name in names:
    trained[name], images = load_network(name), training_images(name)
    schedule, classes = trained[name].schedule, trained[name].config.classes
    theories[name] = theory_of(trained[name], images, load_scale(name, "els"))
    labels[name] = None if classes is None else torch.tensor(seeds) % classes
    noise = initial_noise(seeds, images.pixels.shape[1:])
    course[name] = list(ddim(theories[name], noise, grid, labels[name]))
    ends[name] = course[name][-1].x0
cut = course[last][1].t

# %% [markdown]
# ## Handing over
#
# {glue:text}`first:s` learned to draw digits with the paper's mean of squared errors, {glue:text}`last:s` with another mean,
# of which more below. Each is compared with the border-aware theory (ELS) whose windows were calibrated on it.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-hand-over", "caption": "The theory draws down to some noise level (across: noise as a multiple of the signal; pure noise is on the right), then the network goes on. Up: agreement r of the end with the picture that the theory draws alone, median over the noise images, with 95% bootstrap interval as a band. On the far right the network draws alone. The labels name the network and how many steps it would take for the whole way. The upward axis does not begin at 0."}, "image": {"alt": "Line plot of r against the noise at the hand-over, logarithmic, with two lines for each of two networks. All four are near 1 on the left and fall slowly to about 0.95. At the last point, pure noise, those of the plain network fall steeply, the line of 20 steps far deeper; those of the other network do not."}}
at = (0, 1, 2, 4, 6, 10, 14)  # steps of the theory before the hand-over; drawn for two networks
r, pictures = {}, {}
for name in names:
    for n in NETWORK_STEPS:
        for i in at if name in (first, last) else at[:2]:
            x, t = course[name][i].x, course[name][i].t
            times = [t, *(later for later in uniform_times(n) if later < t)]
            x0 = sample(trained[name], x, labels[name], times=times)
            pictures[name, n, i], r[name, n, i] = x0, pearson_r(x0, ends[name])
noises = [schedule.noise_ratio(course[last][i].t) for i in at]
curves = {
    f"{name}, {n}": Line.through(noises, [median_interval(r[name, n, i]) for i in at])
    for name in (first, last)
    for n in NETWORK_STEPS
}
axes = ("noise / signal at the hand-over", "r with the theory's picture")
lines(curves, *axes, log=False, bottom=0.4, xticks=(0.5, 1, 2, 5, 10, 20, 50))

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-handed", "caption": "From the same noise: the theory of the first network, this network alone, and the network after the theory's first step; then the theory of the other network, and this network alone. The networks take 150 steps. Under their pictures r with their own theory's."}, "image": {"alt": "Five rows of black squares with white strokes. In the first and third row the strokes are nearly the same, in the second some are thicker and some are others. The last two rows are nearly the same."}}
rows = {
    f"theory of\n{first}": ends[first],
    "network": pictures[first, many, 0],
    "theory, then\nnetwork": pictures[first, many, 1],
    f"theory of\n{last}": ends[last],
    f"{last}": pictures[last, many, 0],
}
shown = {"network": (first, 0), "theory, then\nnetwork": (first, 1), f"{last}": (last, 0)}
notes = {k: [f"r = {v:.2f}" for v in r[name, many, i].tolist()] for k, (name, i) in shown.items()}
image_grid(rows, [f"seed {s}" for s in seeds], notes)

# %% [markdown]
# Alone, {glue:text}`first:s` comes to r = {glue:text}`plain_alone:.2f` [{glue:text}`plain_alone_low:.2f`,
# {glue:text}`plain_alone_high:.2f`]. If the theory takes the first of its {glue:text}`few:d` steps and the network the rest, r
# is {glue:text}`plain_handed:.2f` [{glue:text}`plain_handed_low:.2f`, {glue:text}`plain_handed_high:.2f`]. Turned round, the
# network first and the theory from there on, r is {glue:text}`plain_turned:.2f` [{glue:text}`plain_turned_low:.2f`,
# {glue:text}`plain_turned_high:.2f`]. Who takes the first step decides, whoever takes the rest. So most of what separates the
# two is lost at once, in a twentieth of the way.
#
# That may also be why networks that take 150 steps agree better with the theory than those that take 20, which the paper saw and
# left open. Here are both grids of times, and both mixed: one down to t = {glue:text}`cut:s`, the other from there on.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
long, short, by = uniform_times(few), uniform_times(many), {}
mixed = {
    f"alone, as {many} at first, then as {few}": [t for t in short if t > cut] + long[1:],
    f"alone, as {few} at first, then as {many}": [1.0, cut, *(t for t in short if t < cut)],
}
for name in names:
    by[name] = {f"alone, {n} steps": r[name, n, 0] for n in NETWORK_STEPS}
    for way, times in mixed.items():
        x0 = sample(trained[name], course[name][0].x, labels[name], times=times)
        by[name][way] = pearson_r(x0, ends[name])
    by[name] |= {f"theory at first, then as {n}": r[name, n, 1] for n in NETWORK_STEPS}
    _, begun = ddim(trained[name], course[name][0].x, [1.0, cut, 0.0], labels[name])
    x0 = sample(theories[name], begun.x, labels[name], times=grid[1:])
    by[name][f"as {few} at first, then theory"] = pearson_r(x0, ends[name])
table = [["", *names]]
for way in by[first]:
    table.append([way, *(median_interval(by[name][way]) for name in names)])
errors = {n: card["training"]["weighting"].replace("none", "plain") for n, card in cards.items()}
table.append(["*errors in training*", *(errors[name] for name in names)])
markdown_table(table, ".2f")

# %% [markdown]
# *r with the theory's picture, median over {glue:text}`n_seeds` noise images with 95% bootstrap interval. At first: down to t =
# {glue:text}`cut:s`.*
#
# Seed by seed, 150 steps are better than 20 by {glue:text}`plain_gain:.2f` [{glue:text}`plain_gain_low:.2f`,
# {glue:text}`plain_gain_high:.2f`] for {glue:text}`first:s`. Where only the beginning has short steps they are better by
# {glue:text}`plain_begin:.2f` [{glue:text}`plain_begin_low:.2f`, {glue:text}`plain_begin_high:.2f`], where only the rest has by
# {glue:text}`plain_rest:.2f` [{glue:text}`plain_rest_low:.2f`, {glue:text}`plain_rest_high:.2f`]. What few steps lose they lose
# in the first. {glue:text}`last:s` loses far less: {glue:text}`last_gain:.3f` [{glue:text}`last_gain_low:.3f`,
# {glue:text}`last_gain_high:.3f`]. With {glue:text}`other:s` it is {glue:text}`other_gain:.3f`
# [{glue:text}`other_gain_low:.3f`, {glue:text}`other_gain_high:.3f`], which may be nothing.
#
# ## Why at once?
#
# At t = 1 nearly all of $x$ is noise. So the right estimate of the noise is nearly $x$ itself. The network's, $\hat\epsilon$,
# has an error $e$. What comes of it? With the noise as a multiple of the signal, $s = \sigma / \alpha$, a step from $s$ to $s'$
# moves $x / \alpha$ by $(s' - s)\,\hat\epsilon$. So the error it makes is of size $(s - s')\,e$, where noise of size $s'$ is
# left: as a share of it,
#
# $$\frac{s - s'}{s'}\; e .$$
#
# Near t = 1 the signal is nearly 0, and $s$ falls steeply: from {glue:text}`s_first:.0f` to {glue:text}`s_cut:.0f` in the first
# of {glue:text}`few:d` steps, which makes {glue:text}`factor_few:.1f` times $e$. Later steps take the error for noise, and it
# keeps its share. {glue:text}`many:d` steps make, on the same way, {glue:text}`factor_many:.1f` times $e$ together, if $e$ is
# the same at each. That is less, but not little.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
looked = [0, 1, 2, 4, 8]  # steps of the theory, on whose noisy images the two are compared
marks = [f"t = {course[last][i].t:g}" for i in looked]
table = [["", *marks]]
smooth = {}
for name in names:
    cells = []
    for i in looked:
        step = course[name][i]
        levels = schedule.levels(step.t)
        with torch.no_grad():
            x0 = trained[name](step.x, step.t, labels[name])
        e = noise_from_denoised(step.x, x0, *levels) - noise_from_denoised(step.x, step.x0, *levels)
        rough, smooth[name, i] = (
            100 * float(some.square().mean().sqrt()) for some in (e, F.avg_pool2d(e, 9, 1))
        )
        cells.append(f"{rough:.1f}% ({smooth[name, i]:.1f}%)")
    table.append([name, *cells])
ratio = {t: schedule.noise_ratio(t) for t in (*long[:-1], *short[:-1])}
makes = (ratio[long[i]] / ratio[long[i + 1]] - 1 for i in looked)
table.append([f"*factor of a step of {few}*", *makes])
on_the_way = [t for t in short if t > cut] + [cut]
makes = (ratio[a] / ratio[b] - 1 for a, b in zip(on_the_way, on_the_way[1:], strict=False))
keys = {"factor_few": ratio[1.0] / ratio[cut] - 1, "factor_many": sum(makes)}
alone, best, begin, rest, _, handed, turned = by[first].values()
keys |= {
    "plain_alone": median_interval(best),
    "plain_handed": median_interval(handed),
    "plain_turned": median_interval(turned),
    "plain_gain": median_interval(best - alone),
    "plain_begin": median_interval(begin - alone),
    "plain_rest": median_interval(rest - alone),
    "last_gain": median_interval(r[last, many, 0] - r[last, few, 0]),
    "other_gain": median_interval(r[other, many, 0] - r[other, few, 0]),
    "plain_smooth": smooth[first, 0],
    "last_smooth": smooth[last, 0],
}
keys |= {"first": first, "other": other, "last": last, "n_seeds": n_seeds, "few": few, "many": many}
glue_all(keys | {"cut": f"{cut:g}", "s_first": ratio[1.0], "s_cut": ratio[cut]})
markdown_table(table, ".1f")

# %% [markdown]
# *How far apart network and theory are in the noise that they see in the same noisy image: root mean square in percent of the
# size of the noise, over {glue:text}`n_seeds` images; in brackets after a mean over 9 x 9 pixels, where errors that differ from
# pixel to pixel would leave a ninth. Last row: by what a long step from there multiplies them.*
#
# They differ at all times. But only the first long step multiplies the difference. What a mean over a neighbourhood leaves of
# it, {glue:text}`plain_smooth:.1f`% for {glue:text}`first:s` and {glue:text}`last_smooth:.1f`% for {glue:text}`last:s`, no
# window averages away: multiplied, it lightens or darkens whole regions.
#
# ## What counts in training, and another training
#
# A network learns to find the noise, and in the paper what counts is the mean of the squared errors, all times alike. In strong
# noise errors are small beside those in weak noise, and count little. For {glue:text}`fast:s` an error counts relative to what
# is usual at its noise level, much as {cite:t}`karras2024analyzing` do it. All else is as for {glue:text}`first:s`: layers,
# digits and their order, the noise added, rate, number of updates. {glue:text}`last:s` learned like {glue:text}`fast:s`, but at
# half the rate, which falls as a cosine. {glue:text}`again:s` is this recipe with another seed: other weights to begin with,
# another order, other noise. So each row of the table differs from the one above in one thing. Each network is compared with the
# theory whose windows were calibrated on it, the last with the *same* pictures as {glue:text}`last:s`.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
trained |= {name: load_network(name) for name in (fast, again)}
kept = {name: read_pictures(name) for name in (first, fast, last)}
start = initial_noise(range(len(kept[last]["network"])), kept[last]["network"].shape[1:])
drawn = sample(trained[again], start, n_steps=many).clamp(-1, 1)  # as kept pictures are
kept[again] = kept[last] | {"network": drawn}
held = recipes.held_out_images(last).pixels[:128]
eps = torch.randn(held.shape, generator=torch.Generator().manual_seed(0))
spans = {(i + 0.5) / 100: 0.01 for i in range(5)} | {(i + 0.5) / 20: 0.05 for i in range(1, 20)}
shown = (0.005, 0.045, 0.525)  # of these times, each with how long it stands for
times = [f"at t = {t}" for t in shown]
table = [["network", "errors, rate", "held-out error", *times, "ELS"]]
alike, off, losses = {}, {}, {name: card["loss"]["held_out"] for name, card in cards.items()}
for word, name in (("first", first), ("fast", fast), ("last", last), ("again", again)):
    alike[name] = pearson_r(kept[name]["ELS"], kept[name]["network"])
    glue_all({f"{word}_ELS": median_interval(alike[name]), f"{word}_loss": losses[name]})
    for t in spans if name in (last, again) else shown:
        levels = schedule.levels(t)
        x = levels[0] * held + levels[1] * eps
        with torch.no_grad():
            x0 = trained[name](x, t, None)
        off[name, t] = float((noise_from_denoised(x, x0, *levels) - eps).square().mean())
    how = f"{errors[name]}, {cards[name]['training']['lr']:g}"
    cells = [losses[name], *(off[name, t] for t in shown), f"{median_interval(alike[name]):.3f}"]
    table.append([name, how, *cells])
gap = [(off[last, t] - off[again, t]) * span for t, span in spans.items()]
change = {t: 100 * (off[again, t] / off[last, t] - 1) for t in spans}
glue_all(
    {
        "rise": median_interval(alike[fast] - alike[first]),
        "rate": median_interval(alike[last] - alike[fast]),
        "same": median_interval(pearson_r(kept[last]["network"], kept[again]["network"])),
        "change": 100 * (losses[again] / losses[last] - 1),
        "change_weak": change[0.005],
        "change_most": max(abs(change[t]) for t in spans if t > 0.05),
        "share_weak": 100 * sum(gap[:5]) / sum(gap),
    }
)
glue_all({"fast": fast, "again": again, "n_kept": len(start)})
markdown_table(table, ".4f")

# %% [markdown]
# *Median r over {glue:text}`n_kept` noise images, whatever the parameters of this page, with 95% bootstrap interval;
# {glue:text}`many:d` steps. Held-out errors are counted plainly, whatever counted in training.*
#
# With relative errors ELS rises from {glue:text}`first_ELS:.2f` [{glue:text}`first_ELS_low:.2f`,
# {glue:text}`first_ELS_high:.2f`] to {glue:text}`fast_ELS:.2f` [{glue:text}`fast_ELS_low:.2f`, {glue:text}`fast_ELS_high:.2f`];
# seed by seed by {glue:text}`rise:.2f` [{glue:text}`rise_low:.2f`, {glue:text}`rise_high:.2f`]. So the low number was the
# network's fault, not the theory's. Even its plain error on held-out images falls, from {glue:text}`first_loss:.4f` to
# {glue:text}`fast_loss:.4f`. That is more than strong noise can account for: the network is better at most noise levels. At half
# the rate it falls further, to {glue:text}`last_loss:.4f`. For ELS that makes no difference we can tell, seed by seed
# {glue:text}`rate:.3f` [{glue:text}`rate_low:.3f`, {glue:text}`rate_high:.3f`].
#
# The second training gives a network that agrees with the same theory with r = {glue:text}`again_ELS:.3f`
# [{glue:text}`again_ELS_low:.3f`, {glue:text}`again_ELS_high:.3f`]. From the same noise the two networks draw nearly the same, r
# = {glue:text}`same:.3f` [{glue:text}`same_low:.3f`, {glue:text}`same_high:.3f`]. So what is drawn is no accident of training,
# and the theory predicts a network about as well as another network of its kind does.
#
# The held-out error is not reproduced that well: it differs by {glue:text}`change:.1f`%. {glue:text}`share_weak:.0f`% of that
# comes from times below .05, where there is hardly any noise to be found: at t = .005 the two differ by
# {glue:text}`change_weak:.0f`%, at times above .05 by at most {glue:text}`change_most:.1f`%. In so little noise a picture is as
# good as drawn.
#
# ## What it means
#
# A network that is a little wrong about pure noise draws another picture, by the same rules. A low r need not mean that it works
# in another way than the theory. And who samples with few steps should make the first one short.
#
# ## What could be wrong
#
# - **Few noise images** before the last table; with so few a bootstrap interval is hardly more than their range.
# - **Our networks only**, one or two of a recipe. The paper's saw over twenty times as many pictures.
# - **The theory is no truth.** In pure noise its estimate of the noise cannot be off by more than about the signal, a
#   percent. That is little beside the error of {glue:text}`first:s`, not beside that of {glue:text}`last:s`.
