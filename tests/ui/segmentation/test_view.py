"""A mask as it is shown, corrected and saved; and a row of pictures."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.io.medical import Scan
from engine.recipe import Recipe
from engine.tasks.base import Result
from tests.ui.segmentation.edits import ERASED, PAINTED, packed
from tests.ui.segmentation.fake_scan_task import DISCS, FakeScanTask, discs
from ui.segmentation import series
from ui.segmentation.view import MaskView, measurements

SCAN = Scan(discs()[None], window=(127.5, 255.0), spacing_mm=(1.0, 0.5, 0.5))
RECIPE = Recipe(task="segmentation", solver="ddim", steps=2, samples=4, options={"target": "nuclei", "threshold": 0.5})


@pytest.fixture
def view():
    with gr.Blocks():
        return MaskView("segmentation")


def _result(scan=SCAN):
    return next(item for item in FakeScanTask().run({"picture": scan}, RECIPE) if isinstance(item, Result))


def _sent(view, result, scan=SCAN, edits=""):
    value = view.show(result, [], {"picture": scan})[view.view]
    return {"run": value["run"], "slice": value["slice"], "threshold": 0.5,
            "slices": [[value["slice"], value["run"], [96, 96], edits]]}


def test_a_mask_that_nobody_touched_is_saved_as_it_is(view):
    result = _result()
    updates = view._save(_sent(view, result))
    files = {Path(path).name: Path(path).read_bytes() for path in updates[view.saved_files]}
    assert sorted(files) == ["segmentation-mask-corrected.json", "segmentation-mask-corrected.png",
                             "segmentation-measurements-corrected.csv"]
    mask = np.asarray(Image.open(io.BytesIO(files["segmentation-mask-corrected.png"])))
    assert (mask == result.arrays["mask"].values).all()
    told = json.loads(files["segmentation-mask-corrected.json"])["measurements"]
    assert told["Count"] == len(DISCS) and told["Area (mm2)"] == pytest.approx(told["Area (px)"] / 4)
    assert "0 pixels differ" in updates[view.saved_numbers]


def test_what_was_painted_and_erased_is_in_the_file(view):
    result = _result()
    edits = np.zeros((96, 96), np.uint8)
    edits[:20], edits[80:84, 80:90] = ERASED, PAINTED
    updates = view._save(_sent(view, result, edits=packed(edits)))
    path = next(path for path in updates[view.saved_files] if path.endswith(".png"))
    mask = np.asarray(Image.open(path)) > 0
    assert mask[80:84, 80:90].all() and not mask[:20].any()
    differ = int((mask != (result.arrays["mask"].values > 0)).sum())
    assert f"{differ} pixels differ" in updates[view.saved_numbers]


def test_a_mask_of_which_nothing_is_left_is_refused(view):
    sent = _sent(view, _result(), edits=packed(np.full((96, 96), ERASED, np.uint8)))
    assert "is empty" in view._save(sent)[view.problem]["text"]


def test_a_volume_gets_its_own_format(view):
    scan = Scan(np.stack([discs()] * 3), kind="nifti", spacing_mm=(2.0, 1.0, 1.0), affine=np.diag([1.0, 1, 2, 1]),
                source={"axes": "RAS"})
    updates = view._save(_sent(view, _result(scan), scan))
    path = next(path for path in updates[view.saved_files] if path.endswith(".nii.gz"))
    import nibabel

    saved = nibabel.Nifti1Image.from_bytes(gzip.decompress(Path(path).read_bytes()))
    volume = np.asarray(saved.dataobj)
    assert volume.any(axis=(0, 1)).tolist() == [False, True, False] and "slice 2 of 3" in updates[view.saved_numbers]


@pytest.mark.parametrize("change", [
    {"run": "x"}, {"run": None}, {"run": []}, {"threshold": "0.5"}, {"threshold": float("nan")}, {"threshold": True},
    {"slice": 1}, {"slice": [0]}, {"slice": None}, {"slices": None}, {"slices": []}, {"slices": [[0]]}])
def test_crafted_corrections_are_answered_in_words(view, change):
    _answered(view, _sent(view, _result()) | change)


@pytest.mark.parametrize(("place", "value"), [
    (0, -1), (0, 1), (0, "0"), (1, "x"), (1, None), (2, [96]), (2, [0, 96]), (2, [96, 10**9]), (2, [9.5, 96]),
    (3, None), (3, "%%%"), (3, "AAAA"), (3, packed(np.zeros((9, 9), np.uint8))),
    (3, packed(np.zeros((96, 97), np.uint8)))])
def test_crafted_slices_are_answered_in_words(view, place, value):
    sent = _sent(view, _result())
    sent["slices"][0][place] = value
    _answered(view, sent)


def _answered(view, sent):
    updates = view._save(sent)
    assert list(updates) == [view.problem] and updates[view.problem]["kind"] == "error"
    assert "Something went wrong" not in updates[view.problem]["text"]


@pytest.mark.parametrize("sent", [None, 3, [], {}, "x"])
def test_no_correction_at_all_is_answered_too(view, sent):
    assert "no longer kept" in view._save(sent)[view.problem]["text"]


def test_measurements_stand_beside_their_intervals():
    text = measurements({"Count": 34.0, "Count low": 31.0, "Count high": 38.0, "Area (mm2)": 1.25})
    assert "<td>34</td><td>31 to 38</td>" in text and "mm²" in text and "<td>1.25</td><td>–</td>" in text
    assert "<th scope='col'>Median of the samples</th>" in text and "all samples together" in text
    assert "samples" not in measurements({"Count": 3.0}) and measurements({}) == ""


def _files(folder, count):
    folder.mkdir()
    for number in range(count):
        Image.fromarray(np.uint8(discs())).save(folder / f"Doe {number}.png")
    return sorted(folder.iterdir())


def test_a_row_reads_whole_numbers_without_decimals():
    cells = series.Row(1, series.DONE, {"Count": 34.0, "Area (px)": 12345.0, "Area (mm2)": 3.14159}, 0.25, 2.0).cells()
    assert cells == [1, 34, 12345, 3.142, 0.25, 2, series.DONE] and isinstance(cells[1], int)


def _rows(paths, folder, consent=False):
    last = {}
    for item in series.results(FakeScanTask(), paths, RECIPE, consent, folder):
        if isinstance(item, series.Row):
            last[item.number] = item
    return [last[number] for number in sorted(last)]


def test_a_picture_that_fails_does_not_end_the_row(tmp_path):
    paths = _files(tmp_path / "in", 3)
    paths[1].write_text("no picture")
    (tmp_path / "out").mkdir()
    rows = _rows(paths, tmp_path / "out")
    assert [row.state == series.DONE for row in rows] == [True, False, True] and "Scans must be" in rows[1].state
    assert rows[0].metrics["Count"] == len(DISCS) and 0 < rows[0].doubt < 0.5 and rows[2].seconds > 0
    with zipfile.ZipFile(series.packed(tmp_path / "out", rows)) as whole:
        names = whole.namelist()
        assert sorted(names) == ["picture-01-mask.png", "picture-01-measurements.csv", "picture-03-mask.png",
                                 "picture-03-measurements.csv", "recipe.json", "table.csv"]
        assert Recipe.read(whole.read("recipe.json"))[0] == RECIPE and "Doe" not in whole.read("table.csv").decode()


def test_a_zip_is_many_pictures_and_too_many_are_refused(tmp_path):
    paths = _files(tmp_path / "in", 2)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as whole:
        for path in paths:
            whole.write(path, path.name)
    (tmp_path / "out").mkdir()
    found = series.sources([str(tmp_path / "all.zip")], tmp_path / "out")
    assert [path.read_bytes() for path in found] == [path.read_bytes() for path in paths]
    assert not any("Doe" in path.name for path in found)
    with pytest.raises(InputError, match="The limit is 50"):
        series.sources([str(paths[0])] * 51, tmp_path)
    with pytest.raises(InputError, match="There are no pictures"):
        series.sources(None, tmp_path)
