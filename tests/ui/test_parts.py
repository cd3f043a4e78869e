"""Viewer messages, figures, the picture box's values, the body limit."""

import asyncio
import base64
import io
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from engine import models
from engine.errors import InputError
from engine.runtime.execution import Failed, Stopped, Waiting, Working
from engine.step import Step
from engine.tasks.base import Array
from tests.ui.fake_task import FakeTask, stripes
from ui import figures, settings, viewer
from ui.controls import Controls
from ui.guard import BodyLimit
from ui.picture_input import Picked, check_offer, decode_mask, encode_mask, mask_of, picked, picture_of, shown


def _step(samples=1, sigma=0.5, size=(48, 80)):
    x = torch.linspace(-1, 1, samples * 3 * size[0] * size[1]).reshape(samples, 3, *size)
    return Step(7, 20, 0.3, sigma, x * 2, x, 14)


def _picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))


def test_a_step_becomes_small_frames_of_the_first_four_samples():
    message = viewer.message("a1", Working(_step(samples=6, size=(600, 900)), 7, 20, 14, 3.2, ""))
    assert message["text"] == "step 7/20, 14 calls, 3.2 s left"
    assert (message["phase"], message["fraction"]) == ("working", 0.35)
    assert len(message["x0"]) == len(message["x"]) == 4
    assert max(_picture(message["x0"][0]).size) == 256


def test_the_state_is_shown_at_unit_scale_and_nan_does_no_harm():
    loud = Step(1, 2, 1.0, 80.0, torch.full((1, 3, 16, 16), 40.0), torch.full((1, 3, 16, 16), float("nan")), 1)
    message = viewer.frames(loud)
    # 40 / sqrt(1 + 80^2) is 0.5, which is (0.5 + 1) * 127.5 = 191; JPEG keeps a flat picture within 1 level.
    assert abs(np.asarray(_picture(message["x"][0])).astype(int) - 191).max() <= 1
    assert abs(np.asarray(_picture(message["x0"][0])).astype(int) - 128).max() <= 1


@pytest.mark.parametrize(("event", "phase", "text"), [
    (Waiting(2), "waiting", "queued, place 2"),
    (Working(None, 0, 0, 0, None, "preparing"), "working", "starting"),
    (Working(None, 1, 20, 1, None, ""), "working", "step 1/20, 1 call"),
    (Stopped(_step()), "stopped", "stopped at 7/20"),
    (Stopped(None), "stopped", "stopped before the first step"),
    (Failed("No."), "failed", "Not finished. The message above says why.")])
def test_events_in_words(event, phase, text):
    message = viewer.message("a1", event)
    assert (message["phase"], message["text"], message["run"]) == (phase, text, "a1")


def test_weights_are_told_only_while_they_are_read(monkeypatch):
    start, told = Working(None, 0, 0, 0, None, "preparing"), []
    monkeypatch.setattr(models, "_located", lambda name: (lambda *_: told.append(viewer.words(start)), Path("nowhere")))
    monkeypatch.setattr(models, "_loaded", OrderedDict())
    models.load("slow")
    models.load("slow")
    assert told == ["loading weights"] and viewer.words(start) == "starting"


def test_a_task_without_a_network_counts_steps_alone():
    assert viewer.words(Working(None, 2, 20, 2, 3.2, ""), networked=False) == "step 2/20, 3.2 s left"


def test_the_spread_map_keeps_order_and_its_top():
    values = np.linspace(0, 4, 64).reshape(8, 8)
    colours, top = figures.spread_map(Array(values, ("y", "x"), "levels"))
    assert top == 4 and tuple(colours[0, 0]) == (68, 1, 84) and tuple(colours[-1, -1]) == (253, 231, 37)
    luminance = colours.astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance.ravel()) >= 0).all()
    assert figures.spread_map(Array(np.zeros((4, 4)), ("y", "x")))[1] == 0


def test_tables_escape_what_they_show():
    text = figures.table(["<b>"], [["<script>x</script>"]]) + figures.pairs({"<i>": "<u>"}) + figures.bullets(["<a>"])
    assert all(tag not in text for tag in ("<b>", "<script>", "<i>", "<u>", "<a>"))


