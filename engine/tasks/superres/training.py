"""Training of the satellite super-resolution models: Sentinel-2 patches of 64 px and what is left of them at 16 px."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator

from engine.tasks.superres.scaling import enlarged, shrunk
from engine.training import pictures
from engine.training.spec import Batch, Spec

SOURCES = ("eurosat_rgb",)
CLASSES = ("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop",
           "Residential", "River", "SeaLake")
SIDE_PX = 64
COUNT = 16
_LEARNING_RATE = 1e-3
"""The published 4e-5 is for batches of 2 and 700 000 iterations; here thousands of iterations have to do."""
_SAMPLES = 8


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The two models of this task, by name; the pictures are read when one of them is taken."""
    return {"ediffsr": partial(_spec, data, name="ediffsr", prediction="reverting",
                               title="Super-resolution of satellite pictures, four times"),
            "ediffsr_regression": partial(_spec, data, name="ediffsr_regression", prediction="regression",
                                          title="The same network as plain regression, for comparison")}


def _spec(data: Path, **names: Any) -> Spec:
    paths = pictures.files(data, SOURCES)
    train = pictures.read([p for p in paths if not pictures.held_out(p)])
    kept = [p for p in paths if pictures.held_out(p)]
    judged = pictures.read(kept[::max(1, len(kept) // 16)][:16])
    return Spec(
        task="superres", kind="eanet", options={}, schedule=("mean_reverting", {}), resolution_px=SIDE_PX,
        batch=partial(batch, train), validate=partial(validate, judged), sheet=partial(sheet, judged[::2]),
        data="EuroSAT RGB (Sentinel-2, 10 m, Europe), ten kinds of land cover, reduced by four with a bicubic filter",
        licences="EuroSAT MIT (Copernicus Sentinel data)", learning_rate=_LEARNING_RATE,
        failures=("Knows Sentinel-2 colours at 10 m a pixel; other sensors and photographs look wrong.",
                  "Detail is plausible, not measured: a field boundary or a house may be invented.",
                  "Trained on one way of reducing pictures; blurred or noisy ones stay so."), **names)


def batch(train: list[np.ndarray], rng: Generator, progress: float) -> Batch:
    """16 patches of 64 px, turned and mirrored at random, and their enlarged reductions as the condition."""
    sharp = []
    for index in rng.integers(len(train), size=COUNT):
        patch = np.rot90(pictures.crop(train[index], SIDE_PX, rng), rng.integers(4))
        sharp.append(np.ascontiguousarray(patch))
    return Batch(pictures.to_tensor(sharp), cond=_reduced(sharp))


def _reduced(sharp: list[np.ndarray]) -> torch.Tensor:
    return enlarged(pictures.to_tensor([shrunk(picture) for picture in sharp]))


def _drawn(denoise, mu: torch.Tensor, seed: int) -> torch.Tensor:
    """One sample for each picture in ten steps of DPM-Solver++ 2M; a regression gives its one answer."""
    from engine import grids, guidance, schedules
    from engine.rng import Rng
    from engine.solvers import solve

    schedule = schedules.mean_reverting()
    alpha, sigma = schedule(schedule.start)
    start = alpha * mu + sigma * Rng(seed, len(mu)).normal_like(mu)
    times = grids.make("quadratic", schedule, 10)
    *_, last = solve("dpmpp_2m", guidance.clipped(partial(denoise, cond=mu)), start, times, schedule)
    return last.x.clamp(-1, 1)


def validate(held_out: list[np.ndarray], denoise) -> dict[str, float]:
    """On 16 held-out patches: PSNR (dB) of bicubic, of one sample, of the mean of 8, and spectral errors."""
    from engine import metrics
    from engine.io.pictures import to_pixels

    mu = _reduced(held_out)
    samples = torch.stack([_drawn(denoise, mu, seed) for seed in range(_SAMPLES)])
    shown = {"bicubic": mu, "one sample": samples[0], f"mean of {_SAMPLES}": samples.mean(0)}
    scores = {}
    for name, estimates in shown.items():
        pairs = list(zip(to_pixels(estimates), held_out))
        scores[f"{name}, PSNR dB"] = round(float(np.mean([metrics.psnr(a, b) for a, b in pairs])), 2)
        scores[f"{name}, spectral error"] = round(float(np.mean([metrics.spectral_error(a, b) for a, b in pairs])), 4)
    return scores


def sheet(held_out: list[np.ndarray], denoise) -> np.ndarray:
    """One row per held-out patch: bicubic, two samples, the mean of 8, truth."""
    mu = _reduced(held_out)
    samples = torch.stack([_drawn(denoise, mu, seed) for seed in range(_SAMPLES)])
    return pictures.sheet(mu, samples[0], samples[1], samples.mean(0), pictures.to_tensor(held_out))
