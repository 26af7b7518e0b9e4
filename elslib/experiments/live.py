"""Live figures: the explorer and the player under controls that compute them again.

In a notebook with a kernel one sees controls and figure, on a page the figure alone. Needs the
extra `book`.
"""

import html
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol, runtime_checkable

import ipywidgets as widgets

from elslib.data.named import present, with_split
from elslib.experiments.figure_config import CONSTANT, FigureConfig, classes_of, windows_for
from elslib.experiments.store import trained_on

WAIT = 0.3  # seconds without a further change before anything is computed
NONE = "none"  # stands for None, which to a Dropdown means that nothing is chosen
Choices = Sequence[tuple[str, Any]]


@runtime_checkable
class Figure(Protocol):
    """A figure for a browser, as one piece of HTML."""

    def _repr_html_(self) -> str: ...


class Live:
    """A figure that `draw` makes of a config, under one control for each field of the config.

    `figure` is the one of `start`, drawn at once unless it is given. What is wrong with a later
    config is said in words, and no figure is shown. Raises ValueError for a start that the
    controls do not offer.
    """

    def __init__(
        self,
        draw: Callable[[FigureConfig], Figure],
        start: FigureConfig,
        figure: Figure | None = None,
    ):
        self.controls = _controls(start)
        self.draw, self.figure = draw, draw(start) if figure is None else figure
        self.said = widgets.HTML()
        self.output = widgets.Output()
        row = widgets.Layout(display="flex", flex_flow="row wrap")
        top = widgets.Box(list(self.controls.values()), layout=row)
        self.box = widgets.VBox([top, self.said, self.output])
        self._lock, self._timer = threading.Lock(), threading.Timer(WAIT, self._renew, (start,))
        self._following = False
        self._page = self._show()
        for control in self.controls.values():
            control.observe(self._changed, "value")

    @property
    def config(self) -> FigureConfig:
        """What the controls say."""
        return FigureConfig(**{name: _value(control) for name, control in self.controls.items()})

    def wait(self) -> None:
        """Return once the figure is that of the controls."""
        if self._timer.is_alive():
            self._timer.join()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The controls for a live kernel, the first figure for all that has none."""
        return {**(self.box._repr_mimebundle_() or {}), "text/html": self._page}

    def _changed(self, _: object) -> None:
        """Compute in a while, in a thread of its own, so that clicks add up."""
        if self._following:
            return
        self._timer.cancel()
        self._following = True
        try:
            _follow(self.controls)
        except (ValueError, OSError):
            pass  # images or a network that cannot be read: drawing will say so
        finally:
            self._following = False
        self._say("status", "computing ...")
        # The config as it is now: while it is drawn, controls may change one by one.
        self._timer = threading.Timer(WAIT, self._renew, (self.config,))
        self._timer.daemon = True
        self._timer.start()

    def _renew(self, config: FigureConfig) -> None:
        with self._lock:
            if threading.current_thread() is not self._timer:
                return  # it waited for another, and there is a newer one
            start = time.perf_counter()
            try:
                self.figure = self.draw(config)
                self._show()
                self._say("status", f"computed in {time.perf_counter() - start:.1f} s")
            except Exception as error:  # in a thread nobody would hear of it
                self.output.outputs = ()
                self._say("alert", str(error) or repr(error))

    def _show(self) -> str:
        page = self.figure._repr_html_()
        shown = {"output_type": "display_data", "data": {"text/html": page}, "metadata": {}}
        self.output.outputs = (shown,)  # at once, and from any thread
        return page

    def _say(self, role: str, words: str) -> None:
        self.said.value = f'<span role="{role}">{html.escape(words)}</span>'


def _controls(start: FigureConfig) -> dict[str, Any]:
    """A control for each field of a config, at its value."""
    wide = {"description_width": "initial"}
    start = replace(start, dataset=with_split(start.dataset))
    images = [(name, name) for name in dict.fromkeys([*present(), start.dataset])]
    controls: dict[str, Any] = {
        "dataset": widgets.Dropdown(description="images", options=images, style=wide),
        "network": widgets.Dropdown(description="network", style=wide),
        "label": widgets.Dropdown(description="class", style=wide),
        "seed": widgets.IntText(description="seed", style=wide),
        "windows": widgets.Dropdown(description="windows", style=wide),
        "factor": widgets.FloatText(description="times", step=0.1, style=wide),
        "side": widgets.IntText(description="side", step=2, style=wide),
        "n_steps": widgets.IntText(description="steps", style=wide),
    }
    for name, value in asdict(start).items():  # what a choice depends on stands before it
        _follow(controls)
        control, wanted = controls[name], NONE if value is None else value
        if isinstance(control, widgets.Dropdown):
            offered = dict(control.options)
            if wanted not in offered.values():
                raise ValueError(f"{name} must be one of {', '.join(offered)}, got {value!r}.")
        control.value = wanted
    _follow(controls)
    return controls


def _value(control: Any) -> Any:
    return None if control.value == NONE else control.value


def _follow(controls: dict[str, Any]) -> None:
    """Offer what goes with the images, the network and the windows that are chosen."""
    dataset = controls["dataset"].value
    _offer(controls["network"], [(name, name) for name in (*trained_on(dataset), NONE)])
    network = _value(controls["network"])
    _offer(controls["windows"], [(name, name) for name in windows_for(network)])
    classes = classes_of(dataset, network)
    every = ("by the seed" if classes else "all", NONE)
    _offer(controls["label"], [every, *classes.items()])
    constant = controls["windows"].value == CONSTANT
    controls["side"].layout.display = None if constant else "none"
    controls["factor"].layout.display = "none" if constant else None


def _offer(dropdown: Any, choices: Choices) -> None:
    """Other choices; the chosen one stays if it is among them, else the first is taken."""
    chosen = dropdown.value
    if tuple(dropdown.options) != tuple(choices):
        dropdown.options = choices
        if chosen in [value for _, value in choices]:
            dropdown.value = chosen
