"""The tab of the task "pointcloud": sketches and words to coloured 3-D shapes."""

from engine.tasks.base import Task
from ui.pointcloud.tab import PointCloudTab


def build(task: Task) -> PointCloudTab:
    """Build the tab's content inside a gr.Tab."""
    return PointCloudTab(task)
