"""The total-variation bound for the laboratory: on a law whose truth is known, and as far as it goes for a model."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine import exact, grids, schedules, solvers, theory
from engine.rng import Rng
from engine.step import Step
from engine.tasks.laboratory import problems

DRAWN, DRAWN_STEPS = 8, 20
"""Pictures that a model's bound is measured on, and the steps of DPM-Solver++ 2M that draw them from it."""
_LEVELS = 12


@dataclass(frozen=True)
class Found:
    """The bound for one number of steps. true: the distance itself, None where nobody knows it."""

    steps: int
    bound: theory.Bound
    true: float | None


def of_line(schedule: str, steps: int, variance: str = "beta", error: float = 0.0) -> Found:
    """Bound and truth on the one-dimensional mixture for an eps that is off by `error`."""
    law, chain = exact.line(), theory.chain(schedules.by_name(schedule), steps)
    return Found(steps, theory.bound(law, chain, variance, error),
                 theory.true_total_variation(law, chain, variance, error))


def of_model(name: str, steps: int, variance: str = "beta", seed: int = 0) -> Iterator[Step | Found]:
    """Steps of a run that draws DRAWN pictures from the shipped model itself, then what they say about its own chain.

    The data of this bound are therefore the model's pictures and not photographs: it tells what fewer, noisier steps
    cost, and its learning part is an upper bound that also holds what no network could predict.
    """
    problem = problems.load(name)
    denoise, schedule = problem.denoiser(), problem.trained
    times = grids.make("log_snr", schedule, DRAWN_STEPS)
    for step in solvers.solve("dpmpp_2m", denoise, problem.noise(Rng(seed, DRAWN)), times, schedule):
        yield replace(step, total=calls(steps))
    found = theory.model_bound(denoise, step.x.clamp(-1, 1), schedule, theory.chain(schedule, steps),
                               Rng(seed + 1, DRAWN), variance, _LEVELS)
    yield Found(steps, found, None)


def calls(steps: int) -> int:
    """Network calls of `of_model` for a chain of so many steps."""
    return DRAWN_STEPS + min(_LEVELS, steps)
