"""Clouds drawn from the two stages: geometry from a sketch and words, then colour and parts on that geometry."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from engine import grids
from engine.guidance import classifier_free
from engine.rng import Rng
from engine.schedules import Schedule
from engine.solvers import solve
from engine.step import Step
from engine.tasks.pointcloud import tokens
from engine.tasks.pointcloud.batches import SPREAD, as_tensor
from engine.tasks.pointcloud.guiding import two_conditions

Denoiser = Callable[..., Tensor]

SOLVER, STEPS, SPACING = "dpmpp_2m", 20, "uniform"
WEIGHTS = (1.5, 1.5)
"""How much a run follows the sketch and the words."""
COLOUR_STEPS, COLOUR_WEIGHT = 10, 1.5
_COLOURS_FROM, _MORE_FROM = 1 << 20, 1 << 21
"""First samples of the streams of noise for colours and further points: a shape's own noise still shows in its points,
so that noise of the same stream would tell where a point lies."""
_UPSAMPLING_LOG_SNR = 2.0


def told(sketch: np.ndarray | None, ids: np.ndarray | None) -> dict[str, Tensor]:
    """Conditions of one run as networks take them; None stands for a sketch or words that are not given."""
    drawn = np.zeros((64, 64), np.uint8) if sketch is None else sketch
    said = tokens.EMPTY if ids is None else ids
    return {"sketch": as_tensor(drawn[None]), "tokens": torch.from_numpy(said[None])}


def geometry_steps(denoise: Denoiser, schedule: Schedule, sketch: np.ndarray | None, ids: np.ndarray | None,
                   samples: int = 1, points: int = 2048, seed: int = 0, solver: str = SOLVER, steps: int = STEPS,
                   weights: tuple[float, float] = WEIGHTS, spacing: str = SPACING, **options) -> Iterator[Step]:
    """A solver's steps with x and x0 (samples, points, 3) in shape coordinates.

    denoise, schedule: of a cloud_geometry model. sketch (64, 64) uint8 or None; ids (40,) or None, both as `prepared`
    and `encode` give them. weights: of the sketch and of the words, see `two_conditions`; that of a condition which is
    not given has no effect.
    """
    nothing = told(None, None)
    both, first = told(sketch, ids), told(sketch, None)
    weight_sketch, weight_text = weights
    guided = two_conditions(denoise, both, first, nothing, weight_sketch if sketch is not None else weight_text,
                            weight_text if ids is not None else weight_sketch)
    rng = Rng(seed, samples)
    x = rng.normal(points, 3) * schedule(schedule.start)[1]
    times = grids.make(spacing, schedule, steps)
    for step in solve(solver, guided, x, times, schedule, rng=rng, **options):
        yield replace(step, x=step.x * SPREAD, x0=step.x0 * SPREAD)


def draw(model, sketch: np.ndarray | None, text: str, samples: int = 1, points: int = 2048, seed: int = 0,
         solver: str = SOLVER, steps: int = STEPS, weights: tuple[float, float] = WEIGHTS) -> np.ndarray:
    """Clouds (samples, points, 3) float32 in shape coordinates, [-1, 1] along the longest side.

    model: a cloud_geometry `engine.models.Model`. sketch: (64, 64) uint8 as `sketch.prepared` gives it, or None; text
    may be empty. Words outside `model.network.words` have no effect: see `tokens.encode` to report them.
    """
    ids = tokens.encode(text, model.network.words).ids if text.strip() else None
    with torch.no_grad():
        *_, last = geometry_steps(model.denoiser, model.schedule, sketch, ids, samples, points, seed, solver, steps,
                                  weights)
    return last.x.numpy()


def colour_steps(denoise: Denoiser, schedule: Schedule, shape: dict[str, Tensor], ids: np.ndarray, count: int,
                 seed: int = 0, solver: str = SOLVER, steps: int = COLOUR_STEPS, weight: float = COLOUR_WEIGHT,
                 spacing: str = SPACING, **options) -> Iterator[Step]:
    """A solver's steps with x and x0 (S, count, 3), colours in [-1, 1] on S clouds of `count` points that stay.

    denoise, schedule: of a cloud_colour model. shape: its condition `points` (S, count, 3) or `encoded`; ids (40,).
    """
    given = dict(shape)
    samples = len(next(iter(given.values())))
    guided = classifier_free(denoise, {"tokens": torch.from_numpy(ids[None])},
                             {"tokens": torch.from_numpy(tokens.EMPTY[None])}, weight)
    rng = Rng(seed, samples, first=_COLOURS_FROM)
    x = rng.normal(count, 3) * schedule(schedule.start)[1]
    times = grids.make(spacing, schedule, steps)
    yield from solve(solver, lambda y, t: guided(y, t, **given), x, times, schedule, rng=rng, **options)


def labelled(denoise: Denoiser, schedule: Schedule, points: Tensor, parts: int) -> np.ndarray:
    """Part labels (S, N) of clouds (S, N, 3): one call, since the posterior of the labels does not wait for colours."""
    start = schedule.start
    empty = torch.from_numpy(tokens.EMPTY[None]).expand(len(points), -1)
    x0 = denoise(torch.zeros(*points.shape[:2], 3 + parts), start, points=points, tokens=empty)
    return x0[..., 3:].argmax(-1).numpy()


def colour(model, points: np.ndarray, text: str, seed: int = 0, solver: str = SOLVER, steps: int = COLOUR_STEPS,
           weight: float = COLOUR_WEIGHT) -> np.ndarray:
    """Colours (S, N, 3) float32 in [0, 1] of clouds (S, N, 3), which stay as they are; call it again to recolour.

    model: a cloud_colour `engine.models.Model`. The geometry is encoded once.
    """
    shape = {"encoded": encoded(model, points)}
    ids = tokens.encode(text, model.network.words).ids
    with torch.no_grad():
        *_, last = colour_steps(model.denoiser, model.schedule, shape, ids, points.shape[1], seed,
                                solver, steps, weight)
    return (last.x.clamp(-1, 1).numpy() + 1) / 2


def parts(model, points: np.ndarray) -> np.ndarray:
    """Part labels (S, N), places in `shapes.PARTS`, of clouds (S, N, 3) in shape coordinates, by their form alone."""
    return encoded(model, points)[..., :model.network.parts].argmax(-1).numpy()


def upsampled(model, points: np.ndarray, sketch: np.ndarray | None, text: str, count: int = 8192, seed: int = 0,
              steps: int = 6) -> np.ndarray:
    """A cloud (count, 3) whose first points are the given ones (N, 3): the others start beside them and are denoised.

    New points are copies, with noise of the level from which the last few steps of a run start (SDEdit, Meng et al.,
    2022); the network sees all points, the given ones at the same level, and only the new ones are kept from it.
    model: the cloud_geometry model, with the conditions of the run that made the points.
    """
    ids = tokens.encode(text, model.network.words).ids if text.strip() else None
    schedule, copies = model.schedule, -(-count // len(points))
    start = float(schedule.time_at(_UPSAMPLING_LOG_SNR))
    alpha, sigma = schedule(start)
    clean = torch.from_numpy(np.tile(points, (copies, 1))[:count] / SPREAD).float()[None]
    x = alpha * clean + sigma * Rng(seed, 1, first=_MORE_FROM).normal(count, 3)
    times = grids.make(SPACING, schedule, steps, start=start)
    cond = told(sketch, ids)
    with torch.no_grad():
        *_, last = solve(SOLVER, lambda y, t: model.denoiser(y, t, **cond), x, times, schedule)
    return np.concatenate((points, last.x[0, len(points):].numpy() * SPREAD))


@lru_cache(maxsize=4)
def _part_network(model) -> Callable[..., Tensor]:
    from engine.models.model import Runner
    from engine.runtime import device as devices

    device = devices.choose()
    return Runner(model.network.part, device, devices.precision(device))


def encoded(model, points: np.ndarray) -> Tensor:
    """Part logits and features (S, N, parts + features) of clouds (S, N, 3): what all steps of the colours share."""
    with torch.no_grad():
        return _part_network(model)(torch.from_numpy(np.float32(points)), torch.zeros(len(points)))
