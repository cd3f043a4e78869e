"""Scans on their way into a run: checked before they replace anything, kept without a patient, shown by slice."""

import io
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.io.medical import Scan
from tests.ui.segmentation.fake_scan_task import FakeScanTask
from ui.controls import Controls
from ui.segmentation import scans
from ui.segmentation.entry import ScanEntry, shown

VOLUME = Scan(np.arange(3 * 8 * 9, dtype=np.float32).reshape(3, 8, 9) - 50, spacing_mm=(2.0, 0.5, 0.25),
              affine=np.diag([0.25, 0.5, 2.0, 1.0]), window=(20.0, 80.0), modality="CT", kind="series",
              notes=("Left is left.",), source={"axes": "RAS", "thickness_mm": 2.0})


@pytest.fixture
def entry():
    task = FakeScanTask()
    with gr.Blocks():
        made = ScanEntry(task)
        made.connect(Controls(task))
    return made


def _sent(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def _offer(*paths, **more):
    return {"offered": [_sent(path) for path in paths], "kind": "picture", **more}


def _pixels(value):
    return np.asarray(Image.open(value["picture"]["path"]))


def test_a_scan_is_kept_whole_and_read_again_when_memory_was_needed(monkeypatch):
    folder = scans.keep(VOLUME)
    assert scans.kept(folder) is VOLUME
    monkeypatch.setattr(scans, "_shelf", scans.Shelf(1, 60))
    again = scans.kept(folder)
    assert again is not VOLUME and (again.values == VOLUME.values).all() and (again.affine == VOLUME.affine).all()
    for name in ("spacing_mm", "window", "modality", "kind", "notes", "consent", "source"):
        assert getattr(again, name) == getattr(VOLUME, name)


def test_a_deleted_scan_says_so():
    folder = scans.keep(VOLUME)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(InputError, match="deleted one hour after"):
        scans.kept(folder)


def test_an_upload_cannot_pass_for_a_kept_scan(tmp_path):
    np.savez(tmp_path / "scan.npz", values=np.zeros((1, 8, 8), np.float32))
    with pytest.raises(InputError, match="no longer here"):
        scans.kept(tmp_path)


def test_a_good_file_replaces_the_picture_and_sets_the_ranges(entry, tmp_path):
    pixels = np.uint16(np.arange(20 * 30).reshape(20, 30) * 10)
    Image.fromarray(pixels).save(tmp_path / "Doe^John.tif")
    updates = entry._check(_offer(tmp_path / "Doe^John.tif"))
    value = updates[entry.picture]
    assert value["size"] == [30, 20] and "Doe" not in str(value) and value["error"] == ""
    ranges = {name: updates[part] for name, part in entry._parts.items()}
    assert ranges["task.slice"]["maximum"] == 1 and ranges["task.centre"]["maximum"] == pixels.max()
    scan = entry.read(value, False)["picture"]
    assert (scan.values[0] == pixels).all()


def test_a_scan_of_one_value_still_has_a_range(entry):
    flat = replace(VOLUME, values=np.full((1, 8, 9), 7, np.float32), window=None)
    updates = entry.filled({"picture": flat})
    for name in ("task.slice", "task.centre", "task.width"):
        change = updates[entry._parts[name]]
        assert change["minimum"] < change["maximum"] and change["minimum"] <= change["value"] <= change["maximum"]


def test_a_bad_file_leaves_what_was_there(entry, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    before = shown(VOLUME)
    updates = entry._check(before | _offer(tmp_path / "bad.png"))
    assert list(updates) == [entry.picture]
    assert updates[entry.picture]["picture"] == before["picture"] and "damaged" in updates[entry.picture]["error"]
    assert entry._check(before)[entry.picture]["picture"] == before["picture"]


def test_the_preview_follows_slice_and_window(entry):
    value = shown(VOLUME)
    assert (value["marks"], value["note"][:17]) == ({"slices": "3", "window": "yes"}, "Slice 2 of 3. Pix")
    last = entry._look(value, 3, 0.0, 0.0)
    assert (_pixels(last) >= _pixels(value)).all() and last["note"].startswith("Slice 3 of 3.")
    narrow = entry._look(value, 2, 30.0, 1.0)
    assert set(np.unique(_pixels(narrow))) <= {0, 127, 128, 255}
    assert entry._look(value, 2, 30.0, 1.0)["picture"] == narrow["picture"]
    assert "Slice 4 is not there" in entry._look(value, 4, 0.0, 0.0)["error"]
    assert entry._opened(value, 0.0) == 80.0


def test_what_is_shown_already_is_not_drawn_again(entry):
    value = shown(VOLUME)
    assert entry._look(value, 0, 12.0, 0.0) == gr.skip()
    assert entry._look(None, 1, 0.0, 0.0) == gr.skip()


def test_names_that_may_stand_in_the_picture_must_be_looked_for(entry):
    doubtful = replace(VOLUME, consent=("The file does not say whether names are burned in.",))
    value = shown(doubtful)
    updates = entry._fresh(doubtful, value)
    assert updates[entry.consent]["visible"] is True and updates[entry.consent]["value"] is False
    for refused in (False, None, 1, "yes"):
        with pytest.raises(InputError, match="burned in") as caught:
            entry.read(value, refused)
        assert caught.value.field == "consent"
    assert entry.read(value, True)["picture"] is doubtful
    assert entry._fresh(VOLUME, value)[entry.consent]["visible"] is False


def test_no_picture_says_what_to_do(entry):
    for nothing in (None, {}, {"picture": "/etc/passwd"}, {"picture": {"path": 3}}):
        with pytest.raises(InputError, match="There is no picture"):
            entry.read(nothing, True)
    with pytest.raises(InputError, match="no longer here"):
        entry.read({"picture": _sent("/etc/passwd")}, True)


def test_previews_say_nothing_but_pixels():
    value = shown(VOLUME)
    with Image.open(io.BytesIO(Path(value["picture"]["path"]).read_bytes())) as picture:
        assert picture.info == {} and picture.size == (9, 8)
