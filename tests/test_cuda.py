"""The CUDA kernel against the reference engine in float64.

With a CUDA device the kernel runs there; without one Triton's interpreter goes through it on the
processor, tile by tile, which shows that its logic is right but not that it is fast.
"""

import json
import math
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("triton", reason="Triton is not installed")
from elslib import posterior
from elslib.posterior import PatchDictionary, triton_backend
from elslib.posterior.query import Query
from elslib.posterior.reference import reference_posterior
from elslib.posterior.self_check import PROBLEMS, fault, sound
from elslib.posterior.triton_backend import cuda_posterior, kernel_posterior
from elslib.schedules import cosine
from elslib.windows import as_window

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def problem(b, n, c, h, w, t, seed=0):
    """Noisy images [b, c, h, w], images [n, c, h, w] of which two are equal, alpha and sigma."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, c, h, w, generator=generator) * 2 - 1
    images[-1] = images[0]  # the dictionary is a multiset
    alpha, sigma = cosine().levels(t)
    noise = torch.randn(b, c, h, w, generator=generator)
    x = alpha * images[torch.arange(b) % n] + sigma * noise
    return x.to(DEVICE), images.to(DEVICE), alpha, sigma


def ask(engine, x, images, alpha, sigma, window, border, **rest):
    """What an engine answers, asked as `patch_posterior` asks it."""
    return engine(
        x, PatchDictionary(images), Query(alpha, sigma, as_window(window), border, **rest)
    )


def both(x, images, alpha, sigma, window, border, chunk=None):
    """The kernel's answer, and the reference engine's in float64."""
    return (
        ask(cuda_posterior, x, images, alpha, sigma, window, border, chunk=chunk),
        ask(reference_posterior, x.double(), images.double(), alpha, sigma, window, border),
    )


def assert_close(fast, slow):
    """Equal up to float32."""
    assert torch.allclose(fast.mean.double(), slow.mean, rtol=0, atol=1e-5)
    assert torch.allclose(fast.log_sum, slow.log_sum, rtol=1e-6, atol=1e-4)
    assert torch.allclose(fast.entropy, slow.entropy, rtol=0, atol=1e-4)
    assert torch.equal(fast.count, slow.count)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.data())
def test_equals_the_reference_on_random_shapes(data):
    """Mean, evidence, entropy and count; ragged tiles, windows over the border, colour."""
    border = data.draw(st.sampled_from(["fixed", "circular", "aware"]))
    h, w = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    largest = min(h, w) if border == "circular" else 5
    window = data.draw(st.integers(0, (largest - 1) // 2)) * 2 + 1
    b, n, c = (data.draw(st.integers(1, most)) for most in (3, 6, 3))
    given_ = problem(b, n, c, h, w, data.draw(st.floats(0.02, 1.0)), data.draw(st.integers(0, 99)))
    chunk = data.draw(st.sampled_from([None, 1, 4]))
    assert_close(*both(*given_, window, border, chunk))


@pytest.mark.parametrize("border", ["aware", "circular"])
@pytest.mark.parametrize("t", [0.03, 0.9])
def test_more_queries_and_patches_than_a_tile_holds(monkeypatch, border, t):
    """Several tiles of queries, several of patches, several programs' sums to merge."""
    monkeypatch.setattr(triton_backend, "PATCHES_PER_PROGRAM", 150)
    assert_close(*both(*problem(2, 7, 1, 7, 6, t), 3, border))


@pytest.mark.parametrize("t", [0.003, 0.05])
def test_near_duplicates_keep_their_weights(t):
    """Images a thousandth apart at the lowest noise: expanded squares would lose them."""
    generator = torch.Generator().manual_seed(3)
    base = torch.rand(1, 1, 5, 5, generator=generator) * 2 - 1
    images = (base + 2e-3 * torch.randn(6, 1, 5, 5, generator=generator)).clamp(-1, 1).to(DEVICE)
    alpha, sigma = cosine().levels(t)
    x = alpha * images[:1] + sigma * torch.randn(1, 1, 5, 5, generator=generator).to(DEVICE)
    fast, slow = both(x, images, alpha, sigma, 3, "fixed")
    assert torch.allclose(fast.mean.double(), slow.mean, rtol=0, atol=1e-6)
    assert torch.allclose(fast.entropy, slow.entropy, rtol=0, atol=1e-3)


