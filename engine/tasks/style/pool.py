"""Crops that were encoded once, from which the style model's batches are drawn."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.style import statistics
from engine.tasks.style.material import Material, varied
from engine.tasks.style.structure import grey, structure
from engine.training import pictures
from engine.training.spec import Batch

SIDE = 128
_ENTRIES = 3600
_AT_ONCE = 24
_COUNT = 24
_NO_STRUCTURE, _NO_STYLE = 0.3, 0.15
_FRESH = 2


@dataclass
class Pool:
    """Pairs of crops of one picture in one palette: latents and grey latents (N, 2, C, h, w) float16, statistics
    (N, 2, S). A few pairs are replaced at every batch."""

    latents: Tensor
    grey: Tensor
    statistics: Tensor
    material: Material
    codec: torch.nn.Module
    _next: int = 0

    @classmethod
    def drawn(cls, material: Material, codec: torch.nn.Module, rng: Generator, entries: int = _ENTRIES) -> "Pool":
        """A pool of `entries` pairs."""
        parts = [_encoded(material, codec, min(_AT_ONCE, entries - k), rng) for k in range(0, entries, _AT_ONCE)]
        return cls(*(torch.cat(column) for column in zip(*parts)), material, codec)

    def batch(self, rng: Generator, progress: float) -> Batch:
        """Latents of one crop; the structure of the same crop, the style of it or of its neighbour."""
        self._refresh(rng)
        rows = torch.from_numpy(rng.integers(len(self.latents), size=_COUNT))
        here = torch.from_numpy(rng.integers(2, size=_COUNT))
        there = torch.where(torch.from_numpy(rng.random(_COUNT) < 0.5), here, 1 - here)
        # Half of the time everything is told, else any coarser structure.
        detail = torch.from_numpy(np.where(rng.random(_COUNT) < 0.3, 1.0, rng.random(_COUNT))).float()
        left_out = torch.from_numpy(rng.random(_COUNT))
        x0, mirrored = self.latents[rows, here].float(), self.grey[rows, here].float()
        return Batch(x0, conditions={
            "structure": structure(mirrored, detail), "detail": detail,
            "style": self.latents[rows, there].float(), "statistics": self.statistics[rows, there],
            "has_structure": (left_out >= _NO_STRUCTURE).float(),
            "has_style": (left_out < 1 - _NO_STYLE).float()})

    def _refresh(self, rng: Generator) -> None:
        place = (self._next + np.arange(_FRESH)) % len(self.latents)
        for column, new in zip((self.latents, self.grey, self.statistics),
                               _encoded(self.material, self.codec, _FRESH, rng)):
            column[place] = new
        self._next = int(place[-1]) + 1


@torch.no_grad()
def _encoded(material: Material, codec: torch.nn.Module, count: int, rng: Generator) -> tuple[Tensor, ...]:
    crops = [crop for _ in range(count) for crop in _pair(material, rng)]
    x = pictures.to_tensor(crops)
    with torch.autocast("cpu", torch.bfloat16):
        both = codec.encode(torch.cat((x, grey(x)))).float()
    codes, grey_codes = (v.half().reshape(count, 2, *v.shape[1:]) for v in both.chunk(2))
    return codes, grey_codes, torch.from_numpy(statistics.describe(np.stack(crops))).reshape(count, 2, -1)


def _pair(material: Material, rng: Generator) -> list[np.ndarray]:
    """Two crops of one picture at one scale and in one palette."""
    import cv2

    picture, _ = material.source(rng)
    room = min(picture.shape[:2]) / SIDE
    scale = room ** rng.random() if room > 1 and rng.random() < 0.5 else 1.0
    turns, seed = int(rng.integers(4)) if rng.random() < 0.2 else 0, int(rng.integers(1 << 30))
    found = []
    for _ in range(2):
        crop = np.ascontiguousarray(pictures.crop(picture, min(round(SIDE * scale), *picture.shape[:2]), rng))
        if crop.shape[0] != SIDE:
            crop = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA if room > 1 else cv2.INTER_CUBIC)
        found.append(np.ascontiguousarray(np.rot90(varied(crop, np.random.default_rng(seed)), turns)))
    return found
