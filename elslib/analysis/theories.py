"""The theories of a network: on its training images, with its borders and its schedule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from elslib.analysis import data_windows, softer
from elslib.analysis.data_windows import entropy_windows, wiener_windows
from elslib.checks import checked
from elslib.data.image_set import ImageSet
from elslib.denoisers.baselines import NearestImage, PcaLocality, WienerFilter
from elslib.denoisers.local_wiener import LocalWienerFilter
from elslib.denoisers.machines import (
    Denoiser,
    EquivariantLocalScore,
    EquivariantScore,
    IdealScore,
    LocalScore,
)
from elslib.samplers import schedule_of
from elslib.scales import ScaleTable
from elslib.schedules import Schedule
from elslib.windows import Border

MACHINES = ("els", "ls")

BASELINES: dict[str, Callable[..., Denoiser]] = {
    "IS": IdealScore,
    "ES": EquivariantScore,
    "Wiener": WienerFilter,
    # The smaller threshold is the better one on grey images: a baseline should be at its best.
    "PCA": lambda images, schedule: PcaLocality(images, threshold=0.005, schedule=schedule),
    "nearest": NearestImage,
}
# The linear rival of ELS, with its windows and borders.
LOCAL_WIENER = "LocalWiener"
# ELS with a network's windows made softer, or with more patches.
SOFTER: dict[str, Callable[[EquivariantLocalScore], EquivariantLocalScore]] = {
    "Fold": lambda els: replace(els, scale=softer.folded(els.scale)),
    "Fold5": lambda els: replace(els, scale=softer.folded(els.scale, 5)),
    "Pooled": lambda els: replace(els, pooled_below=softer.POOLED_BELOW),
    "FoldPooled": lambda els: SOFTER["Pooled"](SOFTER["Fold"](els)),
    "Pyramid": lambda els: replace(els, scale=softer.pyramids(els.scale)),
    "Flips": lambda els: replace(els, images=els.images.with_mirrored()),
}
# ELS with windows that no network was asked for.
UNSEEN: dict[str, Callable[[ImageSet, Schedule, Border, bool], ScaleTable]] = {
    "EntropyWindows": lambda images, schedule, edges, by_class: entropy_windows(
        images, by_class=by_class, edges=edges, schedule=schedule
    ),
    "WienerWindows": lambda images, schedule, edges, by_class: wiener_windows(
        images, schedule=schedule
    ),
}
# What of these is no network's, but was fixed once.
CONSTANTS = {
    "Fold": [softer.RESPONSE, softer.FOLD_BELOW],
    "Fold5": [5, softer.FOLD_BELOW],
    "Pooled": [softer.POOLED_BELOW],
    "FoldPooled": [softer.RESPONSE, softer.FOLD_BELOW, softer.POOLED_BELOW],
    "Pyramid": [softer.PYRAMID, softer.PYRAMID_BELOW],
    "EntropyWindows": [data_windows.NATS, *data_windows.SIDES],
    "WienerWindows": [data_windows.SHARE, *data_windows.SIDES],
}
THEORIES = ("IS", "LS", "ELS", "Wiener", "PCA")
KNOWN = ("ELS", "LS", *BASELINES, LOCAL_WIENER, *SOFTER, *UNSEEN)


def machines_of(names: Sequence[str]) -> list[str]:
    """Whose windows these theories need, of "ls" and "els"."""
    els = {"ELS", LOCAL_WIENER, *SOFTER}
    needed = {"ls": "LS" in names, "els": not els.isdisjoint(names)}
    return [machine for machine, is_needed in needed.items() if is_needed]


def constants_of(names: Sequence[str]) -> dict[str, list[float]]:
    """The constants of those of these theories that have some."""
    return {name: CONSTANTS[name] for name in names if name in CONSTANTS}


def check_machine(machine: str) -> None:
    """Raise ValueError unless it is the name of a local machine."""
    if machine not in MACHINES:
        raise ValueError(f"machine must be one of {', '.join(MACHINES)}, got {machine!r}.")


def check_theories(names: Sequence[str]) -> None:
    """Raise ValueError unless these are names of theories, each once."""
    if not names or len(set(names)) < len(names) or not set(names) <= set(KNOWN):
        raise ValueError(
            f"names must be some of {', '.join(KNOWN)}, each once, got {', '.join(names)!r}."
        )


def local_machine(
    machine: str, images: ImageSet, scale: ScaleTable, edges: Border, schedule: Schedule
) -> LocalScore | EquivariantLocalScore:
    """LS, for "ls", or, for "els", ELS with these edges. ValueError for another machine."""
    check_machine(machine)
    if machine == "ls":
        return LocalScore(images, scale, schedule=schedule)
    return EquivariantLocalScore(images, scale, edges=edges, schedule=schedule)


def edges_of(network: Denoiser) -> Border:
    """The kind of border that a network's padding makes. ValueError if it does not say."""
    edges: Any = getattr(network, "edges", None)
    if edges not in ("aware", "circular"):
        raise ValueError(
            f"network must have .edges, 'aware' for zero padding or 'circular', got {edges!r} of a "
            f"{type(network).__name__}; wrap(module, padding=...) sets it."
        )
    return edges


