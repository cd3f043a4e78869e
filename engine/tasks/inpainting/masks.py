"""Procedural holes for training and evaluation. A hole is bool (H, W), True where the picture has to be painted.

Sizes are relative to the picture, so that a kind means the same at every resolution. The share of the picture that a
hole covers lies in SHARES[kind] for pictures of 32 px or more on the shorter side. A draw costs some 0.1 ms at 64 px.
"""

import math
from collections.abc import Callable

import numpy as np

from engine.errors import InputError

SHARES = {"thin": (0.03, 0.12), "free_form": (0.12, 0.4), "centre_box": (0.12, 0.4), "random_box": (0.03, 0.4)}

_MOST_STROKES = 64


def draw(kind: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A hole of the named kind, bool (height, width). Raises InputError for an unknown kind."""
    if kind not in KINDS:
        raise InputError(f"There is no kind of hole named {str(kind)[:40]!r}.",
                         fix="Choose one of " + ", ".join(KINDS) + ".", field="mask")
    return KINDS[kind](rng, height, width)


def mixed(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A hole for training: half of them free-form, the rest thin strokes and boxes in equal parts."""
    kind = rng.choice(("free_form", "thin", "random_box", "centre_box"), p=(0.5, 1 / 6, 1 / 6, 1 / 6))
    return KINDS[kind](rng, height, width)


def thin(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Scratches and wires: strokes 1 to 3 % of the shorter side wide, at least one pixel."""
    return _cover(rng, height, width, SHARES["thin"], lambda hole: _stroke(rng, hole, (0.01, 0.03), (2, 8), 0.45))


def free_form(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """What people paint: several thick strokes, 6 to 16 % of the shorter side wide, and now and then an ellipse."""

    def paint(hole: np.ndarray) -> None:
        if rng.random() < 0.2:
            _ellipse(rng, hole)
        else:
            _stroke(rng, hole, (0.06, 0.16), (3, 8), 0.25)

    return _cover(rng, height, width, SHARES["free_form"], paint)


def centre_box(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A box in the middle, each side 40 to 60 % of the picture's."""
    return _box(height, width, rng.uniform(0.4, 0.6, 2), (0.5, 0.5))


def random_box(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A box anywhere inside the picture, each side 20 to 60 % of the picture's."""
    return _box(height, width, rng.uniform(0.2, 0.6, 2), rng.random(2))


KINDS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "thin": thin, "free_form": free_form, "centre_box": centre_box, "random_box": random_box}


def _cover(rng: np.random.Generator, height: int, width: int, share: tuple[float, float],
           paint: Callable[[np.ndarray], None]) -> np.ndarray:
    """Add what `paint` paints until a share drawn from the range is covered; leave out what would exceed it."""
    import cv2

    fewest, wanted, most = (part * height * width for part in (share[0], rng.uniform(*share), share[1]))
    hole, covered = np.zeros((height, width), np.uint8), 0
    for _ in range(_MOST_STROKES):
        attempt = hole.copy()
        paint(attempt)
        area = cv2.countNonZero(attempt)
        if area <= most:
            hole, covered = attempt, area
        if covered >= wanted or (area > most and covered >= fewest):
            break
    return hole.astype(bool)


def _stroke(rng: np.random.Generator, hole: np.ndarray, thickness: tuple[float, float], corners: tuple[int, int],
            length: float) -> None:
    """A random walk that mostly keeps its direction. thickness, length of a leg: parts of the shorter side."""
    import cv2

    height, width = hole.shape
    shorter = min(height, width)
    # One call for all numbers, then plain floats: a stroke has a dozen of them, too few for arrays to pay.
    draws = iter(rng.random(4 + 2 * corners[1]).tolist())
    x, y, angle = next(draws) * width, next(draws) * height, next(draws) * 2 * math.pi
    pen = max(1, round((thickness[0] + next(draws) * (thickness[1] - thickness[0])) * shorter))
    walk = [(round(x), round(y))]
    for _ in range(rng.integers(corners[0], corners[1] + 1)):
        leg = (0.3 + 0.7 * next(draws)) * length * shorter
        angle += (next(draws) - 0.5) * 3
        x, y = x + leg * math.cos(angle), y + leg * math.sin(angle)
        walk.append((round(x), round(y)))
    cv2.polylines(hole, [np.array(walk, np.int32)], False, 1, pen)


def _ellipse(rng: np.random.Generator, hole: np.ndarray) -> None:
    import cv2

    height, width = hole.shape
    centre = (rng.random(2) * (width, height)).astype(int).tolist()
    axes = np.maximum(rng.uniform(0.06, 0.2, 2) * min(height, width), 1).astype(int).tolist()
    cv2.ellipse(hole, centre, axes, rng.uniform(0, 180), 0, 360, 1, -1)


def _box(height: int, width: int, sides, place) -> np.ndarray:
    """sides: parts of the picture's; place: 0 for the first position that fits, 1 for the last."""
    h, w = max(1, round(sides[0] * height)), max(1, round(sides[1] * width))
    top, left = round(place[0] * (height - h)), round(place[1] * (width - w))
    hole = np.zeros((height, width), bool)
    hole[top:top + h, left:left + w] = True
    return hole
