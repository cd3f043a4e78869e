"""The tab of the task "style": what every task has, and nothing more so far."""

from engine.tasks.base import Task
from ui.task_tab import TaskTab


def build(task: Task) -> TaskTab:
    """Build the tab's content inside a gr.Tab."""
    return TaskTab(task)
