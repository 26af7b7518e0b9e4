"""What a network is fed in training: noisy images, each a function of the seed and the step."""

import torch
from torch import Tensor

from elslib.data.image_set import ImageSet
from elslib.networks.architectures import NetworkConfig
from elslib.networks.network_denoiser import check_sides
from elslib.schedules import Schedule

TIME_GRID = 1000
# Streams of random numbers: none shares a generator's seed with another, nor with the noise of
# samples, whose seeds lie below 2^31.
STEPS, EPOCHS, HELD_OUT = 0, 1, 2


def noisy_batch(
    images: ImageSet, size: int, seed: int, step: int, schedule: Schedule, stream: int = STEPS
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Noisy images, times, classes (None if there are none) and noise of one step."""
    chosen = _order(len(images), seed, step * size, size)
    generator = _generator(stream, seed, step)
    t = torch.randint(TIME_GRID, (size,), generator=generator, device="cpu").float() / TIME_GRID
    x0 = images.pixels[chosen]
    eps = torch.randn(x0.shape, generator=generator, dtype=torch.float32, device="cpu")
    eps = eps.to(x0.device)
    alpha, sigma = schedule.batch_levels(t, x0)
    label = None if images.labels is None else images.labels[chosen]
    return alpha * x0 + sigma * eps, t.to(x0.device), label, eps


def _generator(stream: int, seed: int, number: int) -> torch.Generator:
    """The generator of one step or epoch; torch's looks only at the low 32 bits of its seed."""
    within = (number + seed * 0x9E3779B1) % 2**29
    return torch.Generator().manual_seed(2**31 + stream * 2**29 + within)


def _order(n: int, seed: int, first: int, count: int) -> Tensor:
    """Entries first..first+count of the endless shuffled sequence of epochs."""
    epochs = range(first // n, (first + count - 1) // n + 1)
    shuffled = [
        torch.randperm(n, generator=_generator(EPOCHS, seed, epoch), device="cpu")
        for epoch in epochs
    ]
    start = first - epochs[0] * n
    return torch.cat(shuffled)[start : start + count]


def check_images(config: NetworkConfig, images: ImageSet) -> None:
    """Raise ValueError unless a network of this kind can learn from the images."""
    if images.pixels.dtype != torch.float32:
        raise ValueError(
            f"images must be float32 for a network to learn from, got {images.pixels.dtype}; give "
            f"images.to(dtype=torch.float32)."
        )
    if images.pixels.shape[1] != config.channels:
        raise ValueError(
            f"images must have {config.channels} channels for this network, got "
            f"{images.pixels.shape[1]} in {images.name!r}."
        )
    check_sides(config, "images", images.pixels)
    if config.classes is None:
        return
    if images.labels is None:
        raise ValueError(
            f"images must have labels for a class-conditional network, {images.name!r} has none; "
            f"train an unconditional one."
        )
    low, high = (int(label) for label in images.labels.aminmax())
    if low < 0 or high >= config.classes:
        raise ValueError(
            f"labels must lie in 0..{config.classes - 1} for this network, got {low}..{high}."
        )
