"""Point clouds: what travels to the page, which points are left out, and what a finished run shows."""

import base64
import json
import time

import gradio as gr
import numpy as np
import pytest
import torch

from engine.recipe import Recipe
from engine.step import Step
from engine.tasks.base import Array, Result
from tests.ui.fake_task import FakePointsTask, torus
from ui import points, points_view, viewer
from ui.points_view import PointsView

RECIPE = Recipe(task="points", solver="ddim", steps=20)


def _step(samples=4, count=2048, sigma=0.5, coloured=True):
    places, colours = torus(count)
    clean = torch.from_numpy(np.concatenate([places, colours], -1) if coloured else places)[None]
    clean = clean * torch.linspace(0.5, 1, samples)[:, None, None]
    return Step(3, 9, 0.3, sigma, clean + sigma, clean, 3)


def _result(**arrays):
    places, _ = torus(500)
    held = {"points": Array(np.stack([places, -places]), ("sample", "point", "axis"))} | arrays
    return Result(held, {"Chamfer": 0.5}, RECIPE, ("A note.",))


def test_points_and_colours_come_back_at_the_precision_of_the_message():
    places, colours = torus(300)
    parts = np.arange(300) % 5
    back = points.unpacked(points.packed(places, points.to_bytes(colours), parts))
    # Rounding is off by half a unit at most; the float32 of the product adds less than 1e-6.
    assert abs(back[0] - places).max() <= 0.5 / points.UNIT + 1e-6
    assert (back[1] == points.to_bytes(colours)).all() and (back[2] == parts).all()
    assert points.to_bytes(np.array([-1, 0.0, 1, 7, np.nan])).tolist() == [0, 128, 255, 255, 128]


def test_far_points_stay_at_the_rim_and_those_that_are_no_numbers_are_missing():
    wild = np.array([[9, -9, 0], [np.nan, 0, 0], [0, np.inf, 0], [0, 0, 0.5]], np.float32)
    back, _, _ = points.unpacked(points.packed(wild))
    assert back[0].tolist() == [points.REACH, -points.REACH, 0] and back[3].tolist() == [0, 0, 0.5]
    assert np.isnan(back[1:3]).all()


@pytest.mark.parametrize("coloured", [True, False])
@pytest.mark.parametrize(("samples", "count"), [(1, 2048), (4, 2048), (6, 8192), (2, 100_000)])
def test_a_live_message_is_small_quick_and_keeps_the_same_points(samples, count, coloured):
    step = _step(samples, count, coloured=coloured)
    seconds = []
    for _ in range(7):
        start = time.thread_time()
        message = viewer.frames(step)
        seconds.append(time.thread_time() - start)
    assert len(json.dumps(message)) < 150_000
    assert len(message["x0"]) == len(message["x"]) == min(samples, 4)
    # 5 ms is what a preview may cost; the best of seven is free of what else the machine does.
    assert min(seconds) < 0.005
    seen = [points.unpacked(cloud)[0] for cloud in (message["x0"][0], message["x"][0])]
    assert abs(seen[1] - seen[0] - 0.5).max() < 2 / points.UNIT
    assert len(seen[0]) == count or len(seen[0]) * min(samples, 4) > 5000


def test_the_loud_state_is_shown_at_unit_scale():
    loud = Step(1, 2, 1.0, 80.0, torch.full((1, 40, 3), 40.0), torch.zeros(1, 40, 3), 1)
    back, colours, _ = points.unpacked(viewer.frames(loud)["x"][0])
    assert colours is None and abs(back - 40 / 6401**0.5).max() < 1 / points.UNIT


def test_pictures_are_not_taken_for_points():
    assert points.is_cloud(torch.zeros(2, 7, 3)) and points.is_cloud(torch.zeros(2, 7, 6))
    assert not points.is_cloud(torch.zeros(2, 3, 7, 6)) and not points.is_cloud(torch.zeros(2, 7, 4))
    picture = torch.zeros(1, 3, 9, 6)
    assert viewer.frames(Step(1, 2, 0.1, 0.1, picture, picture, 1))["x0"][0].startswith("data:image/jpeg")


