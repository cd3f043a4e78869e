"""Names, places and norms of human teeth: FDI numbers, the 32 slots, crown sizes, arch forms, inclinations.

The frame of both jaws, in mm: x to the patient's left, y up, z forward; upper crowns point to -y, lower ones to +y. A
tooth's own axes are mesial, buccal (labial), occlusal (incisal); on one side of the mouth they are a mirror image of
those on the other, so that left and right teeth have the same shape in their own axes.
"""

import numpy as np

from engine.errors import InputError

SLOTS = (*range(18, 10, -1), *range(21, 29), *range(48, 40, -1), *range(31, 39))
"""FDI number of each of the 32 slots: both jaws run from the patient's right to the left."""
COUNT = len(SLOTS)
QUADRANT, POSITION = np.divmod(np.array(SLOTS), 10)
"""Quadrant 1 to 4; place in it, from 1 (central incisor) to 8 (third molar)."""
UPPER = QUADRANT <= 2
SIDE = np.where((QUADRANT == 2) | (QUADRANT == 3), 1, -1)
"""1 on the patient's left, -1 on the right."""
MIRRORED = np.array([(15 if upper else 47) - slot for slot, upper in enumerate(UPPER)])
"""Slot of the same tooth on the other side."""
OCCLUSAL = np.where(UPPER, -1.0, 1.0)
"""Sign of y in the direction of the crown."""
WISDOM = POSITION == 8
ANTERIOR = POSITION <= 3

_KINDS = ("central incisor", "lateral incisor", "canine", "first premolar", "second premolar", "first molar",
          "second molar", "third molar")

# Crown height, mesiodistal width of crown and neck, buccolingual depth of crown and neck in mm. Wheeler's Dental
# Anatomy, Physiology and Occlusion, the table of most textbooks.
_UPPER_CROWNS = ((10.5, 8.5, 7.0, 7.0, 6.0), (9.0, 6.5, 5.0, 6.0, 5.0), (10.0, 7.5, 5.5, 8.0, 7.0),
                 (8.5, 7.0, 5.0, 9.0, 8.0), (8.5, 7.0, 5.0, 9.0, 8.0), (7.5, 10.0, 8.0, 11.0, 10.0),
                 (7.0, 9.0, 7.0, 11.0, 10.0), (6.5, 8.5, 6.5, 10.0, 9.5))
_LOWER_CROWNS = ((9.0, 5.0, 3.5, 6.0, 5.3), (9.5, 5.5, 4.0, 6.5, 5.8), (11.0, 7.0, 5.5, 7.5, 7.0),
                 (8.5, 7.0, 5.0, 7.5, 6.5), (8.0, 7.0, 5.0, 8.0, 7.0), (7.5, 11.0, 9.0, 10.5, 9.0),
                 (7.0, 10.5, 8.0, 10.0, 9.0), (7.0, 10.0, 7.5, 9.5, 9.0))

_UPPER_TIP, _LOWER_TIP = (5, 9, 11, 2, 2, 5, 5, 5), (2, 2, 5, 2, 2, 2, 2, 2)
_UPPER_LEAN, _LOWER_LEAN = (14, 11, 5, 0, 0, 2, 2, 2), (9, 8, 2, -5, -9, -12, -14, -14)
_UPPER_SPREAD = (0.073, 0.090, 0.068, 0.058, 0.060, 0.049, 0.065, 0.08)
_LOWER_SPREAD = (0.082, 0.069, 0.076, 0.065, 0.061, 0.048, 0.063, 0.08)


def _by_slot(upper, lower) -> np.ndarray:
    return np.array([(upper if up else lower)[place - 1] for place, up in zip(POSITION, UPPER)], float)


CROWNS = _by_slot(_UPPER_CROWNS, _LOWER_CROWNS)
"""(32, 5) mm: crown height, mesiodistal width, the same at the neck, buccolingual depth, the same at the neck."""
TIP_DEG = _by_slot(_UPPER_TIP, _LOWER_TIP)
"""Andrews' tip (1972): how far the crown leans mesially, seen from the cheek."""
LEAN_DEG = _by_slot(_UPPER_LEAN, _LOWER_LEAN)
"""How far the crown's long axis leans towards the cheek or lip.

Andrews' torque is that of the buccal face at mid-crown, which falls away from the long axis towards the edge or chewing
surface, by 10 to 20 degrees. These leans give his norms on real crowns (`keys.torque_deg`).
"""
SIZE_SPREAD = _by_slot(_UPPER_SPREAD, _LOWER_SPREAD)
"""Coefficient of variation of the crown's width among patients."""


def slot_of(fdi: int) -> int:
    """The slot of an FDI number of the permanent teeth. Raises InputError for any other number."""
    if fdi not in SLOTS:
        raise InputError(f"There is no permanent tooth {fdi}.", "FDI numbers run from 11 to 18, 21 to 28, 31 to 38 and "
                         "41 to 48.", "Correct the tooth's number.", field="teeth")
    return SLOTS.index(fdi)


def name_of(fdi: int) -> str:
    """The tooth in words, such as "upper right first molar"."""
    slot = slot_of(fdi)
    jaw, side = ("upper" if UPPER[slot] else "lower"), ("left" if SIDE[slot] > 0 else "right")
    return f"{jaw} {side} {_KINDS[POSITION[slot] - 1]}"


def neighbours(reach: int = 1) -> np.ndarray:
    """Pairs of slots (K, 2) of one jaw that stand up to `reach` places apart."""
    return np.array([(s, s + k) for k in range(1, reach + 1) for s in range(COUNT - k) if UPPER[s] == UPPER[s + k]])


def antagonists() -> np.ndarray:
    """Pairs of slots (K, 2), upper and lower, that stand opposite each other or one place from that."""
    return np.array([(s, s + 16 + k) for s in range(16) for k in (-1, 0, 1) if 0 <= s + k < 16])


def touching_pairs() -> np.ndarray:
    """Pairs of slots (K, 2) of teeth that can touch: neighbours up to two places away, and antagonists."""
    return np.concatenate((neighbours(2), antagonists()))
