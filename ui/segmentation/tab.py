"""The tab of a task that finds masks in scans: TaskTab with a box for scans and a mask to work on."""

from collections.abc import Mapping
from typing import Any

from gradio.components import Component

from engine.tasks.base import Task
from ui.segmentation.batch import Batch
from ui.segmentation.entry import OF_SCAN, ScanEntry
from ui.segmentation.view import MaskView
from ui.task_tab import TaskTab


class ScanTab(TaskTab):
    """The components of the task and the events between them, and below them many pictures at once."""

    def __init__(self, task: Task):
        super().__init__(task, entry=ScanEntry, result=MaskView)
        self.batch = Batch(task, self.controls)

    def _restore(self, kept: Any) -> dict[Component, Any]:
        """What the browser kept, without the settings that belong to a scan, which is gone when the page loads."""
        if isinstance(kept, Mapping):
            kept = {name: value for name, value in kept.items() if name not in OF_SCAN}
        return super()._restore(kept)
