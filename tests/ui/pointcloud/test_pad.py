"""Drawings on their way: out of the pad into a run, and sketches onto the pad."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.errors import InputError
from engine.io.sketches import Sketch
from engine.tasks.base import InputSpec
from tests.ui.pointcloud.fake_cloud_task import circle
from ui.pointcloud import pad

SPEC = InputSpec("sketch", "Sketch", "sketch", "A line drawing.", required=False)
PREFIX = "data:image/png;base64,"


def _uri(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return PREFIX + base64.b64encode(buffer.getvalue()).decode()


def _drawing():
    """What the pad makes of one stroke: black on nothing."""
    sheet = Image.new("RGBA", (640, 480))
    ImageDraw.Draw(sheet).line([(100, 80), (500, 400)], fill=(0, 0, 0, 255), width=6)
    return sheet


def test_a_stroke_becomes_ink_where_it_was_drawn():
    ink = pad.sketch_of({"ink": _uri(_drawing())}, SPEC).ink
    assert ink.shape == (480, 640) and ink[240, 300] == 1 and ink[240, 100] == 0
    rows, columns = np.nonzero(ink > 0.5)
    assert (rows.min(), columns.min()) == pytest.approx((80, 100), abs=4)
    assert (rows.max(), columns.max()) == pytest.approx((400, 500), abs=4)


def test_a_sketch_laid_on_the_pad_can_be_read_back():
    value = pad.laid(Sketch(circle(), ("A note.",)))
    assert value["note"] == "A note."
    # The ring is drawn without grey values, so nothing is lost on the way.
    assert (pad.sketch_of(value, SPEC).ink == circle()).all()


def test_every_sheet_is_new_to_the_page():
    first, second = pad.laid(None), pad.laid(None)
    assert first["ink"] == "" and first["fresh"] != second["fresh"]


@pytest.mark.parametrize("nothing", [None, "x", 3, {}, {"ink": ""}, {"ink": None}])
def test_an_empty_pad_is_no_sketch(nothing):
    assert pad.sketch_of(nothing, SPEC) is None


@pytest.mark.parametrize("ink", [7, "javascript:x", PREFIX + "%%%", PREFIX + "AAAA" * 600_000, ["x"]])
def test_what_the_pad_cannot_have_sent_is_refused(ink):
    with pytest.raises(InputError, match="could not be read") as caught:
        pad.sketch_of({"ink": ink}, SPEC)
    assert caught.value.field == "sketch"


def test_a_dot_is_refused_by_the_reader():
    sheet = Image.new("RGBA", (640, 480))
    ImageDraw.Draw(sheet).ellipse([300, 200, 306, 206], fill=(0, 0, 0, 255))
    with pytest.raises(InputError, match="one dot") as caught:
        pad.sketch_of({"ink": _uri(sheet)}, SPEC)
    assert caught.value.field == "sketch"


def _sent(path):
    return {"offered": {"path": str(path), "meta": {"_type": "gradio.FileData"}}}


def test_a_good_file_is_laid_on_the_pad_and_a_bad_one_leaves_the_drawing(tmp_path):
    paper = Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(paper).rectangle([60, 40, 240, 160], outline="black", width=4)
    paper.save(tmp_path / "Doe.jpg", quality=95)
    value = pad.offered({"ink": "before"} | _sent(tmp_path / "Doe.jpg"), SPEC)
    assert value["fresh"] and value["error"] == "" and value["offered"] is None and "Doe" not in str(value)
    assert pad.sketch_of(value, SPEC).ink[100, 60] == 1
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    value = pad.offered({"ink": "before"} | _sent(tmp_path / "bad.png"), SPEC)
    assert value["ink"] == "before" and "fresh" not in value and "damaged" in value["error"]
    assert pad.offered({"ink": "before", "offered": "/etc/passwd"}, SPEC)["ink"] == "before"
