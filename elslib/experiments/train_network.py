"""The run that makes the network of a recipe: resumed where it stopped, its card at the end."""

from collections.abc import Iterator

import numpy as np
import torch

from elslib.analysis.metrics import near_copies
from elslib.data.image_set import ImageSet
from elslib.experiments.provenance import RunRecord
from elslib.experiments.recipes import Recipe, described, kept_snapshots
from elslib.experiments.store import check_belongs, load_card
from elslib.io import json_bytes, write_together, write_whole
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.networks.training import (
    MEASUREMENTS,
    Trainer,
    TrainStep,
    read_state,
    tensors_bytes,
    train,
)
from elslib.samplers import initial_noise, sample
from elslib.schedules import cosine

# Samples that are compared with the training images, from seeds that nothing else uses.
SAMPLES, FIRST_SEED = 100, 50_000
# Trained: the held-out loss fell less than this over the last fifth of the steps.
PLATEAU = 0.01


def make(recipe: Recipe, device: torch.device | str = "cpu") -> Iterator[tuple[Trainer, TrainStep]]:
    """Train the network of a recipe, or resume it; yields after each step.

    At the end its weights and its card are in data/networks; if they are there already, nothing
    is done. Raises ValueError if a network of another configuration has its name.
    """
    if is_made(recipe):
        return
    trainer = Trainer(recipe.config, recipe.images.to(device))
    marks = recipe.snapshots
    if not recipe.state.exists():  # of another training of this name
        for path in kept_snapshots(recipe.weights).values():
            path.unlink()
    for step in train(trainer, recipe.state, held_out=recipe.held_out):
        if step.step + 1 in marks:
            keep_snapshot(recipe, step.step + 1, trainer)
        yield trainer, step
    if not recipe.snapshot(marks[-1]).is_file():  # of a run that was killed after its last step
        keep_snapshot(recipe, marks[-1], trainer)
    finish(recipe, trainer)


def keep_snapshot(recipe: Recipe, steps: int, trainer: Trainer) -> None:
    """Write the averaged weights after so many steps."""
    write_whole(recipe.snapshot(steps), weights_bytes(trainer.average, recipe.images))


def steps_done(recipe: Recipe) -> int:
    """How many steps of a recipe are done and kept; the errors of `is_made` and `read_state`."""
    if is_made(recipe):
        return recipe.config.steps
    if not recipe.state.exists():
        return 0
    state = read_state(recipe.state, recipe.config, recipe.images, recipe.held_out)
    return len(state["losses"])


def is_made(recipe: Recipe) -> bool:
    """Whether the network is in data/networks. ValueError if another one has its name."""
    if not recipe.weights.is_file() or not recipe.card.is_file():
        return False
    there, remedy = load_card(recipe.name), "give another name, or delete that network"
    for part, now in described(recipe).items():
        what = f"{part} of the network {recipe.name!r} ({recipe.card})"
        check_belongs(what, "this recipe", there.get(part) or {}, now, remedy)
    return True


def finish(recipe: Recipe, trainer: Trainer) -> None:
    """Write the weights in half precision and the card of a trained network."""
    write_together({
        recipe.weights: weights_bytes(trainer.average, recipe.images),
        recipe.card: json_bytes(card(recipe, trainer)),
    })  # fmt: skip
    recipe.state.unlink(missing_ok=True)  # or it would be in the way of the next of this name


def weights_bytes(weights: dict[str, torch.Tensor], images: ImageSet) -> bytes:
    """In half precision: it changes no measured agreement, see tests/test_recipes.py."""
    half = {name: tensor.half() for name, tensor in weights.items()}
    return tensors_bytes(half, {"images": images.sha256})


def card(recipe: Recipe, trainer: Trainer) -> dict:
    """What is recorded of a network beside its weights."""
    asked, seconds = described(recipe), round(trainer.seconds, 1)
    record = RunRecord("elslib train", asked["training"], recipe.images.sha256, seconds)
    tail = trainer.losses[-max(1, len(trainer.losses) // 10) :]
    curve = np.array_split(np.array(trainer.losses), min(60, len(trainer.losses)))
    return {
        "name": recipe.name,
        **asked,
        "schedule": cosine().name,
        "loss": {
            "training": round(float(np.mean(tail)), 5),  # of the last tenth of the steps
            **_held_out_losses(trainer.held_out),
        },
        "precision": str(trainer.precision).removeprefix("torch."),
        "near_copies": share_of_copies(trainer.denoiser(), recipe.images),
        "loss_curve": [round(float(part.mean()), 5) for part in curve],
        "held_out_curve": [round(loss, 5) for loss in trainer.held_out],
        "record": record.json(),
    }


def _held_out_losses(losses: list[float]) -> dict[str, float | bool | None]:
    """The last one, how much it fell, and whether that says that the network is trained; without
    held-out images nobody knows."""
    if not losses:
        return {"held_out": None, "held_out_fell_in_last_fifth": None, "trained": None}
    n = len(losses)
    fell = 1 - losses[-1] / losses[n - 1 - n // 5]
    return {
        "held_out": round(losses[-1], 5),
        "held_out_fell_in_last_fifth": round(fell, 5),
        "trained": n == MEASUREMENTS and fell < PLATEAU,
    }


def share_of_copies(denoise: NetworkDenoiser, images: ImageSet) -> float:
    """Share of 100 samples that nearly copy one of the images, by `metrics.near_copies`."""
    device = next(denoise.module.parameters()).device
    seeds = range(FIRST_SEED, FIRST_SEED + SAMPLES)
    noise = initial_noise(seeds, images.pixels.shape[1:]).to(device)
    classes = denoise.config.classes
    labels = None if classes is None else torch.arange(SAMPLES, device=device) % classes
    x = sample(denoise, noise, labels)
    return float(near_copies(x, images.pixels.to(device)).double().mean())