def classes_of(network: Denoiser) -> int | None:
    """How many classes a network is told apart; None if it takes no label, as machines need not."""
    return getattr(network, "classes", None)


def theory_of(
    network: Denoiser, images: ImageSet, scale: ScaleTable, machine: str = "els"
) -> LocalScore | EquivariantLocalScore:
    """The machine that predicts a network; `images` are its own, `scale` is calibrated for it.

    `machine` is "els" or "ls", in small or capital letters. Raises ValueError for another one and,
    of ELS, for a network without edges.
    """
    machine = machine.lower()
    edges = edges_of(network) if machine == "els" else "aware"
    return local_machine(machine, images, scale, edges, schedule_of(network))


@checked
def theories(
    network: Denoiser,
    images: ImageSet,
    scales: Mapping[str, ScaleTable],
    names: Sequence[str] = THEORIES,
) -> dict[str, Denoiser]:
    """The theories and baselines of a network by name, all on exactly its training images.

    `scales` holds those calibrated for it, "ls" and "els", as far as `machines_of` says that the
    names need them. Names are ELS, LS, IS, ES, Wiener, LocalWiener, PCA and nearest, in small or
    capital letters; and, for ELS with other windows or patches, Fold, Fold5 and Pyramid
    (`elslib.analysis.softer`), Pooled (of all classes at little noise), FoldPooled, Flips (mirror
    images, too), EntropyWindows and WienerWindows (`elslib.analysis.data_windows`: these are found
    here, which takes minutes).
    Raises ValueError for others, for a scale that is missing, and what `theory_of` refuses.
    """
    proper = {name.lower(): name for name in KNOWN}
    names = [proper.get(name.lower(), name) for name in names]
    scales = {name.lower(): scale for name, scale in scales.items()}
    check_theories(names)
    found: dict[str, Denoiser] = {}
    for name in names:
        if name in BASELINES:
            found[name] = BASELINES[name](images, schedule=schedule_of(network))
            continue
        if name in UNSEEN:
            by_class, edges = classes_of(network) is not None, edges_of(network)
            scale = UNSEEN[name](images, schedule_of(network), edges, by_class)
            found[name] = theory_of(network, images, scale)
            continue
        (machine,) = machines_of([name])
        if machine not in scales:
            raise ValueError(
                f"scales must hold {machine!r} for {name}, got {', '.join(scales) or 'none'}; "
                f"calibrate(network, images, {machine!r}) finds them."
            )
        if name == LOCAL_WIENER:
            scale, edges = scales[machine], edges_of(network)
            found[name] = LocalWienerFilter(images, scale, edges, schedule=schedule_of(network))
        elif name in SOFTER:
            els = theory_of(network, images, scales[machine])
            assert isinstance(els, EquivariantLocalScore)
            found[name] = SOFTER[name](els)
        else:
            found[name] = theory_of(network, images, scales[machine], machine)
    return found
