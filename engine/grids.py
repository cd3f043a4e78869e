"""Time grids: where a run of N steps stops on its way from noise to the clean result."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from engine.errors import InputError
from engine.schedules import Schedule

# Times of N steps between two times, as float64. The level grids need a finite log_snr at both.
_Spacing = Callable[..., Tensor]


def _uniform(schedule: Schedule, first: float, last: float, steps: int) -> Tensor:
    return torch.linspace(first, last, steps + 1, dtype=torch.float64)


def _quadratic(schedule: Schedule, first: float, last: float, steps: int) -> Tensor:
    return torch.linspace(math.sqrt(first), math.sqrt(last), steps + 1, dtype=torch.float64) ** 2


def _log_snr(schedule: Schedule, first: float, last: float, steps: int) -> Tensor:
    ends = schedule.log_snr(first), schedule.log_snr(last)
    return schedule.time_at(torch.linspace(*ends, steps + 1, dtype=torch.float64))


def _karras(schedule: Schedule, first: float, last: float, steps: int, rho: float = 7.0) -> Tensor:
    roots = (math.exp(-schedule.log_snr(t) / rho) for t in (first, last))
    return schedule.time_at(-rho * torch.linspace(*roots, steps + 1, dtype=torch.float64).log())


def _searched(schedule: Schedule, plan: Any = None, **others: Any) -> Tensor:
    if plan is None or others:
        raise InputError("The step spacing searched takes a plan and nothing else.",
                         f"It was given {', '.join(others) or 'none'}.", "Give a plan, or choose another spacing.",
                         "spacing")
    return plan.times(schedule)


# name: (function, works on log_snr, options)
_SPACINGS: dict[str, tuple[_Spacing, bool, frozenset[str]]] = {
    "uniform": (_uniform, False, frozenset()),
    "log_snr": (_log_snr, True, frozenset()),
    "karras": (_karras, True, frozenset({"rho"})),
    "quadratic": (_quadratic, False, frozenset()),
}

SEARCHED = "searched"
"""The grid of a plan (`engine.solvers.plan`): the one name that `make` knows beside `names()`."""


def names() -> tuple[str, ...]:
    """Names that `make` knows and that need nothing else."""
    return tuple(_SPACINGS)


def make(name: str, schedule: Schedule, steps: int, *, start: float | None = None, end: float | None = None,
         to_zero: bool = True, **options: Any) -> Tensor:
    """steps + 1 strictly decreasing times, float64, from `start` to `end`.

    uniform: even in t. quadratic: even in sqrt(t). log_snr: even in log(alpha/sigma). karras: even in
    (sigma/alpha)^(1/rho) (Karras et al., 2022, eq. 5), option rho = 7. start: schedule.start unless given. end: 0
    unless given, or schedule.t_min with to_zero=False. log_snr and karras need a finite log_snr: they are laid between
    t_max and t_min, and their first and last time then moves to `start` and `end`, also where those lie outside.
    searched: all times of the option `plan`, whatever the other arguments say.
    Raises InputError for an unknown name or option, for impossible numbers and for a plan that does not fit.
    """
    if name == SEARCHED:
        return _searched(schedule, **options)
    if name not in _SPACINGS:
        raise InputError(f"There is no step spacing named {str(name)[:40]!r}.",
                         fix="Choose one of " + ", ".join((*_SPACINGS, SEARCHED)) + ".", field="spacing")
    space, by_level, known = _SPACINGS[name]
    for key in options.keys() - known:
        raise InputError(f"The step spacing {name} has no option {key!r}.",
                         fix="It takes " + (", ".join(sorted(known)) or "no options") + ".", field=key)
    if options.get("rho", 1.0) <= 0:
        raise InputError(f"rho is {options['rho']:g}.", "It must be above 0.", field="rho")
    if steps < 1:
        raise InputError(f"steps is {steps}.", "It must be at least 1.", field="steps")
    start = schedule.start if start is None else float(start)
    end = (0.0 if to_zero else schedule.t_min) if end is None else float(end)
    highest = max(schedule.start, schedule.t_max)
    if not 0 <= end < start <= highest:
        raise InputError(f"The run goes from time {start:g} to time {end:g}.",
                         f"Times must fall, from at most {highest:g} down to at least 0.", field="start")
    first, last = start, end
    if by_level:
        first = min(start, schedule.t_max)
        last = max(end, min(schedule.t_min, first / 2))
    times = space(schedule, first, last, steps, **options)
    times[0], times[-1] = start, end
    return times
