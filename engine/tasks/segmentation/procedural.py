"""Invented pictures with exact masks: an optic cup, a brain tumour, a thyroid nodule. For demonstration only.

Each case comes with the masks of several invented annotators, who differ in bias, place and outline, so that it is
known what the spread of a model's masks should be. The first annotator makes no mistakes.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from engine.tasks.segmentation.data import Case, normalised

ANNOTATORS = 4


def cup(rng: Generator, side: int = 128) -> Case:
    """Retina around the optic disc: the cup is the pale hollow within it. Vertical cup-to-disc ratio 0.5 +- 0.15."""
    y, x = _axes(side)
    picture = np.array([0.72, 0.34, 0.16]) * rng.normal(1, 0.08, 3) * (
        1 - 0.35 * (x**2 + y**2) + 0.05 * _field(rng, side, 12))[..., None]
    centre, height = rng.uniform(-0.15, 0.15, 2), rng.uniform(0.32, 0.44)
    width = height / rng.uniform(1.0, 1.2)
    disc = _ellipse(y, x, centre, height, width)
    ratio = np.clip(rng.beta(5, 5), 0.2, 0.85)
    hollow = _ellipse(y, x, centre + rng.normal(0, 0.03, 2), ratio * height, ratio * width * rng.uniform(0.9, 1.1))
    hollow = hollow + 0.06 * _field(rng, side, 10)
    rim, edge = (rng.uniform(1, 3) * 2 / (side * height) for _ in range(2))
    picture = _blend(picture, np.array([0.93, 0.66, 0.38]), _soft(disc, rim))
    picture = _blend(picture, np.array([0.98, 0.86, 0.66]), _soft(hollow, edge / ratio) * rng.uniform(0.35, 0.9))
    vessels = _vessels(rng, side, centre)
    picture = _blend(picture, np.array([0.42, 0.10, 0.07]), 0.75 * vessels)
    return _case("optic cup", picture, hollow, 0.05, rng)


def tumour(rng: Generator, side: int = 128) -> Case:
    """Slice of a head with none to two tumours and their oedema, which belongs to the mask.

    Red, green and blue stand for FLAIR, T2 and T1 after contrast.
    """
    y, x = _axes(side)
    head = _ellipse(y, x, rng.normal(0, 0.03, 2), rng.uniform(0.82, 0.92), rng.uniform(0.66, 0.78))
    head = head + 0.02 * _field(rng, side, 20)
    brain, white = head < 0.88, _field(rng, side, 5) - 0.8 * head + 0.5 > 0
    fluid = _ellipse(y, np.abs(x) - 0.12, np.array([rng.normal(0, 0.05), 0.0]), 0.28, 0.07) < 1
    tissue = np.where(white[..., None], [0.42, 0.34, 0.55], [0.52, 0.48, 0.42])
    tissue = np.where(fluid[..., None], [0.16, 0.92, 0.18], tissue)
    picture = np.where(brain[..., None], tissue, np.where((head < 1)[..., None], [0.22, 0.18, 0.25], 0.02))
    picture = np.where((np.abs(head - 1) < 0.04)[..., None], [0.5, 0.55, 0.75], picture)
    level = np.full((side, side), 9.0)
    for _ in range(rng.choice(3, p=[0.12, 0.66, 0.22])):
        place, radius = rng.uniform(-0.42, 0.42, 2), rng.uniform(0.14, 0.36)
        blob = _ellipse(y, x, place, radius, radius * rng.uniform(0.7, 1.3)) + 0.22 * _field(rng, side, 9)
        level = np.minimum(level, blob + 4 * np.maximum(head - 0.86, 0))
        core = rng.uniform(0.45, 0.75)
        picture = _blend(picture, np.array([0.80, 0.72, 0.36]), _soft(blob, 0.12) * brain * rng.uniform(0.6, 1))
        ring = np.exp(-((blob - core) / 0.12) ** 2) * rng.uniform(0.3, 1)
        picture = _blend(picture, np.array([0.72, 0.62, 0.95]), ring * brain)
        picture = _blend(picture, np.array([0.48, 0.80, 0.26]), _soft(blob, 0.1, core - 0.1) * brain)
    picture = picture * (1 + 0.08 * _field(rng, side, 40))[..., None] + rng.normal(0, 0.03, (side, side, 3))
    return _case("brain tumour", picture, np.where(brain, level, 9.0), 0.07, rng)


def nodule(rng: Generator, side: int = 128) -> Case:
    """Ultrasound of the thyroid with one nodule, darker or brighter than the gland, some with shadow and calcium."""
    y, x = _axes(side)
    depth = y + 0.05 * _field(rng, side, 18)
    echo = 0.35 + 0.5 * np.exp(-((depth + 0.93) / 0.08) ** 2) - 0.2 * (np.abs(depth + 0.6) < 0.15) \
        + 0.35 * np.exp(-((depth + 0.42) / 0.03) ** 2) + 0.05 * _field(rng, side, 6)
    place = np.array([rng.uniform(-0.05, 0.4), rng.uniform(-0.4, 0.4)])
    height, width = rng.uniform(0.16, 0.38), rng.uniform(0.2, 0.5)
    level = _ellipse(y, x, place, height, width) + 0.13 * _field(rng, side, 9)
    inside = _soft(level, rng.uniform(0.03, 0.12))
    contrast = rng.uniform(0.3, 0.65) if rng.random() < 0.7 else rng.uniform(1.4, 1.8)
    echo = echo * (1 - inside + inside * contrast * (1 + 0.1 * _field(rng, side, 5)))
    if rng.random() < 0.4:
        below = np.clip((y - place[0] - height) / 0.1, 0, 1) * (np.abs(x - place[1]) < 0.7 * width)
        echo = echo * (1 - rng.uniform(0.3, 0.6) * below)
    for _ in range(rng.integers(0, 5) if rng.random() < 0.4 else 0):
        spot = place + rng.uniform(-0.5, 0.5, 2) * (height, width)
        echo = echo + 0.8 * np.exp(-((y - spot[0]) ** 2 + (x - spot[1]) ** 2) / 0.0012)
    speckle = rng.rayleigh(np.sqrt(2 / np.pi), (side, side))
    shown = np.log1p(9 * np.clip(_blurred(np.clip(echo, 0.01, None) * speckle, 0.7), 0, 2)) / np.log(10)
    return _case("thyroid nodule", np.repeat(shown[..., None], 3, 2), level, 0.06, rng)


KINDS: dict[str, Callable[..., Case]] = {"optic cup": cup, "brain tumour": tumour, "thyroid nodule": nodule}


def cases(count: int, seed: int, side: int = 128) -> list[Case]:
    """`count` cases, the kinds in turn; a seed gives the same ones everywhere."""
    makers = list(KINDS.values())
    return [makers[i % len(makers)](np.random.default_rng((seed, i)), side) for i in range(count)]


def _case(name: str, picture: np.ndarray, level: np.ndarray, disagreement: float, rng: Generator) -> Case:
    """Annotators draw the line where `level` is 1, moved by up to a pixel, with a bias and an outline of their own."""
    side = len(level)
    masks = [level < 1]
    for _ in range(ANNOTATORS - 1):
        moved = np.roll(level, tuple(rng.integers(-1, 2, 2)), (0, 1))
        masks.append(moved < 1 + disagreement * (rng.normal() + _field(rng, side, 8)))
    return Case(name, normalised(np.clip(picture, 0, 1)), tuple(masks), np.ones(level.shape, np.float32))


def _axes(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates y (side, 1) and x (1, side) from -1 to 1."""
    line = (np.arange(side) + 0.5) * 2 / side - 1
    return line[:, None], line[None, :]


