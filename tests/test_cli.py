"""The command line: small real runs, and errors in one line."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from elslib import cli
from elslib.analysis import agreement
from elslib.cli.common import as_json
from elslib.data import folders, full_sets, named
from elslib.denoisers.machines import IdealScore
from elslib.experiments import agreement_results, recipes, sampling, store, tasks, train_network
from elslib.networks.architectures import NetworkConfig
from elslib.networks.training import TrainConfig
from elslib.samplers import initial_noise, sample

pytestmark = pytest.mark.usefixtures("quick")


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def asked(*arguments):
    """What a command prints with --json."""
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


KINDS = ("csv", "npz", "json")  # of files that agree writes
TINY = ("--name", "tiny", "--batch", 4, "--width", 24)
SAMPLE = ("sample", "--dataset", "noto_emoji", "--window", 3)
TRAIN = ("train", "--dataset", "emoji", "--network", "resnet", *TINY)


def test_train_then_calibrate(folder):
    """A tiny network, its card, its windows; rerunning both changes nothing but the clock."""
    done = run(*TRAIN, "--steps", 3)
    assert done.exit_code == 0, done.output
    card = json.loads((folder / "networks" / "tiny.json").read_text())
    assert card["training"]["steps"] == 3 and card["loss"]["held_out"] > 0
    assert len(card["held_out_curve"]) == 3 and not card["loss"]["trained"]
    assert card["record"]["data_sha256"] == card["images"]["sha256"]
    weights = (folder / "networks" / "tiny.safetensors").read_bytes()
    assert run(*TRAIN, "--steps", 3).exit_code == 0
    assert (folder / "networks" / "tiny.safetensors").read_bytes() == weights

    options = ("calibrate", "--network", "tiny", "--machine", "ls", "--largest", 5)
    done = run(*options, "--trajectories", 1)
    assert done.exit_code == 0 and "calibrate tiny: 1 of 1" in done.stderr
    scale = store.load_scale("tiny", "ls")
    assert len(scale.windows) == 20 and set(scale.windows) <= {3, 5}
    plan = asked(*options, "--trajectories", 3, "--dry-run")
    assert (plan["parts"], plan["done"], plan["windows"]) == (3, 1, [3, 5])
    # More trajectories: the first is taken from the state file as it is. A Task that is left in the
    # middle goes on where it was.
    (state,) = (folder / "scales" / ".state").glob("tiny-ls-*.json")
    first = json.loads(state.read_text())["items"]
    task = tasks.Calibration("tiny", "ls", trajectories=3, largest=5)
    going = task.run()
    next(going)
    del going
    assert len(list(task.run())) == 1
    items = json.loads(state.read_text())["items"]
    assert items[:1] == first and len(items) == 3
    # Once more, and nothing is done, or written.
    path = folder / "scales" / "tiny-ls.json"
    before = path.stat().st_mtime_ns
    assert asked(*options, "--trajectories", 3)["windows"] == list(
        store.load_scale("tiny", "LS").windows
    )
    assert path.stat().st_mtime_ns == before


def test_a_dry_run_does_nothing(folder, tmp_path):
    """It says what the result would depend on, where it would be, and how much of it is done."""
    plan = asked(*TRAIN, "--steps", 3, "--dry-run")
    assert (plan["parts"], plan["done"]) == (3, 0) and plan["training"]["batch"] == 4
    assert plan["files"] == [
        str(folder / "networks" / f"tiny.{x}") for x in ("safetensors", "json")
    ]
    assert not (folder / "networks").exists()
    assert run(*TRAIN, "--steps", 3).exit_code == 0
    assert asked(*TRAIN, "--steps", 3, "--dry-run")["done"] == 3
    out = tmp_path / "new" / "drawn"
    drawn = ("--dataset", "noto_emoji", "--window", 3, "--samples", 2, "--out", out)
    done = run("sample", *drawn, "--dry-run")
    assert "seeds: 0, 1\n" in done.stdout, done.output
    assert not out.parent.exists()


def test_agree(folder):
    """Every theory on every seed; a second run takes the finished batches as they are."""
    assert run(*TRAIN, "--steps", 2).exit_code == 0
    refused = run("agree", "--network", "tiny")
    assert refused.exit_code == 2 and "no ls scales of 'tiny'" in refused.output
    for machine in ("ls", "els"):
        options = ("--machine", machine, "--largest", 3, "--trajectories", 1)
        assert run("calibrate", "--network", "tiny", *options).exit_code == 0
    done = run("agree", "--network", "tiny", "--seeds", 3)
    assert done.exit_code == 0, done.output
    assert "agree tiny: 3 of 3" in done.stderr and "ELS r_at_150_steps: " in done.stdout
    rows = agreement_results.read_rows("tiny")
    assert len(rows) == 3 * 5 * 2 and rows.label[::10].tolist() == [0, 1, 2]
    pictures = agreement_results.read_pictures("tiny")
    assert {name: len(x) for name, x in pictures.items()} == dict.fromkeys(
        ("network", "ELS", "LS", "IS"), 3
    )
    images = named.load("noto_emoji/train")
    second = sample(IdealScore(images), initial_noise([2], (3, 32, 32)), torch.tensor([2]))
    assert float((pictures["IS"][2] - second[0].clamp(-1, 1)).abs().max()) <= 1.01 / 255
    record = json.loads((folder / "results" / "agreement-tiny.json").read_text())
    assert record["config"]["windows"]["els"] == [3] * 20
    before = (folder / "results" / "agreement-tiny.csv").read_bytes()
    # Fewer seeds are taken from those that are kept, and more are added to them.
    picture = dict(pictures)["network"]
    for seeds, parts, done in ((1, 3, 3), (4, 4, 3), (3, 4, 4)):
        plan = asked("agree", "--network", "tiny", "--seeds", seeds, "--dry-run")
        assert (plan["parts"], plan["done"]) == (parts, done)
        assert run("agree", "--network", "tiny", "--seeds", seeds).exit_code == 0
        assert len(agreement_results.read_rows("tiny")) == seeds * 10
        again = agreement_results.read_pictures("tiny")["network"]
        assert torch.equal(again[:3], picture[:seeds]) and len(again) == seeds
    assert (folder / "results" / "agreement-tiny.csv").read_bytes() == before
    again = asked("agree", "--network", "tiny", "--seeds", 3)
    assert (
        again["theories"]["ELS"]["r_at_20_steps"]["estimate"]
        == agreement.median(rows, "ELS", 20).estimate
    )
    assert (folder / "results" / "agreement-tiny.csv").read_bytes() == before
    # Other weights: neither the scales nor the kept batches belong to them.
    (folder / "networks" / "tiny.safetensors").unlink()
    assert run(*TRAIN, "--steps", 3).exit_code == 0
    refused = run("agree", "--network", "tiny")
    assert refused.exit_code == 2 and "must belong to the weights of 'tiny'" in refused.output


def test_a_theory_is_added_to_an_agreement(folder):
    """On the same seeds the others stay as they are; on others they cannot, and do not."""
    assert run(*TRAIN, "--steps", 1).exit_code == 0
    agree = ("agree", "--network", "tiny", "--seeds", 2, "--theories")
    assert run(*agree, "IS,Wiener").exit_code == 0
    rows, pictures = agreement_results.read_rows("tiny"), agreement_results.read_pictures("tiny")
    refused = run(*agree, "LocalWiener")
    assert refused.exit_code == 2 and "no els scales of 'tiny'" in refused.output
    options = ("--machine", "els", "--largest", 3, "--trajectories", 1)
    assert run("calibrate", "--network", "tiny", *options).exit_code == 0
    found = asked(*agree, "LocalWiener,nearest")
    assert set(found["theories"]) == {"IS", "Wiener", "LocalWiener", "nearest"}
    joined = agreement_results.read_rows("tiny")
    assert joined.theory.tolist()[::2] == ["IS", "Wiener", "LocalWiener", "nearest"] * 2
    assert joined.loc[joined.theory.isin({"IS", "Wiener"})].to_dict("list") == rows.to_dict("list")
    again = agreement_results.read_pictures("tiny")
    assert set(again) == set(pictures) and torch.equal(again["IS"], pictures["IS"])
    config = json.loads((folder / "results" / "agreement-tiny.json").read_text())["config"]
    assert config["theories"] == ["IS", "Wiener", "LocalWiener", "nearest"]
    assert config["windows"] == {"els": [3] * 20}
    for names in ("IS,Wiener", "nearest", "LocalWiener,IS"):
        plan = asked(*agree, names, "--dry-run")
        assert plan["done"] == plan["parts"], names
    assert asked(*agree, "ES", "--dry-run")["done"] == 0
    other = ("agree", "--network", "tiny", "--seeds", 3, "--theories", "nearest")
    assert run(*other).exit_code == 0
    assert set(agreement_results.read_rows("tiny").theory) == {"nearest"}


def test_copies_of_images_that_may_not_be_shown_are_not_kept(folder, monkeypatch):
    """Of IS, which draws training images, the numbers only."""
    monkeypatch.setattr(named, "PRIVATE", ("noto_emoji",))
    assert run(*TRAIN, "--steps", 1).exit_code == 0
    done = run("agree", "--network", "tiny", "--seeds", 1, "--theories", "IS,Wiener")
    assert done.exit_code == 0, done.output
    assert set(agreement_results.read_rows("tiny").theory) == {"IS", "Wiener"}
    assert set(agreement_results.read_pictures("tiny")) == {"network"}
    kept = (folder / "results" / ".state").glob("agreement-tiny*.json")
    assert [set(json.loads(path.read_text())["items"][0]["pictures"]) for path in kept] == [
        {"network"}
    ]


def test_a_network_at_a_path_needs_no_checkout(tmp_path, monkeypatch, as_installed):
    """As after `pip install`: windows and agreement of one's own network, trained on a file of
    one's own, go beside it, and are found there."""

    def missing():
        raise FileNotFoundError("the embedded image sets are not here")

    for name, module in list(sys.modules.items()):
        if name.startswith("elslib.") and hasattr(module, "data_folder"):
            monkeypatch.setattr(module, "data_folder", missing)
    own = tmp_path / "own"
    own.mkdir()
    pixels = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    np.save(own / "images.npy", pixels.numpy())
    images, path = named.load(str(own / "images.npy")), str(own / "net-0.9")
    config = TrainConfig(NetworkConfig(1, width=24, blocks=1), steps=1, batch=2)
    list(train_network.make(recipes.Recipe(path, images, images, config)))
    for machine in ("ls", "els"):
        options = ("--machine", machine, "--largest", 3, "--trajectories", 1)
        done = run("calibrate", "--network", path, *options)
        assert done.exit_code == 0, done.output
        assert store.load_scale(path, machine).windows == (3,) * 20
    found = asked("agree", "--network", path, "--seeds", 2)
    assert found["files"] == [f"{path}-agreement.{kind}" for kind in KINDS]
    assert len(agreement_results.read_rows(path)) == 2 * 5 * 2
    assert len(agreement_results.read_pictures(path)["ELS"]) == 2
    kept = {"images.npy", "net-0.9.safetensors", "net-0.9.json", ".state", ".snapshots"}
    made = {f"net-0.9-{x}" for x in ("els.json", "ls.json", *(f"agreement.{k}" for k in KINDS))}
    assert {file.name for file in own.iterdir()} == kept | made
    # The folder may move: what belongs to a network is told by its weights.
    moved = own.rename(tmp_path / "moved") / "net-0.9"
    assert store.load_scale(str(moved), "els").windows == (3,) * 20


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with twelve tiny images of two classes in a file; nothing is here but it."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(256, size=(12, 1, 8, 8), dtype=np.uint8)
    names = np.array(["a", "b"])
    np.savez("images.npz", images=pixels, labels=np.arange(12) % 2, class_names=names)
    return tmp_path


