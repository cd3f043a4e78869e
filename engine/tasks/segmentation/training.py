"""Training of the segmentation models: mask diffusion, and the plain U-Net of equal size that it is compared with."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.segmentation import jitter, metrics, nuclei, procedural, vessels
from engine.tasks.segmentation.data import Case, window
from engine.tasks.segmentation.sampling import MULTIPLE, OVERLAP_PX, TILE_PX, draw
from engine.tiles import tiled
from engine.training import pictures
from engine.training.spec import Batch, Spec

SIDE_PX = 128
COUNT = 8
_SAMPLES, _STEPS = 4, 5
_JUDGED = 25
_SHOWN = 6
_INVENTED = 1500

Change = Callable[[np.ndarray, Generator], np.ndarray]


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The models of this task, by name; the pictures are read when one of them is taken."""
    diffusion = {"segmentation_nuclei": partial(_nuclei, data), "segmentation_vessels": partial(_vessels, data),
                 "segmentation_demo": _demo}
    return diffusion | {f"{name}_unet": lambda make=make: plain(make()) for name, make in diffusion.items()}


def plain(spec: Spec) -> Spec:
    """The same training with a plain U-Net of equal size, cross-entropy and Dice loss, in place of mask diffusion."""
    return replace(spec, name=f"{spec.name}_unet", title=f"{spec.title}: plain U-Net, for comparison",
                   kind="mask_unet", prediction="plain_logits", validate=partial(spec.validate, samples=1, steps=1),
                   sheet=partial(spec.sheet, samples=1, steps=1))


def _nuclei(data: Path) -> Spec:
    train, kept = _split(nuclei.paths(data), nuclei.case)
    return _spec(train, kept, jitter.microscopy, 1.0, name="segmentation_nuclei", title="Nuclei in microscopy",
                 data="2018 Data Science Bowl stage 1, 564 pictures of 128 px", licences="BBBC038 CC0",
                 failures=("Nuclei much larger than 60 px or smaller than 4 px were not in the training pictures.",
                           "Touching nuclei of even brightness may be joined.",
                           "Tissue sections with faint stain are its weakest kind."))


def _vessels(data: Path) -> Spec:
    train, kept = _split(vessels.paths(data), vessels.case)
    return _spec(train, kept, jitter.photograph, 1.0, name="segmentation_vessels", title="Blood vessels of the retina",
                 data="DRIVE, 34 photographs of the retina at half their resolution", licences="DRIVE CC BY 4.0",
                 failures=("Trained on 34 photographs from one camera, 282 px across: scale others to that size.",
                           "Vessels one pixel wide are often missed, haemorrhages may be taken for vessels.",
                           "Nothing outside the field of view means anything."))


def _demo() -> Spec:
    kept = procedural.cases(24, seed=1)
    return _spec(procedural.cases(_INVENTED, seed=0), kept, jitter.photograph, 1.0, name="segmentation_demo",
                 title="Optic cup, brain tumour and thyroid nodule: invented pictures",
                 data="Pictures that the program draws itself, with four invented annotators each", licences="none",
                 failures=("Has never seen a real picture of any of these organs: a demonstration, nothing else.",
                           "Which organ is shown is guessed from the picture."))


def _split(paths: Sequence[Path], read: Callable[[Path], Case]) -> tuple[list[Case], list[Case]]:
    return ([read(p) for p in paths if not pictures.held_out(p)], [read(p) for p in paths if pictures.held_out(p)])


