"""One solver for every plan. Liu et al., ICLR 2024, "A Unified Sampling Framework for Solver Searching" (USF).

`compile` turns a plan into a program: rows of weights on what a run knows. `execute` runs it. Weights are numbers, or
tensors where levels or gains are tensors: gradients then reach these through the same loop (`engine.search`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, float64

from engine.errors import InputError
from engine.solvers import exponential
from engine.solvers.exponential import Node
from engine.solvers.forms import Form, Number, Weights, expm1, form, moments
from engine.solvers.loops import Denoise
from engine.solvers.plan import Plan, StepPlan
from engine.solvers.registry import solver
from engine.solvers.statistics import Statistics
from engine.step import Step

# Relative: times that went through a recipe or a viewer are still those of the plan.
_SAME_TIME = 1e-6
_NEW = 0
"""The point of a corrector that is the prediction at the end of the step; all others count back from -1."""


class Term(NamedTuple):
    """weight * what is known at a level: kind "x" (the state), "seen" (the state as the denoiser saw it, before a
    corrector went over it), "x0" (its estimate) or "one" (the number 1).
    """

    kind: str
    node: int
    weight: Number


Row = tuple[Term, ...]


@dataclass(frozen=True)
class Program:
    """A plan on a schedule, N steps.

    times: N + 1, numbers or tensors with gradients. stops: (t, sigma) of the N + 1 levels as plain numbers. predict: N
    rows. correct: N rows, one per level, which replace its state once its estimate is known; empty for none.
    free_start: the first estimate is 0, without a call.
    """

    times: tuple[Number, ...]
    stops: tuple[tuple[float, float], ...]
    predict: tuple[Row, ...]
    correct: tuple[Row, ...]
    free_start: bool

    def on(self, x: Tensor) -> "Program":
        """The same program with its tensors in x's dtype and on its device, and times for its batch."""
        times = (t.to(x.device).expand(len(x)) if isinstance(t, Tensor) else t for t in self.times)
        predict, correct = (tuple(tuple(term._replace(weight=term.weight.to(x)) if isinstance(term.weight, Tensor)
                                        else term for term in row) for row in rows)
                            for rows in (self.predict, self.correct))
        return replace(self, times=tuple(times), predict=predict, correct=correct)

    def oldest(self) -> list[int]:
        """For each step the oldest level that later steps still use."""
        result, least = [], len(self.predict)
        for rows in zip(self.predict[::-1], self.correct[::-1]):
            result.append(least)
            least = min(least, *(term.node for row in rows for term in row))
        return result[::-1]


@solver("usf", title="Searched plan", order=1, steps=(3, 10, 20), needs="plan", takes=("statistics",),
        spacings=("searched",),
        paper="Liu et al., ICLR 2024 (USF and S3), sections 3 and 4",
        hint="Times and order of every step were searched for this model, 1 call per step. 3 to 20 calls.")
def usf(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, plan: Plan,
        statistics: Statistics | None = None) -> Iterator[Step]:
    """Runs a plan. Its order, 1 or more, is that of its steps; `plan.calls` calls, deterministic, any schedule.

    times: those of the plan, `grids.make("searched", schedule, steps, plan=plan)`. statistics: of this model, for plans
    with v3 steps. Raises InputError for other times and for missing or foreign statistics.

    >>> for step in usf(denoise, x, plan.times(schedule), schedule, plan=plan): ...
    """
    wanted = plan.times(schedule)
    if times.shape != wanted.shape or not torch.allclose(times.to(wanted), wanted, rtol=_SAME_TIME, atol=0):
        raise InputError(f"The run has {len(times) - 1} steps at other times than the plan.",
                         f"The plan brings the times of its {len(plan.steps)} steps.",
                         "Choose the step spacing searched.", "spacing")
    sample = x.shape[1:]
    if statistics is not None and sample and statistics.shape not in ((), sample):
        raise InputError(f"The model statistics are for samples of the shape {tuple(statistics.shape)}.",
                         f"This run's samples have {tuple(sample)}.", "Choose another plan or another size.", "plan")
    return execute(denoise, x, compile(plan, schedule, statistics=statistics))


