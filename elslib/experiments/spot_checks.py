"""Which kept results are computed anew, chosen by a hash and by nobody."""

import hashlib
from pathlib import Path


def spot_checks(candidates: int, n: int) -> list[int]:
    """Which `n` of so many kept results to compute anew; other ones for another elslib.

    A hash of the library's source decides, so nobody can choose them. Raises ValueError unless
    0 <= n <= candidates.
    """
    if not 0 <= n <= candidates:
        raise ValueError(f"n must lie in 0..{candidates}, as many as there are results, got {n}.")
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    source = hashlib.sha256(b"".join(path.read_bytes() for path in files)).digest()
    order = sorted(range(candidates), key=lambda i: hashlib.sha256(source + b"%d" % i).digest())
    return order[:n]
