"""Copies and gaps in a series of maps: what can be mended is, and said."""

import numpy as np

from engine.errors import InputError

_MENDED = 0.05
"""Largest share of a map that is filled from neighbours; maps with more missing are left out."""

Notes = tuple[str, ...]


def without_copies(values: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, Notes]:
    """Maps (time, lat, lon) in time order, without times that are unknown; of a time that comes twice, the first."""
    known = np.flatnonzero(~np.isnat(times))
    times, first = np.unique(times[known], return_index=True)
    copies = len(known) - len(first)
    notes = (f"{copies} times came twice or more; the first map of each was kept.",) if copies else ()
    return values[known[first]], times, notes


def without_gaps(values: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, Notes]:
    """Maps (time, lat, lon) with small gaps filled from the nearest places, and without maps that lack more.

    Raises InputError when no map is left.
    """
    missing = ~np.isfinite(values)
    share = missing.mean((1, 2))
    whole = share <= _MENDED
    if not whole.any():
        raise InputError(f"Every map lacks at least {share.min():.0%} of its values.",
                         f"Gaps of up to {_MENDED:.0%} of a map are filled.",
                         "Give a field that has values over land and sea.")
    values, times, missing = values[whole], times[whole], missing[whole]
    gaps = np.flatnonzero(missing.any((1, 2)))
    for index in gaps:
        values[index] = _filled(values[index], missing[index])
    notes = (f"{int((~whole).sum())} maps with gaps were left out.",) if not whole.all() else ()
    if len(gaps):
        notes += (f"{int(missing.sum())} missing values in {len(gaps)} maps were filled from the nearest places.",)
    return values, times, notes


def _filled(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return values[tuple(nearest)]
