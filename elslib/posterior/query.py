"""What is asked of an engine: the same record for all of them."""

import math
from dataclasses import dataclass

from elslib.checks import check_fields
from elslib.windows import Border, Window

SMALLEST = 1e-100


@dataclass(frozen=True)
class Query:
    """Which posterior is asked for, at any noisy image.

    Raises ValueError for other numbers; whether a window fits, the images decide.

    Attributes
    ----------
    alpha
        what the training images are multiplied by, at least 0
    sigma
        standard deviation of the noise, positive
    window
        what is compared around a pixel, None for whole images
    border
        which positions are admissible (see `elslib.windows.Border`)
    top
        how many most probable origins each pixel names
    chunk
        training images handled in one pass, None for the engine's choice: memory, not
        answers
    """

    alpha: float
    sigma: float
    window: Window | None
    border: Border
    top: int = 0
    chunk: int | None = None

    def __post_init__(self):
        check_fields(self)
        if not (0 <= self.alpha < math.inf and 0 < self.sigma < math.inf):
            raise ValueError(
                f"alpha must be >= 0 and sigma > 0, got {self.alpha} and {self.sigma}; never "
                f"evaluate at t = 0."
            )
        if not SMALLEST <= self.sigma <= 1 / SMALLEST:
            raise ValueError(
                f"sigma must lie between {SMALLEST:g} and {1 / SMALLEST:g}, so that float64 holds "
                f"distances over its square, got {self.sigma}."
            )
        if self.top < 0:
            raise ValueError(f"top must be at least 0, got {self.top}; 0 asks for no origins.")
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk must be at least 1 image, got {self.chunk}; None chooses one.")
