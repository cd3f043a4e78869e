"""One measurement solved by several methods, side by side: pictures, figures against the truth, calls and time."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from engine import grids, models, solvers
from engine.io.pictures import to_pixels
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.steering import particles
from engine.steering.particles import ParticleStep
from engine.step import Step
from engine.tasks import priors
from engine.tasks.inverse import baselines, judging, measurements, methods, solving
from engine.tasks.inverse.solving import Case
from engine.tasks.laboratory import runs
from engine.tasks.laboratory.inverse.contest import CLASSICAL, DRAWING_STEPS, Contest, Entry, lineup
from engine.tasks.laboratory.work import Event, executed, reason_of

SPREAD_TOP = 0.7
"""Standard deviation that the map's brightest colour stands for, in all cells alike; pictures go from -1 to 1."""
SHOWN_SAMPLES = 3
_SHOWN_PX = 128
_DRAWING_STREAM = 2**34
"""Far from the streams of samples and of measurement noise."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The first item of a run: what all methods get. truth, measured: (H, W, 3) uint8."""

    truth: np.ndarray
    measured: np.ndarray


@dataclass(frozen=True, eq=False)
class Cell:
    """One finished method. reason: why it failed, in words, else "".

    index: its place in `Contest.methods`. pictures: (H, W, 3) uint8 by title, mean and spread only of several samples.
    figures: of `judging.figures`, where they are known. notes: what people must know, a sentence each.
    """

    index: int
    method: str
    title: str
    steps: int
    calls: int
    seconds: float
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reason: str = ""


def run(contest: Contest) -> Iterator[Scene | Cell | Event]:
    """The scene, then the cells as they finish; between them the events of `engine.runtime.execution`.

    Working counts the steps of the whole contest. A method that fails gives its reason and the others go on. Closing
    the generator ends the run within one step. Failed means that the whole run could not go on.
    """
    entries = lineup(contest)
    drawing = 0 if contest.picture else DRAWING_STEPS
    steps = drawing + sum(entry.calls for entry in entries)
    first = next((entry.method for entry in entries if entry.steps), "ddnm")
    return executed(_items(contest, entries), steps, methods.recipe(first, contest.steps, contest.samples,
                                                                    contest.seed))


def _items(contest: Contest, entries: Sequence[Entry]) -> Iterator[Step | Scene | Cell]:
    model = models.load(contest.model)
    truth = yield from _truth(contest, model)
    case = solving.measured(truth, contest.measurement, contest.seed, contest.noise)
    seen = measurements.shown(case.measurement, case.y)
    yield Scene(_shown(truth), _shown(seen))
    for index, entry in enumerate(entries):
        began = time.perf_counter()
        try:
            if entry.method.startswith(CLASSICAL):
                yield _classical(index, entry, case, contest.measurement)
            else:
                yield (yield from _steered(index, entry, case, contest, model))
        except Exception as error:
            reason = reason_of(error)
            if not reason:
                raise
            yield Cell(index, entry.method, entry.title, entry.steps, 0, time.perf_counter() - began, reason=reason)


def _truth(contest: Contest, model: Model) -> Generator[Step, None, Tensor]:
    """The picture that is to be found again, (1, 3, side, side) in [-1, 1], after the steps that draw it."""
    side = model.card.resolution_px
    if contest.picture is not None:
        return solving.square(contest.picture, side)
    denoise = priors.denoiser(model, _recipe(contest, "ddnm", DRAWING_STEPS), contest.number)
    schedule = model.schedule
    rng = Rng(contest.draw, 1, _DRAWING_STREAM)
    x = rng.normal(3, side, side) * schedule(schedule.start)[1]
    step = None
    for step in solvers.solve("dpmpp_2m", denoise, x, grids.make("uniform", schedule, DRAWING_STEPS), schedule):
        yield step
    return step.x.clamp(-1, 1)


def _classical(index: int, entry: Entry, case: Case, kind: str) -> Cell:
    method = baselines.fitting(kind)[entry.method.removeprefix(CLASSICAL)]
    began = time.perf_counter()
    found = method(case.y, case.measurement, case.noise, tuple(case.truth.shape[-2:]))
    seconds = time.perf_counter() - began
    figures = judging.figures(found, case.truth, case.y, case.measurement, case.noise)
    return Cell(index, entry.method, entry.title, 0, 0, seconds, {"Result": _shown(found)}, figures)


def _steered(index: int, entry: Entry, case: Case, contest: Contest,
             model: Model) -> Generator[Step, None, Cell]:
    began, step = time.perf_counter(), None
    steps = entry.steps or contest.steps
    for step in solving.solve(case, model, _recipe(contest, entry.method, steps), contest.number):
        reason = runs.trouble(step, entry.title)
        if reason:
            return Cell(index, entry.method, entry.title, steps, step.nfe, time.perf_counter() - began, reason=reason)
        yield step
    seconds = time.perf_counter() - began
    return Cell(index, entry.method, entry.title, steps, step.nfe, seconds, _pictures(step), judging.of(step, case),
                _notes(step))


def _pictures(step: Step) -> dict[str, np.ndarray]:
    """Mean, the first samples (of particles those that count most) and the map of the spread."""
    x = step.x.float().clamp(-1, 1)
    weighted = isinstance(step, ParticleStep)
    log_weights = step.log_weights if weighted else torch.zeros(len(x), dtype=torch.float64)
    if len(x) == 1:
        return {"Result": _shown(x)}
    order = log_weights.argsort(descending=True, stable=True)[:SHOWN_SAMPLES]
    shares = log_weights.softmax(0)
    found = {"Mean": _shown(particles.mean(x, log_weights)[None])}
    for place, i in enumerate(order.tolist(), start=1):
        found[f"Particle {i + 1}: {100 * shares[i]:.0f} %" if weighted else f"Sample {place}"] = _shown(x[i:i + 1])
    return found | {"Spread": _spread_map(particles.spread(x, log_weights))}


def _notes(step: Step) -> tuple[str, ...]:
    if not isinstance(step, ParticleStep) or len(step.x) == 1:
        return ()
    told = particles.note(step.log_weights, particles.effective_size(step.log_weights))
    return (told,) if told else ()


def _spread_map(spread: Tensor) -> np.ndarray:
    """A spread (3, H, W) in viridis colours on the scale that all cells share, enlarged like the pictures."""
    import cv2

    grey = (spread.mean(0) / SPREAD_TOP).clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
    return _enlarged(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1])


def _shown(x: Tensor) -> np.ndarray:
    return _enlarged(to_pixels(x)[0])


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    factor = max(1, _SHOWN_PX // pixels.shape[0])
    return np.ascontiguousarray(pixels.repeat(factor, 0).repeat(factor, 1))


def _recipe(contest: Contest, method: str, steps: int) -> Recipe:
    return methods.recipe(method, steps, contest.samples, contest.seed, contest.guidance)
