"""The denoisers a sceptic would put beside the theory, fitted on exactly the images it uses.

Each is a Denoiser, `baseline(x, t, label) -> estimate of x_0`; none is calibrated on a network.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import final
from weakref import WeakValueDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from elslib.checks import check_fields, checked
from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import Label, map_by_time_and_label
from elslib.exact import exact
from elslib.posterior import check_query
from elslib.posterior.result import SMALLEST_LOGIT
from elslib.schedules import Schedule, cosine

# About this many values of training images are handled in one pass, to bound memory.
VALUES_PER_PASS = 2**20
# A value with a smaller W_mm counts as constant.
SMALLEST_OWN_WEIGHT = 1e-6


@dataclass(frozen=True)
class Baseline(ABC):
    """An estimate of x_0 made from training images, used as a Denoiser.

    Attributes
    ----------
    images
        the training set; x must share its device and dtype
    schedule
        alpha and sigma over time
    """

    images: ImageSet
    schedule: Schedule = field(default_factory=cosine, kw_only=True)

    def __post_init__(self):
        check_fields(self)

    @abstractmethod
    def _denoise(self, x: Tensor, t: float, images: ImageSet) -> Tensor:
        """The estimate for noisy images x of one time and class."""

    @checked
    def __call__(
        self,
        x: Float[Tensor, "b c h w"],
        t: float | Float[Tensor, " b"],
        label: Label = None,
    ) -> Float[Tensor, "b c h w"]:
        """Estimate of x_0 at noisy x; t in (0, 1]; `label` restricts the images, as of a machine.

        Raises ValueError for t outside (0, 1], a class nobody has, an x that is not finite, and one
        that differs from the images in channels, height, width, dtype or device.
        """
        check_query(x, self.images.pixels)
        with exact(x):
            return map_by_time_and_label(
                lambda rows, t_i, y: self._denoise(rows, t_i, self.images.subset(y)),
                x, t, label,
            )  # fmt: skip

    def _levels(self, t: float) -> tuple[float, float]:
        alpha, sigma = self.schedule.levels(t)
        if sigma <= 0:
            raise ValueError(f"t must have sigma > 0, got {t}; never evaluate at t = 0.")
        return alpha, sigma


@dataclass(frozen=True)
class _Gaussian:
    """Mean m and covariance S = U diag(variances) U^T of flattened images, in float64."""

    mean: Tensor  # (d)
    variances: Tensor  # (r), r = min(n, d)
    axes: Tensor  # (d, r), the columns of U

    def gain(self, alpha: float, sigma: float) -> Tensor:
        """What the linear filter multiplies x by along each axis (r)."""
        return alpha * self.variances / (alpha**2 * self.variances + sigma**2)


def _fit(images: Tensor) -> _Gaussian:
    """Mean and covariance (divided by n: the images are the whole population)."""
    flat = images.flatten(1)
    n, d = flat.shape
    mean = flat.mean(dim=0, dtype=torch.float64)
    if n < d:
        _, s, axes = torch.linalg.svd(flat.double() - mean, full_matrices=False)
        return _Gaussian(mean, s.square() / n, axes.mT)
    covariance = torch.zeros(d, d, dtype=torch.float64, device=flat.device)
    for part in flat.split(max(1, VALUES_PER_PASS // d)):
        part = part.double() - mean
        covariance.addmm_(part.mT, part, alpha=1 / n)
    variances, axes = torch.linalg.eigh(covariance)
    return _Gaussian(mean, variances.clamp_(min=0), axes)  # rounding leaves some at -1e-16


# Fits that some baseline still holds: Wiener filter and PCA locality of the same images share them.
_SHARED: WeakValueDictionary[tuple, _Gaussian] = WeakValueDictionary()


def _cached(fits: dict[str, _Gaussian], images: ImageSet) -> _Gaussian:
    """The fit of a class, which its sha256 names; made when first asked for."""
    if images.sha256 not in fits:
        x = images.pixels
        key = images.sha256, x.shape, x.device, x.dtype
        with torch.inference_mode(False), torch.no_grad():  # what is kept must serve later calls
            fits[images.sha256] = _SHARED.get(key) or _fit(x)
        _SHARED[key] = fits[images.sha256]
    return fits[images.sha256]


@final
@dataclass(frozen=True)
class WienerFilter(Baseline):
    """The best affine estimator: the posterior mean of a Gaussian with the mean m and covariance S
    of the images, `D = m + alpha S (alpha^2 S + sigma^2 I)^-1 (x - alpha m)`.

    S is decomposed once per class, when first needed, and applied in float64.
    """

    _fits: dict[str, _Gaussian] = field(default_factory=dict, init=False, repr=False, compare=False)

    def _denoise(self, x: Tensor, t: float, images: ImageSet) -> Tensor:
        alpha, sigma = self._levels(t)
        fit = _cached(self._fits, images)
        along = (x.flatten(1).double() - alpha * fit.mean) @ fit.axes  # (b, r)
        along *= fit.gain(alpha, sigma)
        return (fit.mean + along @ fit.axes.mT).to(x.dtype).view_as(x)


@final
@dataclass(frozen=True)
class StationaryWienerFilter(Baseline):
    """The best affine estimator that moves with its input: the Wiener filter of the images and all
    their cyclic shifts. It is to circular ELS what the Wiener filter is to LS.

    The mean is then m_c, one number a channel, and the covariance is diagonal in frequency k but
    for the channels. With orthonormal Fourier transforms F and `P_k = E[F_k F_k^*]` (c, c)::

        F_k(D - m) = alpha P_k (alpha^2 P_k + sigma^2 I)^-1 F_k(x - alpha m).

    P is computed once per class, when first needed, and applied in float64.
    """

    _fits: dict[str, tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def _denoise(self, x: Tensor, t: float, images: ImageSet) -> Tensor:
        alpha, sigma = self._levels(t)
        if images.sha256 not in self._fits:
            self._fits[images.sha256] = _spectrum(images.pixels)
        mean, power = self._fits[images.sha256]
        one = torch.eye(x.shape[1], dtype=power.dtype, device=power.device)
        gain = torch.linalg.solve(alpha**2 * power + sigma**2 * one, alpha * power)
        parts = torch.fft.fft2(x.double() - alpha * mean, norm="ortho")
        parts = torch.einsum("hwcd,bdhw->bchw", gain, parts)
        return (mean + torch.fft.ifft2(parts, norm="ortho").real).to(x.dtype)


def _spectrum(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean m (c, 1, 1) and power P (h, w, c, c) of images (n, c, h, w), in float64."""
    n, c, h, w = images.shape
    mean = images.double().mean(dim=(0, 2, 3))[:, None, None]
    power = torch.zeros(h, w, c, c, dtype=torch.complex128, device=images.device)
    for part in images.split(max(1, VALUES_PER_PASS // (c * h * w))):
        parts = torch.fft.fft2(part.double() - mean, norm="ortho")
        power += torch.einsum("bchw,bdhw->hwcd", parts, parts.conj()) / n
    return mean, power


@final
@dataclass(frozen=True)
class PcaLocality(Baseline):
    """Local scores whose windows come from the data's covariance (Lukoianov et al. 2025).

    x / alpha is a clean image under white noise of variance sigma^2 / alpha^2, so the linear filter
    in the units of clean data is::

        W = S (S + sigma^2 / alpha^2)^-1 = alpha^2 S (alpha^2 S + sigma^2 I)^-1.

    Value m (one channel of one pixel) compares the values q for which `|W_mq| / W_mm` is at least
    `threshold` times the largest such ratio of the class. Its weights are a softmax over the images
    i of `-sum_q (x_q - alpha x_iq)^2 / (2 sigma^2)`, and the estimate is the weighted mean of x_im.
    Windows may differ between channels and need not be connected.

    The paper uses thresholds of .02 to .05. As in its released code, a value whose W_mm is below
    1e-6 counts as constant: its ratios are 0, else they would set the largest. We depart from the
    paper in one thing: a value always compares itself. Ratios of values that are all but constant
    reach hundreds, and every value would lose itself. The released code, unlike us, averages
    softmaxes over batches and reads columns of the ratios.

    Raises ValueError unless 0 <= threshold <= 1.
    """

    threshold: float = 0.02
    _fits: dict[str, _Gaussian] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.threshold <= 1:
            raise ValueError(
                f"threshold must lie in [0, 1], got {self.threshold}; the paper uses .02 to .05."
            )

    def windows(self, t: float, label: int | None = None) -> Bool[Tensor, "c h w c h w"]:
        """Whether value [c, h, w] compares value [c, h, w] (last three) at time t in (0, 1]."""
        images = self.images if label is None else self.images.subset(label)
        shape = images.pixels.shape[1:]
        return self._windows(*self._levels(t), images).view(*shape, *shape)

    def _windows(self, alpha: float, sigma: float, images: ImageSet) -> Tensor:
        fit = _cached(self._fits, images)
        weight = (fit.axes * (alpha * fit.gain(alpha, sigma))) @ fit.axes.mT  # W (d, d)
        own = weight.diagonal()[:, None]
        ratio = torch.where(own > SMALLEST_OWN_WEIGHT, weight.abs() / own, 0)
        return (ratio >= self.threshold * ratio.max()).fill_diagonal_(True)

    def _denoise(self, x: Tensor, t: float, images: ImageSet) -> Tensor:
        alpha, sigma = self._levels(t)
        windows = self._windows(alpha, sigma, images).to(x.dtype)
        p = images.pixels.flatten(1)
        means = [_local_mean(q, p, windows, alpha, sigma) for q in x.detach().flatten(1)]
        return torch.stack(means).view_as(x)


def _local_mean(x: Tensor, images: Tensor, windows: Tensor, alpha: float, sigma: float) -> Tensor:
    """Posterior mean of each value of x (d) over images (n, d), given windows (d, d) of 0 and 1."""
    parts = images.split(max(1, VALUES_PER_PASS // len(x)))
    # Expanded squares would cancel at low noise, so differences are squared. What all images have
    # in common drops out of the softmax; taken out first, it costs no digits at high noise.
    common = torch.stack([(x - alpha * p).square_().amin(dim=0) for p in parts]).amin(dim=0)
    peak = torch.full_like(x, -torch.inf)
    total, mean = (torch.zeros_like(x, dtype=torch.float64) for _ in range(2))
    for p in parts:
        squares = (x - alpha * p).square_().sub_(common)  # (n, d)
        logits = (squares @ windows.mT).mul_(-0.5 / sigma**2)  # (n, d)
        higher = torch.maximum(peak, logits.amax(dim=0))
        kept = (peak - higher).clamp_(min=SMALLEST_LOGIT).exp_()
        weights = logits.sub_(higher).clamp_(min=SMALLEST_LOGIT).exp_()
        total = total * kept + weights.sum(dim=0)
        mean = mean * kept + weights.mul_(p).sum(dim=0)
        peak = higher
    return (mean / total).to(x.dtype)


@final
@dataclass(frozen=True)
class NearestImage(Baseline):
    """The training image i nearest to x, by `||x - alpha x_i||`; of equally near ones the first.

    It is what IS returns for sigma -> 0 at a given alpha.
    """

    def _denoise(self, x: Tensor, t: float, images: ImageSet) -> Tensor:
        alpha, _ = self._levels(t)
        distance = torch.cdist(
            x.flatten(1),
            alpha * images.pixels.flatten(1),
            compute_mode="donot_use_mm_for_euclid_dist",  # near-duplicates differ in few digits
        )
        return images.pixels[distance.argmin(dim=1)]
