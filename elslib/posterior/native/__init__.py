"""The kernel for processors, kernel.cpp: which compiled file of it, and how to call it.

The files are made when elslib is installed (build.py), one for each instruction set; the best one
that this processor has is loaded. Where none can be, one warning says so and `library` is None.
"""

import ctypes
import math
import platform
import struct
import warnings
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from elslib.posterior.native.build import source_digest
from elslib.windows import Border, Window

FOLDER = Path(__file__).parent
WIDTH, GROUP = 16, 4  # as in kernel.cpp: images side by side, and of these at a time
BORDERS = {"fixed": 0, "circular": 1, "aware": 2}
NOT_FINITE, NO_MEMORY = 1, 2
NEEDED_MEMORY = "not enough memory for a packed copy of 64 training images."
# The instruction sets that a file is for, best first, by what torch says of the processor.
INSTRUCTION_SETS = {
    "AVX512": ("x86-64-v4", "x86-64-v3", "x86-64-v2"),
    "AVX2": ("x86-64-v3", "x86-64-v2"),
}


class Problem(NamedTuple):
    """What is asked for: the same for all queries and images."""

    alpha: float
    window: Window
    border: Border
    top: int  # how many nearest patches each pixel names
    s: float  # energies are |s (x - alpha p)|^2, where the window's precision is 1
    slack: float  # energies so much above -log2(sum of weights) do not matter


class Sums(NamedTuple):
    """Sums over the patches of b queries, float64 unless they are energies (float32)."""

    running_min: Tensor  # [b, h, w], weights are 2**(running_min - energy)
    normalizer: Tensor  # [b, h, w], sum of the weights
    entropy_accumulator: Tensor  # [b, h, w], sum of weight * log2(weight)
    accumulator: Tensor  # [b, h, w, c], sum of weight * centre pixel
    best_energy: Tensor  # [b, h, w, top], ascending; infinite where there are fewer
    best_place: Tensor  # [b, h, w, top], int64, (image * h + row) * w + col


class _Problem(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int32)
        for name in ("h", "w", "c", "window", "boxes", "edge", "border", "response", "top")
    ] + [(name, ctypes.c_float) for name in ("s", "a", "slack")]


class _Sums(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("running_min", "limit", "normalizer", "entropy_accumulator", "accumulator")
        + ("best_energy", "best_place")
    ]


class _Mass(ctypes.Structure):
    _fields_ = [
        ("total", ctypes.c_void_p),
        ("by_pixel", ctypes.c_void_p),
        ("images", ctypes.c_int64),
    ]


def instruction_sets(machine: str, capability: str) -> tuple[str, ...]:
    """Names of the files that a processor may run, best first. `capability` is torch's word."""
    if machine in ("aarch64", "arm64"):
        return ("aarch64",)
    return INSTRUCTION_SETS.get(capability, ("x86-64-v2",))


