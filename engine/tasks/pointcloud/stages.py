"""The stages of a run one after the other, their steps numbered as those of one run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import samplers
from engine.models.model import Model
from engine.recipe import Recipe
from engine.step import Step
from engine.tasks.pointcloud import metrics, sampling, tokens
from engine.tasks.pointcloud.pool import POINTS
from engine.tasks.pointcloud.wishes import Wish

MANY = 4 * POINTS
MORE_STEPS = 6
"""Points of a sample where more are wanted, and the solver steps that lay them between the first."""

_CANDIDATES = 8 * POINTS
"""Points of a cloud among which those that the network sees are chosen: farthest points take time with all."""


@dataclass(frozen=True, eq=False)
class Clouds:
    """Finished samples. points (S, N, 3) float32 in about [-1, 1], y up; part (S, N) int32, places in shapes.PARTS.

    colours (S, N, 3) uint8, or None where parts alone were asked for.
    """

    points: np.ndarray
    colours: np.ndarray | None
    part: np.ndarray


@dataclass
class _Numbering:
    """Counts the steps and calls of stages through. coming: steps of stages that have not begun."""

    coming: int
    done: int = 0
    calls: int = 0

    def through(self, steps: Iterator[Step], planned: int) -> Iterator[Step]:
        self.coming -= planned
        done, calls = self.done, self.calls
        for step in steps:
            self.done, self.calls = done + step.index, calls + step.nfe
            yield replace(step, index=self.done, total=done + step.total + self.coming, nfe=self.calls)


def created(geometry: Model, colour: Model, wish: Wish, recipe: Recipe, options: Mapping[str, Any]
            ) -> Iterator[Step | Clouds]:
    """A shape out of sketch and words, then its colours, then more points if the options want them."""
    painting, adding = options["colour_steps"], recipe.samples if options["points"] == str(MANY) else 0
    numbering = _Numbering(recipe.steps + painting + adding)
    forming = sampling.geometry_steps(
        geometry.denoiser, geometry.schedule, wish.sketch, wish.ids(geometry.network.words), recipe.samples, POINTS,
        recipe.seed, recipe.solver, recipe.steps, (options["sketch_weight"], options["text_weight"]), recipe.spacing,
        **samplers.options(recipe))
    step = None
    for step in numbering.through(forming, recipe.steps):
        yield step
    points, encoded = step.x, sampling.encoded(colour, step.x.numpy())
    for step in numbering.through(_painted(colour, points, encoded, wish, recipe, options), painting):
        yield step
    clouds = Clouds(points.numpy(), _bytes(step.x[..., 3:]), _labels(colour, encoded))
    if adding:
        grown = []
        yield from numbering.through(_grown(geometry, clouds.points, wish, recipe, step, grown), adding)
        which = np.stack([metrics.nearest(more, few)[1] for more, few in zip(grown, clouds.points)])
        clouds = Clouds(np.stack(grown), _carried(clouds.colours, which), _carried(clouds.part, which))
    yield clouds


def recoloured(colour: Model, wish: Wish, recipe: Recipe, options: Mapping[str, Any]) -> Iterator[Step | Clouds]:
    """Colours for a given cloud: some points of it are coloured, the others take those of their nearest."""
    whole, samples = wish.cloud.points, recipe.samples
    few = spread(whole, POINTS)
    points = torch.from_numpy(few).expand(samples, -1, -1)
    encoded = sampling.encoded(colour, few[None])
    step = None
    for step in _painted(colour, points, encoded.expand(samples, -1, -1), wish, recipe, options):
        yield step
    which = np.broadcast_to(metrics.nearest(whole, few)[1], (samples, len(whole)))
    yield Clouds(np.repeat(whole[None], samples, 0), _carried(_bytes(step.x[..., 3:]), which),
                 _carried(np.repeat(_labels(colour, encoded), samples, 0), which))


def parted(colour: Model, wish: Wish, recipe: Recipe, options: Mapping[str, Any]) -> Iterator[Step | Clouds]:
    """The parts of a given cloud: one look, which is one step."""
    whole = wish.cloud.points
    few = spread(whole, POINTS)
    labels = _labels(colour, sampling.encoded(colour, few[None]))
    shown = torch.from_numpy(few[None])
    yield Step(1, 1, 0.0, 0.0, shown, shown, 1)
    yield Clouds(whole[None], None, _carried(labels, metrics.nearest(whole, few)[1][None]))


def spread(points: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the points (N, 3), each as far as possible from those before (farthest point sampling).

    So they lie evenly, as the networks know it, however densely the cloud was scanned here and there.
    """
    if len(points) <= count:
        return points
    rng = np.random.default_rng(0)
    some = points[rng.permutation(len(points))[:max(_CANDIDATES, count)]]
    chosen, apart = np.zeros(count, np.int64), np.full(len(some), np.inf, np.float32)
    for i in range(1, count):
        apart = np.minimum(apart, ((some - some[chosen[i - 1]]) ** 2).sum(1))
        chosen[i] = np.argmax(apart)
    return some[chosen]


def _painted(colour: Model, points: Tensor, encoded: Tensor, wish: Wish, recipe: Recipe, options: Mapping[str, Any]
             ) -> Iterator[Step]:
    """The steps of the colours with the points (S, N, 3) that they are on, (S, N, 6)."""
    words = tokens.encode(wish.colour_words, colour.network.words).ids
    # The next seed: with the noise that the points started from, colours would go with places.
    steps = sampling.colour_steps(
        colour.denoiser, colour.schedule, {"encoded": encoded}, words, points.shape[1], recipe.seed + 1, recipe.solver,
        options["colour_steps"], options["text_weight"], recipe.spacing, **samplers.options(recipe))
    for step in steps:
        yield replace(step, x=torch.cat((points, step.x), -1), x0=torch.cat((points, step.x0), -1))


def _grown(geometry: Model, points: np.ndarray, wish: Wish, recipe: Recipe, last: Step, found: list[np.ndarray]
           ) -> Iterator[Step]:
    """Fill `found` with clouds (MANY, 3) that hold the points (S, N, 3); a step for each, which shows what was there.
    """
    for number, cloud in enumerate(points, start=1):
        found.append(sampling.upsampled(geometry, cloud, wish.sketch, wish.text, MANY, recipe.seed + 1 + number,
                                        MORE_STEPS))
        yield replace(last, index=number, total=len(points), nfe=MORE_STEPS * number)


def _labels(colour: Model, encoded: Tensor) -> np.ndarray:
    return np.int32(encoded[..., :colour.network.parts].argmax(-1).numpy())


def _bytes(colours: Tensor) -> np.ndarray:
    return np.uint8((colours.clamp(-1, 1).numpy() + 1) * 127.5 + 0.5)


def _carried(values: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Values (S, N, ...) of the points `which` (S, M)."""
    return np.stack([of_sample[places] for of_sample, places in zip(values, which)])
