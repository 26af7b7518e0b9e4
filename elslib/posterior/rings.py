# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false
# pyright: reportGeneralTypeIssues=false
"""The fused kernel for circular windows on images 32 pixels wide: a row is two vector registers.

`kernel.py` has sixteen training images side by side; here it is sixteen pixels of one image. A ring
of 32 pixels turns within two registers, so horizontal box sums need no memory; and one image, one
query, the energies and the running sums fit in the nearest cache together. Sums belong to the upper
left pixel of a window until `cpu.py` turns them to its centre.

Energies, references, limits and weights are those of `kernel.py`; so is the order of the work: box
sums, choice, new references, sums. Two neighbouring shifts are done together, and each row of a
strip holds four Lanes: left and right half at the first shift, then at the second.
"""

from typing import NamedTuple

import numpy as np

from elslib.posterior.boxes import columns_of, compiled, put
from elslib.posterior.lanes import (
    WIDTH,
    after,
    any_below,
    exp2,
    fill,
    fma,
    join1,
    join2,
    join4,
    join8,
    keep_apart,
    larger,
    load,
    load_anywhere,
    pointer,
    smaller,
    store,
)
from elslib.posterior.task import LEAST, MARGIN, bound, insert, set_rows

SIDE = 32  # columns of an image
FOUR = 4 * WIDTH
# After so many images the limits are tightened again.
TIGHTEN = 8


class Sums(NamedTuple):
    """Running sums of one query image, or one row per query image; pixels in rows of 32."""

    reference: np.ndarray  # [pixels]
    limit: np.ndarray  # [pixels], energies from here on are skipped
    lanes: np.ndarray  # [2 + c, pixels], the three sums below over the image at hand
    before: np.ndarray  # [pixels], the reference of the three sums below
    weight: np.ndarray  # [pixels], float64, of all images before
    ahead: np.ndarray  # [pixels], sum of weight (reference - energy)
    value: np.ndarray  # [pixels, c]
    best_energy: np.ndarray  # [pixels, m], ascending
    best_place: np.ndarray  # [pixels, m], (image h + row) w + column


class Scratch(NamedTuple):
    """Working space of one thread."""

    image: np.ndarray  # a packed training image
    strip: np.ndarray  # [rows, 4, 16], box sums, then energies
    query_row: np.ndarray  # offsets of the rows at hand in q
    key_row: np.ndarray  # and in p
    chosen: np.ndarray  # half rows that matter


@compiled
def pack(image, p):
    """Lay an image [c, h, 32] out in p [row, channel, 64], every row twice over. Returns whether
    all values are finite."""
    c, h, _ = image.shape
    broken = np.float32(0)
    for i in range(h):
        for ch in range(c):
            for j in range(2 * SIDE):
                value = image[ch, i, j % SIDE]
                broken += value * np.float32(0)  # NaN, if value is NaN or infinite
                p[(i * c + ch) * 2 * SIDE + j] = value
    return broken == 0


@compiled
def squares(q, p, qi, pi, a, channels, s):
    """Add the squared differences of a row at two shifts, over the channels, to s."""
    s0, s1, s2, s3 = s
    for _ in range(len(channels)):
        left, right = load(q, qi), load(q, qi + WIDTH)
        d0 = fma(a, load_anywhere(p, pi), left)
        d1 = fma(a, load_anywhere(p, pi + WIDTH), right)
        d2 = fma(a, load_anywhere(p, pi + 1), left)
        d3 = fma(a, load_anywhere(p, pi + 1 + WIDTH), right)
        s0, s1, s2, s3 = fma(d0, d0, s0), fma(d1, d1, s1), fma(d2, d2, s2), fma(d3, d3, s3)
        qi, pi = qi + SIDE, pi + 2 * SIDE
    return s0, s1, s2, s3


columns = columns_of(squares)


