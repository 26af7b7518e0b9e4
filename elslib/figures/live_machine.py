"""The machine in the page: the theory runs in the reader's browser, on images that the page holds.

The kernel of the library, compiled to WebAssembly, and its training images lie inside one piece of
HTML, which needs no server and works from disk. Nothing runs before the reader asks for it.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import torch
from jaxtyping import Float
from torch import Tensor

from elslib.data.image_set import ImageSet
from elslib.data.pixels import to_uint8
from elslib.denoisers.machines import Denoiser, EquivariantLocalScore
from elslib.figures.html import (
    Page,
    asset,
    check_channels,
    fill,
    own_name,
    packed,
    png,
    sheet,
    text,
)
from elslib.samplers import initial_noise, sample, schedule_of, uniform_times
from elslib.scales import ScaleTable

STEPS = 20


@dataclass(frozen=True)
class LiveSet:
    """Training images that a reader may choose, and what a network drew.

    Attributes
    ----------
    images
        labelled
    scale
        windows of the network, hard ones
    network
        a Denoiser, asked once for the picture of each seed, in 20 steps
    seeds
        of the noise that it was given; the class of seed s is s modulo their number
    per_class
        how many images of each class, the first ones, the page holds: each costs its pixels of the
        page's size
    start
        place among the seeds of the one that is shown before anything is drawn
    """

    images: ImageSet
    scale: ScaleTable
    network: Denoiser
    seeds: Sequence[int]
    per_class: int
    start: int = 0

    def __post_init__(self):
        check_channels("images", self.images.pixels)
        if self.images.labels is None or not self.images.class_names:
            raise ValueError(
                f"images must have labels and class names to choose from, got {self.images!r}; "
                f"one class will do."
            )
        if self.per_class < 1:
            raise ValueError(f"per_class must be at least 1, got {self.per_class}; try 100.")
        if not self.seeds:
            raise ValueError("seeds must hold at least one, got none.")
        if not 0 <= self.start < len(self.seeds):
            raise ValueError(
                f"start must be a place among the {len(self.seeds)} seeds, from 0, got "
                f"{self.start}."
            )
        for t in uniform_times(STEPS)[:-1]:
            if not isinstance(self.scale.window_at(t), int):
                raise ValueError(
                    f"scale must hold hard windows, got {self.scale.window_at(t)!r} at t = {t:g}; "
                    f"the page's choice of windows knows no others."
                )

    def data(self) -> dict:
        """What the page needs of it."""
        whole, (c, h, w) = self.images, self.images.pixels.shape[1:]
        assert whole.labels is not None
        some = [whole.of_class(int(y))[: self.per_class] for y in whole.labels.unique()]
        kept = torch.cat(some).sort().values
        held = to_uint8(whole.pixels[kept])  # in bytes, as the page has them
        images = ImageSet.from_uint8(held, whole.labels[kept], whole.class_names, whole.name)
        assert images.labels is not None
        labels = torch.tensor(
            [seed % len(images.class_names) for seed in self.seeds], dtype=torch.int64, device="cpu"
        )
        noise = initial_noise(self.seeds, (c, h, w))
        theory = EquivariantLocalScore(images, self.scale, schedule=schedule_of(self.network))
        drawn = {
            "theory": sample(theory, noise, labels, STEPS),
            "picture": sample(self.network, noise, labels, STEPS),
        }
        return {
            "shape": [len(images), c, h, w],
            "images": packed(held.numpy().tobytes()),
            "labels": images.labels.tolist(),
            "classes": list(images.class_names),
            "start": self.start,
            "windows": [self.scale.window_at(t) for t in uniform_times(STEPS)[:-1]],
            "seeds": [
                {
                    "label": int(labels[i]),
                    "noise": text(noise[i].numpy().tobytes()),
                    **{name: text(to_uint8(x[i]).numpy().tobytes()) for name, x in drawn.items()},
                }
                for i in range(len(self.seeds))
            ],
        }


@dataclass(frozen=True)
class LiveMachine(Page):
    """The figure: machines that draw from any noise, while the reader looks.

    Attributes
    ----------
    sets
        name to images, in the order of the menu; all networks share one schedule
    title
        what the figure is, for a file of its own
    """

    sets: Mapping[str, LiveSet]
    title: str = "The machine, running in this page"

    def __post_init__(self):
        if len({schedule_of(one.network) for one in self.sets.values()}) != 1:
            raise ValueError(
                f"sets must have networks of one schedule, got "
                f"{[schedule_of(one.network).name for one in self.sets.values()]}."
            )

    def _repr_html_(self) -> str:
        """The figure, with its data, kernel, style and programs inside."""
        name, first = next(iter(self.sets.items()))
        schedule = schedule_of(first.network)
        levels = [schedule.levels(t) for t in uniform_times(STEPS)[:-1]] + [(1.0, 0.0)]
        sets = {name: one.data() for name, one in self.sets.items()}
        data = {
            "kernel": packed(kernel()),
            "levels": [{"alpha": alpha, "sigma": sigma} for alpha, sigma in levels],
            "sets": sets,
        }
        about = sets[name]["classes"][_shown(sets[name])["label"]]
        parts = {
            "NAME": own_name("live"),
            "LAST": str(STEPS - 1),
            "STILL": png(sheet(_still(sets[name]), 3)),
            "ALT": html.escape(
                f"Noise, what the formula draws from it, and what a trained network draws: {about}."
            ),
            "PROGRAM": "".join(map(asset, ("common.js", "live_brush.js", "live.js"))),
            "WORKER": asset("live_worker.js"),
        }
        return fill("live", parts, data)


def kernel() -> bytes:
    """The kernel as WebAssembly. FileNotFoundError where it was not compiled."""
    return resources.files("elslib.posterior.native").joinpath("kernel.wasm").read_bytes()


def _shown(one: dict) -> dict:
    """The seed that is shown before anything is drawn."""
    return one["seeds"][one["start"]]


def _still(one: dict) -> Float[Tensor, "3 c h w"]:
    """Its noise, theory and network."""
    first, (_, c, h, w) = _shown(one), one["shape"]
    noise = torch.frombuffer(bytearray(base64.b64decode(first["noise"])), dtype=torch.float32)
    drawn = [
        torch.frombuffer(bytearray(base64.b64decode(first[name])), dtype=torch.uint8) / 127.5 - 1
        for name in ("theory", "picture")
    ]
    return torch.stack([x.reshape(c, h, w) for x in (noise.clamp(-1, 1), *drawn)])
