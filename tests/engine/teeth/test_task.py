"""The task with the shipped model: what its steps and its result promise, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.io.dental import Dentition
from engine.step import Step
from engine.tasks.base import Result, check
from engine.tasks.teeth import examples, keys, metrics
from engine.tasks.teeth.task import REACH_MM, TASK


def run(dentition: Dentition, **fields) -> tuple[list[Step], Result]:
    options = dict(TASK.defaults.options) | fields.pop("options", {})
    recipe = TASK.defaults.replace(**({"steps": 3, "samples": 2} | fields), options=options)
    with torch.no_grad():
        *steps, result = TASK.run({"teeth": dentition}, recipe)
    return steps, result


@pytest.fixture(scope="module")
def finished(dentition):
    return run(dentition)


def test_steps_are_points_and_the_last_one_is_the_result(finished, dentition):
    steps, result = finished
    arrays = {name: array.values for name, array in result.arrays.items()}
    assert len(steps) == 3 and all(step.x.shape == step.x0.shape == (2, 2048, 3) for step in steps)
    # A jaw reaches 35 mm from the middle of all teeth; a tile shows 1.38 units to every side.
    assert all(0.9 < step.x0[..., 0].abs().max() <= step.x0.abs().max() < 1.38 for step in steps)
    assert np.allclose(arrays["points"], steps[-1].x0.numpy(), atol=1e-6)
    half = arrays["points"].reshape(2, 2, 1024, 3)[..., 1].mean((0, 2))
    assert half[0] > half[1]  # the upper teeth first
    # Points lie on the moved meshes: in the middle of all teeth and within their bounds.
    shown = arrays["points"] * REACH_MM
    assert np.ptp(shown, axis=1).max() < 90


def test_arrays_fit_together(finished, dentition):
    _, result = finished
    a = {name: array.values for name, array in result.arrays.items()}
    count = len(dentition)
    assert a["fdi"].tolist() == list(dentition)
    assert a["motions"].shape == (2, count, 4, 4) and a["goal"].shape == (count, 4, 4)
    # Stages turn by rotation vectors of single precision.
    assert a["stages"].shape[1:] == (count, 4, 4) and np.allclose(a["stages"][-1], a["goal"], atol=1e-4)
    assert a["movement"].shape == a["movement_spread"].shape == (count, len(a["movement_names"])) == (count, 8)
    assert np.isfinite(a["movement_spread"]).all() and (a["movement_spread"] >= 0).all()
    assert a["facts"].shape == (len(a["fact_names"]), 2) == (len(a["fact_units"]), 2)
    assert len(a["pairs"]) == len(a["gaps_before"]) == len(a["gaps_after"]) and np.isin(a["pairs"], a["fdi"]).all()
    assert a["arch_before"].shape == a["arch_after"].shape == (2, 100, 3)
    assert len(a["tooth"]) == len(a["vertices"]) and a["faces"].max() == len(a["vertices"]) - 1
    assert (a["tooth"][a["faces"][:, 0]] == a["tooth"][a["faces"]].T).all()
    turns = a["motions"][..., :3, :3]
    assert np.allclose(turns @ turns.swapaxes(-1, -2), np.eye(3), atol=1e-4)
    length = np.linalg.norm(a["goal"][:, :3, :3] @ a["centres"][..., None] + a["goal"][:, :3, 3:]
                            - a["centres"][..., None], axis=1)[:, 0]
    assert np.allclose(length, a["movement"][:, 6], atol=1e-3)
    assert result.metrics["stages"] == len(a["stages"])
    assert result.metrics["largest movement (mm)"] == pytest.approx(length.max(), abs=0.01)


def test_the_same_recipe_gives_the_same_and_no_stage_goes_too_far(finished, dentition):
    _, result = finished
    _, again = run(dentition)
    for name, array in result.arrays.items():
        same = array.values == again.arrays[name].values
        assert (same | (array.values != array.values)).all(), name
    centres = result.arrays["centres"].values[None, ..., None]
    stages = result.arrays["stages"].values
    places = (stages[..., :3, :3] @ centres + stages[..., :3, 3:])[..., 0]
    steps = np.linalg.norm(np.diff(np.concatenate((centres[..., 0], places)), axis=0), axis=-1)
    assert steps.max() < 0.25 + 2e-3


def test_wishes_are_kept(dentition):
    _, result = run(dentition, options={"fixed": "16-17,26", "limit_mm": 1.0, "no_collisions": False})
    fdi, moved = result.arrays["fdi"].values, result.arrays["movement"].values
    assert np.abs(moved[np.isin(fdi, (16, 17, 26))]).max() < 0.02
    assert moved[:, 6].max() < 1.0 + 1e-3 and moved[:, 6].max() > 0.5


def test_teeth_overlap_less_when_that_is_not_wanted(dentition, finished):
    _, free = run(dentition, options={"no_collisions": False, "close_gaps": False})
    deep = [-np.minimum(r.arrays["gaps_after"].values, 0).sum() for r in (finished[1], free)]
    assert deep[0] < 0.6 * deep[1]


def test_one_jaw_alone_and_one_sample(dentition):
    lower = replace(dentition, meshes={fdi: mesh for fdi, mesh in dentition.meshes.items() if fdi > 30})
    steps, result = run(lower, samples=1, steps=2)
    a = {name: array.values for name, array in result.arrays.items()}
    assert steps[0].x0.shape == (1, 2048, 3) and torch.isfinite(steps[-1].x0).all()
    assert np.isnan(a["arch_before"][0]).all() and np.isfinite(a["arch_before"][1]).all()
    assert np.isnan(a["movement_spread"]).all()
    facts = dict(zip(a["fact_names"].tolist(), a["facts"][:, 1]))
    assert np.isnan(facts["Overjet"]) and np.isfinite(facts["Crowding, lower (Little)"])


def test_a_unit_that_makes_no_sense_is_refused_at_its_field(dentition):
    with pytest.raises(InputError, match="inches") as caught:
        run(dentition, options={"unit": "inch"})
    assert caught.value.field == "unit"
    with pytest.raises(InputError) as caught:
        run(replace(dentition, unit=""))
    assert caught.value.field == "unit"


@pytest.mark.parametrize(("options", "field"), [
    ({"limit_mm": 11.0}, "limit_mm"), ({"stage_mm": 0.0}, "stage_mm"), ({"midline_mm": float("nan")}, "midline_mm"),
    ({"keep_width": 1}, "keep_width"), ({"fixed": "99"}, "fixed"), ({"unit": "ell"}, "unit")])
def test_settings_out_of_range_are_refused(dentition, options, field):
    with pytest.raises(InputError) as caught:
        run(dentition, options=options)
    assert caught.value.field == field


def test_the_midlines_place_matters_only_when_it_is_set():
    options = dict(TASK.defaults.options)
    assert "midline_mm" not in TASK.relevant(options)
    assert "midline_mm" in TASK.relevant(options | {"keep_midline": True})
    assert TASK.calls(TASK.defaults) == TASK.defaults.steps
    check(TASK, TASK.defaults)


def test_examples_show_what_their_titles_say():
    made = {example.title: maker for example, maker in zip(TASK.examples, examples._CASES)}
    assert len(made) == 6

    def of(title):
        return examples.patient(*made[title][1:])

    assert sum(float(v) for v in keys.little_index(of("Crowded"))) > 14  # 7 mm in one jaw is severe
    assert keys.overjet_overbite(of("Deep bite"))[1] > 4  # mm; 2 to 3 are normal
    assert keys.overjet_overbite(of("Open bite"))[1] < -1
    assert (keys.molar_class(of("Class II")) > 2).all()
    assert not of("Missing tooth").present[0, [s for s in range(32) if s % 16 not in (0, 15)]].all()
    spaced = of("Spaced")
    assert metrics.contact_error_mm(spaced) > 0.4 and keys.overjet_overbite(spaced)[1] < 4
