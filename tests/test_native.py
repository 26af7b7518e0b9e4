"""The compiled kernel: which file is loaded, what happens without one, and that all agree."""

import ctypes
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import warnings

import oracles
import pytest
import torch

from elslib.posterior import PatchDictionary, native, patch_posterior
from elslib.posterior.native import build
from elslib.posterior.query import Query
from elslib.posterior.reference import reference_posterior
from elslib.windows import Window

FILES = native.instruction_sets(platform.machine(), torch.backends.cpu.get_cpu_capability())


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Forget which file is loaded; look for another one in an empty folder."""
    monkeypatch.setattr(native, "FOLDER", tmp_path)
    native.library.cache_clear()
    yield tmp_path
    native.library.cache_clear()


def problem(c=2, n=20, h=6, w=7, seed=0):
    """A query and training images."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, c, h, w, generator=generator) * 2 - 1
    return 0.8 * images[:2] + 0.6 * torch.randn(2, c, h, w, generator=generator), images


def test_the_best_instruction_set_is_chosen():
    """By what torch says of the processor, which ATEN_CPU_CAPABILITY overrides."""
    assert native.instruction_sets("x86_64", "AVX512")[0] == "x86-64-v4"
    assert native.instruction_sets("x86_64", "AVX2") == ("x86-64-v3", "x86-64-v2")
    assert native.instruction_sets("AMD64", "NO AVX") == ("x86-64-v2",)
    assert native.instruction_sets("aarch64", "DEFAULT") == ("aarch64",)
    assert native.instruction_sets("arm64", "DEFAULT") == ("aarch64",)


def test_every_file_has_a_place():
    """What is compiled for a machine is what is looked for on it."""
    for (_, machine), (_, variants) in build.TARGETS.items():
        wanted = {name for level in ("AVX512", "AVX2", "") for name in
                  native.instruction_sets(machine, level)}  # fmt: skip
        assert set(variants) == wanted


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("border", ["fixed", "circular", "aware"])
def test_every_instruction_set_gives_the_oracle_s_answer(fresh, name, border):
    """Each file that this processor can run, alone in the folder."""
    shutil.copy(build.FOLDER / f"kernel-{name}.so", fresh)
    x, images = problem()
    posterior = patch_posterior(x, images, 0.8, 0.6, 3, border)
    for i in range(2):
        mean, log_sum, entropy, _ = oracles.patch_posterior(x[i], images, 0.8, 0.6, 3, border)
        assert abs(posterior.mean[i].double().numpy() - mean).max() < 1e-5
        assert abs(posterior.log_sum[i].numpy() - log_sum).max() < 1e-4
        assert abs(posterior.entropy[i].numpy() - entropy).max() < 1e-4


