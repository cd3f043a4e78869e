"""From a picture to soft masks, step by step: brought to the size that the model knows, and back."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine import tiles
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.step import Step
from engine.tasks import pictures
from engine.tasks.segmentation.data import normalised
from engine.tasks.segmentation.sampling import MULTIPLE, OVERLAP_PX, TILE_PX, encoded_by_tiles, encoder
from engine.tasks.segmentation.targets import Target

COLOUR = (1.0, 0.25, -0.75)
"""Of the mask in the live view, in [-1, 1]: orange, which stands out of grey, of stains and of the retina."""
OPACITY = 0.6


@dataclass(frozen=True)
class Prepared:
    """A picture as the model sees it: shown (1, 3, h, w) in [-1, 1], and its encoding on sides that fit the tiles.

    view (H, W) bool or None: where the answer means anything; size: height and width of the picture itself.
    """

    shown: Tensor
    encoded: Tensor
    view: np.ndarray | None
    size: tuple[int, int]


def working_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Height and width of a picture of this size when it is enlarged `scale` times; at least one tile's multiple."""
    return tuple(max(MULTIPLE, round(side * scale)) for side in size)


def prepared(picture: np.ndarray, target: Target, model: Model, scale: float) -> Prepared:
    """The picture (H, W, 3) uint8 enlarged `scale` times, stretched to its full range, and encoded."""
    view = None if target.view is None else target.view(picture)
    seen = view if view is not None and view.any() else None
    values = torch.from_numpy(normalised(picture, seen)).permute(2, 0, 1)[None] * 2 - 1
    size = working_size(picture.shape[:2], scale)
    if size != picture.shape[:2]:
        values = functional.interpolate(values, size, mode="bilinear", antialias=True, align_corners=False)
    beyond = -size[1] % MULTIPLE, -size[0] % MULTIPLE
    padded = functional.pad(values, (0, beyond[0], 0, beyond[1]), mode="replicate")
    return Prepared(values, encoded_by_tiles(encoder(model), padded), seen, picture.shape[:2])


def steps(model: Model, of: Prepared, recipe: Recipe, first: int = 0) -> Iterator[Step]:
    """The solver's steps; x the noisy masks (S, 1, h, w), x0 the masks that are expected.

    first: number of samples that were drawn before in this run, so that every slice has noise of its own.
    """
    schedule, (height, width) = model.schedule, of.encoded.shape[-2:]
    cond = of.encoded.expand(recipe.samples, -1, -1, -1)
    by_tiles = tiles.tiled(model.denoiser, TILE_PX, OVERLAP_PX)
    rng = Rng(recipe.seed, recipe.samples, first=first)
    start = rng.normal(1, height, width) * schedule(schedule.start)[1]
    *_, small_height, small_width = of.shown.shape
    for step in pictures.solve(recipe, lambda x, t: by_tiles(x, t, cond=cond), start, schedule, rng):
        yield replace(step, x=step.x[..., :small_height, :small_width], x0=step.x0[..., :small_height, :small_width])


def overlaid(of: Prepared, masks: Tensor) -> Tensor:
    """Pictures (S, 3, h, w) in [-1, 1] with the soft masks (S, 1, h, w) in [-1, 1] laid over in colour."""
    share = (masks.clamp(-1, 1) + 1) / 2 * OPACITY
    return of.shown * (1 - share) + torch.tensor(COLOUR)[None, :, None, None] * share


def own_chance(of: Prepared) -> np.ndarray:
    """The picture network's own chance of mask (H, W) float32, without any diffusion; 0 outside the view."""
    *_, height, width = of.shown.shape
    return _sized(of, of.encoded[:, :1, :height, :width].sigmoid())[0]


def chances(of: Prepared, masks: Tensor) -> np.ndarray:
    """Soft masks (S, H, W) float32 in [0, 1] of the picture's own size; 0 outside its view."""
    return _sized(of, (masks.clamp(-1, 1) + 1) / 2)


def _sized(of: Prepared, values: Tensor) -> np.ndarray:
    if values.shape[-2:] != of.size:
        values = functional.interpolate(values, of.size, mode="bilinear", antialias=True, align_corners=False)
    found = values[:, 0].numpy()
    return found if of.view is None else found * of.view
