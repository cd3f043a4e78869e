"""A volume corrected slice by slice: every correction of every run is in the files and in the measurements."""

import base64
import csv
import gzip
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engine.io.medical import Scan
from engine.recipe import Recipe
from engine.tasks.base import Result
from tests.ui.segmentation.edits import ERASED, PAINTED, packed
from tests.ui.segmentation.fake_scan_task import SIDE_PX, FakeScanTask, discs
from ui.segmentation import kept
from ui.segmentation.view import MaskView
from ui.shelf import Shelf

AFFINE = np.array([[-0.5, 0, 0, 3], [0, -0.5, 0, 4], [0, 0, 2, 5], [0, 0, 0, 1.0]])
VALUES = np.stack([discs() * share for share in (0.7, 1, 0.9, 0.8)])
VOLUME = Scan(VALUES, kind="nifti", spacing_mm=(2.0, 0.5, 0.5), affine=AFFINE, source={"axes": "LPS"})
SERIES = replace(VOLUME, kind="series", modality="CT", source={"thickness_mm": 2.0})
RECIPE = Recipe(task="segmentation", solver="ddim", steps=1, samples=2, options={"target": "nuclei", "threshold": 0.5})


@pytest.fixture
def view():
    with gr.Blocks():
        return MaskView("segmentation")


def _run(view, scan, seed=0, **options):
    """The view's value of a run, and its result."""
    recipe = RECIPE.replace(seed=seed, options={**RECIPE.options, **options})
    result = next(item for item in FakeScanTask().run({"picture": scan}, recipe) if isinstance(item, Result))
    return view.show(result, [], {"picture": scan})[view.view], result


def _edits(row, column):
    edits = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    edits[row:row + 6, column:column + 5], edits[:, :10] = PAINTED, ERASED
    return edits


def _expected(chance, edits):
    return ((chance > 0.5) & (edits != ERASED)) | (edits == PAINTED)


def _saved(view, shown, entries):
    """The files by the end of their names, and what is told beside them."""
    slices = [[index, run, [SIDE_PX, SIDE_PX], "" if edits is None else packed(edits)] for index, run, edits in entries]
    updates = view._save({"run": dict((i, r) for i, r, _ in entries)[shown], "slice": shown, "threshold": 0.5,
                          "slices": slices})
    assert updates[view.problem] is None, updates[view.problem]
    return ({Path(path).name.removeprefix("segmentation-"): Path(path).read_bytes() for path in
             updates[view.saved_files]}, updates[view.saved_numbers])


def _pixels(value):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(value["picture"].partition(",")[2]))))


def _nifti(data):
    import nibabel

    return nibabel.Nifti1Image.from_bytes(gzip.decompress(data))


def test_all_slices_of_a_run_can_be_looked_at(view):
    window = {"centre": 90.0, "width": 120.0}
    value, _ = _run(view, VOLUME, every_slice=True, **window)
    assert value["slices"] == [0, 1, 2, 3] and value["slice"] == 2 and value["depth"] == 4
    other = view._look({"run": value["run"], "slice": 0})[view.view]
    assert other["slice"] == 0 and other["run"] == value["run"] and other["work"] == value["work"]
    alone, _ = _run(view, VOLUME, slice=1, **window)
    assert np.array_equal(_pixels(other), _pixels(alone)) and not np.array_equal(_pixels(other), _pixels(value))
    for name in ("probability", "labels", "doubt", "samples", "pixel_mm", "size", "least", "noun"):
        assert other[name] == alone[name]
    assert view._look({"run": value["run"], "slice": 2})[view.view] == value


@pytest.mark.parametrize("sent", [None, {}, {"run": "x", "slice": 0}, {"run": 3}])
def test_a_slice_of_nothing_is_answered_in_words(view, sent):
    assert "no longer kept" in view._look(sent)[view.problem]["text"]


@pytest.mark.parametrize("index", [4, -1, "1", None, 1.0, True])
def test_a_slice_that_is_not_there_is_answered_in_words(view, index):
    value, _ = _run(view, VOLUME, slice=1)
    assert view._look({"run": value["run"], "slice": index})[view.problem]["kind"] == "error"


