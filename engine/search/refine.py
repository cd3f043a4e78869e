"""Refinement of a plan: its times and all of its weights are optimised through the unrolled run.

What is minimised is the mean distance to the fine solution over a pool of start noise. Beyond S3 (Liu et al., ICLR
2024), whose searched decisions leave the weights to Taylor's formula.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, float64
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.errors import InputError
from engine.search.problem import CHECK_SEED, FIT_SEED, Problem, Progress, distances
from engine.search.unrolled import Shape, roll, run, sensitivities, unit_states, unroll
from engine.solvers.plan import Plan

METHODS = ("gauss_newton", "adam")
_FIRST_DAMPING = 1e-2
_LEAST_DAMPING = 1e-9
_TRIES = 10
_ARRIVED = 0.1
_RATE = 3e-3


@dataclass(frozen=True)
class _Fit:
    """The pool of start states (in unit coordinates) and fine solutions, in batches."""

    problem: Problem
    shape: Shape
    cases: Sequence[tuple[Tensor, Tensor]]
    chunk: int

    def error(self, values: Tensor) -> float:
        """Mean distance; inf where a run diverges."""
        with torch.no_grad():
            error = float(torch.cat([self._distances(values, *case) for case in self.cases]).mean())
        return error if error < math.inf else math.inf

    def normal_equations(self, values: Tensor, error: float) -> tuple[Tensor, Tensor]:
        """Curvature (P, P) and slope (P,) of the mean distance, float64. error: its value here.

        The curvature is J'WJ with W = 1 / distance (iteratively reweighted least squares), where samples that have
        almost arrived count as those at a tenth of the mean.
        """
        square, slope = torch.zeros(len(values), len(values), dtype=float64), torch.zeros_like(values)
        # Forward derivatives of attention exist in its plain form only.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            for y, wanted in self.cases:
                last, tangents = sensitivities(self.problem, self.shape, values, y, self.chunk)
                weights = 1 / distances(last, wanted).clamp_min(_ARRIVED * error)
                tangents, rest = tangents.flatten(2).cpu().double(), (last - wanted).flatten(1).cpu().double()
                rest, weighted = weights.cpu()[:, None] * rest, (weights.sqrt().cpu()[:, None] * tangents).flatten(1)
                square += weighted @ weighted.T
                slope += tangents.flatten(1) @ rest.flatten()
        size = sum(wanted.numel() for _, wanted in self.cases)
        return square / size, slope / size

    def batch_error(self, values: Tensor, number: int) -> Tensor:
        """Mean distance over one batch, differentiable."""
        return self._distances(values, *self.cases[number % len(self.cases)]).mean()

    def _distances(self, values: Tensor, y: Tensor, wanted: Tensor) -> Tensor:
        return distances(run(self.problem, self.shape, values, y), wanted)


def refine(plan: Plan, problem: Problem, steps: int = 20, *, samples: int = 256, batch: int | None = None,
           method: str = "gauss_newton", seed: int = 0, chunk: int = 16,
           on_progress: Callable[[Progress], None] | None = None) -> Plan:
    """A plan with the same number of calls whose levels and weights were fitted to the fine solutions of a problem.

    steps: of the optimiser. samples: runs in the pool that is fitted, `batch` (the problem's by default) at a time; as
    many others, from other noise, choose the best of all steps (its error is the plan's score) and so stop it from
    fitting too closely. method: "gauss_newton" (Levenberg-Marquardt by forward derivatives: few, dear steps), or "adam"
    (backpropagation, one batch per step: cheap steps, hundreds of them; of networks it refines the weights only).
    chunk: tangents at a time, less takes less memory. Raises InputError for an unknown method, unusable numbers, and
    plans with v3 steps.
    """
    if method not in METHODS:
        raise InputError(f"There is no way to refine named {str(method)[:40]!r}.",
                         fix="Choose one of " + ", ".join(METHODS) + ".", field="method")
    batch = problem.batch if batch is None else batch
    for name, value in (("steps", steps), ("samples", samples), ("batch", batch)):
        if value < 1:
            raise InputError(f"{name} is {value}.", "It must be at least 1.", field=name)
    shape, values = unroll(plan, problem.schedule)
    fit, check = (_Fit(problem, shape, _pool(problem, base + seed, samples, batch), chunk)
                  for base in (FIT_SEED, CHECK_SEED))
    best, error = values, check.error(values)
    optimise = _gauss_newton if method == METHODS[0] else _adam
    for number, moved in enumerate(optimise(fit, values, steps), 1):
        found = check.error(moved)
        if found < error:
            best, error = moved, found
        if on_progress:
            on_progress(Progress("refine", number, steps, error))
    refined = roll(shape, best, problem.schedule)
    return replace(refined, title=plan.title, model=problem.name, model_sha256=problem.model_sha256,
                   score=error, found=f"{plan.found} Refined by {method}, {steps} steps.".strip())


def _pool(problem: Problem, seed: int, samples: int, batch: int) -> list[tuple[Tensor, Tensor]]:
    cases = [problem.case(seed + i, min(batch, samples - i)) for i in range(0, samples, batch)]
    starts, ends = zip(*cases)
    return list(zip(unit_states(problem, starts), ends))


def _gauss_newton(fit: _Fit, values: Tensor, steps: int) -> Iterator[Tensor]:
    """Levenberg-Marquardt with Marquardt's scaling; ends early when no step helps any more."""
    error, damping = fit.error(values), _FIRST_DAMPING
    for _ in range(steps):
        square, slope = fit.normal_equations(values, error)
        scale = square.diagonal().clamp_min(_LEAST_DAMPING * float(square.diagonal().max()))
        for _ in range(_TRIES):
            moved = values - torch.linalg.solve(square + damping * scale.diag(), slope)
            new = fit.error(moved)
            if new < error:
                break
            damping *= 4
        else:
            return
        values, error, damping = moved, new, max(damping / 5, _LEAST_DAMPING)
        yield values


def _adam(fit: _Fit, values: Tensor, steps: int) -> Iterator[Tensor]:
    """Adam over the batches in turn, its rate falling to 0 along a cosine; gradients of length 1 at most."""
    values = values.clone().requires_grad_()
    optimiser = torch.optim.Adam([values], lr=_RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for number in range(steps):
        with torch.enable_grad():
            loss = fit.batch_error(values, number)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([values], 1.0)
        optimiser.step()
        falling.step()
        yield values.detach().clone()
