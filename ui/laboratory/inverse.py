"""Inverse problems: one measurement solved by several methods, beside the truth, with honest figures."""

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from PIL import Image

from engine import steering
from engine.errors import InputError
from engine.io.pictures import Picture
from engine.tasks.inverse import measurements
from engine.tasks.laboratory import problems
from engine.tasks.laboratory.inverse import compare, contest, report
from engine.tasks.laboratory.inverse.compare import Cell, Scene
from engine.tasks.laboratory.inverse.contest import BUDGETS, CLASSICAL, EQUAL, OWN, SAME, Contest, Entry
from engine.tasks.laboratory.inverse.report import FIGURES
from ui import runs
from ui.assets import web
from ui.events import QUIET
from ui.laboratory.form import Form, Values, trusted
from ui.laboratory.run_card import RunCard, Updates, progress
from ui.picture_input import check_offer, picked, picture_input, picture_of
from ui.settings import duration
from ui.viewer import words as event_words

NAME = "inverse"
DRAWN, GIVEN = "drawn", "given"
_SOURCES = {DRAWN: "Drawn by the prior", GIVEN: "A picture of yours"}
_FLOWER = "daisy"
_MOST_AT_FIRST_S = 12
_AGAIN = 3
"""Methods that are sent with the newest one: of values that come together a busy page sees only the last."""
PRESETS: dict[str, Values] = {
    "x4": {},
    "Box": {"measurement": "box", "methods": ["ddnm", "ddrm", "repaint", "replacement", "classical:biharmonic"]},
    "Blur with noise": {"measurement": "blur", "samples": 8,
                        "methods": ["ddnm", "diffpir", "pigdm", "afdps", "classical:Wiener"]},
    "Phase retrieval": {"measurement": "phase", "methods": ["afdps", "dps", "red_diff"], "steps": 100},
}
_ABOUT = {
    "psnr_mean_db": "Nearness of the mean to the truth; more is better.",
    "psnr_db": "Nearness of the first sample, or of the particle that counts most; more is better.",
    "ssim_mean": "Structural similarity of the mean, at most 1.", "ssim": "Structural similarity of one sample.",
    "spectral_error": "Sharpness of one sample against the truth: 0 is equal, 0.3 a factor of two in power.",
    "consistency": "Distance from the measurement: with noise its share of what noise explains, 1 is right; without "
                   "noise a share of the measurement, 0 is right.",
    "spread": "Mean standard deviation over the samples, neither good nor bad in itself.",
    "coverage": "Share of the pixels whose truth lies in the samples' 90 % interval; 90 % is honest.",
}
_LEGEND = [f"Spread: the standard deviation over the samples, yellow is {compare.SPREAD_TOP:g} or more and violet "
           "none; black and white are 2 apart. 90 % interval: how much of the truth lies in it; 90 % is honest.",
           "Choose two pictures to lay them over each other."]


def defaults() -> Values:
    """What a fresh page shows: a flower found again from averages of 4 x 4 pixels, by five fast methods."""
    model = next(iter(contest.priors_known()), "")
    label = _FLOWER if _FLOWER in {name for _, name in _labels(model)} else ""
    return {"measurement": "small4", "noise": 0.0, "source": DRAWN, "draw": 4, "model": model, "label": label,
            "guidance": 2.0, "methods": ["ddnm", "ddrm", "diffpir", "replacement", "classical:bicubic"],
            "budget": SAME, "steps": 20, "samples": 4, "seed": 0}


def preset(values: Mapping[str, Any]) -> Values:
    """All values of a preset, with the noise that is usual for its measurement."""
    chosen = defaults() | dict(values)
    return chosen | {"noise": measurements.kind(chosen["measurement"]).noise}