def test_without_a_file_the_reference_answers_after_one_warning(fresh):
    """Said once, with the reason and the remedy."""
    x, images = problem()
    with pytest.warns(RuntimeWarning, match=r"no such file.*reference engine.*build\.py"):
        found = patch_posterior(x, images, 0.8, 0.6, 3, "aware", top=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        patch_posterior(x, images, 0.8, 0.6, 3, "aware", top=2)
    same = reference_posterior(x, PatchDictionary(images), Query(0.8, 0.6, Window(3), "aware", 2))
    assert torch.equal(found.mean, same.mean)


def test_a_damaged_or_outdated_file_is_refused(fresh, monkeypatch):
    """An editable install whose source moved on must not call what was compiled before."""
    (fresh / f"kernel-{FILES[-1]}.so").write_bytes(b"not a library")
    with pytest.warns(RuntimeWarning, match=f"kernel-{FILES[-1]}.so: "):
        assert native.library() is None
    native.library.cache_clear()
    shutil.copy(build.FOLDER / f"kernel-{FILES[0]}.so", fresh)
    monkeypatch.setattr(native, "source_digest", lambda: "another")
    with pytest.warns(RuntimeWarning, match="compiled from another kernel.cpp"):
        assert native.library() is None


@pytest.mark.skipif(platform.system() != "Linux", reason="others look through what they load")
def test_a_file_cut_short_is_refused(fresh):
    """Wherever behind its header: Linux would load it, and the first call end the process."""
    whole = (build.FOLDER / f"kernel-{FILES[-1]}.so").read_bytes()
    for size in (10, 64, 4096, len(whole) // 2, len(whole) - 1):
        (fresh / f"kernel-{FILES[-1]}.so").write_bytes(whole[:size])
        native.library.cache_clear()
        with pytest.warns(RuntimeWarning, match=f"kernel-{FILES[-1]}.so: .*(short|invalid)"):
            assert native.library() is None


def test_structures_have_the_kernel_s_fields():
    """The order of fields is the whole interface."""
    source = (build.FOLDER / "kernel.cpp").read_text()
    for name, structure in (("Problem", native._Problem), ("Sums", native._Sums)):
        body = source.split(f"struct {name} {{")[1].split("};")[0]
        lines = [line.split("//")[0] for line in body.splitlines()]
        words = " ".join(lines).replace("*", " ").replace(",", " ").replace(";", " ").split()
        kinds = ("int32_t", "float", "double", "int64_t")
        names = [field for field, *_ in structure._fields_]
        assert [word for word in words if word not in kinds] == names
    assert ctypes.sizeof(native._Problem) == 48


@pytest.mark.parametrize("c", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("window", [1, 5, 9, 11])
@pytest.mark.parametrize("border", ["fixed", "circular", "aware"])
def test_channels_and_windows_up_to_the_side(c, window, border):
    """Counts with a kernel of their own and others; windows as large as the image."""
    x, images = problem(c, 37, 11, 12)
    rest = (0.8, 0.6, window, border)
    found = patch_posterior(x, images, *rest, top=3)
    exact = patch_posterior(x.double(), images.double(), *rest, top=3)
    assert torch.allclose(found.mean.double(), exact.mean, rtol=0, atol=1e-5)
    assert torch.allclose(found.log_sum, exact.log_sum, rtol=1e-6, atol=1e-4)
    assert torch.allclose(found.entropy, exact.entropy, rtol=0, atol=1e-4)
    assert found.origins is not None and exact.origins is not None
    assert torch.allclose(found.origins.log_weight, exact.origins.log_weight, rtol=1e-6, atol=1e-4)
    for field in ("image", "row", "col"):  # float32 may swap two whose weights nearly tie
        same = getattr(found.origins, field) == getattr(exact.origins, field)
        assert float(same.double().mean()) > 0.99


@pytest.mark.parametrize("n", [1, 15, 16, 17, 63, 64, 65, 130])
def test_ragged_groups_of_images(n):
    """Whole groups of 64, then simds of 16, then a part of one."""
    x, images = problem(1, n)
    found = patch_posterior(x[:1], images, 0.8, 0.6, 3, "aware")
    exact = patch_posterior(x[:1].double(), images.double(), 0.8, 0.6, 3, "aware")
    assert torch.allclose(found.mean.double(), exact.mean, rtol=0, atol=1e-5)
    assert torch.allclose(found.log_sum, exact.log_sum, rtol=0, atol=1e-4)


def _mean(_):
    x, images = problem()
    return patch_posterior(x, images, 0.8, 0.6, 3, "circular").mean.numpy()


@pytest.mark.parametrize("window", [Window(3, response=1025), Window(4001)])
def test_images_beyond_32_bits_are_refused(window):
    """Before any memory is asked for."""
    x = torch.zeros(1, 1, 1, 1).expand(1, 1, 60_000, 4)
    with pytest.raises(ValueError, match="in 32 bits, got 1 x 60000 x 4 with Window"):
        patch_posterior(x, x, 0.8, 0.6, window, "aware")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forks_answer_as_their_parent():
    """After the parent used the kernel, two processes use it at once."""
    mean = _mean(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads
        with multiprocessing.get_context("fork").Pool(2) as pool:
            for found in pool.map(_mean, range(2)):
                assert (found == mean).all()


def test_nothing_is_compiled_or_said_at_first_use(tmp_path):
    """A fresh process, an empty home: no line, no file."""
    program = (
        "import torch; from elslib.posterior import patch_posterior\n"
        "x = torch.zeros(1, 1, 5, 5); print(patch_posterior(x, x, 0.8, 0.6, 3, 'aware').mean.sum())"
    )
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == ""
    assert not list(tmp_path.iterdir())