def test_a_project_holds_all_that_is_made(own, monkeypatch):
    """Networks, scales, results of images of one's own, and nothing elsewhere; named there."""
    where = ("--project", "proj")
    train = ("train", "--dataset", "images.npz", "--network", "resnet", "--width", 24, "--batch", 2)
    made = asked(*train, "--steps", 2, *where)
    assert made["files"][0] == str(own / "proj" / "networks" / "images-resnet.safetensors")
    assert made["loss"]["held_out"] is None and "no images are held out" in made["trained"]
    again = asked(*train, "--steps", 2, *where)
    assert "made before" in again["warnings"][0] and again["loss"] == made["loss"]
    card = json.loads((own / "proj" / "networks" / "images-resnet.json").read_text())
    assert card["network"]["classes"] == 2 and Path(card["images"]["name"]) == own / "images.npz"
    plain = asked(*train, "--unconditional", "--name", "plain", "--dry-run", *where)
    assert plain["network"]["classes"] is None
    seen = asked(*train, "--held-out", "images.npz", "--name", "seen", "--steps", 1, *where)
    assert seen["loss"]["held_out"] > 0
    network = ("--network", "images-resnet", *where)
    done = asked("calibrate", *network, "--largest", 5, "--trajectories", 2, "--steps", 3)
    assert done["times"] == [1 / 3, 2 / 3, 1] and len(done["cosine"]) == len(done["spread"]) == 3
    assert done["warnings"] and "tried" in " ".join(done["warnings"])
    kept = json.loads((own / "proj" / "scales" / "images-resnet-els.json").read_text())
    assert kept["quality"]["cosine"] == done["cosine"]
    names = ("--theories", "ELS,nearest,Wiener", "--steps", 3, "--sampler", "heun")
    told = asked("agree", *network, "--seeds", 2, *names)["warnings"]
    assert told == [f"els: {one}" for one in done["warnings"]]  # of its windows
    told = asked("agree", *network, "--seeds", 1, *names, "--dry-run")["warnings"]
    assert told[-1].startswith("replaces a result of 2 seeds (ELS, nearest, Wiener)")
    plan = asked("agree", *network, "--seeds", 2, "--theories", "nearest", "--dry-run")
    assert (plan["parts"], plan["done"]) == (2, 0)  # another list is another run
    rows = (own / "proj" / "results" / "agreement-images-resnet.csv").read_text()
    assert "nearest" in rows and "IS" not in rows and ",3," in rows
    with monkeypatch.context() as patch:  # no theory is made only to say what would be done
        patch.delattr("elslib.experiments.pairs.theories")
        assert asked("pairs", *network, "--samples", 2, "--dry-run")["done"] == 0
    drawn = asked("pairs", *network, "--samples", 2, "--steps", 2)
    assert len(drawn["r"]["ELS"]) == 2 and len(drawn["warnings"]) == len(done["warnings"])
    assert {file.name for file in own.iterdir()} == {"images.npz", "proj"}
    # Its windows, images and edges are the network's.
    plan = asked("sample", *network, "--dry-run")
    assert plan["dataset"] == card["images"]["name"] and plan["scale"]["windows"] == done["windows"]
    file = own / "proj" / "scales" / "images-resnet-els.json"
    plan = asked("sample", "--dataset", "images.npz", "--scale", file, "--dry-run")
    assert plan["scale"]["windows"] == done["windows"]
    refused = run("sample", "--dataset", "images.npz")
    assert refused.exit_code == 2 and "windows must be given for images.npz" in refused.output
    refused = run("sample", "--window", 3, "--scale", file)
    assert refused.exit_code == 2 and "got --scale and --window" in refused.output
    refused = run("agree", *network, "--theories", "LS")
    (line,) = refused.output.strip().splitlines()
    assert line.startswith("Error: no ls scales") and f"--project {own / 'proj'}`" in line
    refused = run("agree", *network, "--theories", "ELS,magic")
    assert refused.exit_code == 2 and "names must be some of ELS, LS, IS, ES" in refused.output


