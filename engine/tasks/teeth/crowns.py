"""Crowns of invented teeth: closed surfaces that look like incisors, canines, premolars and molars, many at once.

A crown is a mesh of rings. The wall rises from the gum to the rim; the lid closes it. The chewing surface is the upper
hull of ridges whose flanks fall at a constant slope, so that fossae and developmental grooves appear where the flanks
of neighbouring cusps meet, as they do in teeth. Sizes are those of `anatomy.CROWNS`; the surface model is our own.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from engine.tasks.teeth.forms import Form

AROUND, WALL, LID = 40, 14, 9
"""Vertices per ring, rings of the wall, rings of the lid; one more vertex each for the top and the bottom."""
SIZE = AROUND * (WALL + LID) + 2
_HULL_MM = 0.12
"""Width over which two flanks pass into each other."""


@dataclass(frozen=True)
class Individual:
    """What makes N teeth of a kind differ beside their size.

    heights, places: of the ends of the form's ridges, added, (N, R, 2) mm and (N, R, 2, 2) mm; waves (N, M) mm:
    amplitudes of smooth bumps.
    """

    heights: np.ndarray
    places: np.ndarray
    waves: np.ndarray


def average(form: Form, count: int = 1) -> Individual:
    """No deviation at all, `count` times."""
    ridges = len(form.ridges)
    return Individual(np.zeros((count, ridges, 2)), np.zeros((count, ridges, 2, 2)), np.zeros((count, _WAVES)))


def individual(form: Form, count: int, rng: Generator) -> Individual:
    """Random deviations of ordinary size."""
    ridges = len(form.ridges)
    shift = rng.normal(0, 0.12, (count, ridges, 1)) + rng.normal(0, 0.08, (count, ridges, 2))
    return Individual(shift, rng.normal(0, 0.15, (count, ridges, 1, 2)) + np.zeros((count, ridges, 2, 2)),
                      rng.normal(0, 0.12, (count, _WAVES)))


def crowns(form: Form, sizes: np.ndarray, deviation: Individual) -> np.ndarray:
    """Vertices (N, SIZE, 3) in mm along (mesial, buccal, occlusal), from the middle of the neck.

    sizes (N, 5): columns of `anatomy.CROWNS`.
    """
    height, width, neck_width, depth, neck_depth = sizes.T[:, :, None]
    level = np.linspace(0, 1, WALL)[None]
    unit_x, unit_y = _outline(form.roundness)
    mesial, distal = _sides(form, level, neck_width / width)
    front, back = _faces(form, level, depth / 2, neck_depth / depth)
    sideways = np.where(unit_x > 0, mesial[..., None], distal[..., None]) * unit_x * width[..., None] / 2
    across = (front + back)[..., None] / 2 + unit_y * (front - back)[..., None] / 2
    ridges = _ridges(form, width[:, 0] / 2, depth[:, 0] / 2, height[:, 0], deviation)
    rim = _hull(form, ridges, sideways[:, -1], across[:, -1])
    gum = form.scallop * np.cos(2 * np.arctan2(unit_y, unit_x)) * height
    up = level[..., None] * rim[:, None] + (1 - level[..., None]) ** 2 * gum[:, None]
    inward = (np.sin(np.linspace(np.pi / 2, 0, LID + 1)[1:]) ** 1.3)[None, :, None]
    middle_y = ((front + back)[:, -1] / 2)[:, None, None]
    lid_x = sideways[:, -1:] * inward
    lid_y = middle_y + (across[:, -1:] - middle_y) * inward
    x, y = (np.concatenate(parts, 1) for parts in ((sideways, lid_x), (across, lid_y)))
    z = np.concatenate((up, _hull(form, ridges, lid_x, lid_y)), 1)
    bump = _bumps(deviation.waves)
    out = np.stack((x * (1 + bump / width[..., None] * 2), y * (1 + bump / depth[..., None] * 2), z), -1)
    out[..., 0] *= 1 + form.taper * out[..., 1] / (depth[..., None] / 2)
    out[..., 0] += form.shear * out[..., 1]
    return _closed(out)


def _outline(roundness: float) -> tuple[np.ndarray, np.ndarray]:
    """The superellipse |x|^n + |y|^n = 1 at AROUND angles, from mesial over buccal."""
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    x, y = np.cos(angle), np.sin(angle)
    radius = (np.abs(x) ** roundness + np.abs(y) ** roundness) ** (-1 / roundness)
    return radius * x, radius * y


def _sides(form: Form, level: np.ndarray, neck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half widths (N, WALL) of the mesial and distal side, as shares of the greatest."""
    return tuple(_profile(level, neck, contact, top) for contact, top in zip(form.contact, form.top))


