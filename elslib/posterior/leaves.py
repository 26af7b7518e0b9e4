# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false
# pyright: reportGeneralTypeIssues=false
"""The fused kernel for small windows: compares leaf by leaf, and skips what is provably too far.

`groups.py` lays the training patches out. A pixel starts with the branch whose box is nearest to
its window, which gives a limit: patches whose energy is above it weigh, all together, less than the
tolerance. A box's energy is a lower bound of its patches', so that whole branches and leaves are
skipped. What is left is compared value by value.

Names: d = k k c values of a window, m axes; q is a window of the query image scaled by
s = sqrt(log2(e) / 2) / sigma, p a patch, a = -alpha s. (The type checker does not know numba's
pointers.)
"""

from typing import NamedTuple

import numpy as np

from elslib.posterior.boxes import compiled
from elslib.posterior.lanes import (
    WIDTH,
    after,
    any_below,
    exp2,
    fill,
    fma,
    larger,
    load,
    pointer,
    smaller,
    smallest,
    spread,
    store,
    total,
    where_below,
)
from elslib.posterior.task import LEAST, MARGIN

# Queries that go through sixteen branches together, while these are in cache.
TOGETHER = 256


class Leaves(NamedTuple):
    """Training patches, as in `groups.Groups`."""

    patches: np.ndarray
    copies: np.ndarray
    leaf_copies: np.ndarray
    branch_copies: np.ndarray
    leaf_boxes: np.ndarray
    branch_boxes: np.ndarray


class Plan(NamedTuple):
    """What is asked: the same for all queries."""

    channels: tuple  # c zeros: its length is known when compiling
    d: int
    m: int
    branches: int
    a: np.float32
    slack: np.float32  # an energy so much above -log2(sum of weights) does not matter
    account: bool  # whether to sum up what is skipped


class Queries(NamedTuple):
    """Windows of noisy images."""

    values: np.ndarray  # [queries, d], scaled
    sides: np.ndarray  # [queries, m, 2], along each axis: the number and its negative, less slack


class Sums(NamedTuple):
    """What is summed up for each query; `limit` and `skipped` as the module says."""

    reference: np.ndarray  # [queries]
    limit: np.ndarray  # [queries], energies from here on may be skipped
    lanes: np.ndarray  # [queries, 2 + c, 16], the next three over the leaves at hand
    weight: np.ndarray  # [queries], float64, of 2**(reference - energy)
    ahead: np.ndarray  # [queries], of weight (reference - energy)
    value: np.ndarray  # [queries, c], of weight centre
    skipped: np.ndarray  # [queries], no more weight than this was skipped
    seen: np.ndarray  # [queries], int64, leaves compared


class Scratch(NamedTuple):
    """Working space of one thread."""

    energy: np.ndarray  # [TOGETHER + 1, 16]
    limit: np.ndarray  # [TOGETHER]
    chosen: np.ndarray  # [TOGETHER + 1], queries that a branch matters to
    inner: np.ndarray  # [17], its leaves that matter to one of them


@compiled
def box_energy(sides, boxes, m, a):
    """Energies of sixteen boxes: of the point in each that is nearest to the query."""
    zero, s = fill(np.float32(0)), fill(np.float32(0))
    least, most = fill(a), fill(-a)
    for i in range(m):
        # a < 0: the query is above the box, or below it, by so much.
        above = fma(least, load(boxes, (2 * i + 1) * WIDTH), spread(sides, 2 * i))
        below = fma(most, load(boxes, 2 * i * WIDTH), spread(sides, 2 * i + 1))
        outside = larger(larger(above, below), zero)
        s = fma(outside, outside, s)
    return s


@compiled
def energy(q, patches, d, a):
    """Energies of sixteen patches."""
    s, scale = fill(np.float32(0)), fill(a)
    for i in range(d):
        difference = fma(scale, load(patches, i * WIDTH), spread(q, i))
        s = fma(difference, difference, s)
    return s


