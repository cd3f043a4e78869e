"""What a finished segmentation shows: a mask to look at and correct in the page, measurements, notes and files."""

import re
from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.errors import InputError
from engine.io.medical.scan import slices as named
from engine.tasks.base import Result
from ui import figures, message, runs
from ui.assets import web
from ui.events import QUIET
from ui.segmentation import kept, layers, request, saving, scans
from ui.segmentation.kept import Kept
from ui.segmentation.request import Work

SCRIPTS = ("mask_objects.js", "mask_draw.js", "mask_slices.js", "mask.js")
"""They make one script; the last one starts it."""
NOTICE = "Research use, not for diagnosis."
_OF_SAMPLES = "Measurements of the samples"
_NOT_FUSED = "Each sample measured alone. The line under the picture measures the one mask of all samples together."
_INTERVAL = re.compile(r"(.+) (low|high)")


class MaskView:
    """The result part of a tab; hidden until there is one. Build it where it should stand.

    components: what `show` updates.
    """

    def __init__(self, name: str):
        self._name = name
        with gr.Column(visible=False, elem_classes="result", elem_id=f"{name}-result") as self.box:
            gr.HTML(f"<h2>Mask</h2><p>{NOTICE}</p>", padding=False)
            self.view = gr.HTML(None, html_template=web("mask.html"), js_on_load="".join(map(web, SCRIPTS)),
                                apply_default_css=False, elem_id=f"{name}-mask", padding=False)
            self.problem = message.area(f"{name}-mask-message")
            with gr.Column(visible=False, elem_id=f"{name}-corrected") as self.saved:
                self.saved_numbers = gr.HTML(padding=False)
                self.saved_files = gr.File(label="Files of the corrected mask", file_count="multiple",
                                           interactive=False, elem_id=f"{name}-corrected-files")
            self.numbers = gr.HTML(padding=False, elem_id=f"{name}-numbers")
            self.files = gr.File(label="Files: pictures carry their settings", file_count="multiple", interactive=False,
                                 elem_id=f"{name}-files")
        self.components: list[Component] = [self.box, self.view, self.problem, self.saved, self.numbers, self.files]
        self.view.submit(self._save, self.view, [self.saved, self.saved_numbers, self.saved_files, self.problem],
                         **QUIET)
        self.view.select(self._look, self.view, [self.view, self.problem], trigger_mode="always_last", **QUIET)

    def show(self, result: Result, files: list[str], inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that fill the view. inputs: what the task was given, a scan as "picture"."""
        run, found = kept.keep(result, inputs["picture"])
        return {self.box: gr.update(visible=True), self.view: _shown(run, found, found.shown), self.problem: None,
                self.saved: gr.update(visible=False), self.files: files,
                self.numbers: measurements(result.metrics) + figures.bullets(result.notes)}

    def _look(self, sent: Any) -> Any:
        """Another slice of a run."""
        try:
            found, index = kept.find(sent.get("run") if isinstance(sent, Mapping) else None), sent.get("slice")
            if type(index) is not int:
                raise InputError("There is no such slice.", fix="Move to another one.")
            return {self.view: _shown(sent["run"], found, index), self.problem: None}
        except InputError as error:
            return {self.problem: message.error(self._name, error)}

    def _save(self, sent: Any) -> Any:
        saved, numbers, files, problem = self.saved, self.saved_numbers, self.saved_files, self.problem
        try:
            work = request.work(sent)
            measured = saving.measured(work)
            paths, notes = saving.write(work, measured, scans.new_folder())
        except InputError as error:
            return {problem: message.error(self._name, error)}
        except Exception:
            return {problem: message.error(self._name, runs.bug("Saving a mask", runs.new_id()))}
        scans.register(*paths)
        text = measurements(saving.numbers(measured), "Corrected by hand") + figures.bullets([_edited(work), *notes])
        return {saved: gr.update(visible=True), numbers: text, files: [str(path) for path in paths], problem: None}


def _shown(run: str, found: Kept, index: int) -> dict[str, Any]:
    """The view's value for a slice of a run."""
    spacing, target = found.scan.spacing_mm, str(found.recipe.options.get("target", ""))
    return layers.message(found.slice(index), run, spacing[1:] if spacing else None) | {
        "work": f"{found.scan_id} {target}", "slice": index, "slices": list(found.indices),
        "depth": len(found.scan.values)}


def _edited(work: Work) -> str:
    """How much the person changed, and where."""
    pixels = figures.number(sum(found.edited for found in work.slices.values()))
    where = [index + 1 for index, found in work.slices.items() if found.edited]
    place = f" ({named(where)})" if where and len(work.current.scan.values) > 1 else ""
    return f"{pixels} pixels differ from the program's mask at this threshold{place}."


def measurements(metrics: Mapping[str, float], title: str = "Measurements of the program's mask") -> str:
    """A table of measurements below its title; where there are several samples, of their medians and intervals."""
    parts = {name: _INTERVAL.fullmatch(name) for name in metrics}
    plain = [name for name, part in parts.items() if part is None]
    if not plain:
        return ""
    spread = any(parts.values())
    rows = []
    for name in plain:
        row: list[Any] = [name.replace("mm2", "mm²").replace("mm3", "mm³"), _whole(metrics[name])]
        if spread:
            low, high = (metrics.get(f"{name} {end}") for end in ("low", "high"))
            row.append("–" if low is None or high is None else f"{figures.number(_whole(low))} to "
                       f"{figures.number(_whole(high))}")
        rows.append(row)
    if not spread:
        return f"<h3>{title}</h3>" + figures.table(["Measurement", "Value"], rows)
    head = ["Measurement", "Median of the samples", "90 % of the samples"]
    return f"<h3>{_OF_SAMPLES}</h3><p>{_NOT_FUSED}</p>" + figures.table(head, rows)


def _whole(value: float) -> float | int:
    """Counts without decimals."""
    return int(value) if float(value).is_integer() else float(value)
