"""One problem, one set of start noise, one exact end: what every solver of both sides is scored on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from engine import grids, solvers
from engine.bench.diffusers_side import Configuration, most_steps, sample
from engine.denoisers import Denoiser, counted
from engine.errors import InputError
from engine.options import Option
from engine.schedules import Schedule
from engine.solvers import SolverRow
from engine.tasks.laboratory.problems import Problem
from engine.tasks.laboratory.resources import resources

TRAINED_STEPS = 1000
"""Length of the noise table that diffusers gets."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A competitor: a solver or scheduler with its settings. note: the settings that are not the usual ones."""

    side: str
    method: str
    spacing: str
    note: str
    how: Any

    @property
    def name(self) -> str:
        """Our name of the solver, or the method."""
        return self.how[0].name if self.side == "ours" else self.method

    @property
    def title(self) -> str:
        """All of it in words."""
        return f"{self.method}, {self.spacing}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True, eq=False)
class Contest:
    """problem: named in tables. x: start noise. reference: where the exact solution, or the fine one, ends."""

    problem: Problem
    denoise: Denoiser
    x: Tensor
    reference: Tensor

    def sample(self, entry: Entry, calls: int) -> Tensor | None:
        """Where a run with at most so many calls ends; None where it cannot be made or is not finite."""
        denoise = counted(self.denoise)
        with torch.no_grad():
            final = (_ours if entry.side == "ours" else _theirs)(self, entry, denoise, calls)
        assert denoise.calls <= calls, f"{entry.title} made {denoise.calls} calls of {calls}"
        return None if final is None or not bool(final.isfinite().all()) else final

    def error(self, entry: Entry, calls: int) -> float | None:
        """Mean distance of those ends from the reference."""
        final = self.sample(entry, calls)
        return None if final is None else self.problem.distance(final, self.reference)

    @cached_property
    def betas(self) -> list[float]:
        """The schedule as a table of TRAINED_STEPS noise variances, up to its t_max."""
        schedule = self.problem.trained
        times = torch.arange(TRAINED_STEPS + 1, dtype=torch.float64) / TRAINED_STEPS * schedule.t_max
        kept = schedule(times)[0].square()
        return (1 - kept[1:] / kept[:-1]).tolist()


def ours(variants: bool = True) -> Iterator[Entry]:
    """Our deterministic solvers with every spacing; with `variants` also with each choice and switch changed, one at a
    time. Step sizes that a tolerance decides cannot be held to a number of calls and are left out."""
    for row in solvers.catalogue():
        if not row.deterministic or row.tags & {"residual", "adaptive"}:
            continue
        changed = [{}, *(_changes(row.options) if variants else ())]
        for spacing in row.spacings or grids.names():
            for options in changed:
                note = ", ".join(f"{name}={value}" for name, value in options.items())
                yield Entry("ours", row.title, spacing, note, (row, options))


def theirs(variants: bool = True) -> Iterator[Entry]:
    """Every comparable configuration of diffusers."""
    from engine.bench.diffusers_side import configurations

    for found in configurations(variants):
        yield Entry("diffusers", found.method, found.spacing, found.note, found)


def _changes(options: tuple[Option, ...]) -> Iterator[dict[str, Any]]:
    for option in options:
        others = [not option.default] if isinstance(option.default, bool) else option.choices
        yield from ({option.name: value} for value in others if value != option.default)


def _ours(contest: Contest, entry: Entry, denoise: Denoiser, calls: int) -> Tensor | None:
    row: SolverRow
    row, options = entry.how
    problem, schedule = contest.problem, contest.problem.trained
    try:
        steps = _most_steps(row, entry.spacing, options, calls, schedule)
        if not steps:
            return None
        needed = resources(row, problem.name, steps, problem.sha256)
        times = (needed["plan"].times(schedule) if entry.spacing == grids.SEARCHED
                 else grids.make(entry.spacing, schedule, steps))
        *_, last = solvers.solve(row.name, denoise, contest.x, times, schedule, **options, **needed)
    except InputError:
        # No plan of so many calls, no statistics of this model, or too few steps for this solver.
        return None
    return last.x


@cache
def _most(name: str, spacing: str, options: tuple[tuple[str, Any], ...], calls: int, schedule: Schedule) -> int:
    """The most steps that make at most so many calls, counted by running the solver on one number."""
    row = solvers.row(name)
    for steps in range(calls, 0, -1):
        if row.calls(steps) <= calls:
            times = grids.make(spacing, schedule, steps)
            if solvers.count_calls(name, times, schedule, **dict(options)) <= calls:
                return steps
    return 0


def _most_steps(row: SolverRow, spacing: str, options: Mapping[str, Any], calls: int, schedule: Schedule) -> int:
    if row.needs == "plan":
        return calls
    if row.needs:
        return next((n for n in range(calls, 0, -1) if row.calls(n) <= calls), 0)
    return _most(row.name, spacing, tuple(options.items()), calls, schedule)


def _theirs(contest: Contest, entry: Entry, denoise: Denoiser, calls: int) -> Tensor | None:
    how: Configuration = entry.how
    scheduler, schedule = how.scheduler(contest.betas), contest.problem.trained

    def eps(seen: Tensor, index: float) -> Tensor:
        t = (index + 1) / TRAINED_STEPS * schedule.t_max
        alpha, sigma = schedule(t)
        seen = seen.to(contest.x.dtype)
        return (seen - alpha * denoise(seen, t)) / sigma

    steps = most_steps(scheduler, calls)
    return sample(scheduler, steps, eps, contest.x) if steps else None
