"""Steer the start noise of a picture model toward a goal, with gradients through the whole run."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
import torch
from gradio.components import Component
from gradio.components.plot import PlotData

from engine import adjoint, goals, grids, models
from engine.adjoint import Loss
from engine.errors import InputError
from engine.goals import Progress
from engine.recipe import Recipe
from engine.rng import Rng
from engine.runtime import device
from engine.step import Step
from engine.tasks.laboratory import problems
from engine.tasks.laboratory.work import executed
from ui import runs, viewer
from ui.events import QUIET
from ui.laboratory import charts
from ui.laboratory.form import Form, Values, trusted
from ui.laboratory.run_card import RunCard, Updates
from ui.settings import duration

NAME = "steer"
_GOALS = {"colour": "One mean colour", "layout": "A colour above and one below", "sharp": "Sharper", "soft": "Softer"}
_METHODS = {"exact": "Exact, through the steps as they are", "midpoint": "Adjoint equation, midpoint",
            "rk4": "Adjoint equation, Runge-Kutta 4"}
_CALLS = {"exact": 2, "midpoint": 4, "rk4": 8}
"""Network calls per step of a run and its gradient."""
_NUMBERS = {"steps": (3, 30), "iterations": (1, 60), "samples": (1, 4), "seed": (0, 2**31 - 1)}


@dataclass(frozen=True)
class Search:
    """What to look for: checked values, the goal, and where the colours are."""

    model: str
    label: str
    goal: Loss
    method: str
    steps: int
    iterations: int
    samples: int
    seed: int

    @property
    def calls(self) -> int:
        """Network calls, about: a run and its gradient for the start and for each iteration."""
        return (self.iterations + 1) * self.steps * _CALLS[self.method]


def model_names() -> list[str]:
    """The models whose noise can be steered: those that make pictures from noise alone."""
    return [name for name in problems.names() if not problems.load(name).exact]


def defaults() -> Values:
    """What a fresh page shows."""
    return {"model": (model_names() or [""])[0], "label": "", "goal": "colour", "above": "#e0b020", "below": "#2e7d32",
            "steps": 6, "iterations": 8, "samples": 2, "seed": 0, "method": "exact"}


def search(values: Mapping[str, Any]) -> Search:
    """What these values ask for. Raises InputError naming the control."""
    for name, (low, high) in _NUMBERS.items():
        if not isinstance(values[name], int) or not low <= values[name] <= high:
            raise InputError(f"{name} is {str(values[name])[:20]}.", f"It must be a whole number from {low} to {high}.",
                             field=name)
    for name, known in (("model", model_names()), ("goal", _GOALS), ("method", _METHODS)):
        if values[name] not in known:
            raise InputError(f"{name} is {str(values[name])[:40]!r}.",
                             fix="Choose one of " + (", ".join(known) or "none yet") + ".", field=name)
    if values["label"] not in ("", *problems.load(values["model"]).labels):
        raise InputError(f"This model has no class {str(values['label'])[:40]!r}.", fix="Choose another.",
                         field="label")
    return Search(values["model"], values["label"], _goal(values), values["method"],
                  *(values[name] for name in ("steps", "iterations", "samples", "seed")))


def cleaned(stored: Any) -> Values:
    """Values that can run, from whatever a browser kept."""
    return trusted(stored, defaults(), search)


def cost(values: Mapping[str, Any]) -> str:
    """"13 runs x 8 steps, about 208 network calls", with the time once it is known."""
    try:
        wanted = search(values)
    except InputError as problem:
        return f"<p>{problem}</p>"
    pace = runs.pace.seconds_per_call(NAME, wanted.samples)
    text = f"{wanted.iterations + 1} runs x {wanted.steps} steps with gradients, about {wanted.calls} network calls"
    return f"<p>{text}{'' if pace is None else f', about {duration(wanted.calls * pace)}'}</p>"


def progress(wanted: Search) -> Iterator[Progress]:
    """The search's progress, the start first."""
    model, problem = models.load(wanted.model), problems.load(wanted.model)
    denoise, _ = adjoint.differentiable(model.network, model.schedule, model.card.prediction, device=device.choose())
    cond = {}
    if problem.labels:
        number = problem.labels.index(wanted.label) if wanted.label else len(problem.labels)
        cond = {"label": torch.full((wanted.samples,), number)}
    times = grids.make("uniform", model.schedule, wanted.steps)
    x = problem.noise(Rng(wanted.seed, wanted.samples))
    return goals.steer_noise(denoise, x, times, model.schedule, wanted.goal, iterations=wanted.iterations,
                             method=wanted.method, cond=cond)


