"""Softer theories: what may stand beside hard windows, with constants that fit no network.

Niedoba, Zwartsenberg and Wood (2026) wrote the family down: how much a window's pixels count, for
which pixels it speaks, and which patches are compared are three choices. Each function here makes
another choice of one of them, of a table of windows that was calibrated with hard ones.
"""

from collections.abc import Callable
from dataclasses import replace

from elslib.checks import checked
from elslib.scales import ScaleTable
from elslib.windows import Side, Window, as_window

# Found on the ResNets of clothes and emoji, and on noise images apart from those of any test.
# Fold: the windows of so many pixels speak for a pixel, at times below.
RESPONSE, FOLD_BELOW = 3, 0.6
# Pooled: at times below, patches of all classes are compared.
POOLED_BELOW = 0.3
# Pyramid: sides shrink so far, since a pyramid's rim lies further out; at times below.
PYRAMID, PYRAMID_BELOW = 0.65, 0.5


@checked
def folded(scale: ScaleTable, response: int = RESPONSE, below: float = FOLD_BELOW) -> ScaleTable:
    """The same windows, but a pixel is the mean of what the windows around it expect of it.

    Those of `response` x `response` pixels, odd, at times under `below`. ValueError for an even
    response, and for a window that is the whole image.
    """
    what = f"fold of {response}"
    return changed_below(scale, below, what, lambda window: replace(window, response=response))


@checked
def pyramids(scale: ScaleTable, ratio: float = PYRAMID, below: float = PYRAMID_BELOW) -> ScaleTable:
    """Windows whose pixels count less the further from the centre, at times under `below`.

    Two boxes of `ratio` times the side, the nearest odd one of at least 3, are convolved; the
    border rule stays that of the hard window. ValueError for a ratio that is not positive, and for
    a window that is the whole image.
    """
    if not ratio > 0:
        raise ValueError(f"ratio must be positive, got {ratio}; .65 leaves a window about as wide.")

    def soft(window: Window) -> Window:
        side = max(3, 2 * round((ratio * window.side - 1) / 2) + 1)
        return replace(window, side=side, boxes=2, edge=window.border_side)

    return changed_below(scale, below, "pyramids", soft)


@checked
def changed_below(
    scale: ScaleTable, below: float, what: str, change: Callable[[Window], Window]
) -> ScaleTable:
    """The table with other windows at times under `below`, whose source says `what` they are.

    Quartiles are dropped: they were of hard ones. ValueError for a window that is the whole image.
    """
    windows: list[Side] = []
    for t, side in zip(scale.times, scale.windows, strict=True):
        window = as_window(side)
        if window is None:
            raise ValueError(
                f"scale must hold windows, got the whole image at t = {t} ({scale.source}); a soft "
                f"window has a side."
            )
        windows.append(change(window) if t < below else side)
    return ScaleTable(scale.times, tuple(windows), f"{scale.source}, {what} below t = {below:g}")