@compiled
def around(s, t, k):
    """Sums of k neighbours around the ring: s and t become `out[x] = in[x] + .. + in[x + k - 1]`.

    Sums of 2, 4, 8, 16 neighbours are doubled up, and k is put together from its bits.
    """
    u, v = s, t  # sums over the bits of k so far; the lowest is set, since k is odd
    s, t = s + join1(s, t), t + join1(t, s)
    if k & 2:
        u, v = s + join2(u, v), t + join2(v, u)
    if k < 4:
        return u, v
    s, t = s + join2(s, t), t + join2(t, s)
    if k & 4:
        u, v = s + join4(u, v), t + join4(v, u)
    if k < 8:
        return u, v
    s, t = s + join4(s, t), t + join4(t, s)
    if k & 8:
        u, v = s + join8(u, v), t + join8(v, u)
    if k < 16:
        return u, v
    s, t = s + join8(s, t), t + join8(t, s)
    return s + v, t + u


@compiled
def choose(strip, h, k, limit, reference, chosen):
    """Finish the energies in the strip, and list the half rows that matter at either shift.

    Returns how many there are, and whether one is far below its reference.
    """
    keep_apart()
    count = 0
    margin = fill(MARGIN)
    for i in range(h):
        o = i * FOUR
        s0, s1 = around(load(strip, o), load(strip, o + WIDTH), k)
        s2, s3 = around(load(strip, o + 2 * WIDTH), load(strip, o + 3 * WIDTH), k)
        put(strip, o, WIDTH, (s0, s1, s2, s3))
        j = i * SIDE
        left, right = smaller(s0, s2), smaller(s1, s3)
        chosen[count] = j
        count += any_below(left, load(limit, j))
        chosen[count] = j + WIDTH
        count += any_below(right, load(limit, j + WIDTH))
        margin = smaller(margin, left - load(reference, j))
        margin = smaller(margin, right - load(reference, j + WIDTH))
    return count, any_below(margin, fill(-MARGIN))


@compiled
def settle(strip, chosen, count, reference, lanes, pixels, c):
    """Lower the references of pixels that met much smaller energies."""
    keep_apart()
    least = fill(LEAST)
    for l in range(count):
        j = chosen[l]
        e = smaller(load(strip, 2 * j - j % SIDE), load(strip, 2 * j - j % SIDE + 2 * WIDTH))
        old = load(reference, j)
        if not any_below(e, old - fill(MARGIN)):
            continue
        new = smaller(old, e)
        change = larger(new - old, least)
        scale = exp2(change)
        store(reference, j, new)
        weight = load(lanes, j)
        store(lanes, j, scale * weight)
        store(lanes, pixels + j, scale * fma(change, weight, load(lanes, pixels + j)))
        for ch in range(2, 2 + c):
            store(lanes, ch * pixels + j, scale * load(lanes, ch * pixels + j))


