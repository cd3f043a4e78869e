"""What people give a picture task: one box with a picture and, where the task wants it, a mask over it."""

from collections.abc import Mapping
from typing import Any

from gradio.components import Component

from engine.tasks.base import Task
from ui.events import QUIET
from ui.picture_input import check_offer, mask_of, picked, picture_input, picture_of, shown


class PictureEntry:
    """The input part of a tab. Build it where it should stand.

    components: what a run reads, in the order of `read`.
    """

    def __init__(self, task: Task):
        self.task = task
        first = _value(task.examples[0].make()) if task.examples else None
        self.picture = picture_input(first, paint=any(entry.kind == "mask" for entry in task.inputs),
                                     label=task.inputs[0].label, words=" ".join(entry.help for entry in task.inputs),
                                     elem_id=f"{task.name}-picture")
        self.components: list[Component] = [self.picture]

    def connect(self, controls: Any) -> None:
        """Let the server check what is offered. controls: the tab's, for entries that depend on settings."""
        self.picture.upload(check_offer, self.picture, self.picture, **QUIET)

    def filled(self, inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that show these inputs."""
        return {self.picture: _value(inputs)}

    def read(self, payload: Any) -> dict[str, Any]:
        """The checked inputs, from what the components hold. Raises InputError."""
        inputs, box = {}, picked(payload)
        for entry in self.task.inputs:
            if entry.kind == "picture":
                inputs[entry.name] = picture_of(box, entry.name)
        for entry in self.task.inputs:
            if entry.kind == "mask" and (entry.required or box.mask):
                inputs[entry.name] = mask_of(box, next(iter(inputs.values())).size, entry.name)
        return inputs


def _value(inputs: Mapping[str, Any]) -> dict[str, Any]:
    picture = next(value for name, value in inputs.items() if name != "mask")
    return shown(getattr(picture, "pixels", picture), inputs.get("mask"))
