"""What a finished segmentation shows: a mask to look at and correct in the page, measurements, notes and files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from engine.errors import InputError
from engine.io.medical import Scan
from engine.recipe import Recipe
from engine.tasks.base import Result
from ui import figures, message, runs
from ui.assets import web
from ui.events import QUIET
from ui.picture_input import decode_mask
from ui.segmentation import layers, saving, scans
from ui.segmentation.correction import corrected
from ui.shelf import Shelf

SCRIPTS = ("mask_objects.js", "mask_draw.js", "mask.js")
"""They make one script; the last one starts it."""
NOTICE = "Research use, not for diagnosis."
_KEPT_BYTES, _KEPT_S = 1_000_000_000, 3600
_INTERVAL = re.compile(r"(.+) (low|high)")


@dataclass(frozen=True, eq=False)
class Kept:
    """What a correction needs of a result: probability (H, W), instances (H, W) or None, recipe, and its scan."""

    probability: np.ndarray
    instances: np.ndarray | None
    recipe: Recipe
    scan: Scan


_results: Shelf[Kept] = Shelf(_KEPT_BYTES, _KEPT_S)


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

    def show(self, result: Result, files: list[str], inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that fill the view. inputs: what the task was given, a scan as "picture"."""
        arrays, scan = {name: array.values for name, array in result.arrays.items()}, inputs["picture"]
        kept = Kept(arrays["probability"], arrays.get("instances"), result.recipe, scan)
        shown = layers.message(result, _results.put(kept, _size(kept)))
        pixel_mm = list(scan.spacing_mm[1:]) if scan.spacing_mm else None
        return {self.box: gr.update(visible=True), self.view: shown | {"pixel_mm": pixel_mm}, self.problem: None,
                self.saved: gr.update(visible=False), self.files: files,
                self.numbers: measurements(result.metrics) + figures.bullets(result.notes)}

    def _save(self, sent: Any) -> Any:
        saved, numbers, files, problem = self.saved, self.saved_numbers, self.saved_files, self.problem
        try:
            kept, threshold, painted, erased = _checked(sent)
            found = corrected(kept.probability, kept.instances, threshold, painted, erased)
            measured = saving.measured(found, kept.scan)
            paths, notes = saving.write(found, measured, kept.recipe, kept.scan, threshold, scans.new_folder())
        except InputError as error:
            return {problem: message.error(self._name, error)}
        except Exception:
            return {problem: message.error(self._name, runs.bug("Saving a mask", runs.new_id()))}
        scans.register(*paths)
        edited = int((found.mask != (kept.probability > threshold)).sum())
        text = measurements(saving.numbers(measured), "Corrected by hand") + figures.bullets(
            [f"{figures.number(edited)} pixels differ from the program's mask at this threshold.", *notes])
        return {saved: gr.update(visible=True), numbers: text, files: [str(path) for path in paths], problem: None}


def measurements(metrics: Mapping[str, float], title: str = "Measurements of the program's mask") -> str:
    """A table of measurements below its title, with the interval over the samples where there is one."""
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
    head = ["Measurement", "Value", *(["90 % of the samples"] if spread else [])]
    return f"<h3>{title}</h3>" + figures.table(head, rows)


def _whole(value: float) -> float | int:
    """Counts without decimals."""
    return int(value) if float(value).is_integer() else float(value)


def _checked(sent: Any) -> tuple[Kept, float, np.ndarray, np.ndarray]:
    """The result that was corrected, the threshold, and what was painted and erased. Raises InputError."""
    key = sent.get("run") if isinstance(sent, Mapping) else None
    kept = _results.get(key) if isinstance(key, str) else None
    if kept is None:
        raise InputError("This result is no longer kept.", "Results are forgotten after one hour.",
                         "Run it again, and correct the new mask.")
    threshold = sent.get("threshold")
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
        raise InputError("The threshold is no number between 0 and 1.", fix="Move the slider and save again.")
    size = kept.probability.shape
    painted, erased = (decode_mask(sent[name], size, "mask") if isinstance(sent.get(name), str) and sent[name]
                       else np.zeros(size, bool) for name in ("painted", "erased"))
    return kept, float(threshold), painted, erased & ~painted


def _size(kept: Kept) -> int:
    parts = (kept.probability, kept.instances, kept.scan.values)
    return sum(part.nbytes for part in parts if part is not None)