@compiled
def absorb(strip, chosen, count, reference, lanes, pixels, p, key_row, first, second, channels):
    """Add the weights of the chosen comparisons, at both shifts, to the sums of their pixels."""
    keep_apart()
    least = fill(LEAST)
    for l in range(count):
        j = chosen[l]
        half = j % SIDE
        o, m, key = 2 * j - half, load(reference, j), key_row[j // SIDE] + half
        z0 = larger(m - load(strip, o), least)
        z1 = larger(m - load(strip, o + 2 * WIDTH), least)
        e0, e1 = exp2(z0), exp2(z1)
        store(lanes, j, load(lanes, j) + (e0 + e1))
        ahead = fma(e0, z0, load(lanes, pixels + j))
        store(lanes, pixels + j, fma(e1, z1, ahead))
        for ch in range(len(channels)):
            i = (2 + ch) * pixels + j
            value = fma(e0, load_anywhere(p, key + first), load(lanes, i))
            store(lanes, i, fma(e1, load_anywhere(p, key + second), value))
            key += 2 * SIDE


@compiled
def remember(strip, chosen, count, image, task, di, dj, sums):
    """Keep each pixel's m smallest energies, and where they came from; of equals the first met."""
    h, m, r = task.h, task.m, task.k // 2
    for l in range(count):
        j = chosen[l]
        half = j % SIDE
        row = (j // SIDE + r + di) % h
        for shift in range(2):
            for lane in range(WIDTH):
                e = strip[2 * j - half + shift * 2 * WIDTH + lane]
                col = (half + lane + r + dj + shift) % SIDE
                insert(e, (image * h + row) * SIDE + col, j + lane, m, sums)


@compiled
def collect(sums, pixels, tighten, slack, m, c):
    """Move the sums over an image to float64; perhaps tighten the limits by what is known now."""
    for pixel in range(pixels):
        reference = sums.reference[pixel]
        scale = np.float64(1)
        if reference != sums.before[pixel]:
            change = np.float64(reference) - sums.before[pixel]
            scale = 2.0**change
            if sums.weight[pixel] > 0:  # else the change may be infinite
                sums.ahead[pixel] += change * sums.weight[pixel]
            sums.before[pixel] = reference
        sums.weight[pixel] = scale * sums.weight[pixel] + sums.lanes[pixel]
        sums.ahead[pixel] = scale * sums.ahead[pixel] + sums.lanes[pixels + pixel]
        for ch in range(c):
            i = pixel * c + ch
            sums.value[i] = scale * sums.value[i] + sums.lanes[(2 + ch) * pixels + pixel]
        for ch in range(2 + c):
            sums.lanes[ch * pixels + pixel] = 0
        if tighten:
            sums.limit[pixel] = bound(sums, pixel, slack, m)


@compiled
def sweep(q, image, task, sums, space):
    """Compare one query image with the packed training image at every shift."""
    h, k, c = task.h, task.k, len(task.channels)
    r, pixels = k // 2, task.h * SIDE
    for di in range(h):
        set_rows(0, h + 2 * r, di, task, c * SIDE, c * 2 * SIDE, space)
        for dj in range(0, SIDE, 2):
            columns(
                q, after(space.image, dj), space.query_row, space.key_row, h, k, task.a,
                task.channels, space.strip, FOUR,
            )  # fmt: skip
            count, low = choose(space.strip, h, k, sums.limit, sums.reference, space.chosen)
            if count == 0:
                continue
            if low:
                settle(space.strip, space.chosen, count, sums.reference, sums.lanes, pixels, c)
            absorb(
                space.strip, space.chosen, count, sums.reference, sums.lanes, pixels, space.image,
                after(space.key_row, r), (dj + r) % SIDE, (dj + 1 + r) % SIDE, task.channels,
            )  # fmt: skip
            if task.m > 0:
                remember(space.strip, space.chosen, count, image, task, di, dj, sums)


@compiled
def posterior_sums(images, order, queries, task, sums, space):
    """All queries [b, ...] against those of images [n, c, h, 32] that `order` names; into `sums`.

    Returns False, with the sums half done, if an image holds NaN or infinity.
    """
    c, pixels = len(task.channels), task.h * SIDE
    inner = Scratch(
        pointer(space.image), pointer(space.strip), pointer(space.query_row),
        pointer(space.key_row), pointer(space.chosen),
    )  # fmt: skip
    for number in range(len(order)):
        if not pack(images[order[number]], space.image):
            return False
        done = number + 1
        tighten = done % TIGHTEN == 0 or done in (1, 2, 4)
        for b in range(len(queries)):
            own = Sums(
                pointer(sums.reference[b]), pointer(sums.limit[b]), pointer(sums.lanes),
                pointer(sums.before[b]), pointer(sums.weight[b]), pointer(sums.ahead[b]),
                pointer(sums.value[b]), pointer(sums.best_energy[b]), pointer(sums.best_place[b]),
            )  # fmt: skip
            sweep(pointer(queries[b]), order[number], task, own, inner)
            collect(own, pixels, tighten, task.slack, task.m, c)
    return True
