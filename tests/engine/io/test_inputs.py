"""Inputs that are no pictures come in by the command line and by the API in the same words."""

import io
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.__main__ import _inputs
from engine.errors import InputError
from engine.io import inputs
from engine.io.clouds import CloudFile
from engine.io.sketches import Sketch
from engine.recipe import Recipe
from engine.tasks.base import InputSpec, Setting
from ui import api

SPECS = (InputSpec("text", "Words", "text", ""), InputSpec("sketch", "Sketch", "sketch", "", required=False),
         InputSpec("cloud", "Cloud", "cloud", "", required=False))


@pytest.fixture
def task():
    return types.SimpleNamespace(
        name="drawing", title="Drawing", summary="", inputs=SPECS, settings=(Setting("size", "Size", "", 1.0),),
        defaults=Recipe(task="drawing", solver="ddim", steps=3))


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    page = np.full((64, 64, 3), 255, np.uint8)
    page[10:50, 20:23] = 0
    drawing = io.BytesIO()
    Image.fromarray(page).save(drawing, "PNG")
    points = "\n".join(f"{i % 5} {i // 5} {i % 3}" for i in range(30))
    for name, content in (("sketch", drawing.getvalue()), ("cloud", points.encode())):
        (tmp_path / name).write_bytes(content)
    return {"sketch": tmp_path / "sketch", "cloud": tmp_path / "cloud"}


def test_every_kind_has_a_reader(files):
    found = {spec.name: inputs.read(spec, files.get(spec.name, " a  chair "), {})[0] for spec in SPECS}
    assert isinstance(found["sketch"], Sketch) and isinstance(found["cloud"], CloudFile) and found["text"] == "a chair"


def test_words_are_typed_on_the_command_line(task, files):
    found = _inputs(task, ["text=a red chair = <b>good</b>", f"cloud={files['cloud']}"])
    assert found["text"] == "a red chair = <b>good</b>" and len(found["cloud"].points) == 30
    assert set(_inputs(task, ["a chair", str(files["sketch"])])) == {"sketch", "text"}
    with pytest.raises(InputError, match="input text is missing"):
        _inputs(task, [f"sketch={files['sketch']}"])
    with pytest.raises(InputError, match="1001 characters"):
        _inputs(task, ["text=" + "x" * 1001])


def test_words_are_a_text_in_the_api(task, files, monkeypatch):
    found = api.endpoint(task).__annotations__
    assert found["text"] is str and found["sketch"] is dict
    monkeypatch.setattr(api, "get_upload_folder", lambda: str(files["sketch"].parent))
    sent = {"sketch": {"path": str(files["sketch"])}, "text": "a chair", "cloud": None}
    read = api._inputs(task, sent)
    assert set(read) == {"sketch", "text"} and read["text"] == "a chair"
    with pytest.raises(InputError, match=r"Words is missing\. Send it as a text"):
        api._inputs(task, sent | {"text": ""})
    for bad, said in ((7, "no text"), ({"path": str(files["sketch"])}, "no text"), ("x" * 10**5, "100000 characters")):
        with pytest.raises(InputError, match=said):
            api._inputs(task, sent | {"text": bad})
