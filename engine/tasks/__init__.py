"""The tasks, by name. A task's module is imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING

from engine.errors import InputError

if TYPE_CHECKING:
    from engine.tasks.base import Task

_NAMES = ("inpainting", "restoration")


def names() -> tuple[str, ...]:
    """Names that `load` knows, in the order in which people see them."""
    return _NAMES


def load(name: str) -> "Task":
    """The task of that name. Raises InputError with the known names."""
    if name not in _NAMES:
        raise InputError(f"There is no task named {str(name)[:40]!r}.", fix="Choose one of " + ", ".join(_NAMES) + ".",
                         field="task")
    return import_module(f"engine.tasks.{name}.task").TASK
