"""What people give a task of scans: one box for pictures, series and volumes, with the slice that is looked at."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.errors import InputError
from engine.io.medical import Scan, window_of
from engine.runtime.settings import limits
from engine.tasks.base import Task
from ui.events import QUIET
from ui.picture_input import Accepted, picked, picture_input
from ui.segmentation import scans

OF_SCAN = ("task.slice", "task.centre", "task.width")
"""Settings whose ranges follow the scan, and which mean nothing for another one."""
_ACCEPTED = Accepted(types="", words="PNG, JPEG, TIFF, DICOM (also several files), NIfTI or a zip",
                     total_bytes=limits().scan_bytes)
_CONSENT = "I have checked that no name is burned into the picture"
_FINEST = 1000


class ScanEntry:
    """The input part of a tab. Build it where it should stand.

    components: what a run reads, in the order of `read`. The preview follows the settings slice, centre and width.
    """

    def __init__(self, task: Task):
        self.task, self._field = task, task.inputs[0].name
        self._first = task.examples[0].make()[self._field] if task.examples else None
        self.picture = picture_input(shown(self._first) if self._first else None, label=task.inputs[0].label,
                                     words=task.inputs[0].help, elem_id=f"{task.name}-picture", accepted=_ACCEPTED)
        self.consent = gr.Checkbox(label=_CONSENT, visible=False, elem_classes="scan-consent",
                                   elem_id=f"{task.name}-consent")
        self.components: list[Component] = [self.picture, self.consent]
        self._parts: dict[str, Component] = {}

    def connect(self, controls: Any) -> None:
        """Let the server check what is offered, and let the preview follow the settings. controls: the tab's."""
        self._parts = {name: controls.parts[name] for name in OF_SCAN if name in controls.parts}
        parts = list(self._parts.values())
        if self._first is not None:
            for name, start in _ranges(self._first).items():
                for what, value in start.items() if name in self._parts else ():
                    setattr(self._parts[name], what, value)
        self.picture.upload(self._check, self.picture, [*self.components, *parts], **QUIET)
        for part in parts:
            part.change(self._look, [self.picture, *parts], self.picture, trigger_mode="always_last", **QUIET)
        if {"task.centre", "task.width"} <= self._parts.keys():
            centre, width = self._parts["task.centre"], self._parts["task.width"]
            centre.input(self._opened, [self.picture, width], width, trigger_mode="always_last", **QUIET)

    def filled(self, inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that show these inputs."""
        scan = inputs[self._field]
        return self._fresh(scan, shown(scan))

    def read(self, payload: Any, consent: Any) -> dict[str, Any]:
        """The checked inputs, from what the components hold. Raises InputError."""
        scan = scans.kept(self._folder(payload))
        if scan.consent and consent is not True:
            raise InputError(" ".join(scan.consent), "Names must not go into results.",
                             f'Look at every slice and tick "{_CONSENT}".', field="consent")
        return {self._field: scan}

    def _folder(self, payload: Any) -> Path:
        box = picked(payload)
        if box.picture is None:
            raise InputError("There is no picture.", fix="Choose one, or one of the examples.", field=self._field)
        return Path(box.picture).parent

    def _check(self, payload: Any) -> dict[Component, Any]:
        """The box after files were offered: the new scan, or what was there with the reason."""
        box = picked(payload)
        before = {**(box.value or {}), "offered": None, "error": ""}
        if not box.files:
            return {self.picture: before}
        try:
            scan = scans.read_files(box.files, self._field)
            return self._fresh(scan, shown(scan))
        except InputError as error:
            return {self.picture: {**before, "error": str(error)}}

    def _fresh(self, scan: Scan, value: Mapping[str, Any]) -> dict[Component, Any]:
        ranges = _ranges(scan)
        consent = gr.update(value=False, visible=bool(scan.consent), info=" ".join(scan.consent))
        return {self.picture: value, self.consent: consent,
                **{part: gr.update(**ranges[name]) for name, part in self._parts.items()}}

    def _look(self, payload: Any, *given: Any) -> Any:
        """The box with the slice and the window of the settings."""
        box = picked(payload)
        numbers = dict(zip(self._parts, given))
        wanted = _looked(*(numbers.get(name) or 0 for name in OF_SCAN))
        if box.picture is None or (box.value or {}).get("looked") == wanted:
            return gr.skip()
        try:
            folder = self._folder(payload)
            return _value(scans.kept(folder), folder, wanted)
        except InputError as error:
            return {**(box.value or {}), "error": str(error)}

    def _opened(self, payload: Any, width: Any) -> Any:
        """The width that a window gets when its centre is moved: with a width of 0 the centre means nothing."""
        if width:
            return gr.skip()
        try:
            return window_of(scans.kept(self._folder(payload)))[1]
        except InputError:
            return gr.skip()


def shown(scan: Scan) -> dict[str, Any]:
    """The box's value for a scan: its middle slice in its own window."""
    return _value(scan, scans.keep(scan), [0, 0, 0])


def _looked(number: float, centre: float, width: float) -> list[float]:
    """Slice, centre and width as they matter."""
    return [number, centre if width else 0, width]


def _value(scan: Scan, folder: Path, wanted: list[float]) -> dict[str, Any]:
    number, centre, width = wanted
    path, size = scans.preview(scan, folder, int(number), float(centre), float(width))
    return {"picture": {"path": str(path), "orig_name": "picture.png", "meta": {"_type": "gradio.FileData"}},
            "size": list(size), "note": _note(scan, int(number)), "error": "", "mask": "", "looked": wanted,
            "marks": {"slices": str(len(scan.values)), "window": "no" if scan.is_colour else "yes"}}


def _note(scan: Scan, number: int) -> str:
    count = len(scan.values)
    lines = [f"Slice {number or count // 2 + 1} of {count}."] if count > 1 else []
    if scan.spacing_mm is not None:
        down, across = scan.spacing_mm[1:]
        lines.append(f"Pixels of {across:.3g} x {down:.3g} mm" + (f", slices {scan.spacing_mm[0]:.3g} mm apart."
                                                                 if count > 1 else "."))
    return " ".join([*lines, *scan.notes])


def _ranges(scan: Scan) -> dict[str, dict[str, Any]]:
    """For each setting of a scan what its control needs. Windows start as the scan proposes, with a width of 0."""
    low, high = (0.0, 255.0) if scan.is_colour else (float(scan.values.min()), float(scan.values.max()))
    # A slider needs a width, also for a scan of one value.
    high = high if high > low else low + 1
    step = _nice((high - low) / _FINEST)
    low, high = _on_grid(math.floor(low / step), step), _on_grid(math.ceil(high / step), step)
    centre = min(max(_on_grid(round(window_of(scan)[0] / step), step), low), high)
    widest = _on_grid(round(2 * (high - low) / step), step)
    return {"task.slice": {"minimum": 0, "maximum": max(len(scan.values), 1), "value": 0},
            "task.centre": {"minimum": low, "maximum": high, "step": step, "value": centre},
            "task.width": {"minimum": 0.0, "maximum": widest, "step": step, "value": 0.0}}


def _on_grid(count: int, step: float) -> float:
    """That many steps, without the digits that products of floats bring."""
    return float(f"{count * step:.9g}")


def _nice(step: float) -> float:
    """The nearest power of ten below, at most 1."""
    return min(1.0, 10.0 ** math.floor(math.log10(step)))