def execute(denoise: Denoise, x: Tensor, program: Program) -> Iterator[Step]:
    """Run a compiled plan from x, (B, *), the state at its first time. Changes nothing in place.

    As for UniPC an estimate is kept when its state is corrected; `Step.x` is the predicted state.
    """
    program, steps, oldest = program.on(x), len(program.predict), program.oldest()
    known: dict[tuple[str, int], Tensor | float] = {}
    for i, row in enumerate(program.predict):
        x0 = torch.zeros_like(x) if program.free_start and i == 0 else denoise(x, program.times[i])
        known |= {("x", i): x, ("seen", i): x, ("x0", i): x0, ("one", i): 1.0}
        if program.correct[i]:
            known["x", i] = _total(program.correct[i], known)
        x = _total(row, known)
        known = {key: value for key, value in known.items() if key[1] >= oldest[i]}
        yield Step(i + 1, steps, *program.stops[i + 1], x, x0, i + 1 - program.free_start)


def _total(row: Row, known: dict[tuple[str, int], Tensor | float]) -> Tensor:
    (kind, node, weight), *others = row
    total = known[kind, node] * weight
    for kind, node, weight in others:
        value = known[kind, node]
        total = total + weight * value if isinstance(weight, Tensor) else torch.add(total, value, alpha=weight)
    return total


def compile(plan: Plan, schedule, *, statistics: Statistics | None = None, log_snr: Tensor | None = None,
            gains: Sequence[Sequence[Number]] | None = None,
            corrector_gains: Sequence[Sequence[Number]] | None = None) -> Program:
    """All weights of a plan on a schedule, computed in float64.

    For refinement log_snr, (N + 1,), and gains and corrector_gains, N sequences each, take the place of the plan's;
    tensors keep their gradients (infinite levels have none). Raises InputError when the plan starts before the schedule
    does, or has v3 steps and the statistics are missing or the levels are tensors.
    """
    nodes = _nodes(plan, schedule, log_snr)
    corrected = {i + 1 for i, step in enumerate(plan.steps) if step.corrector != "none"}
    predict, correct = [], [()]
    for i, step in enumerate(plan.steps):
        span = _Span(step, i, nodes, statistics, Plan.node(i, step.start) in corrected)
        gain = step.gain if gains is None else gains[i]
        predict.append(span.row(step.union, step.derivatives, gain))
        gain = step.corrector_gain if corrector_gains is None else corrector_gains[i]
        correct.append(span.row((*step.union, _NEW), _corrector(step), gain) if i + 1 in corrected else ())
    return Program(tuple(n.t for n in nodes), tuple((_plain(n.t), _plain(n.sigma)) for n in nodes), tuple(predict),
                   tuple(correct[:-1]), plan.afs != "none")


def relaxation(name: str, coefficient: float, z: Number, h: Number) -> Number:
    """The factor 1 + O(h) on a derivative. h: the step in log-SNR; z: h in noise and v3 form, -h in data form.

    bh2 turns the exact weight of the first derivative into the midpoint rule of DPM-Solver, bh1 into UniPC's B = z.
    """
    if name == "none":
        return 1.0
    if name == "linear":
        return 1 + coefficient * h
    if name in ("plus", "minus"):
        return 1 + (expm1(z) if name == "plus" else -expm1(z)) / 2
    return (expm1(z) if name == "bh2" else z) / (2 * moments(z, 1)[0])


class _Estimate(NamedTuple):
    """A derivative as in `plan.Derivative`; its points may include `_NEW`."""

    points: tuple[int, ...]
    relaxation: str = "none"
    coefficient: float = 0.0


def _corrector(step: StepPlan) -> list[_Estimate]:
    """One derivative more, all from all points and the new one."""
    points = (*step.union, _NEW)
    return [_Estimate(points, "none" if d else step.corrector_relaxation) for d in range(step.order)]


