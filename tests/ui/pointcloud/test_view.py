"""What a finished run of clouds shows beside the clouds themselves."""

import base64
import io
import re
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engine.recipe import Recipe
from engine.tasks.base import Array, Result
from tests.ui.fake_task import torus
from ui import points_view
from ui.pointcloud.view import CloudView

RECIPE = Recipe(task="pointcloud", solver="ddim", steps=6)


@pytest.fixture
def view():
    with gr.Blocks():
        return CloudView("pointcloud")


def _result(samples=2, **arrays):
    points = np.stack([torus(300)[0]] * samples)
    return Result({"points": Array(points, ("sample", "point", "axis"))} | arrays, {}, RECIPE)


def test_the_sketch_that_the_model_saw_stands_beside_as_dark_ink_on_light(view):
    sketch = np.zeros((64, 64), np.uint8)
    sketch[20, 30] = 255
    title = view.heading(_result(sketch=Array(sketch, ("y", "x"))))
    data = re.search(r"base64,([^']+)", title)[1]
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) == 255 - sketch).all()
    assert "64 x 64" in title and "2 samples of 300 points" in title
    assert "img" not in view.heading(_result())


def test_samples_stand_together_and_can_be_used(view):
    shown = view.show(_result(), [], {})
    assert set(shown) == set(view.components)
    assert shown[view.cloud]["together"] is True and shown[view.cloud]["use"] == "Use as my cloud"


def test_a_run_for_parts_shows_parts_first(view):
    assert "paint" not in view.show(_result(), [], {})[view.cloud]
    result = replace(_result(), recipe=RECIPE.model_copy(update={"options": {"mode": "parts"}}))
    assert view.show(result, [], {})[view.cloud]["paint"] == "part"


def test_every_model_can_be_chosen_with_surfaces_as_they_come(view):
    files = [f"/x/pointcloud-1a2b-{name}" for name in ("surface-1.glb", "surface-1.ply", "shape-1.glb", "shape-2.glb")]
    shown = view.show(_result(), files, {})
    assert shown[view.which]["choices"] == [("Surface 1", 0), ("Shape 1", 1), ("Shape 2", 2)]
    assert points_view.model(files, 2) == files[3] and points_view.model(files) == files[0]
    assert points_view.model(files, 9) is None and points_view.model(None) is None
    assert shown[view.which]["visible"] and not view.show(_result(), files[:1], {})[view.which]["visible"]


def test_the_button_of_a_sample_hands_over_that_sample(view):
    with gr.Blocks() as demo:
        made = CloudView("pointcloud")
        heard = []
        words = gr.Textbox()
        made.used(lambda *given: heard.append(given), [words], [words])
    handler = next(function for function in demo.fns.values() if made.cloud._id in [i for i, _ in function.targets])
    value, files = made.show(_result(), [], {})[made.cloud], ["/x/a-surface-2.ply", "/x/a-shape-2.ply"]
    pressed = gr.EventData(None, {"index": 1})
    handler.fn(pressed, value, files, "blue")
    handler.fn(pressed, value | {"thinned": True}, files, "blue")
    sample = value["samples"][1]
    assert heard == [(sample, None, "blue"), (sample, files[1], "blue")]
