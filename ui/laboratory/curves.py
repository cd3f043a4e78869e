"""Error against calls: one curve per solver, and the order that it shows beside the one that it claims."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.components.plot import PlotData

from engine.errors import InputError
from engine.solvers import row
from engine.solvers.plan import Plan
from engine.tasks.laboratory import axes, curves, problems
from engine.tasks.laboratory.curves import Curves, Point
from ui import figures, runs
from ui.events import QUIET
from ui.laboratory import charts, choices, plans
from ui.laboratory.form import Form, Values, trusted
from ui.laboratory.plans import PlanFiles
from ui.laboratory.run_card import RunCard, Updates
from ui.viewer import words as event_words

NAME = "curves"
_FIXED = ("spacing", "schedule", "label", "guidance", "seed")


def defaults() -> Values:
    """What a fresh page shows: four solvers of order 1 to 4 on the mixture."""
    fixed = {name: axes.AXES[name].default for name in _FIXED}
    return {"problem": "mixture", "solvers": ["ddim", "heun", "dpmpp_2m", "unipc_3"],
            "calls": [str(count) for count in curves.CALLS], **fixed}


def measurement(values: Mapping[str, Any], own: Sequence[Plan] = ()) -> Curves:
    """What these values ask for, with a person's own plans. Raises InputError naming the control."""
    if not values["solvers"] or not values["calls"]:
        field = "calls" if values["solvers"] else "solvers"
        raise InputError(f"No {field} are chosen.", "A curve needs at least one.", "Choose some.", field)
    budgets = sorted({choices.parsed("steps", entry) for entry in values["calls"]}, key=str)
    budgets = sorted(budgets) if all(isinstance(entry, int) for entry in budgets) else budgets
    fixed = {name: choices.parsed(name, values[name]) for name in _FIXED}
    return Curves(values["problem"], tuple(values["solvers"]), tuple(budgets), fixed, plans=tuple(own))


def cleaned(stored: Any) -> Values:
    """Values that can run, from whatever a browser kept."""
    return trusted(stored, defaults(), measurement)


def cost(values: Mapping[str, Any]) -> str:
    """"4 solvers x 9 budgets = 36 runs, at most 624 network calls", or why it cannot be started."""
    try:
        wanted = measurement(values)
    except InputError as problem:
        return f"<p>{problem}</p>"
    solvers, budgets = len(wanted.solvers), len(wanted.calls)
    return (f"<p>{solvers} solver{'' if solvers == 1 else 's'} x {budgets} budget{'' if budgets == 1 else 's'} = "
            f"{solvers * budgets} runs, at most {solvers * sum(wanted.calls)} network calls</p>")


