"""Clouds from sketch and text beside retrieval, each condition alone and a pointwise network, in one run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.tasks.measuring import timed
from engine.tasks.pointcloud import kaykit, metrics, sampling
from engine.tasks.pointcloud.baselines import Retrieval
from engine.tasks.pointcloud.pool import POINTS, TRAINING, Example, example, example_of_prop
from engine.tasks.pointcloud.shapes import make, names
from engine.tasks.pointcloud.shapes.surface import sampled

_MOST = 100
_SET_POINTS = 1024


@dataclass(frozen=True)
class Cloud:
    """An answer: points (N, 3) in shape coordinates, colours (N, 3) in [0, 1], labels (N,)."""

    points: np.ndarray
    rgb: np.ndarray
    part: np.ndarray


Method = Callable[[Example, int], Cloud]
"""(held-out example, seed) -> the cloud that answers its sketch and text."""


@dataclass(frozen=True)
class Models:
    """The loaded models (`engine.models.Model`) that are measured."""

    geometry: Any
    colour: Any
    pointwise: Any | None = None


def evaluate(models: Models, data: str | Path, limit: int | None = None, training: int = TRAINING
             ) -> list[dict[str, Any]]:
    """Rows per source ("invented", "KayKit") and method, means over held-out examples (up to 100 of each).

    chamfer_x1000 (squared distances, both ways added), emd (512 points, exact), f_score (at 0.05): 2048 points against
    the cloud that sketch and text are of. one_nna, coverage: clouds made for every second example against the true
    clouds of the others, so that no cloud meets its own original. colour_accuracy: share of the named parts whose
    points (by the nearest true point) have that colour; part_miou: against the labels of the nearest true points; NaN
    for KayKit, whose parts are unknown. seconds: median for a cloud with colours and parts. training: how many invented
    shapes retrieval chooses from.
    """
    data, count = Path(data), _MOST if limit is None else limit
    train = [example(name) for name in names(training)] + [example_of_prop(prop) for prop in kaykit.props(data)]
    compared = methods(models, Retrieval(train, models.geometry.network.words))
    sources = {"invented": [example(name) for name in names(count, kept=True)],
               "KayKit": [example_of_prop(prop) for prop in kaykit.props(data, kept=True)[:count]]}
    return [{"source": source, "method": method} | figures(answer, cases) | {"clouds": len(cases)}
            for source, cases in sources.items() if cases for method, answer in compared.items()
            if method != "true shape, drawn anew" or source == "invented"]


def methods(models: Models, retrieval: Retrieval) -> dict[str, Method]:
    """Every method by the name of its row."""
    found: dict[str, Method] = {
        "retrieval": partial(_retrieved, retrieval),
        "ours, sketch and text": partial(_ours, models, models.geometry, True, True),
        "ours, sketch only": partial(_ours, models, models.geometry, True, False),
        "ours, text only": partial(_ours, models, models.geometry, False, True)}
    if models.pointwise is not None:
        found["pointwise network"] = partial(_ours, models, models.pointwise, True, True)
    return found | {"true shape, drawn anew": partial(_again, models)}


def figures(answer: Method, cases: Sequence[Example]) -> dict[str, float]:
    """The columns of one row; at least two cases for 1-NNA and coverage."""
    answers, seconds = zip(*(timed(answer, case, seed) for seed, case in enumerate(cases)))
    each = [_compared(cloud, case) for cloud, case in zip(answers, cases)]
    return ({name: _mean([row[name] for row in each]) for name in each[0]} | _as_sets(answers, cases)
            | {"seconds": float(np.median(seconds))})


def _mean(values: Sequence[float]) -> float:
    """Mean of the known values, NaN where there is none."""
    known = np.array(values)[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _compared(cloud: Cloud, case: Example) -> dict[str, float]:
    which = metrics.nearest(cloud.points, case.points)[1]
    truth = case.part[which]
    hits = metrics.colours_hit(cloud.rgb, truth, case.named)
    return {"chamfer_x1000": 1000 * metrics.chamfer(cloud.points, case.points),
            "emd": metrics.earth_mover(cloud.points, case.points),
            "f_score": metrics.f_score(cloud.points, case.points),
            "colour_accuracy": float(np.mean(hits)) if hits else np.nan,
            "part_miou": metrics.part_iou(cloud.part, truth) if truth.min() >= 0 else np.nan}


def _as_sets(answers: Sequence[Cloud], cases: Sequence[Example]) -> dict[str, float]:
    ours = [cloud.points[:_SET_POINTS] for cloud in answers[::2]]
    theirs = [case.points[:_SET_POINTS] for case in cases[1::2]]
    if not theirs:
        return {"one_nna": np.nan, "coverage": np.nan}
    between = metrics.distances(ours, theirs)
    return {"one_nna": metrics.two_sample(metrics.distances(ours, ours), between, metrics.distances(theirs, theirs)),
            "coverage": metrics.coverage(between)}


def _retrieved(retrieval: Retrieval, case: Example, seed: int) -> Cloud:
    found = retrieval.nearest(case.sketch, case.text)
    return Cloud(found.points, found.rgb, found.part)


def _ours(models: Models, geometry: Any, by_sketch: bool, by_text: bool, case: Example, seed: int) -> Cloud:
    drawn = sampling.draw(geometry, case.sketch if by_sketch else None, case.text if by_text else "", points=POINTS,
                          seed=seed)
    return _dressed(models, drawn, case.text if by_text else "", seed)


def _again(models: Models, case: Example, seed: int) -> Cloud:
    cloud = sampled(make(case.name), POINTS, np.random.default_rng(seed))
    return _dressed(models, cloud.points[None], case.text, seed)


def _dressed(models: Models, points: np.ndarray, text: str, seed: int) -> Cloud:
    return Cloud(points[0], sampling.colour(models.colour, points, text, seed)[0],
                 sampling.parts(models.colour, points)[0])