class SteerView:
    """The view's components and events. Build it inside a gr.Tab."""

    def __init__(self):
        start = defaults()
        with gr.Column(elem_id=f"tab-{NAME}", elem_classes="task-tab"):
            gr.HTML("<p>A picture is decided by its start noise. Here the noise is turned, a little at a time, until "
                    "the picture comes nearer to a goal. The gradient runs back through every step of the solver.</p>",
                    elem_classes="summary", padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=5, min_width=320, elem_classes="side"):
                    self._settings(start)
                with gr.Column(scale=7, min_width=320, elem_classes="main"):
                    self.card = RunCard(NAME, cost(start), live=True)
                    with gr.Column(visible=False, elem_classes="result") as self.result:
                        gr.HTML("<h2>Before and after</h2><p>Sample 1: left from the first noise, right from the "
                                "turned one.</p>", padding=False)
                        self.slider = gr.ImageSlider(label="Before and after", show_label=False, interactive=False,
                                                     format="png", max_height=460, buttons=["fullscreen"],
                                                     elem_id=f"{NAME}-slider")
                    self.chart = charts.chart(f"{NAME}-chart", "Distance to the goal", drawn([]))
        self._connect()

    def _settings(self, start: Values) -> None:
        form = self.form = Form(NAME)
        with gr.Column(elem_classes="card"):
            form.add("model", gr.Dropdown, label="Model", filterable=False, value=start["model"],
                     choices=[(problems.load(name).title, name) for name in model_names()])
            form.add("label", gr.Dropdown, label="Class", filterable=False, value=start["label"],
                     choices=_classes(start["model"]), visible=len(_classes(start["model"])) > 1)
            form.add("goal", gr.Dropdown, label="Goal", filterable=False, value=start["goal"],
                     choices=[(title, name) for name, title in _GOALS.items()])
            with gr.Row(elem_classes="tight"):
                form.add("above", gr.ColorPicker, label="Colour", value=start["above"], min_width=120)
                form.add("below", gr.ColorPicker, label="Colour below", value=start["below"], visible=False,
                         min_width=120)
            with gr.Row(elem_classes="tight"):
                for name, label in (("steps", "Steps of the solver"), ("iterations", "Turns of the noise"),
                                    ("samples", "Samples")):
                    low, high = _NUMBERS[name]
                    form.add(name, gr.Slider, label=label, minimum=low, maximum=high, step=1, value=start[name],
                             buttons=[], min_width=200)
                form.add("seed", gr.Number, label="Seed", precision=0, minimum=0, maximum=2**31 - 1,
                         value=start["seed"], min_width=200)
            form.add("method", gr.Dropdown, label="Gradient", filterable=False, value=start["method"],
                     choices=[(title, name) for name, title in _METHODS.items()],
                     info="the adjoint needs constant memory and more calls")

    def _connect(self) -> None:
        form = self.form
        outputs = [form.parts["label"], form.parts["above"], form.parts["below"], self.card.cost]
        for part in form.parts.values():
            part.input(lambda *given: self._adapt(form.values(given)), form.components, outputs,
                       trigger_mode="always_last", **QUIET)
            part.input(**form.save())
        self.card.connect(self._run, form.components, [self.result, self.slider, self.chart, self.card.cost])

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        def back(kept: Any) -> dict[Component, Any]:
            values = cleaned(kept)
            return self.form.updates(values) | self._adapt(values)

        self.form.keep(demo, back, [*self.form.components, self.card.cost])

    def _adapt(self, values: Values) -> dict[Component, Any]:
        parts, goal = self.form.parts, values["goal"]
        classes = _classes(values["model"])
        label = values["label"] if values["label"] in {name for _, name in classes} else ""
        return {parts["label"]: gr.update(choices=classes, value=label, visible=len(classes) > 1),
                parts["above"]: gr.update(visible=goal in {"colour", "layout"},
                                          label="Colour above" if goal == "layout" else "Colour"),
                parts["below"]: gr.update(visible=goal == "layout"), self.card.cost: cost(values | {"label": label})}

    def _run(self, *given: Any) -> Iterator[Updates]:
        run, values = runs.new_id(), self.form.values(given)
        try:
            wanted = search(values)
        except InputError as problem:
            yield self.card.refuse(run, problem)
            return
        yield {self.result: gr.update(visible=False), self.chart: drawn([])}
        seen: list[Progress] = []
        before = time.monotonic()
        problem = problems.load(wanted.model)

        def show(item: Progress) -> tuple[Updates, str, float]:
            nonlocal before
            seen.append(item)
            now = time.monotonic()
            if len(seen) > 1:
                runs.pace.note(NAME, now - before, item.calls - seen[-2].calls, wanted.samples)
            before = now
            share = (item.index + 1) / (item.total + 1)
            return ({self.card.progress: _frames(item), self.chart: drawn(seen)},
                    f"turn {item.index} of {item.total}, {item.calls} calls, noise moved {_percent(item)}", share)

        def end() -> Updates:
            # The slider cuts across the whole picture, so it holds one sample; the viewer shows all of them.
            pictures = (problem.show(seen[0].x[:1]), problem.show(seen[-1].x[:1]))
            return {self.result: gr.update(visible=True), self.slider: pictures, self.card.cost: cost(values)}

        recipe = Recipe(task="laboratory", model=wanted.model, solver="ddim", steps=wanted.steps, seed=wanted.seed,
                        samples=wanted.samples)
        yield from self.card.follow(run, lambda: executed(progress(wanted), wanted.iterations + 1, recipe), show, end)


