"""Segmentation beside classical filters and a plain U-Net of equal size and training, in one run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import models, tiles
from engine.models.model import Model
from engine.tasks.measuring import Averages, timed
from engine.tasks.segmentation import baselines, fusion, metrics, nuclei, procedural, vessels
from engine.tasks.segmentation.data import Case
from engine.tasks.segmentation.sampling import OVERLAP_PX, TILE_PX, draw, encoded_by_tiles, encoder
from engine.tasks.segmentation.training import padded
from engine.training.pictures import held_out

SAMPLES, STEPS = (1, 4, 8, 16), (5, 10, 20)
_INVENTED = 24
_TUNED_ON = 8

Found = tuple[np.ndarray, np.ndarray | None]
"""Chance (H, W), and the single soft masks (S, H, W) where there are several."""


def evaluate(data: str, limit: int | None = None) -> list[dict[str, Any]]:
    """One row per set and method, means over held-out pictures (at most `limit` of each set).

    dice, iou: of the chance cut at 1/2; aji, count_error (share of the true count): of instances, nuclei only;
    sensitivity, specificity; brier, calibration_error, doubt_auroc: how well chance * (1 - chance) points at the wrong
    pixels; energy_distance: to all annotators, invented pictures only. Vessels are judged in the field of view.
    seconds: median. A figure that does not exist for a set is left out. Sets whose models are not there are left out.
    """
    averages = Averages("set", "method")
    for name, cases, classical, ids in _sets(Path(data), limit):
        methods = classical | _learned(f"segmentation_{name}")
        for number, case in enumerate(cases):
            for method, apply in methods.items():
                (chance, samples), seconds = timed(apply, case, number)
                averages.add((name, method), _figures(case, chance, samples, ids(case)) | {"seconds": seconds})
    return averages.rows()


def _sets(data: Path, limit: int | None):
    """(name, held-out cases, classical methods, the true instances of a case or None) of every set there is."""
    shipped = set(models.names())
    if "segmentation_nuclei" in shipped:
        paths = {nuclei.case(p).name: p for p in nuclei.paths(data) if held_out(p)}
        yield ("nuclei", [nuclei.case(p) for p in paths.values()][:limit],
               {"Otsu": lambda case, seed: (np.float32(baselines.otsu(case)), None)},
               lambda case: nuclei.instances(paths[case.name]))
    if "segmentation_vessels" in shipped:
        paths = vessels.paths(data)
        level = baselines.frangi_level([vessels.case(p) for p in paths if not held_out(p)][:_TUNED_ON])
        yield ("vessels", [vessels.case(p) for p in paths if held_out(p)][:limit],
               {"Frangi": lambda case, seed: (np.float32(baselines.vesselness(case) > level), None)},
               lambda case: None)
    if "segmentation_demo" in shipped:
        yield "demo", procedural.cases(_INVENTED, seed=1)[:limit], {}, lambda case: None


def _learned(name: str) -> dict[str, Callable[[Case, int], Found]]:
    shipped = set(models.names())
    methods: dict[str, Callable[[Case, int], Found]] = {}
    if f"{name}_unet" in shipped:
        methods["plain U-Net"] = lambda case, seed: (_plain(models.load(f"{name}_unet"), case), None)
    model = models.load(name)
    methods["the picture network's own answer"] = lambda case, seed: (_ours(model, case, 1, 1, seed)[1], None)
    for steps in STEPS:
        for samples in SAMPLES:
            methods[f"ours, {samples} sample{'s' * (samples > 1)}, {steps} steps"] = partial(
                _fused, model, samples, steps, fusion.calibrated)
    for title, fuse in (("mean", lambda drawn, own: fusion.mean(drawn)),
                        ("STAPLE", lambda drawn, own: fusion.staple(drawn).chance)):
        methods[f"ours, 8 samples, 10 steps, {title} alone"] = partial(_fused, model, 8, 10, fuse)
    return methods


def _fused(model: Model, samples: int, steps: int, fuse: Callable[[np.ndarray, np.ndarray], np.ndarray], case: Case,
           seed: int) -> Found:
    drawn, own = _ours(model, case, samples, steps, seed)
    return fuse(drawn, own), drawn


@torch.no_grad()
def _ours(model: Model, case: Case, samples: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Soft masks (S, H, W), and the picture network's own chance (H, W)."""
    height, width = case.picture.shape[:2]
    encoded = encoded_by_tiles(encoder(model), padded(case.picture))
    by_tiles = tiles.tiled(model.denoiser, TILE_PX, OVERLAP_PX)
    drawn = draw(by_tiles, encoded, samples, steps, seed)[:, 0, :height, :width].numpy()
    return drawn, encoded[0, 0, :height, :width].sigmoid().numpy()


@torch.no_grad()
def _plain(model: Model, case: Case) -> np.ndarray:
    """The U-Net's chance: its denoiser's answer is one call's, whatever the state and the time."""
    height, width = case.picture.shape[:2]
    cond = padded(case.picture)
    by_tiles = tiles.tiled(model.denoiser, TILE_PX, OVERLAP_PX)
    return (by_tiles(torch.zeros(1, 1, *cond.shape[-2:]), 0.5, cond=cond)[0, 0, :height, :width].numpy() + 1) / 2


def _figures(case: Case, chance: np.ndarray, samples: np.ndarray | None, ids: np.ndarray | None) -> dict[str, float]:
    truth, counted = case.masks[0], case.counted
    mask = chance > 0.5
    row = {"dice": metrics.dice(mask, truth, counted), "iou": metrics.iou(mask, truth, counted)}
    if ids is not None:
        found = fusion.instances(chance)
        row["aji"] = metrics.aggregated_jaccard(found, ids)
        true = len(np.unique(ids)) - 1
        row["count_error"] = abs(int(found.max()) - true) / max(true, 1)
    row |= {"sensitivity": metrics.sensitivity(mask, truth, counted),
            "specificity": metrics.specificity(mask, truth, counted), "brier": metrics.brier(chance, truth, counted),
            "calibration_error": metrics.calibration_error(chance, truth, counted),
            "doubt_auroc": metrics.auroc(chance * (1 - chance), mask != truth, counted)}
    if len(case.masks) > 1:
        decisions = (chance[None] if samples is None else samples) > 0.5
        row["energy_distance"] = metrics.energy_distance(decisions, np.stack(case.masks))
    return row
