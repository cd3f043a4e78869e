"""Too little light: what a sensor records of a scene, and what the network is told of it.

Linear values are light, 1 is where the sensor saturates; display values are linear ones to the power of 1/2.2.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

FACTOR = 2
CHANNELS = 8
MOST_STOPS = 6.0
"""Stops of light (factors of two) that may be missing."""
_GAMMA = 2.2
_RED_GAIN, _BLUE_GAIN = (1.9, 2.4), (1.5, 1.9)
_SHOT, _READ = (-4.0, -2.5), (-7.0, -5.0)
"""Decimal logarithms of the noise's variance, per unit of signal and without any: from 10 000 electrons at saturation
down to 300, as at ISO 12800. Six stops down, a picture's mean is some 0.003; more read noise leaves nothing of it."""
_BITS = (10, 14)
_MOST_GAIN = 3.0
"""Of a white balance that is judged from the picture."""
_BRIGHTNESS = 0.45
"""Mean display value of a usual photograph: what the automatic brightening aims at."""


@dataclass(frozen=True, eq=False)
class Light:
    """A record of a scene. colour: (h, w, 3) linear, white-balanced; mosaic: (h, w) linear, rows RG RG.. and GB GB..,
    sides even; stops: by how much it is to be brightened."""

    colour: np.ndarray
    mosaic: np.ndarray
    stops: float


def to_linear(display: np.ndarray) -> np.ndarray:
    """Light from display values in [0, 1]."""
    return np.power(display, _GAMMA, dtype=np.float32)


def to_display(linear: np.ndarray) -> np.ndarray:
    """Display values in [0, 1] from light of any range."""
    return np.power(np.clip(linear, 0, 1), 1 / _GAMMA, dtype=np.float32)


def recorded(clean: np.ndarray, stops: float, rng: Generator) -> Light:
    """What a sensor of half the resolution records of the picture (H, W, 3), display values, sides multiples of four.

    Unprocessed after Brooks et al. (CVPR 2019): white balance taken off, light reduced by the stops, averaged over 2 x
    2 px, mosaicked, with shot and read noise, rounded to 10 to 14 bits. Then developed: bilinear demosaicking and the
    white balance again.
    """
    white = np.array([rng.uniform(*_RED_GAIN), 1.0, rng.uniform(*_BLUE_GAIN)], np.float32)
    linear = to_linear(clean) / white * np.float32(2.0 ** -stops)
    small = cv2.resize(linear, None, fx=1 / FACTOR, fy=1 / FACTOR, interpolation=cv2.INTER_AREA)
    mosaic = mosaicked(small)
    shot, read = (10 ** rng.uniform(*span) for span in (_SHOT, _READ))
    mosaic = mosaic + rng.standard_normal(mosaic.shape, np.float32) * np.sqrt(shot * mosaic + read, dtype=np.float32)
    levels = np.float32(2 ** rng.integers(_BITS[0], _BITS[1] + 1) - 1)
    mosaic = np.round(np.clip(mosaic, 0, 1) * levels) / levels
    return Light(demosaicked(mosaic) * white, mosaic, stops)


def of_picture(display: np.ndarray, stops: float) -> Light:
    """The record that a dark picture (h, w, 3) stands for, display values in [0, 1], sides even; e.g. of 8 bits."""
    linear = to_linear(display)
    return Light(linear, mosaicked(linear), stops)


def of_sensor(counts: np.ndarray) -> Light:
    """The record in counts of a sensor, sides even: (h, w, 3), or a mosaic (h, w) that is balanced to grey in the mean.

    Saturation is the largest count that the bits which are in use can hold (12 bits: 4095).
    """
    linear = counts / np.float32(2 ** np.ceil(np.log2(max(float(counts.max()), 1.0) + 1)) - 1)
    if linear.ndim == 3:
        return Light(linear, mosaicked(linear), 0.0)
    colour = demosaicked(linear)
    means = np.maximum(colour.mean((0, 1)), 1e-6)
    return Light(colour * np.clip(means[1] / means, 1 / _MOST_GAIN, _MOST_GAIN).astype(np.float32), linear, 0.0)


def mosaicked(linear: np.ndarray) -> np.ndarray:
    """(h, w, 3) with even sides to (h, w): red, green / green, blue."""
    mosaic = linear[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
    return mosaic


def demosaicked(mosaic: np.ndarray) -> np.ndarray:
    """(h, w) to (h, w, 3): of each colour the mean of its nearest neighbours."""
    kernel = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 4
    height, width = mosaic.shape
    where = np.zeros((height, width, 3), np.float32)
    where[::2, ::2, 0] = where[::2, 1::2, 1] = where[1::2, ::2, 1] = where[1::2, 1::2, 2] = 1
    # Reflected about the outermost pixels, so that colours keep their places beyond the border.
    sums, counts = (cv2.filter2D(v, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
                    for v in (where * mosaic[..., None], where))
    return sums / counts


def missing_stops(linear: np.ndarray) -> float:
    """How many stops bring light (h, w, 3) to the mean brightness of a usual photograph: 0 to 6, by halving."""
    low, high = 0.0, MOST_STOPS
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if to_display(linear * 2**middle).mean() < _BRIGHTNESS else (low, middle)
    return round((low + high) / 2, 2)


def brightened(light: Light) -> np.ndarray:
    """The record (h, w, 3) in display values, brightened by its stops: what a camera would show."""
    return to_display(light.colour * np.float32(2.0**light.stops))


def condition(light: Light) -> Tensor:
    """(1, 8, 2h, 2w) in [-1, 1]: the preview, the packed sensor, and the stops; see `networks.illumination`.

    The preview is `brightened`, enlarged (bicubic). The sensor's four colours are brightened likewise, without white
    balance, and enlarged (bilinear).
    """
    packed = np.stack([light.mosaic[y::2, x::2] for y in (0, 1) for x in (0, 1)], -1)
    preview, sensor = (torch.from_numpy(v).permute(2, 0, 1)[None] for v in
                       (brightened(light), to_display(packed * np.float32(2.0**light.stops))))
    preview = F.interpolate(preview, scale_factor=FACTOR, mode="bicubic", antialias=True).clamp(0, 1)
    sensor = F.interpolate(sensor, scale_factor=2 * FACTOR, mode="bilinear")
    stops = torch.full_like(preview[:, :1], light.stops / MOST_STOPS)
    return torch.cat((preview, sensor, stops), dim=1) * 2 - 1
