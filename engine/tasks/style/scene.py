"""What a run of style transfer works on: pictures brought to one size, the styles' hands, and where they draw."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.io.pictures import Picture
from engine.tasks.style import canvas
from engine.tasks.style.patches import PATCH, Hand, in_opponents

_FINEST_PER_PX = 1 / 160
"""Pixels of a picture per pixel of the finest level, over its longer side: copied pieces are 3 % of it."""


@dataclass(frozen=True)
class Scene:
    """content, style (H, W, 3) uint8 as they are worked on; hands of the styles and the share of each.

    photograph (1, 3, H, W) in [-1, 1]; where (1, 1, H, W) from 0 to 1: how much of the style each place takes.
    """

    content: np.ndarray
    style: np.ndarray
    photograph: Tensor
    hands: tuple[Hand, ...]
    shares: tuple[float, ...]
    where: Tensor
    notes: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.content.shape[:2]

    @classmethod
    def of(cls, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> "Scene":
        """Of a run's inputs and all its options."""
        longest, mix = int(options["size"]), float(options["mix"])
        content = canvas.fitted(inputs["content"].pixels, longest)
        given = {name: inputs[name] for name in ("style", "second") if inputs.get(name) is not None}
        styles = [canvas.fitted(one.pixels, max(canvas.LEAST_PX, round(longest * float(options["brush"]))))
                  for one in given.values()]
        finest = max(1, round(float(options["stroke"]) * longest * _FINEST_PER_PX))
        finest = min(finest, min(min(one.shape[:2]) for one in (content, *styles)) // (2 * PATCH))
        where = canvas.faded(content.shape[:2], options["fade"])
        if inputs.get("mask") is not None:
            where = where * canvas.cover(inputs["mask"], content.shape[:2])
        notes = (*inputs["content"].notes, *(note for name, one in given.items() for note in _about(name, one)))
        return cls(content, styles[0], tensor(content), tuple(hand(content, one, finest) for one in styles),
                   (1 - mix, mix) if len(styles) > 1 else (1.0,), where, notes)


def hand(content: np.ndarray, style: np.ndarray, finest: int) -> Hand:
    """The hand of a style picture, with the histograms of its opponent colours given to the photograph."""
    from skimage.exposure import match_histograms

    mine, theirs = (in_opponents(tensor(one))[0] for one in (content, style))
    target = match_histograms(mine.numpy(), theirs.numpy(), channel_axis=0)
    return Hand(theirs, torch.from_numpy(target.astype(np.float32)), finest)


def tensor(pixels: np.ndarray) -> Tensor:
    """(1, 3, H, W) in [-1, 1] of a picture (H, W, 3) uint8."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1


def _about(name: str, given: Picture) -> tuple[str, ...]:
    height, width = given.pixels.shape[:2]
    if min(height, width) >= canvas.LEAST_PX:
        return given.notes
    return (*given.notes, f"The {name} picture has only {width} x {height} px: its strokes are enlarged.")
