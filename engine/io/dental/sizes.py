"""How large teeth are, and from that the unit of their coordinates."""

import math
from collections.abc import Sequence

import numpy as np

LEAST_MM, MOST_MM = 4.0, 14.0
"""Widths of human crowns."""
UNITS = {"mm": 1.0, "um": 1e-3, "cm": 10.0, "m": 1000.0, "inch": 25.4}
"""Millimetres in each unit."""
_TOLERANCE = 1.5
"""An arch may be so much larger or smaller than the average one, crowded and spaced ones included."""


def width(vertices: np.ndarray) -> float:
    """A tooth's width: its second largest extent along its own principal directions, for vertices (V, 3)."""
    centred = vertices - vertices.mean(0)
    directions = np.linalg.eigh(centred.T @ centred)[1]
    return float(np.sort(np.ptp(centred @ directions, axis=0))[1])


def typical(teeth: Sequence[np.ndarray]) -> float:
    """The median width of several teeth."""
    return float(np.median([width(vertices) for vertices in teeth]))


def possible(width_mm: float) -> bool:
    """Whether teeth of this typical width are those of a human being."""
    return LEAST_MM <= width_mm <= MOST_MM


def unit_of(scale: float, typical_width: float) -> str:
    """The unit in which an arch is as large as the average one and its crowns as wide as crowns are; "" for none.

    scale: mm per unit that lay the teeth's centres over the average arch; typical_width in the unknown unit.
    """
    if not scale > 0:
        return ""
    name, millimetres = min(UNITS.items(), key=lambda entry: abs(math.log(scale / entry[1])))
    fits = abs(math.log(scale / millimetres)) <= math.log(_TOLERANCE)
    return name if fits and possible(typical_width * millimetres) else ""