def _ellipse(y: np.ndarray, x: np.ndarray, centre: np.ndarray, height: float, width: float) -> np.ndarray:
    """Distance from the centre in units of the ellipse's radius: 1 on its line."""
    return np.hypot((y - centre[0]) / height, (x - centre[1]) / width)


def _soft(level: np.ndarray, width: float, at: float = 1.0) -> np.ndarray:
    """From 1 inside to 0 outside of level = at, over about `width`."""
    return 1 / (1 + np.exp(np.clip((level - at) / width * 2, -40, 40)))


def _blend(picture: np.ndarray, colour: np.ndarray, share: np.ndarray) -> np.ndarray:
    return picture + share[..., None] * (colour - picture)


def _blurred(values: np.ndarray, sigma_px: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(values, (0, 0), sigma_px)


def _field(rng: Generator, side: int, scale_px: float) -> np.ndarray:
    """Smooth Gaussian random field of mean 0 and variance 1; scale_px: its length for pictures of 128 px."""
    smooth = _blurred(rng.normal(size=(side, side)), scale_px * side / 128)
    return (smooth - smooth.mean()) / smooth.std()


def _vessels(rng: Generator, side: int, centre: np.ndarray) -> np.ndarray:
    """8 to 14 tapering vessels that leave the disc in wavering lines, (side, side) in [0, 1]."""
    import cv2

    drawn = np.zeros((side, side), np.float32)
    for start in np.linspace(0, 2 * np.pi, rng.integers(8, 15), endpoint=False):
        angle = start + rng.normal(0, 0.2)
        place, bend, width = (centre[::-1] + 1) * side / 2, rng.normal(0, 0.04), rng.uniform(1.2, 3.2) * side / 128
        for _ in range(24):
            angle += bend + rng.normal(0, 0.12)
            step = place + side / 28 * np.array([np.cos(angle), np.sin(angle)])
            cv2.line(drawn, *(tuple(int(v) for v in p * 16) for p in (place, step)), 1.0, max(1, round(width)),
                     cv2.LINE_8, 4)
            place, width = step, width * 0.95
    return _blurred(drawn, 0.6 * side / 128)