def test_what_float32_cannot_do_is_left_to_the_reference(monkeypatch):
    """Very distant patches and origins: the reference engine's answer."""
    x, images, *_ = problem(1, 3, 1, 4, 4, 0.5)
    asked = []
    original = triton_backend.reference_posterior
    monkeypatch.setattr(
        triton_backend, "reference_posterior", lambda *a: (asked.append(1), original(*a))[1]
    )
    found = ask(cuda_posterior, x + 9, images, 1.0, 1e-3, 3, "aware")
    assert len(asked) == 1 and bool(torch.isfinite(found.mean).all())
    assert ask(cuda_posterior, x, images, 0.8, 0.6, 3, "aware", top=2).origins is not None
    assert len(asked) == 2
    ask(cuda_posterior, x, images, 0.8, 0.6, 3, "aware")
    assert len(asked) == 2


def test_one_broken_image_is_noticed():
    """A NaN would be dropped silently."""
    x, images, alpha, sigma = problem(1, 3, 1, 4, 4, 0.5)
    images[1, 0, 2, 3] = math.nan
    with pytest.raises(ValueError, match="images must be finite, got NaN or infinity in at least"):
        ask(cuda_posterior, x, images, alpha, sigma, 3, "aware")


def test_it_compiles_without_a_device(tmp_path):
    """To machine code of an A100 and an H100, in float32 throughout, for grey images and colour."""
    program = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from elslib.posterior.triton_backend import PATCHES, QUERIES, _attend

kinds = {"q": "*fp32", "p": "*fp32", "tiles": "*i32", "a": "fp32"}
for arch, c, wrap in ((80, 1, False), (90, 4, True)):
    fixed = {"C": min(c, 3), "C2": c, "WRAP": wrap, "Q": QUERIES, "P": PATCHES}
    kind = {
        name: "constexpr" if name in fixed
        else kinds.get(name, "*fp32" if name.startswith("out") else "i32")
        for name in _attend.arg_names
    }
    code = compile(ASTSource(_attend, kind, fixed), target=GPUTarget("cuda", arch, 32)).asm
    assert len(code["cubin"]) > 1000 and "mma" not in code["ptx"] and ".f64" not in code["ptx"]
"""
    environment = {"PATH": "/usr/bin:/bin", "TRITON_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_which_engine_serves_what(as_installed):
    """Triton for float32 windows on CUDA; whole images and float64 are the reference engine's."""

    def engine(device, dtype, window):
        x = SimpleNamespace(device=SimpleNamespace(type=device), dtype=dtype)
        return posterior.engine_for(cast("torch.Tensor", x), window)

    assert engine("cuda", torch.float32, 3) is cuda_posterior
    assert engine("cuda", torch.float32, None) is posterior.reference_posterior
    assert engine("cuda", torch.float64, 3) is posterior.reference_posterior
    assert engine("cpu", torch.float32, 3) is posterior.fused_posterior


@pytest.fixture
def asked_again(monkeypatch):
    """Call `cuda_posterior` with an engine in the kernel's place: warnings, answers, problems seen.

    Twice, with the same images: what is found out at the first call is known at the second.
    """
    x, images, alpha, sigma = problem(2, 4, 1, 5, 4, 0.5)

    def calls(engine):
        seen = []

        def counted(x, dictionary, query):
            seen.append(query)
            return engine(x, dictionary, query)

        monkeypatch.setattr(triton_backend, "kernel_posterior", counted)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answers = [ask(cuda_posterior, x, images, alpha, sigma, 3, "aware") for _ in range(2)]
        right = ask(reference_posterior, x, images, alpha, sigma, 3, "aware")
        return [str(one.message) for one in caught], answers, right, seen

    return calls


