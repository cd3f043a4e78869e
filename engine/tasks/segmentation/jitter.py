"""Random changes of light, colour and sharpness that leave the mask as it is. Pictures (H, W, 3) float32 in [0, 1]."""

import numpy as np
from numpy.random import Generator

# Absorption of haematoxylin, eosin and the rest in red, green and blue (Ruifrok and Johnston, 2001), rows of length 1.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)


def light(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """Another gamma, contrast and brightness."""
    bent = picture ** np.exp(rng.normal(0, 0.25))
    return np.clip((bent - 0.5) * np.exp(rng.normal(0, 0.15)) + 0.5 + rng.normal(0, 0.05), 0, 1)


def tint(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """Another gain for every channel."""
    return np.clip(picture * np.exp(rng.normal(0, 0.12, 3)), 0, 1)


def stains(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """More or less of each stain: amounts are optical densities, -log of light, in the stains' basis."""
    density = -np.log(np.clip(picture, 1 / 255, 1))
    change = np.linalg.inv(_STAINS) @ np.diag(np.exp(rng.normal(0, 0.25, 3))) @ _STAINS
    return np.clip(np.exp(-density @ change), 0, 1)


def sharpness(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """A little blur or a little noise."""
    import cv2

    if rng.random() < 0.5:
        return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.2))
    return np.clip(picture + rng.normal(0, rng.uniform(0.01, 0.06), picture.shape), 0, 1)


def grey(picture: np.ndarray) -> np.ndarray:
    """The same mean brightness in all channels."""
    return np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)


def inverted(picture: np.ndarray) -> np.ndarray:
    """Dark becomes bright."""
    return 1 - picture


def microscopy(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """What differs between microscopes: stains or tint, light, sharpness, and now and then grey or inverted."""
    if rng.random() < 0.5:
        picture = stains(picture, rng) if np.ptp(picture, axis=2).mean() > 0.05 else tint(picture, rng)
    for chance, change in ((0.15, grey), (0.15, inverted)):
        if rng.random() < chance:
            picture = change(picture)
    return _usual(picture, rng)


def photograph(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """What differs between cameras: tint, light, sharpness."""
    return _usual(tint(picture, rng) if rng.random() < 0.7 else picture, rng)


def _usual(picture: np.ndarray, rng: Generator) -> np.ndarray:
    if rng.random() < 0.8:
        picture = light(picture, rng)
    return np.float32(sharpness(picture, rng) if rng.random() < 0.3 else picture)
