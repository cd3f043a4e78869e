"""The served page without a browser: endpoints for programs, limits, what is private."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from engine import grids, schedules
from engine.recipe import Recipe
from engine.solvers.plans_named import named
from tests.ui.fake_task import SIDE_PX, FakeTask, stripes
from ui import page

SCHEDULE = schedules.vp_discrete("linear")


@pytest.fixture(scope="module")
def demo():
    demo = page.build([FakeTask(name="inpainting", title="Inpainting", paints=True), FakeTask()])
    demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **page.serving())
    yield demo
    demo.close()


@pytest.fixture(scope="module")
def url(demo):
    return demo.local_url


@pytest.fixture(scope="module")
def client(url):
    return Client(url, verbose=False)


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(stripes()).save(tmp_path / "in.png")
    return handle_file(str(tmp_path / "in.png"))


@pytest.fixture
def mask(tmp_path):
    image = Image.new("L", (SIDE_PX, SIDE_PX))
    image.paste(255, (10, 10, 30, 30))
    image.save(tmp_path / "mask.png")
    return handle_file(str(tmp_path / "mask.png"))


def test_only_the_tasks_and_comparisons_are_public(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(named) == ["/compare", "/inpainting", "/restoration"]
    kinds = {entry["parameter_name"]: entry["python_type"]["type"] for entry in named["/compare"]["parameters"]}
    assert list(kinds) == ["axes", "fixed", "samples", "plans"] and kinds["axes"].startswith("dict")


def test_a_message_of_a_run_concerns_no_other_control(demo):
    """At each message the page looks up every component that has ever been told how far an event is."""
    events = [event for event in demo.config["dependencies"] if event["backend_fn"] and event["outputs"]]
    assert any(event["targets"][0][1] == "load" for event in events)
    assert all(event["show_progress_on"] == [] for event in events if event["api_visibility"] == "private")


def test_restoration_by_a_program(client, picture):
    wanted = {"picture": picture, "solver": "ddim", "steps": 5, "seed": 3, "options": {"eta": 0.5}}
    answer = client.predict(**wanted, api_name="/restoration")
    recipe, _ = Recipe.read(answer["recipe"])
    assert (recipe.solver, recipe.steps, recipe.seed, recipe.options["eta"]) == ("ddim", 5, 3, 0.5)
    assert answer["metrics"]["PSNR of the result (dB)"] > 15
    again = client.predict(**wanted, api_name="/restoration")
    assert [Path(file).name for file in again["files"]] == [Path(file).name for file in answer["files"]]
    assert [Path(file).read_bytes() for file in again["files"]] == [Path(file).read_bytes() for file in answer["files"]]


def test_files_of_a_program_are_deleted_with_the_uploads(client, demo, picture):
    before = set(demo.upload_file_set)
    client.predict(picture=picture, steps=2, api_name="/restoration")
    names = {Path(path).name for path in demo.upload_file_set - before}
    assert any(name.endswith(".json") for name in names) and any("samples" in name for name in names)


def test_inpainting_by_a_program_keeps_the_known_pixels(client, picture, mask):
    answer = client.predict(picture=picture, mask=mask, steps=4, api_name="/inpainting")
    path = next(file for file in answer["files"] if "samples" in file)
    with Image.open(path) as result:
        pixels = stripes()
        difference = (pixels != np.asarray(result)).any(-1)
    assert not difference[:10].any() and difference[10:30, 10:30].any()


@pytest.mark.parametrize(("change", "words"), [
    ({"steps": 0}, "steps is 0"), ({"solver": "nothing"}, "no solver named"), ({"guidance": 1e9}, "guidance"),
    ({"seed": -1}, "seed"), ({"options": {"eta": 9}, "solver": "ddim"}, "from 0 to 1"),
    ({"options": {"x": 1}}, "no option"), ({"options": 3}, "no list"), ({"picture": None}, "missing"),
    ({"model": "hub:a/b"}, "no model"),
    ({"damage": "rust"}, "Choose one of"), ({"damage": "<script>"}, "damage")])
def test_bad_requests_are_answered_in_words(client, picture, change, words):
    with pytest.raises(Exception, match=words) as caught:
        client.predict(**({"picture": picture} | change), api_name="/restoration")
    assert "Traceback" not in str(caught.value)


def test_a_comparison_by_a_program(client):
    times = grids.make("log_snr", SCHEDULE, 4)
    plan = json.loads(named("ddim", times, SCHEDULE).write())
    wanted = {"axes": {"solver": ["usf", "ddim"], "steps": [4, 3]}, "fixed": {"seed": 7}, "samples": 16}
    answer = client.predict(**wanted, plans=[plan], api_name="/compare")
    by_plan, missing, direct, _ = answer["cells"]
    assert by_plan["error"] == pytest.approx(direct["error"], rel=1e-9) and by_plan["calls"] == 4
    assert "no searched plan of 3 calls" in missing["reason"] or missing["error"] > 0
    picture, numbers = answer["files"]
    with Image.open(picture) as sheet:
        assert sheet.width > 300
    told = json.loads(Path(numbers).read_text())
    assert told["fixed"] == {"seed": 7} and told["cells"] == answer["cells"] and answer["progress"] == "finished"


@pytest.mark.parametrize(("request_", "words"), [
    ({"axes": {"solver": ["nothing"]}}, "No such value"), ({"axes": {"nothing": [1]}}, "no axis"),
    ({"axes": {"solver": 3}}, "no comparison"), ({"axes": {"solver": [{}]}}, "no comparison"),
    ({"axes": {"steps": [0]}}, "from 1 to 1000"), ({"axes": {"seed": list(range(500))}}, "The limit is 400"),
    ({"axes": {}, "samples": 2.5}, "samples is 2.5"), ({"axes": {}, "fixed": {"problem": "x"}}, "No such value"),
    ({"axes": {}, "plans": [{"version": 9}]}, "version is 9"), ({"axes": {}, "plans": ["x"]}, "no plan")])
def test_bad_comparisons_are_answered_in_words(client, request_, words):
    with pytest.raises(Exception, match=words) as caught:
        client.predict(**request_, api_name="/compare")
    assert "Traceback" not in str(caught.value)


def test_a_foreign_path_is_not_read(url):
    body = {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]}
    event = httpx.post(f"{url}gradio_api/call/restoration", json=body).json()["event_id"]
    answer = httpx.get(f"{url}gradio_api/call/restoration/{event}", timeout=120).text
    assert "event: error" in answer and "root:" not in answer


def test_the_picture_box_takes_no_foreign_path(url):
    events = httpx.get(f"{url}config").json()["dependencies"]
    check = next(event["id"] for event in events if event["targets"] and event["targets"][0][1] == "upload")
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    answer = httpx.post(f"{url}gradio_api/run/predict", timeout=120, json={
        "fn_index": check, "session_hash": "s", "data": [{"offered": file, "kind": "picture"}]})
    assert answer.status_code >= 400 and "root:" not in answer.text and "passwd" not in answer.text


def test_large_requests_are_refused(url):
    big = "x" * (page.REQUEST_BYTES + 1)
    assert httpx.post(f"{url}gradio_api/call/restoration", json={"data": [big]}).status_code == 413
