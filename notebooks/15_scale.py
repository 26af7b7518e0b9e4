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
# # What would a billion images cost?
#
# The theory is a sum over the training set. The sets in this book are small, those of real image
# generators are not. Is the formula then a toy? Here is what a million and a billion images would
# take: measured where we could, worked out where we could not.
#
# **Much computing, little memory, and no approximation.** The sum over a set is put together exactly from the sums over
# its parts, so that any number of machines can share the work.

# %% tags=["parameters", "hide-input"] mystnb={"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
schedule_of: str = "fmnist-resnet-zeros"  # the published windows that are used
machine: str = "aware"  # borders of ELS, aware or circular
cores: int = 1000  # cores of the cluster that is imagined, at least 2
disk: float = 1.0  # what a disk delivers, GB a second
seed: int = 0  # noise image of the check

# %% tags=["hide-input"]
import json
import math

from elslib import EquivariantLocalScore, ImageSet, initial_noise, load, merge, published_scale
from elslib.book.glue import duration, glue_all
from elslib.book.tables import markdown_table
from elslib.data.folders import data_folder
from elslib.figures.plots import Line, lines
from elslib.windows import admissible_count

results = data_folder() / "results"
speed = json.loads((results / "posterior-benchmark.json").read_text())
measured = json.loads((results / "scaling.json").read_text())
scale, images = published_scale(schedule_of), load("fashion_mnist_10k")
c, h, w = images.pixels.shape[1:]

# %% tags=["remove-cell"]
per_image = sum(int(admissible_count(h, w, k, machine).sum()) for k in scale.windows)
ns = speed["speed"][machine]["ns_per_comparison_whole"]["fused"]
sizes = {"60 thousand": 6e4, "1 million": 1e6, "1 billion": 1e9}


table = [["images", "size", "two cores", f"{cores:,} cores", "reading it once"]]
for name, n in sizes.items():
    seconds, read = n * per_image * ns * 1e-9, n * c * h * w * 4 / 1e9 / disk
    size = f"{n * c * h * w * 4 / 1e9:,.1f} GB"
    table.append([name, size, *map(duration, (seconds, seconds * 2 / cores, read))])