class CurvesView:
    """The view's components and events. Build it inside a gr.Tab."""

    def __init__(self):
        start = defaults()
        with gr.Column(elem_id=f"tab-{NAME}", elem_classes="task-tab"):
            gr.HTML("<p>How fast the error falls when a solver may look at the model more often. On log axes a solver "
                    "of order 2 falls twice as steeply as one of order 1.</p>", elem_classes="summary",
                    padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=4, min_width=320, elem_classes="side"):
                    self._settings(start)
                with gr.Column(scale=8, min_width=320, elem_classes="main"):
                    self.card = RunCard(NAME, cost(start))
                    self.chart = charts.chart(f"{NAME}-chart", "Error against calls", drawn(measurement(start), []))
                    self.orders = gr.HTML(elem_id=f"{NAME}-orders", padding=False)
        self._connect()

    def _settings(self, start: Values) -> None:
        form = self.form = Form(NAME)
        with gr.Column(elem_classes="card"):
            form.add("problem", gr.Dropdown, label="Problem or model", filterable=False, value=start["problem"],
                     choices=choices.offered("problem", "mixture"))
            form.add("solvers", gr.Dropdown, label="Solvers", multiselect=True, value=start["solvers"],
                     choices=choices.offered("solver", "mixture"), max_choices=12, info="up to 12")
            form.add("calls", gr.Dropdown, label="Budgets of network calls", multiselect=True, value=start["calls"],
                     choices=[str(count) for count in curves.CALLS], allow_custom_value=True, max_choices=12,
                     info="type a number and press Enter to add it")
            for name in _FIXED:
                kind = axes.AXES[name]
                fixed = {"label": kind.title, "value": start[name], "visible": name != "guidance"}
                if kind.choices:
                    form.add(name, gr.Dropdown, choices=choices.offered(name, "mixture"), filterable=False, **fixed)
                else:
                    form.add(name, gr.Number, minimum=kind.bounds[0], maximum=kind.bounds[1], **fixed)
            self.plans = PlanFiles(NAME)

    def _connect(self) -> None:
        form, card = self.form, self.card
        for name, part in form.parts.items():
            if name in {"problem", "label"}:
                part.input(lambda *given: self._all(form.values(given)), form.components,
                           [*form.components, card.cost], **QUIET).then(**form.save())
            else:
                # A value that was typed into a menu of several values tells only that the menu changed.
                changed = part.change if name == "calls" else part.input
                changed(lambda *given: cost(form.values(given)), form.components, card.cost,
                        trigger_mode="always_last", **QUIET)
                changed(**form.save())
        costs = {"fn": lambda *given: cost(form.values(given)), "inputs": form.components, "outputs": card.cost,
                 **QUIET}
        self.plans.connect(card.message, costs)
        card.connect(self._run, [self.plans.files, *form.components], [self.chart, self.orders])

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        self.form.keep(demo, lambda kept: self._all(cleaned(kept)) if kept else {self.card.cost: gr.skip()},
                       [*self.form.components, self.card.cost])

    def _all(self, values: Values) -> dict[Component, Any]:
        """What brings the controls to these values; guidance is there only for a class that the problem has."""
        classes = choices.offered("label", values["problem"])
        if values["label"] not in {name for _, name in classes[1:]}:
            values = values | {"label": "", "guidance": 1.0}
        parts, updates = self.form.parts, self.form.updates(values)
        updates[parts["label"]] = gr.update(value=values["label"], choices=classes, visible=len(classes) > 1)
        updates[parts["guidance"]] = gr.update(value=values["guidance"], visible=bool(values["label"]))
        return updates | {self.card.cost: cost(values)}

    def _run(self, files: list[str] | None, *given: Any) -> Iterator[Updates]:
        run, values = runs.new_id(), self.form.values(given)
        try:
            wanted = measurement(values, plans.read_all(files))
        except InputError as problem:
            yield self.card.refuse(run, problem)
            return
        yield {self.chart: drawn(wanted, []), self.orders: None}
        found: list[Point] = []
        total = len(wanted.solvers) * len(wanted.calls)

        def show(point: Point) -> tuple[Updates, str, float]:
            found.append(point)
            # A curve appears as a whole: drawing the chart costs the page more than most points cost the engine.
            whole = len(found) % len(wanted.calls) == 0
            return ({self.chart: drawn(wanted, found), self.orders: table(found)} if whole else {},
                    f"{len(found)} of {total} runs", len(found) / total)

        yield from self.card.follow(run, lambda: curves.run(wanted), show,
                                    lambda: {self.chart: drawn(wanted, found), self.orders: table(found)},
                                    lambda event: f"{len(found)} of {total} runs, {event_words(event)}")


def drawn(wanted: Curves, points: Sequence[Point]) -> PlotData:
    """The curves as far as they are known; runs that failed leave a gap."""
    traces = []
    for number, name in enumerate(wanted.solvers):
        own = [point for point in points if point.solver == name]
        traces.append(charts.line(number, row(name).title, [point.calls for point in own],
                                  [point.error for point in own]))
    unit = problems.load(wanted.problem).unit
    return charts.figure(traces, "Network calls", unit[:1].upper() + unit[1:], log="xy", height=460)


def table(points: Sequence[Point]) -> str:
    """Measured order beside the claimed one, and why runs failed."""
    rows = [[entry.title, entry.claimed, "too few points" if entry.measured is None else f"{entry.measured:.2f}",
             entry.points] for entry in curves.orders(points)]
    failed = [f"{row(point.solver).title}, {point.budget} calls: {point.reason}" for point in points if point.reason]
    inside = (figures.table(["Solver", "Claimed order", "Measured order", "Points used"], rows)
              + figures.bullets(list(dict.fromkeys(failed))))
    return f"<div class='result'>{inside}</div>"
