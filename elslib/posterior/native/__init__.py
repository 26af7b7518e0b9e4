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

from elslib.posterior.dictionary import BROKEN_IMAGES
from elslib.posterior.float64_fallback import in_bits
from elslib.posterior.native.build import source_digest
from elslib.posterior.query import Query
from elslib.windows import Window

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


class Sums(NamedTuple):
    """Sums over the patches of b queries, float64 unless they are energies (float32)."""

    running_min: Tensor  # [b, h, w], weights are 2**(running_min - energy)
    normalizer: Tensor  # [b, h, w], sum of the weights
    entropy_accumulator: Tensor  # [b, h, w], sum of weight * log2(weight)
    accumulator: Tensor  # [b, h, w, f, f, c], sum of weight * pixels around the centre
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
        + ("best_energy", "best_place", "evidence")
    ] + [("images", ctypes.c_int64)]


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


def posterior_sums(
    x: Tensor,
    images: Tensor,
    order: Tensor,
    query: Query,
    slack: float,
    evidence: Tensor | None = None,
) -> Sums:
    """The sums for queries x [b, c, h, w] over those of `images` [n, c, h, w] that `order` names.

    float32 on the CPU; int64 [m] the order. Energies more than `slack` above -log2(sum of weights)
    do not matter. `evidence` [b, n, h, w], float32 and contiguous, gets log2 of the sum of each
    named image's weights. Other threads run meanwhile. ValueError if an image holds NaN or
    infinity, or is too large for the kernel to count in 32 bits. MemoryError if there is not enough
    for a copy of 64 images.
    """
    kernel, window = library(), query.window
    assert kernel is not None and window is not None
    x, images, order = x.contiguous(), images.contiguous(), order.contiguous()
    b, c, h, w = x.shape
    top, f = query.top, window.response
    _check_size(c, h, w, window)
    sums = Sums(
        torch.full((b, h, w), torch.inf, dtype=torch.float32, device="cpu"),
        torch.zeros(b, h, w, dtype=torch.float64, device="cpu"),
        torch.zeros(b, h, w, dtype=torch.float64, device="cpu"),
        torch.zeros(b, h, w, f, f, c, dtype=torch.float64, device="cpu"),
        torch.full((b, h, w, top), torch.inf, dtype=torch.float32, device="cpu"),
        torch.zeros(b, h, w, top, dtype=torch.int64, device="cpu"),
    )
    limit = torch.full_like(sums.running_min, torch.inf)
    to = _Sums(limit=limit.data_ptr(), **{k: v.data_ptr() for k, v in sums._asdict().items()})
    if evidence is not None:
        to.evidence, to.images = evidence.data_ptr(), len(images)
    # The kernel sums boxes of ones.
    s = in_bits(query.sigma) * math.sqrt(window.amplitude) / window.centre_weight
    problem = _Problem(
        h, w, c, window.side, window.boxes, window.border_side, BORDERS[query.border],
        f, top, s, s * query.alpha, slack,
    )  # fmt: skip
    outcome = kernel.posterior_sums(
        problem, images.data_ptr(), order.data_ptr(), len(order), x.data_ptr(), b, to
    )
    if outcome == NO_MEMORY:
        raise MemoryError(NEEDED_MEMORY)
    if outcome == NOT_FINITE:
        raise ValueError(BROKEN_IMAGES)
    return sums


def _check_size(c: int, h: int, w: int, window: Window) -> None:
    """Raise ValueError where an index of the kernel would not fit into 32 bits."""
    sums = h * w * (window.response**2 * c + 6)
    packed = WIDTH * c * (h + 3) * (w + 2 * max(window.reach, window.response) + 3)
    if max(sums, packed) >= 2**31:
        raise ValueError(
            f"images must be so small that the fast engine can count their pixels in 32 bits, got "
            f"{c} x {h} x {w} with {window}; cut them, ask for a smaller response or window, or "
            f"use float64, which the reference engine answers."
        )
