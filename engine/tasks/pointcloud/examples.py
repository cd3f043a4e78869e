"""Ready-made sketches with words: invented shapes that training never saw, drawn as with a felt pen."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from engine.io.sketches import Sketch
from engine.tasks.base import Example
from engine.tasks.pointcloud.pool import example
from engine.tasks.pointcloud.sketch import SIDE_PX, THREE_QUARTER

SHOWN_PX = 384


def _drawn(name: str, words: str) -> dict[str, Any]:
    return {"sketch": Sketch(_enlarged(example(name, THREE_QUARTER).sketch)), "text": words}


def _enlarged(sketch: np.ndarray) -> np.ndarray:
    """A sketch (64, 64) uint8 as ink (384, 384) in [0, 1] with smooth edges, so that it can be shown."""
    import cv2

    side = (SHOWN_PX, SHOWN_PX)
    soft = cv2.GaussianBlur(cv2.resize(np.float32(sketch) / 255, side, interpolation=cv2.INTER_CUBIC), (0, 0),
                            SHOWN_PX / SIDE_PX / 2)
    return np.float32(np.clip((soft - 0.45) * 6, 0, 1))


def _example(title: str, name: str, words: str) -> Example:
    make: Callable[[], dict[str, Any]] = partial(_drawn, name, words)
    return Example(title, make, {"mode": "create"})


EXAMPLES = (
    _example("Chair", "chair-25", "a red chair with a barred back and four thick legs, the legs are black"),
    _example("Table", "table-26", "a rectangular yellow table with four thin splayed black legs"),
    _example("Lamp", "lamp-0", "an orange lamp with a conical shade and a square grey base"),
    _example("Airplane", "airplane-41", "a blue airplane with swept wings and a white tail"),
    _example("Mug", "mug-70", "a short round green mug with a thick handle"),
    _example("Car", "car-27", "a pickup red car with four large black wheels"),
    _example("Tree", "tree-13", "a bushy green tree with a thin brown trunk"),
)