def test_a_project_is_where_one_stands(own, monkeypatch):
    """Beside an installed wheel; a variable names another for all commands."""
    monkeypatch.setattr(folders, "__file__", str(own / "lib" / "elslib" / "data" / "folders.py"))
    train = ("train", "--dataset", "images.npz", "--network", "resnet", "--name", "n", "--dry-run")
    assert asked(*train)["files"][0] == str(own / "networks" / "n.safetensors")
    monkeypatch.setenv("ELSLIB_PROJECT", str(own / "other"))
    assert asked(*train)["files"][0] == str(own / "other" / "networks" / "n.safetensors")
    assert asked(*train, "--project", "p")["files"][0] == str(own / "p/networks/n.safetensors")
    assert asked(*train)["files"][0] == str(own / "other" / "networks" / "n.safetensors")


def test_more_windows_continue_the_kept_run(own, monkeypatch):
    """Only those that are missing are tried; the outcome is that of one run with all."""
    tried, real = [], tasks.calibration.calibrate

    def noted(network, images, machine, windows, *rest, **options):
        tried.append(windows)
        return real(network, images, machine, windows, *rest, **options)

    monkeypatch.setattr(tasks.calibration, "calibrate", noted)
    where = ("--project", "proj")
    train = ("train", "--dataset", "images.npz", "--network", "resnet", "--width", 24, "--batch", 2)
    asked(*train, "--steps", 2, "--name", "n", *where)

    def calibrated(largest):
        tried.clear()
        options = ("--trajectories", 2, "--steps", 2, "--largest", largest)
        return asked("calibrate", "--network", "n", *options, *where)

    whole = calibrated(7)
    assert tried == [[3, 5, 7]] * 2
    for file in (own / "proj" / "scales").rglob("n-els*.json"):
        file.unlink()
    for largest, windows in ((3, [3]), (5, [5]), (7, [7])):
        last = calibrated(largest)
        assert tried == [windows] * 2
    for name in ("windows", "cosine", "spread"):
        assert last[name] == whole[name]
    assert calibrated(5)["windows"] and not tried  # they are kept


