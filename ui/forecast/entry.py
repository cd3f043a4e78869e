"""What people give a forecast: a file of maps and the date to start from, or nothing, which invents a start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from engine.errors import InputError
from engine.io import inputs
from engine.io.fields import Field
from engine.runtime.settings import limits
from engine.tasks.base import Task
from engine.tasks.forecast.data import DOMAINS
from ui.assets import web
from ui.events import QUIET
from ui.picture_input import picked
from ui.shelf import Shelf

FORMATS = "NetCDF, a zipped Zarr store or GRIB"
_KEPT_S = 3600
_RUNS = 2000
"""Most stretches of equally spaced times that a page gets; a file with more gaps shows its last ones."""
_TELL = """(start) => {{ document.querySelector('#{0} .ff')?.dispatchEvent(
new CustomEvent('ff:start', {{ detail: start }})); }}"""
_PACES_H = {domain.unit: domain.step_hours for domain in DOMAINS.values()}
"""Steps of the models by the unit of their field: a start needs the state so long before."""
_shelf: Shelf[Field] = Shelf(limits().scan_bytes, _KEPT_S)


class FieldEntry:
    """The input part of a tab. Build it where it should stand.

    components: what a run reads, in the order of `read`. The setting "start" follows the date in the box, and back.
    """

    def __init__(self, task: Task):
        self._spec = task.inputs[0]
        self._id = f"{task.name}-field"
        self.file = gr.HTML(empty(), html_template=web("forecast_file.html"),
                            js_on_load=web("offer.js") + web("forecast_file.js"), apply_default_css=False,
                            label=self._spec.label, words=self._spec.help, formats=FORMATS,
                            limit_bytes=limits().field_bytes, elem_id=self._id, elem_classes="picture-input",
                            container=True, padding=True)
        self.components: list[Component] = [self.file]

    def connect(self, controls: Any) -> None:
        """Let the server check what is offered, and let the date and the setting follow each other."""
        start = controls.parts["task.start"]
        self.file.upload(self._check, self.file, [self.file, start], **QUIET)
        self.file.select(None, self.file, start, js="(box) => [box?.start || '']", api_visibility="private")
        start.change(None, start, None, js=_TELL.format(self._id), api_visibility="private")

    def filled(self, inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that show these inputs. Examples come without a file: their start is invented."""
        return {self.file: empty()}

    def read(self, payload: Any) -> dict[str, Any]:
        """The checked inputs, from what the component holds; none without a file. Raises InputError."""
        path = picked(_as_picture(payload)).picture
        return {self._spec.name: self._field(path)} if path else {}

    def _check(self, payload: Any) -> list[Any]:
        """The box and the start after a file was offered: the new file, or what was there with the reason."""
        before = {**(payload if isinstance(payload, Mapping) else empty()), "offered": None, "error": "", "note": ""}
        path = picked(payload).offered
        if path is None:
            return [before, gr.skip()]
        try:
            field = self._field(path)
        except InputError as error:
            return [{**before, "error": str(error)}, gr.skip()]
        return [shown(field, path), ""]

    def _field(self, path: str) -> Field:
        field = _shelf.get(path)
        if field is None:
            if not Path(path).is_file():
                raise InputError("The file is no longer here.", "Files are deleted one hour after they were sent.",
                                 "Choose it again.", field=self._spec.name)
            field, _ = inputs.read(self._spec, path, {})
            _shelf.put(field, field.values.nbytes, path)
        return field


def empty() -> dict[str, Any]:
    """The box's value without a file."""
    return {"field": None, "offered": None, "error": "", "note": "", "about": [], "runs": [], "start": "", "last": ""}


def shown(field: Field, path: str) -> dict[str, Any]:
    """The box's value for a checked file in the upload folder: what is in it, and from when a forecast can start."""
    return empty() | {"field": {"path": path, "orig_name": "field", "meta": {"_type": "gradio.FileData"}},
                      "about": about(field), "runs": runs(field.times, _PACES_H.get(field.unit)),
                      "last": _iso(field.times[-1]), "note": " ".join(field.notes)}


def about(field: Field) -> list[list[str]]:
    """What a file holds, as names and texts."""
    rows, columns = len(field.lat), len(field.lon)
    named = ", ".join(filter(None, [field.name or "unnamed", *(other.name for other in field.others)]))
    spacing = " x ".join(dict.fromkeys(f"{_spacing(axis):.4g}°" for axis in (field.lat, field.lon)))
    steps = np.unique(np.diff(field.times) / np.timedelta64(1, "h"))
    step = "one map" if not len(steps) else f"{steps[0]:g} h" if len(steps) == 1 else f"{steps[0]:g} to {steps[-1]:g} h"
    count = f"{len(field.times):,} map{'' if len(field.times) == 1 else 's'}".replace(",", " ")
    return [["Variable", f"{named} in {field.unit or 'no unit'}"],
            ["Grid", f"{rows} x {columns} points, {spacing}"],
            ["Region", f"{_north(field.lat[0])} to {_north(field.lat[-1])}, {_east(field.lon[0])} to "
                       f"{_east(field.lon[-1])}"],
            ["Time", f"{_day(field.times[0])} to {_day(field.times[-1])} UTC"],
            ["Step", step if step == "one map" else f"{step}, {count}"]]


def runs(times: np.ndarray, pace_h: float | None = None) -> list[list[Any]]:
    """Times that have another one pace_h before them (the file's usual step without it), as [first, count, step in
    hours] of stretches at the file's usual step.
    """
    gaps = np.diff(times) / np.timedelta64(1, "h")
    if not len(gaps):
        return []
    usual = float(np.median(gaps))
    before = times - np.timedelta64(round(3600 * (pace_h or usual)), "s")
    starts = times[np.isin(before, times)]
    apart = np.diff(starts) / np.timedelta64(1, "h")
    stretches = np.split(starts, np.flatnonzero(apart != usual) + 1) if len(starts) else []
    return [[_iso(part[0]), len(part), usual] for part in stretches][-_RUNS:]


def _as_picture(payload: Any) -> Any:
    """The payload under the names of the picture box, whose reader proves its files."""
    return {"picture": payload.get("field")} if isinstance(payload, Mapping) else payload


def _iso(time: np.datetime64) -> str:
    return str(time.astype("datetime64[m]"))


def _day(time: np.datetime64) -> str:
    return _iso(time).replace("T", " ").removesuffix(" 00:00")


def _spacing(axis: np.ndarray) -> float:
    return float(np.abs(np.diff(axis)).mean()) if len(axis) > 1 else 0.0


def _north(lat: float) -> str:
    return f"{abs(lat):g}° {'N' if lat >= 0 else 'S'}"


def _east(lon: float) -> str:
    turned = (lon + 180) % 360 - 180
    return f"{abs(turned):g}° {'E' if turned >= 0 else 'W'}"
