"""S3: the search for a plan in stages of scoring, learning to rank, and evolution by predicted rank.

Liu et al., "A Unified Sampling Framework for Solver Searching of Diffusion Probabilistic Models", ICLR 2024.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import torch

from engine import grids
from engine.errors import InputError
from engine.io.files import write_whole
from engine.search.predictor import Predictor
from engine.search.problem import CHECK_SEED, FIT_SEED, Problem, Progress
from engine.search.space import Space
from engine.solvers.plan import Plan
from engine.solvers.plans_named import NAMES, named
from engine.solvers.registry import row

STAGES = 3
VERSION = 1
_SEEDS = 0.25
"""Share of the evaluations that the seed population gets; the stages divide the rest."""
_PREDICTED = 10
"""Plans that are judged by the predictor for each that is run."""
_GENERATIONS = 5
_PARENTS = 15
_CROSSED = 0.4
_FINALISTS = 5
_SPACINGS = ("log_snr", "karras", "uniform")
_STATE_BYTES = 50_000_000


@dataclass(frozen=True)
class Scored:
    """A plan with its error on the noise that the search runs on."""

    plan: Plan
    error: float


def search(problem: Problem, calls: int, *, evaluations: int = 200, minutes: float = math.inf, samples: int = 64,
           seed: int = 0, resume_from: Path | None = None,
           on_progress: Callable[[Progress], None] | None = None) -> Plan:
    """The best plan of `calls` calls that was found, its score the error on noise that the search did not see.

    evaluations: plans that are really run, each on the same `samples` starts. minutes: no new plan is run after them.
    seed: of everything drawn. resume_from: a JSON file that keeps every evaluation; when it exists the search goes on
    from there, and ends as one that was never stopped. on_progress: called after each evaluation. Raises InputError for
    impossible numbers and for a file of another search.
    """
    for name, value, least in (("evaluations", evaluations, 10), ("samples", samples, 1)):
        if value < least:
            raise InputError(f"{name} is {value}.", f"It must be at least {least}.", field=name)
    space = Space(calls, problem.start_log_snr)
    label = {"version": VERSION, "problem": problem.name, "model_sha256": problem.model_sha256, "calls": calls,
             "samples": samples, "seed": seed}
    known = _read(resume_from, label) if resume_from else {}
    run = _Run(problem, samples, seed, known, label, resume_from, time.monotonic() + 60 * minutes, on_progress)
    found = run.scores("seeds", _seed_population(space, problem, max(5, round(_SEEDS * evaluations)), seed))
    each = max(1, (evaluations - len(found)) // STAGES)
    for stage in range(STAGES):
        if run.late:
            break
        rng = Random(f"{seed}/{stage}")
        found += run.scores(f"stage {stage + 1} of {STAGES}", _evolved(space, found, each, stage, seed, rng))
    return _winner(problem, found, samples, seed)


class _Run:
    """Scores plans, remembers their errors by their text, and keeps them in a file."""

    def __init__(self, problem: Problem, samples: int, seed: int, known: dict[str, float], label: dict[str, Any],
                 path: Path | None, deadline: float, on_progress: Callable[[Progress], None] | None):
        self._problem, self._samples, self._seed = problem, samples, FIT_SEED + seed
        self._known, self._label, self._path = known, label, path
        self._deadline, self._report, self._best = deadline, on_progress, math.inf

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self._deadline

    def scores(self, stage: str, plans: Sequence[Plan]) -> list[Scored]:
        """Run the plans, except those that the file knows; ends early, but never without one, when the time is up."""
        found = []
        for number, plan in enumerate(plans, 1):
            if self.late and found:
                break
            text = plan.write()
            if text not in self._known:
                self._known[text] = self._problem.error(plan, self._seed, self._samples)
                self._save()
            found.append(Scored(plan, self._known[text]))
            self._best = min(self._best, found[-1].error)
            if self._report:
                self._report(Progress(stage, number, len(plans), self._best))
        return found

    def _save(self) -> None:
        if self._path:
            # JSON has no infinity; null is a plan that diverged.
            errors = {text: error if math.isfinite(error) else None for text, error in self._known.items()}
            write_whole(self._path, json.dumps({**self._label, "errors": errors}).encode())


def _read(path: Path, label: dict[str, Any]) -> dict[str, float]:
    """Errors by the text of the plan from the file of an earlier run, {} when there is none."""
    if not path.exists():
        return {}
    if path.stat().st_size > _STATE_BYTES:
        raise InputError(f"The search's file has {path.stat().st_size} bytes.", f"The limit is {_STATE_BYTES}.",
                         field="resume_from")
    try:
        state = json.loads(path.read_bytes())
        errors = {str(text): math.inf if error is None else float(error) for text, error in state.pop("errors").items()}
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise InputError("The search's file is not readable.", "It must be JSON that a search has saved.",
                         "Delete it to start afresh.", "resume_from") from None
    for key, value in label.items():
        if state.get(key) != value:
            raise InputError(f"The search's file is for {key} {str(state.get(key))[:40]!r}.",
                             f"This one is for {value!r}.", "Take another file.", "resume_from")
    return errors


def _seed_population(space: Space, problem: Problem, count: int, seed: int) -> list[Plan]:
    """Known solvers over several spacings that make the right number of calls, then drawn plans, at least half."""
    rng, known = Random(f"{seed}/seeds"), []
    for spacing, name in product(_SPACINGS, NAMES):
        steps = [n for n in range(1, space.calls + 1) if row(name).calls(n) == space.calls]
        known += [named(name, grids.make(spacing, problem.schedule, n), problem.schedule) for n in steps]
    plans = _distinct(replace(plan, title="", found="") for plan in known if plan.calls == space.calls)
    rng.shuffle(plans)
    plans = plans[:(count + 1) // 2]
    return plans + [space.random(rng) for _ in range(count - len(plans))]


def _evolved(space: Space, found: Sequence[Scored], count: int, stage: int, seed: int, rng: Random) -> list[Plan]:
    """New plans that the predictor puts first: generations of children of the best known and the best predicted.

    The search narrows: mutations get smaller from stage to stage.
    """
    rank = Predictor(torch.stack([space.features(s.plan) for s in found]), torch.tensor([s.error for s in found]), seed)
    seen = {s.plan for s in found}
    elders = [s.plan for s in sorted(found, key=lambda s: s.error)[:_PARENTS]]
    pool: list[Plan] = []
    for _ in range(_GENERATIONS):
        parents = elders + pool[:_PARENTS]
        children = [_child(space, parents, rng, 0.6**stage) for _ in range(_PREDICTED * count // _GENERATIONS)]
        pool = _distinct(p for p in pool + children if p not in seen)
        order = rank(torch.stack([space.features(p) for p in pool])).argsort().tolist()
        pool = [pool[i] for i in order]
    return pool[:count]


def _child(space: Space, parents: Sequence[Plan], rng: Random, strength: float) -> Plan:
    # Better parents, which stand first, are drawn more often.
    one, other = (parents[int(len(parents) * rng.random() ** 2)] for _ in range(2))
    return space.mutate(space.cross(one, other, rng) if rng.random() < _CROSSED else one, rng, strength)


def _winner(problem: Problem, found: Sequence[Scored], samples: int, seed: int) -> Plan:
    """The best of the finalists on other noise: the one that won on the search's noise may have been lucky."""
    finalists = sorted(found, key=lambda s: s.error)[:_FINALISTS]
    checked = [Scored(s.plan, problem.error(s.plan, CHECK_SEED + seed, samples)) for s in finalists]
    best = min(checked, key=lambda s: s.error)
    if not math.isfinite(best.error):
        raise InputError("No plan was found.", "All plans of the search diverged.", "Allow more evaluations or calls.",
                         "evaluations")
    return replace(best.plan, title=f"Searched for {problem.name}, {best.plan.calls} calls", model=problem.name,
                   model_sha256=problem.model_sha256, score=best.error,
                   found=f"S3, {len(found)} plans run on {samples} samples.")


def _distinct(plans: Iterable[Plan]) -> list[Plan]:
    return list(dict.fromkeys(plans))
