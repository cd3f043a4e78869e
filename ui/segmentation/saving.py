"""Corrected masks as files: PNG always, and the format of the scan where it has a place in space."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.io.files import write_whole
from engine.io.medical import exports
from engine.io.medical.measure import Measurement
from engine.io.medical.measure import measured as measured_masks
from engine.io.medical.scan import slices as named
from engine.io.save import encode
from engine.recipe import Recipe
from ui.segmentation.correction import Corrected
from ui.segmentation.request import Work

_PROGRAM = "Diffuscope, corrected by hand"


def measured(work: Work) -> tuple[Measurement, ...]:
    """Of all corrected slices together: in a single one objects as they are told apart there, in several the connected
    parts, counted only where objects are. In mm where the scan's spacing is known."""
    if len(work.slices) == 1:
        return _measured(work, work.shown)
    first, last = min(work.slices), max(work.slices)
    masks = np.zeros((1, last - first + 1, *work.current.scan.size[1:]), bool)
    for index, found in work.slices.items():
        masks[0, index - first] = found.mask
    counted = work.slices[work.shown].labels is not None
    return measured_masks(masks, None, work.current.scan.spacing_mm, counted)


def numbers(measured: tuple[Measurement, ...]) -> dict[str, float]:
    """The measurements by name and unit."""
    return {one.quantity.capitalize() + (f" ({one.unit})" if one.unit else ""): one.median for one in measured
            if one.median is not None}


def write(work: Work, measured: tuple[Measurement, ...], folder: Path | str) -> tuple[list[Path], list[str]]:
    """The files in the folder, with names of ours, and notes on what they hold or why one is missing.

    mask-corrected.png is the slice in sight; of several slices masks-corrected.zip holds one PNG each.
    """
    recipe = work.current.recipe
    files = {"mask-corrected.png": _png(work.slices[work.shown], recipe),
             "measurements-corrected.csv": exports.measurements_csv(_rows(work, measured)),
             "mask-corrected.json": _sheet(work, measured)}
    notes: list[str] = []
    if len(work.slices) > 1:
        files["masks-corrected.zip"] = exports.zipped_slices(
            {index: _png(found, work.runs[index].recipe) for index, found in work.slices.items()})
    if work.current.scan.kind != "picture":
        files |= _volume(work, notes)
    folder = Path(folder)
    return [write_whole(folder / f"{recipe.task}-{name}", data) for name, data in files.items()], notes


def _measured(work: Work, index: int) -> tuple[Measurement, ...]:
    found = work.slices[index]
    if found.labels is None:
        return measured_masks(found.mask[None, None], None, work.current.scan.spacing_mm, counted=False)
    return measured_masks(found.mask[None, None], found.labels[None, None], work.current.scan.spacing_mm)


def _rows(work: Work, measured: tuple[Measurement, ...]) -> list[dict[str, object]]:
    """One per quantity; of a scan of several slices for all of them and for each."""
    if len(work.current.scan.values) == 1:
        return [_row(one) for one in measured]
    rows = [{"slice": "all", **_row(one)} for one in measured] if len(work.slices) > 1 else []
    return rows + [{"slice": index + 1, **_row(one)} for index in work.slices for one in _measured(work, index)]


def _row(one: Measurement) -> dict[str, object]:
    return {**one.row(), "5th percentile": None, "95th percentile": None}


def _png(found: Corrected, recipe: Recipe) -> bytes:
    return encode(np.where(found.mask, np.uint8(255), np.uint8(0)), recipe)


def _volume(work: Work, notes: list[str]) -> dict[str, bytes]:
    scan = work.current.scan
    depth, volume = len(scan.values), np.zeros(scan.size, np.uint8)
    for index, found in work.slices.items():
        volume[index] = found.mask
    if len(work.slices) < depth:
        held = named(index + 1 for index in work.slices)
        notes.append(f"The file of the scan holds {held[0].lower()}{held[1:]} of {depth}; the others are empty in it.")
    try:
        if scan.kind == "nifti":
            return {"mask-corrected.nii.gz": exports.mask_nifti_for(scan, volume)}
        target = str(work.current.recipe.options.get("target", "mask")).capitalize()
        return {"mask-corrected.dcm": exports.dicom_seg(scan, volume, target, _PROGRAM, by_hand=True)}
    except InputError as error:
        notes.append(str(error))
        return {}


def _sheet(work: Work, measured: tuple[Measurement, ...]) -> bytes:
    runs = {id(run): run for run in work.runs.values()}.values()
    by_run = [{"slices": [index + 1 for index, one in work.runs.items() if one is run],
               "recipe": json.loads(run.recipe.write())} for run in runs]
    sheet: Mapping[str, object] = {
        "recipe": json.loads(work.current.recipe.write()), "corrected by hand": True, "threshold": work.threshold,
        "edited pixels": {str(index + 1): found.edited for index, found in work.slices.items()},
        "runs": by_run, "measurements": numbers(measured)}
    return (json.dumps(sheet, indent=1, sort_keys=True) + "\n").encode()
