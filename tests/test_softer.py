"""Softer windows and windows without a network: what they are, and what they must not be."""

from dataclasses import replace

import pytest
import torch

from elslib.analysis.data_windows import entropy_windows, wiener_windows
from elslib.analysis.softer import folded, pyramids
from elslib.analysis.theories import CONSTANTS, SOFTER, UNSEEN, theories
from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import EquivariantLocalScore, IdealScore, LocalScore
from elslib.samplers import initial_noise, sample
from elslib.scales import ScaleTable, constant_scale
from elslib.schedules import cosine
from elslib.windows import Window

GENERATOR = torch.Generator().manual_seed(0)
SMOOTH = torch.nn.functional.avg_pool2d(torch.randn(24, 2, 16, 16, generator=GENERATOR), 5, 1)
IMAGES = ImageSet((2 * SMOOTH).clamp(-1, 1), torch.arange(24) % 3)
NOISE = initial_noise([0, 1], (2, 12, 12))
TABLE = ScaleTable((0.2, 0.5, 1.0), (3, 5, 7))


class Network:
    """As much of a network as theories ask for."""

    schedule, edges, classes = cosine(), "aware", 3

    def __call__(self, x, t, label=None):
        raise NotImplementedError


def sides_of(table):
    """The sides of hard windows."""
    assert all(isinstance(side, int) for side in table.windows)
    return [int(side) for side in table.windows]


def test_fold_and_pyramid_change_low_times_alone():
    """With the border rule of the hard window."""
    assert folded(TABLE, 3, 0.6).windows == (Window(3, response=3), Window(5, response=3), 7)
    assert pyramids(TABLE, 0.65, 0.3).windows == (Window(3, 2, edge=3), 5, 7)
    assert pyramids(TABLE, 1.0, 2.0).windows[2] == Window(7, 2, edge=7)
    assert folded(TABLE, below=0.1).windows == TABLE.windows


