"""The pictures that style models learn from: photographs, paintings, and photographs in styles of our own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from engine.tasks.style.procedural import STYLES
from engine.training import pictures

PHOTOS = ("flowers", "grocery", "wallpapers_elementary", "skimage_cc0", "eurosat_rgb")
PAINTINGS = ("style_pd",)
_STYLED_EACH = 40
_STYLED_PX = 256


@dataclass(frozen=True)
class Material:
    """Pictures (H, W, 3) uint8 by kind, with the share that each kind has of what is drawn.

    held_out (N, 128, 128, 3): photographs and strips of paintings that are not drawn, in turn.
    """

    kinds: tuple[tuple[np.ndarray, ...], ...]
    shares: tuple[float, ...]
    held_out: np.ndarray

    def source(self, rng: Generator) -> tuple[np.ndarray, bool]:
        """A picture, and whether it is a photograph."""
        kind = rng.choice(len(self.kinds), p=self.shares)
        return self.kinds[kind][rng.integers(len(self.kinds[kind]))], kind == 0

    def draw(self, side: int, rng: Generator) -> np.ndarray:
        """A crop of `side` px of any kind."""
        return pictures.shrunk_crop(self.source(rng)[0], side, rng)


def material(data: Path) -> Material:
    """Photographs and paintings under `data`. The lowest quarter of each painting is kept for judging."""
    paths = pictures.files(data, PHOTOS)
    photos = pictures.read([p for p in paths if not pictures.held_out(p)])
    paintings = pictures.read(pictures.files(data, PAINTINGS))
    learnt = tuple(p[:3 * p.shape[0] // 4] for p in paintings)
    judged = pictures.read([p for p in paths if pictures.held_out(p) and p.parent.name != "eurosat_rgb"])
    judged = [p for p in judged if min(p.shape[:2]) >= 128]
    strips = [p[-max(p.shape[0] // 4, 96):] for p in paintings]
    held_out = [_square(p) for pair in zip(judged[:: max(1, len(judged) // 12)], strips) for p in pair]
    styled = tuple(_styled(photos, np.random.default_rng(7)))
    return Material((tuple(photos), learnt, styled), (0.4, 0.35, 0.25), np.stack(held_out))


def _styled(photos: list[np.ndarray], rng: Generator):
    large = [p for p in photos if min(p.shape[:2]) >= 128]
    for make in STYLES.values():
        for _ in range(_STYLED_EACH):
            crop = pictures.crop(large[rng.integers(len(large))], _STYLED_PX, rng)
            yield np.uint8(make(np.float32(crop) / 255, rng) * 255 + 0.5)


def _square(picture: np.ndarray) -> np.ndarray:
    """128 px from the middle, the short side shrunk to it where it is longer than twice that."""
    import cv2

    side = min(picture.shape[:2])
    square = np.ascontiguousarray(pictures.centre(picture, side if side < 128 else min(side, 192)))
    return cv2.resize(square, (128, 128), interpolation=cv2.INTER_AREA)


def varied(crop: np.ndarray, rng: Generator) -> np.ndarray:
    """The crop with its colours turned, stretched and shifted: a dozen paintings have few palettes. (H, W, 3) uint8."""
    if rng.random() < 0.4:
        return crop
    values = np.float32(crop) / 255
    grey = values.mean(-1, keepdims=True)
    mix = np.eye(3) + rng.normal(0, 0.18, (3, 3))
    mix /= mix.sum(1, keepdims=True)
    values = (grey + rng.uniform(0.5, 1.4) * (values - grey)) @ mix.T.astype(np.float32)
    level = values.mean((0, 1))
    values = (values - level) * rng.uniform(0.7, 1.25) + level + rng.normal(0, 0.05, 3)
    return np.uint8(values.clip(0, 1) * 255 + 0.5)
