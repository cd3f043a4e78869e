"""Crooked teeth from well-aligned ones: the ordinary malocclusions, many patients at once, with exact true motions.

Traits and their sizes follow the epidemiology of the permanent dentition (Alhammadi et al., 2018) with a flatter mix:
crowding, spacing, rotated, tipped and displaced teeth, deep and open bite, Class II and III, crossbite, ectopic
canines, missing teeth. The upper molars stay where they are but for small displacements: they tell where the arch
belongs.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.teeth import anatomy, contacts, rigid
from engine.tasks.teeth.aligned import settled
from engine.tasks.teeth.dentition import Teeth

_RATES = {"crowding": 0.65, "spacing": 0.2, "class 2": 0.32, "class 3": 0.18, "deep bite": 0.3, "open bite": 0.12,
          "crossbite": 0.15, "ectopic": 0.08}
_ROTATION_DEG = np.array([5.0, 6.0, 6.0, 6.0, 7.0, 2.5, 3.0, 4.0])[anatomy.POSITION - 1]
_TIP_DEG = np.where(anatomy.POSITION >= 6, 2.5, 4.5)
_LEAN_DEG = np.where(anatomy.POSITION >= 6, 2.5, 5.0)
_SHIFT_MM = np.where(anatomy.POSITION >= 6, 0.35, 0.7)
_JITTER_MM, _JITTER_DEG = 0.2, 1.5
_PUSHES = 3
_LEFT_MM = 0.4
"""Overlap that is left: crooked teeth of patients do not interpenetrate either."""
_YIELD_MM = 1.0


@dataclass(frozen=True)
class Range:
    """How bad: severity uniform from `least` to `most`, 0 mild to 1 severe; absence: chance of missing teeth."""

    least: float
    most: float
    absence: float = 0.0


EASY = Range(0.2, 0.7)
HARD = Range(0.8, 1.3)
ABSENT = Range(0.2, 0.8, 1.0)
ANY = Range(0.0, 1.3, 0.3)


def crooked(aligned: Teeth, how: Range, rng: Generator) -> Teeth:
    """The same teeth before treatment; `result.motion_to(aligned)` is the treatment. Some teeth may be missing."""
    aligned = aligned.without(_absent(aligned, how, rng))
    state = _State(aligned, rng.uniform(how.least, how.most, len(aligned)), rng)
    for trait in (_single_teeth, _crowding, _spacing, _bite, _classes, _crossbite, _ectopic, _drift):
        trait(state)
    return settled(_apart(state.teeth()), _LEFT_MM, _YIELD_MM, rounds=3, samples=24)


class _State:
    """Displacements that traits add up: in own axes (mm; turn, tip and lean in degrees) and in the jaws' frame (mm)."""

    def __init__(self, aligned: Teeth, severity: np.ndarray, rng: Generator):
        self.aligned, self.severity, self.rng = aligned, severity[:, None], rng
        self.count = len(aligned)
        self.own, self.angles, self.world = (np.zeros((self.count, 32, 3)) for _ in range(3))
        self.centres = aligned.centres.double().numpy()

    def happens(self, name: str) -> np.ndarray:
        """Which patients (B, 1) have a trait."""
        return self.rng.random((self.count, 1)) < _RATES[name]

    def teeth(self) -> Teeth:
        angles = torch.deg2rad(torch.from_numpy(self.angles).float().clamp(-45, 45))
        axes = rigid.local_rotation(*angles.unbind(-1)) @ self.aligned.axes
        shift = torch.from_numpy(self.own).float()[..., None, :] @ self.aligned.axes
        centres = self.aligned.centres + shift[..., 0, :] + torch.from_numpy(self.world).float()
        return self.aligned.at(axes, centres * self.aligned.present[..., None])


def _single_teeth(state: _State) -> None:
    """Each tooth turned, tipped, leaned and shifted by itself; more where the severity is high."""
    amount, rng = 0.65 + 0.6 * state.severity, state.rng
    shape = (state.count, 32)
    state.angles[..., 0] += rng.laplace(0, 1, shape) * _ROTATION_DEG * amount / 2**0.5
    state.angles[..., 1] += rng.normal(0, 1, shape) * _TIP_DEG * amount
    state.angles[..., 2] += rng.normal(0, 1, shape) * _LEAN_DEG * amount
    state.own += rng.normal(0, 1, (*shape, 3)) * (_SHIFT_MM * amount)[..., None]
    state.own += rng.normal(0, _JITTER_MM, (*shape, 3))
    state.angles += rng.normal(0, _JITTER_DEG, (*shape, 3))


