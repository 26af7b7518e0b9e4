"""The Wiener filter under the two limits of a convolutional network: the linear rival of ELS."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from elslib.data.image_set import ImageSet
from elslib.denoisers.baselines import VALUES_PER_PASS, Baseline
from elslib.scales import ScaleTable
from elslib.windows import AxisClass, Border, as_window, check_window, position_classes


@final
@dataclass(frozen=True)
class LocalWienerFilter(Baseline):
    """The best affine estimator that is local and equivariant: ELS with covariances for patches.

    It sees what ELS sees, a window v around a pixel, and shares one filter among the places that
    see the same border. With mean m and covariance S of v, and of its centre 0, over all those
    places of all training images::

        D = m_0 + alpha S_0v (alpha^2 S_vv + sigma^2 I)^-1 (v - alpha m_v).

    A window that holds the whole image makes it the Wiener filter, or, where the border is
    circular, the stationary one. Moments are computed once per class and kept for one class at a
    time, in float64. Raises ValueError for borders other than "aware" and "circular", and for
    windows that are not hard.

    Attributes
    ----------
    scale
        window at each time, by its odd side
    edges
        border rule, "aware" for zero padding
    """

    scale: ScaleTable
    edges: Border = "aware"
    _kept: dict[str, tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self):
        super().__post_init__()
        if self.edges not in ("aware", "circular"):
            raise ValueError(
                f"edges must be 'circular', or 'aware' for zero padding, got {self.edges!r}; with "
                f"fixed places the WienerFilter is the linear rival."
            )
        if any(window and not window.is_hard for window in map(as_window, self.scale.windows)):
            raise ValueError("scale must hold hard windows, got soft ones; give their sides.")

    def _denoise(self, x: Tensor, t: float, images: ImageSet) -> Tensor:
        alpha, sigma = self._levels(t)
        mean, second = self._moments(images)
        noisy = x.flatten(1).double()
        estimate = torch.empty_like(noisy)
        for seen, centre in _shared_windows(x.shape[1:], self._side(t, x), self.edges):
            seen = seen.to(x.device)
            m_v, S = _pooled(mean, second, seen)
            noise = sigma**2 * torch.eye(len(S), dtype=S.dtype, device=S.device)
            gain = torch.linalg.solve(alpha**2 * S + noise, alpha * S[:, centre])  # (v, c)
            answer = m_v[centre] + (noisy[:, seen] - alpha * m_v) @ gain  # (b, places, c)
            estimate[:, seen[:, centre]] = answer
        return estimate.to(x.dtype).view_as(x)

    def _side(self, t: float, x: Tensor) -> int:
        h, w = x.shape[-2:]
        window = as_window(self.scale.window_at(t))
        check_window(window, h, w, self.edges)
        if window is not None:
            return window.side
        if self.edges == "circular":
            raise ValueError("window must be a side where the border is circular, got None.")
        return 2 * max(h, w) - 1  # the whole image, from anywhere in it

    def _moments(self, images: ImageSet) -> tuple[Tensor, Tensor]:
        """Mean (d) and mean products (d, d) of the values of flattened images, in float64."""
        if images.sha256 not in self._kept:
            flat = images.pixels.flatten(1)
            n, d = flat.shape
            second = torch.zeros(d, d, dtype=torch.float64, device=flat.device)
            for part in flat.double().split(max(1, VALUES_PER_PASS // d)):
                second.addmm_(part.mT, part, alpha=1 / n)
            self._kept.clear()
            self._kept[images.sha256] = flat.mean(dim=0, dtype=torch.float64), second
        return self._kept[images.sha256]


def _pooled(mean: Tensor, second: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (v) and covariance (v, v) of windows `seen` (places, v), all places together."""
    m, S = mean[seen].mean(dim=0), torch.zeros_like(second[: seen.shape[1], : seen.shape[1]])
    for some in seen.split(max(1, VALUES_PER_PASS // seen.shape[1] ** 2)):
        S += second[some[:, :, None], some[:, None, :]].sum(dim=0)
    return m, S / len(seen) - torch.outer(m, m)


def _shared_windows(
    shape: tuple[int, ...], side: int, edges: Border
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each group of places that share a filter: which values of a flattened image their windows
    hold (places, v), and which of the v are the centre's (c)."""
    c, h, w = shape
    index = torch.arange(c * h * w, device="cpu").view(c, h, w)
    for rows, cols in position_classes(h, w, side, edges):
        y, x = _along(rows, h), _along(cols, w)
        seen = index[:, y[:, None, :, None], x[None, :, None, :]]  # (c, rows, cols, dy, dx)
        seen = seen.permute(1, 2, 0, 3, 4).reshape(rows.size * cols.size, -1)
        middle = rows.before * cols.extent + cols.before
        yield seen, middle + torch.arange(c, device="cpu") * rows.extent * cols.extent


def _along(some: AxisClass, side: int) -> Tensor:
    """The coordinates in the window of each of these positions (positions, extent); only a circular
    border goes round."""
    at = torch.arange(some.start, some.stop, device="cpu")
    return (at[:, None] + torch.arange(-some.before, some.after + 1, device="cpu")) % side
