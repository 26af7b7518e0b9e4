"""Everything a GPU should show, in under ten minutes: the kernel's laws, errors, speed and samples.

    PYTHONPATH=. python benchmarks/device.py [--output FILE] [about] [check] [laws] [errors] [speed]
                                             [samples]

Runs from a plain checkout, nothing installed: of other packages it needs torch, triton, numpy,
scipy, pillow, tqdm, click, jaxtyping and lazy_loader. Prints tables and writes
data/results/device.json, or FILE, anew as each part ends: a kill loses the part it hits, and an
error only its own. Each part has a time, and stops between two measurements when that is over
(`unfinished`). All parts look at the kernel itself, whatever its own check says. Exit code 1 if
one failed, or something that should hold does not.

Without a GPU, `--device cpu --tiny --output FILE` goes through all parts in Triton's interpreter,
with a few pixels and images: it shows that this script runs, and no time means anything.
"""

import json
import os
import sys
import time
from itertools import product
from pathlib import Path

import click
import torch
from device_laws import (
    BORDERS,
    FULL,
    SETS,
    TINY,
    Bench,
    asked,
    check,
    dense,
    errors,
    kernel,
    laws,
    noisy,
)  # fmt: skip
from torch import Tensor

from elslib.data.folders import data_folder
from elslib.data.named import load
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.io import check_writable, write_json
from elslib.posterior import PatchDictionary
from elslib.samplers import ddim, initial_noise, uniform_times
from elslib.schedules import cosine
from elslib.windows import Border, admissible_count

# Seconds after which a part begins no other measurement; and for all of them, which the samples,
# the last, use up. What is under way then is finished: the rest of ten minutes.
PART = {"check": 60, "laws": 60, "errors": 90, "speed": 120}
ALL = 480


def about(bench: Bench) -> dict:
    """The device and what drives it; versions of the rest are in the record."""
    import triton  # as late as the kernel

    found: dict = {"triton": triton.__version__, "cuda": torch.version.cuda, "device": "cpu"}
    if bench.device.type == "cuda":
        seen = torch.cuda.get_device_properties(bench.device)
        found |= {"device": seen.name, "capability": f"{seen.major}.{seen.minor}"}
        found |= {"megabytes": seen.total_memory >> 20, "processors": seen.multi_processor_count}
    click.echo(f"torch {torch.__version__}, {found}")
    return found


def speed(bench: Bench) -> dict:
    """Nanoseconds of a comparison, and the dense baseline's on this device over the kernel's.

    The cost of a comparison depends neither on t nor, much, on the number of images: the slow
    baseline sees few.
    """
    schedule = [bench.window_at(t) for t in bench.times()]
    windows = [*bench.sizes.windows, *sorted({*schedule} - {*bench.sizes.windows})]
    rows, cases = [], list(product(windows, BORDERS, SETS))
    for window, border, colour in cases:
        rows.append(row := _speed(bench, window, border, colour))
        click.echo(f"{colour:>7} {border:>9} {window:>3}: {row['times_faster']:.3g} times faster")
        if bench.is_over:
            break
    whole = {}
    for border, colour in product(BORDERS, SETS):
        found = {r["window"]: r for r in rows if (r["border"], r["colour"]) == (border, colour)}
        if {*schedule} <= {*found}:
            dense_ns, kernel_ns = (
                sum(found[k][name] * _comparisons(bench, k, border) for k in schedule)
                for name in ("dense_ns", "kernel_ns")
            )
            whole[f"{colour} {border}"] = dense_ns / kernel_ns
    click.echo(f"times faster over {len(schedule)} steps: {whole}")
    unfinished = len(rows) < len(cases)
    return {"unfinished": unfinished, "times_faster_whole_schedule": whole, "rows": rows}


def _comparisons(bench: Bench, window: int, border: Border) -> int:
    """Of one noisy image with one training image."""
    return int(admissible_count(bench.sizes.side, bench.sizes.side, window, border).sum())


def _speed(bench: Bench, window: int, border: Border, colour: str) -> dict:
    """Both in turn, several times; ratios are of the best."""
    few, query = bench.images(colour, bench.sizes.few), asked(0.5, window, border)
    x, images = noisy(few[: bench.sizes.batch], 0.5), few

    def fast(images: Tensor) -> float:
        return bench.seconds(lambda: kernel(x, images, query)) / (len(images) * len(x))

    def slow() -> float:
        return bench.seconds(lambda: dense(x[:1], few, query)) / len(few)

    slow()  # warms up
    fast(images)
    while fast(images) * len(images) * len(x) < bench.sizes.enough and len(images) < 2**16:
        images = images.repeat(4, 1, 1, 1)
    taken = [(slow(), fast(images)) for _ in range(bench.sizes.repeats)]
    best = [min(times) for times in zip(*taken, strict=True)]
    dense_ns, kernel_ns = (1e9 * one / _comparisons(bench, window, border) for one in best)
    return {
        "window": window, "border": border, "colour": colour, "images": len(images),
        "batch": len(x), "dense_ns": dense_ns, "kernel_ns": kernel_ns,
        "times_faster": best[0] / best[1],
        "times_faster_repeats": sorted(a / b for a, b in taken),
    }  # fmt: skip


