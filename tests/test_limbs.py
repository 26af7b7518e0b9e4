"""Counting limbs of drawn garments and of a few photographs; benchmarks/limbs.py has the rest."""

import pytest
import torch

from elslib.analysis.limbs import COUNTERS, EXPECTED, KINDS, count_limbs, counted_parts
from elslib.analysis.planted_errors import ERRORS, planted
from elslib.data.named import load


def drawn(*boxes):
    """A picture of bright boxes (top, bottom, left, right) on black."""
    image = -torch.ones(1, 1, 32, 32)
    for top, bottom, left, right in boxes:
        image[..., top:bottom, left:right] = 0.6
    return image


def trousers(legs, gap=2):
    """A waist on legs that are 4 wide."""
    lefts = [3 + i * (4 + gap) for i in range(legs)]
    return drawn((1, 10, 3, lefts[-1] + 4), *((10, 31, left, left + 4) for left in lefts))


def top(left=1, right=1, apart=True):
    """Collar and trunk around column 16, and sleeves 3 wide that stand apart or touch the trunk."""
    trunk, step = drawn((1, 4, 13, 19), (4, 28, 10, 22)), 4 if apart else 3
    for i in range(left):
        end = 10 - i * step - apart
        trunk = torch.maximum(trunk, drawn((4 + i, 7 + i, end - 3, 12), (6, 30, end - 3, end)))
    return torch.maximum(trunk, top(right, 0, apart).flip(3)) if right else trunk


@pytest.mark.parametrize("legs", [1, 2, 3, 4])
@pytest.mark.parametrize("gap", [1, 2])
def test_legs(legs, gap):
    """From one leg to four, one or two pixels apart."""
    assert count_limbs(trousers(legs, gap), "legs").tolist() == [legs]


@pytest.mark.parametrize("sleeves", [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (1, 2), (2, 2)])
def test_sleeves_apart(sleeves):
    """Each side counts for itself."""
    assert count_limbs(top(*sleeves), "sleeves").tolist() == [sum(sleeves)]


