"""The segmentation task with the shipped nuclei model: what goes in, what comes out, and what is measured."""

import csv
import gzip
import io
import zipfile
from functools import lru_cache

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import InputError
from engine.io.medical.scan import Scan
from engine.step import Step
from engine.tasks.base import Result
from engine.tasks.segmentation import cells, masking, metrics, outcome
from engine.tasks.segmentation.targets import TARGETS, VESSELS_PX
from engine.tasks.segmentation.task import TASK


def run(scan: Scan, samples=2, steps=3, seed=0, **options) -> tuple[list[Step], Result]:
    recipe = TASK.defaults.replace(samples=samples, steps=steps, seed=seed,
                                   options=dict(TASK.defaults.options) | options)
    with torch.no_grad():
        *found, result = TASK.run({"picture": scan}, recipe)
    return found, result


@lru_cache
def small() -> tuple[np.ndarray, np.ndarray]:
    return cells.fluorescent(96, seed=1, count=9)


@lru_cache
def finished() -> tuple[list[Step], Result]:
    return run(Scan(small()[0][None]), samples=4, steps=6)


def test_invented_nuclei_are_found_and_counted():
    _, result = finished()
    truth = small()[1]
    assert metrics.dice(result.arrays["mask"].values > 0, truth > 0) > 0.8
    assert abs(int(result.arrays["instances"].values.max()) - (len(np.unique(truth)) - 1)) <= 2


def test_steps_are_overlays_and_noisy_masks_of_the_working_size():
    steps, _ = finished()
    assert [step.index for step in steps] == list(range(1, 7)) and steps[-1].total == 6
    assert all(step.x0.shape == (4, 3, 96, 96) and step.x.shape == (4, 1, 96, 96) for step in steps)
    assert all(step.x0.abs().max() <= 1 for step in steps)


def test_arrays_belong_together():
    _, result = finished()
    arrays = {name: array.values for name, array in result.arrays.items()}
    soft = arrays["samples"] / np.float32(255)
    _, mean = run(Scan(small()[0][None]), samples=4, steps=6, fusion="mean")
    assert np.allclose(mean.arrays["probability"].values, soft.mean(0), atol=1e-6)
    # Half of the calibrated chance is the mean of the samples, the other half at most 1/2.
    assert (np.abs(arrays["probability"] - soft.mean(0) / 2 - 0.25) <= 0.25 + 1e-6).all()
    assert np.allclose(arrays["doubt"], soft.std(0), atol=1e-6) and arrays["doubt"].max() <= 0.5
    assert np.array_equal(arrays["mask"] > 0, arrays["probability"] > 0.5)
    assert not (arrays["instances"] > 0)[arrays["probability"] <= outcome.INSTANCE_FLOOR].any()
    unmarked = ~(arrays["overlay"] == outcome.OUTLINE).all(-1)
    assert np.array_equal(arrays["overlay"][unmarked], arrays["input"][unmarked])


def test_measurements_are_in_the_file_and_bracket_their_median():
    _, result = finished()
    rows = list(csv.DictReader(io.StringIO(result.files["measurements.csv"].decode())))
    area = next(row for row in rows if row["quantity"] == "area" and row["unit"] == "px")
    figure = result.metrics["Area (px)"]
    assert float(area["median"]) == pytest.approx(figure, rel=1e-5)
    assert result.metrics["Area (px) low"] <= figure <= result.metrics["Area (px) high"]
    masks = result.arrays["samples"].values > 127.5
    assert figure == np.median(masks.sum((1, 2)))


@pytest.mark.parametrize("target", TARGETS)
def test_only_what_has_instances_is_counted(target):
    picture = small()[0]
    drawn = outcome.Drawn("mean", TARGETS[target].counted)
    drawn.add(0, np.random.default_rng(0).random((3, *picture.shape[:2])), np.zeros(picture.shape[:2]))
    result = outcome.result(Scan(picture[None]), picture, drawn, 0, TARGETS[target], {"threshold": 0.5},
                            TASK.defaults)
    assert ("Count" in result.metrics) == TARGETS[target].counted and result.metrics["Area (px)"] > 0


def test_a_larger_picture_is_segmented_by_tiles_like_its_parts():
    picture = np.concatenate([small()[0], small()[0][:, ::-1]], axis=1)
    _, result = run(Scan(picture[None]), steps=4)
    truth = np.concatenate([small()[1], small()[1][:, ::-1]], axis=1)
    assert result.arrays["mask"].values.shape == truth.shape
    assert metrics.dice(result.arrays["mask"].values > 0, truth > 0) > 0.75


