"""Well-aligned dentitions from crowns: teeth set along an arch until they touch, and the lower jaw to the upper one.

What a treatment aims at is partly a choice. Here it is not left to chance: the arch form is the patient's own, tip and
torque are the norms of `anatomy`, contacts are closed, the midlines agree, and the lower jaw bites into Class I with an
overjet and overbite of 2 to 3 mm. Only `NOISE` is left to the individual; a method that sees nothing but the crooked
teeth cannot know it. The place of a missing tooth stays open for its replacement.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.teeth import anatomy, contacts, keys, rigid
from engine.tasks.teeth.arches import QUARTIC, Quartic
from engine.tasks.teeth.dentition import Teeth, joined

NOISE = {"tip_deg": 1.0, "lean_deg": 1.0, "turn_deg": 0.8, "height_mm": 0.12, "offset_mm": 0.12}
"""Standard deviations of what distinguishes well-aligned patients beyond their crowns and arches."""
GAP_MM = 0.05
OVERJET_MM, OVERBITE_MM = 3.2, 2.2
_YIELD_MM, _BITE_MM = 0.6, 0.1
_ROUNDS = (6, 4, 4)
_DEPTH_MM = 8.0
"""By how much an arch of given length gets deeper when its coefficients are multiplied by e."""
_PULL = 0.8
_AT_ONCE = 64


@dataclass(frozen=True)
class Setup:
    """How the teeth of a kind of crowns are set up: (32,) each. Angles are the norms of `anatomy`.

    offset_mm: of the centre from the arch, outwards. height_mm: of the centre above the upper or below the lower
    jaw's middle plane towards the gum, less where it is nearer to the other jaw.
    """

    offset_mm: Tensor
    height_mm: Tensor


def aligned(teeth: Teeth, setup: Setup, rng: Generator | None) -> Teeth:
    """The same crowns well aligned. Poses of `teeth` are ignored; drawn are arch form and `NOISE`, none without rng.

    The lower arch becomes a little deeper or flatter than the average one, until front teeth and molars fit at once.
    """
    count = len(teeth)

    def noise(spread: float, *shape: int) -> Tensor:
        return torch.zeros(shape) if rng is None else torch.from_numpy(rng.normal(0, spread, shape)).float()

    def drawn(name: str) -> Tensor:
        return noise(NOISE[name], count, 32)

    form, narrow = noise(0.06, count, 1) + noise(0.015, count, 2), noise(0.04, count, 1)
    square, fourth = (form + power * narrow for power in (2, 4))

    norms = (torch.zeros(32), "turn_deg"), (_table(anatomy.TIP_DEG), "tip_deg"), (_table(anatomy.LEAN_DEG), "lean_deg")
    own = rigid.local_rotation(*(torch.deg2rad(norm + drawn(name)) for norm, name in norms))
    place = Place(own, setup.offset_mm + drawn("offset_mm"), setup.height_mm + drawn("height_mm"))
    arc = touching(*teeth.widths())
    for rounds in _ROUNDS:
        arches = [_arch(jaw, square[:, i], fourth[:, i]) for i, jaw in enumerate(("upper", "lower"))]
        teeth, arc = packed(teeth, arches, arc, place, rounds)
        too_flat = (_forward_by_front(teeth) - _forward_by_molars(teeth)) / _DEPTH_MM
        square[:, 1] += too_flat.clamp(-0.1, 0.1)
        fourth[:, 1] += too_flat.clamp(-0.1, 0.1)
    return bitten(teeth, OVERBITE_MM + noise(0.15, count))


def accepted(make: Callable[[int], Teeth], count: int) -> Teeth:
    """`count` patients from make(how many) who satisfy all six keys."""
    parts, found = [], 0
    while found < count:
        teeth = make(min(_AT_ONCE, 2 * (count - found) + 4))
        met = torch.stack(list(keys.six_keys(teeth).values())).all(0)
        parts.append(teeth[met])
        found += int(met.sum())
    return joined(parts)[:count]


@dataclass(frozen=True)
class Place:
    """Axes of each tooth against upright ones, (B, 32, 3, 3), and its offset and height (B, 32) in mm."""

    own: Tensor
    offset: Tensor
    height: Tensor


def packed(teeth: Teeth, arches: list[Quartic], arc: Tensor, place: Place, rounds: int) -> tuple[Teeth, Tensor]:
    """The teeth on their arches with closed contacts, and their arc lengths (B, 32)."""
    pairs = torch.from_numpy(anatomy.neighbours())
    sides = contacts.facing(teeth.at(*_poses(arches, arc, place, teeth.present)), pairs)
    for _ in range(rounds):
        gaps = sides.gaps(*_poses(arches, arc, place, teeth.present))
        arc = arc + _PULL * _spread(gaps - GAP_MM, sides.both)
    return teeth.at(*_poses(arches, arc, place, teeth.present)), arc


def _arch(jaw: str, square: Tensor, fourth: Tensor) -> Quartic:
    """Average arches of a jaw with both coefficients multiplied by the exponentials of (B,)."""
    a, b = QUARTIC[jaw]
    zero = torch.zeros_like(square)
    return Quartic(a * square.exp(), b * fourth.exp(), zero, zero)


def _table(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def touching(mesial: Tensor, distal: Tensor) -> Tensor:
    """Arc lengths (B, 32) from the midline at which teeth of these widths stand side by side on a straight line."""
    arc = torch.zeros_like(mesial)
    for first, side in ((7, -1), (8, 1), (23, -1), (24, 1)):
        reached = torch.zeros(len(mesial))
        for place in range(8):
            slot = first + side * place
            arc[:, slot] = side * (reached + mesial[:, slot])
            reached = reached + mesial[:, slot] + distal[:, slot]
    return arc


def _spread(excess: Tensor, known: Tensor) -> Tensor:
    """Shifts (B, 32) along the arch that remove excess gaps (B, K), cumulated outwards from the midline."""
    excess = torch.where(known, excess, 0.0)
    shift = torch.zeros(len(excess), 32)
    for jaw in (0, 1):
        here = excess[:, 15 * jaw:15 * jaw + 15]
        middle = here[:, 7:8] / 2
        left = -middle - torch.cat((torch.zeros_like(middle), here[:, 8:]), 1).cumsum(1)
        right = middle + torch.cat((torch.zeros_like(middle), here[:, :7].flip(1)), 1).cumsum(1)
        shift[:, 16 * jaw:16 * jaw + 16] = torch.cat((right.flip(1), left), 1)
    return shift


def _poses(arches: list[Quartic], arc: Tensor, tooth: Place, present: Tensor) -> tuple[Tensor, Tensor]:
    """Axes (B, 32, 3, 3) and centres (B, 32, 3) of teeth at arc lengths of their jaw's arch."""
    axes, centres = [], []
    for curve, upper in zip(arches, (True, False)):
        slots = torch.from_numpy(upper == anatomy.UPPER)
        place, direction = curve.at(arc[:, slots])
        plain = keys.upright(direction, slots)
        up = -tooth.height[:, slots] * _table(anatomy.OCCLUSAL)[slots]
        level = torch.stack((place[..., 0], up, place[..., 1]), -1)
        axes.append(tooth.own[:, slots] @ plain)
        centres.append(level + plain[..., 1, :] * tooth.offset[:, slots, None])
    shown = present[..., None]
    return torch.where(shown[..., None], torch.cat(axes, 1), torch.eye(3)), torch.cat(centres, 1) * shown


