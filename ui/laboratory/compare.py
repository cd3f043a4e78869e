"""Compare: a table of runs that differ in up to three settings, all from the same noise."""

import base64
import io
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from PIL import Image

from engine.errors import InputError
from engine.solvers.plan import Plan
from engine.tasks.laboratory import axes, compare, problems
from engine.tasks.laboratory.axes import AXES
from engine.tasks.laboratory.compare import Axis, Cell, Comparison
from ui import figures, runs
from ui.assets import web
from ui.events import QUIET
from ui.laboratory import choices, plans
from ui.laboratory.form import Form, Values, trusted
from ui.laboratory.plans import PlanFiles
from ui.laboratory.run_card import RunCard, Updates
from ui.settings import duration
from ui.viewer import words as event_words

NAME = "compare"
DIRECTIONS = {"across": "Across", "down": "Down", "blocks": "Blocks"}
"""Where an axis stands in the table, and its title; the engine wants them in the opposite order."""
_MOST_AT_FIRST_S = 12
_AGAIN = 4
"""Cells that are sent with the newest one: of values that come together a busy page sees only the last."""
_FIXED = ("problem", "label", "guidance", "solver", "steps", "spacing", "schedule", "seed")
PRESETS: dict[str, Values] = {
    "Solvers and steps": {},
    "Flowers, 3 x 4": {"problem": "flowers", "label": "sunflower", "guidance": 2.0,
                       "across_values": ["5", "10", "15", "20"]},
    "Spacings": {"across": "spacing", "across_values": choices.start("spacing", "mixture"),
                 "down_values": ["ddim", "dpmpp_2m"]},
    "Noise in DDIM": {"across": "option:eta", "across_values": ["0", "0.5", "1"], "down": "steps",
                      "down_values": ["5", "20", "100"], "solver": "ddim"},
}


def defaults() -> Values:
    """What a fresh page shows: three solvers at four numbers of steps on the mixture."""
    return {"across": "steps", "across_values": ["5", "10", "20", "50"], "down": "solver",
            "down_values": choices.start("solver", "mixture"), "blocks": "", "blocks_values": [],
            **{name: kind.default for name, kind in AXES.items()}}


def comparison(values: Mapping[str, Any], own: Sequence[Plan] = ()) -> Comparison:
    """The checked comparison of these values and a person's own plans. Raises InputError naming the control."""
    chosen = []
    for direction in reversed(DIRECTIONS):
        if axis := values[direction]:
            entries = values[f"{direction}_values"] or []
            if not entries:
                raise InputError(f"{axes.title(axis)} has no values.", "An axis needs at least one.",
                                 "Choose some, or set the axis to none.", f"{direction}_values")
            chosen.append(Axis(axis, tuple(choices.parsed(axis, entry) for entry in entries)))
    used = {axis.name for axis in chosen}
    fixed = {name: choices.parsed(name, values[name]) for name in AXES if name not in used}
    return Comparison(tuple(chosen), fixed, plans=tuple(own))


def adapted(values: Mapping[str, Any]) -> Values:
    """The same values made to fit together: a class that the problem has, and one wherever guidance needs it."""
    result = dict(values)
    labels = axes.choices("label", result["problem"])
    if result["label"] not in labels:
        result["label"] = ""
    if not result["label"] and "label" not in _used(result):
        result["guidance"] = 1.0
        if "guidance" in _used(result) and len(labels) > 1:
            result["label"] = labels[1]
    return result


def cleaned(stored: Any) -> Values:
    """Values that can run, from whatever a browser kept."""
    return trusted(stored, defaults(), comparison)


def cost(values: Mapping[str, Any], files: Sequence[str] | None = None) -> str:
    """"12 runs, 255 network calls, about 0.4 s", or why it cannot be started. files: plans of a person's own."""
    try:
        wanted = compare.plan(comparison(values, plans.read_all(files)))
    except InputError as problem:
        return f"<p>{problem}</p>"
    extra = f" and {wanted.reference_calls} for the fine solution" if wanted.reference_calls else ""
    return (f"<p>{wanted.cells} run{'' if wanted.cells == 1 else 's'}, {wanted.calls} network calls{extra}, "
            f"about {duration(wanted.seconds)}</p>")


