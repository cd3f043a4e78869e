"""What people give a tooth arrangement: one box for the files of a patient, with the teeth that were found in them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.errors import InputError
from engine.io import inputs
from engine.io.dental import Dentition
from engine.io.dental.dentition import UNIT_NAMES
from engine.io.files import read_bytes
from engine.runtime.settings import limits
from engine.tasks.base import Task
from ui import runs
from ui.assets import web
from ui.events import QUIET
from ui.picture_input import picked
from ui.teeth import store
from ui.teeth.view import script

_WRITE = "(box) => [(box && box.fixed) || '']"
_MARK = "(text, box) => [{...(box || {}), fixed: text || '', offered: null}]"
# A recipe's texts have no spaces, people's lists have.
_TIDY = "(text) => [(text || '').split(/[\\s,;]+/).filter(Boolean).join(',')]"


class TeethEntry:
    """The input part of a tab. Build it where it should stand.

    components: what a run reads, in the order of `read`. Its chart and the setting `fixed` show the same teeth.
    """

    def __init__(self, task: Task):
        self.task, self._spec = task, task.inputs[0]
        first = task.examples[0].make()[self._spec.name] if task.examples else None
        self.box = gr.HTML(shown(first) if first else None, html_template=web("teeth_box.html"),
                           js_on_load=_script(self._spec.label, self._spec.help), apply_default_css=False,
                           elem_id=f"{task.name}-{self._spec.name}", elem_classes="teeth-input", container=True,
                           padding=True)
        self.components: list[Component] = [self.box]

    def connect(self, controls: Any) -> None:
        """Let the server check what is offered, and let chart and setting follow each other. controls: the tab's."""
        self.box.upload(self._check, self.box, self.box, **QUIET)
        fixed = controls.parts.get("task.fixed")
        if fixed is None:
            return
        save = {"fn": None, "inputs": controls.components, "outputs": controls.store, "js": controls.save_script,
                "api_visibility": "private"}
        self.box.select(None, self.box, fixed, js=_WRITE, api_visibility="private").then(**save)
        fixed.change(None, [fixed, self.box], self.box, js=_MARK, api_visibility="private")
        fixed.blur(None, fixed, fixed, js=_TIDY, api_visibility="private").then(**save)

    def filled(self, inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that show these inputs."""
        return {self.box: shown(inputs[self._spec.name])}

    def read(self, payload: Any) -> dict[str, Any]:
        """The checked inputs, from what the component holds. Raises InputError."""
        picture = picked(payload).picture
        if picture is None:
            raise InputError("There are no teeth.", fix="Choose files, or one of the examples.", field=self._spec.name)
        return {self._spec.name: store.kept(Path(picture))}

    def _check(self, payload: Any) -> dict[str, Any]:
        """The box's value after files were offered: the new teeth, or what was there with the reason."""
        box = picked(payload)
        before = {**(box.value or {}), "offered": None, "error": ""}
        if not box.files:
            return before
        try:
            source = _files(box.files, self._spec.name)
            return shown(inputs.read(self._spec, source, {})[0]) | {"fixed": ""}
        except InputError as error:
            return before | {"error": str(error)}
        except Exception:
            return before | {"error": str(runs.bug("Reading teeth", runs.new_id()))}


def shown(dentition: Dentition) -> dict[str, Any]:
    """The box's value for a dentition. Where its picture lies cannot be guessed."""
    path, teeth = store.keep(dentition), sorted(dentition.meshes)
    upper = sum(fdi < 30 for fdi in teeth)
    return {"picture": {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}},
            "teeth": teeth, "found": f"{upper} upper and {len(teeth) - upper} lower teeth. {unit(dentition)} "
            f"{axes(dentition)}", "notes": list(dentition.notes), "error": ""}


def unit(dentition: Dentition) -> str:
    """The unit of the files, as it was found."""
    return f"Unit: {UNIT_NAMES[dentition.unit]}." if dentition.unit else "The unit cannot be told: choose it below."


def axes(dentition: Dentition) -> str:
    """Which axes of the file point to the patient's left, up and forward, where they do so within a few degrees."""
    turn = dentition.frame[:3, :3]
    found = []
    for row, way in zip(turn, ("left", "up", "forward")):
        axis = abs(row).argmax()
        if abs(row[axis]) < 0.99 * (row @ row) ** 0.5:
            return "The file's axes stand aslant; the teeth were turned upright."
        found.append(f"{'-' if row[axis] < 0 else ''}{'xyz'[axis]} {way}")
    return f"Axes of the file: {', '.join(found)}."


def _files(paths: tuple[str, ...], field: str) -> Any:
    """One file as it is, several with their names, which tell the teeth apart."""
    if len(paths) == 1:
        return paths[0]
    files, left = [], limits().scan_bytes
    for path in paths:
        files.append((Path(path).name, read_bytes(path, left, field)))
        left -= len(files[-1][1])
    return files


def _script(label: str, words: str) -> str:
    constants = f"const LABEL = {json.dumps(label)}, WORDS = {json.dumps(words)}, LIMIT_BYTES = {limits().scan_bytes};"
    return constants + "\n" + script("offer.js", "teeth_chart.js", "teeth_box.js")
