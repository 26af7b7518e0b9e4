"""No photograph of CelebA is in the repository: its terms forbid passing one on."""

import hashlib
import json
import subprocess
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

from elslib.data.folders import cache_folder
from elslib.data.named import read_arrays

ROOT = Path(__file__).parents[1]
SIDE = 32


def digest(image: np.ndarray) -> bytes:
    """Of an image [3, 32, 32] as bytes."""
    return hashlib.sha256(np.asarray(image, np.uint8).tobytes()).digest()


def faces_shaped(file: IO[bytes]) -> Iterator[np.ndarray]:
    """The images of an array, if it holds such; others are not even unpacked."""
    version = np.lib.format.read_magic(file)
    header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
    shape, _, dtype = header(file)
    if dtype == np.uint8 and shape[-3:] == (3, SIDE, SIDE):
        yield from np.frombuffer(file.read(), np.uint8).reshape(-1, 3, SIDE, SIDE)


def images_in(content: bytes, suffix: str) -> Iterator[np.ndarray]:
    """Every 32x32 colour image that a file may hold: in arrays, or as the cells of a picture."""
    if suffix == ".npy":
        yield from faces_shaped(BytesIO(content))
    elif suffix == ".npz":
        with zipfile.ZipFile(BytesIO(content)) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    yield from faces_shaped(file)
    else:
        with Image.open(BytesIO(content)) as picture:
            cells = np.asarray(picture.convert("RGB"))
        for i in range(0, cells.shape[0] - SIDE + 1, SIDE):
            for j in range(0, cells.shape[1] - SIDE + 1, SIDE):
                yield cells[i : i + SIDE, j : j + SIDE].transpose(2, 0, 1)


def objects(known_to_git: bool) -> Iterator[tuple[str, bytes]]:
    """Name and content of every picture and array: of the whole history, or of the built pages."""
    suffixes = (".npy", ".npz", ".png", ".webp", ".jpg", ".jpeg")
    if not known_to_git:
        for path in (ROOT / "_build" / "html").rglob("*"):
            if path.suffix in suffixes:
                yield path.name, path.read_bytes()
        return
    listed = subprocess.run(
        ["git", "rev-list", "--objects", "--all"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    for line in listed.splitlines():
        sha, _, name = line.partition(" ")
        if name.endswith(suffixes):
            blob = ["git", "cat-file", "blob", sha]
            yield name, subprocess.run(blob, cwd=ROOT, capture_output=True, check=True).stdout


def found_in(faces: set[bytes], files: Iterator[tuple[str, bytes]]) -> list[str]:
    """Names of the files that hold one of the faces."""
    return [
        name
        for name, content in files
        if any(digest(image) in faces for image in images_in(content, Path(name).suffix))
    ]


def test_a_face_would_be_found(tmp_path):
    """Within a sheet, a png and an archive; and a picture without one is passed."""
    rng = np.random.default_rng(0)
    faces = rng.integers(256, size=(3, 3, SIDE, SIDE), dtype=np.uint8)
    sheet = np.zeros((2 * SIDE, 3 * SIDE, 3), np.uint8)
    sheet[SIDE:, SIDE : 2 * SIDE] = faces[1].transpose(1, 2, 0)
    files = []
    for name, picture in (("a.webp", sheet), ("b.png", sheet), ("c.png", sheet[:SIDE])):
        content = BytesIO()
        Image.fromarray(picture).save(content, Path(name).suffix[1:], lossless=True)
        files.append((name, content.getvalue()))
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive, archive.open("x.npy", "w") as file:
        np.lib.format.write_array(file, faces[None, 2:])
    files.append(("d.npz", content.getvalue()))
    assert found_in({digest(face) for face in faces}, iter(files)) == ["a.webp", "b.png", "d.npz"]


@pytest.mark.full_data
@pytest.mark.parametrize("known_to_git", [True, False], ids=["history", "pages"])
def test_no_face_is_passed_on(known_to_git):
    """Neither in a commit nor on a page, given the set."""
    listed = cache_folder() / "sets" / "celeba_10k.json"
    if not listed.is_file():
        pytest.skip("celeba_10k is not imported into ELSLIB_DATA")
    about = json.loads(listed.read_text())
    files = [cache_folder() / "sets" / file for file in about["files"]]
    pixels, _ = read_arrays(files, about["shape"])
    faces = {digest(face) for face in pixels.numpy()}
    assert found_in(faces, objects(known_to_git)) == []
