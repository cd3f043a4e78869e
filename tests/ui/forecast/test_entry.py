"""A file of maps on its way into a run: checked before it replaces anything, with the dates to start from."""

from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from engine.errors import InputError
from engine.io import inputs
from engine.io.fields import Field
from tests.ui.forecast.fake_forecast_task import FakeForecastTask
from ui.controls import Controls
from ui.forecast import entry as entry_module
from ui.forecast.entry import FieldEntry, about, runs

DAYS = np.arange("2008-01-01", "2008-01-11", dtype="datetime64[D]").astype("datetime64[s]")
FIELD = Field(np.zeros((10, 17, 33), np.float32), DAYS, np.linspace(20, 60, 17), np.linspace(-80, 0, 33), "hPa", "slp",
              ("Converted from Pa.",))


@pytest.fixture
def box(monkeypatch):
    def read(spec, path, others):
        if Path(path).name == "bad.nc":
            raise InputError("The file is damaged.", fix="Choose another.", field=spec.name)
        return FIELD, FIELD.notes

    monkeypatch.setattr(inputs, "read", read)
    monkeypatch.setattr(entry_module, "_shelf", entry_module.Shelf(10**9, 60))
    task = FakeForecastTask()
    with gr.Blocks():
        made = FieldEntry(task)
        made.connect(Controls(task))
    return made


def _sent(path):
    path.write_bytes(b"CDF")
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def test_a_good_file_says_what_is_in_it(box, tmp_path):
    value, start = box._check({"offered": _sent(tmp_path / "Doe.nc")})
    assert dict(map(tuple, value["about"])) == {
        "Variable": "slp in hPa", "Grid": "17 x 33 points, 2.5°", "Region": "20° N to 60° N, 80° W to 0° E",
        "Time": "2008-01-01 to 2008-01-10 UTC", "Step": "24 h, 10 maps"}
    assert value["note"] == "Converted from Pa." and start == "" and value["field"]["orig_name"] == "field"
    assert box.read(value) == {"field": FIELD}


def test_without_a_file_nothing_is_given(box):
    for payload in (None, {}, entry_module.empty(), 3, {"field": {"path": "/etc/passwd"}}, {"field": "x"}):
        assert box.read(payload) == {}


def test_a_bad_file_leaves_what_was_there(box, tmp_path):
    before, _ = box._check({"offered": _sent(tmp_path / "good.nc")})
    value, _ = box._check({**before, "offered": _sent(tmp_path / "bad.nc")})
    assert value["field"] == before["field"] and value["about"] == before["about"]
    assert value["error"].startswith("The file is damaged.") and value["offered"] is None


def test_a_deleted_file_says_so(box, tmp_path):
    value, _ = box._check({"offered": _sent(tmp_path / "gone.nc")})
    (tmp_path / "gone.nc").unlink()
    assert box.read(value) == {"field": FIELD}, "it is still in memory"
    entry_module._shelf._entries.clear()
    with pytest.raises(InputError, match="deleted one hour after"):
        box.read(value)


def test_an_example_takes_the_file_away(box):
    assert box.filled({}) == {box.file: entry_module.empty()}


def test_starts_need_the_state_before():
    assert runs(DAYS) == [["2008-01-02T00:00", 9, 24.0]]
    assert runs(DAYS[[0, 1, 2, 5, 6, 9]]) == [["2008-01-02T00:00", 2, 24.0], ["2008-01-07T00:00", 1, 24.0]]
    assert runs(DAYS[:1]) == [] and runs(DAYS[:0]) == []


def test_starts_are_those_that_the_model_takes():
    hours = np.timedelta64(6, "h")
    fine = DAYS[0] + np.arange(8) * hours
    assert runs(fine, 24) == [["2008-01-02T00:00", 4, 6.0]]
    # A day is missing: what comes a day later has no state before it.
    assert runs(np.concatenate((fine, DAYS[4] + np.arange(6) * hours)), 24) == [
        ["2008-01-02T00:00", 4, 6.0], ["2008-01-06T00:00", 2, 6.0]]
    assert runs(DAYS, 6) == []
    field = Field(np.zeros((8, 2, 2), np.float32), fine, np.arange(2.0), np.arange(2.0), "hPa", "slp")
    sent = entry_module.shown(field, "x.nc")
    assert sent["runs"] == [["2008-01-02T00:00", 4, 6.0]]


def test_one_map_and_other_quantities_are_told():
    single = Field(FIELD.values[:1], DAYS[:1], FIELD.lat, FIELD.lon, "hPa", "slp", others=(FIELD,))
    found = dict(map(tuple, about(single)))
    assert found["Step"] == "one map" and found["Variable"] == "slp, slp in hPa"
