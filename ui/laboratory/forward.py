"""Forward models: signals that no training ever saw, found behind what was measured, beside the truth."""

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.errors import InputError
from engine.forward_models import study as studies
from engine.forward_models.study import Found, Moment, Study
from engine.forward_models.toys import TOYS
from engine.recipe import Recipe
from engine.tasks.laboratory.work import executed
from ui import runs
from ui.assets import web
from ui.events import QUIET
from ui.laboratory import charts, forward_drawn
from ui.laboratory.form import Form, Values, trusted
from ui.laboratory.run_card import RunCard, Updates

NAME = "forward"
ONE, TWO = "one", "two"
_SEEN = {ONE: "One observation", TWO: "Two, the second with noise"}
_VIEWS = {"shadows": "angle", "motion": "time"}
"""The control of each toy that says under which view the second observation is."""


def defaults() -> Values:
    """What a fresh page shows: a shadow behind which the point may lie in one of two places."""
    views = {control: TOYS[toy].view[2] for toy, control in _VIEWS.items()}
    return {"toy": "shadows", "draw": 3, **views, "seen": ONE, "noise": TOYS["shadows"].noise, "solver": "heun",
            "steps": 20, "samples": 200, "seed": 0}


def study(values: Mapping[str, Any]) -> Study:
    """The checked study of these values. Raises InputError naming the control."""
    if values["seen"] not in list(_SEEN):
        raise InputError(f"What was seen is {str(values['seen'])[:40]!r}.", fix="Choose one of the two.", field="seen")
    control = next((control for toy, control in _VIEWS.items() if toy == values["toy"]), "toy")
    try:
        return Study(values["toy"], values["draw"], values[control],
                     values["noise"] if values["seen"] == TWO else None,
                     *(values[name] for name in ("solver", "steps", "samples", "seed")))
    except InputError as problem:
        if problem.field == "view":
            raise InputError(problem.what.replace("view", control, 1), problem.why, problem.fix, control) from None
        raise


def cleaned(stored: Any) -> Values:
    """Values that can run, from whatever a browser kept."""
    return trusted(stored, defaults(), study)


def cost(values: Mapping[str, Any]) -> str:
    """"39 network calls on 200 samples, a few seconds", or why it cannot be started."""
    try:
        wanted = study(values)
    except InputError as problem:
        return f"<p>{problem}</p>"
    samples = wanted.samples
    return f"<p>{wanted.calls} network calls on {samples} sample{'' if samples == 1 else 's'}, a few seconds</p>"


