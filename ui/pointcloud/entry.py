"""What people give: a drawing and words for a new shape, or a cloud of their own; the mode decides what is asked."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.io import inputs as readers
from engine.tasks.base import Task
from ui.events import QUIET
from ui.pointcloud import cloud_box, pad
from ui.pointcloud.words import WordField, vocabulary
from ui.points import Cloud

MODE, UP = "task.mode", "task.up"
CREATE, RECOLOUR, PARTS = "create", "recolour", "parts"
ASKED: Mapping[str, tuple[str, ...]] = {
    CREATE: ("sketch", "text", "appearance"), RECOLOUR: ("cloud", "appearance"), PARTS: ("cloud",)}
"""The inputs of each mode. What another mode asks for stays in the page, but does not travel into the run."""
_NEW_COLOURS = ("New colours", 'Such as "a blue chair with white legs". The points stay where they are.')
_TURN = "(box, up) => [{ ...box, up }]"


class CloudEntry:
    """The input part of a tab. Build it where it should stand.

    components: what a run reads, in the order of `read`, once `connect` was called.
    """

    def __init__(self, task: Task):
        self._specs = {spec.name: spec for spec in task.inputs}
        first = task.examples[0].make() if task.examples else {}
        known, ids = vocabulary(task), {name: f"{task.name}-{name}" for name in self._specs}
        with gr.Column(elem_classes=_classes(task.defaults.options["mode"])) as self._card:
            self._head = gr.Column()
            with gr.Column(elem_classes="asks-sketch"):
                self.pad = pad.pad(pad.laid(first.get("sketch")), self._specs["sketch"], ids["sketch"])
                self.text = WordField(self._specs["text"], known, ids["text"], first.get("text", ""), lines=2)
            with gr.Column(elem_classes="asks-cloud"):
                self.cloud = cloud_box.cloud_box(None, self._specs["cloud"], ids["cloud"])
            with gr.Column(elem_classes="asks-appearance"):
                self.appearance = WordField(self._specs["appearance"], known, ids["appearance"])
        self.components: list[Component] = [self.pad, self.text.box, self.appearance.box, self.cloud]

    def connect(self, controls: Any) -> None:
        """Let the server check what is offered, and show what the mode asks for. controls: the tab's."""
        self.pad.upload(lambda sent: pad.offered(sent, self._specs["sketch"]), self.pad, self.pad, **QUIET)
        self.cloud.upload(lambda sent: cloud_box.offered(sent, self._specs["cloud"]), self.cloud, self.cloud, **QUIET)
        for field in (self.text, self.appearance):
            field.connect()
        mode = controls.parts[MODE].unrender()
        with self._head:
            mode.render()
        mode.change(self._ask, mode, [self._card, self.appearance.box], **QUIET)
        if UP in controls.parts:
            up = controls.parts[UP]
            up.change(None, [self.cloud, up], self.cloud, js=_TURN, api_visibility="private")
        self.components.append(mode)

    def filled(self, inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that show these inputs; a cloud stays where there is no other."""
        values = {self.pad: pad.laid(inputs.get("sketch")), self.text.box: inputs.get("text", ""),
                  self.appearance.box: inputs.get("appearance", "")}
        return values | ({self.cloud: cloud_box.shown(inputs["cloud"])} if "cloud" in inputs else {})

    def taken(self, cloud: Cloud, path: str | None, text: str, appearance: str) -> dict[Component, Any]:
        """Updates that make a finished cloud one's own, with the words that it came of to start from. path: the file
        with all its points, where `cloud` has only some."""
        return {self.cloud: cloud_box.finished(cloud, path, self._specs["cloud"]),
                self.appearance.box: appearance or text}

    def read(self, sketch: Any, text: Any, appearance: Any, cloud: Any, mode: str) -> dict[str, Any]:
        """The checked inputs that the mode asks for, from what the components hold. Raises InputError."""
        specs = self._specs
        reading = {"sketch": lambda: pad.sketch_of(sketch, specs["sketch"]),
                   "text": lambda: readers.read(specs["text"], text or "", {})[0],
                   "appearance": lambda: readers.read(specs["appearance"], appearance or "", {})[0],
                   "cloud": lambda: cloud_box.cloud_of(cloud, specs["cloud"])}
        found = {name: reading[name]() for name in ASKED[mode]}
        return {name: value for name, value in found.items() if value is not None and value != ""}

    def _ask(self, mode: str) -> tuple[Any, Any]:
        spec = self._specs["appearance"]
        label, info = _NEW_COLOURS if mode == RECOLOUR else (spec.label, spec.help)
        return gr.update(elem_classes=_classes(mode)), gr.update(label=label, info=info)


def _classes(mode: str) -> list[str]:
    # Hidden by style, since what gradio hides is built anew later, and the pad would forget what can be undone.
    return ["card", "cloud-entry", f"cloud-{mode}"]
