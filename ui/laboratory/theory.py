"""The bound on the distance between a sampler's results and the data, split into its three causes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from engine import exact, schedules, theory
from engine.errors import InputError
from engine.recipe import Recipe
from engine.tasks.laboratory.work import executed
from ui import figures, runs
from ui.laboratory import charts
from ui.laboratory.form import Form, Values
from ui.laboratory.run_card import QUIET, RunCard, Updates

NAME = "theory"
_SCHEDULES = {"vp_linear": "VP linear", "cosine": "Cosine"}
_VARIANCES = {"beta": "beta: the forward step's", "posterior": "posterior: for a known clean picture",
              "ratio": "beta / alpha"}
_STEPS, _MOST_ERROR = (5, 200), 0.5


@dataclass(frozen=True)
class Found:
    """The bound for one number of steps, and the true distance."""

    steps: int
    bound: theory.Bound
    true: float


def defaults() -> Values:
    """What a fresh page shows."""
    return {"schedule": "vp_linear", "steps": 40, "variance": "beta", "error": 0.0}


def checked(values: Mapping[str, Any]) -> Values:
    """The values themselves. Raises InputError naming the control."""
    steps, error = values["steps"], values["error"]
    if not isinstance(steps, int) or not _STEPS[0] <= steps <= _STEPS[1]:
        raise InputError(f"steps is {str(steps)[:20]}.", f"It must be a whole number from {_STEPS[0]} to {_STEPS[1]}.",
                         field="steps")
    if not isinstance(error, (int, float)) or not 0 <= error <= _MOST_ERROR:
        raise InputError(f"The error is {str(error)[:20]}.", f"It must be a number from 0 to {_MOST_ERROR}.",
                         field="error")
    for name, known in (("schedule", _SCHEDULES), ("variance", _VARIANCES)):
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


def found(values: Values) -> Iterator[Found]:
    """The bound and the true distance on the one-dimensional mixture, the chosen number of steps first."""
    law, schedule = exact.line(), schedules.by_name(values["schedule"])
    for steps in sorted(counts(values["steps"]), key=lambda count: count != values["steps"]):
        chain = theory.chain(schedule, steps)
        bound = theory.bound(law, chain, values["variance"], values["error"])
        yield Found(steps, bound, theory.true_total_variation(law, chain, values["variance"], values["error"]))


class TheoryView:
    """The view's components and events. Build it inside a gr.Tab."""

    def __init__(self):
        start = defaults()
        with gr.Column(elem_id=f"tab-{NAME}", elem_classes="task-tab"):
            gr.HTML("<p>How far can DDPM end from the data? A bound that holds for every schedule adds three costs: it "
                    "does not start from the noised data (prior), the network errs (learning), and a step back is not "
                    "Gaussian (discretisation). Here on a mixture in one dimension, where the truth is known too.</p>",
                    elem_classes="summary", padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=4, min_width=320, elem_classes="side"):
                    self._settings(start)
                with gr.Column(scale=8, min_width=320, elem_classes="main"):
                    self.card = RunCard(NAME, _cost(start["steps"]))
                    self.numbers = gr.HTML(elem_id=f"{NAME}-numbers", padding=False)
                    self.bars = charts.chart(f"{NAME}-bars", "Cost of each step", bars(None))
                    self.fall = charts.chart(f"{NAME}-fall", "Bound and truth", fall([]))
        self._connect()

    def _settings(self, start: Values) -> None:
        form = self.form = Form(NAME)
        with gr.Column(elem_classes="card"):
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
            if name == "steps":
                part.input(_cost, part, self.card.cost, trigger_mode="always_last",
                           **QUIET)
            part.input(**self.form.save())
        self.card.connect(self._run, self.form.components, [self.numbers, self.bars, self.fall])

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        self.form.keep(demo, lambda kept: self.form.updates(cleaned(kept)), self.form.components)

    def _run(self, *given: Any) -> Iterator[Updates]:
        run = runs.new_id()
        try:
            values = checked(self.form.values(given))
        except InputError as problem:
            yield self.card.refuse(run, problem)
            return
        seen: list[Found] = []
        total = len(counts(values["steps"]))

        def show(item: Found) -> tuple[Updates, str, float]:
            seen.append(item)
            chosen = seen[0]
            updates: dict[Any, Any] = {self.fall: fall(seen)}
            if item is chosen:
                updates |= {self.bars: bars(chosen), self.numbers: numbers(chosen)}
            return updates, f"{len(seen)} of {total} numbers of steps", len(seen) / total

        recipe = Recipe(task="laboratory", solver="ddpm", steps=values["steps"])
        yield from self.card.follow(run, lambda: executed(found(values), total, recipe), show, dict)


def numbers(item: Found) -> str:
    """The parts of the bound and both distances as a small table."""
    bound = item.bound
    parts = {"Prior": bound.prior, "Learning": float(bound.learning.sum()),
             "Discretisation": float(bound.discretisation.sum()),
             "Bound on the total variation": bound.total_variation, "True total variation": item.true}
    note = [] if bound.total_variation < 1 else ["A bound of 1 or more says nothing: no two laws are further apart."]
    return f"<div class='result'>{figures.pairs(parts)}{figures.bullets(note)}</div>"


def bars(item: Found | None) -> PlotData:
    """What each step adds to the bound, stacked; the prior stands at the last step, where the chain ends."""
    if item is None:
        steps, learning, discretisation, prior = [], [], [], []
    else:
        steps = list(range(1, item.steps + 1))
        learning, discretisation = item.bound.learning.tolist(), item.bound.discretisation.tolist()
        prior = [0.0] * (item.steps - 1) + [item.bound.prior]
    layers = (("Discretisation", discretisation), ("Learning", learning), ("Prior", prior))
    return charts.figure([charts.bar(i, name, steps, values) for i, (name, values) in enumerate(layers)],
                         "Step, from the data (1) to the noise", "Share of the bound (nats)", height=320,
                         barmode="stack", bargap=0.15)


def fall(seen: list[Found]) -> PlotData:
    """The bound and the true distance over the number of steps."""
    ordered = sorted(seen, key=lambda item: item.steps)
    steps = [item.steps for item in ordered]
    return charts.figure([charts.line(0, "Bound", steps, [item.bound.total_variation for item in ordered]),
                          charts.line(1, "True", steps, [item.true for item in ordered])],
                         "Steps", "Total variation", log="xy", height=320)


def _cost(steps: Any) -> str:
    total = sum(counts(steps)) if isinstance(steps, int) else math.nan
    chains = len(counts(steps)) if isinstance(steps, int) else math.nan
    return f"<p>{chains:g} chains, {total:g} steps in all, a few seconds</p>"
