"""Invented microscopy, with the number of each pixel's nucleus: fluorescent nuclei, and stained ones."""

import cv2
import numpy as np
from numpy.random import Generator

_BLUE = np.array([0.55, 0.7, 1.0])
_PURPLE = np.array([0.85, 1.25, 0.35])
"""Absorbance of the stain in red, green and blue."""


def fluorescent(side_px: int, seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Bright nuclei on a dark ground: picture (side, side, 3) uint8, instances (side, side) int32, 0 for background.

    Nuclei are 14 to 26 px long, have textures of their own and may touch, but hardly overlap.
    """
    rng = np.random.default_rng(seed)
    light, ids = _nuclei(side_px, count, rng)
    glow = 0.06 + 0.10 * cv2.GaussianBlur(light, (0, 0), 12) + 0.02 * _field(rng, side_px, 30)
    return _noisy((cv2.GaussianBlur(light, (0, 0), 1.0) + glow)[..., None] * _BLUE, rng), ids


def stained(side_px: int, seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Purple nuclei on a pale ground, as after Giemsa's stain; shapes and units as in `fluorescent`."""
    rng = np.random.default_rng(seed)
    density, ids = _nuclei(side_px, count, rng)
    ground = np.clip(0.05 + 0.04 * _field(rng, side_px, 8) + 0.03 * _field(rng, side_px, 2), 0, None)
    absorbed = cv2.GaussianBlur(density, (0, 0), 0.8) + ground
    return _noisy(0.95 * np.exp(-absorbed[..., None] * _PURPLE), rng), ids


def _nuclei(side_px: int, count: int, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """How much of the dye each pixel holds, (side, side) in about [0, 1], and whose pixel it is."""
    y, x = np.mgrid[:side_px, :side_px].astype(np.float32)
    ids, dye = np.zeros((side_px, side_px), np.int32), np.zeros((side_px, side_px), np.float32)
    for number in range(1, count + 1):
        level = _nucleus(y, x, side_px, rng)
        inside = level < 1
        if (ids[inside] > 0).mean() > 0.04:
            continue
        ids[inside & (ids == 0)] = number
        texture = 1 + 0.18 * _field(rng, side_px, 2.5)
        dye = np.maximum(dye, rng.uniform(0.35, 0.9) * texture / (1 + np.exp((level - 1) * 9)))
    return dye, ids


def _noisy(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """With the noise of a camera, as uint8."""
    seen = picture + rng.normal(0, 1, picture.shape) * np.sqrt(0.0001 + 0.0008 * np.maximum(picture, 0))
    return np.uint8(np.clip(seen, 0, 1) * 255 + 0.5)


def _nucleus(y: np.ndarray, x: np.ndarray, side_px: int, rng: Generator) -> np.ndarray:
    """A wavy ellipse: distance from its centre in units of its radius, 1 on its line."""
    centre = rng.uniform(0, side_px, 2)
    turn = rng.uniform(0, np.pi)
    along = np.cos(turn) * (x - centre[1]) + np.sin(turn) * (y - centre[0])
    across = np.cos(turn) * (y - centre[0]) - np.sin(turn) * (x - centre[1])
    length = rng.uniform(7, 13)
    angle = np.arctan2(across, along)
    wave = 1 + 0.06 * np.cos(2 * angle + rng.uniform(0, 6)) + 0.04 * np.cos(3 * angle + rng.uniform(0, 6))
    return np.hypot(along / length, across / (length * rng.uniform(0.65, 1))) / wave


def _field(rng: Generator, side_px: int, scale_px: float) -> np.ndarray:
    smooth = cv2.GaussianBlur(rng.standard_normal((side_px, side_px), np.float32), (0, 0), scale_px)
    return smooth / smooth.std()
