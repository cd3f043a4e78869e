"""The tasks, by name. A task's module is imported when it is first asked for."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.errors import InputError

if TYPE_CHECKING:
    from engine.tasks.base import Task

_NAMES = ("inpainting", "restoration", "superres", "style", "segmentation", "contrast", "teeth", "pointcloud",
          "forecast")
# Tasks that are not offered before all of these models are shipped.
_AWAITED = {"superres": ("ediffsr", "ediffsr_regression"), "contrast": ("contrast_sub", "contrast_pc"),
            "segmentation": ("segmentation_nuclei", "segmentation_vessels", "segmentation_demo"),
            "teeth": ("teeth",),
            "pointcloud": ("cloud_geometry", "cloud_colour"),
            "forecast": ("forecast_pressure", "forecast_temperature")}


def names() -> tuple[str, ...]:
    """Names of the tasks that can run, in the order in which people see them."""
    from engine.models import shelf

    shipped = set(shelf.names())
    return tuple(name for name in _NAMES if shipped.issuperset(_AWAITED.get(name, ())))


def load(name: str) -> "Task":
    """The task of that name. Raises InputError with the known names."""
    if name not in _NAMES:
        raise InputError(f"There is no task named {str(name)[:40]!r}.", fix="Choose one of " + ", ".join(names()) + ".",
                         field="task")
    return import_module(f"engine.tasks.{name}.task").TASK


def evaluation(name: str) -> Callable[[str, int | None], list[dict[str, Any]]]:
    """evaluate(data folder, limit) -> rows, of a task or of "steering". Raises InputError with the known names."""
    if name == "steering":
        return import_module("engine.tasks.inverse.evaluate").evaluate
    return load(name).evaluate
