"""Error against calls: one curve per solver, and the order that its slope shows beside the one that it claims."""

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine import solvers
from engine.errors import InputError
from engine.recipe import Recipe
from engine.runtime.execution import Failed, Stopped, Waiting, Working
from engine.solvers import SolverRow
from engine.solvers.plan import Plan
from engine.step import Step
from engine.tasks.laboratory import axes, runs
from engine.tasks.laboratory.axes import AXES, Value
from engine.tasks.laboratory.work import executed

CALLS = (5, 6, 8, 10, 12, 15, 20, 30, 50)
MOST_SOLVERS = 12
MOST_BUDGETS = 12
MOST_CALLS = 400
_OWN = ("solver", "steps", "problem")


@dataclass(frozen=True)
class Curves:
    """What to measure. Checked when it is made: raises InputError naming the setting that cannot be used.

    solvers: names of the catalogue, at most 12. calls: budgets, each from 1 to 400, at most 12; a solver with several
    calls per step makes the most steps that fit. fixed: spacing, schedule, guidance, label, seed and options by axis
    name (`axes.AXES`); options go to the solvers that take them. samples: per run, 0 for the problem's usual number.
    plans: a person's own, before those that are stored.
    """

    problem: str
    solvers: tuple[str, ...]
    calls: tuple[int, ...] = CALLS
    fixed: Mapping[str, Value] = field(default_factory=dict)
    samples: int = 0
    plans: tuple[Plan, ...] = ()

    def __post_init__(self):
        axes.checked("problem", self.problem)
        for name, values, most in (("solver", self.solvers, MOST_SOLVERS), ("steps", self.calls, MOST_BUDGETS)):
            if not 1 <= len(set(values)) == len(values) <= most:
                raise InputError(f"{axes.title(name)}: {len(values)} were chosen.",
                                 f"It must be 1 to {most}, each once.", field=name)
        for solver in self.solvers:
            axes.checked("solver", solver)
        for calls in self.calls:
            if isinstance(calls, bool) or not isinstance(calls, int) or not 1 <= calls <= MOST_CALLS:
                raise InputError(f"A number of calls is {str(calls)[:40]!r}.",
                                 f"It must be a whole number from 1 to {MOST_CALLS}.", field="steps")
        clean = {name: axes.checked(name, value, (self.problem,)) for name, value in self.fixed.items()
                 if name not in _OWN}
        object.__setattr__(self, "fixed", clean)
        object.__setattr__(self, "calls", tuple(sorted(self.calls)))
        begin = runs.start(self.settings("ddim", 1), self.samples)
        begin.field.check(begin.guidance, begin.label)

    def settings(self, solver: str, steps: int) -> dict[str, Value]:
        """All settings of one run by axis name."""
        return ({name: kind.default for name, kind in AXES.items()} | dict(self.fixed)
                | {"problem": self.problem, "solver": solver, "steps": steps})

    def prepare(self, solver: str, budget: int) -> runs.Run:
        """The run with the most steps within a budget of calls. Raises InputError with the reason why there is none."""
        row = solvers.row(solver)
        for steps in range(most_steps(row, budget), 0, -1):
            # The last step of a run that does not go to zero noise may take more calls than the row says.
            found = runs.prepare(self.settings(solver, steps), self.samples, (), self.plans, to_zero=False)
            if found.calls <= budget or "adaptive" in row.tags:
                return found
        raise too_few(row, found.calls, budget)


@dataclass(frozen=True)
class Point:
    """One run. budget: calls that it might make; calls: those it made. error: mean distance from the fine solution at
    the time where the run ended, None for a random run and, with the reason in words, for a failed one."""

    solver: str
    budget: int
    steps: int
    calls: int
    error: float | None
    reason: str = ""


@dataclass(frozen=True)
class Order:
    """measured: minus the slope of log error against log calls over the last `points` points; None with fewer than
    two. claimed: the solver's own."""

    solver: str
    title: str
    claimed: int
    measured: float | None
    points: int


def most_steps(row: SolverRow, budget: int) -> int:
    """The most steps that make at most `budget` calls, to zero noise. Raises InputError when not even one does."""
    if "adaptive" in row.tags:
        return budget
    steps = next((n for n in range(budget, 0, -1) if row.calls(n) <= budget), 0)
    if not steps:
        raise too_few(row, row.calls(1), budget)
    return steps


def too_few(row: SolverRow, least: int, budget: int) -> InputError:
    """What to say when a solver cannot run with so few calls."""
    return InputError(f"{row.title} cannot run with {budget} calls.", f"One step takes {least}.", field="steps")


def run(curves: Curves) -> Iterator[Point | Waiting | Working | Failed | Stopped]:
    """The points as they finish, solver by solver, and between them the events of `engine.runtime.execution`.

    Runs end at the schedule's t_min and not at zero noise, where the last step is of first order for every solver and
    would hide the order of the others; searched plans end where they say. Closing the generator ends the run within one
    step.
    """
    recipe = Recipe(task="laboratory", solver=curves.solvers[0], steps=max(curves.calls))
    begin = runs.start(curves.settings("ddim", 1), curves.samples)
    steps = sum(curves.calls) * len(curves.solvers) + runs.fine_steps(begin, begin.field.schedule(begin.schedule).t_min)
    return executed(_points(curves), steps, recipe)


def _points(curves: Curves) -> Iterator[Step | Point]:
    for solver in curves.solvers:
        for budget in curves.calls:
            try:
                yield (yield from _measured(curves, solver, budget))
            except InputError as error:
                yield Point(solver, budget, 0, 0, None, str(error))


def _measured(curves: Curves, solver: str, budget: int) -> Generator[Step, None, Point]:
    prepared = curves.prepare(solver, budget)
    begin = prepared.start
    reference = yield from runs.fine(begin, float(prepared.times[-1]))
    rng, step = runs.Noise(begin.seed, begin.samples), None
    for step in prepared.steps(rng):
        reason = runs.trouble(step, solvers.row(solver).title)
        if reason:
            return Point(solver, budget, len(prepared.times) - 1, step.nfe, None, reason)
        yield step
    error = begin.field.distance(step.x, reference) if rng.asked == 1 else None
    return Point(solver, budget, len(prepared.times) - 1, step.nfe, error)


def orders(points: Sequence[Point], last: int = 3, floor: float = 1e-9) -> tuple[Order, ...]:
    """The measured order of each solver, by least squares on its last points with an error above `floor`, where
    rounding and the fine solution's own error begin. Of points with equal calls one counts."""
    found = []
    for name in dict.fromkeys(point.solver for point in points):
        usable = {point.calls: point.error for point in points
                  if point.solver == name and point.error is not None and point.error > floor}
        pairs = [(math.log(calls), math.log(usable[calls])) for calls in sorted(usable)[-last:]]
        row = solvers.row(name)
        found.append(Order(name, row.title, row.order, -_slope(pairs) if len(pairs) > 1 else None, len(pairs)))
    return tuple(found)


def _slope(pairs: Sequence[tuple[float, float]]) -> float:
    mean_x, mean_y = (sum(values) / len(pairs) for values in zip(*pairs))
    return (sum((x - mean_x) * (y - mean_y) for x, y in pairs) / sum((x - mean_x) ** 2 for x, _ in pairs))
