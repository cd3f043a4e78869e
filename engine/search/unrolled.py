"""A plan as numbers that can be optimised: the levels of its calls, and the weight of all that a step may use.

In unit coordinates y = x / |(alpha, sigma)|, which are the same on every schedule, any solver that is linear in its
estimates m_j = denoise(x_j) makes, from call to call,

    y_(i+1) = keep_i y_i + sum_(j <= i) weights_ij m_j,    y_0 = first y_T.

The first call is made at a free level too: what comes before it is a step with x0 = 0, which costs none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, float64

from engine import solvers
from engine.errors import InputError
from engine.schedules import Schedule
from engine.search.problem import Problem
from engine.solvers.plan import AFS, Derivative, Plan, StepPlan
from engine.solvers.usf import compile

MEMORY = 9
"""Most earlier estimates of a step: a plan's three derivatives of at most three points each."""
_POINTS = 3
_END = 9.0
"""Level (log-SNR) of the last state of an unrolled plan: clean to 1e-4, and finite, so that all its weights count."""
_LOWEST = -8.0
_LEAST_GAP = 1e-4
"""Share of the range that two levels are apart at least: weights of estimates at one level could not be told apart."""
_FIRST_CALL = 0.6
"""Where in its first step a plan makes the first call when it is freed from making it at the start."""
_HEADROOM = 0.3
"""How far beyond the last call the end is at least."""


