"""Example pictures of the restoration task: photographs that scikit-image ships, and a flower that the prior draws."""

from collections.abc import Callable

import numpy as np
import torch

from engine import grids, guidance, models
from engine.io.pictures import Picture, to_pixels
from engine.rng import Rng
from engine.solvers import solve
from engine.tasks import photographs
from engine.tasks.restoration.degradations import degrade

_FACTOR = 8


def photograph(loader: str, damage: str = "") -> Callable[[], dict[str, Picture]]:
    """A picture of `skimage.data`, already damaged unless `damage` is empty."""

    def make() -> dict[str, Picture]:
        clean = photographs.photograph(loader)
        shown = degrade(damage, clean, 0.5, seed=0) if damage else clean
        return {"picture": Picture(np.uint8(shown * 255 + 0.5))}

    return make


def flower(prior: str = "flowers", label: str = "sunflower", seed: int = 7) -> dict[str, Picture]:
    """A sample of the prior, enlarged without smoothing, so that the prior's own size gives it back exactly."""
    model = models.load(prior)
    classes = model.card.classes
    told, none = torch.tensor([classes.index(label)]), torch.tensor([len(classes)])
    denoise = guidance.clipped(guidance.classifier_free(model.denoiser, {"label": told}, {"label": none}, 2.0))
    side = model.card.resolution_px
    times = grids.make("uniform", model.schedule, 24)
    with torch.no_grad():
        *_, last = solve("dpmpp_2m", denoise, Rng(seed, 1).normal(3, side, side), times, model.schedule)
    return {"picture": Picture(to_pixels(last.x)[0].repeat(_FACTOR, 0).repeat(_FACTOR, 1))}