@cache
def library() -> ctypes.CDLL | None:
    """The best compiled file, loaded once; None, after a warning, where there is none."""
    names = instruction_sets(platform.machine(), torch.backends.cpu.get_cpu_capability())
    reasons = []
    for name in names:
        path = FOLDER / f"kernel-{name}.so"
        try:
            return _loaded(path)
        except (OSError, AttributeError) as error:  # not there, not for this system, or damaged
            reasons.append(f"{path.name}: {error}")
    warnings.warn(
        f"elslib's compiled kernel cannot be used ({'; '.join(reasons)}); the reference engine "
        f"answers, many times slower. `python {FOLDER / 'build.py'}` compiles it anew, with "
        f"`pip install ziglang`.",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _loaded(path: Path) -> ctypes.CDLL:
    if not path.is_file():
        raise FileNotFoundError("no such file")
    _check_whole(path)
    found = ctypes.CDLL(str(path))
    found.source_digest.restype = ctypes.c_char_p
    if found.source_digest().decode() != source_digest():
        raise OSError("compiled from another kernel.cpp")
    found.posterior_sums.argtypes = [
        ctypes.POINTER(_Problem), ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
        ctypes.c_void_p, ctypes.c_int64, ctypes.POINTER(_Sums),
    ]  # fmt: skip
    found.second_pass.argtypes = [*found.posterior_sums.argtypes, ctypes.POINTER(_Mass)]
    return found


def _check_whole(path: Path) -> None:
    """Raise OSError for an ELF file that was cut short: Linux loads it, and whoever then calls it
    ends without a word. What other systems load they look through themselves."""
    content = path.read_bytes()
    if content[:4] == b"\x7fELF" and len(content) >= 64:  # a shorter one no system loads
        (table,), (size, entries) = (
            struct.unpack_from("<Q", content, 40), struct.unpack_from("<HH", content, 58)
        )  # fmt: skip
        if len(content) < table + size * entries:  # the table of sections is written last
            raise OSError(f"cut short, {len(content)} bytes")


def posterior_sums(x: Tensor, images: Tensor, order: Tensor, problem: Problem) -> Sums | None:
    """The sums for queries x [b, c, h, w] over those of `images` [n, c, h, w] that `order` names.

    float32 on the CPU; int64 [m] the order. Other threads run meanwhile. None if an image holds NaN
    or infinity. MemoryError if there is not enough for a copy of 64 images.
    """
    kernel = library()
    assert kernel is not None
    x, images, order = x.contiguous(), images.contiguous(), order.contiguous()
    b, c, h, w = x.shape
    top = problem.top
    sums = Sums(
        torch.full((b, h, w), torch.inf, dtype=torch.float32, device="cpu"),
        torch.zeros(b, h, w, dtype=torch.float64, device="cpu"),
        torch.zeros(b, h, w, dtype=torch.float64, device="cpu"),
        torch.zeros(b, h, w, c, dtype=torch.float64, device="cpu"),
        torch.full((b, h, w, top), torch.inf, dtype=torch.float32, device="cpu"),
        torch.zeros(b, h, w, top, dtype=torch.int64, device="cpu"),
    )
    limit = torch.full((b, h, w), torch.inf, dtype=torch.float32, device="cpu")
    outcome = kernel.posterior_sums(
        _problem(problem, x),
        images.data_ptr(), order.data_ptr(), len(order), x.data_ptr(), b,
        _Sums(limit=limit.data_ptr(), **{k: v.data_ptr() for k, v in sums._asdict().items()}),
    )  # fmt: skip
    if outcome == NO_MEMORY:
        raise MemoryError(NEEDED_MEMORY)
    return None if outcome == NOT_FINITE else sums


def image_mass(
    x: Tensor, images: Tensor, order: Tensor, problem: Problem, log_sum: Tensor, out: Tensor
) -> None:
    """Write the share of the weight that each image of `order` has into `out`, other rows stay.

    `log_sum` [b, h, w] is that of all images together; x, images and order are those of
    `posterior_sums`. `out` is float64 [b, n], summed over pixels, or float32 [b, n, h, w].
    """
    total = out if out.ndim == 2 else torch.zeros(out.shape[:2], dtype=torch.float64, device="cpu")
    by_pixel = out.data_ptr() if out.ndim == 4 else None
    mass = _Mass(total.data_ptr(), by_pixel, len(images))
    _second_pass(x, images, order, problem, log_sum, mass, _Sums())


def fold_sums(
    x: Tensor, images: Tensor, order: Tensor, problem: Problem, log_sum: Tensor
) -> Tensor:
    """What the patches of `order` add to the sum of what the windows around a pixel expect of it,
    float64 [b, h, w, c]. Arguments are those of `image_mass`."""
    b, c, h, w = x.shape
    out = torch.zeros(b, h, w, c, dtype=torch.float64, device="cpu")
    sums = _Sums(accumulator=out.data_ptr())
    _second_pass(x, images, order, problem, log_sum, None, sums)
    return out


def _second_pass(
    x: Tensor, images: Tensor, order: Tensor, problem: Problem, log_sum: Tensor,
    mass: _Mass | None, sums: _Sums,
) -> None:  # fmt: skip
    kernel = library()
    assert kernel is not None
    x, images, order = x.contiguous(), images.contiguous(), order.contiguous()
    running_min = (-log_sum / math.log(2)).float().contiguous()
    limit = running_min + problem.slack
    sums.running_min, sums.limit = running_min.data_ptr(), limit.data_ptr()
    outcome = kernel.second_pass(
        _problem(problem, x),
        images.data_ptr(), order.data_ptr(), len(order), x.data_ptr(), len(x), sums, mass,
    )  # fmt: skip
    if outcome == NO_MEMORY:
        raise MemoryError(NEEDED_MEMORY)


def _problem(problem: Problem, x: Tensor) -> _Problem:
    _, c, h, w = x.shape
    window = problem.window
    # The kernel sums boxes of ones.
    s = problem.s * math.sqrt(window.amplitude) / window.centre_weight
    return _Problem(
        h, w, c, window.side, window.boxes, window.border_side, BORDERS[problem.border],
        window.response, problem.top, s, s * problem.alpha, problem.slack,
    )  # fmt: skip
