# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false
# pyright: reportGeneralTypeIssues=false
"""The fused kernel for processors, in numba: patches and logits are never stored.

`boxes.py` makes the energies `log2(e) ||x - alpha p||^2 / (2 sigma^2)` of one shift; here they
become weights 2**(reference - energy) and are summed up. Each pixel's reference is lowered when a
much smaller energy comes along, and comparisons are skipped when all of their kind together would
be below 2**-PRECISION of the sum.

Names: h, w, c, k as in the contract; r = k // 2; q, p and a as in `boxes.py`. (The type checker
does not know numba's pointers.)
"""

from typing import NamedTuple

import numpy as np

from elslib.posterior.boxes import CIRCULAR, columns, compiled, pack, padded, rows
from elslib.posterior.lanes import (
    WIDTH,
    after,
    any_below,
    exp2,
    fill,
    fma,
    keep_apart,
    larger,
    load,
    pointer,
    smaller,
    smallest,
    spread,
    store,
    total,
)
from elslib.posterior.task import LEAST, MARGIN, bound, insert, overlap, set_rows, shifts

# Groups of sixteen images whose weights are added up in registers before they go to memory.
GROUP = 4


class Sums(NamedTuple):
    """Running sums of one query image, or one row per query image; pixels in rows of `pitch`."""

    reference: np.ndarray  # [pixels]
    limit: np.ndarray  # [pixels], energies from here on are skipped
    lanes: np.ndarray  # [pixels, 2 + c, 16], the three sums below over the images at hand
    weight: np.ndarray  # [pixels], float64, of all images before
    ahead: np.ndarray  # [pixels], sum of weight (reference - energy)
    value: np.ndarray  # [pixels, c]
    best_energy: np.ndarray  # [pixels, m], ascending
    best_place: np.ndarray  # [pixels, m], (image h + row) w + column


class Scratch(NamedTuple):
    """Working space of one thread."""

    images: np.ndarray  # GROUP blocks of packed training images
    strip: np.ndarray  # [GROUP, rows, columns, 16], vertical box sums
    energy: np.ndarray  # [GROUP, 4, pitch, 16]
    query_row: np.ndarray  # offsets of the rows at hand in q
    key_row: np.ndarray  # and in p
    chosen: np.ndarray  # [4 pitch], comparisons that matter
    where: np.ndarray  # [4 pitch], and their offsets in p


@compiled
def layout(h, w, r):
    """Columns of a strip, floats of a strip, and pixels from one row of the sums to the next.

    Strips have room for groups of four rows and columns. An odd pitch keeps the rows of a group
    apart in the cache.
    """
    width = w + 2 * r + 3
    return width, (h + 3) * width * WIDTH, w | 1


@compiled
def rebase(sums, pixel, reference, c):
    """Give a pixel's sums another reference."""
    change = reference - sums.reference[pixel]
    sums.reference[pixel] = reference
    if change == -np.inf:  # the first comparison: nothing is summed yet
        return
    scale = np.float32(2.0) ** change
    f, shift, i = fill(scale), fill(change), pixel * (2 + c) * WIDTH
    weight, ahead = load(sums.lanes, i), load(sums.lanes, i + WIDTH)
    store(sums.lanes, i, f * weight)
    store(sums.lanes, i + WIDTH, f * fma(shift, weight, ahead))
    sums.ahead[pixel] = scale * (sums.ahead[pixel] + change * sums.weight[pixel])
    sums.weight[pixel] *= scale
    for ch in range(c):
        o = i + (2 + ch) * WIDTH
        store(sums.lanes, o, f * load(sums.lanes, o))
        sums.value[pixel * c + ch] *= scale


@compiled
def lowest(energy, j, blocks, apart):
    """Smaller of the energies of all blocks, in each lane."""
    s = load(energy, j * WIDTH)
    for g in range(1, blocks):
        s = smaller(s, load(energy, g * apart + j * WIDTH))
    return s