def test_the_kernel_is_sound_here():
    """It passes its own check on this device, which leaves torch's random numbers alone."""
    device = torch.device(DEVICE)
    before = torch.get_rng_state()
    assert fault(kernel_posterior, device) is None and sound(kernel_posterior, device)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_kernel_is_checked_once_a_device(asked_again):
    """All problems at the first call, none at the second, and then the kernel's own answers."""
    caught, answers, right, seen = asked_again(kernel_posterior)
    assert caught == [] and len(seen) == len(PROBLEMS) + 2
    for one in answers:
        assert_close(one, replace(right, mean=right.mean.double()))
    assert {p.border for p in PROBLEMS} == {"aware", "circular", "fixed"}
    assert {p.c for p in PROBLEMS} == {1, 3}


def test_a_kernel_that_fails_is_not_used(asked_again):
    """One warning that says why, and the reference engine's answers."""

    def broken(x, dictionary, query):
        raise RuntimeError("no compiler\nfound")

    caught, answers, right, seen = asked_again(broken)
    (message,) = caught
    assert "it raised RuntimeError: no compiler found (aware border, 1 channels" in message
    assert "reference engine answers instead" in message and len(seen) == 1
    assert all(torch.equal(one.mean, right.mean) for one in answers)


@pytest.mark.parametrize(
    "field, wrongs",
    {
        "mean": [2e-4, math.nan], "log_sum": [2e-3, math.nan], "entropy": [2e-3, math.nan],
        "count": [1],
    }.items(),
)  # fmt: skip
def test_a_kernel_that_differs_is_not_used(asked_again, field, wrongs):
    """Whichever field it is, by twice its limit or not a number, and in colour alone."""
    for wrong in wrongs:

        def off(x, dictionary, query, wrong=wrong):
            found = kernel_posterior(x, dictionary, query)
            assert found is not None
            value = getattr(found, field).clone()
            value[0, ..., 0, 0] += wrong
            return replace(found, **{field: value}) if x.shape[1] == 3 else found

        caught, answers, right, _ = asked_again(off)
        (message,) = caught
        assert f"its {field} is off by" in message and "3 channels" in message
        assert all(torch.equal(one.mean, right.mean) for one in answers)


def test_a_kernel_without_an_answer_is_not_used(asked_again):
    """None is for energies that float32 cannot tell apart."""
    assert "it did not answer" in asked_again(lambda *_: None)[0][0]


def test_a_full_device_is_no_fault_of_the_kernel(monkeypatch):
    """In the check it is raised, and nothing is decided; in the caller's own problem, too."""
    x, images, alpha, sigma = problem(1, 3, 1, 4, 4, 0.5)
    is_full = True

    def engine(*asked):
        if is_full:
            raise torch.OutOfMemoryError("full")
        return kernel_posterior(*asked)

    monkeypatch.setattr(triton_backend, "kernel_posterior", engine)
    with pytest.raises(torch.OutOfMemoryError):
        ask(cuda_posterior, x, images, alpha, sigma, 3, "aware")
    is_full = False
    ask(cuda_posterior, x, images, alpha, sigma, 3, "aware")
    is_full = True
    with pytest.raises(torch.OutOfMemoryError):
        ask(cuda_posterior, x, images, alpha, sigma, 3, "aware")


def test_the_benchmark_of_a_device_runs_whole(tmp_path):
    """All parts in the interpreter, from a plain checkout; without a device it says what to do."""
    root = Path(__file__).parents[1]
    script, file = root / "benchmarks" / "device.py", tmp_path / "device.json"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def run(*options):
        command = [sys.executable, str(script), *options]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    done = run("--device", "cpu", "--tiny", "--output", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())
    assert list(found) == ["about", "check", "laws", "errors", "speed", "samples"]
    assert not any("failed" in part or part.get("unfinished") for part in found.values())
    assert all(found[part]["holds"] for part in ("check", "laws", "errors", "samples"))
    assert {row["colour"] for row in found["speed"]["rows"]} == {"grey", "colour"}
    assert "add --tiny" in run("--device", "cpu").stderr


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="no CUDA device")
def test_patch_posterior_on_a_device():
    """`patch_posterior` on CUDA tensors, with 32 x 32 images."""
    x, images, alpha, sigma = problem(8, 300, 1, 32, 32, 0.4)
    slow = posterior.patch_posterior(x.double(), images.double(), alpha, sigma, 7, "aware")
    assert_close(posterior.patch_posterior(x, images, alpha, sigma, 7, "aware"), slow)
