"""Searching a plan for one of the laboratory's problems, and storing it where its solver finds it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine import models
from engine import search as searching
from engine.io.files import write_whole
from engine.search import Problem, Progress
from engine.solvers.plan import Plan
from engine.tasks.laboratory import problems
from engine.tasks.laboratory.resources import ASSETS

_SCORED_SEED = 31_000_000
"""Noise that the stored score is measured on: neither the search's nor that of runs and of the bench."""


def subject(name: str) -> Problem:
    """What plans for the problem of that name are fitted on. Raises InputError for an unknown name.

    For a known law these are other components than the law's own (`problems.fitting`); for a model its own denoiser
    without a class.
    """
    found = problems.load(name)
    if not isinstance(found, problems.Known):
        return searching.of_model(models.load(name))
    parts = [searching.of_mixture(law, found.trained, name) for law in problems.fitting(name)]
    return searching.together(*parts) if len(parts) > 1 else parts[0]


def store(name: str, calls: int, *, evaluations: int = 200, steps: int = 20, samples: int = 256, seed: int = 0,
          folder: Path | None = None, on_progress: Callable[[Progress], None] | None = None) -> tuple[Path, Plan]:
    """Search a plan of so many calls, refine it by `steps` Gauss-Newton steps, and write it as JSON.

    samples: runs that the refinement fits. folder: assets/plans by default. The plan's score is its error on noise that
    neither saw; for a known law also on the law itself. Gives the file and the plan.
    """
    fitted = subject(name)
    plan = searching.search(fitted, calls, evaluations=evaluations, seed=seed, on_progress=on_progress)
    if steps:
        plan = searching.refine(plan, fitted, steps, samples=samples, seed=seed, on_progress=on_progress)
    found = problems.load(name)
    judged = searching.of_mixture(found.law, found.trained, name) if isinstance(found, problems.Known) else fitted
    plan = replace(plan, model=name, score=judged.error(plan, _SCORED_SEED + seed, samples))
    path = (folder or ASSETS / "plans") / f"{name}_{calls:02d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_whole(path, plan.write().encode()), plan