class ForwardView:
    """The view's components and events. Build it inside a gr.Tab."""

    def __init__(self):
        start = defaults()
        with gr.Column(elem_id=f"tab-{NAME}", elem_classes="task-tab"):
            gr.HTML("<p>What can be learned when the thing itself is never seen? Training had only measurements of it "
                    "(shadows of points, pictures of something that moves), and the network must name the thing, "
                    "from which the measurement is then computed. So a run that removes noise from a measurement "
                    "ends with a sample of the thing behind it. In these two toys the right answer is known.</p>",
                    elem_classes="summary", padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=4, min_width=320, elem_classes="side"):
                    self._settings(start)
                with gr.Column(scale=8, min_width=320, elem_classes="main"):
                    self.card = RunCard(NAME, cost(start))
                    self.sheet = self._html("sheet", "sheet")
                    self.slider = self._html("slider", "spectrum")
                    self.chart = charts.chart(forward_drawn.CHART, "Samples beside the exact answer",
                                              forward_drawn.drawn(study(start), None))
                    self.numbers = gr.HTML(elem_id=f"{NAME}-numbers", padding=False)
        self._connect()

    def _html(self, name: str, script: str) -> gr.HTML:
        return gr.HTML(None, html_template=web(f"{script}.html"), js_on_load=web(f"{script}.js"),
                       apply_default_css=False, elem_id=f"{NAME}-{name}", elem_classes="viewer", container=True,
                       padding=True)

    def _settings(self, start: Values) -> None:
        form = self.form = Form(NAME)
        with gr.Column(elem_classes="card"):
            form.add("toy", gr.Dropdown, label="What is never seen", filterable=False, value=start["toy"],
                     choices=[(toy.title, name) for name, toy in TOYS.items()])
            form.add("draw", gr.Number, label="Which one (seed)", precision=0, minimum=0, maximum=studies.SEEDS[1],
                     value=start["draw"], info="the truth and its noise are drawn from it")
            for toy, label, info in (("shadows", "Angle between the two shadows", "in degrees"),
                                     ("motion", "Time of the second picture", "the first is at time 0")):
                low, high, _ = TOYS[toy].view
                form.add(_VIEWS[toy], gr.Slider, label=label, info=info, minimum=low, maximum=high, buttons=[],
                         step=5 if toy == "shadows" else 0.05, value=start[_VIEWS[toy]],
                         visible=toy == start["toy"])
            form.add("seen", gr.Radio, label="What was measured", value=start["seen"],
                     choices=[(title, name) for name, title in _SEEN.items()])
            low, high = studies.NOISE
            form.add("noise", gr.Slider, label="Noise of the second observation", minimum=low, maximum=high, step=0.05,
                     value=start["noise"], buttons=[], info="standard deviation", visible=start["seen"] == TWO)
        with gr.Column(elem_classes="card"):
            form.add("solver", gr.Dropdown, label="Solver", filterable=False, value=start["solver"],
                     choices=[(row.title, row.name) for row in studies.able()])
            for name, (low, high) in (("steps", studies.STEPS), ("samples", studies.SAMPLES)):
                form.add(name, gr.Slider, label=name.capitalize(), minimum=low, maximum=high, step=1,
                         value=start[name], buttons=[])
            form.add("seed", gr.Number, label="Seed", precision=0, minimum=0, maximum=studies.SEEDS[1],
                     value=start["seed"])

    def _connect(self) -> None:
        form = self.form
        for name, part in form.parts.items():
            change = self._change_toy if name == "toy" else self._fit
            part.input(change, form.components, [*form.components, self.card.cost], trigger_mode="always_last",
                       **QUIET).then(**form.save())
        self.card.connect(self._run, form.components, [self.sheet, self.slider, self.chart, self.numbers],
                          self.slider.expand)

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        self.form.keep(demo, lambda kept: self._all(cleaned(kept)) if kept else {self.card.cost: gr.skip()},
                       [*self.form.components, self.card.cost])

    def _change_toy(self, *given: Any) -> dict[Component, Any]:
        """Another toy brings its usual noise."""
        values = self.form.values(given)
        return self._all(values | {"noise": TOYS[values["toy"]].noise})

    def _fit(self, *given: Any) -> dict[Component, Any]:
        values = self.form.values(given)
        return self._all(values, values)

    def _all(self, values: Values, had: Mapping[str, Any] | None = None) -> dict[Component, Any]:
        """What brings the controls to these values; those that equal `had`, which the page sent, are not sent back."""
        changes: dict[str, dict[str, Any]] = {name: {} for name in values}
        for toy, control in _VIEWS.items():
            changes[control]["visible"] = toy == values["toy"]
        changes["noise"]["visible"] = values["seen"] == TWO
        for name, change in changes.items():
            if had is None or had.get(name) != values[name]:
                change["value"] = values[name]
        return ({self.form.parts[name]: gr.update(**change) for name, change in changes.items()}
                | {self.card.cost: cost(values)})

    def _run(self, *given: Any) -> Iterator[Updates]:
        run = runs.new_id()
        try:
            wanted = study(self.form.values(given))
        except InputError as problem:
            yield self.card.refuse(run, problem)
            return

        def show(item: Moment | Found) -> tuple[Updates, str, float]:
            if isinstance(item, Moment):
                step = item.step
                return {}, f"step {step.index}/{step.total}, {step.nfe} calls", step.index / step.total
            at = len(item.moments) - 1
            return ({self.sheet: forward_drawn.sheet(run, item), self.slider: forward_drawn.steps(run, item, at),
                     self.chart: forward_drawn.drawn(wanted, item), self.numbers: forward_drawn.numbers(item)},
                    "all steps", 1.0)

        recipe = Recipe(task="laboratory", solver=wanted.solver, steps=wanted.steps, seed=wanted.seed)
        yield from self.card.follow(run, lambda: executed(studies.run(wanted), wanted.steps, recipe), show, dict)
