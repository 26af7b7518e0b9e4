"""Agreement: rows of known answer, and their way through a file."""

import json
import math
import re

import pandas as pd
import pytest
import torch
from helpers import FunctionDenoiser

from elslib.analysis.agreement import (
    COLUMNS,
    agree,
    batches,
    compare,
    draw,
    median,
    share_above,
    values,
)
from elslib.data.image_set import ImageSet
from elslib.data.pixels import to_uint8
from elslib.experiments import agreement_results
from elslib.experiments.agreement_results import read_pictures, read_rows, write_result
from elslib.experiments.store import network_paths, weights_sha256
from elslib.schedules import linear


@FunctionDenoiser
def half(x, t, label=None):
    """A Denoiser that depends on x, so that samples from different noise differ."""
    return x / 2


@FunctionDenoiser
def shifted(x, t, label=None):
    return x / 2 + 1


def test_compare_gives_one_row_for_each_seed_theory_and_step_count():
    """A theory that is the network agrees fully; one with another brightness has r = 1, low R2."""
    theories = {"itself": half, "brighter": shifted}
    rows = compare(draw(half, theories, [4, 14], 4, (1, 8, 8)))
    assert len(rows) == 2 * 2 * 2 and set(rows.seed) == {4, 14}
    assert set(rows.label) == {4}
    same = rows[(rows.theory == "itself") & (rows.network_steps == 20)]
    assert len(same) == 2 and (same[["r", "r2", "R2"]] == 1).to_numpy().all()
    brighter = rows[(rows.theory == "brighter") & (rows.network_steps == 20)]
    assert len(brighter) == 2 and (brighter.r > 0.999).all() and (brighter.R2 < 0.9).all()


def test_the_steps_of_the_theory_can_be_set():
    """As many steps as the network takes: then it is the network."""
    drawn = draw(half, {"itself": half}, [3], None, (1, 8, 8), theory_steps=150)
    rows = compare(drawn)
    assert dict(zip(rows.network_steps, rows.R2 == 1, strict=True)) == {20: False, 150: True}


def test_a_seed_gives_the_same_row_whatever_the_batch():
    """Alone or with others, to rounding."""
    alone = compare(draw(half, {"brighter": shifted}, [14], None, (1, 8, 8)))
    both = compare(draw(half, {"brighter": shifted}, [4, 14], None, (1, 8, 8)))
    pd.testing.assert_frame_equal(both.loc[both.seed == 14].reset_index(drop=True), alone)


def test_theories_with_another_schedule_are_refused():
    """They would read other noise levels from the same times."""
    other = FunctionDenoiser(half, linear())
    with pytest.raises(ValueError, match="must share one schedule to be compared, got 'cosine' an"):
        draw(half, {"itself": half, "other": other}, [3], None, (1, 8, 8))


@pytest.mark.parametrize("classes", [None, 8, 10])
def test_batches_hold_every_seed_once_with_its_class(classes):
    """Seed s has class s mod classes."""
    found = batches(range(23), classes)
    assert sorted(seed for _, seeds in found for seed in seeds) == list(range(23))
    if classes:
        assert all(seed % classes == label for label, seeds in found for seed in seeds)
    else:
        assert {label for label, _ in found} == {None}


ROWS = pd.DataFrame(
    [
        (seed, seed % 2, theory, steps, r, round(r * r, 6), r - 0.5)
        for seed, r in [(1, 0.9), (0, 0.5), (2, 0.7)]
        for theory, r in [("ELS", r), ("IS", 0.6)]
        for steps in (20, 150)
    ],
    columns=COLUMNS,
)


def record(config):
    """Of a run with this configuration."""
    return {"command": "elslib agree", "config": config, "data_sha256": "", "seconds": 0.0}


def keep(name, rows=None, seeds=(0,), pictures=None, **config):
    """A result of a network that is there."""
    weights = network_paths(name)[0]
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"weights")
    pictures = pictures or {"network": torch.zeros(len(seeds), 1, 2, 2, dtype=torch.uint8)}
    config = {"weights_sha256": weights_sha256(name), **config}
    write_result(name, ROWS if rows is None else rows, seeds, pictures, record(config))


def test_rows_survive_the_file(tmp_path, monkeypatch):
    """Written sorted by seed, read back equal; also without classes."""
    monkeypatch.setenv("ELSLIB_PROJECT", str(tmp_path))
    one = pd.DataFrame([(5, None, "ELS", 20, 0.1, 0.01, -1.5)], columns=COLUMNS)
    for name, rows in (("some", ROWS), ("one", one)):
        keep(name, rows)
        expected = rows.sort_values("seed", kind="stable").astype({"label": "Int64"})
        pd.testing.assert_frame_equal(read_rows(name), expected.reset_index(drop=True))
    agreement_results.result_path("agreement", "one").with_suffix(".csv").unlink()
    assert agreement_results.with_results() == ["some"]
    assert agreement_results.with_results("b, a,") == ["b", "a"]
    for name in ("mnist-unet", "emoji-unet", "fashion-unet", "another"):
        keep(name)
    order = ["fashion-unet", "mnist-unet", "emoji-unet", "another", "some"]
    assert agreement_results.with_results() == order
    with pytest.raises(FileNotFoundError, match="no agreement of 'other'"):
        read_rows("other")