def _crowding(state: _State) -> None:
    """The front of the arch sinks back, so that it is shorter; the teeth give way to both sides and turn."""
    for upper in (True, False):
        jaw = upper == anatomy.UPPER
        lacking = state.rng.gamma(3, 1.5, (state.count, 1)) * (0.55 + 0.8 * state.severity)
        lacking = np.clip(lacking, 0, 10) * state.happens("crowding")
        _shorten(state, jaw, lacking)
        rng, shape = state.rng, (state.count, 32)
        place = anatomy.POSITION
        outwards = (np.where(place == 3, rng.uniform(0.05, 0.40, shape), 0) - np.where(place == 2,
                    rng.uniform(0.05, 0.32, shape), 0) + np.where(place == 1, rng.normal(0, 0.10, shape), 0)
                    - np.where(place == 5, rng.uniform(0, 0.15, shape), 0))
        state.own[..., 1] += jaw * outwards * lacking
        spread = np.where(place <= 2, 15, np.where(place <= 5, 8, 1.5))
        state.angles[..., 0] += jaw * rng.normal(0, 1, shape) * spread * np.minimum(lacking / 7, 1)


def _shorten(state: _State, jaw: np.ndarray, lacking: np.ndarray) -> None:
    """Makes the polyline of a jaw's centres, from first molar to first molar, shorter by `lacking` mm (B, 1)."""
    chain = np.flatnonzero(jaw & (anatomy.POSITION <= 6))
    points = state.centres[:, chain]
    base = points[:, [0, -1], 2].mean(1)
    depth = np.maximum(points[..., 2] - base[:, None], 0)

    def length(share: float) -> np.ndarray:
        flat = np.stack((points[..., 0], points[..., 2] - share * depth), -1)
        return np.linalg.norm(np.diff(flat, axis=1), axis=-1).sum(1)

    per_share = np.maximum((length(0.0) - length(0.2)) / 0.2, 5.0)
    share = np.clip(lacking / per_share[:, None], -0.3, 0.35)
    state.world[:, chain, 2] -= share * depth


def _spacing(state: _State) -> None:
    """The front of the arch bulges forward; every third time the gap lies between the upper central incisors."""
    amount = state.happens("spacing") * state.rng.uniform(0.5, 4.0, (state.count, 1)) * (0.6 + 0.7 * state.severity)
    for upper in (True, False):
        _shorten(state, upper == anatomy.UPPER, -amount * (state.rng.random((state.count, 1)) < 0.7))
    diastema = amount / 4 * (state.rng.random((state.count, 1)) < 0.35)
    state.own[..., 0] -= diastema * (anatomy.UPPER & (anatomy.POSITION == 1))
    state.own[..., 0] -= diastema / 2 * (anatomy.UPPER & (anatomy.POSITION == 2))


def _bite(state: _State) -> None:
    """Deep bite: front teeth longer, lower curve deeper. Open bite: front teeth short of each other."""
    deep, rng = state.happens("deep bite"), state.rng
    opened = state.happens("open bite") & ~deep
    amount = rng.uniform(0.3, 1.0, (state.count, 1)) * (0.6 + 0.7 * state.severity)
    front = np.array([1.0, 0.9, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0])[anatomy.POSITION - 1]
    middle = np.array([0.0, 0.0, 0.0, 0.4, 0.7, 0.4, 0.0, 0.0])[anatomy.POSITION - 1] * ~anatomy.UPPER
    state.own[..., 2] += deep * amount * (1.5 * front - 1.2 * middle)
    state.own[..., 2] -= opened * amount * 2.2 * front
    state.angles[..., 2] += opened * amount * 6 * front


def _classes(state: _State) -> None:
    """The lower arch as a whole too far back (Class II) or forward (III); incisors lean as they do in such patients."""
    rng, incisor = state.rng, anatomy.POSITION <= 2
    second = state.happens("class 2")
    third = (rng.random((state.count, 1)) < _RATES["class 3"] / (1 - _RATES["class 2"])) & ~second
    amount = rng.uniform(1.0, 5.0, (state.count, 1)) * (0.55 + 0.8 * state.severity)
    state.world[..., 2] += ~anatomy.UPPER * amount * (third.astype(float) - second)
    division = rng.random((state.count, 1)) < 0.7
    forwards = np.where(division, 8, -12) + 4 * rng.normal(size=(state.count, 32))
    forwards = np.where(~division & (anatomy.POSITION == 2), 8, forwards)
    state.angles[..., 2] += second * (0.3 + 0.7 * state.severity) * forwards * (incisor & anatomy.UPPER)
    state.angles[..., 2] -= third * amount * 2.5 * (incisor & ~anatomy.UPPER)
    state.world[..., 0] += ~anatomy.UPPER * rng.normal(0, 0.5, (state.count, 1)) * (0.3 + state.severity)


