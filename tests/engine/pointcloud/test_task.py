"""Runs of all modes with untrained networks: what is asked for arrives, what stays does stay, errors are sentences."""

import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.io.clouds import CloudFile
from engine.io.save import save_result
from engine.io.sketches import Sketch
from engine.recipe import Recipe
from engine.step import Step
from engine.tasks.base import Result
from engine.tasks.pointcloud import surfaces
from engine.tasks.pointcloud.pool import example
from engine.tasks.pointcloud.shapes import PARTS
from engine.tasks.pointcloud.task import TASK

pytestmark = pytest.mark.usefixtures("untrained")
_POINTS = 64
"""As `untrained` makes it."""


def sketch() -> Sketch:
    return Sketch(np.float32(example("mug-1").sketch) / 255)


def given(points: int = 300) -> CloudFile:
    found = example("chair-25")
    return CloudFile(found.points[:points], np.uint8(found.rgb[:points] * 255), ("It was read.",))


def ran(inputs: dict, **changes) -> tuple[list[Step], Result]:
    options = changes.pop("options", {})
    recipe = Recipe(task="pointcloud", solver="ddim", steps=3, samples=2,
                    options={"colour_steps": 2} | options).replace(**changes)
    with torch.no_grad():
        *steps, result = TASK.run(inputs, recipe)
    assert steps[-1].nfe == TASK.calls(recipe) and isinstance(result, Result)
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert {step.total for step in steps} == {len(steps)}
    return steps, result


def arrays(result: Result) -> dict[str, np.ndarray]:
    return {name: array.values for name, array in result.arrays.items()}


def test_a_shape_forms_first_and_is_coloured_where_it_stands():
    steps, result = ran({"sketch": sketch(), "text": "a red mug"})
    assert [step.x0.shape[-1] for step in steps] == [3, 3, 3, 6, 6]
    found = arrays(result)
    assert found["points"].shape == (2, _POINTS, 3) and found["colours"].dtype == np.uint8
    assert found["parts"].dtype == np.int32 and found["part_names"].tolist() == list(PARTS)
    assert found["sketch"].shape == (64, 64) and found["sketch"].max() == 255
    for step in steps[3:]:
        assert np.array_equal(step.x[..., :3].numpy(), found["points"])
    assert np.array_equal(found["points"], steps[2].x.numpy())
    assert [name for name in result.files] == [f"shape-{k}.{form}" for k in (1, 2) for form in ("glb", "ply", "csv")]
    assert result.recipe.model == "cloud_geometry" and Recipe.read(result.recipe.write())[0] == result.recipe


@pytest.mark.parametrize("inputs", [{"sketch": sketch()}, {"text": "a tower"}])
def test_one_condition_is_enough(inputs):
    result = ran(inputs)[1]
    assert ("sketch" in result.arrays) == ("sketch" in inputs)
    assert any("model's choice" in note for note in result.notes) == ("text" not in inputs)


def test_the_same_recipe_gives_the_same_bytes(tmp_path):
    inputs = {"sketch": sketch(), "text": "a red mug"}
    first, second = (save_result(ran(inputs)[1], tmp_path / name) for name in ("a", "b"))
    assert [p.name for p in first] == [p.name for p in second] and len(first) == 8
    assert all(p.read_bytes() == q.read_bytes() for p, q in zip(first, second))
    other = arrays(ran(inputs, seed=1)[1])["points"]
    assert not np.allclose(other, arrays(ran(inputs)[1])["points"], atol=1e-2)


def test_colours_follow_other_words_and_leave_the_shape():
    plain, other = (arrays(ran({"text": "a red mug"} | more)[1]) for more in ({}, {"appearance": "a blue mug"}))
    assert np.array_equal(plain["points"], other["points"]) and np.array_equal(plain["parts"], other["parts"])
    assert not np.array_equal(plain["colours"], other["colours"])


def test_weights_count_only_where_they_can():
    both = {"sketch": sketch(), "text": "a red mug"}
    shapes = [arrays(ran(both, options={"sketch_weight": w})[1])["points"] for w in (0.0, 1.5, 3.0)]
    assert not np.allclose(shapes[0], shapes[1], atol=1e-4) and not np.allclose(shapes[1], shapes[2], atol=1e-4)
    alone = [arrays(ran({"text": "a mug"}, options={"sketch_weight": w})[1])["points"] for w in (0.0, 3.0)]
    assert np.allclose(*alone, atol=1e-4)


