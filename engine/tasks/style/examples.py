"""Photographs and styles that the program ships: pictures of scikit-image, and hands made by the program."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from engine.io.pictures import Picture
from engine.tasks.restoration.examples import photograph
from engine.tasks.style.procedural import STYLES

_STYLE_PX = 320


def pair(content: str, hand: str, sitter: str) -> Callable[[], dict[str, Any]]:
    """A photograph, and another one of scikit-image in a hand of `procedural.STYLES` ("" leaves it as it is)."""
    return lambda: {"content": photograph(content)()["picture"], "style": Picture(styled(sitter, hand))}


@lru_cache(maxsize=16)
def styled(sitter: str, hand: str) -> np.ndarray:
    """A picture of scikit-image in one of our hands, (H, W, 3) uint8."""
    import cv2

    pixels = photograph(sitter)()["picture"].pixels
    scale = _STYLE_PX / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if not hand:
        return small
    return np.uint8(STYLES[hand](np.float32(small) / 255, np.random.default_rng(0)) * 255 + 0.5)


def texture(name: str) -> np.ndarray:
    """A texture of scikit-image as a picture, (H, W, 3) uint8."""
    from skimage import data

    return np.repeat(getattr(data, name)()[:_STYLE_PX, :_STYLE_PX, None], 3, axis=2)
