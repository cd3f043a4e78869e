"""One run of the laboratory: from names and numbers to a solver's steps and the fine solution beside them."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from engine import exact, grids, solvers
from engine.denoisers import Denoiser
from engine.errors import InputError
from engine.rng import Rng
from engine.runtime.settings import limits
from engine.schedules import Schedule
from engine.solvers.plan import Plan
from engine.step import Step
from engine.tasks.laboratory import problems
from engine.tasks.laboratory.axes import OPTION, Value
from engine.tasks.laboratory.problems import Problem
from engine.tasks.laboratory.resources import plan, resources

FINE_STEPS = 200
"""Steps of a model's fine solution: DPM-Solver++ 3M of true third order on the log-SNR grid."""
EXACT_STEPS = 300
"""Runge-Kutta steps of a known law's solution: exact to 1e-7 in the plane and to 1e-4 for the patches (measured against
twice as many)."""
_LEGS = 10
_KEPT = 64


@dataclass(frozen=True)
class Start:
    """What runs must share to be comparable: the same noise in the same field. The names are those of `axes.AXES`."""

    problem: str
    schedule: str
    guidance: float
    label: str
    seed: int
    samples: int

    @property
    def field(self) -> Problem:
        """The problem itself."""
        return problems.load(self.problem)

    def denoiser(self):
        """denoise(x_t, t) -> x0 of this field. Raises InputError for an unknown class or guidance without one."""
        return self.field.denoiser(self.schedule, self.guidance, self.label)


def start(settings: Mapping[str, Value], samples: int = 0) -> Start:
    """Where a run with these settings starts. samples: 0 for the problem's usual number, else 1 to its most."""
    usual, most = problems.load(settings["problem"]).samples
    if isinstance(samples, bool) or not isinstance(samples, int) or not 0 <= samples <= most:
        raise InputError(f"samples is {str(samples)[:40]}.", f"{settings['problem']} takes 1 to {most}.",
                         field="samples")
    return Start(*(settings[name] for name in ("problem", "schedule", "guidance", "label", "seed")), samples or usual)


@dataclass(frozen=True)
class Run:
    """A run that can be started: everything is checked. times: decreasing. calls: that it will make, as far as known.

    options: of the solver, and what it needs beside them.
    """

    start: Start
    solver: str
    times: Tensor
    calls: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def steps(self, rng: Rng) -> Iterator[Step]:
        """The solver's steps from the noise that `rng` draws first."""
        problem = self.start.field
        x = problem.noise(rng, self.start.schedule)
        return solvers.solve(self.solver, self.start.denoiser(), x, self.times, problem.schedule(self.start.schedule),
                             rng=rng, **self.options)


def prepare(settings: Mapping[str, Value], samples: int = 0, varied: Container[str] = (), plans: Sequence[Plan] = (),
            to_zero: bool = True) -> Run:
    """The run of these settings. Raises InputError with the reason why it cannot be made.

    varied: names of the settings that must not be adapted: other options go only to solvers that have them, and a
    solver for one spacing gets that. to_zero: whether the run ends at no noise or at the schedule's t_min.
    """
    begin, row = start(settings, samples), solvers.row(settings["solver"])
    problem = begin.field
    schedule, steps, sha256 = problem.schedule(begin.schedule), settings["steps"], problem.sha256
    taken = {option.name for option in row.options}
    options = {axis.removeprefix(OPTION): value for axis, value in settings.items()
               if axis.startswith(OPTION) and (axis in varied or axis.removeprefix(OPTION) in taken)}
    problem.check(begin.guidance, begin.label)
    needed = resources(row, problem.name, steps, sha256, plans)
    spacing = settings["spacing"]
    if row.spacings and spacing not in row.spacings:
        if "spacing" in varied:
            raise InputError(f"{row.title} does not take {spacing} spacing.", "It takes " + ", ".join(row.spacings)
                             + ".", "Choose another solver for this spacing.", "spacing")
        spacing = row.spacings[0]
    if spacing == grids.SEARCHED:
        searched = needed.get("plan") or plan(problem.name, steps, sha256, plans)
        times = searched.times(schedule)
    else:
        times = grids.make(spacing, schedule, steps, to_zero=to_zero)
    options |= needed
    if row.needs:
        calls = needed["plan"].calls if "plan" in needed else row.calls(len(times) - 1)
    else:
        calls = solvers.count_calls(row.name, times, schedule, **options)
    return Run(begin, row.name, times, calls, options)


