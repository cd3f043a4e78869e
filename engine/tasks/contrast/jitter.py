"""Another head out of a slice: turned, scaled, mirrored, and seen by another scanner. Patients are few."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from engine.tasks.contrast.data import BRIGHTEST, Case

_SHIFT_PX = 6
_TURN = np.pi / 12
_FIELD = 0.12
_NOISE = 0.02


def varied(case: Case, rng: Generator) -> Case:
    """The case moved, and with other tones; all its channels move alike, and what is before and after stays in step."""
    moved = _moved(case, rng)
    tone, gain = np.exp(rng.uniform(-0.3, 0.3)), _bias(case.before.shape, rng)
    before, after = ((values ** tone * gain).clip(0, BRIGHTEST) for values in (moved.before, moved.after))
    noise = rng.normal(scale=rng.uniform(0, _NOISE), size=before.shape) * (before > 0)
    return replace(moved, before=np.float32((before + noise).clip(0, BRIGHTEST)), after=np.float32(after))


def _moved(case: Case, rng: Generator) -> Case:
    """Mirrored left to right, turned by up to 15 degrees, stretched by up to 15 % on each axis."""
    import cv2

    height, width = case.before.shape
    angle = rng.uniform(-_TURN, _TURN)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn * np.exp(rng.uniform(-0.14, 0.14, 2)) * (rng.choice([-1, 1]), 1)
    middle = np.array([width - 1, height - 1]) / 2
    place = np.column_stack((turn, middle + rng.uniform(-_SHIFT_PX, _SHIFT_PX, 2) - turn @ middle))

    stacked = np.stack((case.before, case.after, np.float32(case.region)), -1)
    moved = cv2.warpAffine(stacked, place, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    before, after, region = np.moveaxis(moved, -1, 0)
    return Case(before, after, region > 0.5)


def _bias(shape: tuple[int, int], rng: Generator) -> np.ndarray:
    """A smooth positive field around 1, as of a receiver coil: the exponential of a random quadratic."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    y = y[:, None]
    weights = rng.normal(scale=_FIELD, size=5).astype(np.float32)
    return np.exp(weights[0] * x + weights[1] * y + weights[2] * x * y + weights[3] * x * x + weights[4] * y * y)