def drawn(seen: list[Progress]) -> PlotData:
    """The distance to the goal over the turns, one line per sample."""
    turns = [item.index for item in seen]
    count = len(seen[0].loss) if seen else 0
    traces = [charts.line(i, f"Sample {i + 1}", turns, [float(item.loss[i]) for item in seen]) for i in range(count)]
    return charts.figure(traces, "Turn", "Distance to the goal", height=300)


def _goal(values: Mapping[str, Any]) -> Loss:
    match values["goal"]:
        case "colour":
            return goals.mean_colour(_rgb(values["above"], "above"))
        case "layout":
            rows = [_rgb(values[name], name) for name in ("above", "below")]
            return goals.colour_layout(torch.tensor(rows).T[:, :, None])
        case other:
            return goals.sharpness(1.0 if other == "sharp" else -1.0)


def _rgb(text: Any, field: str) -> list[float]:
    """A picker's colour, "#rrggbb" or "rgba(r, g, b, a)", as three numbers in [-1, 1]."""
    try:
        if str(text).startswith("#"):
            parts = [int(str(text)[i:i + 2], 16) for i in (1, 3, 5)]
        else:
            parts = [float(part) for part in str(text).partition("(")[2].rstrip(")").split(",")[:3]]
        assert len(parts) == 3
    except (ValueError, AssertionError):
        raise InputError(f"The colour {str(text)[:30]!r} cannot be read.", fix="Pick one.", field=field) from None
    return [min(max(part / 127.5 - 1, -1.0), 1.0) for part in parts]


def _frames(item: Progress) -> dict[str, Any]:
    found = viewer.frames(Step(item.index, item.total, 0.0, 0.0, item.noise / 2, item.x, item.calls))
    return {name: value for name, value in found.items() if name != "sigma"}


def _percent(item: Progress) -> str:
    return f"by {100 * float(item.moved.mean()):.0f} % of its length"


def _classes(model: str) -> list[tuple[str, str]]:
    labels = problems.load(model).labels if model else ()
    return [("any", ""), *((label, label) for label in labels)]
