# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false
"""What is asked of a fused kernel, which places are compared, and which comparisons matter.

Both kernels, `kernel.py` and `rings.py`, build on this. (The type checker does not know numba's
pointers.)
"""

import math
from typing import NamedTuple

import numpy as np

from elslib.posterior.boxes import AWARE, CIRCULAR, FIXED, compiled

# Comparisons are skipped when all of them together weigh less than 2**-17 of the sum.
PRECISION = 17
# An energy this far below the reference makes a new reference; a float32 holds 2**127.
MARGIN = np.float32(8)
# The relative rounding of an energy is about 2**-23: above this many bits it is more than 1e-3.
LARGEST_ENERGY = 2.0**13
# Smaller weights count as this one: products of smaller ones would be denormal, hence slow.
LEAST = np.float32(-100)


def in_bits(sigma: float) -> float:
    """s, so that `|s (x - alpha p)|^2 = |x - alpha p|^2 log2(e) / (2 sigma^2)`: energy in bits."""
    return math.sqrt(math.log2(math.e) / 2) / sigma


class Task(NamedTuple):
    """What is asked: the same for all queries and images."""

    h: int
    w: int
    k: int
    border: int
    a: np.float32
    channels: tuple  # c zeros: its length is known when compiling
    slack: np.float32  # an energy so much above -log2(sum of weights) does not matter
    m: int  # origins wanted
    edges: bool = False  # only pixels whose window is clipped: others are not complete


@compiled
def shifts(side, r, border):
    """First and last + 1 of the relative shifts along an axis."""
    if border == FIXED:
        return 0, 1
    if border == CIRCULAR:
        return 0, side
    inner = max(side - 2 * r, 1)
    return 1 - inner, inner


@compiled
def overlap(shift, side, r, border):
    """First position of an axis that compares with the one `shift` further on, and how many."""
    if border == AWARE and shift != 0:  # both interior
        first = max(r, r - shift)
        return first, min(side - r, side - r - shift) - first
    return 0, side


@compiled
def set_rows(first, n, shift, task, query_step, key_step, space):
    """Offsets in q and p of the n rows from `first` on; rows outside are the row of zeros.

    `query_step` and `key_step` are the floats of a row in q and in p.
    """
    h = task.h
    for i in range(n):
        y = first + i
        if task.border == CIRCULAR:
            query, key = y % h, (y + shift) % h
        elif 0 <= y < h:
            query, key = y, y + shift
        else:
            query, key = h, h
        space.query_row[i], space.key_row[i] = query * query_step, key * key_step


@compiled
def bound(sums, pixel, slack, m):
    """The energy from which on comparisons do not matter for a pixel."""
    known = max(sums.weight[pixel], 1.0)
    limit = sums.reference[pixel] + slack - np.float32(np.log2(known))
    if m > 0:
        limit = max(limit, sums.best_energy[(pixel + 1) * m - 1])
    return limit


@compiled
def insert(energy, place, pixel, m, sums):
    """Put an energy among a pixel's m smallest, if it is one; of equals the first met stays."""
    first = pixel * m
    i = first + m - 1
    if energy < sums.best_energy[i]:
        while i > first and energy < sums.best_energy[i - 1]:
            sums.best_energy[i] = sums.best_energy[i - 1]
            sums.best_place[i] = sums.best_place[i - 1]
            i -= 1
        sums.best_energy[i] = energy
        sums.best_place[i] = place
