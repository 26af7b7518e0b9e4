"""What figures for a browser are put together from: pixels as data URLs, and templates."""

import base64
import io
import itertools
import re
from collections.abc import Mapping
from importlib import resources

import numpy as np
from PIL import Image
from torch import Tensor

from elslib.data.pixels import to_uint8

_number = itertools.count()


def check_channels(name: str, images: Tensor) -> None:
    """Raise ValueError unless `name`, images [..., c, h, w], are grey or RGB: what can be shown."""
    if not isinstance(images, Tensor):
        raise ValueError(
            f"{name} must be a tensor [..., c, h, w] to be shown, got {type(images).__name__}; "
            f"torch.as_tensor makes one."
        )
    if images.ndim < 3 or images.shape[-3] not in (1, 3):
        raise ValueError(
            f"{name} must have 1 channel (grey) or 3 (RGB) to be shown, got the shape "
            f"{tuple(images.shape)}; show other channels one by one, x[:, [i]]."
        )


def own_name(figure: str) -> str:
    """A name that no other figure of this process has."""
    return f"{figure}-{next(_number)}"


def pixels(image: Tensor) -> np.ndarray:
    """An image [c, h, w] in [-1, 1], clamped, as bytes [h, w, 3]."""
    return to_uint8(image).expand(3, -1, -1).permute(1, 2, 0).numpy()


def sheet(images: Tensor, columns: int) -> np.ndarray:
    """Images [n, c, h, w] side by side, `columns` in a row, row after row; bytes."""
    lines = [
        np.concatenate([pixels(image) for image in part], axis=1) for part in images.split(columns)
    ]
    lines[-1] = np.pad(lines[-1], [(0, 0), (0, lines[0].shape[1] - lines[-1].shape[1]), (0, 0)])
    return np.concatenate(lines)


def png(picture: np.ndarray) -> str:
    """Bytes [h, w, 3] as a data URL, grey if they are grey."""
    image, file = Image.fromarray(picture), io.BytesIO()
    if (picture == picture[..., :1]).all():
        image = image.convert("L")
    image.save(file, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def fill(figure: str, parts: Mapping[str, str]) -> str:
    """The page `figure`.html with its style, the parts in place of `@PART@`, and its program."""
    known = {"STYLE": asset(f"{figure}.css"), "PROGRAM": asset(f"{figure}.js"), **parts}
    # In one pass: a title that holds @DATA@ is a title.
    return re.sub("@([A-Z]+)@", lambda place: known[place[1]], asset(f"{figure}.html"))


def asset(name: str) -> str:
    """The text of a file in assets/."""
    return resources.files("elslib.figures").joinpath("assets", name).read_text(encoding="utf-8")