def wanted(values: Mapping[str, Any], picture: Picture | None = None) -> Contest:
    """The checked contest of these values. Raises InputError naming the control.

    picture: the truth where the source is a person's own one; without it, one that stands in for the time being.
    """
    if values["source"] not in _SOURCES:
        raise InputError(f"The source is {str(values['source'])[:40]!r}.", fix="Choose one of the two.", field="source")
    given = (picture or Picture(np.zeros((8, 8, 3), np.uint8))) if values["source"] == GIVEN else None
    rest = {name: values[name] for name in ("measurement", "noise", "draw", "model", "label", "budget", "steps",
                                            "samples", "seed")}
    guidance = values["guidance"] if values["label"] else 1.0
    return Contest(tuple(values["methods"] or ()), picture=given, guidance=guidance, **rest)


def adapted(values: Mapping[str, Any]) -> Values:
    """The same values for another measurement: its usual noise, and a classical method of its own for one it lacks."""
    kind = measurements.kind(values["measurement"])
    fitting = contest.classical(kind.name)
    chosen = [name for name in values["methods"] if not name.startswith(CLASSICAL) or name in fitting]
    if len(chosen) < len(values["methods"]) and not set(chosen) & set(fitting):
        chosen += fitting[:1]
    return dict(values) | {"noise": kind.noise, "methods": chosen}


def cleaned(stored: Any) -> Values:
    """Values that can run, from whatever a browser kept. A picture is not kept, so the source is not either."""
    drawn = {"source": DRAWN}
    return trusted(stored, defaults(), lambda values: wanted(values | drawn)) | drawn


def cost(values: Mapping[str, Any]) -> str:
    """"5 methods, 110 network calls, about 3.2 s", or why it cannot be started."""
    try:
        asked = wanted(values)
        known = contest.plan(asked)
        unable = sum(not entry.able for entry in contest.lineup(asked))
    except InputError as problem:
        return f"<p>{problem}</p>"
    count = f"{known.methods} method{'' if known.methods == 1 else 's'}"
    count += f" ({unable} cannot be used here)" if unable else ""
    return f"<p>{count}, {known.calls} network calls, about {duration(known.seconds)}</p>"


