"""The sum of a local machine for one pixel: its window, the patches that fit it best, the guess."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from elslib.checks import checked
from elslib.denoisers.machines import ScoreMachine
from elslib.figures.plots import image_grid, outlined
from elslib.figures.style import Figure
from elslib.windows import as_window

TOP = 6  # patches that are shown
SIDE = 192  # of every picture of the figure: much more than a window's, so that outlines are thin
WINDOW, CENTRE = 1, 2  # what is outlined, each in its colour


@checked
def one_sum(
    machine: ScoreMachine,
    x: Float[Tensor, "1 1 h w"],
    t: float,
    label: int | None,
    pixel: tuple[int, int],
) -> Figure:
    """How `machine` guesses one pixel of the noisy grey picture x at time t.

    From left to right: x, the window around the pixel, the likeliest patches with their weights,
    the mean of all other patches, the guess. Raises ValueError for a machine that compares whole
    images, and for a pixel whose window is not all inside the picture.
    """
    window, (row, col) = as_window(machine.window_at(t)), pixel
    if window is None:
        raise ValueError("machine must be local, got one that compares whole images.")
    r, (h, w) = window.support // 2, x.shape[2:]
    if not (r <= row < h - r and r <= col < w - r):
        raise ValueError(
            f"pixel must have its window of {window.support} pixels inside the picture of "
            f"{h} x {w}, got {pixel}."
        )
    found = machine.posterior(x, t, label, top=TOP)
    assert found.origins is not None
    of = found.origins
    places = torch.stack([of.image, of.row, of.col])[:, 0, :, row, col].T.tolist()
    patches = [_square(machine.images.pixels[i], a, b, r) for i, a, b in places if i >= 0]
    weight = of.weight[0, : len(patches), row, col].double()
    guess = found.mean[0, :, row, col].double()  # (1,)
    centres = torch.stack(patches)[:, :, r, r].double()
    others = max(1 - float(weight.sum()), 0.0)
    rest = (guess - weight @ centres) / others if others > 1e-6 else guess
    noisy = x[0] / x.abs().amax()
    squares = [_square(noisy, row, col, r), *patches]
    plain = [torch.full_like(squares[0], float(value)) for value in (rest, guess)]
    shown = _grown([noisy[None], torch.stack([*squares, *plain])])
    parts = _parts((h, w), pixel, r, len(squares))
    return image_grid(
        {"": outlined(shown.cpu(), parts, 1)},
        ["picture", "window", *["patch"] * len(patches), "all others", "guess"],
        {"": ["", "", *(f"{100 * p:.0f}%" for p in [*weight.tolist(), others]), "mean"]},
    )


def _square(image: Tensor, row: int, col: int, r: int) -> Tensor:
    return image[:, row - r : row + r + 1, col - r : col + r + 1]


def _parts(size: tuple[int, int], pixel: tuple[int, int], r: int, n: int) -> Int[Tensor, "b h w"]:
    """What is outlined in the picture, in n squares, and, nothing, in the two plain ones."""
    row, col = pixel
    whole = torch.zeros(1, 1, *size, dtype=torch.float32, device="cpu")
    small = torch.zeros(n + 2, 1, 2 * r + 1, 2 * r + 1, dtype=torch.float32, device="cpu")
    _square(whole[0], row, col, r).fill_(WINDOW)
    whole[..., row, col] = CENTRE
    small[:n, :, r, r] = CENTRE
    return _grown([whole, small])[:, 0].long()


def _grown(images: list[Tensor]) -> Tensor:
    """All at the size of the figure."""
    return torch.cat([F.interpolate(some, size=(SIDE, SIDE)) for some in images])
