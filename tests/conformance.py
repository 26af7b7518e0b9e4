"""The laws that every score machine obeys. A new machine or backend is tested by subclassing.

A subclass says how to make the machine, what the oracle answers, and which symmetries it has.
"""

import numpy as np
import oracles
import pytest
import torch

from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import ScoreMachine
from elslib.posterior import merge, patch_posterior
from elslib.posterior.reference import reference_posterior
from elslib.posterior.result import shift_images
from elslib.schedules import cosine

SCHEDULE = cosine()


def image_set(n, c, h, w, seed=0, classes=3, dtype=torch.float32):
    """n random images in [-1, 1], one of them twice, labelled 0, 1, 2, 0, ..."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, c, h, w, generator=generator, dtype=dtype) * 2 - 1
    images[-1] = images[0]  # the dictionary is a multiset
    return ImageSet(images, torch.arange(n) % classes, tuple("abc"), "random")


def noisy(images, t, b, seed=1):
    """b noisy versions of training images at time t."""
    alpha, sigma = SCHEDULE.levels(t)
    generator = torch.Generator().manual_seed(seed)
    x0 = images.pixels[torch.arange(b) % len(images)]
    eps = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    return alpha * x0 + sigma * eps


class MachineLaws:
    """Subclass as `TestX`; give `machine`, `oracle`, `windows`, `shift_equivariant`."""

    windows: tuple = (3,)
    shift_equivariant = False

    engines = ("fused", "reference")

    @pytest.fixture(autouse=True)
    def engine(self, request, monkeypatch):
        """Every law holds for each of `engines` (see conftest.py)."""
        if request.param == "reference":
            monkeypatch.setattr("elslib.posterior.fused_posterior", reference_posterior)

    def machine(self, images: ImageSet, window: int | None) -> ScoreMachine:
        raise NotImplementedError

    def oracle(self, x, images, alpha, sigma, window):
        """(mean, log_sum, entropy, ...) for one x."""
        machine = self.machine(image_set(2, 1, 5, 5), window)
        if machine.window_at(1.0) is None:
            return oracles.whole_image(x, images, alpha, sigma, machine.border == "circular")
        return oracles.patch_posterior(x, images, alpha, sigma, window, machine.border)

    def posterior(self, x, images, t, window, **kwargs):
        """The engine, called as the machine calls it."""
        machine = self.machine(image_set(2, 1, 5, 5), window)
        window = machine.window_at(1.0)
        return patch_posterior(x, images, *SCHEDULE.levels(t), window, machine.border, **kwargs)

    @pytest.mark.parametrize("dtype,tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-9)])
    @pytest.mark.parametrize("shape", [(1, 6, 6), (3, 5, 7)])
    @pytest.mark.parametrize("t", [0.03, 0.3, 1.0])
    def test_equals_the_oracle(self, t, shape, dtype, tolerance):
        """Mean, evidence and entropy of the float64 brute force, in colour and off the square."""
        images = image_set(4, *shape, dtype=dtype)
        x = noisy(images, t, 2)
        for window in self.windows:
            found = self.posterior(x, images.pixels, t, window)
            for b in range(2):
                mean, log_sum, entropy, *_ = self.oracle(
                    x[b], images.pixels, *SCHEDULE.levels(t), window
                )
                assert np.abs(found.mean[b].numpy() - mean).max() < tolerance
                assert np.abs(found.entropy[b].numpy() - entropy).max() < 10 * tolerance
                error = np.abs(found.log_sum[b].numpy() - log_sum)
                assert (error < 10 * tolerance * (1 + np.abs(log_sum))).all()

    @pytest.mark.parametrize("b", [2, 3, 5, 6])
    def test_a_batch_equals_one_by_one(self, b):
        """Also when the batch size equals the channels (3), the height (5) or the width (6)."""
        images = image_set(4, 3, 5, 6)
        x = noisy(images, 0.4, b)
        label = torch.arange(b) % 3
        for window in self.windows:
            machine = self.machine(images, window)
            together = machine(x, 0.4, label)
            for i in range(b):
                alone = machine(x[i : i + 1], 0.4, label[i : i + 1])
                assert torch.allclose(together[i], alone[0], rtol=0, atol=1e-5)

    def test_times_may_differ_within_a_batch(self):
        """A tensor t gives each image its own noise level."""
        images = image_set(3, 1, 5, 5)
        x = noisy(images, 0.4, 2)
        machine = self.machine(images, self.windows[0])
        both = machine(x, torch.tensor([0.2, 0.6]))
        assert torch.allclose(both[0], machine(x[:1], 0.2)[0], rtol=0, atol=1e-5)
        assert torch.allclose(both[1], machine(x[1:], 0.6)[0], rtol=0, atol=1e-5)

    @pytest.mark.parametrize("t", [0.05, 0.7])
    def test_chunks_order_and_shards_change_nothing(self, t):
        """A sum over the data does not depend on how it is cut or ordered (ragged cuts too)."""
        images = image_set(7, 2, 6, 6).pixels
        x = noisy(image_set(7, 2, 6, 6), t, 2)
        for window in self.windows:
            whole = self.posterior(x, images, t, window, top=3)
            order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
            others = [self.posterior(x, images, t, window, top=3, chunk=k) for k in (1, 2, 7)]
            others.append(self.posterior(x, images[order], t, window))
            # Windows around a pixel have shares of their own, which `merge` does not know.
            for cuts in ([0, 4, 7], [0, 1, 3, 7]) if whole.response == 1 else ():
                shards = [
                    shift_images(self.posterior(x, images[a:b], t, window, top=3), a)
                    for a, b in zip(cuts, cuts[1:], strict=False)
                ]
                merged = shards[0]
                for shard in shards[1:]:
                    merged = merge(merged, shard)
                others.append(merged)
                assert merged.origins is not None and whole.origins is not None
                difference = merged.origins.weight - whole.origins.weight
                assert float(difference.abs().max()) < 1e-5
            for other in others:
                assert torch.allclose(other.mean, whole.mean, rtol=0, atol=1e-5)
                assert torch.allclose(other.entropy, whole.entropy, rtol=0, atol=1e-4)
                assert torch.allclose(other.log_sum, whole.log_sum, rtol=1e-5, atol=1e-4)
                assert torch.equal(other.count, whole.count)

    def test_a_label_is_the_machine_on_that_subset(self):
        """Exactly; its origins count through the whole set; a label nobody has raises."""
        images = image_set(6, 1, 5, 5)
        x = noisy(images, 0.3, 2)
        machine = self.machine(images, self.windows[0])
        label = torch.tensor([1, 1])
        subset = self.machine(images.subset(1), self.windows[0])
        assert torch.equal(machine(x, 0.3, label), subset(x, 0.3))
        origins = machine.posterior(x, 0.3, 1, top=2).origins
        assert origins is not None
        used = origins.image[origins.image >= 0]
        assert images.labels is not None and bool((images.labels[used] == 1).all())
        with pytest.raises(ValueError, match="label must be a class of 'random', got 7"):
            machine(x, 0.3, torch.tensor([7, 7]))

    def test_shifts(self):
        """Equivariant machines commute with circular shifts; the others do not."""
        images = image_set(3, 1, 5, 5)
        x = noisy(images, 0.5, 1)
        machine = self.machine(images, self.windows[0])
        a = machine(x.roll((1, 2), (2, 3)), 0.5)
        b = machine(x, 0.5).roll((1, 2), (2, 3))
        assert torch.allclose(a, b, rtol=0, atol=1e-5) == self.shift_equivariant

    def test_infinite_noise_gives_the_mean_of_the_admissible_centres(self):
        """alpha/sigma -> 0 with x = O(sigma)."""
        images = image_set(5, 2, 6, 6).pixels
        for window in self.windows:
            machine = self.machine(image_set(2, 1, 5, 5), window)
            x = 1e4 * torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))
            k, border = machine.window_at(1.0), machine.border
            found = patch_posterior(x, images, 1.0, 1e4, k, border)
            # Pairs of a pixel's place and the places of training images that it may use.
            shifts = [(di, dj) for di in range(6) for dj in range(6)] if k is None else []
            moved = shifts if border == "circular" else [(0, 0)]
            edge = getattr(k, "edge", None) or getattr(k, "side", k)
            places = {
                (i, j): [((i + di) % 6, (j + dj) % 6) for di, dj in moved]
                if k is None
                else oracles.admissible(i, j, 6, 6, edge, border)
                for i in range(6)
                for j in range(6)
            }
            origins = {
                at: [(1 / (5 * len(some)), n, *place) for n in range(5) for place in some]
                for at, some in places.items()
            }
            mean = oracles.expected(images.numpy(), origins, getattr(k, "response", 1), border)
            assert np.abs(found.mean[0].numpy() - mean).max() < 1e-3

    def test_no_noise_gives_the_datum(self):
        """sigma -> 0 at x = alpha * datum."""
        images = image_set(5, 2, 6, 6)
        x = images.pixels[1:2]
        found = self.posterior(SCHEDULE.levels(1e-4)[0] * x, images.pixels, 1e-4, self.windows[-1])
        assert torch.allclose(found.mean, x, rtol=0, atol=1e-3)

    def test_finite_far_from_the_data(self):
        """50 sigma away every number is finite, and the mean stays among the data."""
        images = image_set(4, 1, 6, 6)
        for t in (0.02, 0.9):
            alpha, sigma = SCHEDULE.levels(t)
            x = alpha * images.pixels[:1] + 50 * sigma
            found = self.posterior(x, images.pixels, t, self.windows[-1])
            for part in (found.mean, found.log_sum, found.entropy):
                assert bool(torch.isfinite(part).all())
            assert float(found.mean.abs().max()) <= 1 + 1e-5

    @pytest.mark.parametrize("t", [0.003, 0.05])
    def test_near_duplicates_keep_their_weights(self, t):
        """Images a thousandth apart at the lowest noise: total variation of the weights."""
        base = image_set(2, 1, 5, 5).pixels[:1]
        generator = torch.Generator().manual_seed(3)
        images = (base + 2e-3 * torch.randn(5, 1, 5, 5, generator=generator)).clamp(-1, 1)
        alpha, sigma = SCHEDULE.levels(t)
        x = alpha * images[:1] + sigma * torch.randn(1, 1, 5, 5, generator=generator)
        window = self.windows[-1]
        machine = self.machine(image_set(2, 1, 5, 5), window)
        if machine.window_at(1.0) is None:
            found = self.posterior(x, images, t, window)
            mean, _, entropy, *_ = self.oracle(x[0], images, alpha, sigma, window)
            assert np.abs(found.mean[0].numpy() - mean).max() < 1e-4
            assert np.abs(found.entropy[0].numpy() - entropy).max() < 1e-3
            return
        found = self.posterior(x, images, t, window, top=5 * 25).origins
        *_, places = oracles.patch_posterior(x[0], images, alpha, sigma, window, machine.border)
        assert found is not None
        for (i, j), expected in places.items():
            truth = {tuple(place): p for p, *place in expected}
            for m in range(found.weight.shape[1]):
                place = tuple(int(getattr(found, f)[0, m, i, j]) for f in ("image", "row", "col"))
                truth[place] = truth.get(place, 0.0) - float(found.weight[0, m, i, j])
            assert sum(abs(difference) for difference in truth.values()) / 2 < 1e-3

    def test_origins_keep_their_order_where_weights_underflow(self):
        """At the lowest noise, in any chunks: the same patches, nearest first, none missing."""
        images = image_set(5, 1, 5, 5, dtype=torch.float64).pixels[:4]
        x = noisy(image_set(5, 1, 5, 5, dtype=torch.float64), 0.003, 1)
        whole = self.posterior(x, images, 0.003, self.windows[-1], top=3).origins
        assert whole is not None
        assert bool((whole.image >= 0).all())
        assert bool((whole.log_weight.diff(dim=1) <= 0).all())
        assert float(whole.log_weight.min()) < -700  # beyond what exp can hold
        for chunk in (1, 2, 3):
            cut = self.posterior(x, images, 0.003, self.windows[-1], top=3, chunk=chunk).origins
            assert cut is not None
            for field in ("image", "row", "col"):
                assert torch.equal(getattr(cut, field), getattr(whole, field))

    def test_origins_are_the_most_probable_patches(self):
        """Places and weights of the oracle's largest weights."""
        images = image_set(3, 1, 5, 5).pixels[:2]
        t, window = 0.25, self.windows[0]
        x = noisy(image_set(3, 1, 5, 5), t, 1)
        machine = self.machine(image_set(2, 1, 5, 5), window)
        if machine.window_at(1.0) is None:
            pytest.skip("the oracle lists places only for windows; whole images in test_machines")
        found = self.posterior(x, images, t, window, top=3).origins
        *_, places = oracles.patch_posterior(
            x[0], images, *SCHEDULE.levels(t), window, machine.border
        )
        assert found is not None
        for (i, j), expected in places.items():
            expected = sorted(expected, reverse=True)[:3]
            expected += [(0.0, -1, -1, -1)] * (3 - len(expected))
            for m, (p, *place) in enumerate(expected):
                assert abs(float(found.weight[0, m, i, j]) - p) < 1e-4
                got = [int(getattr(found, f)[0, m, i, j]) for f in ("image", "row", "col")]
                assert got == place

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_dtype_is_kept_and_the_input_untouched(self, dtype):
        """Float32 in, float32 out; float64 likewise."""
        images = image_set(3, 1, 5, 5, dtype=dtype)
        x = noisy(images, 0.5, 1)
        before = x.clone()
        machine = self.machine(images, self.windows[0])
        assert machine(x, 0.5).dtype == dtype
        assert torch.equal(x, before)

    def test_mixed_devices_and_dtypes_raise(self):
        """The tensors decide where and how; they must agree."""
        images = image_set(3, 1, 5, 5)
        machine = self.machine(images, self.windows[0])
        with pytest.raises(ValueError, match="must share one dtype"):
            machine(torch.zeros(1, 1, 5, 5, dtype=torch.float64), 0.5)
        with pytest.raises(ValueError, match="must be on one device, got meta and cpu"):
            machine(torch.zeros(1, 1, 5, 5, device="meta"), 0.5)
