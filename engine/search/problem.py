"""What a plan is looked for: a denoiser, its start noise, and the fine solution that a run should end at."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine import exact, solvers
from engine.denoisers import Denoiser
from engine.models.model import Model, adapter
from engine.rng import Rng
from engine.schedules import Schedule
from engine.solvers.plan import Plan

FIT_SEED, CHECK_SEED = 1_000_000, 2_000_000
"""Seeds of the noise that plans are fitted on, and of the noise that they are chosen by; far from each other and from
the small seeds that people and the bench use."""
_FINE_STEPS = 50
"""Runge-Kutta steps of the fine solution of a network, 4 calls each: 200 calls."""
_PICTURES = 8
"""Samples of a network that are run at a time; their tangents, some 16 for each, pass through it together."""
_LEVEL_WIDTH = 0.15
"""The fast sinusoids of time embeddings make networks ripple in time: their exact slope says nothing about the next
level (measured on the flowers model: off by a factor of 2 to 3 half-way through)."""
_NOTHING = 1e-30
"""The square root has no slope at 0."""


@dataclass(frozen=True)
class Progress:
    """Where a search or refinement is: stage, `done` of `total` in it, and the best error so far."""

    stage: str
    done: int
    total: int
    error: float


@dataclass(frozen=True, eq=False)
class Problem:
    """A law of data to solve for.

    denoise(x_t, t) -> x0 on `schedule`, differentiable in x_t and in t when it shall be refined. draw(seed, count):
    start states (count, *shape). reference(x_T) -> x_0: where the probability-flow ODE through them ends.
    batch: samples that a refinement runs at a time. level_width: half the range of log-SNR over which its derivatives
    in time are taken, 0 for the exact ones. model_sha256: of the network's weights, "" for a law in closed form.
    """

    denoise: Denoiser
    schedule: Schedule
    draw: Callable[[int, int], Tensor]
    reference: Callable[[Tensor], Tensor]
    name: str
    batch: int = 128
    level_width: float = 0.0
    model_sha256: str = ""
    _cases: dict[tuple[int, int], tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    @property
    def start_log_snr(self) -> float:
        """log(alpha / sigma) of the start states."""
        return self.schedule.log_snr(self.schedule.start)

    def case(self, seed: int, count: int) -> tuple[Tensor, Tensor]:
        """Start states and their fine solutions, (count, *shape) both; computed once per seed and count."""
        key = seed, count
        if key not in self._cases:
            with torch.no_grad():
                x = self.draw(seed, count)
                self._cases[key] = x, self.reference(x)
        return self._cases[key]

    def error(self, plan: Plan, seed: int, count: int) -> float:
        """Mean distance between the ends of the plan's runs and the fine solutions; inf when it diverges."""
        x, wanted = self.case(seed, count)
        with torch.no_grad():
            *_, last = solvers.solve("usf", self.denoise, x, plan.times(self.schedule), self.schedule, plan=plan)
        error = float(distances(last.x, wanted).mean())
        return error if error < math.inf else math.inf


def distances(x: Tensor, wanted: Tensor) -> Tensor:
    """Root mean square difference per sample, (B,) float64: the unit is that of the data, whatever their size.

    Plans are judged by its mean over samples. The mean of squares would be ruled by the few samples whose run ends at
    another mode than the fine solution, which no small change of a plan can mend.
    """
    squares = (x - wanted).double().square().flatten(1).mean(1)
    return squares.clamp_min(_NOTHING).sqrt()


def of_mixture(law: exact.Mixture, schedule: Schedule, name: str = "mixture", steps: int = 400) -> Problem:
    """A mixture in closed form, float64. For a plan that shall hold for other components: `law.part` or `law.split`.

    steps: Runge-Kutta steps of the reference.
    """
    denoise = law.denoiser(schedule)
    return Problem(denoise, schedule, _noise(schedule, (law.size,), torch.float64),
                   lambda x: exact.solution(denoise, x, schedule, steps), name)


def of_model(model: Model, shape: tuple[int, ...] | None = None,
             around: Callable[[Denoiser], Denoiser] = lambda denoise: denoise, steps: int = _FINE_STEPS) -> Problem:
    """A network that makes data from noise, in float32 where its weights lie.

    It does not share batches with other runs, because gradients flow through it. shape: of one sample, by default the
    pictures of the card. around: wraps the denoiser, to guide it or to give it its condition. steps: Runge-Kutta steps
    of the reference, 4 calls each.
    """
    side = model.card.resolution_px
    shape = shape or (model.card.architecture.options.get("channels", 3), side, side)
    plain = adapter(model.card.prediction)(model.network.requires_grad_(False).eval(), model.schedule)
    denoise = around(plain)
    return Problem(denoise, model.schedule, _noise(model.schedule, shape, torch.float32),
                   lambda x: exact.solution(denoise, x, model.schedule, steps), model.card.name, _PICTURES,
                   _LEVEL_WIDTH, model.card.sha256)


def together(*problems: Problem) -> Problem:
    """Several problems of one schedule and shape as one: each gets an equal share of every batch.

    A plan that shall serve laws that it has not seen is fitted on several others.
    """
    first, parts = problems[0], len(problems)
    assert all(p.schedule == first.schedule for p in problems), "problems must share a schedule"

    def denoise(x: Tensor, t) -> Tensor:
        # tensor_split cuts every batch of one size in the same way.
        levels = t.tensor_split(parts) if isinstance(t, Tensor) and t.ndim else [t] * parts
        return torch.cat([p.denoise(share, level) for p, share, level in zip(problems, x.tensor_split(parts), levels)])

    def draw(seed: int, count: int) -> Tensor:
        return torch.cat([p.draw(seed + i, len(share))
                          for i, (p, share) in enumerate(zip(problems, torch.arange(count).tensor_split(parts)))])

    def reference(x: Tensor) -> Tensor:
        return torch.cat([p.reference(share) for p, share in zip(problems, x.tensor_split(parts))])

    return Problem(denoise, first.schedule, draw, reference, " + ".join(dict.fromkeys(p.name for p in problems)),
                   first.batch, max(p.level_width for p in problems), first.model_sha256)


def _noise(schedule: Schedule, shape: tuple[int, ...], dtype: torch.dtype) -> Callable[[int, int], Tensor]:
    alpha, sigma = schedule(schedule.start)
    scale = (alpha * alpha + sigma * sigma) ** 0.5

    def draw(seed: int, count: int) -> Tensor:
        return Rng(seed, count).normal(*shape).to(dtype) * scale

    return draw
