"""What figures for a browser are put together from: pixels as data URLs, and templates."""

import base64
import gzip
import html
import io
import itertools
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from elslib.checks import Brief
from elslib.data.pixels import to_uint8
from elslib.io import write_whole

_number = itertools.count()

# Light or dark as the reader's system is; the figure itself brings all the rest.
DOCUMENT = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>body {{ font-family: sans-serif; max-width: 52rem; margin: auto; padding: 1rem; }}</style>
</head><body><main><h1>{title}</h1>
{figure}
</main></body></html>
"""


class Page(Brief, ABC):
    """A figure for a browser: one piece of HTML, which a notebook shows."""

    title: str

    @abstractmethod
    def _repr_html_(self) -> str: ...

    def save(self, path: str | Path) -> None:
        """Write it as a file that any browser opens, without a server. OSError if that fails."""
        page = DOCUMENT.format(title=html.escape(self.title), figure=self._repr_html_())
        write_whole(Path(path), page.encode())


def check_channels(name: str, images: Tensor) -> None:
    """Raise ValueError unless `name`, images [..., c, h, w], are grey or RGB: what can be shown."""
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
    return "data:image/png;base64," + text(file.getvalue())


def webp(picture: np.ndarray) -> str:
    """Bytes [h, w, 3] as a data URL: as lossless as a PNG, smaller for many images, but slower."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="webp", lossless=True, quality=100, method=4)
    return "data:image/webp;base64," + text(file.getvalue())


def packed(content: bytes) -> str:
    """Compressed, as text; always the same for the same content."""
    return text(gzip.compress(content, mtime=0))


def text(content: bytes) -> str:
    """Bytes in letters that JSON and HTML leave alone."""
    return base64.b64encode(content).decode()


def fill(figure: str, parts: Mapping[str, str], data: object) -> str:
    """The page `figure`.html with its style, the parts in place of `@PART@`, and what every figure
    ends with: its data and its program. ValueError for data that are no JSON, such as NaN."""
    content = json.dumps(data, separators=(",", ":"), allow_nan=False)
    parts = {**parts, "DATA": content.replace("<", "\\u003c")}  # a name may hold </script>
    style, program = (asset(f"common.{kind}") + asset(f"{figure}.{kind}") for kind in ("css", "js"))
    known = {"STYLE": style, "PROGRAM": program, **parts}
    # In one pass: a title that holds @DATA@ is a title.
    return re.sub(
        "@([A-Z]+)@", lambda place: known[place[1]], asset(f"{figure}.html") + asset("common.html")
    )


def asset(name: str) -> str:
    """The text of a file in assets/."""
    return resources.files("elslib.figures").joinpath("assets", name).read_text(encoding="utf-8")
