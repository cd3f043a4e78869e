"""Where teeth stand on an average arch, by FDI number, and how to lay other teeth over it by least squares.

The frame is that of the program's dentitions, in mm: x to the patient's left, y up, z forward; upper crowns point to
-y, lower ones to +y.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

# Centres of crowns of the left side in average normal occlusion, from the central incisor to the third molar, in mm.
_UPPER = ((4.1, 3.4, 20.3), (10.6, 3.2, 16.6), (15.9, 3.4, 12.2), (18.6, 2.7, 5.5), (21.3, 2.6, -1.0),
          (23.9, 2.0, -9.1), (26.3, 2.6, -18.3), (28.1, 2.8, -27.0))
_LOWER = ((2.7, -2.5, 17.6), (7.8, -2.8, 16.4), (13.1, -3.7, 12.9), (17.3, -3.3, 7.3), (20.2, -3.3, 0.9),
          (23.1, -2.8, -7.7), (25.6, -2.3, -18.2), (27.6, -1.9, -28.3))


def _mirrored(points: Iterable[tuple[float, float, float]]) -> tuple[tuple[float, float, float], ...]:
    return tuple((-x, y, z) for x, y, z in points)


PLACES = {10 * quadrant + place: np.array(point) for quadrant, points in (
    (1, _mirrored(_UPPER)), (2, _UPPER), (3, _LOWER), (4, _mirrored(_LOWER))) for place, point in enumerate(points, 1)}
"""Centre (3,) of each permanent tooth's crown by FDI number."""
ORDER = (*range(18, 10, -1), *range(21, 29), *range(48, 40, -1), *range(31, 39))
"""All FDI numbers: the upper jaw, then the lower, each from the patient's right to the left."""


def is_upper(fdi: int) -> bool:
    """Whether a permanent tooth belongs to the upper jaw."""
    return fdi < 30


def crown_sign(fdi: int) -> float:
    """Sign of y in the direction in which the crown points."""
    return -1.0 if is_upper(fdi) else 1.0


def places(numbers: Sequence[int]) -> np.ndarray:
    """Average centres (N, 3) of these teeth."""
    return np.stack([PLACES[fdi] for fdi in numbers])


@dataclass(frozen=True)
class Fit:
    """The similarity q = scale * turn @ p + shift that lays points p over others best; root mean square error left."""

    scale: float
    turn: np.ndarray
    shift: np.ndarray
    error: float

    @property
    def angle_deg(self) -> float:
        """Angle of the turn."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.turn) - 1) / 2, -1, 1))))


def fit(points: np.ndarray, targets: np.ndarray, sized: bool = False) -> Fit:
    """Lay points (N, 3) over corresponding targets (N, 3); sized: find the scale too (Umeyama, 1991), else it is 1."""
    here, there = points.mean(0), targets.mean(0)
    left, values, right = np.linalg.svd((targets - there).T @ (points - here))
    sign = np.array([1.0, 1.0, np.linalg.det(left @ right)])
    turn = (left * sign) @ right
    spread = ((points - here) ** 2).sum()
    scale = float((values * sign).sum() / spread) if sized and spread > 0 else 1.0
    shift = there - scale * turn @ here
    left_over = targets - (scale * points @ turn.T + shift)
    return Fit(scale, turn, shift, float(np.sqrt((left_over**2).sum(1).mean())))


def rigid(turn: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The (4, 4) matrix of p -> turn @ p + shift."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, shift
    return matrix


def listed(numbers: Iterable[int]) -> str:
    """Numbers for people: "11, 12 and 21"."""
    texts = [str(number) for number in numbers]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def teeth(numbers: Iterable[int]) -> str:
    """ "tooth 11" or "teeth 11 and 12"."""
    numbers = list(numbers)
    return f"{'tooth' if len(numbers) == 1 else 'teeth'} {listed(numbers)}"
