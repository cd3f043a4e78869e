"""Training of the brightening upsampler: photographs, and what a sensor in the dark records at half their side."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator

from engine.tasks.superres import darkness
from engine.training import pictures
from engine.training.spec import Batch, Spec

SOURCES = ("flowers", "grocery", "wallpapers_elementary")
SIDE_PX = 128
_STOPS = (1.0, 3.0, 5.0)
"""Of the held-out pictures that a training is judged by."""


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The model, and the same network with stacked features in place of melded ones; read when one is taken."""
    return {"illumination": partial(_spec, data, "illumination", "learned", "Brightening and enlarging of dark "
                                    "photographs, two times"),
            "illumination_concat": partial(_spec, data, "illumination_concat", "concat",
                                           "The same without time melding, for comparison")}


def _spec(data: Path, name: str, meld: str, title: str) -> Spec:
    paths = pictures.files(data, SOURCES)
    train = pictures.read([p for p in paths if not pictures.held_out(p)])
    kept = [p for p in paths if pictures.held_out(p)]
    judged = [pictures.centre(p, SIDE_PX) for p in pictures.read(kept[:: max(1, len(kept) // 9)][:9])]
    return Spec(
        name=name, task="superres", title=title, kind="illumination", options={"meld": meld},
        schedule=("residual", {}), prediction="resnoise", resolution_px=SIDE_PX, learning_rate=1e-3,
        batch=partial(batch, train), validate=partial(validate, judged), sheet=partial(sheet, judged),
        data="flowers, grocery and wallpapers crops, darkened by up to six stops, halved, mosaicked, with sensor noise",
        licences="flower_photos CC-BY; grocery MIT; wallpapers CC0, Unsplash, CC BY-SA",
        failures=("The darkness is simulated: a real sensor has patterns, dead pixels and colours of its own.",
                  "Detail below the noise is gone; what is shown there is a guess.",
                  "How bright the scene was is taken from the picture; night scenes come out as day.",
                  "Text and faces are not in the training data."))


def batch(train: list[np.ndarray], rng: Generator, progress: float) -> Batch:
    """4 crops of 128 px or, one time in three and not towards the end, 16 of 64 px; half of them as 8-bit pictures."""
    side, count = (64, 16) if rng.random() < min(1 / 3, 2 - 2 * progress) else (SIDE_PX, 4)
    clean = [np.ascontiguousarray(pictures.shrunk_crop(train[rng.integers(len(train))], side, rng))
             for _ in range(count)]
    cond = [condition_of(crop, rng.uniform(0, darkness.MOST_STOPS), rng, rng.random() < 0.5) for crop in clean]
    return Batch(pictures.to_tensor(clean), cond=torch.cat(cond))


def condition_of(clean: np.ndarray, stops: float, rng: Generator, as_picture: bool) -> torch.Tensor:
    """(1, 8, H, W): what the network is told of a sharp picture (H, W, 3) uint8, recorded in so little light.

    as_picture: the record is first developed to a dark picture of 8 bits.
    """
    return darkness.condition(recorded(clean, stops, rng, as_picture))


def recorded(clean: np.ndarray, stops: float, rng: Generator, as_picture: bool) -> darkness.Light:
    """The record of a sharp picture (H, W, 3) uint8, sides multiples of four."""
    light = darkness.recorded(np.float32(clean) / 255, stops, rng)
    if not as_picture:
        return light
    return darkness.of_picture(np.round(darkness.to_display(light.colour) * 255).astype(np.float32) / 255, stops)


def _estimated(denoise, cond: torch.Tensor) -> torch.Tensor:
    """The posterior mean: the first answer, without noise."""
    from engine import schedules

    return denoise(torch.zeros_like(cond[:, :3]), schedules.residual().start, cond=cond).clamp(-1, 1)


def _drawn(denoise, cond: torch.Tensor, seed: int) -> torch.Tensor:
    """A sample in ten steps of DDIM."""
    from engine import grids, guidance, schedules
    from engine.rng import Rng
    from engine.solvers import solve

    schedule = schedules.residual()
    start = Rng(seed, len(cond)).normal_like(cond[:, :3]) * schedule(schedule.start)[1]
    *_, last = solve("ddim", guidance.clipped(partial(denoise, cond=cond)), start,
                     grids.make("uniform", schedule, 10), schedule)
    return last.x.clamp(-1, 1)


def _judged(held_out: list[np.ndarray]) -> torch.Tensor:
    """Conditions of the held-out pictures, a third each one, three and five stops too dark, every other of 8 bits."""
    return torch.cat([condition_of(picture, _STOPS[i % 3], np.random.default_rng(i), bool(i % 2))
                      for i, picture in enumerate(held_out)])


def validate(held_out: list[np.ndarray], denoise) -> dict[str, float]:
    """PSNR in dB by stops: of the brightened and enlarged record, of the estimate, and of one sample."""
    from engine import metrics
    from engine.io.pictures import to_pixels

    cond = _judged(held_out)
    scores = {}
    for name, x in (("brightened", cond[:, :3]), ("estimate", _estimated(denoise, cond)),
                    ("one sample", _drawn(denoise, cond, 0))):
        found = [metrics.psnr(a, b) for a, b in zip(to_pixels(x), held_out)]
        for place, stops in enumerate(_STOPS):
            scores[f"{name}, {stops:g} stops, PSNR dB"] = round(float(np.mean(found[place::3])), 2)
    return scores


def sheet(held_out: list[np.ndarray], denoise) -> np.ndarray:
    """One row per held-out picture: brightened and enlarged, estimate, two samples, truth."""
    cond = _judged(held_out)
    return pictures.sheet(cond[:, :3], _estimated(denoise, cond), _drawn(denoise, cond, 0), _drawn(denoise, cond, 1),
                          pictures.to_tensor(held_out))