def test_results_that_are_not_believed(tmp_path, monkeypatch):
    """Of other weights, and without a record, as a kill in the midst of writing leaves them."""
    monkeypatch.setenv("ELSLIB_PROJECT", str(tmp_path))
    keep("some")
    network_paths("some")[0].write_bytes(b"other")
    for read in (read_rows, read_pictures):
        with pytest.raises(ValueError, match="must belong to the weights of 'some'"):
            read("some")
    agreement_results.result_path("agreement", "some").unlink()
    assert agreement_results.with_results() == []
    for read in (read_rows, read_pictures):
        with pytest.raises(FileNotFoundError, match="run `elslib agree --network some`"):
            read("some")


@pytest.mark.parametrize(
    "now, message",
    [
        ({}, None),
        ({"theories": ["Fold"], "windows": {"els": [3]}}, None),
        ({"windows": {"els": [5], "ls": [3]}}, "was made with other windows"),
        ({"theories": ["Fold"], "windows": {"els": [5]}}, "was made with other windows"),
        ({"seeds": 3}, None),
        ({"seeds": 1}, "of 2 seeds .* made with other seeds"),
        ({"seeds": 3, "theories": ["ELS"]}, "made with other seeds"),
        ({"steps": 10}, "made with other steps"),
    ],
)
def test_what_a_result_is_joined_with(tmp_path, now, message):
    """One of the same windows, seeds and steps; another is replaced, which is said."""
    files = [tmp_path / f"agreement-some{end}" for end in (".csv", ".npz", ".json")]
    kept = {"seeds": 2, "windows": {"els": [3], "ls": [3]}, "pictures": []}
    assert agreement_results.kept_before(files, kept) is None
    assert agreement_results.replaced(files, None, kept) == []
    for file in files:
        file.write_text(json.dumps(record(kept)))
    config = {**kept, **now}
    before = agreement_results.kept_before(files, config)
    joins = message is None and config["seeds"] == 2
    assert (before == kept) if joins else (before is None)
    said = agreement_results.replaced(files, before, config)
    assert bool(said) == bool(message) and re.search(message or "", "".join(said))


def test_pictures_survive_the_file(tmp_path, monkeypatch):
    """As bytes, sorted by seed: the network's after most steps, the theories' that are shown."""
    monkeypatch.setenv("ELSLIB_PROJECT", str(tmp_path))
    theories = {"ELS": half, "Wiener": shifted}
    drawn = draw(half, theories, [14, 4], None, (1, 8, 8))
    drawings = {name: to_uint8(x) for name, x in drawn.pictures(["ELS"]).items()}
    keep("some", seeds=drawn.seeds, pictures=drawings)
    found = read_pictures("some")
    assert set(found) == {"network", "ELS"} and found["network"].dtype == torch.float32
    for name, x in (("network", drawn.network[150]), ("ELS", drawn.theories["ELS"])):
        assert float((found[name] - x.flip(0).clamp(-1, 1)).abs().max()) <= 1.01 / 255
    with pytest.raises(FileNotFoundError, match="no pictures of 'other'"):
        read_pictures("other")


def test_summaries():
    """In the order of the seeds; the median; the share of seeds above."""
    assert values(ROWS, "ELS").tolist() == [0.5, 0.9, 0.7]
    assert median(ROWS, "ELS").estimate == pytest.approx(0.7)
    assert median(ROWS, "ELS", measure="R2").estimate == pytest.approx(0.2)
    assert share_above(ROWS, "ELS") == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="rows must hold theory 'LS' at 150 network steps"):
        values(ROWS, "LS")


def test_pictures_that_are_not_finite():
    """Who drew them from which seed; and no seeds are no comparison."""
    broken = FunctionDenoiser(lambda x, t, label=None: x * (math.nan if x.mean() < 0 else 1.0))
    for network, theories, who in ((half, {"IS": broken}, "IS"), (broken, {"IS": half}, "steps")):
        drawn = draw(network, theories, list(range(4)), None, (1, 4, 4))
        with pytest.raises(ValueError, match=f"pictures must be finite, .* {who} drew from seed"):
            compare(drawn)
    with pytest.raises(ValueError, match="seeds must hold at least one"):
        agree(half, ImageSet(torch.randn(3, 1, 4, 4).clamp(-1, 1)), {}, [], ["IS"])
