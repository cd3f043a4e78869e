"""Classical enlarging by four that ours is measured against: uint8 (h, w, 3) to uint8 (4h, 4w, 3)."""

from collections.abc import Callable

import numpy as np
import torch.nn.functional as F

from engine.io.pictures import Picture, to_pixels
from engine.tasks.superres.scaling import FACTOR, enlarged

Method = Callable[[np.ndarray], np.ndarray]

_ROUNDS = 10


def nearest(low: np.ndarray) -> np.ndarray:
    """Every pixel as a block."""
    return low.repeat(FACTOR, 0).repeat(FACTOR, 1)


def bicubic(low: np.ndarray) -> np.ndarray:
    """Keys 1981, a = -1/2: the picture that our models start from."""
    return to_pixels(enlarged(Picture(low).tensor()))[0]


def lanczos(low: np.ndarray) -> np.ndarray:
    """Windowed sinc over three pixels on each side."""
    from PIL import Image

    height, width = low.shape[:2]
    return np.asarray(Image.fromarray(low).resize((FACTOR * width, FACTOR * height), Image.Resampling.LANCZOS))


def back_projection(low: np.ndarray) -> np.ndarray:
    """Irani and Peleg 1991: ten rounds of adding, enlarged, what the shrunk result lacks of the input."""
    given = Picture(low).tensor()
    x = F.interpolate(given, scale_factor=FACTOR, mode="bicubic", antialias=True)
    for _ in range(_ROUNDS):
        lacking = given - F.interpolate(x, scale_factor=1 / FACTOR, mode="bicubic", antialias=True)
        x = x + F.interpolate(lacking, scale_factor=FACTOR, mode="bicubic", antialias=True)
    return to_pixels(x)[0]


METHODS: dict[str, Method] = {"nearest": nearest, "bicubic": bicubic, "Lanczos": lanczos,
                              "back-projection": back_projection}
