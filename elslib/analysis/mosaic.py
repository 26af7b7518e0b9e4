"""Mosaics: which training patch each pixel of a picture comes from, and whether they fit together.

Theorem 4.1 (B.3) of the paper: where the reverse flow of a local machine converges as t -> 0, every
pixel equals the centre of its L2-nearest admissible patch. A picture can be checked for that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from elslib.checks import Brief, checked
from elslib.denoisers.machines import ScoreMachine
from elslib.posterior import Origins, PatchPosterior, patch_posterior
from elslib.samplers import Step, ddim
from elslib.schedules import Schedule
from elslib.windows import Border, as_window, check_window


@dataclass(frozen=True)
class Certificate(Brief):
    """How far each pixel of a picture is from local consistency.

    Attributes
    ----------
    fault
        `|pixel - centre of its nearest admissible patch|`, the largest over channels; 0 for a
        locally consistent picture
    distance
        L2 distance of the pixel's window from that patch
    gap
        how much farther the second nearest patch is; 0 if two are equally near, as they are
        where the training set repeats itself, and infinite if there is but one
    origins
        the nearest and the second nearest patch (m = 2)
    """

    fault: Float[Tensor, "b h w"]
    distance: Float[Tensor, "b h w"]
    gap: Float[Tensor, "b h w"]
    origins: Origins


@checked
def certify(
    x: Float[Tensor, "b c h w"],
    images: Float[Tensor, "n c h w"],
    window: int | None,
    border: Border,
) -> Certificate:
    """Compare every pixel of finished pictures with its nearest admissible patch (Thm. 4.1, B.3).

    `images` are those of the picture's class, `window` is that of the last step, `border` as for
    `patch_posterior`, which also says what is refused. In float32 patches whose squared distances
    differ by less than a millionth are taken for equally near. Raises ValueError for no window:
    whole images are no mosaic.
    """
    if window is None:
        raise ValueError("window must be an odd side, got None; whole images make no mosaic.")
    # With alpha = 1 the nearest patch weighs most, whatever sigma is. The engine skips patches that
    # weigh nothing beside the nearest; at this sigma none does, so the second nearest is right too.
    sigma = 0.5 * window * (x.shape[1] ** 0.5)
    origins = patch_posterior(x, images, 1.0, sigma, window, border, top=2).origins
    assert origins is not None
    distance = _distances(x, images, origins, window, border)  # (b, 2, h, w)
    # What is nearest by weight may be second by a hair; the distances decide.
    order = distance.argsort(dim=1, stable=True)
    fields = (origins.image, origins.row, origins.col, origins.log_weight)
    origins = Origins(*(f.gather(1, order) for f in fields))
    distance = distance.gather(1, order)
    centres = _pixels(images, origins.image, origins.row, origins.col)[:, :, 0]  # (c, b, h, w)
    return Certificate(
        fault=(x - centres.movedim(0, 1)).abs().amax(dim=1),
        distance=distance[:, 0],
        gap=distance[:, 1] - distance[:, 0],
        origins=origins,
    )


def _distances(x: Tensor, images: Tensor, origins: Origins, window: int, border: Border) -> Tensor:
    """L2 distance of each pixel's window from each of its origins; infinite for a filled-up one."""
    h, w = x.shape[2:]
    rows, cols = torch.arange(h, device=x.device), torch.arange(w, device=x.device)
    total = torch.zeros_like(origins.log_weight, dtype=torch.float64)
    r = window // 2
    for down in range(-r, r + 1):
        for right in range(-r, r + 1):
            query = x[:, :, (rows + down) % h][:, :, :, (cols + right) % w]  # (b, c, h, w)
            row, col = (origins.row + down) % h, (origins.col + right) % w
            key = _pixels(images, origins.image, row, col)  # (c, b, m, h, w)
            squares = (query.movedim(1, 0).unsqueeze(2) - key).double().square().sum(dim=0)
            if border != "circular":  # pixels outside the image are not compared
                inside = ((rows + down >= 0) & (rows + down < h))[:, None]
                inside = inside & ((cols + right >= 0) & (cols + right < w))
                squares *= inside
            total += squares
    total[origins.image < 0] = torch.inf
    return total.sqrt().to(x.dtype)


def _pixels(images: Tensor, image: Tensor, row: Tensor, col: Tensor) -> Tensor:
    """The pixels (image, row, col) of training images, channels first."""
    return images.movedim(1, 0)[:, image.clamp(min=0), row, col]


