"""The tab of weather forecasts: TaskTab with a box for files of maps and an ensemble to look into."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from gradio.components import Component

from engine.tasks.base import Task
from ui import viewer
from ui.forecast.entry import FieldEntry
from ui.forecast.view import ForecastView
from ui.task_tab import TaskTab

_OF_FILE = "task.start"
"""The setting that belongs to a file."""
_PLACE = "task.place_lat", "task.place_lon"


class ForecastTab(TaskTab):
    """The components of the task and the events between them."""

    def __init__(self, task: Task):
        super().__init__(task, entry=FieldEntry, result=ForecastView, live=partial(viewer.viewer, what="map"))

    def _connect(self) -> None:
        """All of every tab, and the place that is clicked on the map fills the settings of the place."""
        super()._connect()
        if set(_PLACE) <= set(self.controls.parts):
            self.result.view.select(None, self.result.view, [self.controls.parts[name] for name in _PLACE],
                                    js="(view) => view?.place || ['', '']", api_visibility="private")

    def _restore(self, kept: Any) -> dict[Component, Any]:
        """What the browser kept, without the start, whose file is gone when the page loads."""
        if isinstance(kept, Mapping):
            kept = {name: value for name, value in kept.items() if name != _OF_FILE}
        return super()._restore(kept)
