"""Training of the cloud models: geometry, its baseline of equal size, and colour with parts."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import schedules
from engine.tasks.pointcloud import batches, captions, kaykit, metrics, rendering, sampling, tokens
from engine.tasks.pointcloud.pool import Example, Pool, example
from engine.tasks.pointcloud.shapes import PARTS, names
from engine.tasks.pointcloud.sketch import THREE_QUARTER
from engine.tasks.pointcloud.targets import geometry_loss
from engine.training import objective
from engine.training.spec import Batch, Spec

WORDS = captions.vocabulary()
_FIRST = 2500
_JUDGED = 30
_JUDGED_POINTS = 1024
_PART_LOSS, _NAME_LOSS = 0.4, 0.2

_DATA = "Shapes of ten families that the program invents; KayKit models (furniture, buildings, props), 666 clouds"
_LICENCES = "none (generated); KayKit CC0"


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The models of this task, by name; their shapes are made when one of them is taken."""
    return {"cloud_geometry": partial(_geometry, data, "cloud_geometry", "Shape of a point cloud from sketch and text"),
            "cloud_pointwise": partial(_geometry, data, "cloud_pointwise",
                                       "Shape from sketch and text, each point by itself: for comparison"),
            "cloud_colour": partial(_colour, data)}


@lru_cache(maxsize=1)
def _pool(data: Path) -> Pool:
    return Pool(_FIRST, props=kaykit.props(data))


@lru_cache(maxsize=4)
def examples(count: int) -> list[Example]:
    """The first held-out shapes, each with its sketch from the three-quarter view."""
    return [example(name, THREE_QUARTER) for name in names(count, kept=True)]


@lru_cache(maxsize=1)
def _shown() -> list[Example]:
    """One held-out shape of each family."""
    first: dict[str, str] = {}
    for name in names(100, kept=True):
        first.setdefault(name.rsplit("-", 1)[0], name)
    return [example(name, THREE_QUARTER) for name in sorted(first.values())]


def _geometry(data: Path, name: str, title: str) -> Spec:
    return Spec(
        name=name, task="pointcloud", title=title, kind=name, options={"words": list(WORDS), "length": tokens.LENGTH},
        schedule=("cosine", {}), prediction="v", resolution_px=64, batch=partial(batches.geometry, _pool(data), WORDS),
        validate=validate_geometry, sheet=sheet_geometry, data=_DATA, licences=_LICENCES, learning_rate=1.2e-3,
        ema=0.998, loss=geometry_loss,
        failures=("Knows ten families of simple shapes and some props; other things come out as the nearest of them.",
                  "Knows about 160 words; all others are ignored, and reported.",
                  "Expects sketches from about eye level, mostly from a three-quarter view."))


def _colour(data: Path) -> Spec:
    return Spec(
        name="cloud_colour", task="pointcloud", title="Colours and parts of a point cloud from text",
        kind="cloud_colour", options={"words": list(WORDS), "parts": len(PARTS), "length": tokens.LENGTH,
                                         "palette": captions.colour_words()},
        schedule=("cosine", {}), prediction="v", resolution_px=64, batch=partial(batches.colour, _pool(data), WORDS),
        validate=validate_colour, sheet=sheet_colour, data=_DATA, licences=_LICENCES, learning_rate=1e-3, ema=0.998,
        loss=colour_loss,
        failures=("Knows twelve colours, and the parts of ten families of shapes.",
                  "Colours parts evenly: no patterns, no shading."))


