"""The laboratory's settings as menu entries: what a menu offers for an axis, and what its text stands for.

Menus hold texts, because people may type numbers that a menu does not offer.
"""

from typing import Any

from engine.options import Option
from engine.tasks.laboratory import axes
from engine.tasks.laboratory.axes import AXES, Value

_OFFERED = {"steps": (5, 8, 10, 15, 20, 30, 50), "guidance": (0, 1, 2, 3, 5, 8), "seed": tuple(range(8))}
_STARTS = {"solver": ("ddim", "dpmpp_2m", "unipc_3"), "steps": ("5", "10", "20", "50"), "guidance": ("1", "2", "5"),
           "seed": ("0", "1", "2"), "spacing": ("uniform", "log_snr", "karras", "quadratic")}
_MOST_AT_START = 5


def axis_menu() -> list[tuple[str, str]]:
    """All axes as (title, name): the settings first, then the options of solvers."""
    options = [(f"Option: {option.label}", name) for name, option in axes.options().items()]
    return [*((kind.title, name) for name, kind in AXES.items()), *options]


def offered(axis: str, problem: str) -> list[tuple[str, str]]:
    """The values that the menu of an axis offers, as (title, text)."""
    values: tuple[Value, ...] = axes.choices(axis, problem)
    if not values:
        values = _OFFERED[axis] if axis in _OFFERED else _of_option(axes.options()[axis])
    return [(axes.value_title(axis, value), text(value)) for value in values]


def start(axis: str, problem: str) -> list[str]:
    """The values that an axis has when it is chosen."""
    known = [name for _, name in offered(axis, problem)]
    wanted = [name for name in _STARTS.get(axis, known) if name in known]
    return (wanted or known)[:_MOST_AT_START]


def typed(axis: str) -> bool:
    """Whether people may type values beside those offered: where the axis is a number."""
    if axis in AXES:
        return AXES[axis].choices is None
    default = axes.options()[axis].default
    return isinstance(default, (int, float)) and not isinstance(default, bool)


def text(value: Value) -> str:
    """A value as its menu entry."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def parsed(axis: str, entry: Any) -> Any:
    """The value of a menu entry, or of a number's control. What is no number stays a text, which the engine refuses."""
    default = AXES[axis].default if axis in AXES else axes.options()[axis].default
    if isinstance(default, bool):
        return {"on": True, "off": False}.get(entry, entry)
    if not isinstance(default, (int, float)):
        return entry
    try:
        number = float(entry)
    except (TypeError, ValueError):
        return entry
    return int(number) if number.is_integer() and isinstance(default, int) else number


def _of_option(option: Option) -> tuple[Value, ...]:
    if isinstance(option.default, bool):
        return (False, True)
    low, high, whole = option.minimum, option.maximum, isinstance(option.default, int)
    if low is None or high is None:
        values = [option.default * factor for factor in (0.25, 0.5, 1, 2, 4)]
    else:
        values = [low + (high - low) * i / 4 for i in range(5)]
    return tuple(dict.fromkeys(round(value) if whole else float(f"{value:.3g}") for value in values))