def test_enlarged_for_the_model_the_answer_keeps_the_size_of_the_picture():
    scan = Scan(small()[0][::2, ::2][None])
    steps, result = run(scan, scale=2.0)
    assert steps[-1].x0.shape[-2:] == (96, 96) and result.arrays["mask"].values.shape == (48, 48)


def test_every_slice_has_noise_of_its_own_and_its_steps_are_counted_on():
    scan = Scan(np.stack([small()[0].mean(-1, dtype=np.float32)] * 2), spacing_mm=(2.0, 0.5, 0.5))
    steps, result = run(scan, every_slice=True, samples=1)
    assert [step.index for step in steps] == [1, 2, 3, 4, 5, 6] and {step.total for step in steps} == {6}
    assert not torch.equal(steps[0].x, steps[3].x)
    arrays = {name: array.values for name, array in result.arrays.items()}
    for name in ("samples", "probability", "instances"):
        assert arrays[f"volume_{name}"].shape[0] == 2 and np.array_equal(arrays[f"volume_{name}"][1], arrays[name])
    with zipfile.ZipFile(io.BytesIO(result.files["masks.zip"])) as archive:
        assert archive.namelist() == ["slice-0001.png", "slice-0002.png"]
        page = np.asarray(Image.open(io.BytesIO(archive.read("slice-0002.png"))))
    assert np.array_equal(page, arrays["mask"])
    assert not np.array_equal(arrays["volume_samples"][0], arrays["volume_samples"][1])
    assert result.metrics["Volume (mm3)"] == pytest.approx(result.metrics["Volume (voxels)"] * 2 * 0.5 * 0.5)


@pytest.mark.parametrize("number, index", [(0, 1), (1, 0), (3, 2)])
def test_the_chosen_slice_is_shown(number, index):
    values = np.stack([np.full((32, 32), level, np.float32) for level in (0, 1, 2)])
    _, result = run(Scan(values), samples=1, steps=1, slice=number, centre=1.0, width=4.0)
    assert (result.arrays["input"].values == np.rint((index + 1) / 4 * 255)).all()
    assert any("empty elsewhere" in note for note in result.notes)


def test_a_slice_beyond_the_last_is_refused():
    with pytest.raises(InputError, match="has 1 slice") as caught:
        run(Scan(small()[0][None]), slice=2)
    assert caught.value.field == "slice"


def test_a_volume_with_a_place_gives_its_mask_back_on_its_grid():
    import nibabel

    affine = np.diag([0.5, 0.5, 3.0, 1.0])
    scan = Scan(small()[0].mean(-1, dtype=np.float32)[None], (3.0, 0.5, 0.5), affine, kind="nifti")
    _, result = run(scan, steps=2)
    volume = nibabel.Nifti1Image.from_bytes(gzip.decompress(result.files["mask.nii.gz"]))
    assert np.allclose(volume.affine, affine)
    assert np.array_equal(np.asarray(volume.dataobj)[..., 0].T > 0, result.arrays["mask"].values > 0)


def test_staple_and_the_mean_agree_where_all_samples_do():
    _, result = finished()
    masks = result.arrays["samples"].values
    drawn = outcome.Drawn("staple")
    drawn.add(0, masks / 255, np.zeros(masks.shape[1:]))
    staple = drawn.chances[0]
    decided = (masks > 127).all(0) | (masks <= 127).all(0)
    assert np.array_equal((staple > 0.5)[decided], (masks[0] > 127)[decided])


def test_a_retina_is_brought_to_the_width_that_the_model_knows():
    y, x = np.mgrid[:400, :600]
    disc = ((y - 200) ** 2 + (x - 300) ** 2 < 141**2)[..., None] * np.array([200, 90, 40])
    assert TARGETS["vessels"].scale(np.uint8(disc)) == pytest.approx(1.0, rel=0.02)
    assert TARGETS["vessels"].scale(np.zeros((100, 564, 3), np.uint8)) == pytest.approx(VESSELS_PX / 564)


def test_outside_the_view_there_is_no_mask():
    of = masking.Prepared(torch.zeros(1, 3, 16, 16), torch.zeros(1, 7, 16, 16), np.eye(16, dtype=bool), (16, 16))
    assert np.array_equal(masking.chances(of, torch.ones(2, 1, 16, 16)) > 0, np.stack([np.eye(16, dtype=bool)] * 2))


@pytest.mark.parametrize("level", [0, 200])
def test_an_empty_picture_has_no_nuclei(level):
    _, result = run(Scan(np.full((1, 64, 64, 3), level, np.uint8)), samples=2)
    assert result.metrics.get("Count", 0) == 0