@compiled
def listed(energies, limit, out):
    """Which of sixteen energies are below the limit; how many they are."""
    n = 0
    for i in range(WIDTH):
        out[n] = i
        n += energies[i] < limit
    return n


@compiled
def begin(i, q, sides, leaves, plan, sums, space):
    """Give a query its reference and limit, from the branch that is nearest."""
    m, a, d = plan.m, plan.a, plan.d
    least, nearest = np.float32(np.inf), 0
    for group in range((plan.branches + WIDTH - 1) // WIDTH):
        e = box_energy(sides, after(leaves.branch_boxes, group * 2 * m * WIDTH), m, a)
        if smallest(e) < least:
            least = smallest(e)
            store(space.energy, 0, e)
            l = 0
            while space.energy[l] != least:
                l += 1
            nearest = group * WIDTH + l
    reference, weight = np.float32(np.inf), np.float64(0)
    for leaf in range(nearest * WIDTH, (nearest + 1) * WIDTH):
        e = energy(q, after(leaves.patches, leaf * d * WIDTH), d, a)
        reference = min(reference, smallest(e))
        store(space.energy, leaf % WIDTH * WIDTH, e)
    for l in range(WIDTH):
        z = larger(fill(reference) - load(space.energy, l * WIDTH), fill(LEAST))
        weight += total(exp2(z) * load(leaves.copies, (nearest * WIDTH + l) * WIDTH))
    sums.reference[i] = reference
    sums.limit[i] = reference + plan.slack - np.float32(np.log2(max(weight, 1.0)))


@compiled
def lower(i, reference, plan, sums):
    """Give a query's sums a lower reference."""
    c = len(plan.channels)
    change = reference - sums.reference[i]
    scale = np.float32(2.0) ** change
    lanes = after(sums.lanes, i * (2 + c) * WIDTH)
    weight = load(lanes, 0)
    store(lanes, WIDTH, fill(scale) * fma(fill(change), weight, load(lanes, WIDTH)))
    store(lanes, 0, fill(scale) * weight)
    sums.ahead[i] = scale * (sums.ahead[i] + change * sums.weight[i])
    sums.weight[i] *= scale
    sums.skipped[i] *= scale
    for ch in range(c):
        store(lanes, (2 + ch) * WIDTH, fill(scale) * load(lanes, (2 + ch) * WIDTH))
        sums.value[i * c + ch] *= scale
    sums.reference[i] = reference
    sums.limit[i] = min(sums.limit[i], reference + plan.slack)


@compiled
def left_out(energies, limit, copies, reference):
    """At most so much weight is in those of sixteen boxes that are not below the limit."""
    e = load(energies, 0)
    # Limits lie above references: what is cut off at 0 is not left out.
    z = smaller(larger(fill(reference) - e, fill(LEAST)), fill(np.float32(0)))
    weight = exp2(z) * load(copies, 0)
    return total(weight - where_below(e, fill(limit), weight))


@compiled
def visit(i, branch, q, sides, leaves, plan, sums, space):
    """Compare a query with the leaves of a branch that may matter."""
    m, a, d, c = plan.m, plan.a, plan.d, len(plan.channels)
    boxes = after(leaves.leaf_boxes, branch * 2 * m * WIDTH)
    energies = after(space.energy, TOGETHER * WIDTH)
    store(energies, 0, box_energy(sides, boxes, m, a))
    if plan.account:
        copies = after(leaves.leaf_copies, branch * WIDTH)
        sums.skipped[i] += left_out(energies, sums.limit[i], copies, sums.reference[i])
    count = listed(energies, sums.limit[i], space.inner)
    sums.seen[i] += count
    lanes = after(sums.lanes, i * (2 + c) * WIDTH)
    for l in range(count):
        leaf = branch * WIDTH + space.inner[l]
        p = after(leaves.patches, leaf * d * WIDTH)
        e = energy(q, p, d, a)
        if any_below(e, fill(sums.reference[i] - MARGIN)):
            lower(i, smallest(e), plan, sums)
        z = larger(fill(sums.reference[i]) - e, fill(LEAST))
        weight = exp2(z) * load(leaves.copies, leaf * WIDTH)
        store(lanes, 0, load(lanes, 0) + weight)
        store(lanes, WIDTH, fma(weight, z, load(lanes, WIDTH)))
        for ch in range(c):
            o, centre = (2 + ch) * WIDTH, (d // 2 // c * c + ch) * WIDTH
            store(lanes, o, fma(weight, load(p, centre), load(lanes, o)))


@compiled
def collect(i, plan, sums):
    """Move the lanes' sums to float64, and tighten the limit by what is known now."""
    c, zero = len(plan.channels), fill(np.float32(0))
    lanes = after(sums.lanes, i * (2 + c) * WIDTH)
    sums.weight[i] += total(load(lanes, 0))
    sums.ahead[i] += total(load(lanes, WIDTH))
    for ch in range(c):
        sums.value[i * c + ch] += total(load(lanes, (2 + ch) * WIDTH))
    for o in range(2 + c):
        store(lanes, o * WIDTH, zero)
    limit = sums.reference[i] + plan.slack - np.float32(np.log2(max(sums.weight[i], 1.0)))
    sums.limit[i] = min(sums.limit[i], limit)


@compiled
def compare(first, last, group, queries, leaves, plan, sums, space):
    """Compare queries with what may matter of sixteen branches."""
    m, a, d = plan.m, plan.a, plan.d
    boxes = after(leaves.branch_boxes, group * 2 * m * WIDTH)
    copies = after(leaves.branch_copies, group * WIDTH)
    near = 0
    for i in range(first, last):
        out = after(space.energy, (i - first) * WIDTH)
        e = box_energy(after(queries.sides, i * 2 * m), boxes, m, a)
        store(out, 0, e)
        space.limit[i - first] = sums.limit[i]
        near += any_below(e, fill(sums.limit[i]))
        if plan.account:
            sums.skipped[i] += left_out(out, sums.limit[i], copies, sums.reference[i])
    if near == 0:
        return
    for l in range(min(WIDTH, plan.branches - group * WIDTH)):
        # By the limits as they were above: what was not left out there is up to `visit`.
        count = 0
        for i in range(first, last):
            space.chosen[count] = i
            count += space.energy[(i - first) * WIDTH + l] < space.limit[i - first]
        for j in range(count):
            i = space.chosen[j]
            visit(
                i, group * WIDTH + l, after(queries.values, i * d),
                after(queries.sides, i * 2 * m), leaves, plan, sums, space,
            )  # fmt: skip
    for i in range(first, last):
        collect(i, plan, sums)


@compiled
def leaf_sums(leaves, queries, plan, sums, space):
    """All queries against all leaves; into `sums`, which starts with zeros."""
    m, d, n = plan.m, plan.d, len(queries.values)
    leaves = Leaves(
        pointer(leaves.patches), pointer(leaves.copies), pointer(leaves.leaf_copies),
        pointer(leaves.branch_copies), pointer(leaves.leaf_boxes), pointer(leaves.branch_boxes),
    )  # fmt: skip
    queries = Queries(pointer(queries.values), pointer(queries.sides))
    sums = Sums(
        pointer(sums.reference), pointer(sums.limit), pointer(sums.lanes), pointer(sums.weight),
        pointer(sums.ahead), pointer(sums.value), pointer(sums.skipped), pointer(sums.seen),
    )  # fmt: skip
    space = Scratch(
        pointer(space.energy), pointer(space.limit), pointer(space.chosen), pointer(space.inner)
    )
    for i in range(n):
        q, sides = after(queries.values, i * d), after(queries.sides, i * 2 * m)
        begin(i, q, sides, leaves, plan, sums, space)
    for first in range(0, n, TOGETHER):
        for group in range((plan.branches + WIDTH - 1) // WIDTH):
            compare(first, min(n, first + TOGETHER), group, queries, leaves, plan, sums, space)
