"""The theories of a network: on its training images, with its borders and its schedule."""

from collections.abc import Mapping

from elslib.data.image_set import ImageSet
from elslib.denoisers.baselines import PcaLocality, WienerFilter
from elslib.denoisers.machines import Denoiser, EquivariantLocalScore, IdealScore, LocalScore
from elslib.networks.network_denoiser import NetworkDenoiser
from elslib.scales import ScaleTable
from elslib.schedules import Schedule
from elslib.windows import Border

MACHINES = ("els", "ls")


def check_machine(machine: str) -> None:
    """Raise ValueError unless it is the name of a local machine."""
    if machine not in MACHINES:
        raise ValueError(f"machine must be one of {', '.join(MACHINES)}, got {machine!r}.")


def local_machine(
    machine: str, images: ImageSet, scale: ScaleTable, edges: Border, schedule: Schedule
) -> LocalScore | EquivariantLocalScore:
    """LS, for "ls", or, for "els", ELS with these edges. ValueError for another machine."""
    check_machine(machine)
    if machine == "ls":
        return LocalScore(images, scale, schedule=schedule)
    return EquivariantLocalScore(images, scale, edges=edges, schedule=schedule)


def theory_of(
    network: NetworkDenoiser, images: ImageSet, scale: ScaleTable, machine: str = "els"
) -> LocalScore | EquivariantLocalScore:
    """The machine that predicts a network; `images` are its own, `scale` is calibrated for it."""
    return local_machine(machine, images, scale, network.edges, network.schedule)


def theories(
    network: NetworkDenoiser, images: ImageSet, scales: Mapping[str, ScaleTable]
) -> dict[str, Denoiser]:
    """The theories and baselines of a network, all on exactly its training images.

    `scales` holds those calibrated for it, "ls" and "els".
    """
    schedule = network.schedule
    return {
        "IS": IdealScore(images, schedule=schedule),
        "LS": theory_of(network, images, scales["ls"], "ls"),
        "ELS": theory_of(network, images, scales["els"]),
        "Wiener": WienerFilter(images, schedule=schedule),
        # The smaller threshold is the better one on grey images: a baseline should be at its best.
        "PCA": PcaLocality(images, threshold=0.005, schedule=schedule),
    }