@pytest.mark.parametrize(
    "arguments,message",
    [
        (("train", "--dataset", "faces", "--network", "resnet"), "dataset must be one of fashion"),
        (("train", "--dataset", "cifar10-full", "--network", "unet"), "elslib data fetch cifar10"),
        ((*TRAIN[:-1], 30), "width must be a multiple of 8 from 24 on, got 30"),
        ((*TRAIN, "--steps", 0), "0 is not in the range 1<=x<=10000000"),
        (("calibrate", "--network", "nobody"), "no network 'nobody'"),
        ((*SAMPLE, "--label", 10), "label must be a class of"),
        ((*SAMPLE, "--first-seed", 2**31 - 1), "seeds must hold at least one in"),
        ((*SAMPLE, "--machine", "ls", "--edges", "circular"), "edges must be aware with the"),
        (("data", "fetch", "imagenet"), "'imagenet' is not one of"),
    ],
)
def test_errors_are_one_line_with_exit_code_2(folder, monkeypatch, arguments, message):
    """No stack trace for a user's mistake."""
    monkeypatch.setenv("ELSLIB_DATA", str(folder))
    done = run(*arguments)
    assert done.exit_code == 2 and message in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: tasks.Calibration("tiny", "LS"), "machine must be one of els, ls, got 'LS'"),
        (lambda: tasks.Calibration("tiny", "ls", largest=4), "largest must be odd, .* got 4"),
        (lambda: tasks.Calibration("tiny", "ls", largest=1), "at least 3, got 1"),
        (lambda: tasks.Calibration("tiny", "ls", 0), "trajectories must be at least 1, got 0"),
        (lambda: tasks.Agreement("tiny", 0), "seeds must be at least 1, got 0"),
    ],
)
def test_wrong_tasks_are_refused(folder, make, message):
    """Before any work."""
    assert run(*TRAIN, "--steps", 1).exit_code == 0
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_on_other_images_is_refused(folder):
    """The card knows the images by sha256."""
    assert run(*TRAIN, "--steps", 1).exit_code == 0
    path = folder / "networks" / "tiny.json"
    card = json.loads(path.read_text())
    card["images"]["sha256"] = "0" * 64
    path.write_text(json.dumps(card))
    message = r"tiny.json must belong to noto_emoji/train, .* sha256 \(0000"
    with pytest.raises(ValueError, match=message):
        store.training_images("tiny")