def _crossbite(state: _State) -> None:
    """Upper back teeth of one or both sides too far inwards, or a single front tooth behind the lower ones."""
    rng, many = state.rng, state.rng.random((state.count, 1)) < 0.6
    amount = state.happens("crossbite") * rng.uniform(1.0, 3.0, (state.count, 1)) * (0.3 + 0.7 * state.severity)
    side = rng.integers(-1, 2, (state.count, 1))
    back = anatomy.UPPER & (anatomy.POSITION >= 4) & (side * anatomy.SIDE >= 0)
    one = np.arange(32) == rng.choice([6, 7, 8, 9], (state.count, 1))
    state.own[..., 1] -= amount * np.where(many, back * 0.8, one * 1.2)


def _ectopic(state: _State) -> None:
    """One upper canine high above the arch and outside of it."""
    rng = state.rng
    amount = state.happens("ectopic") * state.severity
    one = np.arange(32) == rng.choice([anatomy.slot_of(13), anatomy.slot_of(23)], (state.count, 1))
    state.own[..., 2] -= one * amount * rng.uniform(2, 5, (state.count, 1))
    state.own[..., 1] += one * amount * rng.uniform(1, 3, (state.count, 1))


def _drift(state: _State) -> None:
    """Teeth beside a gap drift and tip into it, those behind it more than those before it."""
    absent = ~state.aligned.present.numpy() & ~anatomy.WISDOM
    before, behind = _beside(absent)
    rng, shape = state.rng, (state.count, 32)
    state.own[..., 0] += before * rng.uniform(0.2, 1.5, shape) - behind * rng.uniform(0.0, 0.8, shape)
    state.angles[..., 1] += before * rng.uniform(0, 9, shape) - behind * rng.uniform(0, 4, shape)


def _beside(absent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Teeth (B, 32) whose mesial neighbour is absent, and those whose distal one is."""
    mesial, distal = np.zeros_like(absent), np.zeros_like(absent)
    for slot in range(32):
        place = anatomy.POSITION[slot]
        other = slot - anatomy.SIDE[slot] if place > 1 else slot
        mesial[:, slot] = absent[:, other] & (place > 1)
        distal[:, slot] = absent[:, slot + anatomy.SIDE[slot]] if place < 8 else False
    return mesial, distal


def _absent(teeth: Teeth, how: Range, rng: Generator) -> Tensor:
    """Teeth (B, 32) that are taken out: at least one in a share `absence` of patients, first of all premolars."""
    chance = np.where((anatomy.POSITION == 4) | (anatomy.POSITION == 5), 0.07, 0.025) * ~anatomy.WISDOM
    gone = rng.random((len(teeth), 32)) < chance
    gone[np.arange(len(teeth)), rng.choice(32, len(teeth), p=chance / chance.sum())] = True
    return torch.from_numpy(gone & (rng.random((len(teeth), 1)) < how.absence)) & teeth.present


def _apart(teeth: Teeth) -> Teeth:
    """Neighbours that overlap pushed apart, along the direction in which they touch, until little is left."""
    pairs = torch.from_numpy(anatomy.neighbours())
    sides = contacts.facing(teeth, pairs, 32)
    first, second = pairs.unbind(-1)
    for _ in range(_PUSHES):
        depth = (-sides.gaps(teeth.axes, teeth.centres) - _LEFT_MM).clamp_min(0)
        between = teeth.centres[:, second] - teeth.centres[:, first]
        # Mostly inwards and outwards: along the arch there is no room.
        buccal = teeth.axes[:, first, 1]
        way = torch.sign((between * buccal).sum(-1, keepdim=True)) * buccal + 0.4 * between / 7
        push = way * torch.tensor([1.0, 0.0, 1.0]) * (0.5 * depth)[..., None]
        moved = teeth.centres.index_add(1, first, -push).index_add(1, second, push)
        teeth = teeth.at(teeth.axes, moved)
    return replace(teeth, centres=teeth.centres * teeth.present[..., None])
