"""The mosaic explorer: point at a pixel of a generated picture and see where it came from.

A figure for the page and for a notebook alike: one piece of HTML that holds its own data, needs no
server and works from disk.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.analysis.mosaic import pieces, plain, posteriors_along
from elslib.checks import Brief, checked
from elslib.denoisers.machines import Denoiser, ScoreMachine
from elslib.figures.html import (
    Page,
    check_channels,
    fill,
    own_name,
    packed,
    pixels,
    png,
    sheet,
    webp,
)
from elslib.figures.plots import in_colours
from elslib.samplers import common_schedule, ddim, uniform_times
from elslib.windows import as_window

# The panel that stands there only if a network was run.
NETWORK = (
    '<figure><canvas data-role="network" role="img" aria-label="Picture by the network, from the '
    "same noise\"></canvas><figcaption>the network's, from the same noise</figcaption></figure>"
)
TOP = 12  # patches of a pixel that are shown
NONE = 2**16 - 1  # in the page: fewer patches are admissible
SETTLED = 0.5  # least weight of a patch that is called the source of a pixel


@dataclass(frozen=True)
class Frame(Brief):
    """One step of the reverse process: what was seen, what was estimated, and from where.

    Attributes
    ----------
    t
        time
    window
        side of the window then
    noisy
        what the theory saw
    theory
        the theory's estimate of the clean image
    network
        the network's, along its own way from the same noise; None without one
    image
        the m most probable origins of each pixel, numbers that count through the sources, -1 where
        there are fewer
    row
        of these origins
    col
        of these origins
    weight
        their posterior weights, in [0, 1]
    number
        posterior's effective number of patches, at least 1
    piece
        number of the piece that the pixel belongs to, -1 where all is plain or no origin has half
        of the weight
    settled
        share of the pixels, plain ones aside, of which one origin has half of the weight or more
    """

    t: float
    window: int
    noisy: Float[Tensor, "c h w"]
    theory: Float[Tensor, "c h w"]
    network: Float[Tensor, "c h w"] | None
    image: Int[Tensor, "m h w"]
    row: Int[Tensor, "m h w"]
    col: Int[Tensor, "m h w"]
    weight: Float[Tensor, "m h w"]
    number: Float[Tensor, "h w"]
    piece: Int[Tensor, "h w"]
    settled: float


@dataclass(frozen=True)
class Explorer(Page):
    """A figure of one generated picture: its frames, from noise to picture, and their sources.

    Attributes
    ----------
    sources
        the training images that any frame names, [m, c, h, w]
    numbers
        their numbers in the training set [m]
    title
        what the picture is, for the figure's name
    """

    frames: Sequence[Frame]
    sources: Float[Tensor, "m c h w"]
    numbers: Int[Tensor, " m"]
    title: str
    border: str

    def _repr_html_(self) -> str:
        """The figure, with its data, style and program inside."""
        last = self.frames[-1]
        shown = [last.theory, in_colours(last.piece[None])[0]]
        shown += [] if last.network is None else [last.network]
        still = np.concatenate([pixels(image) for image in shown], axis=1)
        parts = {
            "NAME": own_name("mosaic"),
            "TITLE": html.escape(self.title),
            "LAST": str(len(self.frames) - 1),
            "STILL": png(still),
            "BESIDE": "" if last.network is None else " Beside it the network's picture.",
            "NETWORK": "" if last.network is None else NETWORK,
        }
        return fill("explorer", parts, self._data())

    def _data(self) -> dict:
        top, h, w = self.frames[0].image.shape
        columns = max(1, int(len(self.sources) ** 0.5))
        kinds = {"number": "<f4", "image": "<u2", "row": "u1", "col": "u1", "weight": "u1"}
        over_time = {
            name: torch.stack([getattr(frame, name) for frame in self.frames]) for name in kinds
        }
        over_time["weight"] = (over_time["weight"] * 255).round()
        for name in ("image", "row", "col"):
            over_time[name] = over_time[name] % (NONE + 1)  # -1 is NONE
        return {
            "h": h,
            "w": w,
            "top": top,
            "wraps": self.border == "circular",
            "columns": columns,
            "numbers": self.numbers.tolist(),
            "sources": webp(sheet(self.sources, columns)),
            "frames": [self._frame(frame) for frame in self.frames],
            **{
                name: packed(over_time[name].numpy().astype(kind).tobytes())
                for name, kind in kinds.items()
            },
        }

    @staticmethod
    def _frame(frame: Frame) -> dict:
        shown = {"noisy": frame.noisy, "theory": frame.theory, "network": frame.network}
        pictures = {key: png(pixels(image)) for key, image in shown.items() if image is not None}
        colours = in_colours(frame.piece[None])[0]
        return {
            "t": round(frame.t, 4),
            "window": frame.window,
            **pictures,
            "pieces": png(pixels(colours)),
            "count": int(frame.piece.max()) + 1,
            "images": len(frame.image[0][frame.piece >= 0].unique()),
            "settled": round(frame.settled, 3),
        }


@checked
def explore(
    machine: ScoreMachine,
    network: Denoiser | None,
    noise: Float[Tensor, "1 c h w"],
    label: int | None = None,
    *,
    n_steps: int = 20,
    title: str = "a generated picture",
) -> Explorer:
    """Follow a local machine and, if there is one, a network from one noise image.

    Raises ValueError for a machine that compares whole images or has another schedule than the
    network, for more than one noise image, for other than 1 or 3 channels, and for images beyond
    256 pixels a side or sources beyond 65,535, which the page could not number.
    """
    if len(noise) != 1 or max(noise.shape[2:]) > 256:
        raise ValueError(
            f"noise must be one image of at most 256 pixels a side, got {tuple(noise.shape)}."
        )
    check_channels("noise", noise)
    times = uniform_times(n_steps)
    other: list[Tensor | None] = [None] * n_steps
    if network is not None:
        common_schedule(machine, network)
        with torch.no_grad():
            other = [step.x0[0] for step in ddim(network, noise, times, label)]
    frames: list[Frame] = []
    for (step, posterior), estimate in zip(
        posteriors_along(machine, noise, times, label, top=TOP), other, strict=True
    ):
        window, origins = as_window(machine.window_at(step.t)), posterior.origins
        if window is None or origins is None:
            raise ValueError("machine must be local, got one that compares whole images.")
        busy = ~plain(step.x0, window.support)
        settled = busy & (origins.weight[:, 0] >= SETTLED)
        frames.append(
            Frame(
                step.t, window.support, step.x[0], step.x0[0], estimate,
                origins.image[0], origins.row[0], origins.col[0], origins.weight[0],
                posterior.effective_number[0], pieces(origins, machine.border, settled).number[0],
                float(settled.sum() / busy.sum().clamp(min=1)),
            )
        )  # fmt: skip
    return _named(frames, machine, title)


def _named(frames: list[Frame], machine: ScoreMachine, title: str) -> Explorer:
    """The explorer of frames whose origins count through the machine's images."""
    images = torch.stack([frame.image for frame in frames])
    numbers = images[images >= 0].unique()
    if len(numbers) > NONE:
        raise ValueError(
            f"the picture must come from at most {NONE:,} images, got {len(numbers):,}."
        )
    places = torch.where(images < 0, images, torch.searchsorted(numbers, images))
    frames = [replace(frame, image=image) for frame, image in zip(frames, places, strict=True)]
    return Explorer(frames, machine.images.pixels[numbers], numbers, title, machine.border)
