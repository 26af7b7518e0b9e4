"""Compiles kernel.cpp, for every instruction set that this kind of machine may have, and for pages.

    python elslib/posterior/native/build.py

hatch_build.py does so when elslib is installed. The compiler is clang, from the `ziglang` wheel:
the machine needs none of its own, and no C++ library, since kernel.cpp uses none.
"""

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
# Vectors of 512 bits where there are any: the default, 256, was 5% slower.
X86 = {"x86-64-v2": "x86_64_v2", "x86-64-v3": "x86_64_v3", "x86-64-v4": "x86_64_v4-prefer_256_bit"}
ARM = {"aarch64": "generic"}
# Built against an old C library, so that the files also run where it is older than here.
TARGETS = {
    ("Linux", "x86_64"): ("x86_64-linux-gnu.2.17", X86),
    ("Linux", "aarch64"): ("aarch64-linux-gnu.2.17", ARM),
    ("Darwin", "x86_64"): ("x86_64-macos", X86),
    ("Darwin", "arm64"): ("aarch64-macos", ARM),
}
FLAGS = (
    "-std=c++17 -O3 -ffp-contract=fast -fno-math-errno -fno-exceptions -fno-rtti -nostdlib++ "
    "-g0 -s -Wall"
).split()
LIBRARY = "-fvisibility=default -fPIC -shared".split()
# WebAssembly, for the machine that runs in a page: it imports nothing.
PAGE = "-mexec-model=reactor -Wl,--export=malloc -Wl,--export=posterior_sums".split()
WASM = "kernel.wasm"


def source_digest() -> str:
    """Digest of kernel.cpp, which a compiled file knows of itself."""
    return hashlib.sha256((FOLDER / "kernel.cpp").read_bytes()).hexdigest()


def build(folder: Path = FOLDER, system: str = "", machine: str = "") -> list[Path]:
    """Compile kernel.cpp into `folder`: the files, one for pages, and for processors none where
    nobody has tried this machine."""
    kind = (system or platform.system(), machine or platform.machine())
    target, variants = TARGETS.get(kind, ("", {}))
    digest = f'-DSOURCE_DIGEST="{source_digest()}"'
    wanted = {
        folder / f"kernel-{name}.so": (target, cpu, LIBRARY) for name, cpu in variants.items()
    }
    wanted[folder / WASM] = "wasm32-wasi", "generic+simd128", PAGE
    with tempfile.TemporaryDirectory() as cache:
        environment = {"ZIG_GLOBAL_CACHE_DIR": cache, **os.environ}
        for path, (where, cpu, flags) in wanted.items():
            part = path.with_suffix(f".{os.getpid()}.part")
            command = [sys.executable, "-m", "ziglang", "cc", "-target", where, f"-mcpu={cpu}"]
            command += [*FLAGS, *flags, digest, "-o", str(part), str(FOLDER / "kernel.cpp")]
            subprocess.run(command, check=True, env=environment)
            part.replace(path)  # whole or not at all
    return list(wanted)


if __name__ == "__main__":
    print(*build(), sep="\n")