def _spec(train: list[Case], kept: list[Case], change: Change, zoom: float, **names) -> Spec:
    return Spec(
        task="segmentation", kind="medseg", options={}, schedule=("vp_linear", {}), prediction="logits",
        resolution_px=SIDE_PX, learning_rate=8e-4, ema=0.998, batch=partial(batch, train, change, zoom),
        validate=partial(validate, kept[:_JUDGED]), sheet=partial(sheet, kept[::max(1, len(kept) // _SHOWN)][:_SHOWN]),
        **names)


def batch(train: Sequence[Case], change: Change, zoom: float, rng: Generator, progress: float) -> Batch:
    """8 windows of 128 px, with another light and colour each."""
    shown, masks, weights = [], [], []
    for index in rng.integers(len(train), size=COUNT):
        picture, mask, weight = window(train[index], SIDE_PX, zoom, rng)
        shown.append(change(picture, rng))
        masks.append(mask)
        weights.append(weight)
    return Batch(_signed(np.stack(masks)[:, None]), cond=to_tensor(shown),
                 weight=torch.from_numpy(np.stack(weights)[:, None]))


def to_tensor(shown: Sequence[np.ndarray]) -> Tensor:
    """Pictures (H, W, 3) in [0, 1] to (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() * 2 - 1


def padded(picture: np.ndarray) -> Tensor:
    """A picture (H, W, 3) in [0, 1] as (1, 3, h, w) in [-1, 1], its edges repeated up to multiples of `MULTIPLE`."""
    height, width = picture.shape[:2]
    return to_tensor([np.pad(picture, ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)), "edge")])


def _signed(masks: np.ndarray) -> Tensor:
    return torch.from_numpy(masks).float() * 2 - 1


def chances(case: Case, denoise, samples: int, steps: int) -> np.ndarray:
    """Soft masks (samples, H, W) of one case, by tiles where it is large."""
    height, width = case.picture.shape[:2]
    drawn = draw(tiled(denoise, TILE_PX, OVERLAP_PX), padded(case.picture), samples, steps)
    return drawn[:, 0, :height, :width].numpy()


def validate(kept: Sequence[Case], denoise, samples: int = _SAMPLES, steps: int = _STEPS) -> dict[str, float]:
    """Mean over held-out pictures: Dice of the mean and of one sample, Brier score, calibration error, AUROC of doubt.

    With several annotators the first is the truth, and the energy distance is taken to all of them. A figure that no
    picture has (the AUROC where nothing is wrong) is left out.
    """
    rows = []
    for case in kept:
        drawn = chances(case, denoise, samples, steps)
        mean, truth, counted = drawn.mean(0), case.masks[0], case.counted
        row = {f"Dice of the mean of {samples}": metrics.dice(mean > 0.5, truth, counted),
               "Dice of one": metrics.dice(drawn[0] > 0.5, truth, counted),
               "Brier": metrics.brier(mean, truth, counted),
               "calibration error": metrics.calibration_error(mean, truth, counted),
               "AUROC of doubt": metrics.auroc(mean * (1 - mean), (mean > 0.5) != truth, counted)}
        if len(case.masks) > 1:
            row["energy distance"] = metrics.energy_distance(drawn > 0.5, np.stack(case.masks))
        rows.append(row)
    known = {name: [row[name] for row in rows if np.isfinite(row[name])] for name in rows[0]}
    return {name: round(float(np.mean(values)), 4) for name, values in known.items() if values}


def sheet(kept: Sequence[Case], denoise, samples: int = _SAMPLES, steps: int = _STEPS) -> np.ndarray:
    """One row per held-out picture (a window of its middle): picture, up to three samples, their mean, truth."""
    rows = []
    for case in kept:
        middle = tuple(slice((n - SIDE_PX) // 2, (n + SIDE_PX) // 2) for n in case.masks[0].shape)
        cut = Case(case.name, case.picture[middle], tuple(mask[middle] for mask in case.masks), case.weight[middle])
        drawn = chances(cut, denoise, samples, steps)
        masks = [*drawn[:3], drawn.mean(0), cut.masks[0]]
        rows.append(np.concatenate([cut.picture, *(np.repeat(np.float32(m)[..., None], 3, 2) for m in masks)], axis=1))
    return np.uint8(np.concatenate(rows) * 255 + 0.5)