class Machine:
    """Border-aware ELS as the kernel computes it: a Denoiser."""

    def __init__(self, bench: Bench, images: Tensor):
        self.schedule, self.bench, self.images = cosine(), bench, PatchDictionary(images)

    def __call__(self, x: Tensor, t: float | Tensor, label: Tensor | None = None) -> Tensor:
        return kernel(x, self.images, asked(float(t), self.bench.window_at(float(t)), "aware")).mean


def samples(bench: Bench) -> dict:
    """Samples against all images, by border-aware ELS: as many of them as there is time for.

    A hundredth of the images says at each time how long a step will take.
    """
    pixels, source = _many(bench)
    noise = initial_noise(range(bench.sizes.samples), pixels.shape[1:]).to(bench.device)
    part = Machine(bench, pixels[: max(1, len(pixels) // 100)])
    tried = [
        min(bench.seconds(lambda t=t: part(noise, t)) for _ in range(2)) for t in bench.times()
    ]
    expected = sum(tried) * len(pixels) / len(part.images)
    share = min(1.0, max(0.0, bench.end - time.monotonic()) / expected)
    x = noise[: max(1, int(share * len(noise)))]
    click.echo(f"{len(noise)} samples against {len(pixels):,} images ({source}) should take "
               f"{expected:.0f} s; {len(x)} are drawn")  # fmt: skip
    steps, start, x0 = [], time.perf_counter(), x
    for step in ddim(Machine(bench, pixels), x, uniform_times(bench.sizes.steps)):
        bench.wait()
        steps.append(time.perf_counter() - start)
        start, x0 = time.perf_counter(), step.x0
        if bench.is_over:
            break
    click.echo(f"{len(x)} samples, {len(steps)} steps: {sum(steps):.1f} s")
    return {
        "source": source, "images": len(pixels), "samples": len(x), "asked": len(noise),
        "unfinished": len(x) < len(noise) or len(steps) < bench.sizes.steps,
        "expected_seconds_of_all": expected, "seconds": sum(steps), "seconds_of_steps": steps,
        "holds": bool(x0.isfinite().all()), "data_megabytes": pixels.nbytes / 2**20,
    }  # fmt: skip


def _many(bench: Bench) -> tuple[Tensor, str]:
    """FashionMNIST's training images where they are, else the embedded ones, each time with other
    noise: the kernel goes through all patches, so its time does not depend on them."""
    n, side = bench.sizes.many, bench.sizes.side
    if bench.sizes is FULL:
        try:
            return load("fashion_mnist/train").pixels.to(bench.device), "FashionMNIST"
        except FileNotFoundError:
            pass
    seen, generator = bench.images("grey", n), torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(n, 1, side, side, generator=generator).to(bench.device)
    repeated = seen.repeat(-(-n // len(seen)), 1, 1, 1)[:n]
    return (repeated + noise).clamp(-1, 1), f"{len(seen):,} of FashionMNIST, again with noise"


MEASURES = {
    "about": about, "check": check, "laws": laws, "errors": errors, "speed": speed,
    "samples": samples,
}  # fmt: skip


def measured(part: str, bench: Bench) -> dict:
    """What a part found, or how it failed, and the most memory that it took on the device."""
    on_device = bench.device.type == "cuda"
    try:
        if on_device:
            torch.cuda.reset_peak_memory_stats(bench.device)
        found = MEASURES[part](bench)
        if on_device:
            found["peak_megabytes"] = torch.cuda.max_memory_allocated(bench.device) / 2**20
    except Exception as error:  # the other parts are worth having
        found = {"failed": f"{type(error).__name__}: {error}", "holds": False}
        click.echo(f"{part} failed: {found['failed']}")
    return found


@click.command()
@click.option("--device", "name", default="cuda", show_default=True)
@click.option("--tiny", is_flag=True, help="A few pixels and images: to try this script out.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("parts", nargs=-1, type=click.Choice(list(MEASURES)))
def main(name: str, tiny: bool, output: Path | None, parts: tuple[str, ...]) -> None:
    """Measure PARTS, or all, and write them to data/results/device.json or to a file."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("no CUDA device is here; --device cpu --tiny tries the script out.")
    if device.type == "cpu":
        if not tiny:
            raise click.UsageError("--device cpu is for trying this script out; add --tiny.")
        os.environ["TRITON_INTERPRET"] = "1"
    if tiny and output is None:
        raise click.UsageError("--tiny measures nothing to be kept; add --output FILE.")
    path = output or data_folder() / "results" / "device.json"
    check_writable(path)
    # The baseline is to be exact, too, not rounded to TF32.
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # pyright: ignore
    content = json.loads(path.read_text()) if parts and path.is_file() else {}
    sizes, data = TINY if tiny else FULL, load(SETS["grey"]).sha256
    end = time.monotonic() + ALL
    for part in parts or MEASURES:
        clock = Stopwatch()
        bench = Bench(device, sizes, min(end, time.monotonic() + PART.get(part, ALL)))
        found = measured(part, bench)
        command = f"benchmarks/device.py {part}"
        record = RunRecord(command, sizes._asdict(), data, clock.seconds)
        content[part] = {"record": record.json(), **found}
        write_json(path, content)
        click.echo(f"{path}: {part} in {clock.seconds} s\n")
    sys.exit(not all(content[part].get("holds", True) for part in parts or MEASURES))


if __name__ == "__main__":
    main()