def _profile(level: np.ndarray, low: np.ndarray, where: float, high: float) -> np.ndarray:
    """A curve from `low` at the neck over 1 at the height `where` to `high` at the rim, level at the middle."""
    below = low + (1 - low) * np.sin(np.pi / 2 * np.minimum(level / where, 1)) ** 0.9
    above = np.maximum(level - where, 0) / (1 - where)
    return below - (1 - high) * above**2.6


def _faces(form: Form, level: np.ndarray, half: np.ndarray, neck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, WALL) in mm of the buccal and lingual face on the crown's midline."""
    if not form.edge_mm:
        front = _profile(level, neck, form.crest[0], form.face[0])
        back = _profile(level, neck, form.crest[1], form.face[1])
        return half * front, -half * back
    edge, thin = form.edge_at * half, form.edge_mm / 2
    rise = np.maximum(level - form.crest[0], 0) / (1 - form.crest[0])
    bulge = neck + (1 - neck) * np.sin(np.pi / 2 * np.minimum(level / form.crest[0], 1))
    front = half * bulge - (half - edge - thin) * rise ** form.face[0]
    fall = np.maximum(level - form.crest[1], 0) / (1 - form.crest[1])
    bulge = neck + (1 - neck) * np.sin(np.pi / 2 * np.minimum(level / form.crest[1], 1))
    back = -half * bulge + (half + edge - thin) * (1 - (1 - fall) ** form.face[1])
    return front, back


def _ridges(form: Form, half_x: np.ndarray, half_y: np.ndarray, height: np.ndarray,
            deviation: Individual) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the ridges in mm: places (N, R, 2, 2) and heights (N, R, 2) over the neck."""
    table = np.array([(r.start, r.end) for r in form.ridges])
    scale = np.stack((half_x, half_y), -1)[:, None, None]
    return table[None, :, :, :2] * scale + deviation.places, height[:, None, None] + table[..., 2] + deviation.heights


def _hull(form: Form, ridges: tuple[np.ndarray, np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height of the ridges' smooth upper hull at places x, y (N, ...) in mm."""
    (places, heights), shape = ridges, x.shape
    point = np.stack((x, y), -1).reshape(len(x), -1, 1, 2)
    start, along = places[:, None, :, 0], (places[:, :, 1] - places[:, :, 0])[:, None]
    length = np.maximum((along**2).sum(-1), 1e-9)
    share = np.clip(((point - start) * along).sum(-1) / length, 0, 1)
    away2 = ((point - start - share[..., None] * along) ** 2).sum(-1)
    blunt = form.blunt_mm
    crest = heights[:, None, :, 0] * (1 - share) + heights[:, None, :, 1] * share
    flank = crest - form.slope * (np.sqrt(away2 + blunt**2) - blunt)
    top = flank.max(-1, keepdims=True)
    return (top[..., 0] + _HULL_MM * np.log(np.exp((flank - top) / _HULL_MM).sum(-1))).reshape(shape)


@lru_cache(maxsize=1)
def _wave_table() -> np.ndarray:
    """Smooth functions (M, WALL + LID, AROUND) around the crown and up the wall, zero at the top."""
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    rise = np.concatenate((np.linspace(0, 1, WALL), 1 + np.linspace(0, 1, LID + 1)[1:]))
    heights = [np.cos(np.pi / 4 * rise), np.sin(np.pi / 2 * rise)]
    turns = [np.ones_like(angle), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)]
    return np.stack([up[:, None] * turn[None] for up in heights for turn in turns])


_WAVES = 10


def _bumps(waves: np.ndarray) -> np.ndarray:
    return np.einsum("nm,mra->nra", waves, _wave_table())


def _closed(rings: np.ndarray) -> np.ndarray:
    """Rings (N, R, A, 3) and the middles of the last and the first one, as vertices (N, SIZE, 3)."""
    return np.concatenate((rings.reshape(len(rings), -1, 3), rings[:, -1:].mean(2), rings[:, :1].mean(2)), 1)


@lru_cache(maxsize=1)
def faces() -> np.ndarray:
    """Triangles (F, 3) of every crown, outward in the order of a right tooth's axes seen as right-handed."""
    ring = np.arange(AROUND * (WALL + LID)).reshape(WALL + LID, AROUND)
    low, high = ring[:-1], ring[1:]
    turned_low, turned_high = np.roll(low, -1, 1), np.roll(high, -1, 1)
    last, first = ring[-1], ring[0]
    quads = np.concatenate((np.stack((low, turned_low, turned_high), -1).reshape(-1, 3),
                            np.stack((low, turned_high, high), -1).reshape(-1, 3)))
    top = np.stack((last, np.roll(last, -1), np.full(AROUND, SIZE - 2)), -1)
    bottom = np.stack((np.roll(first, -1), first, np.full(AROUND, SIZE - 1)), -1)
    return np.concatenate((quads, top, bottom))
