"""The bound on the distance between a sampler's results and the data, split into its three causes."""

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from engine.errors import InputError
from engine.recipe import Recipe
from engine.step import Step
from engine.tasks.laboratory import bounds, problems
from engine.tasks.laboratory.bounds import Found
from engine.tasks.laboratory.work import executed
from ui import figures, runs
from ui.events import QUIET
from ui.laboratory import charts
from ui.laboratory.form import Form, Values
from ui.laboratory.run_card import RunCard, Updates

NAME, _LINE = "theory", "line"
_SCHEDULES = {"vp_linear": "VP linear", "cosine": "Cosine"}
_VARIANCES = {"beta": "beta: the forward step's", "posterior": "posterior: for a known clean picture",
              "ratio": "beta / alpha"}
_STEPS, _MOST_ERROR = (5, 200), 0.5


def defaults() -> Values:
    """What a fresh page shows."""
    return {"law": _LINE, "schedule": "vp_linear", "steps": 40, "variance": "beta", "error": 0.0}


def laws() -> dict[str, str]:
    """What a bound can be computed for, with its title."""
    models = [problem for problem in map(problems.load, problems.names()) if not problem.exact]
    return {_LINE: "Mixture on a line, truth known", **{model.name: model.title for model in models}}


def checked(values: Mapping[str, Any]) -> Values:
    """The values themselves. Raises InputError naming the control."""
    steps, error = values["steps"], values["error"]
    if not isinstance(steps, int) or not _STEPS[0] <= steps <= _STEPS[1]:
        raise InputError(f"steps is {str(steps)[:20]}.", f"It must be a whole number from {_STEPS[0]} to {_STEPS[1]}.",
                         field="steps")
    if not isinstance(error, (int, float)) or not 0 <= error <= _MOST_ERROR:
        raise InputError(f"The error is {str(error)[:20]}.", f"It must be a number from 0 to {_MOST_ERROR}.",
                         field="error")
    for name, known in (("law", laws()), ("schedule", _SCHEDULES), ("variance", _VARIANCES)):
        if values[name] not in known:
            raise InputError(f"{name} is {str(values[name])[:20]!r}.", fix="Choose one of " + ", ".join(known) + ".",
                             field=name)
    return {name: values[name] for name in defaults()}


def cleaned(stored: Any) -> Values:
    """Values that can run, from whatever a browser kept."""
    try:
        return checked(defaults() | dict(stored))
    except (InputError, TypeError, ValueError):
        return defaults()


def counts(steps: int) -> list[int]:
    """The chosen number of steps, and others around it that show how the bound falls."""
    return sorted({steps, *(count for count in (10, 20, 40, 80, 160) if count != steps)})


def found(values: Values) -> Iterator[Step | Found]:
    """For a model the bound of its own chain; else bound and truth, the chosen number of steps before the others."""
    if values["law"] != _LINE:
        yield from bounds.of_model(values["law"], values["steps"], values["variance"])
        return
    for steps in sorted(counts(values["steps"]), key=lambda count: count != values["steps"]):
        yield bounds.of_line(values["schedule"], steps, values["variance"], values["error"])


