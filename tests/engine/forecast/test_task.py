"""The forecast task on an invented world: what goes in, what is shown, and that all of the result belongs together."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.io.save import read_recipe, save_result
from engine.step import Step
from engine.tasks.base import Result
from engine.tasks.forecast import sampling
from engine.tasks.forecast.start import given
from engine.tasks.forecast.task import TASK, Forecast, weighed
from tests.engine.forecast import small


@pytest.fixture(scope="module")
def task(record) -> Forecast:
    return small.task(record)


@pytest.fixture(scope="module")
def field(record):
    kept = slice(1000, 1012)
    return replace(record.field, values=record.field.values[kept], times=record.field.times[kept])


def run(task, field=None, samples=5, steps=3, seed=0, solver=sampling.SOLVER, guidance=1.0,
        **options) -> tuple[list[Step], Result]:
    recipe = task.defaults.replace(samples=samples, steps=steps, seed=seed, solver=solver, guidance=guidance,
                                   options=dict(task.defaults.options) | options)
    with torch.no_grad():
        *found, result = task.run({} if field is None else {"field": field}, recipe)
    return found, result


@pytest.fixture(scope="module")
def finished(task, field):
    return run(task, field, start=str(field.times[6])[:10], unit="F", place_lat="45", place_lon="330")


def test_steps_are_maps_of_the_lead_that_is_being_made(finished):
    steps, _ = finished
    assert [step.index for step in steps] == list(range(1, 10)) and {step.total for step in steps} == {9}
    assert [step.nfe for step in steps] == list(range(1, 10))
    for step in steps:
        assert step.x0.shape == step.x.shape and step.x0.shape[:2] == (4, 3) and step.x0.abs().max() <= 1
    assert max(steps[0].x0.shape[2:]) == 256
    assert not torch.equal(steps[2].x0, steps[-1].x0)


def test_members_are_those_of_the_rollout_in_the_shown_unit(task, field, record, finished):
    model = task.load("")
    wanted = sampling.forecast(model, field.values[5:7], field.times[6], 24, (1, 2, 3), 5, 0, steps=3)
    arrays = finished[1].arrays
    assert arrays["members"].unit == "F"
    np.testing.assert_allclose(arrays["members"].values, wanted * 1.8 - 459.67, atol=0.01)


def test_arrays_belong_together(field, finished):
    result = finished[1]
    values = {name: array.values for name, array in result.arrays.items()}
    members = values["members"].astype(np.float64)
    assert members.shape == (5, 3, 8, 12) and values["lead_h"].tolist() == [24, 48, 72]
    assert values["start"].tolist() == [str(field.times[6])[:16]]
    np.testing.assert_array_equal(values["lat"], np.float32(field.lat))
    np.testing.assert_array_equal(values["lon"], np.float32(field.lon))
    # Values about 50 F in float32.
    np.testing.assert_allclose(values["mean"], members.mean(0), atol=1e-3)
    np.testing.assert_allclose(values["spread"], members.std(0, ddof=1), atol=1e-3)
    np.testing.assert_allclose(values["probability"], (members > 32).mean(0), atol=1e-6)
    np.testing.assert_allclose(values["past"][-1], field.values[6] * 1.8 - 459.67, atol=1e-3)
    np.testing.assert_allclose(values["truth"], field.values[7:10] * 1.8 - 459.67, atol=1e-3)
    assert values["past_h"].tolist() == [-96, -72, -48, -24, 0]
    left = np.square(values["spread"] / values["climate_spread"]).mean(0)
    np.testing.assert_allclose(values["predictability"], np.clip(1 - left, 0, 1), atol=1e-4)
    assert values["skill"].shape == (5, 3, 3) and values["rank"].sum() == 3 * 96
    for name, array in result.arrays.items():
        assert len(array.axes) == array.values.ndim, name


def test_scores_stand_in_the_shown_unit_beside_the_best_other_method(finished):
    result = finished[1]
    crps = result.arrays["skill"].values[:, 0, 0]
    assert result.metrics["CRPS at 24 h (°F)"] == pytest.approx(crps[0], abs=1e-3)
    best = str(result.arrays["skill_methods"].values[1 + int(np.argmin(crps[1:]))])
    assert result.metrics[f"CRPS of {best} at 24 h (°F)"] == pytest.approx(crps[1:].min(), abs=1e-3)


def test_results_are_saved_with_their_recipe_and_the_same_bytes(task, field, finished, tmp_path):
    paths = save_result(finished[1], tmp_path)
    assert {path.name.split("-", 2)[2] for path in paths if path.suffix != ".json"} == {
        "forecast.nc", "animation.webp", "place.csv"}
    recipe, notes = read_recipe(next(path for path in paths if path.suffix == ".json"))
    assert recipe == finished[1].recipe and not notes
    again = run(task, field, start=str(field.times[6])[:10], unit="F", place_lat="45", place_lon="330")[1]
    assert again.files == finished[1].files


def test_without_a_file_the_start_is_invented_and_said(task):
    _, result = run(task)
    assert "invented" in result.notes[0] and "truth" not in result.arrays and "skill" not in result.arrays
    assert result.arrays["members"].unit == "C" and set(result.files) == {"forecast.nc", "animation.webp"}


def test_one_member_has_no_spread_and_no_predictability(task, field):
    _, result = run(task, field, samples=1, start=str(field.times[6]))
    assert not result.arrays["spread"].values.any() and "predictability" not in result.arrays
    assert np.isnan(result.arrays["skill"].values[0, 2]).all()


def test_the_length_is_that_of_the_settings_and_of_the_model(task):
    assert run(task, days=2.0, steps=1)[1].arrays["lead_h"].values.tolist() == [24, 48]
    _, result = run(task, days=9.0, steps=1)
    assert len(result.arrays["lead_h"].values) == 3 and any("reaches 3 days" in note for note in result.notes)


def test_calls_count_every_lead(task):
    assert task.calls(task.defaults.replace(options={"days": 2.0})) == 2 * sampling.STEPS
    assert TASK.calls(TASK.defaults) == 5 * sampling.STEPS
    assert TASK.calls(TASK.defaults.replace(options={"domain": "temperature"})) == 20 * sampling.STEPS


def test_guidance_goes_from_the_linear_model_to_the_network(record, field):
    """With weight 0 any network gives the linear ensemble; with 2 its correction counts twice."""
    made = small.model(record)
    torch.nn.init.normal_(made.network.reader.leave.weight, std=0.05)
    busy = Forecast({"temperature": replace(record.domain, name="temperature")}, lambda name: made)
    told = {"start": str(field.times[6]), "days": 1.0, "unit": "K"}
    members = {weight: run(busy, field, guidance=weight, **told)[1].arrays["members"].values
               for weight in (0.0, 1.0, 2.0)}
    linear = run(small.task(record), field, **told)[1].arrays["members"].values
    # x0 is formed and undone at each step in float32.
    np.testing.assert_allclose(members[0.0], linear, atol=5e-3)
    once, twice = (members[weight] - linear for weight in (1.0, 2.0))
    assert np.abs(once).max() > 0.1
    # What the network says hardly depends on x, so the change is twice as large up to the noise's narrowing.
    assert float((once * twice).sum() / (once * once).sum()) == pytest.approx(2, rel=0.05)


def test_weights_are_exact_for_times_of_any_shape():
    from engine import schedules

    schedule, x = schedules.cosine(), torch.randn(3, 4)
    for t in (0.3, torch.tensor(0.3), torch.full((3,), 0.3)):
        alpha = schedule(0.3)[0]
        found = weighed(lambda x, t: torch.ones_like(x), schedule, 0.25)(x, t)
        torch.testing.assert_close(found, 0.75 * alpha * x + 0.25, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("solver", ["ddim", "dpmpp_2m", "unipc_2", "heun"])
def test_other_solvers_make_forecasts_too(task, field, solver):
    _, result = run(task, field, solver=solver, start=str(field.times[6]), unit="K", steps=6)
    apart = result.arrays["members"].values - field.values[6]
    assert np.isfinite(apart).all() and np.abs(apart).max() < 60


@pytest.mark.parametrize("options, words, name", [
    ({"start": "2007-02-30"}, "no date", "start"), ({"unit": "hPa"}, "does not fit", "unit"),
    ({"place_lat": "45"}, "place_lon is ''", "place_lon"), ({"place_lat": "north", "place_lon": "3"}, "two numbers",
                                                            "place_lat"),
    ({"place_lat": "80", "place_lon": "-30"}, "covers 30 N to 65 N", "place_lat"),
    ({"place_lat": "nan", "place_lon": "-30"}, "covers", "place_lat"),
    ({"place_lat": "45", "place_lon": "inf"}, "covers", "place_lon")])
def test_settings_that_cannot_be_are_named(task, field, options, words, name):
    with pytest.raises(InputError, match=words) as caught:
        run(task, field, **options)
    assert caught.value.field == name


def test_a_field_beside_the_domain_is_refused_before_anything_is_computed(task, field):
    with pytest.raises(InputError, match="The model needs 30 N to 65 N, 60 W to 5 W"):
        run(task, replace(field, lon=field.lon + 40))


def test_a_model_of_another_kind_is_refused(record):
    made = small.model(record)
    other = made.card.model_copy(update={"architecture": made.card.architecture.model_copy(update={"kind": "unet"})})
    wrong = replace(made, card=other)
    with pytest.raises(InputError, match="forecaster"):
        run(Forecast({"temperature": record.domain}, lambda name: wrong))


def test_the_task_as_shipped_is_whole():
    names = [setting.name for setting in TASK.settings]
    assert {"domain", "days", "start", "unit", "threshold", "attention", "place_lat", "place_lon"} == set(names)
    assert TASK.defaults.solver in TASK.samplers and set(TASK.domains) == {"pressure", "temperature", "sphere"}
    assert {"pressure", "temperature"} <= set(TASK.offered) and set(TASK.models) == {
        f"forecast_{name}" for name in TASK.offered}
    for setting in TASK.settings:
        setting.as_option().check(setting.default)


def test_a_start_is_one_of_states_on_the_grid_of_the_model(task, field, record):
    network = task.load("").network
    start = given(field, "", network, record.domain, 2)
    assert start.past.shape[1:] == network.shape
