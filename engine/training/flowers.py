"""Training of the flower models: the 32-px prior (v-prediction) and the 64-px flow-matching model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator

from engine.networks.bases import principal_components
from engine.rng import Rng
from engine.training import pictures
from engine.training.spec import Batch, Spec

SOURCE = "flowers"
CLASSES = ("daisy", "dandelion", "rose", "sunflower", "tulip")
_ROOM = 9 / 8
"""The short side is shrunk to this many times the crop, so that random crops differ."""


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The models that are trained on flowers alone, by name; the pictures are read when one of them is taken."""
    return {"flowers": partial(_prior, data), "flowers_flow": partial(_flow, data)}


def _prior(data: Path) -> Spec:
    """The 32-px prior of the inpainting task's steered methods."""
    return _spec(data, 32, 48, 320, (96, 128, 160), "v", "cosine", name="flowers", task="inpainting",
                 title="Prior of flower photographs, 32 px")


def _flow(data: Path) -> Spec:
    """The 64-px flow-matching model of the laboratory."""
    return _spec(data, 64, 24, 160, (64, 128, 160), "velocity", "flow", name="flowers_flow", task="laboratory",
                 learning_rate=1e-3,
                 title="Flow matching on flower photographs, 64 px")


def _spec(data: Path, size: int, count: int, components: int, widths: tuple[int, ...], prediction: str,
          schedule: str, **names: Any) -> Spec:
    paths = pictures.files(data, (SOURCE,))
    labels = {p: CLASSES.index(p.name.split("_")[0]) for p in paths}
    train = [p for p in paths if not pictures.held_out(p)]
    small = [_shrunk(p, size) for p in pictures.read(train)]
    law = principal_components(pictures.to_tensor([pictures.centre(p, size) for p in small]), components)
    own = {} if prediction == "v" else {"schedule": schedule, "predicts": prediction}
    return Spec(
        kind="gaussian_unet", schedule=(schedule, {}), prediction=prediction, resolution_px=size, classes=CLASSES,
        options={"components": components, "size": size, "classes": len(CLASSES), "widths": widths, "depth": 2,
                 "attention": 2, "stem": True, **own},
        batch=partial(_batch, small, [labels[p] for p in train], size, count),
        validate=partial(_validate, squares(data, size, held_out=True), schedule),
        sheet=partial(_sheet, size, schedule),
        data="flowers, five classes", licences="flower_photos CC-BY", ema=0.9995, buffers=law,
        failures=("Knows flowers only, from the front more than from the side.",
                  "Stems, leaves and backgrounds are vague."), **names)


def squares(data: Path, size: int, held_out: bool, every: int = 1) -> torch.Tensor:
    """Central squares (B, 3, size, size) in [-1, 1] of the flowers that training leaves out, or of those it sees.

    every: 3 takes every third, which is a third of each class, because the files are sorted.
    """
    paths = [path for path in pictures.files(data, (SOURCE,)) if pictures.held_out(path) == held_out]
    small = (_shrunk(picture, size) for picture in pictures.read(paths[::every]))
    return pictures.to_tensor([pictures.centre(picture, size) for picture in small])


def _shrunk(picture: np.ndarray, size: int) -> np.ndarray:
    """Short side to a little more than `size`, in pixels."""
    import cv2

    height, width = picture.shape[:2]
    scale = round(size * _ROOM) / min(height, width)
    return cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


def _batch(small: list[np.ndarray], labels: list[int], size: int, count: int, rng: Generator,
           progress: float) -> Batch:
    """Crops near the middle; the class is dropped in one of ten."""
    chosen = rng.integers(len(small), size=count)
    crops = [pictures.crop(pictures.centre(small[i], round(size * _ROOM)), size, rng) for i in chosen]
    told = [len(CLASSES) if rng.random() < 0.1 else labels[i] for i in chosen]
    return Batch(pictures.to_tensor(crops), torch.tensor(told))


def _validate(clean: torch.Tensor, schedule: str, denoise) -> dict[str, float]:
    """Root mean square error of the denoised held-out flowers (in [-1, 1]) at three noise levels, class unknown."""
    from engine import schedules

    scores = {}
    for t in (0.25, 0.5, 0.75):
        alpha, sigma = schedules.by_name(schedule)(t)
        estimate = denoise(alpha * clean + sigma * Rng(0, len(clean)).normal_like(clean), t)
        scores[f"rmse at t = {t}"] = round(float((estimate - clean).square().mean().sqrt()), 4)
    return scores


def _sheet(size: int, schedule: str, denoise) -> np.ndarray:
    """One row per class, eight samples each, guidance 3, 20 steps of DPM-Solver++ 2M."""
    from engine import grids, guidance, schedules
    from engine.solvers import solve

    law = schedules.by_name(schedule)
    count = 8 * len(CLASSES)
    label = torch.arange(len(CLASSES)).repeat_interleave(8)
    guided = guidance.classifier_free(denoise, {"label": label}, {"label": torch.full_like(label, len(CLASSES))}, 3.0)
    x = Rng(0, count).normal(3, size, size)
    *_, last = solve("dpmpp_2m", guidance.clipped(guided), x, grids.make("uniform", law, 20), law)
    return pictures.sheet(*last.x.clamp(-1, 1).reshape(len(CLASSES), 8, 3, size, size).unbind(1))