def test_a_mask_survives_the_way_to_the_page_and_back():
    mask = np.zeros((50, 70), bool)
    mask[10:20, 30:61] = True
    assert (decode_mask(encode_mask(mask), (50, 70)) == mask).all()
    assert (mask_of(Picked(mask=encode_mask(mask)), (50, 70)) == mask).all()


@pytest.mark.parametrize("text", [
    "data:image/png;base64,AAAA", "data:image/svg+xml;base64,AAAA", "/etc/passwd", "data:image/png;base64,%%%",
    "data:image/png;base64," + "A" * 4_000_000])
def test_a_crafted_mask_is_refused(text):
    with pytest.raises(InputError, match="could not be read"):
        decode_mask(text, (8, 8))


def test_a_bomb_as_mask_is_refused_from_its_header():
    buffer = io.BytesIO()
    Image.new("RGBA", (5000, 2)).save(buffer, "PNG")
    with pytest.raises(InputError, match="could not be read"):
        decode_mask("data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode(), (8, 8))


def test_no_picture_and_no_mask_say_what_to_do():
    with pytest.raises(InputError, match="Choose a picture"):
        picture_of(Picked())
    with pytest.raises(InputError, match="no longer here"):
        picture_of(Picked(picture="/nowhere/picture.png"))
    with pytest.raises(InputError, match="Paint over"):
        mask_of(Picked(), (8, 8))


def _file(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def test_an_offered_file_replaces_the_picture_only_when_it_is_good(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(stripes()).save(good)
    bad.write_text("hello")
    old = shown(stripes(32))
    answer = check_offer(old | {"offered": _file(bad)})
    assert answer["picture"] == old["picture"] and answer["error"]
    answer = check_offer(old | {"offered": _file(good)})
    assert answer["size"] == [64, 64] and answer["error"] == "" and answer["mask"] == ""
    assert (picture_of(picked(answer)).pixels == stripes()).all()
    answer = check_offer(old | {"offered": _file(good), "kind": "mask"})
    assert "64 x 64" in answer["error"] and answer["picture"] == old["picture"]


@pytest.mark.parametrize("payload", [
    None, "x", 3, {"picture": "/etc/passwd"}, {"picture": {"path": "/etc/passwd"}}, {"picture": {"path": 3}, "mask": 4},
    {"offered": {"path": "/etc/passwd", "meta": {"_type": "other"}}}])
def test_what_is_no_uploaded_file_is_not_picked(payload):
    box = picked(payload)
    assert (box.picture, box.mask, box.offered) == (None, "", None)


@pytest.mark.parametrize(("sent", "declared", "path", "status"), [
    (50, True, "/run", 200), (5000, True, "/run", 413), (5000, False, "/run", 413),
    (5000, True, "/gradio_api/upload", 200), (9000, False, "/gradio_api/upload", 413)])
def test_large_bodies_are_refused_declared_or_not(sent, declared, path, status):
    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    chunks = [{"type": "http.request", "body": b"x" * (sent // 2), "more_body": more} for more in (True, False)]
    answers = []

    async def receive():
        return chunks.pop(0)

    async def send(message):
        answers.append(message)

    headers = [(b"content-length", str(sent).encode())] if declared else []
    scope = {"type": "http", "path": path, "headers": headers}
    # In a thread of its own: the browser tests leave an event loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        limited = BodyLimit(app, json_bytes=1000, upload_bytes=8000)(scope, receive, send)
        pool.submit(asyncio.run, limited).result()
    assert answers[0]["status"] == status


def test_an_answer_sends_back_only_what_it_changed():
    task = FakeTask()
    with gr.Blocks():
        controls = Controls(task)
    had = settings.defaults(task) | {"solver": "spndm", "spacing": "karras", "steps": 33}
    updates = controls.updates(settings.adapted(task, had), had)
    changed = {name for name, part in controls.parts.items() if "value" in updates[part]}
    assert changed == {"spacing"}
    assert updates[controls.parts["spacing"]] == gr.update(value="uniform", visible=False,
                                                           choices=[("Uniform in time", "uniform")])
    assert updates[controls.parts["solver.eta"]]["visible"] is False
    everything = controls.updates(settings.defaults(task))
    assert all("value" in everything[controls.parts[name]] for name in ("steps", "solver"))