class TheoryView:
    """The view's components and events. Build it inside a gr.Tab."""

    def __init__(self):
        start = defaults()
        with gr.Column(elem_id=f"tab-{NAME}", elem_classes="task-tab"):
            gr.HTML("<p>How far can DDPM end from the data? A bound that holds for every schedule adds three costs: it "
                    "does not start from the noised data (prior), the network errs (learning), and a step back is not "
                    "Gaussian (discretisation). On a mixture in one dimension the truth is known too; for a model the "
                    "first two parts can be measured.</p>", elem_classes="summary", padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=4, min_width=320, elem_classes="side"):
                    self._settings(start)
                with gr.Column(scale=8, min_width=320, elem_classes="main"):
                    self.card = RunCard(NAME, cost(start))
                    self.numbers = gr.HTML(elem_id=f"{NAME}-numbers", padding=False)
                    self.bars = charts.chart(f"{NAME}-bars", "Cost of each step", bars(None))
                    self.fall = charts.chart(f"{NAME}-fall", "Bound and truth", fall([]))
        self._connect()

    def _settings(self, start: Values) -> None:
        form = self.form = Form(NAME)
        with gr.Column(elem_classes="card"):
            form.add("law", gr.Dropdown, label="Data and network", filterable=False, value=start["law"],
                     choices=[(title, name) for name, title in laws().items()])
            form.add("schedule", gr.Dropdown, label="Noise schedule", filterable=False, value=start["schedule"],
                     choices=[(title, name) for name, title in _SCHEDULES.items()])
            form.add("steps", gr.Slider, label="Steps", minimum=_STEPS[0], maximum=_STEPS[1], step=1,
                     value=start["steps"], buttons=[])
            form.add("variance", gr.Dropdown, label="Noise added in a step", filterable=False, value=start["variance"],
                     choices=[(title, name) for name, title in _VARIANCES.items()])
            form.add("error", gr.Slider, label="Error put into the noise estimate", minimum=0, maximum=_MOST_ERROR,
                     step=0.01, value=start["error"], buttons=[], info="0 is a perfect network")

    def _connect(self) -> None:
        for name, part in self.form.parts.items():
            if name in {"steps", "law"}:
                part.input(lambda *given: self._fitting(self.form.values(given)), self.form.components,
                           self._changing, trigger_mode="always_last", **QUIET)
            part.input(**self.form.save())
        self.card.connect(self._run, self.form.components, [self.numbers, self.bars, self.fall])

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        def back(kept: Any) -> dict[Any, Any]:
            values = cleaned(kept)
            parts, shown = self.form.parts, values["law"] == _LINE
            own = {parts[name]: gr.update(value=values[name], visible=shown) for name in ("schedule", "error")}
            return self.form.updates(values) | self._fitting(values) | own

        self.form.keep(demo, back, [*self.form.components, self.card.cost, self.fall])

    @property
    def _changing(self) -> list[Any]:
        return [self.form.parts["schedule"], self.form.parts["error"], self.card.cost, self.fall]

    def _fitting(self, values: Mapping[str, Any]) -> dict[Any, Any]:
        """A model has its own schedule and error, and no truth to fall towards."""
        known = values["law"] == _LINE
        return {self.form.parts["schedule"]: gr.update(visible=known),
                self.form.parts["error"]: gr.update(visible=known), self.card.cost: cost(values),
                self.fall: gr.update(visible=known)}

    def _run(self, *given: Any) -> Iterator[Updates]:
        run = runs.new_id()
        try:
            values = checked(self.form.values(given))
        except InputError as problem:
            yield self.card.refuse(run, problem)
            return
        seen: list[Found] = []
        total = len(counts(values["steps"])) if values["law"] == _LINE else 1

        def show(item: Found) -> tuple[Updates, str, float]:
            seen.append(item)
            chosen = seen[0]
            updates: dict[Any, Any] = {} if item.true is None else {self.fall: fall(seen)}
            if item is chosen:
                updates |= {self.bars: bars(chosen), self.numbers: numbers(chosen)}
            return updates, f"{len(seen)} of {total} numbers of steps", len(seen) / total

        recipe = Recipe(task="laboratory", solver="ddpm", steps=values["steps"])
        work = total if values["law"] == _LINE else bounds.calls(values["steps"])
        yield from self.card.follow(run, lambda: executed(found(values), work, recipe), show, dict)


def numbers(item: Found) -> str:
    """The parts of the bound and both distances as a small table, as far as they are known."""
    bound = item.bound
    parts = {"Prior (nats)": bound.prior, "Learning (nats)": float(bound.learning.sum())}
    if bound.discretisation is not None:
        parts["Discretisation (nats)"] = float(bound.discretisation.sum())
    parts["Bound on the total variation"] = bound.total_variation
    note = ["Total variation has no unit: 0 for equal laws, 1 for laws that do not overlap."]
    note += [] if bound.total_variation < 1 else ["A bound of 1 or more says nothing: no two laws are further apart."]
    if item.true is not None:
        parts["True total variation"] = item.true
    if bound.upper:
        note = [f"Measured on {bounds.DRAWN} pictures that the model drew itself in {bounds.DRAWN_STEPS} steps, not on "
                "photographs.", "Prior and learning are upper bounds. Learning also holds what no network could "
                "predict, so compare steps with each other and not the sum with 1.",
                "The discretisation part cannot be computed for a network and is missing here.", *note]
    return f"<div class='result'>{figures.pairs(parts)}{figures.bullets(note)}</div>"


def bars(item: Found | None) -> PlotData:
    """What each step adds to the bound, stacked; the prior stands at the last step, where the chain ends."""
    layers: dict[str, list[float] | None] = {"Discretisation": [], "Learning": [], "Prior": []}
    steps = [] if item is None else list(range(1, item.steps + 1))
    if item is not None:
        found = item.bound.discretisation
        layers = {"Discretisation": None if found is None else found.tolist(),
                  "Learning": item.bound.learning.tolist(), "Prior": [0.0] * (item.steps - 1) + [item.bound.prior]}
    # For a network the first steps cost a thousand times the last; layers on a logarithm would not add up.
    log = "y" if item is not None and item.bound.upper else ""
    return charts.figure([charts.bar(i, name, steps, values) for i, (name, values) in enumerate(layers.items())
                          if values is not None], "Step, from the data (1) to the noise", "Share of the bound (nats)",
                         log=log, height=320, barmode="overlay" if log else "stack", bargap=0.15)


def fall(seen: list[Found]) -> PlotData:
    """The bound and the true distance over the number of steps."""
    ordered = sorted(seen, key=lambda item: item.steps)
    steps = [item.steps for item in ordered]
    return charts.figure([charts.line(0, "Bound", steps, [item.bound.total_variation for item in ordered]),
                          charts.line(1, "True", steps, [item.true for item in ordered])],
                         "Steps", "Total variation", log="xy", height=320)


def cost(values: Mapping[str, Any]) -> str:
    """What a run will compute."""
    steps = values["steps"]
    if not isinstance(steps, int):
        return "<p>Choose a number of steps.</p>"
    if values["law"] != _LINE:
        return f"<p>{bounds.calls(steps)} network calls on {bounds.DRAWN} pictures, about ten seconds</p>"
    return f"<p>{len(counts(steps))} chains, {sum(counts(steps))} steps in all, a few seconds</p>"