def test_corrections_of_several_slices_are_all_in_the_volume_and_the_table(view):
    value, result = _run(view, VOLUME, every_slice=True)
    chances = result.arrays["volume_probability"].values
    edits = {1: _edits(80, 80), 3: _edits(50, 70)}
    files, told = _saved(view, 3, [(index, value["run"], edits.get(index)) for index in range(4)])
    image = _nifti(files["mask-corrected.nii.gz"])
    assert np.allclose(image.affine, AFFINE)
    found = np.swapaxes(np.asarray(image.dataobj), 0, 2) > 0
    nothing = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    for index in range(4):
        assert np.array_equal(found[index], _expected(chances[index], edits.get(index, nothing)))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(files["mask-corrected.png"]))) > 0, found[3])
    with zipfile.ZipFile(io.BytesIO(files["masks-corrected.zip"])) as archive:
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) > 0 for name in sorted(archive.namelist())]
    assert np.array_equal(pictures, found)
    rows = list(csv.DictReader(io.StringIO(files["measurements-corrected.csv"].decode())))
    areas = {row["slice"]: float(row["median"]) for row in rows if (row["quantity"], row["unit"]) == ("area", "px")}
    assert areas == {"all": found.sum((1, 2)).max()} | {str(i + 1): found[i].sum() for i in range(4)}
    volume = next(float(row["median"]) for row in rows if row["unit"] == "mm3" and row["slice"] == "all")
    assert volume == pytest.approx(found.sum() * 2 * 0.5 * 0.5, rel=1e-5)
    assert "Slices 2 and 4" in told and "others are empty" not in told


def test_corrections_from_run_to_run_come_together_and_the_rest_is_empty(view):
    (first, one), (second, other) = _run(view, VOLUME, slice=1), _run(view, VOLUME, seed=5, slice=4)
    assert first["run"] != second["run"] and first["work"] == second["work"]
    edits = {0: _edits(70, 60), 3: _edits(20, 80)}
    files, told = _saved(view, 0, [(0, first["run"], edits[0]), (3, second["run"], edits[3])])
    found = np.swapaxes(np.asarray(_nifti(files["mask-corrected.nii.gz"]).dataobj), 0, 2) > 0
    assert np.array_equal(found[0], _expected(one.arrays["probability"].values, edits[0]))
    assert np.array_equal(found[3], _expected(other.arrays["probability"].values, edits[3]))
    assert not found[1:3].any() and "holds slices 1 and 4 of 4; the others are empty" in told
    sheet = json.loads(files["mask-corrected.json"])
    assert [(run["slices"], run["recipe"]["seed"]) for run in sheet["runs"]] == [([1], 0), ([4], 5)]
    assert set(sheet["edited pixels"]) == {"1", "4"}


def test_a_series_gets_a_dicom_segmentation_with_every_correction(view):
    from highdicom.seg import segread

    value, result = _run(view, SERIES, every_slice=True)
    edits = {0: _edits(80, 80), 2: np.full((SIDE_PX, SIDE_PX), ERASED, np.uint8)}
    files, _ = _saved(view, 0, [(index, value["run"], edits.get(index)) for index in range(4)])
    found = segread(io.BytesIO(files["mask-corrected.dcm"]))
    assert found.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert found.NumberOfFrames == 3  # the third slice was erased
    expected = _expected(result.arrays["volume_probability"].values[0], edits[0])
    assert any(np.array_equal(frame > 0, expected) for frame in found.pixel_array)


def test_slices_of_several_scans_do_not_mix(view):
    first, _ = _run(view, VOLUME, slice=1)
    second, _ = _run(view, replace(VOLUME, values=VALUES[::-1].copy()), slice=2)
    assert first["work"] != second["work"]
    entries = [[0, first["run"], [SIDE_PX, SIDE_PX], ""], [1, second["run"], [SIDE_PX, SIDE_PX], ""]]
    sent = {"run": first["run"], "slice": 0, "threshold": 0.5, "slices": entries}
    assert "several scans" in view._save(sent)[view.problem]["text"]


def test_other_targets_and_scans_are_other_work_and_equal_scans_the_same(view):
    first, _ = _run(view, VOLUME, slice=1)
    assert _run(view, VOLUME, slice=1, target="vessels")[0]["work"] != first["work"]
    assert _run(view, replace(VOLUME, values=VALUES.copy()), slice=2)[0]["work"] == first["work"]


def test_many_results_of_one_scan_keep_it_once(view, monkeypatch):
    monkeypatch.setattr(kept, "_scans", Shelf(VALUES.nbytes, 60))
    keys = [_run(view, VOLUME, slice=number)[0]["run"] for number in (1, 2, 3, 4)]
    assert [kept.find(key).shown for key in keys] == [0, 1, 2, 3]


def test_corrections_of_a_thinned_picture_reach_the_pixels_that_they_stand_for(view):
    value, result = _run(view, VOLUME, slice=2)
    small = np.zeros((SIDE_PX // 2, SIDE_PX // 2), np.uint8)
    small[40:42, 30:33] = PAINTED
    updates = view._save({"run": value["run"], "slice": 1, "threshold": 0.5,
                          "slices": [[1, value["run"], [SIDE_PX // 2, SIDE_PX // 2], packed(small)]]})
    mask = np.asarray(Image.open(next(p for p in updates[view.saved_files] if p.endswith(".png")))) > 0
    assert np.array_equal(mask, _expected(result.arrays["probability"].values, small.repeat(2, 0).repeat(2, 1)))
