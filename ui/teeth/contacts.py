"""Where teeth run into each other or stand apart: which pairs are worth a mark, and where it belongs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.tasks.teeth import anatomy
from engine.tasks.teeth.contacts import FAR_MM
from engine.tasks.teeth.keys import LIMITS
from engine.tasks.teeth.staging import TOLERATED_MM
from ui.teeth.meshes import Crown, rounded

OVERLAP_MM, GAP_MM = TOLERATED_MM, LIMITS["contact mm"]
"""What is smaller is within the accuracy of a contact."""


def worth(fdi: Sequence[int], pairs: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[int]:
    """Indices of the pairs that overlap or, where they stand side by side, gape before or after; the worst after first.

    fdi: the teeth that are there; pairs (K, 2) FDI numbers; before, after (K,) mm, negative where they overlap.
    """
    chosen = [k for k, pair in enumerate(pairs.tolist())
              if any(marked(gap, beside(fdi, *pair)) for gap in (before[k], after[k]))]
    return sorted(chosen, key=lambda k: (min(after[k], 0.0), -abs(after[k]), min(before[k], 0.0)))


def marked(gap_mm: float, side_by_side: bool) -> bool:
    """Whether a distance is worth a mark: overlaps of any two teeth, gaps of neighbours."""
    return bool(gap_mm < -OVERLAP_MM or (side_by_side and gap_mm > GAP_MM))


def beside(fdi: Sequence[int], first: int, second: int) -> bool:
    """Whether two teeth of one jaw have no other tooth between them."""
    slots = sorted((anatomy.slot_of(first), anatomy.slot_of(second)))
    between = set(anatomy.SLOTS[slots[0] + 1:slots[1]])
    return bool(anatomy.UPPER[slots[0]] == anatomy.UPPER[slots[1]] and not between & set(fdi))


def size(gap_mm: float) -> str:
    """A distance without its sign, with one decimal; those that are not measured farther say so."""
    return f"{'≥ ' if gap_mm >= FAR_MM else ''}{abs(gap_mm):.1f}"


def notable(teeth: Sequence[Crown], arrays: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The pairs of `worth` for the page: places of both teeth, whether they stand side by side, and for the start and
    the goal the distance in mm, the same in words, and the points of each that are nearest to the other, in mm from its
    centre, unturned."""
    fdi, before, after = arrays["fdi"].tolist(), arrays["gaps_before"], arrays["gaps_after"]
    ends = [np.broadcast_to(np.eye(4), arrays["goal"].shape), arrays["goal"]]
    found = []
    for k in worth(fdi, arrays["pairs"], before, after):
        pair = arrays["pairs"][k].tolist()
        places = [fdi.index(number) for number in pair]
        spots = [nearest(*((teeth[place], motions[place]) for place in places)) for motions in ends]
        found.append({"teeth": places, "beside": beside(fdi, *pair), "mm": rounded([before[k], after[k]]),
                      "words": [size(before[k]), size(after[k])], "spots": rounded(spots)})
    return found


def nearest(*sides: tuple[Crown, np.ndarray]) -> np.ndarray:
    """The two points (2, 3) of two moved teeth that are nearest to each other, each in mm from its own centre before
    the motion. sides: for both a crown and its motion (4, 4)."""
    from scipy.spatial import KDTree

    moved = [(tooth.vertices + tooth.centre) @ motion[:3, :3].T + motion[:3, 3] for tooth, motion in sides]
    distance, places = KDTree(moved[1]).query(moved[0])
    one = int(distance.argmin())
    return np.stack([sides[0][0].vertices[one], sides[1][0].vertices[places[one]]])
