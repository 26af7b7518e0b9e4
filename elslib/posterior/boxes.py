# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false
"""Squared differences and their box sums: the first half of the fused kernel.

For one relative shift between query and training image, the squared differences of all pixels are
one picture, and the distances of all windows are its box sums. So the cost of a comparison does not
grow with the window. Sixteen training images sit side by side in the lanes of a vector register.

Box sums only ever add. Each is the tail of one block of `k` values plus the head of the next (van
Herk's scheme), so nothing cancels and float32 keeps a relative error of a few roundings.

q is the query image scaled by s = sqrt(log2(e) / 2) / sigma, laid out [row, column, channel]; p
sixteen training images [row, column, channel, lane]; a = -alpha s, so that the difference is
q + a p. (The type checker does not know numba's pointers.)
"""

import numpy as np
from numba import njit

from elslib.posterior.lanes import WIDTH, fill, fma, keep_apart, load, spread, store

FIXED, CIRCULAR, AWARE = 0, 1, 2
compiled = njit(nogil=True)


@compiled
def padded(w, r, border):
    """Columns of a packed training image."""
    return 2 * w - 1 + 2 * r if border == CIRCULAR else w + 2 * r


@compiled
def pack(images, order, r, border, p):
    """Lay the (up to sixteen) images that `order` names out in p, with one more row, of zeros, and
    r or more columns at both ends: of zeros, or wrapped. Returns whether all values are finite."""
    _, c, h, w = images.shape
    width = padded(w, r, border)
    p[:] = 0
    broken = np.float32(0)
    for lane in range(len(order)):
        for ch in range(c):
            for i in range(h):
                for j in range(width):
                    x = j - r
                    if border == CIRCULAR:
                        x %= w
                    elif x < 0 or x >= w:
                        continue
                    value = images[order[lane], ch, i, x]
                    broken += value * np.float32(0)  # NaN, if value is NaN or infinite
                    p[((i * width + j) * c + ch) * WIDTH + lane] = value
    return broken == 0


@compiled
def plus(s, t):
    """Sum of two times four Lanes."""
    return s[0] + t[0], s[1] + t[1], s[2] + t[2], s[3] + t[3]


@compiled
def squares(q, p, qi, pi, a, channels, s):
    """Add the squared differences of four neighbouring pixels, over the channels, to s."""
    c = len(channels)
    s0, s1, s2, s3 = s
    for _ in range(c):
        d0 = fma(a, load(p, pi), spread(q, qi))
        d1 = fma(a, load(p, pi + c * WIDTH), spread(q, qi + c))
        d2 = fma(a, load(p, pi + 2 * c * WIDTH), spread(q, qi + 2 * c))
        d3 = fma(a, load(p, pi + 3 * c * WIDTH), spread(q, qi + 3 * c))
        s0, s1, s2, s3 = fma(d0, d0, s0), fma(d1, d1, s1), fma(d2, d2, s2), fma(d3, d3, s3)
        qi, pi = qi + 1, pi + WIDTH
    return s0, s1, s2, s3


@compiled
def four(p, i, apart):
    """Four Lanes, `apart` floats from each other."""
    return load(p, i), load(p, i + apart), load(p, i + 2 * apart), load(p, i + 3 * apart)


@compiled
def put(p, i, apart, s):
    """Store four Lanes, `apart` floats from each other."""
    store(p, i, s[0])
    store(p, i + apart, s[1])
    store(p, i + 2 * apart, s[2])
    store(p, i + 3 * apart, s[3])


def columns_of(squares):
    """Compile `columns` for a function that adds the squared differences of one row to its sums."""

    @compiled
    def columns(q, p, query_row, key_row, n, k, a, channels, out, step):
        """Vertical box sums of squared differences, four Lanes at a time.

        `squares` adds those of one row of q and one of p; here four neighbouring columns' of p.
        out[i], i = 0 .. n - 1, sums rows i .. i + k - 1; rows of `out` are `step` floats apart.
        """
        keep_apart()
        a = fill(a)
        zero = fill(np.float32(0))
        zeros = zero, zero, zero, zero
        if k == 3:  # the commonest window: two additions are cheaper than blocks
            s = squares(q, p, query_row[0], key_row[0], a, channels, zeros)
            t = squares(q, p, query_row[1], key_row[1], a, channels, zeros)
            for i in range(n):
                u = squares(q, p, query_row[i + 2], key_row[i + 2], a, channels, zeros)
                put(out, i * step, WIDTH, plus(plus(s, t), u))
                s, t = t, u
            return
        for first in range(0, n, k):
            last = min(first + k, n)
            t = zeros
            for i in range(first + k - 1, last - 1, -1):
                t = squares(q, p, query_row[i], key_row[i], a, channels, t)
            for i in range(last - 1, first - 1, -1):
                t = squares(q, p, query_row[i], key_row[i], a, channels, t)
                put(out, i * step, WIDTH, t)
            t = zeros
            for i in range(first + 1, last):
                t = squares(q, p, query_row[i + k - 1], key_row[i + k - 1], a, channels, t)
                put(out, i * step, WIDTH, plus(t, four(out, i * step, WIDTH)))

    return columns


columns = columns_of(squares)


@compiled
def wrapped(j, around):
    """Offset of column j of a strip that repeats after `around` columns."""
    return (j if j < around else j - around) * WIDTH


@compiled
def rows(source, source_apart, around, out, out_apart, n, k):
    """Horizontal box sums of four rows: out[j] = source[j] + .. + source[j + k - 1].

    Column `around` of the source is its column 0 again, and so on.
    """
    keep_apart()
    if k == 3:
        s, t = four(source, 0, source_apart), four(source, wrapped(1, around), source_apart)
        for j in range(n):
            u = four(source, wrapped(j + 2, around), source_apart)
            put(out, j * WIDTH, out_apart, plus(plus(s, t), u))
            s, t = t, u
        return
    zero = fill(np.float32(0))
    for first in range(0, n, k):
        last = min(first + k, n)
        t = zero, zero, zero, zero
        for j in range(first + k - 1, last - 1, -1):
            t = plus(t, four(source, wrapped(j, around), source_apart))
        for j in range(last - 1, first - 1, -1):
            t = plus(t, four(source, wrapped(j, around), source_apart))
            put(out, j * WIDTH, out_apart, t)
        t = zero, zero, zero, zero
        for j in range(first + 1, last):
            t = plus(t, four(source, wrapped(j + k - 1, around), source_apart))
            put(out, j * WIDTH, out_apart, plus(t, four(out, j * WIDTH, out_apart)))
