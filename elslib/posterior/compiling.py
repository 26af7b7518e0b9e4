"""Compiles the fused kernels, once per machine, and says so."""

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

from numba import njit
from numba.core import event

from elslib.posterior import boxes, kernel, lanes, rings, task


def _version() -> str:
    """Digest of the files that the compiled kernel is made of."""
    files = (Path(str(module.__file__)) for module in (kernel, rings, task, boxes, lanes))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class _Announcer(event.Listener):
    """Says that the kernel is being compiled, since it takes a while."""

    def on_start(self, event: event.Event) -> None:
        if (event.data or {})["dispatcher"].py_func.__module__ == __name__:
            logging.getLogger("elslib").warning(
                "elslib: compiling a CPU kernel, once for each kind of border and image (10 s)"
            )

    def on_end(self, event: event.Event) -> None:
        pass


@cache
def compiled_kernels() -> dict[str, Callable[..., bool]]:
    """The sums of the modules kernel and rings, compiled when called, cached on disk."""
    version = _version()
    event.register("numba:compile", _Announcer())

    # A change of the kernel must not find old code: numba's cache looks at this file and at the
    # values that a closure holds, not at the files that it calls.
    @njit(nogil=True, cache=True)
    def lanes_of_images(images, order, queries, task, sums, space):
        assert len(version) > 0
        return kernel.posterior_sums(images, order, queries, task, sums, space)

    @njit(nogil=True, cache=True)
    def lanes_of_pixels(images, order, queries, task, sums, space):
        assert len(version) > 0
        return rings.posterior_sums(images, order, queries, task, sums, space)

    return {"kernel": lanes_of_images, "rings": lanes_of_pixels}
