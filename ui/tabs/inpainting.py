"""The tab of the task "inpainting"."""

from engine.tasks import load
from ui.task_tab import TaskTab

NAME = "inpainting"


def build() -> TaskTab:
    """Build the tab's content inside a gr.Tab."""
    return TaskTab(load(NAME))
