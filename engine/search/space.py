"""The space of plans of a given number of calls: drawing, mutating and crossing them, and their features.

Rates follow the search of USF (Liu et al., ICLR 2024): its decisions per step are those of `engine.solvers.plan`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from random import Random

import torch
from torch import Tensor

from engine.errors import InputError
from engine.search.unrolled import with_free_start
from engine.solvers.plan import AFS, CORRECTORS, MAX_ORDER, PREDICTIONS, RELAXATIONS, Derivative, Plan, StepPlan

_STARTS = (-1, -2, -3)
_ORDER_ODDS = (0.2, 0.4, 0.3, 0.1)
_LAST_CALL = (1.0, 7.0)
"""Where random plans make their last call, in log-SNR."""
_LOWEST = -8.0
"""Stands for a start without signal, whose log-SNR is infinite."""
_TRIES = 100


@dataclass(frozen=True)
class Space:
    """Plans of `calls` denoiser calls from the level `start` (log-SNR, may be -inf) to sigma = 0.

    predictions: what its steps may extrapolate. Every plan that its methods return is valid and has that many calls.
    """

    calls: int
    start: float
    predictions: tuple[str, ...] = ("noise", "data")

    def __post_init__(self):
        if self.calls < 2:
            raise InputError(f"The plan shall make {self.calls} calls.", "A search needs at least 2.", field="calls")

    def random(self, rng: Random) -> Plan:
        """A plan whose decisions are all drawn."""
        def attempt() -> Plan:
            afs = rng.choice(AFS)
            steps = self.calls + (afs != "none")
            last, warp = rng.uniform(*_LAST_CALL), math.exp(rng.gauss(0, 0.4))
            low = max(self.start, _LOWEST)
            inner = [low + (last - low) * (i / (steps - 1)) ** warp for i in range(1, steps)]
            return Plan((self.start, *inner, math.inf), tuple(self._step(rng, i, steps) for i in range(steps)), afs)

        return _first_valid(attempt)

    def mutate(self, plan: Plan, rng: Random, strength: float = 1.0) -> Plan:
        """A neighbour of the plan. strength: scales the changes of its levels and coefficients."""
        def attempt() -> Plan:
            changed = self._toggle_afs(plan, rng) if rng.random() < 0.15 else plan
            levels = _jittered(changed.log_snr, rng, 0.15 * strength) if rng.random() < 0.7 else changed.log_snr
            steps = [self._changed(rng, i, step, len(changed.steps), strength)
                     if rng.random() < 0.4 else replace(step, gain=(), corrector_gain=())
                     for i, step in enumerate(changed.steps)]
            return Plan(levels, tuple(steps), changed.afs)

        return _first_valid(attempt)

    def cross(self, one: Plan, other: Plan, rng: Random) -> Plan:
        """A child of two plans: every kind of decision from either, in half of the cases step by step.

        Plans of different length have no child; a mutant of the first is returned.
        """
        if len(one.steps) != len(other.steps) or one.afs != other.afs:
            return self.mutate(one, rng)

        def attempt() -> Plan:
            by_step = rng.random() < 0.5
            kinds = [rng.random() < 0.5 for _ in range(3)]
            steps = tuple(_mixed(a, b, [rng.random() < 0.5 for _ in range(3)] if by_step else kinds)
                          for a, b in zip(one.steps, other.steps))
            return Plan(rng.choice((one, other)).log_snr, steps, one.afs)

        return _first_valid(attempt)

    def features(self, plan: Plan) -> Tensor:
        """The plan as numbers for the predictor; one length for all plans of the space, whatever their first step."""
        steps = list(_step_features(plan))
        width = len(steps[0])
        # Aligned at the end, where plans with and without a free first step do the same.
        padding = [0.0] * (width * (self.calls + 1 - len(steps)))
        return torch.tensor([float(plan.afs != "none"), *padding, *(v for step in steps for v in step)])

    def _step(self, rng: Random, i: int, steps: int) -> StepPlan:
        """A drawn step i of a run of `steps`."""
        order = min(rng.choices(range(1, MAX_ORDER + 1), _ORDER_ODDS)[0], i + 1) if 0 < i < steps - 1 else 1
        start = rng.choice(_STARTS) if rng.random() < 0.1 and i >= 2 else -1
        corrector = rng.choice(CORRECTORS) if 0 < i < steps - 2 else "none"
        return StepPlan(rng.choice(self.predictions), order, start, _derivatives(rng, i, order, start), corrector)

    def _changed(self, rng: Random, i: int, step: StepPlan, steps: int, strength: float) -> StepPlan:
        """The step with one of its decisions drawn anew."""
        fresh = self._step(rng, i, steps)
        kind = rng.choice(("prediction", "order", "corrector", "relaxation"))
        step = replace(step, gain=(), corrector_gain=())
        if kind == "prediction":
            return replace(step, prediction=fresh.prediction)
        if kind == "corrector":
            return replace(step, corrector=fresh.corrector, corrector_relaxation="none")
        if kind == "order" or not step.derivatives:
            return replace(step, order=fresh.order, start=fresh.start, derivatives=fresh.derivatives)
        first = step.derivatives[0]
        relaxed = (replace(first, relaxation="linear", coefficient=first.coefficient + rng.gauss(0, 0.06 * strength))
                   if rng.random() < 0.6 else _relaxed(rng, first.points))
        return replace(step, derivatives=(relaxed, *step.derivatives[1:]))

    def _toggle_afs(self, plan: Plan, rng: Random) -> Plan:
        """The same number of calls with or without a first step for free, which takes or leaves one level."""
        if plan.afs == "none":
            return with_free_start(plan, rng.uniform(0.2, 0.8))
        steps = [self._step(rng, i, len(plan.steps) - 1) if i < MAX_ORDER else step
                 for i, step in enumerate(plan.steps[1:])]
        return Plan((plan.log_snr[0], *plan.log_snr[2:]), tuple(steps))


def _first_valid(attempt) -> Plan:
    """Decisions that exclude each other are drawn again: `Plan` itself says what is valid."""
    for _ in range(_TRIES):
        try:
            return attempt()
        except InputError:
            continue
    raise AssertionError(f"no valid plan in {_TRIES} draws")


def _derivatives(rng: Random, i: int, order: int, start: int) -> tuple[Derivative, ...]:
    """Estimates from the newest predictions; the first derivative at times from fewer (low-order estimation)."""
    free = [p for p in range(-1, -i - 2, -1) if p != start][:order - 1]
    result = []
    for d in range(1, order):
        count = rng.randint(1, len(free)) if d == 1 and rng.random() < 0.3 else len(free)
        points = tuple(free[:count])
        result.append(_relaxed(rng, points) if d == 1 and rng.random() < 0.5 else Derivative(points))
    return tuple(result)


def _relaxed(rng: Random, points: tuple[int, ...]) -> Derivative:
    relaxation = rng.choice(RELAXATIONS)
    return Derivative(points, relaxation, rng.gauss(0, 0.1) if relaxation == "linear" else 0.0)


def _jittered(levels: Sequence[float], rng: Random, width: float) -> tuple[float, ...]:
    """Levels with gaps stretched by random factors of about 1 + width; the first and an infinite last one stay."""
    first, inner = levels[0], [max(v, _LOWEST) for v in levels if v < math.inf]
    gaps = [(b - a) * math.exp(rng.gauss(0, width)) for a, b in pairwise(inner)]
    moved = list(accumulate(gaps, initial=inner[0]))[1:]
    return (first, *moved, *levels[len(inner):])


def _mixed(one: StepPlan, other: StepPlan, from_one: Sequence[bool]) -> StepPlan:
    """Prediction, corrector, and the tied decisions of order and derivatives, each from one of the two."""
    prediction, corrector, taylor = (one if choice else other for choice in from_one)
    return StepPlan(prediction.prediction, taylor.order, taylor.start, taylor.derivatives, corrector.corrector,
                    corrector.corrector_relaxation)


def _step_features(plan: Plan) -> Iterator[list[float]]:
    for before, after, step in zip(plan.log_snr, plan.log_snr[1:], plan.steps):
        low, high = max(before, _LOWEST), min(after, -2 * _LOWEST)
        first = step.derivatives[0] if step.derivatives else Derivative((-1,))
        yield [low / 5, (high - low) / 5, first.coefficient, len(first.points) / 3,
               *(float(step.prediction == name) for name in PREDICTIONS),
               *(float(step.order == order) for order in range(1, MAX_ORDER + 1)),
               *(float(step.start == start) for start in _STARTS),
               *(float(first.relaxation == name) for name in RELAXATIONS), float(step.corrector != "none")]
