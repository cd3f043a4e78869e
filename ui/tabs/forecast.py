"""The tab of the task "forecast"."""

from engine.tasks.base import Task
from ui.forecast.tab import ForecastTab


def build(task: Task) -> ForecastTab:
    """Build the tab's content inside a gr.Tab."""
    return ForecastTab(task)
