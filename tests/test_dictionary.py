"""What is prepared of training images: once, in pieces, and never something else's."""

import math
import pickle
from dataclasses import replace

import pytest
import torch
from conformance import image_set, noisy

from elslib.data.image_set import ImageSet
from elslib.denoisers.machines import (
    EquivariantLocalScore,
    EquivariantScore,
    IdealScore,
    LocalScore,
)
from elslib.posterior import PatchDictionary, dictionary, patch_posterior
from elslib.posterior.query import Query
from elslib.scales import constant_scale
from elslib.windows import Window

IMAGES = image_set(7, 2, 6, 6)
X = noisy(IMAGES, 0.3, 2)
FIELDS = ("mean", "log_sum", "entropy", "count")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("window, border", [(3, "aware"), (3, "circular"), (None, "circular")])
def test_a_dictionary_answers_as_its_images(dtype, window, border):
    """The same bits, at the first call and at later ones."""
    x, images = X.to(dtype), IMAGES.pixels.to(dtype)
    prepared = PatchDictionary(images)
    for t in (0.8, 0.6):
        rest = (t, 1 - t, window, border)
        expected = patch_posterior(x, images, *rest)
        found = patch_posterior(x, prepared, *rest)
        for field in FIELDS:
            assert torch.equal(getattr(found, field), getattr(expected, field))


@pytest.mark.parametrize("images", [2, 7])
def test_what_is_prepared_in_pieces_is_that_of_the_whole(monkeypatch, images):
    """As of a mapped file that exceeds the memory: never more than CHUNK bytes at once."""
    monkeypatch.setattr(dictionary, "CHUNK", images * IMAGES.pixels[0].nbytes)
    prepared = PatchDictionary(IMAGES.pixels)
    assert [first for first, _ in prepared.chunks()] == list(range(0, 7, images))
    prepared.check_finite()
    mean = IMAGES.pixels[:6].mean((1, 2, 3))  # the last is equal to the first
    assert torch.equal(prepared.by_brightness(0, 6), mean.argsort())
    assert torch.equal(prepared.by_brightness(2, 5), 2 + mean[2:5].argsort())
    assert prepared.by_brightness(0, 7).sort().values.tolist() == list(range(7))
    assert prepared.images.data_ptr() == IMAGES.pixels.data_ptr()  # a mapping stays one
    apart = (IMAGES.pixels - IMAGES.pixels.mean((0, 2, 3), keepdim=True)).double()
    assert prepared.largest_square == pytest.approx(float(apart.square().sum((1, 2, 3)).max()))
    whole = patch_posterior(X, IMAGES.pixels, 0.8, 0.6, 3, "aware", chunk=images)
    assert torch.equal(patch_posterior(X, prepared, 0.8, 0.6, 3, "aware").mean, whole.mean)


def test_images_are_laid_out_without_gaps_and_without_gradient():
    """A copy only where it must be."""
    turned = IMAGES.pixels.permute(0, 1, 3, 2).requires_grad_()
    prepared = PatchDictionary(turned)
    assert prepared.images.is_contiguous() and not prepared.images.requires_grad
    assert torch.equal(prepared.images, turned)
    assert not prepared.shares_memory(turned)
    assert PatchDictionary(IMAGES.pixels[2:4]).shares_memory(IMAGES.pixels)


def test_a_dictionary_says_what_it_is():
    """In one line."""
    expected = "PatchDictionary(7 images, 2 x 6 x 6, torch.float32, cpu)"
    assert repr(PatchDictionary(IMAGES.pixels)) == expected


def test_a_broken_image_is_noticed():
    """NaN and infinity, once and again."""
    for value in (math.nan, math.inf):
        images = IMAGES.pixels.clone()
        images[5, 1, 2, 3] = value
        prepared = PatchDictionary(images)
        for _ in range(2):
            with pytest.raises(ValueError, match="images must be finite, got NaN or infinity in"):
                prepared.check_finite()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"alpha": -0.1}, "alpha must be >= 0 and sigma > 0, got -0.1 and 0.6"),
        ({"alpha": math.nan}, "alpha must be >= 0 and sigma > 0, got nan and 0.6"),
        ({"sigma": 0.0}, "alpha must be >= 0 and sigma > 0, got 0.8 and 0.0; never"),
        ({"sigma": math.inf}, "alpha must be >= 0 and sigma > 0, got 0.8 and inf"),
        ({"sigma": 1e-170}, "sigma must lie between 1e-100 and 1e.100, .* got 1e-170"),
        ({"sigma": 1e160}, "sigma must lie between 1e-100 and 1e.100, .* got 1e.160"),
        ({"top": -1}, "top must be at least 0, got -1; 0 asks for no origins"),
        ({"chunk": 0}, "chunk must be at least 1 image, got 0; None chooses one"),
    ],
)
def test_a_query_that_cannot_be_answered(change, message):
    """Argument, rule, value and remedy."""
    good = {"alpha": 0.8, "sigma": 0.6, "window": Window(3), "border": "aware"}
    with pytest.raises(ValueError, match=message):
        Query(**{**good, **change})