class CompareView:
    """The view's components and events. Build it inside a gr.Tab."""

    def __init__(self):
        start = defaults()
        with gr.Column(elem_id=f"tab-{NAME}", elem_classes="task-tab"):
            gr.HTML("<p>Vary up to three settings and see every combination, from the same start noise. The error is "
                    "the distance from a very fine solution that starts at the same noise.</p>",
                    elem_classes="summary", padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=4, min_width=320, elem_classes="side"):
                    self._settings(start)
                with gr.Column(scale=8, min_width=320, elem_classes="main"):
                    self.card = RunCard(NAME, "<p>12 runs, a few seconds</p>")
                    self.sheet = gr.HTML(None, html_template=web("sheet.html"), js_on_load=web("sheet.js"),
                                         apply_default_css=False, elem_id=f"{NAME}-sheet", elem_classes="viewer",
                                         container=True, padding=True)
                    self.files = gr.File(label="The table as a picture, and its numbers as JSON", visible=False,
                                         file_count="multiple", interactive=False, elem_id=f"{NAME}-files")
        self._connect()

    def _settings(self, start: Values) -> None:
        with gr.Row(elem_classes="examples"):
            gr.HTML("<span>Examples</span>", padding=False, elem_classes="examples-label")
            self.presets = [(gr.Button(title, size="sm", min_width=60), values) for title, values in PRESETS.items()
                            if values.get("problem", "mixture") in problems.names()]
        form = self.form = Form(NAME)
        with gr.Column(elem_classes="card"):
            menu = [("none", ""), *choices.axis_menu()]
            for direction, title in DIRECTIONS.items():
                axis = start[direction]
                form.add(direction, gr.Dropdown, label=title, choices=menu, value=axis, filterable=False)
                form.add(f"{direction}_values", gr.Dropdown, multiselect=True, allow_custom_value=True,
                         value=start[f"{direction}_values"], **_values_menu(axis, "mixture"))
        with gr.Column(elem_classes="card"):
            gr.HTML("<p>The same in every cell</p>", elem_classes="hint", padding=False)
            shown = _shown(start)
            for name in _FIXED:
                kind = AXES[name]
                fixed = {"label": kind.title, "value": start[name], "visible": name in shown}
                if kind.choices:
                    form.add(name, gr.Dropdown, choices=choices.offered(name, "mixture"), filterable=False, **fixed)
                else:
                    low, high = kind.bounds
                    form.add(name, gr.Number, minimum=low, maximum=high, **fixed,
                             precision=0 if isinstance(kind.default, int) else None)
            self.plans = PlanFiles(NAME)

    def _connect(self) -> None:
        form, card = self.form, self.card
        parts = form.components
        inputs = [self.plans.files, *parts]
        # The cost comes after the controls: timing a model for the first time takes a moment.
        costs = {"fn": lambda files, *given: cost(form.values(given), files), "inputs": inputs, "outputs": card.cost,
                 **QUIET}
        self.plans.connect(card.message, costs)
        for direction in DIRECTIONS:
            form.parts[direction].input(self._change_axis(direction), parts, parts, **QUIET).then(
                **form.save()).then(**costs)
        for name, part in form.parts.items():
            if name not in DIRECTIONS:
                # A value that was typed into a menu of several values tells only that the menu changed.
                changed = part.change if name.endswith("_values") else part.input
                changed(self._adapt, parts, parts, trigger_mode="always_last", **QUIET).then(
                    **form.save()).then(**costs)
        for button, values in self.presets:
            button.click(lambda values=values: self._all(adapted(defaults() | values)), None, parts, **QUIET).then(
                **form.save()).then(**costs)
        card.connect(self._run, inputs, [self.sheet, self.files, card.cost], self.sheet.expand, self._first_run)

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        self.form.keep(demo, lambda kept: self._all(cleaned(kept)) if kept else {self.form.parts["across"]: gr.skip()},
                       self.form.components)

    def _change_axis(self, direction: str) -> Callable[..., Updates]:
        def change(*given: Any) -> Updates:
            values = self.form.values(given)
            axis = values[direction]
            values[f"{direction}_values"] = choices.start(axis, values["problem"]) if axis else []
            return self._all(adapted(values))

        return change

    def _adapt(self, *given: Any) -> Updates:
        had = self.form.values(given)
        return self._all(adapted(had), had)

    def _all(self, values: Values, had: Mapping[str, Any] | None = None) -> dict[Component, Any]:
        """What brings the controls to these values; those that equal `had`, which the page sent, are not sent back."""
        shown, problem = _shown(values), values["problem"]
        changes: dict[str, dict[str, Any]] = {name: {} for name in values}
        for direction in DIRECTIONS:
            changes[f"{direction}_values"] = _values_menu(values[direction], problem)
        for name in AXES:
            changes[name] = {"visible": name in shown}
        changes["label"]["choices"] = choices.offered("label", problem)
        for name, change in changes.items():
            if had is None or had.get(name) != values[name]:
                change["value"] = values[name]
        return {self.form.parts[name]: gr.update(**change) for name, change in changes.items()}

    def _first_run(self, *given: Any) -> Iterator[Updates]:
        """The run that fills the view when it is opened, if that is a matter of seconds."""
        try:
            quick = compare.plan(comparison(self.form.values(given[1:]))).seconds <= _MOST_AT_FIRST_S
        except InputError:
            quick = False
        yield from self._run(*given) if quick else [{self.card.cost: gr.skip()}]

    def _run(self, files: list[str] | None, *given: Any) -> Iterator[Updates]:
        run, values = runs.new_id(), self.form.values(given)
        try:
            wanted = comparison(values, plans.read_all(files))
        except InputError as problem:
            yield self.card.refuse(run, problem)
            return
        table = {"run": run, "layout": layout(wanted), "legend": legend(wanted)}
        yield {self.files: gr.update(visible=False), self.sheet: table}
        found: list[Cell] = []
        shown: list[dict[str, Any]] = []
        total = math.prod(wanted.shape)

        def show(cell: Cell) -> tuple[Updates, str, float]:
            found.append(cell)
            shown.append(drawn(wanted, cell))
            return ({self.sheet: table | {"cells": shown[-_AGAIN:]}}, f"{len(found)} of {total} cells",
                    len(found) / total)

        def end() -> Updates:
            return {self.sheet: table | {"cells": shown}, self.files: gr.update(value=written(), visible=True),
                    self.card.cost: cost(values, files)}

        with exported(wanted, found) as written:
            yield from self.card.follow(
                run, lambda: compare.run(wanted), show, end,
                lambda event: f"{len(found)} of {total} cells, {event_words(event)}")


