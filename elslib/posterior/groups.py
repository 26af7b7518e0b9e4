"""Patches of small windows, sorted: equal ones once, similar ones side by side.

A small window sees little, so many patches are equal (plain background) and most are far from any
given one. Here the patches of some images are laid out as the leaves of a k-d tree: sixteen similar
patches are a leaf, sixteen leaves a branch. Each leaf and branch has a box around what its patches
are along a few principal axes. No patch is nearer to a query than its box: that is how `leaves.py`
proves that it may skip them.
"""

import math
from collections import deque
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from elslib.posterior.lanes import WIDTH

# Principal axes along which boxes are drawn, and patches from which the axes are found.
AXES, SAMPLE = 4, 2**15
# Parts that a node of the tree is cut into, and members of it from which its widest axis is found.
PARTS, MEMBERS = 8, 256
# Leaves that are laid out together.
IN_CACHE = 512
# Results that are kept.
KEPT = 2


class Groups(NamedTuple):
    """The patches of some images with windows of d = k k c values, in leaves of 16."""

    total: int  # patches, equal ones counted
    patches: np.ndarray  # [leaves, d, 16], pixel by pixel, channels innermost
    copies: np.ndarray  # [leaves, 16], how often each patch occurs; 0 fills up the last leaves
    leaf_copies: np.ndarray  # [branches, 16], the same of whole leaves
    branch_copies: np.ndarray  # [ceil(branches / 16), 16], and of whole branches
    leaf_boxes: np.ndarray  # [branches, m, 2, 16], least and largest along each axis
    branch_boxes: np.ndarray  # [ceil(branches / 16), m, 2, 16]
    axes: Tensor  # [d, m], orthonormal columns


class _Kept(NamedTuple):
    """Groups that were made lately, and of what."""

    images: Tensor
    k: int
    circular: bool
    groups: Groups


_kept: deque[_Kept] = deque(maxlen=KEPT)


def grouped(images: Tensor, k: int, circular: bool) -> Groups:
    """All windows inside images [n, c, h, w], or wrapped around them, with k k c values each.

    The last few results are kept: a schedule has several steps of one window.
    """
    for kept in tuple(_kept):
        if (kept.k, kept.circular) == (k, circular) and torch.equal(kept.images, images):
            return kept.groups
    groups = _grouped(images, k, circular)
    _kept.append(_Kept(images.clone(), k, circular, groups))
    return groups


def forget_groups() -> None:
    """Free what is kept, some 100 MB each."""
    _kept.clear()


