"""The movement of each tooth in numbers, as the page's table shows them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.tasks.teeth import anatomy

COLUMNS = [
    {"title": "Mesial", "unit": "mm", "about": "along the arch: + to the midline, − away from it"},
    {"title": "Buccal", "unit": "mm", "about": "across the arch: + to the cheek or lip, − to the tongue"},
    {"title": "Vertical", "unit": "mm", "about": "+ out of the gum (extrusion), − into it (intrusion)"},
    {"title": "Rotation", "unit": "°", "about": "about the long axis: + turns the mesial side to the cheek"},
    {"title": "Tip", "unit": "°", "about": "+ leans the crown mesially, − distally"},
    {"title": "Torque", "unit": "°", "about": "+ leans the crown to the cheek or lip, − to the tongue"},
    {"title": "Moved", "unit": "mm", "about": "way of the crown's centre in all"},
    {"title": "Turned", "unit": "°", "about": "angle of the turn in all"},
]
"""In the order of the quantities of the task's array "movement"."""
_SAME = 1e-3
"""Samples that differ by less than this, such as those of a tooth that stays, differ by rounding only."""


def rows(fdi: Sequence[int], movement: np.ndarray, spread: np.ndarray) -> list[dict[str, Any]]:
    """For each tooth its number, its name and its cells. movement, spread (T, 8): in the order of COLUMNS.

    A cell has the value and, where samples differ, the spread as text, and the number that it is sorted by.
    """
    return [{"fdi": int(number), "name": anatomy.name_of(int(number)),
             "cells": [cell(value, around) for value, around in zip(values, arounds)]}
            for number, values, arounds in zip(fdi, movement.tolist(), spread.tolist())]


def cell(value: float, spread: float) -> dict[str, Any]:
    """A movement with one decimal, the accuracy of a scan, and its spread."""
    if not np.isfinite(value):
        return {"text": "–", "spread": "", "number": None}
    around = f"± {spread:.1f}" if np.isfinite(spread) and spread > _SAME else ""
    return {"text": signed(value), "spread": around, "number": round(value, 3)}


def signed(value: float, decimals: int = 1) -> str:
    """A number with a true minus sign, never minus nought."""
    written = f"{value:.{decimals}f}"
    return written.replace("-", "−") if float(written) else written.lstrip("-")
