"""Contrast synthesis as a task, with small networks that the tests make."""

import numpy as np
import pytest
import torch

from engine import models
from engine.errors import InputError
from engine.io import save_result
from engine.io.pictures import Picture
from engine.models import shelf
from engine.solvers import row
from engine.step import Step
from engine.tasks.base import Result, check
from engine.tasks.contrast.data import BRIGHTEST
from engine.tasks.contrast.task import TASK
from engine.tasks.contrast.variants import grid
from tests.engine.contrast.made import ship, write


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    ship(tmp_path / "models")
    monkeypatch.setattr(shelf, "ROOT", tmp_path / "models")


def _picture(height=150, width=130) -> Picture:
    y, x = np.mgrid[:height, :width]
    inside = np.hypot((y - height / 2) / height, (x - width / 2) / width) < 0.4
    grey = np.uint8(inside * (140 + 60 * np.sin(x / 5) * np.cos(y / 7)))
    return Picture(np.repeat(grey[..., None], 3, axis=2))


def _run(picture=None, mask=None, **fields) -> tuple[list[Step], Result]:
    options = dict(TASK.defaults.options) | fields.pop("options", {})
    recipe = TASK.defaults.replace(**{"steps": 3, "samples": 2} | fields, options=options)
    inputs = {"picture": picture or _picture()} | ({} if mask is None else {"mask": mask})
    with torch.no_grad():
        *steps, result = TASK.run(inputs, recipe)
    return steps, result


def test_the_result_holds_what_the_page_must_show():
    steps, result = _run(samples=3)
    shapes = {name: array.values.shape for name, array in result.arrays.items()}
    assert shapes == {"input": (150, 130, 3), "samples": (3, 150, 130, 3), "mean": (150, 130, 3),
                      "spread": (150, 130), "difference": (150, 130, 3)}
    assert result.arrays["difference"].values.dtype == np.uint8 and result.recipe.size == (150, 130)
    assert result.arrays["spread"].values.max() > 0
    assert all(step.x0.shape == (3, 3, 128, 128) and step.x0.abs().max() <= 1 for step in steps)
    assert "does not replace contrast agent" in TASK.warning and "invented" in TASK.warning


@pytest.mark.parametrize("target", ["subtraction", "post-contrast"])
def test_a_model_that_adds_nothing_gives_the_input_back(tmp_path, target):
    ship(tmp_path / "models", noise=0)
    for name in TASK.models:  # only the last layer decides
        assert models.load(name).network.correction.leave.weight.abs().max() == 0
    _, result = _run(options={"target": target})
    given, found = result.arrays["input"].values, result.arrays["samples"].values
    # bfloat16 keeps 8 bits of the slice that the network adds to: one grey level of the window.
    assert np.abs(found.astype(int) - given).max() <= 1
    assert np.ptp(result.arrays["difference"].values.astype(int), axis=-1).max() <= 8
    assert abs(result.metrics["mean change in the head (%)"]) < 0.5


def test_the_window_is_the_same_before_and_after():
    values = np.zeros((128, 128), np.uint8)
    values[20:100, 20:100] = 200
    _, result = _run(Picture(np.repeat(values[..., None], 3, axis=2)))
    assert int(result.arrays["input"].values.max()) == round(255 / BRIGHTEST)


def test_targets_take_their_own_models_and_refuse_others():
    assert _run()[1].recipe.model == "contrast_sub"
    assert _run(options={"target": "post-contrast"})[1].recipe.model == "contrast_pc"
    with pytest.raises(InputError, match="Choose one of subtraction"):
        _run(options={"target": "both"})


def test_a_marked_area_and_guidance_have_an_effect():
    area = np.zeros((150, 130), bool)
    area[60:90, 40:70] = True
    free, told, more = (_run(mask=mask, guidance=weight)[1].arrays["samples"].values
                        for mask, weight in ((None, 1.0), (area, 1.0), (area, 3.0)))
    assert not np.array_equal(free, told) and not np.array_equal(told, more)
    assert np.array_equal(free, _run(mask=area, guidance=0.0)[1].arrays["samples"].values)
    assert np.array_equal(free, _run(mask=np.zeros_like(area), guidance=3.0)[1].arrays["samples"].values)
    assert "mean change in the marked area (%)" in _run(mask=area)[1].metrics
    with pytest.raises(InputError, match="mask is 10 x 10"):
        _run(mask=np.ones((10, 10), bool))


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_others():
    first, second, other = (_run(seed=seed)[1].arrays["samples"].values for seed in (1, 1, 2))
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_without_diversity_the_seed_has_no_effect():
    first, second = (_run(seed=seed, options={"diversity": 0.0})[1].arrays["samples"].values for seed in (1, 2))
    assert np.array_equal(first, second) and np.array_equal(first[0], first[1])


def test_every_solver_runs():
    for entry in map(row, TASK.solvers({})):
        steps, result = _run(solver=entry.name, samples=1, spacing=(entry.spacings or ("uniform",))[0])
        assert torch.isfinite(steps[-1].x).all() and result.arrays["samples"].values.shape[0] == 1, entry.name
        if "adaptive" not in entry.tags:
            assert steps[-1].nfe == TASK.calls(TASK.defaults.replace(solver=entry.name, steps=3)), entry.name


def test_colour_is_converted_with_a_note_and_empty_slices_are_refused():
    coloured = _picture().pixels.copy()
    coloured[70:80, 60:70] = 255, 40, 40
    assert any("converted to grey" in note for note in _run(Picture(coloured))[1].notes)
    with pytest.raises(InputError, match="shows a head"):
        _run(Picture(np.zeros((64, 64, 3), np.uint8)))


def test_every_example_is_valid_and_can_be_saved(tmp_path):
    for example in TASK.examples:
        inputs = example.make()
        recipe = TASK.defaults.replace(options=dict(TASK.defaults.options) | dict(example.options))
        assert check(TASK, recipe) == recipe and min(inputs["picture"].size) >= 128
        _, result = _run(inputs["picture"], inputs.get("mask"))
    names = {path.name.split("-", 2)[-1] for path in save_result(result, tmp_path / "out")}
    assert {"difference.png", "samples-1.png", "samples-2.png", "mean.png", "input.png"} <= names


def test_evaluation_measures_the_patient_left_out(tmp_path):
    rows = TASK.evaluate(str(write(tmp_path / "data")), limit=1)
    assert len(rows) == 9 and {row["slices"] for row in rows} == {1}
    assert sum(cell["state"] == "measured" for cell in grid(rows)) == 2
