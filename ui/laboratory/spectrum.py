"""What each step recovers: the spectrum of the estimates beside that of the best linear denoiser, step by step."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from gradio.components.plot import PlotData

from engine.errors import InputError
from engine.io.save import jpeg_frame
from engine.tasks.laboratory import axes, problems, spectrum
from engine.tasks.laboratory.axes import AXES
from engine.tasks.laboratory.spectrum import MOST_STEPS, REFERENCES, Estimate, Recovery, Spectra
from ui import runs
from ui.assets import web
from ui.events import QUIET
from ui.laboratory import charts, choices
from ui.laboratory.form import Form, Values, trusted
from ui.laboratory.run_card import RunCard, Updates

NAME = "spectrum"
_FIXED = ("solver", "steps", "label", "guidance", "seed")
_MOVING = (1, 2, 3)
"""Traces of the chart that change with the step."""
_BELOW, _ABOVE = 300, 3
"""How far the vertical axis goes below the weakest and above the strongest clean power."""


def defaults() -> Values:
    """What a fresh page shows."""
    problem = (spectrum.names() or ("",))[0]
    return {"problem": problem, "reference": "run", "samples": 8, **{name: AXES[name].default for name in _FIXED}}


def recovery(values: Mapping[str, Any]) -> Recovery:
    """The checked request of these values. Raises InputError naming the control."""
    fixed = {name: choices.parsed(name, values[name]) for name in _FIXED}
    return Recovery(values["problem"], values["reference"], fixed, values["samples"])


def adapted(values: Mapping[str, Any]) -> Values:
    """The same values made to fit together: a class and a clean spectrum that the model has, guidance for a class."""
    result = dict(values)
    if result["label"] not in _labels(result["problem"]):
        result["label"] = ""
    if not result["label"]:
        result["guidance"] = 1.0
    if result["problem"] in spectrum.names() and result["reference"] not in spectrum.references(result["problem"]):
        result["reference"] = "run"
    return result


def cleaned(stored: Any) -> Values:
    """Values that can run, from whatever a browser kept."""
    return trusted(stored, defaults(), recovery)


def cost(values: Mapping[str, Any]) -> str:
    """"10 network calls on 8 pictures", or why it cannot be started."""
    try:
        calls = recovery(values).prepare().calls
    except InputError as problem:
        return f"<p>{problem}</p>"
    pictures = values["samples"]
    return f"<p>{calls} network calls on {pictures} picture{'' if pictures == 1 else 's'}, a few seconds</p>"


class SpectrumView:
    """The view's components and events. Build it inside a gr.Tab."""

    def __init__(self):
        start = defaults()
        with gr.Column(elem_id=f"tab-{NAME}", elem_classes="task-tab"):
            gr.HTML("<p>Coarse shapes are strong in pictures and fine detail is weak, so noise hides the detail first "
                    "and a run brings it back last. The best linear denoiser (Wiener's filter) can be computed from "
                    "the pictures' spectrum alone. A perfect model is never below it and knows more where it is "
                    "above; where a model lies below, it loses what even a filter would find. Guidance adds power of "
                    "its own.</p>",
                    elem_classes="summary", padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=4, min_width=320, elem_classes="side"):
                    self._settings(start)
                with gr.Column(scale=8, min_width=320, elem_classes="main"):
                    self.card = RunCard(NAME, cost(start))
                    self.slider = gr.HTML(None, html_template=web("spectrum.html"), js_on_load=web("spectrum.js"),
                                          apply_default_css=False, elem_id=f"{NAME}-slider", elem_classes="viewer",
                                          container=True, padding=True)
                    self.chart = charts.chart(f"{NAME}-chart", "Power at each frequency", drawn(None, 0))
                    self.front = charts.chart(f"{NAME}-front", "How fine the detail is that each step knows",
                                              front(None))
        self._connect()

    def _settings(self, start: Values) -> None:
        form = self.form = Form(NAME)
        with gr.Column(elem_classes="card"):
            form.add("problem", gr.Dropdown, label="Model", filterable=False, value=start["problem"],
                     choices=[(problems.load(name).title, name) for name in spectrum.names()])
            form.add("label", gr.Dropdown, label=AXES["label"].title, filterable=False, value=start["label"],
                     choices=_classes(start["problem"]))
            form.add("guidance", gr.Slider, label=AXES["guidance"].title, minimum=0, maximum=10, step=0.5,
                     value=start["guidance"], visible=False, buttons=[])
            form.add("solver", gr.Dropdown, label=AXES["solver"].title, filterable=False, value=start["solver"],
                     choices=[(axes.value_title("solver", row.name), row.name) for row in axes.comparable()])
            form.add("steps", gr.Slider, label=AXES["steps"].title, minimum=1, maximum=MOST_STEPS, step=1,
                     value=start["steps"], buttons=[])
            form.add("samples", gr.Slider, label="Pictures", minimum=1, maximum=16, step=1, value=start["samples"],
                     buttons=[], info="more pictures, smoother curves")
            form.add("seed", gr.Number, label=AXES["seed"].title, precision=0, minimum=0,
                     maximum=AXES["seed"].bounds[1], value=start["seed"])
            form.add("reference", gr.Dropdown, label="Clean spectrum", filterable=False, value=start["reference"],
                     choices=_references(start["problem"]),
                     info="the law knows its finest detail only as an average")

    def _connect(self) -> None:
        form, card = self.form, self.card
        for part in form.parts.values():
            part.input(lambda *given: self._all(adapted(form.values(given)), form.values(given)), form.components,
                       [*form.components, card.cost], trigger_mode="always_last", **QUIET).then(**form.save())
        card.connect(self._run, form.components, [self.slider, self.chart, self.front], self.slider.expand)

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        self.form.keep(demo, lambda kept: self._all(cleaned(kept)) if kept else {self.card.cost: gr.skip()},
                       [*self.form.components, self.card.cost])

    def _all(self, values: Values, had: Mapping[str, Any] | None = None) -> dict[Component, Any]:
        """What brings the controls to these values; those that equal `had`, which the page sent, are not sent back."""
        changes: dict[str, dict[str, Any]] = {name: {} for name in values}
        changes["label"] |= {"choices": _classes(values["problem"]), "visible": bool(_labels(values["problem"]))}
        changes["guidance"] |= {"visible": bool(values["label"])}
        changes["reference"] |= {"choices": _references(values["problem"])}
        for name, change in changes.items():
            if had is None or had.get(name) != values[name]:
                change["value"] = values[name]
        return ({self.form.parts[name]: gr.update(**change) for name, change in changes.items()}
                | {self.card.cost: cost(values)})

    def _run(self, *given: Any) -> Iterator[Updates]:
        run = runs.new_id()
        try:
            wanted = recovery(self.form.values(given))
        except InputError as problem:
            yield self.card.refuse(run, problem)
            return

        def show(found: Spectra) -> tuple[Updates, str, float]:
            at = len(found.estimates) // 2
            return ({self.slider: steps(run, found, at), self.chart: drawn(found, at), self.front: front(found)},
                    "all steps", 1.0)

        yield from self.card.follow(run, lambda: spectrum.run(wanted), show, dict)


