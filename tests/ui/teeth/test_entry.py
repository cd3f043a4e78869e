"""The box for dentitions: what is found in files is shown and kept, what is bad is answered in words."""

import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from engine.errors import InputError
from engine.io import inputs
from engine.io.dental import Dentition
from tests.ui.teeth.fake_teeth_task import FakeTeethTask, dentition
from ui.teeth import entry, store

TASK = FakeTeethTask()


@pytest.fixture(scope="module")
def box():
    with gr.Blocks():
        return entry.TeethEntry(TASK)


def _offered(tmp_path, *names):
    files = []
    for name in names:
        (tmp_path / name).write_bytes(b"mesh of " + name.encode())
        files.append({"path": str(tmp_path / name), "meta": {"_type": "gradio.FileData"}})
    return files


def test_a_run_gets_what_was_shown(box):
    given = dentition()
    value = entry.shown(given)
    assert value["teeth"] == sorted(given.meshes)
    assert value["found"].startswith("14 upper and 14 lower teeth. Unit: millimetres.")
    assert "x left, y up, z forward" in value["found"] and value["notes"] == ["Invented teeth."]
    assert box.read(value)["teeth"] is given
    picture = json.loads(Path(value["picture"]["path"]).read_text())
    assert picture["fdi"] == list(given.meshes)


def test_a_dentition_that_left_the_memory_is_read_from_its_folder(box):
    given = Dentition(meshes={fdi: mesh for fdi, mesh in dentition().meshes.items() if fdi < 24}, unit="um",
                      frame=np.diag([1.0, -1, -1, 1]), lower_frame=np.diag([2.0, 1, 1, 1]),
                      notes=("A note.", "Äther."), gum=dentition().meshes[31])
    value = entry.shown(given)
    store._shelf.__init__(1, 0)
    again = box.read(value)["teeth"]
    assert again is not given and again.unit == "um" and again.notes == given.notes
    assert (again.gum[0] == given.gum[0]).all() and (again.lower_frame == given.lower_frame).all()
    assert (again.frame == given.frame).all() and list(again.meshes) == list(given.meshes)
    for fdi, (vertices, faces) in given.meshes.items():
        assert (again.meshes[fdi][0] == vertices).all() and (again.meshes[fdi][1] == faces).all()


def test_teeth_of_an_unknown_unit_are_shown_and_asked_about():
    given = dentition()
    meshes = {fdi: (vertices * 40, faces) for fdi, (vertices, faces) in given.meshes.items()}
    assert "cannot be told" in entry.shown(Dentition(meshes=meshes, unit=""))["found"]


def test_axes_of_the_file_are_stated():
    def told(turn):
        frame = np.eye(4)
        frame[:3, :3] = turn
        return entry.axes(Dentition(meshes={}, unit="mm", frame=frame, notes=()))

    assert told(np.eye(3)) == "Axes of the file: x left, y up, z forward."
    assert told([(-0.001, 0, 0), (0, 0, 0.001), (0, 0.001, 0)]) == "Axes of the file: -x left, z up, y forward."
    slant = np.cos(0.5), np.sin(0.5)
    assert "aslant" in told([(slant[0], -slant[1], 0), (slant[1], slant[0], 0), (0, 0, 1)])


def test_good_files_replace_the_teeth_and_the_kept_ones_are_freed(box, tmp_path, monkeypatch):
    seen = []

    def read(spec, source, others):
        seen.append(source)
        return dentition((14,)), ()

    monkeypatch.setattr(inputs, "read", read)
    before = entry.shown(dentition()) | {"fixed": "11, 21"}
    value = box._check(before | {"offered": _offered(tmp_path, "11.stl", "12.stl")})
    assert 14 not in value["teeth"] and value["fixed"] == "" and value["error"] == ""
    assert seen[0] == [("11.stl", b"mesh of 11.stl"), ("12.stl", b"mesh of 12.stl")]
    box._check(before | {"offered": _offered(tmp_path, "all.zip")})
    assert seen[1] == str(tmp_path / "all.zip")


def test_bad_files_leave_the_teeth(box, tmp_path, monkeypatch):
    def read(spec, source, others):
        raise InputError("There are 3 teeth.", "An arch needs 4 or more.", "Give all teeth.", field="teeth")

    monkeypatch.setattr(inputs, "read", read)
    before = entry.shown(dentition()) | {"fixed": "11"}
    value = box._check(before | {"offered": _offered(tmp_path, "a.stl")})
    assert value["error"] == "There are 3 teeth. An arch needs 4 or more. Give all teeth."
    assert {name: value[name] for name in ("picture", "teeth", "fixed")} == {
        name: before[name] for name in ("picture", "teeth", "fixed")} and value["offered"] is None


def test_a_fault_of_ours_is_told_by_an_id_only(box, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "read", lambda *given: 1 / 0)
    value = box._check(entry.shown(dentition()) | {"offered": _offered(tmp_path, "Doe.stl")})
    assert "Something went wrong in the program (id " in value["error"] and "Doe" not in value["error"]


@pytest.mark.parametrize("payload", [None, 3, {}, {"picture": "x"}, {"picture": {"path": "/etc/passwd"}}])
def test_an_empty_or_crafted_box_is_answered_in_words(box, payload):
    with pytest.raises(InputError, match="There are no teeth"):
        box.read(payload)


def test_a_folder_that_is_gone_is_answered_in_words(box, tmp_path):
    with pytest.raises(InputError, match="no longer here"):
        box.read({"picture": {"path": str(tmp_path / "teeth.json"), "meta": {"_type": "gradio.FileData"}}})