def menu(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All methods as (title, name): those that can serve the measurement first, classical ones last."""
    offers = measurements.kind(values["measurement"]).make(32).offers
    noise = values["noise"]
    able, unable = [], []
    for row in steering.catalogue():
        if row.needs not in offers:
            unable.append((f"{row.title} (not for this measurement)", row.name))
        elif noise and not row.noisy:
            unable.append((f"{row.title} (takes no noise)", row.name))
        else:
            able.append((row.title, row.name))
    plain = [(f"{contest.title(name)} (no prior)", name) for name in contest.classical(values["measurement"])]
    return [*able, *plain, *unable]


class InverseView:
    """The view's components and events. Build it inside a gr.Tab."""

    def __init__(self):
        start = defaults()
        with gr.Column(elem_id=f"tab-{NAME}", elem_classes="task-tab"):
            gr.HTML("<p>A picture is measured incompletely, and every method finds it again from the same measurement. "
                    "The truth is known here, so you can see how near each comes, and whether its samples are honest "
                    "about what the measurement leaves open.</p>", elem_classes="summary", padding=False)
            with gr.Row(elem_classes="bench"):
                with gr.Column(scale=4, min_width=320, elem_classes="side"):
                    self._settings(start)
                with gr.Column(scale=8, min_width=320, elem_classes="main"):
                    self.card = RunCard(NAME, "<p>5 methods, 110 network calls, a few seconds</p>")
                    self.sheet = self._html("sheet")
                    self.scores = self._html("scores")
                    self.files = gr.File(label="Everything as one picture, and its numbers as JSON", visible=False,
                                         file_count="multiple", interactive=False, elem_id=f"{NAME}-files")
        self._connect()

    def _html(self, name: str) -> gr.HTML:
        return gr.HTML(None, html_template=web(f"{name}.html"), js_on_load=web(f"{name}.js"), apply_default_css=False,
                       elem_id=f"{NAME}-{name}", elem_classes=["viewer", f"{name}-box"], container=True, padding=True)

    def _settings(self, start: Values) -> None:
        with gr.Row(elem_classes="examples"):
            gr.HTML("<span>Examples</span>", padding=False, elem_classes="examples-label")
            self.presets = [(gr.Button(title, size="sm", min_width=60), values) for title, values in PRESETS.items()]
        form = self.form = Form(NAME)
        with gr.Column(elem_classes="card"):
            form.add("measurement", gr.Dropdown, label="What is measured", filterable=False,
                     value=start["measurement"],
                     choices=[(measurements.kind(name).title, name) for name in measurements.names()])
            form.add("noise", gr.Slider, label="Noise of the measurement", minimum=0, maximum=1, step=0.01, buttons=[],
                     value=start["noise"], info="standard deviation; black and white are 2 apart")
            form.add("source", gr.Radio, label="The picture", value=start["source"],
                     choices=[(title, name) for name, title in _SOURCES.items()])
            form.add("draw", gr.Number, label="Which one (seed)", precision=0, minimum=0, maximum=contest.MOST_SEED,
                     value=start["draw"], info="drawn by the prior that the methods use")
            # An update of the box itself would lose what it was made with, so its surroundings are shown and hidden.
            with gr.Column(visible=False) as self.own:
                self.picture = picture_input(label="Your picture", words="Its central square is used, made small.",
                                             elem_id=f"{NAME}-picture")
        with gr.Column(elem_classes="card"):
            # Custom values, because the menu may change while the page still sends what it offered before.
            form.add("methods", gr.Dropdown, label="Methods", multiselect=True, value=start["methods"],
                     choices=menu(start), max_choices=contest.MOST_METHODS, allow_custom_value=True,
                     info="classical ones use no prior")
            form.add("budget", gr.Dropdown, label="Steps", filterable=False, value=start["budget"],
                     choices=[(title, name) for name, title in BUDGETS.items()])
            low, high = contest.STEPS
            form.add("steps", gr.Slider, label="Number of steps", minimum=low, maximum=high, step=1, buttons=[],
                     value=start["steps"])
            low, high = contest.SAMPLES
            form.add("samples", gr.Slider, label="Samples of each method", minimum=low, maximum=high, step=1,
                     buttons=[], value=start["samples"], info="intervals need three and more")
            form.add("seed", gr.Number, label="Seed of noise and samples", precision=0, minimum=0,
                     maximum=contest.MOST_SEED, value=start["seed"])
        with gr.Column(elem_classes="card"):
            known = contest.priors_known()
            form.add("model", gr.Dropdown, label="Prior", filterable=False, value=start["model"],
                     visible=len(known) > 1, choices=[(problems.load(name).title, name) for name in known])
            form.add("label", gr.Dropdown, label="What the prior is told to expect", filterable=False,
                     value=start["label"], choices=_labels(start["model"]))
            form.add("guidance", gr.Slider, label="Guidance", minimum=0, maximum=8, step=0.5, buttons=[],
                     value=start["guidance"], visible=bool(start["label"]))

    def _connect(self) -> None:
        form, card = self.form, self.card
        parts = form.components
        costs = {"fn": lambda *given: cost(form.values(given)), "inputs": parts, "outputs": card.cost, **QUIET}
        outputs = [*parts, self.own]
        for name, part in form.parts.items():
            change = self._change_measurement if name == "measurement" else self._fit
            part.input(change, parts, outputs, trigger_mode="always_last", **QUIET).then(**form.save()).then(**costs)
        for button, values in self.presets:
            button.click(lambda values=values: self._all(preset(values)), None, outputs, **QUIET).then(
                **form.save()).then(**costs)
        self.picture.upload(check_offer, self.picture, self.picture, **QUIET)
        card.connect(self._run, [self.picture, *parts], [self.sheet, self.scores, self.files, card.cost],
                     self.sheet.expand, self._first_run)

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        self.form.keep(demo, lambda kept: self._all(cleaned(kept)), [*self.form.components, self.own])

    def _change_measurement(self, *given: Any) -> Updates:
        return self._all(adapted(self.form.values(given)))

    def _fit(self, *given: Any) -> Updates:
        had = self.form.values(given)
        values = dict(had)
        if values["label"] not in {name for _, name in _labels(values["model"])}:
            values["label"] = ""
        return self._all(values, had)

    def _all(self, values: Values, had: Mapping[str, Any] | None = None) -> dict[Component, Any]:
        """What brings the controls to these values; those that equal `had`, which the page sent, are not sent back."""
        changes: dict[str, dict[str, Any]] = {name: {} for name in values}
        changes["methods"]["choices"] = menu(values)
        changes["label"]["choices"] = _labels(values["model"])
        changes["label"]["visible"] = len(_labels(values["model"])) > 1
        changes["guidance"]["visible"] = bool(values["label"])
        changes["draw"]["visible"] = values["source"] == DRAWN
        changes["steps"]["visible"] = values["budget"] != OWN
        for name, change in changes.items():
            if had is None or had.get(name) != values[name]:
                change["value"] = values[name]
        return {self.form.parts[name]: gr.update(**change) for name, change in changes.items()} | {
            self.own: gr.update(visible=values["source"] == GIVEN)}

    def _first_run(self, *given: Any) -> Iterator[Updates]:
        """The run that fills the view when it is opened, if that is a matter of seconds."""
        values = self.form.values(given[1:])
        try:
            quick = contest.plan(wanted(values)).seconds <= _MOST_AT_FIRST_S
        except InputError:
            quick = False
        yield from self._run(*given) if quick else [{self.card.cost: cost(values)}]

    def _run(self, box: Any, *given: Any) -> Iterator[Updates]:
        run, values = runs.new_id(), self.form.values(given)
        try:
            own = picture_of(picked(box)) if values["source"] == GIVEN else None
            asked = wanted(values, own)
            if asked.budget == EQUAL:
                yield {self.card.progress: progress(run, "working", "timing the methods", 0.0)}
            entries = contest.lineup(asked)
        except InputError as problem:
            yield self.card.refuse(run, problem)
            return
        table = {"run": run, "layout": layout(asked, entries), "legend": _LEGEND}
        found: list[Cell] = []
        scene: list[Scene] = []
        shown: list[list[dict[str, Any]]] = []
        total = len(entries)
        yield {self.files: gr.update(visible=False), self.sheet: table, self.scores: scores(run, asked, entries, found)}

        def show(item: Scene | Cell) -> tuple[Updates, str, None]:
            if isinstance(item, Scene):
                scene.append(item)
                shown.append(drawn_scene(item, asked))
            else:
                found.append(item)
                shown.append(drawn(item))
            return ({self.sheet: table | {"cells": _named(shown[-_AGAIN:])},
                     self.scores: scores(run, asked, entries, found)}, f"{len(found)} of {total} methods", None)

        with TemporaryDirectory(prefix="diffuscope-", ignore_cleanup_errors=True) as folder:
            def end() -> Updates:
                files = [str(path) for path in write(asked, scene[0], found, Path(folder))]
                return {self.sheet: table | {"cells": _named(shown)},
                        self.files: gr.update(value=files, visible=True), self.card.cost: cost(values)}

            yield from self.card.follow(run, lambda: compare.run(asked), show, end,
                                        lambda event: f"{len(found)} of {total} methods, {event_words(event)}")


def write(asked: Contest, scene: Scene, cells: Sequence[Cell], folder: Path) -> list[Path]:
    """The contest's picture and numbers as two files in the folder."""
    sheet, numbers = folder / "inverse.png", folder / "inverse.json"
    Image.fromarray(report.contact_sheet(asked, scene, cells)).save(sheet)
    numbers.write_text(report.to_json(asked, cells), encoding="utf-8")
    return [sheet, numbers]


def layout(asked: Contest, entries: Sequence[Entry]) -> dict[str, list]:
    """Rows and columns of the sheet: the problem, then the methods."""
    several = ["Mean", *(f"Sample {i + 1}" for i in range(min(asked.samples, compare.SHOWN_SAMPLES))), "Spread"]
    columns = [["Result"] if entry.method.startswith(CLASSICAL) or asked.samples == 1 else several for entry in entries]
    return {"blocks": [""], "columns": [["Truth", "What was measured"], *columns],
            "rows": ["The problem", *(report.headline(entry.title, entry.steps) for entry in entries)]}


def drawn_scene(scene: Scene, asked: Contest) -> list[dict[str, Any]]:
    """The first row as the page draws it."""
    noise = f"noise {asked.noise:g}" if asked.noise else "no noise"
    source = "yours, made small" if asked.picture else "drawn by the prior"
    kind = measurements.kind(asked.measurement).title
    entries = (("Truth", scene.truth, [source]), ("What was measured", scene.measured, [kind, noise]))
    return [{"index": [0, 0, column], "name": name, "picture": _png(picture), "words": words, "reason": ""}
            for column, (name, picture, words) in enumerate(entries)]


def drawn(cell: Cell) -> list[dict[str, Any]]:
    """A method's row as the page draws it."""
    row = cell.index + 1
    if cell.reason:
        return [{"index": [0, row, 0], "name": cell.title, "picture": None, "words": [], "reason": cell.reason,
                 "wide": True}]
    return [{"index": [0, row, column], "head": name, "name": f"{cell.title}, {name}", "picture": _png(picture),
             "words": list(report.words(cell, name)), "reason": ""}
            for column, (name, picture) in enumerate(cell.pictures.items())]


def _named(rows: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    """The cells of some rows by their places: values are sent as differences, and names keep cells whole."""
    return {"/".join(map(str, cell["index"])): cell for row in rows for cell in row}


def scores(run: str, asked: Contest, entries: Sequence[Entry], cells: Sequence[Cell]) -> dict[str, Any]:
    """The table of figures: a row for every method from the start, best values marked as far as they are known."""
    best = report.best(asked, cells)
    done = {cell.index: cell for cell in cells}
    columns = [{"title": figure.title, "about": _ABOUT[name], "falling": figure.wanted == report.HIGH}
               for name, figure in FIGURES.items()]
    columns += [{"title": "Calls", "about": "Network calls"}, {"title": "Seconds", "about": "For all samples"}]
    rows = []
    for index, entry in enumerate(entries):
        cell = done.get(index)
        told = "" if cell is None else "cannot be used here, see above" if cell.reason else None
        rows.append({"name": entry.title, "told": told, "values": [] if told is not None else _values(cell, best)})
    notes = ["The star marks the best value. Press a title to sort."]
    return {"run": run, "columns": columns, "rows": rows,
            "notes": [*notes, *(f"{cell.title}: {note}" for cell in cells for note in cell.notes)]}


def _values(cell: Cell, best: Mapping[str, frozenset[int]]) -> list[dict[str, Any]]:
    found = []
    for name, figure in FIGURES.items():
        value = cell.figures.get(name, math.nan)
        known = math.isfinite(value)
        text = f"{100 * value:.0f} %" if name == "coverage" else f"{value:.{figure.digits}f}"
        found.append({"text": text if known else "–", "number": value if known else None,
                      "best": cell.index in best.get(name, ())})
    return [*found, {"text": str(cell.calls), "number": cell.calls, "best": False},
            {"text": f"{cell.seconds:.1f}", "number": cell.seconds, "best": False}]


def _labels(model: str) -> list[tuple[str, str]]:
    return [("anything it knows", ""), *((name, name) for name in (problems.load(model).labels if model else ()))]


def _png(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=3)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