def steps(run: str, found: Spectra, at: int) -> dict[str, Any]:
    """The slider's value: words, pictures and moving curves of every step; `at` is shown first."""
    return {"run": run, "chart": f"{NAME}-chart", "traces": list(_MOVING), "at": at,
            "steps": [{"words": words(found, estimate), "picture": _uri(estimate.x0),
                       "y": [_short(curve) for curve in _curves(found, estimate)]} for estimate in found.estimates]}


def words(found: Spectra, estimate: Estimate) -> str:
    """A step in a few words."""
    if estimate.sigma == 0:
        return f"The finished pictures, after {len(found.estimates) - 1} steps."
    own, linear = (_detail(reached) for reached in found.reached(estimate))
    return (f"Step {estimate.index} of {len(found.estimates) - 1}, noise {estimate.sigma:.3g}, "
            f"signal {estimate.alpha:.3g}. At least half of the power is there: {own}; by Wiener's filter {linear}.")


def drawn(found: Spectra | None, at: int) -> PlotData:
    """The powers of one step over the frequency."""
    names = ("Clean pictures", "Estimates of the model", "Best linear denoiser", "Noise in the state")
    if found is None:
        return charts.figure([charts.line(i, name, [], []) for i, name in enumerate(names)],
                             "Frequency (cycles per pixel)", "Power", log="xy")
    curves = [_short(found.clean), *(_short(curve) for curve in _curves(found, found.estimates[at]))]
    frequency = _short(found.frequency)
    traces = [charts.line(i, name, frequency, curve) for i, (name, curve) in enumerate(zip(names, curves))]
    traces[0]["line"]["dash"] = "dot"
    traces[-1] |= {"mode": "lines"}
    reach = float(found.clean.min()) / _BELOW, float(found.clean.max()) * _ABOVE
    return charts.figure(traces, "Frequency (cycles per pixel)", "Power", log="xy", reach=reach)


def front(found: Spectra | None) -> PlotData:
    """The frequency up to which at least half is there, over the steps."""
    estimates = [] if found is None else [estimate for estimate in found.estimates if estimate.sigma > 0]
    reached = [found.reached(estimate) for estimate in estimates]
    numbers = [estimate.index for estimate in estimates]
    return charts.figure([charts.line(1, "Estimates of the model", numbers, [own for own, _ in reached]),
                          charts.line(2, "Best linear denoiser", numbers, [linear for _, linear in reached])],
                         "Step", "Half is there up to (cycles per pixel)", height=300, reach=(0.0, 0.52))


def _curves(found: Spectra, estimate: Estimate) -> list[np.ndarray]:
    """The moving curves: measured, Wiener's, and the noise as a share of the signal, (sigma / alpha)^2."""
    noise = (estimate.sigma / max(estimate.alpha, 1e-6)) ** 2
    return [found.measured(estimate), found.linear(estimate), np.full_like(found.clean, noise)]


def _short(curve: np.ndarray) -> list[float | None]:
    """Four digits; None for what a logarithmic axis cannot show."""
    return [float(f"{value:.4g}") if value > 0 else None for value in curve.tolist()]


def _detail(reached: float | None) -> str:
    return "nowhere yet" if reached is None else f"up to {reached:.2g} cycles per pixel, detail of {1 / reached:.2g} px"


def _uri(picture: np.ndarray) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_frame(picture)).decode()


def _labels(problem: str) -> tuple[str, ...]:
    return problems.load(problem).labels if problem in spectrum.names() else ()


def _classes(problem: str) -> list[tuple[str, str]]:
    return [("any", ""), *((label, label) for label in _labels(problem))]


def _references(problem: str) -> list[tuple[str, str]]:
    known = spectrum.references(problem) if problem in spectrum.names() else ("run",)
    return [(REFERENCES[name], name) for name in known]
