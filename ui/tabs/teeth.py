"""The tab of the task "teeth": a box for dentitions, the arch while it forms, and both jaws from before to after."""

from functools import partial

from engine.tasks.base import Task
from ui import viewer
from ui.points import TEETH_VIEWS
from ui.task_tab import TaskTab
from ui.teeth.entry import TeethEntry
from ui.teeth.view import ArrangementView


def build(task: Task) -> TaskTab:
    """Build the tab's content inside a gr.Tab."""
    return TaskTab(task, entry=TeethEntry, result=ArrangementView,
                   live=partial(viewer.viewer, what="arch", views=TEETH_VIEWS))
