"""The networks that the authors of the paper released, as ours: whose name is which of ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from elslib.networks.architectures import Embedding, NetworkConfig, build
from elslib.networks.pickled import Parts, read_parts

WRAPPER = "backbone."
OURS = {
    "resnet": {"up_projection": "up", "down_projection": "down"},
    "unet": {
        "feature_blocks.0": "fine", "feature_blocks.1": "middle", "bottleneck": "coarse",
        "upsamples.0": "to_middle", "output_blocks.0": "middle_up", "upsamples.1": "to_fine",
        "output_blocks.1": "fine_up", "last_emb.1": "condition", "output_conv": "down",
    },
}  # fmt: skip
BLOCKS = [name for name in OURS["unet"] if "block" in name or name == "bottleneck"]
CLASSES = {"embedding.class_embeddings": "embed.classes"}


def read_released(path: Path) -> tuple[NetworkConfig, dict[str, Tensor]]:
    """What a released network is, and its weights by our names, float32.

    The file is a pickled ResNet or UNet of the authors', alone or as the `backbone` of a wrapper;
    nothing in it is executed. Raises ValueError for any name or shape that such a network does not
    have or lacks, and the errors of `read_parts`.
    """
    parts = _unwrapped(read_parts(path))
    kind = "unet" if any(name.startswith("bottleneck.") for name in parts.tensors) else "resnet"
    renamed = dict(_renamed(parts.tensors, kind))
    try:
        config = _config(parts, renamed, kind)
        expected = {name: tensor.shape for name, tensor in build(config).state_dict().items()}
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} must be a released network, but it is none: {error}.") from error
    wrong = [
        f"{name} {_size(renamed.get(name))}, not {tuple(expected.get(name, ()))}"
        for name in dict.fromkeys([*renamed, *expected])
        if name not in expected or name not in renamed or renamed[name].shape != expected[name]
    ]
    if wrong:
        raise ValueError(
            f"{path} must have the weights of a released {kind}, got {'; '.join(wrong[:3])}"
            f"{f' and {len(wrong) - 3} more' * (len(wrong) > 3)}."
        )
    return config, {name: renamed[name].float() for name in expected}


def _unwrapped(parts: Parts) -> Parts:
    if not all(name.startswith(WRAPPER) for name in parts.tensors):
        return parts
    return Parts(
        {name.removeprefix(WRAPPER): tensor for name, tensor in parts.tensors.items()},
        {name.removeprefix(WRAPPER): mode for name, mode in parts.paddings.items()},
    )


def _renamed(tensors: dict[str, Tensor], kind: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors by our names; what we have no name for keeps its own."""
    convolutions: dict[str, list[str]] = {}
    for name, tensor in tensors.items():
        layer, _, leaf = name.rpartition(".")
        block = next((b for b in BLOCKS if layer.startswith(f"{b}.")), None)
        if kind == "unet" and block:
            order = convolutions.setdefault(block, [])
            if leaf == "weight" and tensor.ndim == 4:
                order.append(layer)
            yield f"{OURS[kind][block]}.{_part(layer, order)}.{leaf}", tensor
        elif kind == "resnet" and layer.startswith("embs."):
            yield f"conditioners.{name.removeprefix('embs.')}", tensor
        elif kind == "resnet" and layer.startswith("convs.") and layer.endswith(".0"):
            yield f"{layer.removesuffix('.0')}.{leaf}", tensor
        elif not _is_clock(name, tensor):
            yield f"{(OURS[kind] | CLASSES).get(layer, layer)}.{leaf}", tensor


def _part(layer: str, convolutions: list[str]) -> str:
    """Our name of a layer of a block: its matrix is the condition, whatever they call it, its
    convolutions are the first and the second."""
    if layer not in convolutions:
        return "condition"
    return ("first", "second", layer)[min(2, convolutions.index(layer))]


def _is_clock(name: str, tensor: Tensor) -> bool:
    """Whether this is the table of frequencies, which is no weight: ours has the same."""
    ours = Embedding(None).frequencies
    return name.startswith("embedding.") and tensor.shape == ours.shape and tensor.allclose(ours)


def _config(parts: Parts, renamed: dict[str, Tensor], kind: str) -> NetworkConfig:
    """What the network is, by the shapes of its weights and the padding of its convolutions.

    KeyError for one that lacks them, ValueError for a width that we cannot build.
    """
    modes = {mode for name, mode in parts.paddings.items() if "upsamples" not in name}
    if len(modes) != 1:
        raise ValueError(f"its convolutions must have one padding, got {sorted(modes)}")
    classes = len(renamed.get("embed.classes.weight", ())) or None
    first = renamed["up.weight" if kind == "resnet" else "fine.first.weight"]
    blocks = len([name for name in renamed if name.startswith("convs.")]) // 2 or 6
    padding: Any = modes.pop()  # NetworkConfig refuses other words
    architecture: Any = kind
    return NetworkConfig(first.shape[1], first.shape[0], blocks, padding, classes, architecture)


def _size(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else str(tuple(tensor.shape))
