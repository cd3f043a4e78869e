"""Photographs and styles that the program ships: pictures of scikit-image, and hands made by the program."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from engine.io.pictures import Picture
from engine.tasks.photographs import LONGEST_PX, photograph
from engine.tasks.style.procedural import STYLES


def pair(content: str, hand: str, sitter: str) -> Callable[[], dict[str, Any]]:
    """A photograph, and another one of scikit-image in a hand of `procedural.STYLES` ("" leaves it as it is)."""
    return lambda: {"content": Picture(_bytes(photograph(content))), "style": Picture(styled(sitter, hand))}


@lru_cache(maxsize=16)
def styled(sitter: str, hand: str) -> np.ndarray:
    """A picture of scikit-image in one of our hands, (H, W, 3) uint8."""
    picture = photograph(sitter)
    return _bytes(STYLES[hand](picture, np.random.default_rng(0)) if hand else picture)


def textured(content: str, texture: str) -> Callable[[], dict[str, Any]]:
    """A photograph, and a grey texture of scikit-image as the style."""
    from skimage import data

    def make() -> dict[str, Any]:
        grey = getattr(data, texture)()[:LONGEST_PX, :LONGEST_PX, None]
        return {"content": Picture(_bytes(photograph(content))), "style": Picture(np.repeat(grey, 3, axis=2))}

    return make


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.uint8(picture * 255 + 0.5)