def colour_loss(network: nn.Module, batch: Batch, schedule, prediction: str, generator: torch.Generator) -> Tensor:
    """Error of v at random times, and the cross-entropies of the part labels, of the parts that are there, of colours.

    Parts and chances of colours learn from what is known of them, so the error of v does not reach them. The points are
    encoded once for all colourings of a cloud. network: `networks.CloudColour`; batch: as `batches.colour` makes it.
    """
    told, parts = batch.conditions, network.parts
    encoded, present = network.part.whole(told["points"])
    chances, slots = network.text(told["tokens"])
    logits = encoded[..., :parts]
    x_t, t, target = objective.noised(batch, schedule, prediction, generator)
    kept = torch.cat((logits.detach(), encoded[..., parts:]), dim=-1)
    kept = kept.repeat_interleave(len(batch.x0) // len(kept), dim=0)
    predicted = network.coloured(x_t, t, kept, chances.detach(), slots)
    return (F.smooth_l1_loss(predicted, target) + _PART_LOSS * _of_parts(logits, present, told["part"])
            + _NAME_LOSS * _of_names(chances, told["shares"]))


def _of_parts(logits: Tensor, present: Tensor, part: Tensor) -> Tensor:
    """Cross-entropy of the labels (B, N) that are known, and of which parts (B, parts) such a cloud has."""
    known = part[:, 0] >= 0
    there = F.one_hot(part[known], present.shape[1]).amax(1).float()
    return (F.cross_entropy(logits.flatten(0, 1), part.flatten(), ignore_index=-1)
            + F.binary_cross_entropy_with_logits(present[known], there))


def _of_names(chances: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of the parts' colours; chances are logarithms (B, parts, colours + 1), shares (B, parts, 12)."""
    return -((shares * chances[..., :-1].float()).sum((1, 2)) / shares.sum((1, 2))).mean()


def _drawn(denoise, case: Example, points: int, weights=(1.0, 1.0), steps: int = sampling.STEPS) -> np.ndarray:
    ids = tokens.encode(case.text, WORDS).ids
    *_, last = sampling.geometry_steps(denoise, schedules.cosine(), case.sketch, ids, points=points, steps=steps,
                                       weights=weights)
    return last.x[0].numpy()


def validate_geometry(denoise) -> dict[str, float]:
    """Chamfer distance (times 1000, squared) and F-score of one cloud of 1024 points for each held-out shape."""
    cases = examples(_JUDGED)
    pairs = [(_drawn(denoise, case, _JUDGED_POINTS), case.points[:_JUDGED_POINTS]) for case in cases]
    return {"Chamfer x 1000": round(1000 * float(np.mean([metrics.chamfer(*pair) for pair in pairs])), 3),
            "F-score": round(float(np.mean([metrics.f_score(*pair) for pair in pairs])), 4)}


def sheet_geometry(denoise) -> np.ndarray:
    """One row per family: sketch, two clouds (weights 1 and 2), the true cloud."""
    rows = []
    for case in _shown():
        clouds = [_drawn(denoise, case, 2048, (w, w)) for w in (1.0, 2.0)]
        shown = [rendering.picture(cloud) for cloud in (*clouds, case.points)]
        rows.append(np.hstack([rendering.of_sketch(case.sketch), *shown]))
    half = len(rows) // 2
    return np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])


def _coloured(denoise, case: Example, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours (N, 3) in [0, 1] and labels (N,) for the case's own first points."""
    schedule, shape = schedules.cosine(), torch.from_numpy(case.points[None, :points])
    ids = tokens.encode(case.text, WORDS).ids
    *_, last = sampling.colour_steps(denoise, schedule, {"points": shape}, ids, points)
    labels = sampling.labelled(denoise, schedule, shape, len(PARTS))[0]
    return (last.x[0].clamp(-1, 1).numpy() + 1) / 2, labels


def validate_colour(denoise) -> dict[str, float]:
    """Share of the named part colours that came out, and mean IoU of the parts, on held-out shapes of 1024 points."""
    hits, overlaps = [], []
    for case in examples(_JUDGED):
        rgb, labels = _coloured(denoise, case, _JUDGED_POINTS)
        truth = case.part[:_JUDGED_POINTS]
        hits += metrics.colours_hit(rgb, truth, case.named)
        overlaps.append(metrics.part_iou(labels, truth))
    return {"colour accuracy": round(float(np.mean(hits)), 4), "part mIoU": round(float(np.mean(overlaps)), 4)}


def sheet_colour(denoise) -> np.ndarray:
    """One row per family: our colours, the true ones, our parts, the true parts in colours of their own."""
    table = np.random.default_rng(3).uniform(0.15, 0.95, (len(PARTS), 3))
    rows = []
    for case in _shown():
        rgb, labels = _coloured(denoise, case, len(case.points))
        shown = (rgb, case.rgb, table[labels], table[case.part])
        rows.append(np.hstack([rendering.picture(case.points, colours) for colours in shown]))
    half = len(rows) // 2
    return np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])