def test_thinning_is_even_and_keeps_both_ends():
    kept = points.even(10_000, 999)
    assert len(set(kept)) == 999 and (kept[0], kept[-1]) == (0, 9999)
    assert set(np.diff(kept)) <= {10, 11}
    assert points.even(5, 100).tolist() == [0, 1, 2, 3, 4]


def test_the_finished_clouds_name_and_count_their_parts():
    parts = np.repeat(np.array([[11, 12, 47]]), 2, 0).repeat([200, 200, 100], 1).astype(np.int32)
    sent = points_view.clouds(_result(parts=Array(parts, ("sample", "point"))))
    assert [part["name"] for part in sent["parts"]] == ["Part 11", "Part 12", "Part 47"]
    assert np.bincount(points.unpacked(sent["samples"][1])[2]).tolist() == [200, 200, 100]
    named = _result(parts=Array(parts % 3, ("sample", "point")), part_names=Array(np.array(["leg", "seat"]), ("part",)))
    # 11, 12 and 47 leave 2, 0 and 2; only 0 and 1 have names.
    assert [part["name"] for part in points_view.clouds(named)["parts"]] == ["leg", "Part 2"]
    colours = {tuple(points_view.part_colour(i)) for i in range(60)}
    assert len(colours) == 60


def test_a_huge_cloud_is_thinned_and_said_so():
    many = np.zeros((2, 90_000, 3), np.float32)
    result = Result({"points": Array(many, ("sample", "point", "axis"))}, {}, RECIPE)
    sent = points_view.clouds(result)
    assert len(points.unpacked(sent["samples"][0])[0]) == points_view.MOST_POINTS // 2
    with gr.Blocks():
        view = PointsView("points")
    shown = view.show(result, [], {})
    assert f"{points_view.MOST_POINTS // 2} of each are drawn" in shown[view.title]
    assert set(shown) == set(view.components)


def test_the_view_shows_what_there_is():
    with gr.Blocks():
        view = PointsView("points")
    shown = view.show(_result(), ["/x/points-1.ply", "/x/points-1.glb"], {})
    assert shown[view.solid]["visible"] and not view.show(_result(), ["/x/points-1.ply"], {})[view.solid]["visible"]
    assert "Chamfer" in shown[view.numbers] and "A note." in shown[view.numbers]
    assert shown[view.cloud]["parts"] == [] and "rgb" not in shown[view.cloud]["samples"][0]
    assert "2 samples of 500 points" in shown[view.title]


def test_plotly_gets_every_sample_with_one_shown():
    figure = json.loads(points_view.plot(points_view.clouds(_result())).plot)
    places, _ = torus(500)
    assert [trace["visible"] for trace in figure["data"]] == [True, False]
    assert np.allclose(figure["data"][1]["y"], -places[:, 1], atol=1 / points.UNIT)
    assert [b["args"][1] for b in figure["layout"]["updatemenus"][0]["buttons"]] == [[True, False], [False, True]]


@pytest.mark.parametrize("value", [
    None, "x", {}, {"samples": 3}, {"samples": [{}]}, {"samples": [{"xyz": "%%"}]}, {"samples": [{"xyz": 4}]},
    {"samples": [{"xyz": base64.b64encode(b"1234567").decode()}]},
    {"samples": [{"xyz": base64.b64encode(bytes(12)).decode(), "rgb": "AAAA"}]}])
def test_what_is_no_cloud_gives_no_figure(value):
    assert points_view.plot(value) is None


def test_the_fake_task_contracts_to_its_torus():
    task = FakePointsTask()
    *steps, result = task.run({}, Recipe(task="points", solver="ddim", steps=5, samples=2))
    clean = torch.from_numpy(result.arrays["points"].values[0])
    # The noise of step k is 3 (1 - k/5) of a unit Gaussian, known to 1 in sqrt(2 * 2048 * 3) and so to 5 % for sure.
    noise = [float((step.x[0, :, :3] - clean).std()) for step in steps]
    assert noise == pytest.approx([2.4, 1.8, 1.2, 0.6, 0], rel=0.05)
    assert [name.rsplit(".")[-1] for name in result.files] == ["glb"]

