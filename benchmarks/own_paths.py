"""No benchmark but a trial: small networks of three kinds, and whether the theory predicts them.

    python benchmarks/own_paths.py

A DDPM of 1,000 integer steps, an EDM-style denoiser with its preconditioning, and a network of flow
matching, each trained here on 300 digits; windows calibrated on each; then 50 noises through
network and theories with the network's own sampler. Each is kept as it ends; writes
data/results/own_paths.json.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

import elslib
from elslib.analysis import agreement
from elslib.data.folders import data_folder
from elslib.experiments.provenance import RunRecord, Stopwatch
from elslib.experiments.resume_log import ResumeLog
from elslib.io import write_json
from elslib.networks.architectures import NetworkConfig, build
from elslib.samplers import Sampler
from elslib.schedules import Schedule

IMAGES, STEPS, BATCH, LR, WIDTH = 300, 1500, 32, 1e-3, 32
RUNS, SEEDS, WINDOWS = 4, 50, tuple(range(3, 18, 2))
SIGMA_DATA = 0.6  # of these digits in [-1, 1]


class Kind(NamedTuple):
    """A kind of network: what it predicts, along which path, and how it is sampled."""

    predicts: str
    schedule: Schedule
    times: list[float]
    sampler: Sampler


class Timed(nn.Module):
    """The library's ResNet, told its time in [0, 1] by `clock` of what its path tells it."""

    def __init__(self, clock: Callable[[Tensor], Tensor]):
        super().__init__()
        self.net, self.clock = build(NetworkConfig(1, WIDTH)), clock

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        return self.net(x, self.clock(told), None)


class Preconditioned(Timed):
    """D(x; sigma) of Karras et al. (2022, eq. 7)."""

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        sigma = told.reshape(-1, 1, 1, 1)
        whole = (sigma**2 + SIGMA_DATA**2).sqrt()
        found = super().forward(x / whole, told)
        return (SIGMA_DATA / whole) ** 2 * x + sigma * SIGMA_DATA / whole * found


def kinds() -> dict[str, Kind]:
    """The three, each with the sampler and the times that are usual for it."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    steps = elslib.from_alphas_cumprod((1 - betas).cumprod(0))
    edm, flow = elslib.edm(), elslib.flow()
    return {
        "DDPM": Kind("eps", steps, elslib.uniform_times(25), elslib.ddpm),
        "EDM": Kind("edm", edm, elslib.karras_times(18, edm), elslib.heun),
        "flow": Kind("flow", flow, elslib.uniform_times(20), elslib.heun),
    }


def made(name: str) -> nn.Module:
    """A fresh network of a kind."""
    torch.manual_seed(0)
    if name == "EDM":
        return Preconditioned(lambda sigma: (sigma / 80) ** (1 / 7))
    return Timed(lambda step: (step + 1) / 1000) if name == "DDPM" else Timed(lambda s: s)


def error(name: str, kind: Kind, module: nn.Module, x0: Tensor, draw: torch.Generator) -> Tensor:
    """The loss of one batch: of the noise, of the image in EDM's weights, or of the velocity."""
    t = torch.randint(1, 1001, (len(x0),), generator=draw) / 1000
    eps = torch.randn(x0.shape, generator=draw)
    alpha, sigma = kind.schedule.batch_levels(t, x0)
    own = (alpha * x0 + sigma * eps) * kind.schedule.own_scale(t).to(x0).reshape(-1, 1, 1, 1)
    if name == "DDPM":
        return (module(own, t * 1000 - 1) - eps).square().mean()
    if name == "flow":
        return (module(own, t) - (eps - x0)).square().mean()
    level = sigma / alpha
    weight = (level**2 + SIGMA_DATA**2) / (level * SIGMA_DATA) ** 2
    return (weight * (module(own, level.flatten()) - x0).square()).mean()


def trained(name: str, kind: Kind, pixels: Tensor) -> tuple[nn.Module, float]:
    """The network with averaged weights, and its mean loss over the last tenth."""
    module, draw = made(name), torch.Generator().manual_seed(1)
    average = torch.optim.swa_utils.AveragedModel(
        module, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99)
    )
    adam = torch.optim.Adam(module.parameters(), lr=LR)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
    losses = []
    for _ in range(STEPS):
        chosen = torch.randint(len(pixels), (BATCH,), generator=draw)
        loss = error(name, kind, module, pixels[chosen], draw)
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()
        average.update_parameters(module)
        losses.append(loss.item())
    return average.module, sum(losses[-STEPS // 10 :]) / (STEPS // 10)


def tried(name: str, kind: Kind, images: elslib.ImageSet) -> dict:
    """Train, calibrate, compare: medians of r, windows, and the times all took."""
    clock = Stopwatch()
    module, loss = trained(name, kind, images.pixels)
    seconds = [clock.seconds]
    network = elslib.wrap(module, kind.predicts, kind.schedule)  # pyright: ignore
    how = {"times": kind.times, "sampler": kind.sampler}
    runs = list(
        elslib.calibrate(network, images, "els", WINDOWS, range(10_000, 10_000 + RUNS), **how)
    )
    scale = elslib.scale_table(runs)
    seconds.append(clock.seconds)
    rows = elslib.agree(network, images, {"els": scale}, range(SEEDS), ("ELS", "IS"), **how)
    seconds.append(clock.seconds)
    steps = len(kind.times) - 1
    r = {theory: agreement.median(rows, theory, steps) for theory in ("ELS", "IS")}
    print(
        f"{name}: r of ELS {r['ELS']:.3f}, of IS {r['IS']:.3f}; windows {scale.windows}; {seconds}"
    )
    return {
        "r": {theory: vars(interval) for theory, interval in r.items()},
        "windows": scale.windows,
        "loss": loss,
        "warnings": elslib.quality(runs).warnings,
        "seconds": dict(zip(("trained", "calibrated", "compared"), seconds, strict=True)),
    }


def main() -> None:
    """All three, one after another, each kept as it ends: killed, it goes on with the next."""
    images, path = (
        elslib.load("mnist_5k").first(IMAGES),
        data_folder() / "results" / "own_paths.json",
    )
    config = {"steps": STEPS, "batch": BATCH, "lr": LR, "width": WIDTH, "images": images.name,
              "runs": RUNS, "seeds": SEEDS}  # fmt: skip
    kept = ResumeLog(path.parent / ".state" / path.name, config)
    for name, kind in list(kinds().items())[len(kept.items) :]:
        kept.add({"name": name, **tried(name, kind, images)})
    seconds = sum(item["seconds"]["compared"] for item in kept.items)
    record = RunRecord("benchmarks/own_paths.py", config, images.sha256, seconds)
    found = {item["name"]: item for item in kept.items}
    write_json(path, {"record": record.json(), "networks": found})


if __name__ == "__main__":
    main()