def test_data_list_names_every_set_and_licence():
    """What is embedded, what can be fetched."""
    done = run("data", "list")
    assert done.exit_code == 0
    for name in [*named.manifest(), *full_sets.FULL_SETS]:
        assert name in done.output
    listed = asked("data", "list")
    assert listed["embedded"] == named.manifest() and set(listed["full"]) == {*full_sets.FULL_SETS}


def test_fetch_says_beforehand_whether_a_set_is_here(tmp_path, monkeypatch):
    """And afterwards what it has; a number that is none is null in json."""
    monkeypatch.setenv("ELSLIB_DATA", str(tmp_path))
    monkeypatch.setattr(full_sets, "DEBIAN_FASHION", tmp_path / "no-debian")
    assert asked("data", "fetch", "mnist", "--dry-run") == {"folder": str(tmp_path), "here": False}
    assert not list(tmp_path.iterdir())
    assert "here: False" in run("data", "fetch", "mnist", "--dry-run").stdout
    assert json.loads(as_json({"loss": float("nan")})) == {"loss": None}


def test_sample_writes_picture_numbers_and_record(tmp_path):
    """Unclamped images of the seeds asked for, and how they were made."""
    asked = ["sample", "--dataset", "mnist_5k", "--label", "1", "--samples", "2", "--steps", "1"]
    out = str(tmp_path / "drawn")
    done = run(*asked, "--window", 3, "--first-seed", 5, "--out", out)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "drawn.json").read_text())
    assert record["config"]["seeds"] == [5, 6] and record["command"] == "elslib sample"
    with np.load(tmp_path / "drawn.npz") as arrays:
        assert arrays["images"].shape == (2, 1, 32, 32) and arrays["seeds"].tolist() == [5, 6]
    assert (tmp_path / "drawn.png").stat().st_size > 0
    assert f"files: {out}.npz, {out}.json, {out}.png" in done.stdout
    many = run(*asked, "--window", 3, "--out", out, "--samples", 401, "--dry-run")
    assert f"files: {out}.npz, {out}.json\n" in many.stdout  # no PNG is so wide
    refused = run(*asked, "--scale", "nobody", "--out", out)
    assert refused.exit_code == 2 and "name must be one of cifar10-resnet-zeros" in refused.output


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_sample_on_a_gpu(tmp_path):
    """The same picture as the processor's, up to rounding along the way."""
    for device in ("cpu", "cuda"):
        options = ("--label", 1, "--samples", 2, "--steps", 2, "--device", device)
        assert run(*SAMPLE, *options, "--out", tmp_path / device).exit_code == 0
    cpu, cuda = (np.load(tmp_path / f"{device}.npz")["images"] for device in ("cpu", "cuda"))
    assert np.abs(cpu - cuda).max() < 1e-4