@pytest.mark.parametrize("sleeves", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_sleeves_that_touch_the_trunk(sleeves):
    """No gap to see: the width of the halves tells."""
    assert count_limbs(top(*sleeves, apart=False), "sleeves").tolist() == [sum(sleeves)]


def test_a_print_is_no_gap():
    """Dark stripes enclosed by the trunk leave its outline alone."""
    image = top()
    image[..., 8:26, 12:14] = image[..., 8:26, 17:19] = -1
    assert count_limbs(image, "sleeves").tolist() == [2]


def test_bodies():
    """One, two apart, two with a crumb between; a line one pixel high is a sole, two are a gap."""
    left, right = (14, 22, 2, 14), (14, 22, 17, 30)
    assert count_limbs(drawn((14, 22, 2, 30)), "bodies").tolist() == [1]
    assert count_limbs(drawn(left, right), "bodies").tolist() == [2]
    assert count_limbs(drawn(left, right, (10, 12, 15, 16)), "bodies").tolist() == [2]
    assert count_limbs(drawn(left, (23, 25, 2, 14)), "bodies").tolist() == [1]
    assert count_limbs(drawn(left, (24, 26, 2, 14)), "bodies").tolist() == [2]


@pytest.mark.parametrize("kind", COUNTERS)
def test_what_samplers_do_to_an_image(kind):
    """Values beyond [-1, 1], half the contrast, a grey ghost, a little noise: the same count."""
    image = {
        "legs": trousers(3),
        "sleeves": top(1, 2),
        "bodies": drawn((9, 20, 2, 12), (9, 20, 16, 30)),
    }[kind]
    noise = 0.05 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    ghost = image.clone()
    ghost[..., 3:31, 1:31] = ghost[..., 3:31, 1:31].clamp(min=-0.9)
    changed = torch.cat([image, 1.9 * image + 0.7, image / 2 - 0.5, ghost, image + noise])
    kept = changed.clone()
    counts = count_limbs(changed, kind)
    assert counts.dtype == torch.int64 and len(set(counts.tolist())) == 1
    assert int(counts[0]) == EXPECTED[kind] + 1
    assert torch.equal(changed, kept)


@pytest.mark.parametrize("kind", COUNTERS)
def test_nothing_has_no_limbs(kind):
    """Black, one bright speck, no image at all; grey all over counts without failing."""
    black = -torch.ones(1, 1, 32, 32)
    assert count_limbs(torch.cat([black, drawn((3, 5, 3, 5))]), kind).tolist() == [0, 0]
    assert count_limbs(black[:0], kind).tolist() == []
    assert len(count_limbs(torch.zeros(1, 1, 32, 32), kind)) == 1
    assert len(count_limbs(torch.randn(20, 1, 9, 13), kind)) == 20


@pytest.mark.parametrize("label", KINDS)
def test_photographs(label):
    """30 of the embedded ones: at least five in six right, and each alike alone, mirrored."""
    images, kind = load("fashion_mnist_10k").subset(label).first(30).pixels, KINDS[label]
    counts = count_limbs(images, kind)
    assert (counts == EXPECTED[kind]).float().mean() >= 5 / 6
    assert torch.equal(counts[7:8], count_limbs(images[7:8], kind))
    assert (counts == count_limbs(images.flip(3), kind)).float().mean() >= 5 / 6


def test_bad_input(as_installed):
    """An unknown kind, a colour image, NaN."""
    image = torch.zeros(1, 1, 32, 32)
    with pytest.raises(ValueError, match="kind must be one of legs, sleeves, bodies, got 'arms'"):
        count_limbs(image, "arms")  # pyright: ignore
    with pytest.raises(ValueError, match=r"images must have the shape \[b, 1, h, w\], got \(1, 3,"):
        count_limbs(image.expand(1, 3, 32, 32), "legs")
    with pytest.raises(ValueError, match="images must be finite, got NaN or infinity"):
        count_limbs(image / 0, "legs")


@pytest.mark.parametrize("kind", ["legs", "bodies"])
def test_parts_are_what_was_counted(kind):
    """As many numbers as limbs, from left to right, on bright pixels alone; a crumb has none."""
    images = {
        "legs": torch.cat([trousers(n) for n in (1, 2, 3)]),
        "bodies": torch.cat([drawn((14, 22, 2, 14), (14, 22, 17, 30), (10, 12, 15, 16))] * 3),
    }[kind]
    parts = counted_parts(images, kind)
    assert torch.equal(parts.flatten(1).amax(1), count_limbs(images, kind))
    assert bool((images[:, 0][parts > 0] > 0).all())
    columns = [(parts[1] == number).nonzero()[:, 1] for number in (1, 2)]
    assert columns[0].max() < columns[1].min()
    assert not counted_parts(-torch.ones_like(images), kind).any()


def test_sleeves_have_no_parts():
    """One that touches the trunk has no pixels of its own."""
    with pytest.raises(ValueError, match="kind must be one of legs, bodies, got 'sleeves'"):
        counted_parts(top(), "sleeves")


@pytest.mark.parametrize("name", ERRORS)
def test_planted_errors_are_mostly_counted(name):
    """On photographs of the embedded set; the seed decides which."""
    photographs = load("fashion_mnist_test_1k/test")
    _, classes, truth = ERRORS[name]
    images, _ = planted(photographs, name, 3, 20)
    assert images.shape == (20, 1, 32, 32)
    assert torch.equal(images, planted(photographs, name, 3, 20)[0])
    assert not torch.equal(images, planted(photographs, name, 4, 20)[0])
    assert (count_limbs(images, KINDS[classes[0]]) == truth).float().mean() > 0.75


def test_unknown_errors_are_refused():
    """By name."""
    with pytest.raises(ValueError, match="name must be one of third leg, .*, got 'wing'"):
        planted(load("fashion_mnist_test_1k/test"), "wing", 0)
