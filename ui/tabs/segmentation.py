"""The tab of the task "segmentation", which a second task for scans can share."""

from dataclasses import dataclass

import gradio as gr

from engine.tasks.base import Task
from ui.segmentation.tab import ScanTab
from ui.task_tab import TaskTab


@dataclass(frozen=True)
class Modes:
    """The tabs of several tasks in one: `task` is the first one's, `tabs` are all of them."""

    tabs: tuple[TaskTab, ...]

    @property
    def task(self) -> Task:
        return self.tabs[0].task

    def restore(self, demo: gr.Blocks) -> None:
        """Bring back the settings that the browser kept, when the page loads."""
        for tab in self.tabs:
            tab.restore(demo)


def build(task: Task, further: Task | None = None) -> Modes:
    """Build the tab's content inside a gr.Tab. further: a task of pictures that stands beside as a second mode."""
    if further is None:
        return Modes((ScanTab(task),))
    with gr.Tabs(elem_classes="views"):
        with gr.Tab(task.title):
            first = ScanTab(task)
        with gr.Tab(further.title):
            second = TaskTab(further)
    return Modes((first, second))