def _forward_by_front(teeth: Teeth) -> Tensor:
    """How far the lower jaw must come forward for the right overjet, (B,) mm."""
    return keys.overjet_overbite(teeth)[0] - OVERJET_MM


def _forward_by_molars(teeth: Teeth) -> Tensor:
    """How far the lower jaw must come forward for Class I, (B,) mm."""
    return keys.molar_class(teeth).nanmean(1)


def bitten(teeth: Teeth, overbite: Tensor | float, settle: bool = True) -> Teeth:
    """The lower jaw moved to Class I, overjet, midline and overbite in mm, and settled where teeth would overlap.

    What cannot be measured for missing teeth is left as it is.
    """
    lower = torch.from_numpy(~anatomy.UPPER)
    forward = torch.stack((_forward_by_front(teeth), _forward_by_molars(teeth)), 1).nanmean(1)
    teeth = _shifted(teeth, lower, torch.stack((-keys.midline_shift(teeth), torch.zeros_like(forward), forward), -1))
    teeth = _shifted(teeth, lower, _up(overbite - keys.overjet_overbite(teeth)[1]))
    return settled(teeth, _BITE_MM, _YIELD_MM) if settle else teeth


def settled(teeth: Teeth, overlap_mm: float, yield_mm: float, rounds: int = 4, samples: int = 48) -> Teeth:
    """Jaws that close until teeth meet: opposite teeth overlap by little more than `overlap_mm`.

    Teeth that meet too early give way towards the gum, by `yield_mm` at most; then the lower jaw opens for the rest.
    """
    pairs, axis = torch.from_numpy(anatomy.antagonists()), _table(anatomy.OCCLUSAL)
    sides, given = contacts.facing(teeth, pairs, samples), torch.zeros(len(teeth), 32)
    start = teeth.centres
    for _ in range(rounds):
        depth = (-sides.gaps(teeth.axes, teeth.centres) - overlap_mm).clamp_min(0)
        most = torch.zeros(len(teeth), 32)
        for member in pairs.unbind(-1):
            most = most.scatter_reduce(1, member.expand_as(depth), depth, "amax")
        given = (given + most / 2).clamp(max=yield_mm)
        teeth = teeth.at(teeth.axes, start - _up(given * axis))
    for _ in range(rounds - 1):
        depth = -sides.gaps(teeth.axes, teeth.centres).amin(1) - overlap_mm
        teeth = _shifted(teeth, torch.from_numpy(~anatomy.UPPER), -_up(depth.clamp_min(0)))
    return teeth


def _up(amount: Tensor) -> Tensor:
    return torch.stack((torch.zeros_like(amount), amount, torch.zeros_like(amount)), -1)


def _shifted(teeth: Teeth, slots: Tensor, shift: Tensor) -> Teeth:
    moved = teeth.centres + shift[:, None].nan_to_num() * (slots[None, :, None] & teeth.present[..., None])
    return teeth.at(teeth.axes, moved)