def _grouped(images: Tensor, k: int, circular: bool) -> Groups:
    if circular:
        images = F.pad(images, [k // 2] * 4, mode="circular")
    windows = images.unfold(2, k, 1).unfold(3, k, 1).permute(0, 2, 3, 4, 5, 1)  # (n, H, W, k, k, c)
    places, copies = _distinct(images, windows)
    patches = windows[places].flatten(1)  # (N, d)
    axes = _principal_axes(patches)
    summaries = patches @ axes  # (N, m)
    order = _leaves(summaries)  # (leaves, 16), -1 for nothing
    copies = copies.float()[order].masked_fill_(order < 0, 0.0)
    leaves = summaries[order]  # (leaves, 16, m)
    low, high = leaves.amin(1), leaves.amax(1)
    branch_low, branch_high = (
        extreme(side.unflatten(0, (-1, WIDTH)), 1)
        for extreme, side in ((torch.amin, low), (torch.amax, high))
    )
    of_leaves = copies.sum(1).reshape(-1, WIDTH)
    branch = of_leaves.sum(1)
    return Groups(
        total=math.prod(windows.shape[:3]),
        patches=_side_by_side(patches, order).numpy(),
        copies=copies.numpy(),
        leaf_copies=of_leaves.numpy(),
        branch_copies=F.pad(branch, [0, -len(branch) % WIDTH]).reshape(-1, WIDTH).numpy(),
        leaf_boxes=_boxes(low, high),
        branch_boxes=_boxes(_filled(branch_low), _filled(branch_high)),
        axes=axes,
    )


def _distinct(images: Tensor, windows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Where the different windows are (image, row, column), and how often each occurs."""
    n, height, width, k = windows.shape[:4]
    generator = torch.Generator().manual_seed(0)
    bits = images.contiguous().view(torch.int32).long()
    keys = torch.randint(-(2**62), 2**62, (images.shape[1], k, k), generator=generator) * 2 + 1
    digest = torch.zeros(n, height, width, dtype=torch.int64)
    for c, i, j in np.ndindex(*keys.shape):
        part = bits[:, c, i : i + height, j : j + width]
        digest += part * keys[c, i, j]  # overflows wrap around
    digest, order = digest.flatten().sort()
    places = np.unravel_index(order.numpy(), (n, height, width))
    image, row, column = (torch.from_numpy(place) for place in places)
    first = torch.ones(len(order), dtype=torch.bool)
    alike = (digest[1:] == digest[:-1]).nonzero()[:, 0] + 1
    if len(alike):  # an equal digest is no proof
        here = windows[image[alike], row[alike], column[alike]].flatten(1)
        before = windows[image[alike - 1], row[alike - 1], column[alike - 1]].flatten(1)
        first[alike] = (here != before).any(1)
    start = first.nonzero()[:, 0]
    copies = torch.diff(start, append=torch.tensor([len(order)]))
    return (image[start], row[start], column[start]), copies


def _principal_axes(patches: Tensor) -> Tensor:
    """Orthonormal directions [d, m] along which the patches differ most."""
    some = patches[:: math.ceil(len(patches) / SAMPLE)].double()
    some = some - some.mean(0)
    return torch.linalg.eigh(some.T @ some).eigenvectors.flip(1)[:, :AXES].float()


def _leaves(points: Tensor) -> Tensor:
    """Numbers of points [N, m] in leaves of 16, whole branches of similar ones; -1 fills up."""
    (n, m), branch = points.shape, WIDTH * WIDTH
    levels = max(0, int(math.log(max(1.0, n / branch), PARTS)) - 1)
    parts = [math.ceil(n / branch / PARTS**levels)] + [PARTS] * levels + [4, 4]
    order = torch.full((1, math.prod(parts) * WIDTH), -1)
    order[0, :n] = torch.arange(n)
    for count in parts:
        size = order.shape[1]
        some = points[order[:, :: max(1, size // MEMBERS)]]  # (nodes, members, m)
        axis = some.var(1).argmax(1, keepdim=True)
        along = points.take((order.clamp(min=0) * m).add_(axis))  # (nodes, size)
        size //= count
        if count > 1:
            cut = along.numpy().argpartition([size * i for i in range(1, count)], axis=1)
            order = order.gather(1, torch.from_numpy(cut)).reshape(-1, size)
    return order


def _side_by_side(patches: Tensor, order: Tensor) -> Tensor:
    """Patches [N, d] in the order [leaves, 16], as [leaves, d, 16]."""
    out = patches.new_empty(len(order), patches.shape[1], WIDTH)
    for to, some in zip(out.split(IN_CACHE), order.split(IN_CACHE), strict=True):
        to.copy_(patches[some].transpose(1, 2))
    return out


def _filled(field: Tensor) -> Tensor:
    """A field [branches, ...] with the last entry repeated, up to a multiple of sixteen."""
    return torch.cat([field, field[-1:].expand(-len(field) % WIDTH, *field.shape[1:])])


def _boxes(low: Tensor, high: Tensor) -> np.ndarray:
    """Boxes [16 groups, m] as the kernel wants them: [groups, m, 2, 16]."""
    sides = torch.stack([low.unflatten(0, (-1, WIDTH)), high.unflatten(0, (-1, WIDTH))], 1)
    return sides.permute(0, 3, 1, 2).contiguous().numpy()