@dataclass(frozen=True)
class Shape:
    """What stays fixed: N calls, each step's memory, and the range of levels (log-SNR) that the calls may lie in.

    The parameters are one float64 vector: first; then for every call i: its place, keep_i, and its weights, newest
    estimate first. A place is the logit of the gap before the level: gaps are shares (softmax) of the range.
    """

    calls: int
    start: float
    low: float
    end: float

    def known(self, i: int) -> int:
        """Number of estimates that the step after call i weighs."""
        return min(i, MEMORY) + 1

    @property
    def places(self) -> list[int]:
        """Where the places stand in the vector of parameters."""
        return [1 + sum(self.known(k) + 2 for k in range(i)) for i in range(self.calls)]

    def levels(self, values: Tensor) -> Tensor:
        """Rising levels of the N calls, from the parameters."""
        shares = torch.cat([values[self.places], values.new_zeros(1)]).softmax(0)
        shares = _LEAST_GAP + (1 - len(shares) * _LEAST_GAP) * shares
        return self.low + (self.end - self.low) * shares.cumsum(0)[:-1]

    def rows(self, values: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(keep_i, weights_i) of the N steps, from the parameters."""
        return [(values[p + 1], values[p + 2:p + 2 + self.known(i)]) for i, p in enumerate(self.places)]


def call(problem: Problem, y: Tensor, level: Tensor) -> Tensor:
    """The estimate of x0 at a state in unit coordinates and a level, differentiable in both."""
    t = problem.schedule.time_at(level)
    return problem.denoise(_length(problem.schedule, t) * y, t)


def run(problem: Problem, shape: Shape, values: Tensor, y: Tensor) -> Tensor:
    """The last state (B, *) of a run from the unit state y (B, *); differentiable in the parameters.

    Not in the places where the problem ripples in time (`Problem.level_width`): only `sensitivities` smooths.
    """
    levels, known = shape.levels(values.detach() if problem.level_width else values), []
    y = values[0] * y
    for level, (keep, weights) in zip(levels, shape.rows(values)):
        known = [call(problem, y, level), *known[:MEMORY]]
        y = keep * y + sum(w * m for w, m in zip(weights, known))
    return y


def sensitivities(problem: Problem, shape: Shape, values: Tensor, y: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """The last state (B, *) and its derivatives (P, B, *) with respect to the P parameters.

    Forward: the tangents of the state pass through every call together, `chunk` at a time, and only those parameters
    pass that the state already depends on. That is a third of the work of differentiating `run`, and exact.
    """
    levels, known, moved = shape.levels(values), [], []
    tangents, y = y[None], values[0] * y
    for i, (keep, weights) in enumerate(shape.rows(values)):
        level = levels[i]
        estimate, by_level = _along_levels(problem, y, level)
        by_state = torch.func.vmap(_along(problem, y, level), chunk_size=chunk)(tangents)
        known = [estimate, *known[:MEMORY]]
        moved = [torch.cat([by_state, by_level[None]]), *moved[:MEMORY]]
        tangents = torch.cat([keep * tangents, torch.zeros_like(y)[None]])
        for weight, change in zip(weights, moved):
            tangents[:len(change)] += weight * change
        tangents = torch.cat([tangents, y[None], torch.stack(known)])
        y = keep * y + sum(w * m for w, m in zip(weights, known))
    places = shape.places
    to_levels = torch.func.jacrev(shape.levels)(values)[:, places].to(tangents)
    tangents[places] = torch.tensordot(to_levels.T, tangents[places], 1)
    return y, tangents


def _along_levels(problem: Problem, y: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """The estimate at a state and its derivative in the level."""
    if width := problem.level_width:
        before, after = call(problem, y, level - width), call(problem, y, level + width)
        return call(problem, y, level), (after - before) / (2 * width)
    return torch.func.jvp(lambda at: call(problem, y, at), (level,), (torch.ones_like(level),))


def _along(problem: Problem, y: Tensor, level: Tensor):
    return lambda tangent: torch.func.jvp(lambda state: call(problem, state, level), (y,), (tangent,))[1]


def unroll(plan: Plan, schedule: Schedule) -> tuple[Shape, Tensor]:
    """A plan's shape and parameters: what it does with x and the estimates, whatever its decisions were.

    Found by running it on vectors of weights in place of states. Estimates older than the memory are dropped. A plan
    that calls at its first level, where there is little to see, calls later. Raises InputError for v3 steps.
    """
    if any(step.prediction == "v3" for step in plan.steps):
        raise InputError("The plan has steps of the prediction v3.", "They are not linear in the estimates alone.",
                         "Refine a plan of noise and data steps.", "plan")
    plan = plan if plan.afs != "none" else with_free_start(plan, _FIRST_CALL)
    levels, states = _record(plan, schedule)
    low = max(plan.log_snr[0], _LOWEST)
    end = plan.log_snr[-1] if plan.log_snr[-1] < math.inf else max(_END, levels[-1] + _HEADROOM)
    shape = Shape(plan.calls, plan.log_snr[0], low, end)
    gaps = torch.tensor([*levels, end], dtype=float64).diff(prepend=torch.tensor([low], dtype=float64)) / (end - low)
    gaps = ((gaps - _LEAST_GAP) / (1 - len(gaps) * _LEAST_GAP)).clamp_min(_LEAST_GAP).log()
    values = [states[0][0]]
    for i in range(plan.calls):
        keep = states[i + 1][0] / states[i][0]
        row = (states[i + 1] - keep * states[i])[1:i + 2].flip(0)
        values += [gaps[i] - gaps[-1], keep, *row[:shape.known(i)]]
    return shape, torch.stack(values)


def with_free_start(plan: Plan, share: float) -> Plan:
    """The plan with a first step that costs no call, over that share of its first step, and as many calls as before."""
    assert plan.afs == "none", "the plan starts for free already"
    low, after = max(plan.log_snr[0], _LOWEST), min(plan.log_snr[1], _END)
    return replace(plan, log_snr=(plan.log_snr[0], low + share * (after - low), *plan.log_snr[1:]),
                   steps=(StepPlan(), *plan.steps), afs=AFS[1])


def _record(plan: Plan, schedule: Schedule) -> tuple[list[float], list[Tensor]]:
    """Levels of the calls; weights (1 + N) of the start and of the N estimates in each called state and in the last."""
    basis = torch.eye(plan.calls + 1, dtype=float64)
    levels, states, times = [], [], plan.times(schedule)
    first = _length(schedule, times[0])

    def remember(x: Tensor, t: float) -> Tensor:
        levels.append(schedule.log_snr(float(t)))
        states.append(_unit(x[0], first, _length(schedule, torch.as_tensor(t, dtype=float64))))
        return basis[len(levels)][None]

    *_, last = solvers.solve("usf", remember, basis[:1], times, schedule, plan=plan)
    return levels, [*states, _unit(last.x[0], first, _length(schedule, times[-1]))]


def _unit(weights: Tensor, first: Tensor, here: Tensor) -> Tensor:
    """Weights in unit coordinates; the start is counted in its own unit too."""
    return torch.cat([weights[:1] * first, weights[1:]]) / here


def roll(shape: Shape, values: Tensor, schedule: Schedule) -> Plan:
    """The plan that does what the parameters say: data steps from all remembered points, with gains for the rest."""
    levels = (shape.start, *shape.levels(values).tolist(), shape.end)
    steps = [StepPlan(), *(_skeleton(min(i, MEMORY)) for i in range(shape.calls))]
    bare = Plan(levels, tuple(steps), AFS[1])
    wanted = [(values[0], values.new_zeros(1)), *shape.rows(values)]
    lengths = _length(schedule, bare.times(schedule)).tolist()
    gained = []
    for i, (row, (keep, weights)) in enumerate(zip(compile(bare, schedule).predict, wanted)):
        made = {(term.kind, term.node): term.weight for term in row}
        state, *estimates = made["seen", i], *(made["x0", i - j] for j in range(len(weights)))
        weights = [lengths[i + 1] * w for w in weights.tolist()]
        # A plan weighs differences to the newest estimate, whose own factor is therefore on the sum of all.
        own = math.fsum(weights) / math.fsum(estimates)
        gain = (float(keep) * lengths[i + 1] / lengths[i] / state, own,
                *(want / has for want, has in zip(weights[1:], estimates[1:])))
        gained.append(StepPlan(derivatives=steps[i].derivatives, order=steps[i].order, gain=gain))
    return Plan(levels, tuple(gained), AFS[1])


def _skeleton(earlier: int) -> StepPlan:
    """A data step whose derivatives use that many earlier estimates between them, the d-th at least d."""
    groups = math.ceil(earlier / _POINTS)
    derivatives, newest = [], -2
    for d in range(groups):
        size = earlier // groups + (d >= groups - earlier % groups)
        derivatives.append(Derivative(tuple(range(newest, newest - size, -1))))
        newest -= size
    return StepPlan(order=1 + groups, derivatives=tuple(derivatives))


def _length(schedule: Schedule, t: Tensor) -> Tensor:
    alpha, sigma = schedule(t)
    return (alpha * alpha + sigma * sigma).sqrt()


def unit_states(problem: Problem, states: Sequence[Tensor]) -> list[Tensor]:
    """Start states in unit coordinates."""
    length = float(_length(problem.schedule, torch.tensor(problem.schedule.start, dtype=float64)))
    return [x / length for x in states]