def test_a_fold_of_one_is_the_theory_it_was():
    """The special case is the old machine, bit for bit."""
    old, new = (EquivariantLocalScore(IMAGES, table) for table in (TABLE, folded(TABLE, 1, 2.0)))
    assert torch.equal(sample(old, NOISE, 1), sample(new, NOISE, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: folded(TABLE, response=2), "response must be an odd"),
        (lambda: folded(constant_scale(None)), "scale must hold windows, got the whole image"),
        (lambda: pyramids(TABLE, ratio=0.0), "ratio must be positive"),
        (lambda: wiener_windows(IMAGES, share=1.0), "share must lie between 0 and 1"),
        (lambda: wiener_windows(IMAGES, sides=[5, 3]), r"sides must be odd.*got \[5, 3\]"),
        (lambda: entropy_windows(IMAGES, sides=[]), r"sides must be odd.*got \[\]"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", [IdealScore, LocalScore, EquivariantLocalScore])
def test_on_mirrored_images_a_machine_knows_no_left_and_right(kind):
    """D of the mirrored x is the mirrored D(x); without mirror images it is not."""
    both, table = IMAGES.with_mirrored(), [] if kind is IdealScore else [TABLE]
    x = 0.6 * IMAGES.pixels[:2] + 0.8 * NOISE
    for images, knows in ((both, False), (IMAGES, True)):
        machine = kind(images, *table)
        apart = (machine(x.flip(-1), 0.5, 1).flip(-1) - machine(x, 0.5, 1)).abs().max()
        assert (float(apart) > 1e-3) == knows


def test_pooled_at_little_noise_alone():
    """There it is the machine without classes, origins included; above it the one of the class."""
    plain, pooled = (EquivariantLocalScore(IMAGES, TABLE, pooled_below=t) for t in (0.0, 0.5))
    for t, label in ((0.49, None), (0.5, 1)):
        found, expected = (
            pooled.posterior(NOISE, t, 1, top=2),
            plain.posterior(NOISE, t, label, top=2),
        )
        assert torch.equal(found.mean, expected.mean)
        assert found.origins is not None and expected.origins is not None
        assert torch.equal(found.origins.image, expected.origins.image)
    assert torch.equal(pooled(NOISE, torch.tensor([0.5] * len(NOISE)), 1), plain(NOISE, 0.5, 1))
    pooled = replace(pooled, pooled_below=0.7)  # which float32 puts a little lower
    assert torch.equal(pooled(NOISE, torch.tensor([0.7] * len(NOISE)), 1), plain(NOISE, 0.7, 1))
    assert pooled.posterior_and_mass(NOISE, 0.1, 1)[1][:, IMAGES.labels != 1].sum() > 0.1
    with pytest.raises(ValueError, match="label must be a class"):
        pooled(NOISE, 0.1, 7)
    with pytest.raises(ValueError, match="pooled_below must be a time of at least 0, got nan"):
        replace(pooled, pooled_below=float("nan"))


def test_mirrored_images_keep_their_classes():
    both = IMAGES.with_mirrored()
    assert len(both) == 48 and both.sha256 != IMAGES.sha256
    assert torch.equal(both.pixels[0::2], IMAGES.pixels)
    assert torch.equal(both.subset(2).pixels[1::2], IMAGES.subset(2).pixels.flip(-1))
    assert len(ImageSet(IMAGES.pixels).with_mirrored()) == 48


def test_entropy_windows_are_the_widest_that_leave_pixels_undecided():
    """Against the entropies of every side, one by one; wider for fewer nats, and at more noise."""
    sides, times, schedule = (1, 3, 5, 7), (0.3, 0.6, 0.9), cosine()
    chosen = [0, 1, 2]  # the first of each class
    others = IMAGES.without(chosen)
    found = {
        nats: sides_of(entropy_windows(IMAGES, nats=nats, sides=sides, times=times))
        for nats in (2.0, 4.0, 6.0)
    }
    noise = initial_noise(range(3), IMAGES.pixels.shape[1:])
    for nats, windows in found.items():
        for t, window in zip(times, windows, strict=True):
            alpha, sigma = schedule.levels(t)
            x = alpha * IMAGES.pixels[:3] + sigma * noise
            medians = {}
            for side in sides:
                machine = EquivariantLocalScore(others, constant_scale(side))
                entropy = [machine.posterior(x[[y]], t, y).entropy for y in chosen]
                medians[side] = float(torch.cat(entropy).median())
            enough = [side for side in sides if medians[side] >= nats]
            assert window == (enough[-1] if enough else sides[0])
        assert windows == sorted(windows)
    assert found[2.0] >= found[4.0] >= found[6.0] and found[2.0] != found[6.0]
    assert len(entropy_windows(IMAGES, by_class=False, sides=(3, 5), times=(0.5,)).windows) == 1


def test_wiener_windows_hold_what_counts():
    """White noise has no neighbours that count; smooth images have; less share is wider."""
    white = torch.randn(4000, 1, 12, 12, generator=GENERATOR).clamp(-4, 4) / 4
    rest: dict = {"times": (0.3, 0.8), "sides": (1, 3, 5, 7, 9)}
    assert wiener_windows(ImageSet(white), share=0.3, **rest).windows == (1, 1)
    low, high = sides_of(wiener_windows(IMAGES, share=0.3, **rest))
    assert 1 < low <= high
    wide = sides_of(wiener_windows(IMAGES, share=0.05, **rest))
    assert wide[0] >= low and wide[1] >= high


def test_theories_by_name():
    """Each is ELS with other windows or patches; their constants are told."""
    names = [*SOFTER, *UNSEEN]
    found = theories(Network(), IMAGES, {"els": TABLE}, names)
    base = EquivariantLocalScore(IMAGES, TABLE)
    assert found["Fold"] == replace(base, scale=folded(TABLE))
    assert found["Fold5"] == replace(base, scale=folded(TABLE, 5))
    assert found["Pyramid"] == replace(base, scale=pyramids(TABLE))
    assert found["Pooled"] == replace(base, pooled_below=0.3)
    assert found["FoldPooled"] == replace(base, scale=folded(TABLE), pooled_below=0.3)
    assert found["Flips"] == replace(base, images=IMAGES.with_mirrored())
    assert found["WienerWindows"] == replace(base, scale=wiener_windows(IMAGES))
    assert found["EntropyWindows"] == replace(base, scale=entropy_windows(IMAGES))
    assert set(CONSTANTS) == {*names} - {"Flips"}
    with pytest.raises(ValueError, match="scales must hold 'els' for Fold"):
        theories(Network(), IMAGES, {}, ["Fold"])
    assert set(theories(Network(), IMAGES, {}, ["WienerWindows"])) == {"WienerWindows"}