def trouble(step: Step, title: str) -> str:
    """Why a run cannot go on after this step, in words; "" when all is well."""
    peak = max(float(torch.linalg.vector_norm(x.detach().float(), math.inf)) for x in (step.x, step.x0))
    bound = limits().state_bound
    if peak <= bound:
        return ""
    found = f"values up to {peak:.1e}" if math.isfinite(peak) else "values that are not finite"
    return (f"{title} diverged at step {step.index} of {step.total}, at noise level {step.sigma:.3g}. It has {found}, "
            f"the limit is {bound:g}.")


class Noise(Rng):
    """An Rng that counts how often it was asked: more than once means that the run drew noise of its own."""

    asked = 0

    def normal(self, *shape: int) -> Tensor:
        """As `Rng.normal`."""
        self.asked += 1
        return super().normal(*shape)


# Fine solutions by where they start and end; a model's weights are part of the key.
_fine: OrderedDict[tuple, Tensor] = OrderedDict()
_lock = threading.Lock()


def fine(begin: Start, end: float = 0.0) -> Generator[Step, None, Tensor]:
    """Yields the steps of the fine solution at time `end` and returns it; computed once and then remembered.

    The exact ODE solution for a known law, FINE_STEPS steps of a third-order solver for a model. Raises InputError when
    it diverges.
    """
    key = _key(begin, end)
    with _lock:
        if key in _fine:
            _fine.move_to_end(key)
            return _fine[key]
    problem = begin.field
    schedule, x = problem.schedule(begin.schedule), problem.noise(Rng(begin.seed, begin.samples), begin.schedule)
    if problem.exact:
        steps = _legs(begin.denoiser(), x, schedule, end)
    else:
        times = grids.make("log_snr", schedule, FINE_STEPS, end=end)
        steps = solvers.solve("dpmpp_3m", begin.denoiser(), x, times, schedule, consistent=True)
    for step in steps:
        if reason := trouble(step, "The fine solution"):
            raise InputError(reason)
        yield step
    with _lock:
        _fine[key] = step.x
        while len(_fine) > _KEPT:
            _fine.popitem(last=False)
    return step.x


def _legs(denoise: Denoiser, x: Tensor, schedule: Schedule, end: float) -> Iterator[Step]:
    """The exact solution in a few legs, so that a run can be stopped on the way."""
    times, each = grids.make("log_snr", schedule, _LEGS, end=end).tolist(), EXACT_STEPS // _LEGS
    for i, (s, t) in enumerate(pairwise(times), 1):
        x = exact.solution(denoise, x, schedule, each, start=s, end=t)
        yield Step(i, _LEGS, t, schedule(t)[1], x, x, 4 * each * i)


def fine_steps(begin: Start, end: float = 0.0) -> int:
    """Steps that `fine` will yield."""
    return 0 if not fine_calls(begin, end) else _LEGS if begin.field.exact else FINE_STEPS


def fine_calls(begin: Start, end: float = 0.0) -> int:
    """Denoiser calls that `fine` will make: 0 once it is remembered."""
    with _lock:
        if _key(begin, end) in _fine:
            return 0
    return 4 * EXACT_STEPS if begin.field.exact else FINE_STEPS


def _key(begin: Start, end: float) -> tuple:
    return begin, begin.field.sha256, round(end, 12)


def call_seconds(begin: Start) -> float:
    """Seconds of one denoiser call of such a run, timed once per problem, number of samples and kind of guidance."""
    return _timed(begin.problem, begin.samples, begin.label, begin.guidance not in (0, 1))


@lru_cache(maxsize=128)
def _timed(problem: str, samples: int, label: str, guided: bool) -> float:
    found = problems.load(problem)
    denoise = found.denoiser("own", 2.0 if guided else 1.0, label)
    x, t = found.noise(Rng(0, samples)), found.trained.t_max / 2
    with torch.no_grad():
        denoise(x, t)
        began = time.perf_counter()
        for _ in range(2):
            denoise(x, t)
    return (time.perf_counter() - began) / 2
