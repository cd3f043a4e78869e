"""What a mode asks for reaches the run, and nothing that a person gave is lost on the way."""

import base64

import gradio as gr
import numpy as np
import pytest

from engine.errors import InputError
from engine.io.clouds import CloudFile
from engine.io.sketches import Sketch
from engine.tasks.pointcloud.exports import cloud_files
from tests.ui.fake_task import torus
from tests.ui.pointcloud.fake_cloud_task import FakeCloudTask, circle
from ui.controls import Controls
from ui.pointcloud import cloud_box, pad
from ui.pointcloud.entry import MODE, CloudEntry
from ui.pointcloud.tab import PointCloudTab
from ui.points import UNIT, packed

SPEC = FakeCloudTask().inputs[2]
POINTS, _ = torus(500)
GREEN = np.full((500, 3), (10, 200, 30), np.uint8)
BOX = cloud_box.shown(CloudFile(POINTS, GREEN, ()))


@pytest.fixture
def entry():
    task = FakeCloudTask()
    with gr.Blocks():
        with gr.Column():
            made = CloudEntry(task)
        with gr.Column():
            made.connect(Controls(task))
    return made


def _inside(block):
    """All that stands in a block."""
    return [part for child in getattr(block, "children", ()) for part in (child, *_inside(child))]


def _sent(path):
    return {"offered": {"path": str(path), "meta": {"_type": "gradio.FileData"}}}


def test_the_mode_stands_above_what_it_decides(entry):
    mode = entry.components[-1]
    assert mode.elem_id == "pointcloud-mode"
    assert mode in _inside(entry._card.children[0])
    assert entry.components[:-1] == [entry.pad, entry.text.box, entry.appearance.box, entry.cloud]


def test_a_mode_takes_only_what_it_asks_for(entry):
    given = (pad.laid(Sketch(circle())), "a red  chair", "", BOX)
    created = entry.read(*given, "create")
    assert created.keys() == {"sketch", "text"} and created["text"] == "a red chair"
    assert entry.read(*given, "recolour").keys() == entry.read(*given, "parts").keys() == {"cloud"}
    assert entry.read(None, "", "blue", BOX, "recolour").keys() == {"cloud", "appearance"}
    assert entry.read(None, None, None, None, "create") == {}


def test_bad_words_name_their_field(entry):
    with pytest.raises(InputError, match="control character") as caught:
        entry.read(None, "", "blue\0", BOX, "recolour")
    assert caught.value.field == "appearance"


def test_a_cloud_comes_back_from_the_page_as_it_was():
    cloud = cloud_box.cloud_of(BOX, SPEC)
    # Half a unit of the message, and the float32 of the product.
    assert abs(cloud.points - POINTS).max() <= 0.5 / UNIT + 1e-6 and (cloud.colours == GREEN).all()
    assert cloud_box.cloud_of(cloud_box.shown(CloudFile(POINTS, None, ())), SPEC).colours is None
    many = cloud_box.shown(CloudFile(torus(cloud_box.MOST_POINTS + 9)[0], None, ()))
    assert len(cloud_box.cloud_of(many, SPEC).points) == cloud_box.MOST_POINTS


@pytest.mark.parametrize("nothing", [None, "x", {}, {"cloud": None}])
def test_an_empty_box_is_no_cloud(nothing):
    assert cloud_box.cloud_of(nothing, SPEC) is None


@pytest.mark.parametrize("cloud", [
    "x", {"xyz": 3}, {"xyz": "%%"}, {"xyz": ""}, {"xyz": base64.b64encode(b"1234567").decode()},
    {"rgb": "AAAA"}, packed(np.full((3, 3), np.nan)), packed(np.zeros((cloud_box.MOST_POINTS + 1, 3))),
    {"xyz": base64.b64encode(bytes(12)).decode(), "rgb": "AAAA"}])
def test_what_the_box_cannot_have_sent_is_refused(cloud):
    with pytest.raises(InputError, match="could not be read") as caught:
        cloud_box.cloud_of({"cloud": cloud}, SPEC)
    assert caught.value.field == "cloud"


