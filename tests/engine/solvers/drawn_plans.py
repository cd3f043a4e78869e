"""Random valid plans: every decision of the space occurs."""

import math
from random import Random

from engine.solvers.plan import RELAXATIONS, Derivative, Plan, StepPlan


def drawn(seed: int, steps: int = 8, predictions: tuple[str, ...] = ("noise", "data"), start: float = -4.5,
          end: float = math.inf) -> Plan:
    """Levels at least 0.2 apart, so that differences between predictions keep their digits."""
    rng = Random(seed)
    inner = start
    levels = [start, *(inner := inner + rng.uniform(0.2, 1.5) for _ in range(steps - 1))]
    end = max(end, inner + 0.5)
    return Plan((*levels, end), tuple(_step(rng, i, predictions, i == steps - 1, end) for i in range(steps)))


def _step(rng: Random, i: int, predictions: tuple[str, ...], last: bool, end: float) -> StepPlan:
    order = 1 if last and end == math.inf else rng.randint(1, min(i + 1, 4))
    start = -rng.randint(1, min(i + 1, 3))
    free = [p for p in range(-min(i + 1, 5), 0) if p != start]
    derivatives = tuple(Derivative(tuple(rng.sample(free, rng.randint(d, len(free)))), *_relaxation(rng))
                        for d in range(1, order))
    prediction = rng.choice([p for p in predictions if p != "v3" or end < math.inf])
    corrected = not last and rng.random() < 0.5 and not (prediction == "v3" and order == 4)
    return StepPlan(prediction, order, start, derivatives, "pseudo" if corrected else "none",
                    rng.choice(RELAXATIONS[:-1]) if corrected else "none")


def _relaxation(rng: Random) -> tuple[str, float]:
    name = rng.choice(RELAXATIONS)
    return name, rng.gauss(0, 0.2) if name == "linear" else 0.0
