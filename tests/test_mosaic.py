"""Mosaics: distances against loops, the theorem on the two-image toy, pieces counted by hand."""

from typing import Any

import numpy as np
import oracles
import pytest
import torch
import torch.nn.functional as F

from elslib.analysis.mosaic import certify, pieces, plain
from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import EquivariantLocalScore
from elslib.posterior import Origins
from elslib.samplers import geometric_times, initial_noise, sample, uniform_times
from elslib.scales import constant_scale
from elslib.schedules import cosine

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("border", ["fixed", "circular", "aware"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nearest_patches_are_those_of_a_search_by_loops(border, dtype):
    """Distance, gap and fault for each pixel, colour, at borders and inside."""
    generator = torch.Generator().manual_seed(0)
    x, images = (torch.randn(n, 2, 5, 6, generator=generator, dtype=dtype) for n in (2, 3))
    certificate = certify(x, images, 3, border)
    for b, i, j in np.ndindex(2, 5, 6):
        mine = oracles.window_pixels(i, j, 5, 6, 3, border)
        found = []
        for n in range(3):
            for k, l in oracles.admissible(i, j, 5, 6, 3, border):
                theirs = oracles.window_pixels(k, l, 5, 6, 3, border)
                squares = [
                    ((x[b, :, p, q] - images[n, :, s, t]) ** 2).sum()
                    for (_, (p, q)), (_, (s, t)) in zip(mine, theirs, strict=True)
                ]
                found.append((float(sum(squares)) ** 0.5, n, k, l))
        found.sort()
        nearest, n, k, l = found[0]
        origins = certificate.origins
        assert [int(f[b, 0, i, j]) for f in (origins.image, origins.row, origins.col)] == [n, k, l]
        assert float(certificate.distance[b, i, j]) == pytest.approx(nearest, abs=1e-5)
        assert float(certificate.gap[b, i, j]) == pytest.approx(found[1][0] - nearest, abs=1e-5)
        fault = float((x[b, :, i, j] - images[n, :, k, l]).abs().max())
        assert float(certificate.fault[b, i, j]) == pytest.approx(fault, abs=1e-6)


def test_a_training_image_is_consistent_and_one_patch_has_no_second():
    """No fault, no distance; with one image and fixed places the gap is infinite."""
    images = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    certificate = certify(images, images, 3, "fixed")
    assert float(certificate.fault.max()) == float(certificate.distance.max()) == 0
    assert bool(certificate.gap.isinf().all())
    assert bool((certificate.origins.image[:, 1] == -1).all())


TOY = torch.tensor([-1.0, 1.0], dtype=torch.float64)[:, None, None, None].expand(2, 1, 16, 16)
MACHINE = EquivariantLocalScore(ImageSet(TOY), constant_scale(3), edges="circular")


def majority(x):
    """+1 where at least 5 of the 9 pixels of the wrapped 3x3 window are white, else -1."""
    total = F.avg_pool2d(F.pad(x.sign(), [1] * 4, mode="circular"), 3, stride=1)
    return torch.where(total > 0, 1.0, -1.0).double()


def test_the_toys_fixed_points_are_the_majority_images():
    """As sigma -> 0 one denoising of a black/white image is its majority image, so exactly the
    images that equal their majority are fixed."""
    generator = torch.Generator().manual_seed(0)
    images = torch.where(torch.rand(20, 1, 16, 16, generator=generator) < 0.5, 1.0, -1.0).double()
    alpha, _ = cosine().levels(1e-3)
    assert torch.allclose(MACHINE(alpha * images, 1e-3), majority(images), atol=1e-9)
    stripes = torch.ones(1, 1, 16, 16).double()
    stripes[..., 4:12] = -1
    assert torch.allclose(MACHINE(alpha * stripes, 1e-3), stripes, atol=1e-9)


def test_large_steps_break_the_majority_rule():
    """Fig. 3c: fewer faults with more steps, fewest where the noise ends low. A pixel that the
    certificate faults is one that differs from its majority."""
    noise = initial_noise(range(8), (1, 16, 16)).double()
    shares = []
    for times in [*map(uniform_times, (5, 20, 100)), geometric_times(120, cosine(), 1e-4)]:
        signs = sample(MACHINE, noise, times=times).sign()  # few steps leave grey
        faults = certify(signs, TOY, 3, "circular").fault > 1
        assert torch.equal(faults, (signs != majority(signs))[:, 0])
        shares.append(float(faults.double().mean()))
    coarse, _, _, fine = shares
    assert shares == sorted(shares, reverse=True) and coarse < 0.08 and fine < 0.005


def origins_of(image, row, col):
    """Most probable origins from lists [h][w]."""
    fields = [torch.tensor(field)[None, None] for field in (image, row, col)]
    return Origins(*fields, log_weight=torch.zeros(fields[0].shape))


def test_pieces_are_counted():
    """Two images; a shift breaks a piece; the same image twice, apart, is two pieces."""
    image = [[0, 0, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0]]
    row = [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 0]]
    col = [[0, 1, 2, 3]] * 3
    found = pieces(origins_of(image, row, col), "fixed")
    # The left part of image 0, image 1, the right part of image 0, and its displaced corner.
    assert found.number[0].tolist() == [[0, 0, 1, 2], [0, 0, 1, 2], [0, 1, 1, 3]]
    assert found.count.tolist() == [4] and found.images.tolist() == [2]
    wrapped = pieces(origins_of(image, row, col), "circular")
    assert wrapped.count.tolist() == [3]  # left and right part meet across the border
    inner = torch.tensor([[[False, False, True, True]] * 3])
    some = pieces(origins_of(image, row, col), "fixed", inner)
    assert some.count.tolist() == [3] and some.images.tolist() == [2]
    assert (some.number[0] == -1).sum() == 6


def test_a_winding_piece_is_one():
    """A snake through the picture: the least number has to travel all the way."""
    h = w = 9
    image = torch.ones(h, w, dtype=torch.int64)
    image[1::4, :-1] = image[3::4, 1:] = 2
    image[1::2] = torch.where(image[1::2] == 2, torch.arange(10, 10 + w), image[1::2])
    row, col = torch.arange(h)[:, None].expand(h, w), torch.arange(w).expand(h, w)
    found = pieces(origins_of(image.tolist(), row.tolist(), col.tolist()), "aware")
    assert len(found.number[0][image == 1].unique()) == 1


def test_plain_windows():
    """One bright pixel spoils the windows that see it; in any channel; borders are not compared."""
    x = torch.full((2, 3, 5, 6), -1.0)
    x[0, 2, 2, 2] = -0.8
    x[1, 0, 0, 5] = -0.95  # within the tolerance
    found = plain(x, 3)
    expected = torch.ones(2, 5, 6, dtype=torch.bool)
    expected[0, 1:4, 1:4] = False
    assert torch.equal(found, expected)


def test_whole_images_make_no_mosaic():
    """The certificate needs a window."""
    x = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match="window must be an odd side, got None"):
        certify(x, x, None, "fixed")


def test_pieces_do_not_go_round_where_the_border_does_not(as_installed):
    """Origins at either end of an image are neighbours only if it wraps."""
    col = torch.tensor([2, 3, 0, 1]).view(1, 1, 1, 4)
    none = torch.zeros_like(col)
    origins = Origins(none, none, col, torch.zeros(1, 1, 1, 4, dtype=torch.float64))
    assert pieces(origins, "aware").count.tolist() == [2]
    assert pieces(origins, "circular").count.tolist() == [1]
    wrong: Any = "circle"
    with pytest.raises(ValueError, match="border must be one of"):
        pieces(origins, wrong)


def test_plain_windows_have_a_middle():
    """An even side would move them, and change the shape."""
    with pytest.raises(ValueError, match="window must be an odd"):
        plain(torch.zeros(1, 1, 8, 8), 4)
