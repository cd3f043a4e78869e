"""Invented patients: crowns of `crowns`, drawn at random, aligned by `aligned`. Needs no data."""

from functools import lru_cache

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.teeth import anatomy, crowns, even, facets, forms, sampled
from engine.tasks.teeth.aligned import Setup, accepted, aligned
from engine.tasks.teeth.balance import matched
from engine.tasks.teeth.dentition import Teeth

CLINICAL = 0.86
"""Share of the anatomic crown's height that scans show above the gum."""
_WISDOM_SHARE = 0.1
# Correlations of crown sizes among patients: common to all teeth, to one kind in both jaws, to one tooth's two sides.
_COMMON, _KIND, _PAIR, _OWN = 0.62, 0.06, 0.19, 0.13


def patients(count: int, rng: Generator, meshes: bool = False, wisdom: float = _WISDOM_SHARE) -> Teeth:
    """`count` well-aligned invented patients. wisdom: share of them that have third molars; meshes: keep the meshes."""
    return accepted(lambda n: aligned(matched(crowned(n, rng, meshes, wisdom), rng), setup(), rng), count)


def crowned(count: int, rng: Generator, meshes: bool = False, wisdom: float = 0.0) -> Teeth:
    """Crowns of `count` patients, not yet placed."""
    scale = _sizes(count, rng)
    vertices = np.zeros((count, anatomy.COUNT, crowns.SIZE, 3), np.float32)
    for slot in range(anatomy.COUNT):
        form, size = _form(slot), _clinical(slot) * scale[:, slot, None]
        vertices[:, slot] = crowns.crowns(form, size, crowns.individual(form, count, rng))
    present = np.ones((count, anatomy.COUNT), bool)
    present[:, anatomy.WISDOM] = rng.random((count, 1)) < wisdom
    return sampled.teeth(vertices, [crowns.faces()] * anatomy.COUNT, owners(), samples(), present, meshes)


@lru_cache(maxsize=1)
def average() -> Teeth:
    """One patient with all 32 average crowns, aligned: what surfaces of unknown teeth are compared with."""
    return aligned(_average_crowns(), setup(), None)


@lru_cache(maxsize=1)
def _average_crowns() -> Teeth:
    vertices = np.stack([_average_crown(slot) for slot in range(anatomy.COUNT)])[None].astype(np.float32)
    present = np.ones((1, anatomy.COUNT), bool)
    return sampled.teeth(vertices, [crowns.faces()] * anatomy.COUNT, owners(), samples(), present, True)


def _average_crown(slot: int) -> np.ndarray:
    return crowns.crowns(_form(slot), _clinical(slot)[None], crowns.average(_form(slot)))[0]


@lru_cache(maxsize=1)
def samples() -> np.ndarray:
    """Which vertices serve as samples of each slot's crown, (32, P)."""
    wall = np.arange(crowns.SIZE) >= crowns.AROUND
    wall[-1] = False
    return np.stack([even.spread(_average_crown(slot), np.flatnonzero(wall), sampled.POINTS)
                     for slot in range(anatomy.COUNT)])


@lru_cache(maxsize=1)
def owners() -> list[np.ndarray]:
    """Which facet each triangle of each slot's crown belongs to."""
    return [facets.owners(_average_crown(slot), crowns.faces()) for slot in range(anatomy.COUNT)]


@lru_cache(maxsize=1)
def setup() -> Setup:
    """Crown tips on the occlusal plane, but for upper laterals, which are shorter, and a gentle curve of Spee."""
    above_tip = {(True, 2): 0.4, (True, 3): -0.2, (True, 7): 0.8, (True, 8): 1.2, (False, 1): -0.6, (False, 2): -0.6,
                 (False, 3): -0.7, (False, 4): 0.1, (False, 5): 0.4, (False, 6): 0.4, (False, 7): 0.2, (False, 8): -0.2}
    outside = {(True, 2): -0.2, (True, 3): 0.9}
    kinds = [(bool(upper), int(place)) for upper, place in zip(anatomy.UPPER, anatomy.POSITION)]
    height = _average_crowns().points[0, ..., 2].amax(-1)
    return Setup(_float([outside.get(kind, 0.0) for kind in kinds]),
                 height + _float([above_tip.get(kind, 0.0) for kind in kinds]))


def _float(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _form(slot: int) -> forms.Form:
    table = forms.UPPER_FORMS if anatomy.UPPER[slot] else forms.LOWER_FORMS
    return table[anatomy.POSITION[slot] - 1]


def _clinical(slot: int) -> np.ndarray:
    return anatomy.CROWNS[slot] * np.array([CLINICAL, 1, 1, 1, 1])


def _sizes(count: int, rng: Generator) -> np.ndarray:
    """Relative sizes (count, 32), correlated among teeth as in patients, never below three quarters."""
    kind = anatomy.POSITION - 1
    tooth = kind + 8 * anatomy.UPPER
    parts = (_COMMON, rng.normal(size=(count, 1))), (_KIND, rng.normal(size=(count, 8))[:, kind]), \
        (_PAIR, rng.normal(size=(count, 16))[:, tooth]), (_OWN, rng.normal(size=(count, 32)))
    common = sum(np.sqrt(share) * value for share, value in parts)
    return 1 + anatomy.SIZE_SPREAD * np.clip(common, -2.5, 2.5)