def test_a_good_file_becomes_the_cloud_and_a_bad_one_leaves_it(tmp_path):
    lines = "\n".join("{:.6f} {:.6f} {:.6f}".format(*(30 * point)) for point in POINTS)
    (tmp_path / "Doe.xyz").write_text(lines)
    value = cloud_box.offered(_sent(tmp_path / "Doe.xyz"), SPEC)
    points = cloud_box.cloud_of(value, SPEC).points
    assert len(points) == 500 and "Doe" not in str(value) and value["error"] == ""
    # Whatever the unit of the file, the longest side goes from -1 to 1.
    assert np.ptp(points, axis=0).max() == pytest.approx(2, abs=2 / UNIT)
    (tmp_path / "bad.ply").write_bytes(b"ply\nformat binary_little_endian 1.0\nelement vertex 100000000\n")
    value = cloud_box.offered(BOX | _sent(tmp_path / "bad.ply"), SPEC)
    assert value["cloud"] == BOX["cloud"] and value["error"]


def test_an_example_fills_the_pad_and_keeps_the_cloud(entry):
    ring, words = (example.make() for example in FakeCloudTask().examples)
    filled = entry.filled(ring)
    assert entry.cloud not in filled and filled[entry.text.box] == "a red chair"
    assert (pad.sketch_of(filled[entry.pad], entry._specs["sketch"]).ink == ring["sketch"].ink).all()
    assert entry.filled(words)[entry.pad]["ink"] == ""
    assert entry.filled({"cloud": CloudFile(POINTS, None, ())})[entry.cloud]["cloud"].keys() == {"xyz"}


def test_the_words_for_colours_are_named_after_the_mode(entry):
    card, field = entry._ask("recolour")
    assert "cloud-recolour" in card["elem_classes"] and field["label"] == "New colours"
    assert entry._ask("create")[1]["label"] == "Other words for the colours"


def test_a_finished_cloud_is_taken_over_with_its_words():
    with gr.Blocks():
        tab = PointCloudTab(FakeCloudTask())
    cloud = packed(POINTS, GREEN, np.zeros(500, np.uint8))
    given = [part.value for part in tab.controls.components]
    updates = tab._use(cloud, None, "a red chair", "", *given)
    assert tab.controls.values([updates[part] for part in tab.controls.components])[MODE]["value"] == "recolour"
    assert (cloud_box.cloud_of(updates[tab.entry.cloud], SPEC).colours == GREEN).all()
    assert updates[tab.entry.cloud]["cloud"].keys() == {"xyz", "rgb"}
    assert updates[tab.entry.appearance.box] == "a red chair"
    assert tab._use(cloud, None, "a red chair", "all blue", *given)[tab.entry.appearance.box] == "all blue"


def test_a_cloud_of_which_the_page_has_some_points_is_taken_from_its_file(tmp_path):
    (tmp_path / "shape-1.ply").write_bytes(cloud_files(POINTS, GREEN, np.zeros(500, int))["ply"])
    few = packed(POINTS[:100], GREEN[:100])
    value = cloud_box.finished(few, str(tmp_path / "shape-1.ply"), SPEC)
    assert len(cloud_box.cloud_of(value, SPEC).points) == 500 and value["note"] == ""
    (tmp_path / "shape-1.ply").unlink()
    value = cloud_box.finished(few, str(tmp_path / "shape-1.ply"), SPEC)
    assert len(cloud_box.cloud_of(value, SPEC).points) == 100 and value["note"].startswith("Some points were left out.")


def test_a_reload_starts_with_a_drawing_again():
    with gr.Blocks():
        tab = PointCloudTab(FakeCloudTask())
    restored = tab._restore({"task.mode": "recolour", "task.up": "z", "samples": 2})
    values = tab.controls.values([restored[part] for part in tab.controls.components])
    assert values[MODE]["value"] == "create" and values["samples"]["value"] == 2
