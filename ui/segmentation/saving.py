"""Corrected masks as files: PNG always, and the format of the scan where it has a place in space."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.io.files import write_whole
from engine.io.medical import Scan, exports
from engine.io.medical.measure import Measurement
from engine.io.medical.measure import measured as measured_masks
from engine.io.save import encode
from engine.recipe import Recipe
from ui.segmentation.correction import Corrected

_PROGRAM = "Diffuscope, corrected by hand"


def measured(found: Corrected, scan: Scan | None) -> tuple[Measurement, ...]:
    """Area, count and diameter of the corrected mask; in mm where the scan's spacing is known."""
    labels = None if found.labels is None else found.labels[None, None]
    return measured_masks(found.mask[None, None], labels, None if scan is None else scan.spacing_mm)


def numbers(measured: tuple[Measurement, ...]) -> dict[str, float]:
    """The measurements by name and unit."""
    return {one.quantity.capitalize() + (f" ({one.unit})" if one.unit else ""): one.median for one in measured
            if one.median is not None}


def write(found: Corrected, measured: tuple[Measurement, ...], recipe: Recipe, scan: Scan | None, threshold: float,
          folder: Path | str) -> tuple[list[Path], list[str]]:
    """The files in the folder, with names of ours, and notes on what they hold or why one is missing."""
    pixels = np.where(found.mask, np.uint8(255), np.uint8(0))
    rows = [{**one.row(), "5th percentile": None, "95th percentile": None} for one in measured]
    files = {"mask-corrected.png": encode(pixels, recipe),
             "measurements-corrected.csv": exports.measurements_csv(rows),
             "mask-corrected.json": _sheet(recipe, measured, threshold)}
    notes: list[str] = []
    if scan is not None and scan.kind != "picture" and scan.size[1:] == found.mask.shape:
        files |= _volume(scan, found.mask, recipe, notes)
    folder = Path(folder)
    return [write_whole(folder / f"{recipe.task}-{name}", data) for name, data in files.items()], notes


def _volume(scan: Scan, mask: np.ndarray, recipe: Recipe, notes: list[str]) -> dict[str, bytes]:
    depth = len(scan.values)
    number = int(recipe.options.get("slice", 0)) or depth // 2 + 1
    volume = np.zeros(scan.size, np.uint8)
    volume[number - 1] = mask
    if depth > 1:
        notes.append(f"The file of the scan holds the corrected slice {number} of {depth}; the others are empty in it.")
    try:
        if scan.kind == "nifti":
            return {"mask-corrected.nii.gz": exports.mask_nifti_for(scan, volume)}
        target = str(recipe.options.get("target", "mask")).capitalize()
        return {"mask-corrected.dcm": exports.dicom_seg(scan, volume, target, _PROGRAM)}
    except InputError as error:
        notes.append(str(error))
        return {}


def _sheet(recipe: Recipe, measured: tuple[Measurement, ...], threshold: float) -> bytes:
    sheet: Mapping[str, object] = {"recipe": json.loads(recipe.write()), "corrected by hand": True,
                                   "threshold": threshold, "measurements": numbers(measured)}
    return (json.dumps(sheet, indent=1, sort_keys=True) + "\n").encode()
