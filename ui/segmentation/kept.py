"""Finished segmentations as the page comes back to them: to look at another slice, and to save what was corrected."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import InputError
from engine.io.medical import Scan, slice_picture
from engine.recipe import Recipe
from engine.tasks.base import Array, Result
from ui.shelf import Shelf

KEPT_S = 3600
_KEPT_BYTES = 1_000_000_000
"""Of all results; as much again of the scans that they belong to, of which each is kept once."""
_OF_ONE, _VOLUME = ("samples", "probability", "instances"), "volume_"
_SECRET = secrets.token_bytes(16)


@dataclass(frozen=True, eq=False)
class Kept:
    """A result of one run.

    arrays: those of the result, with volume_* where all slices were segmented. shown: index of the slice that the other
    ones belong to. scan: None on the shelf. scan_id: equal for equal scans, which it does not tell.
    """

    arrays: Mapping[str, Array]
    recipe: Recipe
    scan: Scan | None
    shown: int
    scan_id: str

    @property
    def indices(self) -> range:
        """Of the slices that were segmented."""
        if _VOLUME + "probability" in self.arrays:
            return range(len(self.scan.values))
        return range(self.shown, self.shown + 1)

    def found(self, name: str, index: int) -> np.ndarray | None:
        """"probability" or "instances" (H, W), or "samples" (S, H, W), of a slice; None where there is no such thing.

        Raises InputError when the slice was not segmented.
        """
        if index not in self.indices:
            raise InputError(f"Slice {index + 1} was not segmented.", fix="Run it, or move to another one.")
        if name not in self.arrays:
            return None
        whole = self.arrays.get(_VOLUME + name)
        return self.arrays[name].values if whole is None else whole.values[index]

    def slice(self, index: int) -> Result:
        """One slice as the result of a run that segmented only this one. Raises InputError as `found` does."""
        found = {name: Array(self.found(name, index), self.arrays[name].axes) for name in _OF_ONE
                 if self.found(name, index) is not None}
        if index == self.shown:
            return Result({**self.arrays, **found}, {}, self.recipe)
        options = self.recipe.options
        window = (options["centre"], options["width"]) if options.get("width") else (None, None)
        found |= {"input": Array(slice_picture(self.scan, index, *window).pixels, ("y", "x", "channel")),
                  "doubt": Array((found["samples"].values / np.float32(255)).std(0), ("y", "x"), "chance")}
        return Result(found, {}, self.recipe)


_results: Shelf[Kept] = Shelf(_KEPT_BYTES, KEPT_S)
_scans: Shelf[Scan] = Shelf(_KEPT_BYTES, KEPT_S)


def keep(result: Result, scan: Scan) -> tuple[str, Kept]:
    """Remember a result for an hour; gives the key that the page comes back with, and what is kept."""
    number = int(result.recipe.options.get("slice", 0))
    shown = number - 1 if number else len(scan.values) // 2
    kept = Kept(result.arrays, result.recipe, scan, shown, _id(scan))
    _scans.put(scan, scan.values.nbytes, kept.scan_id)
    size = sum(array.values.nbytes for array in result.arrays.values())
    return _results.put(replace(kept, scan=None), size), kept


def find(key: object) -> Kept:
    """What was kept under this key. Raises InputError when it is there no longer."""
    stored = _results.get(key) if isinstance(key, str) else None
    scan = _scans.get(stored.scan_id) if stored else None
    if scan is None:
        raise InputError("This result is no longer kept.", "Results are forgotten after one hour.",
                         "Run it again with the same picture; the page keeps your corrections.")
    return replace(stored, scan=scan)


def _id(scan: Scan) -> str:
    digest = hashlib.blake2b(key=_SECRET, digest_size=16)
    digest.update(str((scan.values.shape, scan.kind, scan.spacing_mm)).encode())
    digest.update(np.ascontiguousarray(scan.values).data)
    return digest.hexdigest()
