"""What a finished segmentation gives: masks, chances, doubt, instances, measurements and files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.io.medical import exports
from engine.io.medical.dicomseg import dicom_seg
from engine.io.medical.measure import Measurement, measured
from engine.io.medical.scan import Scan
from engine.io.save import encode
from engine.recipe import Recipe
from engine.tasks.base import Array, Result
from engine.tasks.segmentation import fusion
from engine.tasks.segmentation.targets import Target

INSTANCE_FLOOR = 0.2
"""Instances are told apart among all pixels above this chance, so that any threshold can be applied to them later."""
OUTLINE = (255, 96, 0)


@dataclass
class Drawn:
    """What is known of the slices that were segmented, by slice.

    method: of fusion, "calibrated", "mean" or "staple". counted: whether single instances are told apart. masks: soft
    ones (S, H, W) uint8, 255 for certain. chances: of mask (H, W) float32. instances: (H, W) int32.
    """

    method: str
    counted: bool = False
    masks: dict[int, np.ndarray] = field(default_factory=dict)
    chances: dict[int, np.ndarray] = field(default_factory=dict)
    instances: dict[int, np.ndarray] = field(default_factory=dict)

    def add(self, index: int, samples: np.ndarray, own: np.ndarray) -> None:
        """Keep a slice; samples (S, H, W), and the picture network's own chance (H, W), in [0, 1]."""
        self.masks[index] = np.uint8(samples * 255 + 0.5)
        soft = self.masks[index] / np.float32(255)
        methods = {"calibrated": lambda: fusion.calibrated(soft, own), "mean": lambda: fusion.mean(soft),
                   "staple": lambda: fusion.staple(soft).chance}
        self.chances[index] = np.float32(methods[self.method]())
        if self.counted:
            self.instances[index] = fusion.instances(self.chances[index], INSTANCE_FLOOR)


def result(scan: Scan, picture: np.ndarray, drawn: Drawn, shown: int, target: Target, options: Mapping[str, Any],
           recipe: Recipe) -> Result:
    """Arrays of the shown slice: input (y, x, channel), samples (sample, y, x) uint8 soft masks, probability and doubt
    (standard deviation over the samples) (y, x) float32, mask (y, x) uint8, overlay (y, x, channel), and instances
    (y, x) int32 where they are counted. Where every slice of a volume was segmented, samples, probability and instances
    of all as volume_samples (slice, sample, y, x) and so on. Files: measurements.csv, and mask.nii.gz or mask.dcm of
    the whole scan; masks.zip of PNGs where several slices have no place in space.

    picture: the shown slice (H, W, 3) uint8.
    """
    masks, chance = drawn.masks[shown], drawn.chances[shown]
    mask = chance > options["threshold"]
    arrays = {"input": Array(picture, ("y", "x", "channel")),
              "samples": Array(masks, ("sample", "y", "x"), "chance of 255"),
              "probability": Array(chance, ("y", "x"), "chance"),
              "doubt": Array(np.float32(np.sqrt(fusion.variance(masks / np.float32(255)))), ("y", "x"), "chance"),
              "mask": Array(np.uint8(mask) * 255, ("y", "x")),
              "overlay": Array(outlined(picture, mask), ("y", "x", "channel"))}
    if target.counted:
        arrays["instances"] = Array(drawn.instances[shown], ("y", "x"))
    if len(drawn.masks) > 1:
        arrays |= _volumes(drawn)
    found = _measured(scan, drawn, target, options["threshold"])
    files = {"measurements.csv": exports.measurements_csv(one.row() for one in found)}
    files |= _volume(scan, drawn, target, options["threshold"], recipe)
    notes = scan.notes if len(drawn.masks) == len(scan.values) else (
        *scan.notes, f"Slice {shown + 1} of {len(scan.values)} was segmented; files of the whole scan are empty "
                     "elsewhere.")
    return Result(arrays, _figures(found), recipe, notes, files)


def _volumes(drawn: Drawn) -> dict[str, Array]:
    order = sorted(drawn.masks)
    found = {"volume_samples": Array(np.stack([drawn.masks[index] for index in order]), ("slice", "sample", "y", "x"),
                                     "chance of 255"),
             "volume_probability": Array(np.stack([drawn.chances[index] for index in order]), ("slice", "y", "x"),
                                         "chance")}
    if drawn.counted:
        found["volume_instances"] = Array(np.stack([drawn.instances[index] for index in order]), ("slice", "y", "x"))
    return found


def _measured(scan: Scan, drawn: Drawn, target: Target, threshold: float) -> tuple[Measurement, ...]:
    """Of what was segmented; touching instances are only told apart in a single slice, and what is no instance is not
    counted: its specks would be."""
    masks = np.stack([drawn.masks[index] for index in sorted(drawn.masks)], axis=1)
    apart = target.counted and masks.shape[1] == 1
    labels = np.stack([[fusion.instances(mask / np.float32(255), threshold) for mask in sample]
                       for sample in masks]) if apart else None
    return measured(masks > threshold * 255, labels, scan.spacing_mm, target.counted)


def _figures(found: tuple[Measurement, ...]) -> dict[str, float]:
    """Medians by name and unit, and their intervals as " low" and " high" where there are several samples."""
    figures = {}
    for one in found:
        if one.median is None:
            continue
        name = one.quantity.capitalize() + (f" ({one.unit})" if one.unit else "")
        figures[name] = one.median
        if one.samples > 1:
            figures |= {f"{name} low": one.low, f"{name} high": one.high}
    return figures


def _volume(scan: Scan, drawn: Drawn, target: Target, threshold: float, recipe: Recipe) -> dict[str, bytes]:
    """The mask of the whole scan in its own format, where that is one with a place in space."""
    if scan.kind == "picture" or scan.affine is None:
        pages = {index: encode(np.uint8(chance > threshold) * 255, recipe) for index, chance in drawn.chances.items()}
        return {"masks.zip": exports.zipped_slices(pages)} if len(pages) > 1 else {}
    mask = np.zeros(scan.size, np.uint8)
    for index, chance in drawn.chances.items():
        mask[index] = chance > threshold
    if scan.kind == "nifti":
        return {"mask.nii.gz": exports.mask_nifti_for(scan, mask)}
    return {"mask.dcm": dicom_seg(scan, mask, target.title, "Diffuscope")} if mask.any() else {}


def outlined(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) uint8 with the mask's outline."""
    from skimage.segmentation import find_boundaries

    found = picture.copy()
    found[find_boundaries(mask, mode="inner")] = OUTLINE
    return found
