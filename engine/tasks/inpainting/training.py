"""Training of the inpainting models: the mask-conditioned one, and the upsampler behind the flowers prior."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from engine.rng import Rng
from engine.tasks.inpainting import masks
from engine.tasks.inpainting.paths import FACTOR, condition, enlarged
from engine.training import pictures
from engine.training.spec import Batch, Spec

SOURCES = ("flowers", "grocery", "wallpapers_elementary")
LICENCES = "flower_photos CC-BY; grocery MIT; wallpapers CC0, Unsplash, CC BY-SA"
# Known pixels are copied from the input at the end: their error teaches little.
KNOWN_WEIGHT = 0.1


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The models that this task trains, by name; their pictures are read when one of them is taken."""
    return {"inpainting": partial(_general, data), "flowers_x4": partial(_upsampler, data)}


def _split(data: Path, sources=SOURCES) -> tuple[list[np.ndarray], list[np.ndarray]]:
    paths = pictures.files(data, sources)
    train = pictures.read([p for p in paths if not pictures.held_out(p)])
    kept = [p for p in paths if pictures.held_out(p)]
    return train, [pictures.centre(p, 128) for p in pictures.read(kept[:: max(1, len(kept) // 8)][:8])]


def _db(estimate: Tensor, clean: Tensor, weight: Tensor | float = 1.0) -> float:
    error = ((estimate.clamp(-1, 1) - clean) / 2).square() * weight
    share = (weight * torch.ones_like(clean)).mean(dim=(1, 2, 3))
    return round(float((-10 * (error.mean(dim=(1, 2, 3)) / share).log10()).mean()), 2)


def _residual_sample(denoise, cond: dict[str, Tensor], steps: int, seed: int) -> Tensor:
    from engine import grids, schedules
    from engine.solvers import solve

    schedule = schedules.residual()
    x = Rng(seed, len(cond["cond"])).normal_like(cond["cond"][:, :3]) * schedule(schedule.start)[1]
    times = grids.make("uniform", schedule, steps)
    *_, last = solve("ddim", partial(denoise, **cond), x, times, schedule)
    return last.x


# The mask-conditioned model.

def _general(data: Path) -> Spec:
    train, kept = _split(data)
    wide = [i for i, p in enumerate(train) if min(p.shape[:2]) >= 256]
    return Spec(
        name="inpainting", task="inpainting", title="Inpainting of general photographs", kind="residual_unet",
        options={"cond_channels": 4, "widths": (48, 96, 144), "depth": 2, "attention": 1, "norm_kind": "pixel"},
        schedule=("residual", {}), prediction="resnoise", resolution_px=128, batch=partial(_holes, train, wide),
        validate=partial(_validate_holes, kept), sheet=partial(_sheet_holes, kept),
        data="flowers, grocery and wallpapers crops with procedural holes", licences=LICENCES,
        start_from="restoration",
        failures=("Large holes are filled with plausible texture, not with objects.",
                  "Faces and text are not in the training data."))


def _holes(train: list[np.ndarray], wide: list[int], rng: Generator, progress: float) -> Batch:
    """16 crops of 64 px, in the last third 6 of 128 px, half of all larger ones shrunk; with a mixed hole each."""
    side, count = (64, 16) if progress < 0.67 else (128, 6)
    clean, known = [], []
    for _ in range(count):
        index = wide[rng.integers(len(wide))] if wide and rng.random() < 1 / 6 else rng.integers(len(train))
        clean.append(_scaled_crop(train[index], side, rng))
        known.append(~masks.mixed(rng, side, side))
    x0 = pictures.to_tensor(clean)
    mask = torch.from_numpy(np.stack(known)).float()[:, None]
    return Batch(x0, cond=condition(x0, mask), weight=1 - (1 - KNOWN_WEIGHT) * mask)


def _scaled_crop(picture: np.ndarray, side: int, rng: Generator) -> np.ndarray:
    import cv2

    window = int(side * rng.uniform(1, max(1, min(2, min(picture.shape[:2]) / side)))) if rng.random() < 0.5 else side
    square = pictures.crop(picture, window, rng)
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA) if square.shape[0] != side else square


def _validation_holes(kept: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    kinds = ("free_form", "centre_box", "thin", "random_box")
    known = [~masks.draw(kinds[i % 4], np.random.default_rng(i), 128, 128) for i in range(len(kept))]
    return pictures.to_tensor(kept), torch.from_numpy(np.stack(known)).float()[:, None]


def _validate_holes(kept: list[np.ndarray], denoise) -> dict[str, float]:
    """PSNR in dB inside the holes of 8 held-out crops: smooth fill, one sample of 10 steps, mean of 8 samples."""
    clean, known = _validation_holes(kept)
    cond = {"cond": condition(clean, known)}
    drawn = [_residual_sample(denoise, cond, 10, seed) for seed in range(8)]
    scores = {"smooth fill": cond["cond"][:, :3], "one sample": drawn[0], "mean of 8": torch.stack(drawn).mean(0)}
    return {name: _db(estimate, clean, 1 - known) for name, estimate in scores.items()}


def _sheet_holes(kept: list[np.ndarray], denoise) -> np.ndarray:
    """Columns: picture with hole, smooth fill, two samples, truth."""
    clean, known = _validation_holes(kept)
    cond = condition(clean, known)
    drawn = [torch.where(known > 0, clean, _residual_sample(denoise, {"cond": cond}, 20, seed)) for seed in (0, 1)]
    return pictures.sheet(clean * known, cond[:, :3], *drawn, clean)


# The upsampler, 32 px to 128 px.

def _upsampler(data: Path) -> Spec:
    train, kept = _split(data)
    return Spec(
        name="flowers_x4", task="inpainting", title="Upsampler of photographs, four times", kind="residual_unet",
        options={"cond_channels": 3, "classes": 8, "widths": (48, 96, 144), "depth": 2, "attention": 0,
                 "norm_kind": "pixel"},
        schedule=("residual", {}), prediction="resnoise", resolution_px=128, batch=partial(_small, train),
        validate=partial(_validate_small, kept), sheet=partial(_sheet_small, kept),
        data="flowers, grocery and wallpapers crops, shrunk four times", licences=LICENCES, start_from="restoration",
        failures=("Invents texture that fits; the true detail is not in a picture of 32 px.",))


def _small(train: list[np.ndarray], rng: Generator, progress: float) -> Batch:
    """16 crops of 64 px, shrunk four times by area averages, slightly noisy as the prior's samples are, enlarged."""
    x0 = pictures.to_tensor([pictures.crop(train[rng.integers(len(train))], 64, rng) for _ in range(16)])
    noise = torch.from_numpy(rng.standard_normal((16, 3, 16, 16), np.float32) * rng.uniform(0, 0.06, (16, 1, 1, 1)))
    return Batch(x0, cond=enlarged(F.avg_pool2d(x0, FACTOR) + noise.float()))


def _validate_small(kept: list[np.ndarray], denoise) -> dict[str, float]:
    """PSNR in dB on 8 held-out crops: bicubic, one sample of 10 steps, mean of 4."""
    clean = pictures.to_tensor(kept)
    cond = {"cond": enlarged(F.avg_pool2d(clean, FACTOR))}
    drawn = [_residual_sample(denoise, cond, 10, seed) for seed in range(4)]
    scores = {"bicubic": cond["cond"], "one sample": drawn[0], "mean of 4": torch.stack(drawn).mean(0)}
    return {name: _db(estimate, clean) for name, estimate in scores.items()}


def _sheet_small(kept: list[np.ndarray], denoise) -> np.ndarray:
    clean = pictures.to_tensor(kept)
    cond = enlarged(F.avg_pool2d(clean, FACTOR))
    return pictures.sheet(cond, *(_residual_sample(denoise, {"cond": cond}, 10, seed) for seed in (0, 1)), clean)