@compiled
def choose(energy, blocks, apart, n_rows, n_cols, pitch, limit, reference, key_row, step, space):
    """List the comparisons of some rows that matter, and where their training pixels are.

    Returns how many there are, and whether one is far below its pixel's reference.
    """
    keep_apart()
    chosen, where = space.chosen, space.where
    count = 0
    margin = fill(MARGIN)
    for i in range(n_rows):
        key = key_row[i]
        for j in range(i * pitch, i * pitch + n_cols):
            s = lowest(energy, j, blocks, apart)
            chosen[count], where[count] = j, key
            count += any_below(s, spread(limit, j))
            margin = smaller(margin, s - spread(reference, j))
            key += step
    return count, any_below(margin, fill(-MARGIN))


@compiled
def settle(energy, blocks, apart, chosen, count, pixel, slack, m, c, sums):
    """Lower the references of pixels that met much smaller energies."""
    keep_apart()
    for l in range(count):
        j = chosen[l]
        least = smallest(lowest(energy, j, blocks, apart))
        if least < sums.reference[pixel + j] - MARGIN:
            rebase(sums, pixel + j, least, c)
            sums.limit[pixel + j] = bound(sums, pixel + j, slack, m)


@compiled
def absorb(energy, blocks, apart, count, space, reference, lanes, p, size, channels):
    """Add the weights of the chosen comparisons to the sums of their pixels."""
    keep_apart()
    c = len(channels)
    least = fill(LEAST)
    for l in range(count):
        j, key = space.chosen[l], space.where[l]
        m = spread(reference, j)
        i = j * (2 + c) * WIDTH
        weight, ahead = load(lanes, i), load(lanes, i + WIDTH)
        for g in range(blocks):
            z = larger(m - load(energy, g * apart + j * WIDTH), least)
            e = exp2(z)
            weight = weight + e
            ahead = fma(e, z, ahead)
            for ch in range(c):
                o = i + (2 + ch) * WIDTH
                store(lanes, o, fma(e, load(p, g * size + key + ch * WIDTH), load(lanes, o)))
        store(lanes, i, weight)
        store(lanes, i + WIDTH, ahead)


@compiled
def remember(energy, j, pixel, images, stride, place, m, sums):
    """Keep a pixel's m smallest energies, and where they came from."""
    for lane in range(WIDTH):
        insert(energy[j * WIDTH + lane], images[lane] * stride + place, pixel, m, sums)


@compiled
def collect(sums, pixels, slack, m, c):
    """Move the lanes' sums to float64, and tighten the limits by what is known now."""
    zero = fill(np.float32(0))
    for pixel in range(pixels):
        i = pixel * (2 + c) * WIDTH
        sums.weight[pixel] += total(load(sums.lanes, i))
        sums.ahead[pixel] += total(load(sums.lanes, i + WIDTH))
        for ch in range(c):
            sums.value[pixel * c + ch] += total(load(sums.lanes, i + (2 + ch) * WIDTH))
        for ch in range(2 + c):
            store(sums.lanes, i + ch * WIDTH, zero)
        sums.limit[pixel] = bound(sums, pixel, slack, m)


@compiled
def box_columns(q, p, blocks, size, n_rows, n_cols, task, space):
    """Vertical box sums of all columns of a shift, for every block, into space.strip.

    Returns how many columns there are; circular ones repeat.
    """
    w, k, c = task.w, task.k, len(task.channels)
    r = k // 2
    width, depth, _ = layout(task.h, w, r)
    count = w if task.border == CIRCULAR else n_cols + 2 * r
    for g in range(blocks):
        out = after(space.strip, g * depth)
        for j in range(0, count, 4):
            key = after(p, g * size + j * c * WIDTH)
            columns(
                after(q, j * c), key, space.query_row, space.key_row, n_rows, k, task.a,
                task.channels, after(out, j * WIDTH), width * WIDTH,
            )  # fmt: skip
    return count


