"""A segmentation without weights: bright pixels are the mask, noise makes the samples differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.io.medical import Scan, slice_picture
from engine.recipe import Recipe
from engine.step import Step
from engine.tasks.base import Array, Example, InputSpec, Result, Setting
from tests.ui.fake_task import Fake

SIDE_PX = 96
DISCS = ((24, 24, 12), (24, 64, 9), (68, 40, 14))
"""Rows, columns and radii of the bright discs of `discs`."""


def discs(side_px: int = SIDE_PX) -> np.ndarray:
    """(side, side) float32 of 0..255: soft bright discs on dark ground."""
    y, x = np.mgrid[:side_px, :side_px] * (SIDE_PX / side_px)
    values = sum(220 / (1 + np.exp(np.hypot(y - row_, x - column) - radius)) for row_, column, radius in DISCS)
    return np.float32(20 + values)


@dataclass
class FakeScanTask(Fake):
    """Its steps show the picture turning from noise into its mask."""

    name: str = "segmentation"
    title: str = "Segmentation"
    summary: str = "Marks what is bright."
    warning: str = "Research use, not for diagnosis."

    inputs = (InputSpec("picture", "Picture or scan", "scan", "PNG, JPEG, TIFF, DICOM or NIfTI."),)
    settings = (
        Setting("target", "What to find", "Each has a model of its own.", "nuclei", ("nuclei", "vessels"),
                ("Nuclei", "Vessels")),
        Setting("threshold", "Threshold", "Chance above which a pixel belongs to the mask.", 0.5, minimum=0.05,
                maximum=0.95, step=0.01),
        Setting("slice", "Slice", "Of a volume, counted from 1; 0 is the middle one.", 0, minimum=0, maximum=4096,
                step=1),
        Setting("every_slice", "Every slice", "Of a volume.", False),
        Setting("centre", "Window centre", "Of the values.", 0.0, minimum=-65536.0, maximum=65536.0, step=1.0),
        Setting("width", "Window width", "0 is automatic.", 0.0, minimum=0.0, maximum=131072.0, step=1.0),
    )

    @property
    def examples(self) -> tuple[Example, ...]:
        return (Example("Discs", lambda: {"picture": Scan(discs()[None], window=(127.5, 255.0))}),
                Example("Stack", lambda: {"picture": Scan(np.stack([discs() * share for share in (0.2, 0.6, 1)]),
                                                          spacing_mm=(2.0, 0.5, 0.5))}))

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        import torch

        scan: Scan = inputs["picture"]
        options = {setting.name: setting.default for setting in self.settings} | dict(recipe.options)
        index = int(options["slice"]) - 1 if options["slice"] else len(scan.values) // 2
        window = (options["centre"], options["width"]) if options["width"] else (None, None)
        pictures = [slice_picture(scan, number, *window).pixels for number in range(len(scan.values))]
        picture, every = pictures[index], options["every_slice"] and len(pictures) > 1
        samples = self._samples(picture, recipe)
        for step in range(1, recipe.steps + 1):
            self._call()
            share = step / recipe.steps
            shown = torch.from_numpy(samples).float()[:, None] / 127.5 - 1
            noise = torch.randn(shown.shape, generator=torch.Generator().manual_seed(step))
            yield Step(x=shown * share + noise * (1 - share), x0=(shown * share).expand(-1, 3, -1, -1), index=step,
                       total=recipe.steps, t=1 - share, sigma=1 - share, nfe=step)
        volume = np.stack([self._samples(one, recipe) for one in pictures]) if every else None
        yield self._segmented(scan, picture, samples, volume, options, recipe)

    def _samples(self, picture: np.ndarray, recipe: Recipe) -> np.ndarray:
        rng = np.random.default_rng(recipe.seed)
        shifts = rng.normal(0, 25, recipe.samples)
        level = picture.mean(-1)[None] + shifts[:, None, None]
        return (255 / (1 + np.exp(-(level - 128) / 12))).astype(np.uint8)

    def _segmented(self, scan: Scan, picture: np.ndarray, samples: np.ndarray, volume: np.ndarray | None,
                   options: Mapping[str, Any], recipe: Recipe) -> Result:
        from scipy.ndimage import label

        chance = np.float32(samples.mean(0) / 255)
        mask = chance > options["threshold"]
        arrays = {"input": Array(picture, ("y", "x", "channel")), "samples": Array(samples, ("sample", "y", "x")),
                  "probability": Array(chance, ("y", "x")), "mask": Array(np.uint8(mask) * 255, ("y", "x")),
                  "doubt": Array(np.float32(samples.std(0) / 255), ("y", "x")),
                  "overlay": Array(picture, ("y", "x", "channel"))}
        if options["target"] == "nuclei":
            arrays["instances"] = Array(label(chance > 0.2)[0].astype(np.int32), ("y", "x"))
        if volume is not None:
            chances = np.float32(volume.mean(1) / 255)
            arrays["volume_samples"] = Array(volume, ("slice", "sample", "y", "x"))
            arrays["volume_probability"] = Array(chances, ("slice", "y", "x"))
            if options["target"] == "nuclei":
                labels = np.stack([label(one > 0.2)[0].astype(np.int32) for one in chances])
                arrays["volume_instances"] = Array(labels, ("slice", "y", "x"))
        areas = [(sample > 255 * options["threshold"]).sum() for sample in samples]
        low, middle, high = (float(value) for value in np.percentile(areas, (5, 50, 95)))
        metrics = {"Count": float(label(mask)[1]), "Area (px)": middle, "Area (px) low": low, "Area (px) high": high}
        return Result(arrays, metrics, recipe, scan.notes, {"measurements.csv": b"quantity,median\n"})