def test_sample_says_when_images_do_not_fit(tmp_path, monkeypatch):
    """On a device that is too small: the remedy, not a stack trace; nothing is written."""

    def full(*_):
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    monkeypatch.setattr(sampling, "local_machine", full)
    done = run(*SAMPLE, "--label", 1, "--out", tmp_path / "drawn")
    assert done.exit_code == 2 and "device must hold the images of its process" in done.output
    assert "20 GiB" in done.output and not list(tmp_path.iterdir())


def test_sample_looks_at_once_whether_it_can_write(tmp_path, monkeypatch):
    """Not after an hour; and it leaves nothing behind."""
    monkeypatch.setattr("elslib.experiments.sampling.ddim", None)  # would fail later
    (tmp_path / "file").write_text("")
    refused = run("sample", "--out", tmp_path / "file" / "drawn")
    assert refused.exit_code == 2 and str(tmp_path / "file") in refused.output
    (tmp_path / "drawn.json").mkdir()
    refused = run("sample", "--out", tmp_path / "drawn")
    assert refused.exit_code == 2 and "drawn.json must be a file" in refused.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn.json", "file"]


def test_sample_names_what_it_wrote(tmp_path):
    """Images of two channels have no picture."""
    np.save(tmp_path / "two.npy", np.zeros((3, 2, 8, 8), np.float32))
    out = tmp_path / "t0.3"
    asked = ("sample", "--dataset", tmp_path / "two.npy", "--window", 3, "--steps", 1)
    done = run(*asked, "--samples", 1, "--out", out)
    assert done.exit_code == 0 and f"files: {out}.npz, {out}.json\n" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"two.npy", "t0.3.npz", "t0.3.json"}