@compiled
def compare(
    q, p, left, top, shift, n_rows, n_cols, images, blocks, absent, size, task, sums, space
):
    """Compare the windows of n_rows x n_cols pixels at one shift with those of all blocks.

    q and p point to the windows' first column, `left` and `top` name the first pixel.
    """
    h, w, k, c, m = task.h, task.w, task.k, len(task.channels), task.m
    r = k // 2
    width, depth, pitch = layout(h, w, r)
    apart = 4 * pitch * WIDTH
    around = box_columns(q, p, blocks, size, n_rows, n_cols, task, space)
    for i in range(0, n_rows, 4):
        for g in range(blocks):
            source = after(space.strip, g * depth + i * width * WIDTH)
            energy = after(space.energy, g * apart)
            rows(source, width * WIDTH, around, energy, pitch * WIDTH, n_cols, k)
        if absent > 0:  # the last block is not full
            energy = after(space.energy, (blocks - 1) * apart)
            for j in range(4 * pitch):
                for lane in range(WIDTH - absent, WIDTH):
                    energy[j * WIDTH + lane] = np.inf
        pixel = (top + i) * pitch + left
        count, low = choose(
            space.energy, blocks, apart, min(4, n_rows - i), n_cols, pitch,
            after(sums.limit, pixel), after(sums.reference, pixel), after(space.key_row, i + r),
            c * WIDTH, space,
        )  # fmt: skip
        if count == 0:
            continue
        if low:
            settle(space.energy, blocks, apart, space.chosen, count, pixel, task.slack, m, c, sums)
        absorb(
            space.energy, blocks, apart, count, space, after(sums.reference, pixel),
            after(sums.lanes, pixel * (2 + c) * WIDTH), after(p, r * c * WIDTH), size,
            task.channels,
        )  # fmt: skip
        if m > 0:
            for l in range(count):
                j = space.chosen[l]
                row, col = top + i + j // pitch + shift[0], left + j % pitch + shift[1]
                place = row % h * w + col % w
                for g in range(blocks):
                    energy = after(space.energy, g * apart)
                    remember(energy, j, pixel + j, after(images, g * WIDTH), h * w, place, m, sums)


@compiled
def sweep(q, images, blocks, absent, size, task, sums, space):
    """Compare one query image with all packed training images at every shift."""
    r, border, c = task.k // 2, task.border, len(task.channels)
    query_step = (task.w + 2 * r) * c
    key_step = padded(task.w, r, border) * c * WIDTH
    low, high = shifts(task.h, r, border)
    first, last = shifts(task.w, r, border)
    for di in range(low, high):
        top, n_rows = overlap(di, task.h, r, border)
        set_rows(top - r, n_rows + 2 * r, di, task, query_step, key_step, space)
        for dj in range(first, last):
            if task.edges and di != 0 and dj != 0:  # both interior
                continue
            left, n_cols = overlap(dj, task.w, r, border)
            key = after(space.images, (left + dj) * c * WIDTH)
            compare(
                after(q, left * c), key, left, top, (di, dj), n_rows, n_cols, images, blocks,
                absent, size, task, sums, space,
            )  # fmt: skip


@compiled
def posterior_sums(images, order, queries, task, sums, space):
    """All queries [b, ...] against those of images [n, c, h, w] that `order` names; into `sums`.

    Returns False, with the sums half done, if an image holds NaN or infinity.
    """
    n = len(order)
    _, c, h, w = images.shape
    r = task.k // 2
    size = (h + 1) * padded(w, r, task.border) * c * WIDTH
    _, _, pitch = layout(h, w, r)
    inner = Scratch(
        pointer(space.images), pointer(space.strip), pointer(space.energy),
        pointer(space.query_row), pointer(space.key_row), pointer(space.chosen),
        pointer(space.where),
    )  # fmt: skip
    for start in range(0, n, WIDTH * GROUP):
        stop = min(start + WIDTH * GROUP, n)
        blocks = (stop - start + WIDTH - 1) // WIDTH
        for g in range(blocks):
            first = start + g * WIDTH
            block = space.images[g * size : (g + 1) * size]
            some = order[first : min(first + WIDTH, n)]
            if not pack(images, some, r, task.border, block):
                return False
        for b in range(len(queries)):
            own = Sums(
                pointer(sums.reference[b]), pointer(sums.limit[b]), pointer(sums.lanes),
                pointer(sums.weight[b]), pointer(sums.ahead[b]), pointer(sums.value[b]),
                pointer(sums.best_energy[b]), pointer(sums.best_place[b]),
            )  # fmt: skip
            absent = start + blocks * WIDTH - stop
            names = after(pointer(order), start)
            sweep(pointer(queries[b]), names, blocks, absent, size, task, own, inner)
            collect(own, h * pitch, task.slack, task.m, c)
    return True
