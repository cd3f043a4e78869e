"""What can be varied in the laboratory: one row per setting, with its default and the values that it takes."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from engine import grids, solvers
from engine.errors import InputError
from engine.options import Option
from engine.recipe import RANGES
from engine.tasks.laboratory import problems

Value = str | int | float | bool

OPTION = "option:"
"""Prefix of an axis that is an option of solvers, as in "option:eta"."""


@dataclass(frozen=True)
class AxisKind:
    """One setting. choices(problem): its values where there is a list of them, else it is a number in `bounds`.

    default: its type is the type of the numbers. title: for people.
    """

    name: str
    title: str
    default: Value
    choices: Callable[[str], tuple[str, ...]] | None = None
    bounds: tuple[float, float] = (-math.inf, math.inf)


_KINDS = (
    AxisKind("solver", "Solver", "dpmpp_2m", lambda _: tuple(row.name for row in comparable())),
    AxisKind("steps", "Steps", 10, bounds=RANGES["steps"]),
    AxisKind("spacing", "Spacing", "log_snr", lambda _: (*grids.names(), grids.SEARCHED)),
    AxisKind("guidance", "Guidance", 1.0, bounds=(0.0, 30.0)),
    AxisKind("schedule", "Noise schedule", "own", lambda _: ("own", *problems.SCHEDULES)),
    AxisKind("seed", "Seed", 0, bounds=RANGES["seed"]),
    AxisKind("label", "Class", "", lambda problem: ("", *problems.load(problem).labels)),
    AxisKind("problem", "Problem or model", "mixture", lambda _: problems.names()),
)
AXES = {kind.name: kind for kind in _KINDS}
"""By name, in the order of the menus; axes of solvers' options come beside them (`options`)."""


def comparable() -> tuple[solvers.SolverRow, ...]:
    """The solvers that run on any schedule: those for one kind of model only are left out."""
    return tuple(row for row in solvers.catalogue() if "residual" not in row.tags)


def choices(axis: str, problem: str = "mixture") -> tuple[str, ...]:
    """The values of an axis that has a list of them; () where it takes a number. The class "" is none in particular.

    Raises InputError for an unknown axis or problem.
    """
    if axis.startswith(OPTION):
        option = options()[_known(axis)]
        return option.choices
    found = AXES[_known(axis)].choices
    return found(problem) if found else ()


def options(names: Iterable[str] | None = None) -> dict[str, Option]:
    """Axis "option:NAME" -> the option, for all options of the solvers with these names (of all solvers by default).

    Where solvers share a name the first one's option stands for all; each run checks its own solver's range.
    """
    found: dict[str, Option] = {}
    for row in comparable() if names is None else map(solvers.row, names):
        for option in row.options:
            found.setdefault(OPTION + option.name, option)
    return found


def title(axis: str) -> str:
    """What people call the axis."""
    return options()[_known(axis)].label if axis.startswith(OPTION) else AXES[_known(axis)].title


def value_title(axis: str, value: Value) -> str:
    """What people call a value of the axis."""
    if axis == "solver":
        return solvers.row(str(value)).title
    if axis == "problem":
        return problems.load(str(value)).title
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    known = {"": "any", "own": "its own", "log_snr": "log-SNR", "vp_linear": "VP linear", "edm": "EDM"}
    return known.get(str(value), str(value).replace("_", " "))


def checked(axis: str, value: Any, used: Iterable[str] = ("mixture",)) -> Value:
    """The value in the axis's own type, known to at least one of the problems that are used.

    Raises InputError naming the axis and what it takes.
    """
    if _known(axis).startswith(OPTION):
        # An int given where the option is a float is what a JSON reader makes of 1.0.
        option = options()[axis]
        value = float(value) if type(option.default) is float and type(value) is int else value
        option.check(value)
        return value
    kind = AXES[axis]
    if kind.choices:
        allowed = dict.fromkeys(choice for problem in used for choice in kind.choices(problem))
        if not isinstance(value, str) or value not in allowed:
            raise InputError(f"{kind.title} is {str(value)[:40]!r}.", "No such value is known here.",
                             "Choose one of " + ", ".join(map(repr, allowed)) + ".", axis)
        return value
    low, high = kind.bounds
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or (isinstance(kind.default, int) and value != int(value)):
        whole = "whole " if isinstance(kind.default, int) else ""
        raise InputError(f"{kind.title} is {str(value)[:40]!r}.",
                         f"It must be a {whole}number from {low:g} to {high:g}.", "Change the value.", axis)
    return type(kind.default)(value)


def _known(axis: str) -> str:
    if axis not in AXES and axis not in options():
        raise InputError(f"There is no axis named {str(axis)[:40]!r}.", "An axis is a setting or a solver's option.",
                         "Choose one of " + ", ".join((*AXES, *options())) + ".", "axes")
    return axis
