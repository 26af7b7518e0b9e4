"""Shards on several processes answer as the whole set does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from elslib.data.image_set import ImageSet
from elslib.denoisers import sharded
from elslib.denoisers.machines import (
    EquivariantLocalScore,
    EquivariantScore,
    IdealScore,
    LocalScore,
)
from elslib.scales import constant_scale

# What each process does; the first one keeps the answers.
PROGRAM = """
import sys, torch
sys.path.insert(0, sys.argv[2])
from test_distributed import MACHINES, images, queries
from elslib.denoisers import sharded

torch.set_num_threads(1)
answers = {}
with sharded.join_processes() as process:
    for name, make in MACHINES.items():
        machine = sharded.shard_denoiser(make, images(), process)
        for t, label in queries():
            x = torch.randn(3, 3, 9, 8, generator=torch.Generator().manual_seed(7))
            answers[name, t, label] = machine.posterior(x, t, label, top=3)
        answers[name, "mean"] = machine(x, torch.tensor([0.3, 0.5, 0.3]), torch.tensor([0, 0, 2]))
    try:
        machine.posterior(x, 0.5, 5)
    except ValueError as error:
        answers["error"] = str(error)
if process.rank == 0:
    torch.save(answers, sys.argv[1])
"""
MACHINES = {
    "IS": IdealScore,
    "ES": EquivariantScore,
    "LS": lambda images: LocalScore(images, constant_scale(5)),
    "ELS": lambda images: EquivariantLocalScore(images, constant_scale(3), edges="circular"),
    "border-aware ELS": lambda images: EquivariantLocalScore(images, constant_scale(5)),
    "pooled": lambda images: EquivariantLocalScore(images, constant_scale(3), pooled_below=0.6),
}


def images() -> ImageSet:
    """Thirteen: no number of processes divides them; the last class has one, in one shard only."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.tensor([0, 1] * 6 + [2])
    return ImageSet(torch.rand(13, 3, 9, 8, generator=generator) * 2 - 1, labels)


def queries() -> list[tuple[float, int | None]]:
    return [(0.05, None), (0.5, None), (0.9, 1), (0.5, 2)]


def torchrun(processes: int, *arguments, folder: Path) -> subprocess.CompletedProcess:
    """As from a shell, on this machine only."""
    return subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone",
            "--nproc-per-node", str(processes), *map(str, arguments),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}, cwd=folder,
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shards_equal_the_whole(tmp_path, processes):
    """Every machine, with a class and without: mean, evidence, entropy, count, and origins."""
    program, kept = tmp_path / "program.py", tmp_path / "answers.pt"
    program.write_text(PROGRAM)
    done = torchrun(processes, program, kept, Path(__file__).parent, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = torch.load(kept, weights_only=False)
    assert "label must be a class of" in answers["error"] and "got 5" in answers["error"]
    x = torch.randn(3, 3, 9, 8, generator=torch.Generator().manual_seed(7))
    for name, make in MACHINES.items():
        whole = make(images())
        for t, label in queries():
            expected, got = whole.posterior(x, t, label, top=3), answers[name, t, label]
            for field, tolerance in (("mean", 1e-5), ("log_sum", 1e-4), ("entropy", 1e-4)):
                a, b = getattr(got, field).double(), getattr(expected, field).double()
                assert torch.allclose(a, b, atol=tolerance, rtol=1e-5), (name, t, label, field)
            assert torch.equal(got.count, expected.count)
            for field in ("image", "row", "col"):
                a, b = getattr(got.origins, field), getattr(expected.origins, field)
                assert torch.equal(a[:, 0], b[:, 0]), (name, t, label, field)
        expected = whole(x, torch.tensor([0.3, 0.5, 0.3]), torch.tensor([0, 0, 2]))
        assert torch.allclose(answers[name, "mean"], expected, atol=1e-5)


def test_each_process_has_its_device(monkeypatch):
    """The processor; or a GPU for each process, shared where there are fewer, as torchrun says."""
    assert sharded.device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="device must be cpu or cuda, got 'tpu'"):
        sharded.device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device must be cpu on this machine, got 'cuda'"):
        sharded.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert sharded.device("cuda") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert sharded.device("cuda") == torch.device("cuda", 1)


def test_alone_nothing_is_sharded():
    """Without torchrun: the machine itself."""
    with sharded.join_processes() as process:
        assert (process.rank, process.size) == (0, 1)
        assert isinstance(sharded.shard_denoiser(IdealScore, images(), process), IdealScore)


def test_sample_on_two_processes(tmp_path):
    """The command line under torchrun: one result, the one of a single process."""
    whole = images()
    np.save(tmp_path / "set.npy", whole.pixels.numpy())
    np.save(tmp_path / "set.labels.npy", torch.as_tensor(whole.labels).numpy())
    options = ["--dataset", "set.npy", "--window", 3, "--label", 1, "--samples", 2, "--steps", 2]
    for processes in (1, 2):
        out = f"out-{processes}"
        done = torchrun(
            processes, "-m", "elslib", "sample", *options, "--out", out, "--json", folder=tmp_path
        )
        assert done.returncode == 0, done.stderr
        # Of several processes one speaks: what it prints is one answer, its progress told once.
        assert json.loads(done.stdout)["files"][0] == f"{out}.npz"
        assert done.stderr.count("2 of 2") == 1
    alone, together = (np.load(tmp_path / f"out-{k}.npz")["images"] for k in (1, 2))
    assert np.abs(alone - together).max() < 1e-5
    assert '"processes": 2' in (tmp_path / "out-2.json").read_text()