@dataclass(frozen=True)
class _Span:
    """Step i of a plan, between its levels. corrected: whether a corrector goes over its start."""

    step: StepPlan
    i: int
    nodes: Sequence[Node]
    statistics: Statistics | None
    corrected: bool

    def row(self, points: Sequence[int], estimates: Sequence[_Estimate], gain: Sequence[Number]) -> Row:
        """The first-order step and what the estimates add to it. gain: on state, estimate and each point, or empty."""
        s, end = Plan.node(self.i, self.step.start), self.nodes[self.i + 1]
        start = self.nodes[s]
        rule = form(self.step.prediction, start, end, len(estimates), self.statistics)
        on_state, on_x0, *on_points = gain if len(gain) else [1.0] * (2 + len(points))
        first, own = rule.first, rule.prediction(start)
        terms = _terms(s, 1.0, first._replace(seen=on_state * first.seen, x0=on_x0 * first.x0))
        for point, factor, weight in zip(points, on_points, self._weights(points, estimates, rule), strict=True):
            node, weight = Plan.node(self.i, point), factor * rule.scale * weight
            terms += _terms(node, weight, rule.prediction(self.nodes[node])) + _terms(s, -weight, own)
        if self.corrected:
            terms += [Term("x", s, rule.carry), Term("seen", s, -rule.carry)]
        # Gains of 0 may leave nothing at all.
        return _merged(terms) or (Term("seen", s, 0.0),)

    def _weights(self, points: Sequence[int], estimates: Sequence[_Estimate], rule: Form) -> list[Number]:
        """On the difference to the start of the prediction at each point: the sum over the derivatives."""
        start = self.nodes[Plan.node(self.i, self.step.start)].log_snr
        h = self.nodes[self.i + 1].log_snr - start
        offsets = {p: (self.nodes[Plan.node(self.i, p)].log_snr - start) / h for p in points}
        weights = dict.fromkeys(points, 0.0)
        for d, estimate in enumerate(estimates, 1):
            moment = rule.moments[d - 1] * relaxation(estimate.relaxation, estimate.coefficient, rule.z, h)
            for p, share in zip(estimate.points, _coefficients([offsets[p] for p in estimate.points], d)):
                weights[p] = weights[p] + moment * share
        return list(weights.values())


def _coefficients(offsets: Sequence[Number], power: int) -> Sequence[Number]:
    """a with: sum_j a_j y_j is the coefficient of u^power of the polynomial that is 0 at u = 0 and y_j at offset_j."""
    unit = [float(i == power) for i in range(1, len(offsets) + 1)]
    if not any(isinstance(offset, Tensor) for offset in offsets):
        return exponential.fit(offsets, unit)
    base = torch.stack([torch.as_tensor(offset, dtype=float64) for offset in offsets])
    powers = torch.stack([base**i for i in range(1, len(offsets) + 1)])
    return torch.linalg.solve(powers, torch.tensor(unit, dtype=float64)).unbind()


def _nodes(plan: Plan, schedule, log_snr: Tensor | None) -> list[Node]:
    """The levels of a run; their times follow from levels that are tensors."""
    nodes = []
    for i, (t, level) in enumerate(zip(plan.times(schedule).tolist(), plan.log_snr)):
        if log_snr is not None and bool(log_snr[i].isfinite()):
            level = log_snr[i].double()
            t = schedule.time_at(level)
        nodes.append(Node(t, *schedule(t), level))
    return nodes


def _terms(node: int, factor: Number, weights: Weights) -> list[Term]:
    """Those of a prediction at a level that are not nothing by definition."""
    return [Term(kind, node, factor * weight) for kind, weight in zip(Weights._fields, weights)
            if isinstance(weight, Tensor) or weight]


def _merged(terms: Sequence[Term]) -> Row:
    """One term per kind and level, without those that are nothing."""
    sums: dict[tuple[str, int], Number] = {}
    for kind, node, weight in terms:
        sums[kind, node] = sums.get((kind, node), 0.0) + weight
    return tuple(Term(*key, weight) for key, weight in sums.items() if isinstance(weight, Tensor) or weight)


def _plain(value: Number) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else float(value)