batch = speed["speed"][machine]["batch"]
per_step = batch * per_image / len(scale.windows) * ns * 1e-9  # of an image, for a whole batch
glue_all(
    {
        "exponent": speed["scaling"]["n_exponent"],
        "n_steps": len(scale.windows),
        "side": f"{h} x {w}",
        "per_image": f"{per_image:,}",
        "ns": ns,
        "cores": f"{cores:,}",
        "billion": duration(1e9 * per_image * ns * 1e-9 * 2 / cores),
        "disk": disk,
        "disks": math.ceil(cores / 2 * (c * h * w * 4 / 1e9 / disk) / per_step),
        "hardware": speed["speed"]["record"]["hardware"],
        "read_share": 100 * (c * h * w * 4 / 1e9 / disk) / per_step,
    }
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-billion", "caption": "Time of one sample against the number of training images, by arithmetic from the measured cost of one comparison. A class-conditional sample only needs the images of its class."}, "image": {"alt": "Line plot on logarithmic axes: time rises in proportion to the number of images, three straight lines, one for each number of cores."}}
powers = list(range(4, 10))
figure = lines(
    {
        f"{k:,} cores": Line(powers, [10.0**p * per_image * ns * 1e-9 / k / 1800 for p in powers])
        for k in (2, 64, cores)
    },
    "training images",
    "hours a sample",
)
numbers = "10 thousand", "100 thousand", "1 million", "10 million", "100 million", "1 billion"
figure.axes[0].set_xticks(powers, numbers, fontsize=8)
figure

# %% [markdown]
# ## How much is there to add up?
#
# Each pixel of the noisy image is compared with every admissible patch of every training image. So
# the work is the number of comparisons, and it grows in proportion to the number of images. We
# measured that from 1,000 to 60,000 images: the time grows with the power
# {glue:text}`exponent:.2f` of their number, for small sets have fixed costs. We reckon with 1.
#
# For one sample in {glue:text}`n_steps` steps, with the published windows, one training image of
# {glue:text}`side:s` pixels costs {glue:text}`per_image:s` comparisons. An {glue:text}`hardware:s`
# needs {glue:text}`ns:.2f` nanoseconds for one.

# %% tags=["hide-cell"] mystnb={"markdown_format": "myst", "code_prompt_show": "In numbers", "code_prompt_hide": "In numbers"}
markdown_table(table)

# %% [markdown]
# *One sample, all images, no classes. Time is the measured cost of a comparison, in proportion to images and cores, for
# eight samples at a time, which share some work. Reading: from one disk of {glue:text}`disk:.1f` GB a second; each step
# of each batch reads all.*
#
# With a disk for every two cores the sum is much longer than the reading: reading an image takes
# {glue:text}`read_share:.1f`% of the time of its comparisons with eight samples. {glue:text}`cores:s` cores on one disk
# would wait for it; they need at least {glue:text}`disks`.

# %% [markdown]
# ## Who has to talk to whom?
#
# A sum can be cut. Each process takes a shard of the images and works out its own posterior: for each
# pixel the mean of the patch centres, the log of the summed weights, and the entropy. Two posteriors
# merge exactly: means mix by their shares of the weight. So nothing is lost, and nothing but posteriors
# has to travel.
#
# A posterior for one image of {glue:text}`side:s` pixels has {glue:text}`kilobytes:.0f` kilobytes, whatever
# the number of training images. With {glue:text}`processes:s` processes each receives
# {glue:text}`gathered:.0f` MB in each of the {glue:text}`n_steps` steps, little beside the minutes that a
# step of a billion images takes.
#
#     torchrun --nproc-per-node 2 -m elslib sample --dataset fashion_mnist/train --label 3
#
# does it. The test suite compares one, two and three processes. Here is the law itself, on
# {glue:text}`n_live` images cut into three unequal shards.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
few, t = images.first(300), 0.4
whole = EquivariantLocalScore(few, scale, edges=machine)
alpha, sigma = whole.schedule.levels(t)
x = alpha * images.pixels[-1:] + sigma * initial_noise([seed], (c, h, w))
expected = whole.posterior(x, t)
cuts = [slice(0, 20), slice(20, 170), slice(170, 300)]
shards = [
    EquivariantLocalScore(ImageSet(few.pixels[cut]), scale, edges=machine).posterior(x, t)
    for cut in cuts
]
merged = merge(merge(shards[0], shards[1]), shards[2])
difference = float((merged.mean - expected.mean).abs().max())
if difference > 1e-5:
    raise AssertionError(f"merged shards differ from the whole by {difference}; 1e-5 was promised")
parts = (expected.mean, expected.log_sum, expected.entropy, expected.count)
kilobytes = sum(part.nbytes for part in parts) / 1e3
core = measured["out_of_core"]
ratios = measured["processes"]["ratios"]
one, two = (min(speed["scaling"]["threads"][k]) for k in ("1", "2"))
glue_all(
    {
        "kilobytes": kilobytes,
        "processes": f"{cores // 2:,}",
        "gathered": kilobytes * (cores // 2) / 1e3,
        "n_live": len(few),
        "file": core["bytes"] / 1e9,
        "file_images": f"{core['images']:,}",
        "LS_seconds": core["LS_seconds"],
        "ELS_seconds": core["ELS_seconds"],
        "memory": core["peak_anonymous_megabytes"],
        "threads": two / one,
        "ratio": measured["processes"]["ratio"],
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
    }
)
total = merged.log_sum
shares = [float((shard.log_sum - total).exp().mean()) for shard in shards]
table = [["shard", "images", "share of the weight, mean over the pixels"]]
for number, (cut, share) in enumerate(zip(cuts, shares, strict=True), 1):
    table.append([number, cut.stop - cut.start, f"{100 * share:.0f}%"])
table.append(["all", len(few), f"largest difference from the whole: {difference:.0e}"])
markdown_table(table)

# %% [markdown]
# ## What was measured
#
# - **A file larger than the memory it takes.** {glue:text}`file_images:s` images in a file of
#   {glue:text}`file:.1f` GB, mapped and not read into memory. One evaluation at window 17 took
#   {glue:text}`LS_seconds:.0f` seconds with LS and {glue:text}`ELS_seconds:.0f` with border-aware ELS,
#   on two cores. The process never had more than {glue:text}`memory` MB of its own.
#   (The file would have fitted into this machine's memory, and the system may have kept it there.) Any file that numpy
#   saved will do: `elslib sample --dataset images.npy`.
# - **Two processes of one thread each.** They take {glue:text}`ratio:.2f` of the time of one (best against
#   best; {glue:text}`ratio_low:.2f` to {glue:text}`ratio_high:.2f` over the repeats). One half would be
#   perfect. It depends on the cores. On the machine of [the chapter on speed](14_performance) they share
#   more than their name says: there two threads take {glue:text}`threads:.2f` of the time of one.
#
# ## What it means
#
# A billion small images would keep {glue:text}`cores:s` cores busy for {glue:text}`billion:s`, for one picture; and the
# work splits without loss. So the formula is no toy, but no way to draw either. It is an instrument: it can be asked
# what the training images of a large network explain of one picture.
#
# ## What could be wrong
#
# - **A thousand cores were not tried.** The arithmetic says that sums dominate; a slow process would
#   still hold up all others at each step.
# - **Opening a file reads it twice**, for its checks and for its hash. That is not in the table.
# - **One machine's nanosecond.** Other processors will be faster or slower. Graphics cards should be
#   much faster, and were not measured.
# - **Exactness has its price.** In low noise nearly all patches have no weight to speak of. The ways to
#   skip them with a proof that [we tried](14_performance) do not pay.
# - **Larger images.** Comparisons grow with the square of the number of pixels: each pixel looks at
#   every place.
