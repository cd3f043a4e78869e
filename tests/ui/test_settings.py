import re

import pytest
from hypothesis import given
from hypothesis import settings as checks
from hypothesis import strategies as st

from engine import samplers, tasks
from engine.errors import InputError
from engine.samplers import row
from tests.ui.fake_task import FakeTask
from ui import settings

TASK = FakeTask()


def test_defaults_are_a_runnable_recipe_and_come_back():
    values = settings.defaults(TASK)
    recipe = settings.recipe(TASK, values)
    assert (recipe.solver, recipe.steps, recipe.task) == ("dpmpp_2m", 20, "restoration")
    assert settings.from_recipe(TASK, recipe) | {"random": False} == values


@given(steps=st.integers(1, 200), seed=st.integers(0, 2**53 - 1), guidance=st.floats(0, 10), samples=st.integers(1, 8),
       solver=st.sampled_from(["ddim", "heun", "unipc_2"]), strength=st.floats(0, 1))
@checks(max_examples=40, deadline=None)
def test_recipe_and_values_are_inverse(steps, seed, guidance, samples, solver, strength):
    values = settings.adapted(TASK, settings.defaults(TASK) | {
        "steps": steps, "seed": seed, "guidance": guidance, "samples": samples, "solver": solver,
        "task.damage": "noise", "task.strength": strength})
    recipe = settings.recipe(TASK, values)
    assert settings.recipe(TASK, settings.from_recipe(TASK, recipe)) == recipe


def test_settings_without_effect_are_hidden():
    values = settings.defaults(TASK)
    assert "task.strength" not in settings.shown(TASK, values)
    assert "task.strength" in settings.shown(TASK, values | {"task.damage": "noise"})
    assert "solver.eta" not in settings.shown(TASK, values)
    assert {"solver.eta", "spacing"} <= settings.shown(TASK, values | {"solver": "ddim"})
    assert "spacing" not in settings.shown(TASK, values | {"solver": "spndm"})
    assert "guidance" not in settings.shown(FakeTask(guidance_range=(1.0, 1.0)), values)


def test_a_model_of_ones_own_counts_only_where_the_task_takes_it(monkeypatch):
    values = settings.defaults(TASK) | {"task.damage": "noise", "model": "hub:owner/name"}
    assert settings.recipe(TASK, values).model == "hub:owner/name"
    assert settings.from_recipe(TASK, settings.recipe(TASK, values))["model"] == "hub:owner/name"
    assert settings.recipe(TASK, values | {"task.damage": "auto"}).model == ""
    with pytest.raises(InputError, match="model"):
        settings.recipe(TASK, values | {"model": "https://example.org/x"})
    monkeypatch.setenv("SPACE_ID", "owner/space")
    assert settings.recipe(TASK, values).model == "" and "model" not in settings.shown(TASK, values)


def test_a_change_brings_a_solver_and_a_spacing_that_fit():
    values = settings.adapted(TASK, settings.defaults(TASK) | {"solver": "ddpm", "task.damage": "blur"})
    assert values["solver"] == "dpmpp_2m"
    values = settings.adapted(TASK, settings.defaults(TASK) | {"solver": "spndm", "spacing": "karras"})
    assert values["spacing"] == "uniform"
    values = settings.adapted(TASK, values | {"solver": "unipc_2", "solver.variant": "midpoint"})
    assert values["solver.variant"] == "bh2"


def test_a_new_solver_starts_with_its_own_options_and_the_same_one_keeps_them():
    values = settings.defaults(TASK) | {"solver": "ddim", "solver.eta": 0.7}
    assert settings.adapted(TASK, values)["solver.eta"] == 0.7
    assert settings.adapted(TASK, values, chosen=True)["solver.eta"] == 0.0
    values = settings.adapted(TASK, values | {"solver": "ddpm", "task.damage": "blur", "solver.order": 3})
    options = settings.solver_options(TASK, "dpmpp_2m").items()
    assert values["solver"] == "dpmpp_2m" and all(values[f"solver.{name}"] == o.default for name, o in options)


@pytest.mark.parametrize(("change", "field"), [
    ({"steps": 0}, "steps"), ({"steps": 2.5}, "steps"), ({"steps": 10**9}, "steps"), ({"steps": "20"}, "steps"),
    ({"steps": None}, "steps"), ({"guidance": float("nan")}, "guidance"), ({"guidance": -5}, "guidance"),
    ({"guidance": 1e9}, "guidance"), ({"seed": -2**70}, "seed"), ({"seed": 1.5}, "seed"), ({"seed": None}, "seed"),
    ({"samples": 9}, "samples"), ({"solver": "nothing"}, "solver"), ({"solver": "resfusion"}, "solver"),
    ({"solver": "ddim", "solver.eta": 7}, "eta"), ({"task.damage": "<script>"}, "damage"),
    ({"solver": "spndm", "spacing": "karras"}, "spacing"), ({"task.damage": "noise", "task.strength": 2}, "strength"),
])
def test_values_out_of_range_name_their_field(change, field):
    with pytest.raises(InputError) as caught:
        settings.recipe(TASK, settings.defaults(TASK) | change)
    assert caught.value.field == field


