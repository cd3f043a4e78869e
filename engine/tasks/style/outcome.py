"""From finished samples of style transfer to what a person gets: pictures, the table of nine, figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from engine import metrics
from engine.io.pictures import to_pixels
from engine.recipe import Recipe, libraries
from engine.tasks import pictures
from engine.tasks.base import Array, Result
from engine.tasks.style import canvas, statistics
from engine.tasks.style.scene import Scene


def result(scene: Scene, finished: Tensor, options: Mapping[str, Any], recipe: Recipe) -> Result:
    """finished (B, 3, H, W) in [-1, 1]; options: all of the run."""
    samples = to_pixels(finished.clamp(-1, 1))
    recipe = recipe.replace(size=scene.size, libraries=libraries(), device="cpu", dtype="float32")
    if options["keep_colours"]:
        samples = np.stack([canvas.with_colours_of(one, scene.content) for one in samples])
    found = pictures.arrays(samples, input=scene.content, style=scene.style)
    if not options["grid"]:
        return Result(found, measured(samples[0], scene.content, scene.style), recipe, scene.notes)
    shown = {name: found[name] for name in ("samples", "input", "style")}
    note = "The table's rows are content weights, its columns style weights, each times 0.5, 1 and 1.5."
    return Result(shown | {"table": Array(_table(samples), pictures.AXES[1:])},
                  measured(samples[len(samples) // 2], scene.content, scene.style), recipe, (*scene.notes, note))


def measured(shown: np.ndarray, content: np.ndarray, style: np.ndarray) -> dict[str, float]:
    """Structure kept and style taken by one sample; pictures (H, W, 3) uint8."""
    wanted, got, had = (statistics.describe(one[None])[0] for one in (style, shown, content))
    kept = metrics.ssim(metrics.luminance(shown), metrics.luminance(content))
    return {"SSIM of the lightness to the photograph": round(kept, 3),
            "Distance to the style": round(statistics.distance(got, wanted), 3),
            "Distance of the photograph to the style": round(statistics.distance(had, wanted), 3)}


def _table(samples: np.ndarray) -> np.ndarray:
    side = round(len(samples) ** 0.5)
    return np.concatenate([np.concatenate(list(samples[row * side:(row + 1) * side]), 1) for row in range(side)])
