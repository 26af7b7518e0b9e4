"""The mosaic explorer: point at a pixel of a generated picture and see where it came from.

A figure for the page and for a notebook alike: one piece of HTML that holds its own data, needs no
server and works from disk.
"""

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from elslib.analysis.mosaic import pieces, plain, posteriors_along
from elslib.checks import checked
from elslib.denoisers.machines import Denoiser, ScoreMachine
from elslib.figures.html import check_channels, fill, own_name, pixels, png, sheet
from elslib.figures.plots import in_colours
from elslib.samplers import common_schedule, ddim, uniform_times
from elslib.windows import as_window

# The panel that stands there only if a network was run.
NETWORK = (
    '<div><canvas class="network" role="img" aria-label="Picture by the network, from the same '
    'noise."></canvas><p>network, same noise</p></div>'
)


@dataclass(frozen=True)
class Frame:
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
        most probable origin of each pixel, a number that counts through the sources
    row
        of that origin
    col
        of that origin
    weight
        its posterior weight, in [0, 1]
    number
        posterior's effective number of patches, at least 1
    piece
        number of the piece that the pixel belongs to, -1 where all is plain
    """

    t: float
    window: int
    noisy: Float[Tensor, "c h w"]
    theory: Float[Tensor, "c h w"]
    network: Float[Tensor, "c h w"] | None
    image: Int[Tensor, "h w"]
    row: Int[Tensor, "h w"]
    col: Int[Tensor, "h w"]
    weight: Float[Tensor, "h w"]
    number: Float[Tensor, "h w"]
    piece: Int[Tensor, "h w"]


@dataclass(frozen=True)
class Explorer:
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
        still = np.concatenate([pixels(last.theory), pixels(in_colours(last.piece[None])[0])], 1)
        parts = {
            "NAME": own_name("mosaic"),
            "TITLE": html.escape(self.title),
            "LAST": str(len(self.frames) - 1),
            "STILL": png(still),
            "NETWORK": "" if last.network is None else NETWORK,
            "DATA": json.dumps(self._data(), separators=(",", ":")),
        }
        return fill("explorer", parts)

    def _data(self) -> dict:
        h, w = self.frames[0].image.shape
        columns = max(1, int(len(self.sources) ** 0.5))
        return {
            "h": h,
            "w": w,
            "wraps": self.border == "circular",
            "columns": columns,
            "numbers": self.numbers.tolist(),
            "sources": png(sheet(self.sources, columns)),
            "frames": [self._frame(frame) for frame in self.frames],
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
            "images": len(frame.image[frame.piece >= 0].unique()),
            "image": _bytes(frame.image, "<u2"),
            "row": _bytes(frame.row, "u1"),
            "col": _bytes(frame.col, "u1"),
            "weight": _bytes((frame.weight * 255).round(), "u1"),
            "number": _bytes(frame.number, "<f4"),
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
    256 pixels a side or sources beyond 65,536, which the page could not number.
    """
    if len(noise) != 1 or max(noise.shape[2:]) > 256:
        raise ValueError(
            f"noise must be one image of at most 256 pixels a side, got {tuple(noise.shape)}."
        )
    check_channels("noise", noise)
    times = uniform_times(n_steps)
    labels = None if label is None else torch.tensor([label], dtype=torch.int64, device="cpu")
    other: list[Tensor | None] = [None] * n_steps
    if network is not None:
        common_schedule(machine, network)
        with torch.no_grad():
            other = [step.x0[0] for step in ddim(network, noise, times, labels)]
    frames: list[Frame] = []
    for (step, posterior), estimate in zip(
        posteriors_along(machine, noise, times, label, top=1), other, strict=True
    ):
        window, origins = as_window(machine.window_at(step.t)), posterior.origins
        if window is None or origins is None:
            raise ValueError("machine must be local, got one that compares whole images.")
        frames.append(
            Frame(
                step.t, window.support, step.x[0], step.x0[0], estimate,
                origins.image[0, 0], origins.row[0, 0], origins.col[0, 0],
                origins.weight[0, 0], posterior.effective_number[0],
                pieces(origins, machine.border, ~plain(step.x0, window.support)).number[0],
            )
        )  # fmt: skip
    images = torch.stack([frame.image for frame in frames])
    numbers, places = images.unique(return_inverse=True)
    if len(numbers) > 2**16:
        raise ValueError(
            f"the picture must come from at most {2**16:,} images, got {len(numbers):,}."
        )
    frames = [replace(frame, image=image) for frame, image in zip(frames, places, strict=True)]
    return Explorer(frames, machine.images.pixels[numbers], numbers, title, machine.border)


def _bytes(values: Tensor, kind: str) -> str:
    return base64.b64encode(values.numpy().astype(kind).tobytes()).decode()
