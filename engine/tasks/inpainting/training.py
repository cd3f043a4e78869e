"""Training of the inpainting models: the mask-conditioned one, the flowers prior, and the upsampler behind it."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from engine.networks.bases import principal_components
from engine.rng import Rng
from engine.tasks.inpainting import masks
from engine.tasks.inpainting.paths import CLASSES as FLOWERS
from engine.tasks.inpainting.paths import FACTOR, condition, enlarged
from engine.training import pictures
from engine.training.spec import Batch, Spec

SOURCES = ("flowers", "grocery", "wallpapers_elementary")
LICENCES = "flower_photos CC-BY; grocery MIT; wallpapers CC0, Unsplash, CC BY-SA"
COARSE_PX = 32
# Known pixels are copied from the input at the end: their error teaches little.
KNOWN_WEIGHT = 0.1


def specs(data: Path) -> dict[str, Spec]:
    """The models that this task trains, by name; their pictures are read when one of them is taken."""
    return _Lazy({"inpainting": partial(_general, data), "flowers": partial(_prior, data),
                  "flowers_x4": partial(_upsampler, data)})


class _Lazy(dict):
    def __getitem__(self, name: str) -> Spec:
        return super().__getitem__(name)()


def _split(data: Path, sources=SOURCES) -> tuple[list[np.ndarray], list[np.ndarray]]:
    paths = pictures.files(data, sources)
    train = pictures.read([p for p in paths if not pictures.held_out(p)])
    kept = [p for p in paths if pictures.held_out(p)]
    return train, [pictures.centre(p, 128) for p in pictures.read(kept[:: max(1, len(kept) // 8)][:8])]


def to_tensor(crops: list[np.ndarray]) -> Tensor:
    """uint8 (H, W, 3) pictures to (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _rows(*columns: Tensor) -> np.ndarray:
    """A sheet: one row per sample, one column per tensor (B, 3, H, W)."""
    grid = torch.cat([torch.cat(list(c), dim=-2) for c in columns], dim=-1).clamp(-1, 1)
    return np.uint8(grid.permute(1, 2, 0).numpy() * 127.5 + 128)


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
    x0 = to_tensor(clean)
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
    return to_tensor(kept), torch.from_numpy(np.stack(known)).float()[:, None]


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
    return _rows(clean * known, cond[:, :3], *drawn, clean)


# The flowers prior, 32 px.

def _prior(data: Path) -> Spec:
    paths = pictures.files(data, ("flowers",))
    labels = {p: FLOWERS.index(p.name.split("_")[0]) for p in paths}
    train = [p for p in paths if not pictures.held_out(p)]
    small = [_shrunk(p) for p in pictures.read(train)]
    kept = pictures.read([p for p in paths if pictures.held_out(p)])
    components = principal_components(to_tensor([pictures.centre(p, COARSE_PX) for p in small]), 384)
    return Spec(
        name="flowers", task="inpainting", title="Prior of flower photographs, 32 px", kind="gaussian_unet",
        options={"components": 384, "size": COARSE_PX, "classes": len(FLOWERS), "widths": (96, 144, 192), "depth": 2,
                 "attention": 2, "stem": True},
        schedule=("cosine", {}), prediction="v", resolution_px=COARSE_PX, classes=FLOWERS,
        batch=partial(_flowers, small, [labels[p] for p in train]),
        validate=partial(_validate_flowers, [_shrunk(p) for p in kept]),
        sheet=_sheet_flowers, data="flowers, five classes", licences="flower_photos CC-BY", ema=0.9995,
        buffers=components, failures=("Knows flowers only, from the front more than from the side.",
                                      "Stems, leaves and backgrounds are vague."))


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """Short side to 36 px: a few pixels of room for random crops of 32."""
    import cv2

    height, width = picture.shape[:2]
    scale = (COARSE_PX + 4) / min(height, width)
    return cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


def _flowers(small: list[np.ndarray], labels: list[int], rng: Generator, progress: float) -> Batch:
    """48 crops of 32 px near the middle; the class is dropped in one of ten."""
    chosen = rng.integers(len(small), size=48)
    crops = [pictures.crop(pictures.centre(small[i], COARSE_PX + 4), COARSE_PX, rng) for i in chosen]
    told = [len(FLOWERS) if rng.random() < 0.1 else labels[i] for i in chosen]
    return Batch(to_tensor(crops), torch.tensor(told))


def _validate_flowers(kept: list[np.ndarray], denoise) -> dict[str, float]:
    """Root mean square error of the denoised held-out flowers (in [-1, 1]) at three noise levels, class unknown."""
    from engine import schedules

    clean = to_tensor([pictures.centre(p, COARSE_PX) for p in kept])
    scores = {}
    for t in (0.25, 0.5, 0.75):
        alpha, sigma = schedules.cosine()(t)
        estimate = denoise(alpha * clean + sigma * Rng(0, len(clean)).normal_like(clean), t)
        scores[f"rmse at t = {t}"] = round(float((estimate - clean).square().mean().sqrt()), 4)
    return scores


def _sheet_flowers(denoise) -> np.ndarray:
    """One row per class, eight samples each, guidance 3, 20 steps of DPM-Solver++ 2M."""
    from engine import grids, guidance, schedules
    from engine.solvers import solve

    schedule = schedules.cosine()
    count = 8 * len(FLOWERS)
    label = torch.arange(len(FLOWERS)).repeat_interleave(8)
    guided = guidance.classifier_free(denoise, {"label": label}, {"label": torch.full_like(label, len(FLOWERS))}, 3.0)
    x = Rng(0, count).normal(3, COARSE_PX, COARSE_PX)
    *_, last = solve("dpmpp_2m", guidance.clipped(guided), x, grids.make("uniform", schedule, 20), schedule)
    return _rows(*last.x.clamp(-1, 1).reshape(len(FLOWERS), 8, 3, COARSE_PX, COARSE_PX).unbind(1))


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
    x0 = to_tensor([pictures.crop(train[rng.integers(len(train))], 64, rng) for _ in range(16)])
    noise = torch.from_numpy(rng.standard_normal((16, 3, 16, 16), np.float32) * rng.uniform(0, 0.06, (16, 1, 1, 1)))
    return Batch(x0, cond=enlarged(F.avg_pool2d(x0, FACTOR) + noise.float()))


def _validate_small(kept: list[np.ndarray], denoise) -> dict[str, float]:
    """PSNR in dB on 8 held-out crops: bicubic, one sample of 10 steps, mean of 4."""
    clean = to_tensor(kept)
    cond = {"cond": enlarged(F.avg_pool2d(clean, FACTOR))}
    drawn = [_residual_sample(denoise, cond, 10, seed) for seed in range(4)]
    scores = {"bicubic": cond["cond"], "one sample": drawn[0], "mean of 4": torch.stack(drawn).mean(0)}
    return {name: _db(estimate, clean) for name, estimate in scores.items()}


def _sheet_small(kept: list[np.ndarray], denoise) -> np.ndarray:
    clean = to_tensor(kept)
    cond = enlarged(F.avg_pool2d(clean, FACTOR))
    return _rows(cond, *(_residual_sample(denoise, {"cond": cond}, 10, seed) for seed in (0, 1)), clean)
