"""Which kept results are computed anew, chosen by a hash and by nobody."""

import hashlib
from collections.abc import Callable

from elslib.experiments.sources import digest, sources


def spot_checks(candidates: int, n: int, *makers: Callable) -> list[int]:
    """Which `n` of so many kept results to compute anew; other ones once their makers change.

    A hash decides, so nobody can choose them: of the modules of `makers`, the functions that
    computed the results, and of all that these import. Raises ValueError unless
    0 <= n <= candidates.
    """
    if not 0 <= n <= candidates:
        raise ValueError(f"n must lie in 0..{candidates}, as many as there are results, got {n}.")
    files = sources("\n".join(f"import {maker.__module__}" for maker in makers))
    source = hashlib.sha256(b"".join(map(digest, files))).digest()
    order = sorted(range(candidates), key=lambda i: hashlib.sha256(source + b"%d" % i).digest())
    return order[:n]