def test_more_points_hold_the_first_with_the_colours_of_their_neighbours():
    steps, result = ran({"text": "a red mug"}, options={"points": "8192"})
    found, few = arrays(result), arrays(ran({"text": "a red mug"})[1])
    assert len(steps) == 3 + 2 + 2 and found["points"].shape == (2, 8192, 3)
    for name in ("points", "colours", "parts"):
        assert np.array_equal(found[name][:, :_POINTS], few[name])
    nearest = np.linalg.norm(found["points"][0, 5000] - few["points"][0], axis=1).argmin()
    assert np.array_equal(found["colours"][0, 5000], few["colours"][0, nearest])


@pytest.mark.parametrize("points", [40, 300])
def test_an_own_cloud_is_coloured_at_some_points_and_kept_whole(points):
    steps, result = ran({"cloud": given(points), "text": "red"}, options={"mode": "recolour"})
    found = arrays(result)
    assert len(steps) == 2 and steps[0].x0.shape == (2, min(points, _POINTS), 6)
    assert np.array_equal(found["points"], np.stack([given(points).points] * 2))
    assert len({colours.tobytes() for colours in found["colours"]}) == 2 and np.array_equal(*found["parts"])
    assert result.notes[0] == "It was read." and result.recipe.model == "cloud_colour"
    seen = {tuple(row) for row in np.uint8((steps[-1].x[0, :, 3:].clamp(-1, 1).numpy() + 1) * 127.5 + 0.5)}
    assert {tuple(row) for row in found["colours"][0]} == seen


def test_parts_of_an_own_cloud_come_in_one_look():
    steps, result = ran({"cloud": given()}, options={"mode": "parts"})
    found = arrays(result)
    assert len(steps) == 1 and found["points"].shape == (1, 300, 3) and found["parts"].shape == (1, 300)
    colours = {part: {tuple(row) for row in found["colours"][found["parts"] == part]} for part in
               np.unique(found["parts"])}
    assert all(len(rows) == 1 for rows in colours.values())


def test_z_up_clouds_are_stood_up():
    standing, lying = given(), given().turned(np.float32([[1, 0, 0], [0, 0, 1], [0, -1, 0]]))
    results = [arrays(ran({"cloud": cloud}, options={"mode": "parts", "up": up})[1])
               for cloud, up in ((standing, "y"), (lying, "z"))]
    assert np.allclose(results[0]["points"], results[1]["points"], atol=1e-6)
    assert np.array_equal(results[0]["parts"], results[1]["parts"])


@pytest.mark.parametrize("inputs, mode, said, field", [
    ({}, "create", "neither a sketch nor a text", "sketch"), ({"cloud": given()}, "create", "neither", "sketch"),
    ({"text": "red"}, "recolour", "no point cloud", "cloud"), ({}, "parts", "no point cloud", "cloud"),
    ({"cloud": given()}, "recolour", "no words", "appearance"),
    ({"sketch": Sketch(np.zeros((90, 90), np.float32))}, "create", "0 drawn pixels", "sketch")])
def test_what_a_mode_needs_is_asked_for(inputs, mode, said, field):
    with pytest.raises(InputError, match=said) as caught:
        ran(inputs, options={"mode": mode})
    assert caught.value.field == field and caught.value.why and caught.value.fix


def test_what_was_not_understood_or_not_used_is_told():
    text = {"text": "a red chair with frobnicated zorbles " + "black " * 60}
    notes = " ".join(ran(text | {"cloud": given(), "appearance": "quux"})[1].notes)
    assert "Not understood: frobnicated, zorbles." in notes and "Not understood: quux." in notes
    assert "known words were used" in notes and "point cloud was not used" in notes


@pytest.mark.parametrize("options, field", [
    ({"mode": "dance"}, "mode"), ({"points": "4096"}, "points"), ({"sketch_weight": 9.0}, "sketch_weight"),
    ({"colour_steps": 0}, "colour_steps"), ({"surface": "cubes"}, "surface")])
def test_settings_out_of_range_are_refused(options, field):
    with pytest.raises(InputError) as caught:
        ran({"text": "a mug"}, options=options)
    assert caught.value.field == field


def test_a_surface_that_fails_leaves_the_clouds(monkeypatch):
    def fails(*given):
        raise InputError("It took too long.")

    monkeypatch.setattr(surfaces, "around", fails)
    result = ran({"text": "a mug"}, options={"surface": "ball"})[1]
    assert "surface could not be made" in result.notes[-1] and "shape-2.csv" in result.files


def test_examples_have_a_sketch_and_words_that_the_networks_know():
    assert len(TASK.examples) >= 4
    for case in TASK.examples:
        inputs = case.make()
        assert inputs["sketch"].ink.min() >= 0 and inputs["sketch"].ink.max() == 1
        result = ran(inputs, steps=1, samples=1)[1]
        assert not result.notes, (case.title, result.notes)
