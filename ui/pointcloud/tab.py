"""The tab of sketches to point clouds: TaskTab with a pad, words and a box for clouds, whose results can come back."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from gradio.components import Component

from engine.tasks.base import Task
from ui import settings, viewer
from ui.pointcloud.entry import MODE, RECOLOUR, UP, CloudEntry
from ui.pointcloud.view import CloudView
from ui.points import SHAPE_VIEWS, Cloud
from ui.task_tab import TaskTab

_OF_CLOUD = (MODE, UP)
"""Settings that mean nothing without the cloud, which is gone when the page loads anew."""
_LOOK = """() => {
  const words = document.querySelector("#NAME-appearance textarea");
  if (words) { words.focus({ preventScroll: true }); words.select(); }
  document.getElementById("NAME-cloud")?.scrollIntoView({ block: "center", behavior: "smooth" });
}"""


class PointCloudTab(TaskTab):
    """The components of the task and the events between them."""

    def __init__(self, task: Task):
        super().__init__(task, entry=CloudEntry, result=CloudView,
                         live=partial(viewer.viewer, what="shape", views=SHAPE_VIEWS))
        controls, entry = self.controls, self.entry
        handed = self.result.used(self._use, [entry.text.box, entry.appearance.box, *controls.components],
                                  [entry.cloud, entry.appearance.box, *controls.components, controls.hint, self.cost])
        handed.then(None, js=_LOOK.replace("NAME", task.name), api_visibility="private")
        handed.then(None, controls.components, controls.store, js=controls.save_script, api_visibility="private")

    def _use(self, cloud: Cloud, path: str | None, text: str, appearance: str, *given: Any) -> dict[Component, Any]:
        """A finished cloud becomes the one to colour anew."""
        values = self.controls.values(given) | {MODE: RECOLOUR, UP: "y"}
        return self._all(settings.adapted(self.task, values)) | self.entry.taken(cloud, path, text, appearance)

    def _restore(self, kept: Any) -> dict[Component, Any]:
        """What the browser kept, without the settings that belong to a cloud."""
        if isinstance(kept, Mapping):
            kept = {name: value for name, value in kept.items() if name not in _OF_CLOUD}
        return super()._restore(kept)