def test_what_a_browser_kept_is_taken_only_as_far_as_it_is_good():
    assert settings.cleaned(TASK, None) == settings.defaults(TASK)
    assert settings.cleaned(TASK, ["x"]) == settings.defaults(TASK)
    kept = settings.cleaned(TASK, {"steps": 33, "solver": "gone", "guidance": float("nan"), "task.damage": "noise",
                                   "unknown": 1, "seed": {"a": 1}, "random": True})
    assert (kept["steps"], kept["task.damage"], kept["random"]) == (33, "noise", True)
    assert (kept["solver"], kept["guidance"], kept["seed"]) == ("dpmpp_2m", 1.0, 0)
    assert "unknown" not in kept
    settings.recipe(TASK, kept)


def test_the_cost_line_counts_calls():
    task = FakeTask(models=("restoration",))
    values = settings.defaults(task)
    assert settings.cost(task, values, None) == "20 steps x 1 = 20 network calls"
    assert settings.cost(task, values, 0.02) == "20 steps x 1 = 20 network calls, about 0.4 s"
    assert settings.cost(task, values, 0.02, end_s=6.0) == "20 steps x 1 = 20 network calls, about 6.4 s"
    heun = settings.cost(task, values | {"solver": "heun", "steps": 10, "samples": 4}, None)
    assert row("heun").calls(10) == 19 and heun == "10 steps, 19 network calls for 4 samples"
    assert settings.cost(task, values | {"steps": 0}, None) == "steps is 0. It must be a whole number from 1 to 1000."


@pytest.mark.parametrize("name", tasks.names())
def test_no_hint_contradicts_the_default_steps_of_a_task(name):
    task = tasks.load(name)
    for solver in task.samplers:
        told, plain = settings.hint(task, solver), samplers.hint(solver)
        ranges = re.findall(r"(\d+) to (\d+) (?:steps|calls)", plain)
        inside = all(int(low) <= task.defaults.steps <= int(high) for low, high in ranges)
        assert told == plain if inside else told.replace("Usual elsewhere: ", "") == plain != told


def test_the_cost_line_of_a_task_without_a_network_counts_steps():
    values = settings.defaults(TASK)
    assert settings.cost(TASK, values, None) == "20 steps"
    assert settings.cost(TASK, values | {"steps": 1}, None) == "1 step"
    heun = values | {"solver": "heun", "steps": 10, "samples": 4}
    assert settings.cost(TASK, heun, 0.1) == f"10 steps for 4 samples, about {settings.duration(19 * 0.1)}"


@pytest.mark.parametrize(("change", "text"), [
    ({"task.mode": "create", "samples": 4}, "20 steps, 30 network calls for 4 samples"),
    ({"task.mode": "create", "steps": 10, "samples": 1}, "10 steps, 20 network calls"),
    ({"task.mode": "recolour", "samples": 4}, "10 network calls for 4 samples"),
    ({"task.mode": "parts", "samples": 4}, "1 network call")])
def test_the_cost_line_names_only_what_counts(change, text):
    task = tasks.load("pointcloud")
    usual = {"solver": "dpmpp_2m", "spacing": "log_snr", "steps": 20, "task.colour_steps": 10, "task.points": "2048"}
    assert settings.cost(task, settings.defaults(task) | usual | change, None) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.01, "0.1 s"), (0.44, "0.4 s"), (12.3, "12 s"), (150, "2 min")])
def test_durations_read_well(seconds, text):
    assert settings.duration(seconds) == text


@pytest.mark.parametrize("name", tasks.names())
def test_options_of_one_name_can_share_a_control(name):
    """The page has one control per name, whatever the sampler: the kind of value must be the same."""
    kinds = {}
    for sampler in tasks.load(name).samplers:
        for option in row(sampler).options:
            kind = (type(option.default), bool(option.choices), option.minimum is None or option.maximum is None)
            assert kinds.setdefault(option.name, kind) == kind, f"{option.name} of {sampler}"


def test_a_steered_method_starts_with_its_usual_steps_and_the_way_back_with_the_tasks():
    task = tasks.load("restoration")
    start = settings.defaults(task)
    values = settings.adapted(task, start | {"task.method": "steered"})
    usual = row(values["solver"])
    assert usual.name == "ddrm" and values["steps"] == usual.steps[1] and settings.recipe(task, values)
    particles = settings.adapted(task, values | {"solver": "afdps"}, chosen=True)
    assert particles["samples"] == task.samples_range[1]
    back = settings.adapted(task, values | {"task.method": "trained"})
    assert (back["solver"], back["steps"]) == (task.defaults.solver, task.defaults.steps)
    kept = settings.adapted(task, values | {"steps": 7})
    assert kept["steps"] == 7