MACHINES = (
    IdealScore(IMAGES),
    EquivariantScore(IMAGES),
    LocalScore(IMAGES, constant_scale(3)),
    EquivariantLocalScore(IMAGES, constant_scale(3)),
)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: type(machine).__name__)
def test_a_machine_prepares_each_class_once(monkeypatch, machine):
    """At its first use; later steps neither cut the images nor check them."""
    machine = replace(machine, images=replace(IMAGES))
    label = torch.tensor([1, 2])
    first = machine(X, 0.3, label)
    monkeypatch.setattr(ImageSet, "__post_init__", None)
    monkeypatch.setattr(PatchDictionary, "__init__", None)
    assert torch.equal(machine(X, 0.3, label), first)
    assert set(machine.images._prepared) == {1, 2}


def test_machines_of_one_set_share_what_is_prepared():
    """Calibration has one for each window: their copies of a class would add up."""
    images = replace(IMAGES)
    one, other = LocalScore(images, constant_scale(3)), IdealScore(images)
    one(X, 0.3, torch.tensor([1, 1]))
    kept = images._prepared[1]
    other(X, 0.3, torch.tensor([1, 1]))
    assert images._prepared[1] is kept and len(images._prepared) == 1


def test_other_images_have_dictionaries_of_their_own():
    """`replace` takes over nothing that was prepared of other images."""
    machine = MACHINES[-1]
    machine(X, 0.3)
    other = replace(machine, images=replace(IMAGES, pixels=-IMAGES.pixels))
    assert torch.allclose(other(-X, 0.3), -machine(X, 0.3), rtol=0, atol=1e-6)
    assert not torch.allclose(other(X, 0.3), machine(X, 0.3), rtol=0, atol=0.1)


def test_a_machine_travels_without_what_it_prepared():
    """Pickled or copied, it is as large as before its use, and answers the same."""
    machine = replace(MACHINES[-1], images=replace(IMAGES))
    before = len(pickle.dumps(machine))
    expected = machine(X, 0.3, torch.tensor([1, 1]))
    assert machine.images._prepared
    moved = pickle.loads(pickle.dumps(machine))
    assert len(pickle.dumps(machine)) == before and not moved.images._prepared
    assert torch.equal(moved(X, 0.3, torch.tensor([1, 1])), expected)


@pytest.mark.parametrize("fitting", [0, 1, 2, 3])
def test_scattered_classes_are_kept_while_they_fit(monkeypatch, fitting):
    """Their copies could together exceed the memory; answers are the same."""
    machine = replace(MACHINES[-1], images=replace(IMAGES))
    sizes = [machine.images.subset(label).pixels.nbytes for label in range(3)]
    monkeypatch.setattr("elslib.denoisers.machines.COPIES", sum(sizes[:fitting]))
    for label in (0, 1, 2, None):
        expected = MACHINES[-1].posterior(X, 0.3, label).mean
        assert torch.equal(machine.posterior(X, 0.3, label).mean, expected)
    assert set(machine.images._prepared) == {*range(fitting), None}


def test_classes_that_stand_together_are_never_copied(monkeypatch):
    """They lie within the set, as in a mapped file, and are kept however large."""
    monkeypatch.setattr("elslib.denoisers.machines.COPIES", 0)
    images = ImageSet(IMAGES.pixels, torch.tensor([0, 0, 0, 1, 1, 2, 2]))
    machine = EquivariantLocalScore(images, constant_scale(3))
    machine(X, 0.3, torch.tensor([1, 2]))
    for label, first in ((1, 3), (2, 5)):
        kept = machine.images._prepared[label].images
        assert kept.data_ptr() == images.pixels[first].data_ptr()


def test_changed_images_are_prepared_anew():
    """A tensor is looked at in each call; only a dictionary keeps what it found."""
    images = IMAGES.pixels.clone()
    rest = (0.8, 0.6, 3, "aware")
    before = patch_posterior(X, images, *rest).mean
    images.numpy()[:] *= 0.5  # unnoticed by torch
    after = patch_posterior(X, images, *rest).mean
    assert torch.equal(after, patch_posterior(X, images.clone(), *rest).mean)
    assert not torch.allclose(after, before, rtol=0, atol=0.05)
