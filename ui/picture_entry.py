"""What people give a picture task: a box for each picture and, where the task wants it, a mask over the first."""

from collections.abc import Mapping
from typing import Any

from gradio.components import Component

from engine.tasks.base import InputSpec, Task
from ui.events import QUIET
from ui.picture_input import check_offer, mask_of, picked, picture_input, picture_of, shown


class PictureEntry:
    """The input part of a tab: a box for each picture, the first of which a mask can be painted over. Build it where it
    should stand.

    components: what a run reads, in the order of `read`.
    """

    def __init__(self, task: Task):
        self.task = task
        self._pictures = [entry for entry in task.inputs if entry.kind == "picture"]
        self._mask = next((entry for entry in task.inputs if entry.kind == "mask"), None)
        first = self._values(task.examples[0].make()) if task.examples else [None] * len(self._pictures)
        self.components: list[Component] = [self._box(entry, value) for entry, value in zip(self._pictures, first)]

    def _box(self, entry: InputSpec, value: dict[str, Any] | None) -> Component:
        over = self._mask if entry is self._pictures[0] else None
        words = f"{entry.help} {over.help}" if over else entry.help
        return picture_input(value, paint=over is not None, label=entry.label, words=words,
                             elem_id=f"{self.task.name}-{entry.name}")

    def connect(self, controls: Any) -> None:
        """Let the server check what is offered. controls: the tab's, for entries that depend on settings."""
        for box in self.components:
            box.upload(check_offer, box, box, **QUIET)

    def filled(self, inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that show these inputs."""
        return dict(zip(self.components, self._values(inputs)))

    def read(self, *payloads: Any) -> dict[str, Any]:
        """The checked inputs, from what the components hold. Raises InputError."""
        inputs, boxes = {}, [picked(payload) for payload in payloads]
        for entry, box in zip(self._pictures, boxes):
            if entry.required or box.picture is not None:
                inputs[entry.name] = picture_of(box, entry.name)
        first, mask = boxes[0], self._mask
        if mask is not None and (mask.required or first.mask):
            inputs[mask.name] = mask_of(first, inputs[self._pictures[0].name].size, mask.name)
        return inputs

    def _values(self, inputs: Mapping[str, Any]) -> list[dict[str, Any] | None]:
        """What the boxes show of these inputs; None for one that is not given."""
        given = [inputs.get(entry.name) for entry in self._pictures]
        masks = [inputs.get(self._mask.name) if self._mask else None, *[None] * len(given)]
        return [None if picture is None else shown(getattr(picture, "pixels", picture), mask)
                for picture, mask in zip(given, masks)]