@dataclass(frozen=True)
class Pieces(Brief):
    """The connected pieces of a mosaic.

    Attributes
    ----------
    number
        of the piece a pixel belongs to, from 0; -1 for pixels that were left out
    count
        of pieces in each picture
    images
        how many training images each picture is made of
    """

    number: Int[Tensor, "b h w"]
    count: Int[Tensor, " b"]
    images: Int[Tensor, " b"]


@checked
def pieces(origins: Origins, border: Border, where: Bool[Tensor, "b h w"] | None = None) -> Pieces:
    """The pieces a picture is put together from, by the most probable origin of every pixel.

    Neighbours (up, down, left, right) belong to one piece if their origins are neighbours in the
    same training image, in the same way. `where` leaves pixels out, for example those that are
    `plain`. With `border="circular"` pictures and images wrap. ValueError for another border.
    """
    check_window(None, 1, 1, border)
    image, row, col = origins.image[:, 0], origins.row[:, 0], origins.col[:, 0]  # (b, h, w)
    b, h, w = image.shape
    where = torch.ones_like(image, dtype=torch.bool) if where is None else where
    down, right = torch.arange(h, device=image.device), torch.arange(w, device=image.device)
    moved = torch.stack([image, row - down[:, None], col - right])
    if border == "circular":
        moved[1:] %= moved.new_tensor([h, w])[:, None, None, None]
    pixel = torch.arange(b * h * w, device=image.device).reshape(b, h, w)
    pairs = []  # of neighbours that belong together: each pixel with the next one, down and right
    for axis in (1, 2):
        same = (moved == moved.roll(-1, axis + 1)).all(dim=0) & where & where.roll(-1, axis)
        if border != "circular":
            same.select(axis, -1).fill_(False)
        pairs.append(torch.stack([pixel[same], pixel.roll(-1, axis)[same]]))
    first, second = torch.cat(pairs, dim=1).cpu().numpy()
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(pixel.numel(),) * 2)
    piece = torch.from_numpy(connected_components(graph, directed=False)[1]).reshape(b, h, w)
    number, counts = torch.full_like(image, -1), []
    for i, mask in enumerate(where):
        found, inverse = piece[i][mask.cpu()].unique(return_inverse=True)
        number[i][mask] = inverse.to(image.device)
        counts.append(len(found))
    used = [len(part[mask].unique()) for part, mask in zip(image, where, strict=True)]
    return Pieces(
        number=number,
        count=torch.tensor(counts, dtype=torch.int64, device=image.device),
        images=torch.tensor(used, dtype=torch.int64, device=image.device),
    )


@checked
def plain(
    x: Float[Tensor, "b c h w"], window: int, tolerance: float = 0.1
) -> Bool[Tensor, "b h w"]:
    """Whether the window around a pixel is all but one colour: no channel spans `tolerance`.

    A plain window has as many equally good origins as there are plain patches. ValueError for a
    side that is not odd.
    """
    as_window(window)
    highest, lowest = (
        F.max_pool2d(sign * x, window, stride=1, padding=window // 2) * sign for sign in (1, -1)
    )
    return (highest - lowest).amax(dim=1) < tolerance


def posteriors_along(
    machine: ScoreMachine,
    x: Float[Tensor, "b c h w"],
    times: Sequence[float],
    label: int | None = None,
    *,
    top: int = 0,
) -> Iterator[tuple[Step, PatchPosterior]]:
    """`ddim` with a score machine, each step with the posterior behind it.

    `label` is the class of every picture, `top` how many origins of each pixel are wanted. Raises
    what `ddim` and `posterior` raise.
    """
    watched = _Watched(machine, label, top)
    for step in ddim(watched, x, times):
        yield step, watched.seen.pop()


@dataclass
class _Watched:
    """A machine asked for one class, as a Denoiser that keeps the posteriors it answered with."""

    machine: ScoreMachine
    of_class: int | None
    top: int
    seen: list[PatchPosterior] = field(default_factory=list)

    @property
    def schedule(self) -> Schedule:
        return self.machine.schedule

    def __call__(self, x: Tensor, t: float | Tensor, label: Tensor | None = None) -> Tensor:
        self.seen.append(self.machine.posterior(x, float(t), self.of_class, top=self.top))
        return self.seen[-1].mean