@contextmanager
def exported(wanted: Comparison, cells: Sequence[Cell]) -> Iterator[Callable[[], list[str]]]:
    """A function that writes the table's picture and numbers, into a folder that lives as long as the block."""
    folder = Path(tempfile.mkdtemp(prefix="diffuscope-"))
    try:
        yield lambda: [str(path) for path in write(wanted, cells, folder)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(wanted: Comparison, cells: Sequence[Cell], folder: Path) -> list[Path]:
    """The table's picture and numbers as two files in the folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    sheet, numbers = folder / "comparison.png", folder / "comparison.json"
    Image.fromarray(compare.contact_sheet(wanted, cells)).save(sheet)
    numbers.write_text(compare.to_json(wanted, cells), encoding="utf-8")
    return [sheet, numbers]


def layout(wanted: Comparison) -> dict[str, list[str]]:
    """The titles of blocks, rows and columns; a direction without an axis has one empty title."""
    titles = [[f"{axes.title(axis.name)} {axes.value_title(axis.name, value)}" for value in axis.values]
              for axis in wanted.axes]
    blocks, rows, columns = [[""]] * (3 - len(titles)) + titles
    return {"blocks": blocks, "rows": rows, "columns": columns}


def legend(wanted: Comparison) -> list[str]:
    """What error and quality are, for each problem of the comparison."""
    names = dict.fromkeys(wanted.settings(index)["problem"] for index in wanted.indices())
    found = [problems.load(str(name)) for name in names]
    return [(f"{problem.title}. " if len(found) > 1 else "") + f"Error: {problem.unit}. Quality: {quality}."
            for problem in found for quality in [problem.quality_title[:1].lower() + problem.quality_title[1:]]]


def drawn(wanted: Comparison, cell: Cell) -> dict[str, Any]:
    """A cell as the page draws it."""
    places = [0] * (3 - len(cell.index)) + list(cell.index)
    name = ", ".join(f"{axes.title(axis.name)} {axes.value_title(axis.name, axis.values[i])}"
                     for axis, i in zip(wanted.axes, cell.index, strict=True))
    words = [f"{title} {figures.number(value)}" for title, value in (("error", cell.error), ("quality", cell.quality))
             if value is not None]
    if not cell.reason:
        words.append(f"{cell.calls} call{'' if cell.calls == 1 else 's'}, {duration(cell.seconds)}")
    picture = None if cell.picture is None else _png(cell.picture)
    return {"index": places, "name": name, "picture": picture, "words": words, "reason": cell.reason}


def _png(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=3)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _used(values: Mapping[str, Any]) -> set[str]:
    return {values[direction] for direction in DIRECTIONS}


def _shown(values: Mapping[str, Any]) -> set[str]:
    """The fixed settings that have an effect: classes where there are some, guidance where there is a class."""
    used = _used(values)
    hidden = set(used)
    if not axes.choices("label", values["problem"])[1:]:
        hidden |= {"label", "guidance"}
    elif not values["label"] and "label" not in used:
        hidden |= {"guidance"}
    return set(AXES) - hidden


def _values_menu(axis: str, problem: str) -> dict[str, Any]:
    if not axis:
        return {"visible": False, "choices": []}
    typed = choices.typed(axis)
    return {"visible": True, "choices": choices.offered(axis, problem), "label": f"{axes.title(axis)}: values",
            "info": "type a number and press Enter to add it" if typed else "choose one or more"}
