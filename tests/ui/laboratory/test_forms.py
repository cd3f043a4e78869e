"""The laboratory's settings: menus, comparisons, what a browser kept, what is refused."""

import json

import pytest
import torch

from engine.errors import InputError
from engine.tasks.laboratory import bounds
from engine.theory import Bound
from ui.laboratory import choices, compare, curves, play, steer, theory


@pytest.mark.parametrize(("axis", "entry", "value"), [
    ("steps", "20", 20), ("steps", 20.0, 20), ("steps", "2.5", 2.5), ("steps", "many", "many"), ("guidance", "2", 2.0),
    ("solver", "ddim", "ddim"), ("option:lower_order_final", "off", False), ("option:eta", "0.5", 0.5),
    ("option:variant", "bh1", "bh1"), ("seed", None, None)])
def test_menu_entries_become_values(axis, entry, value):
    assert choices.parsed(axis, entry) == value and type(choices.parsed(axis, entry)) is type(value)


@pytest.mark.parametrize("axis", [name for _, name in choices.axis_menu()])
def test_every_axis_starts_with_values_that_it_takes(axis):
    entries = choices.start(axis, "mixture")
    assert entries and set(entries) <= {name for _, name in choices.offered(axis, "mixture")}
    values = compare.defaults() | {"across": axis, "across_values": entries, "down": "", "down_values": []}
    assert compare.comparison(compare.adapted(values)).axes[0].name == axis


def test_axes_stand_in_the_engines_order():
    values = compare.defaults() | {"blocks": "seed", "blocks_values": ["0", "1"]}
    wanted = compare.comparison(values)
    assert [axis.name for axis in wanted.axes] == ["seed", "solver", "steps"] and wanted.shape == (2, 3, 4)
    found = compare.layout(wanted)
    assert found["columns"][0] == "Steps 5" and found["rows"][0] == "Solver DDIM" and found["blocks"][1] == "Seed 1"


@pytest.mark.parametrize("preset", compare.PRESETS)
def test_presets_can_run(preset):
    values = compare.adapted(compare.defaults() | compare.PRESETS[preset])
    if values["problem"] not in {name for _, name in choices.offered("problem", "mixture")}:
        pytest.skip("these weights are not installed")
    assert compare.comparison(values).axes


@pytest.mark.parametrize(("change", "field"), [
    ({"across_values": []}, "across_values"), ({"across_values": ["x"]}, "steps"), ({"across_values": ["0"]}, "steps"),
    ({"down_values": ["nothing"]}, "solver"), ({"seed": -1}, "seed"), ({"across": "solver"}, None)])
def test_a_comparison_that_cannot_run_names_its_field(change, field):
    with pytest.raises(InputError) as caught:
        compare.comparison(compare.defaults() | change)
    assert field is None or caught.value.field == field
    assert str(caught.value) in compare.cost(compare.defaults() | change)


def test_guidance_brings_a_class_and_no_class_takes_it_away():
    start = compare.defaults()
    assert compare.adapted(start | {"guidance": 3.0})["guidance"] == 1
    values = compare.adapted(start | {"across": "guidance", "across_values": ["1", "2"]})
    assert values["label"]
    assert compare.adapted(start | {"label": "right", "guidance": 3.0})["guidance"] == 3
    assert compare.adapted(start | {"label": "gone"})["label"] == ""


@pytest.mark.parametrize("view", [compare, curves, play, steer, theory])
@pytest.mark.parametrize("stored", [None, ["x"], {"steps": {}}, {"steps": "x", "seed": -5}, {"across_values": [1, {}]},
                                    {"solvers": ["nothing"], "calls": ["a"], "schedule": "<b>"}, {"variance": 3}])
def test_what_a_browser_kept_is_taken_only_when_it_is_good(view, stored):
    assert view.cleaned(stored) == view.defaults()


def test_good_values_come_back():
    kept = curves.defaults() | {"solvers": ["ddim"], "calls": ["5", "77"], "seed": 3}
    assert curves.cleaned(kept) == kept
    kept = theory.defaults() | {"steps": 25, "error": 0.1}
    assert theory.cleaned(kept) == kept
    kept = compare.defaults() | {"down": "", "down_values": []}
    assert compare.cleaned(kept) == kept


def test_costs_count_before_anything_runs():
    assert compare.cost(compare.defaults()).startswith("<p>12 runs, 255 network calls")
    assert "2 solvers x 2 budgets = 4 runs" in curves.cost(
        curves.defaults() | {"solvers": ["ddim", "heun"], "calls": ["5", "10"]})
    assert "No solvers are chosen" in curves.cost(curves.defaults() | {"solvers": []})


def test_theory_offers_the_models_beside_the_line():
    assert next(iter(theory.laws())) == "line" and set(theory.laws()) - {"line"} == set(steer.model_names())
    assert theory.cost(theory.defaults()) == "<p>5 chains, 310 steps in all, a few seconds</p>"
    assert "32 network calls on 8 pictures" in theory.cost(theory.defaults() | {"law": "flowers"})
    with pytest.raises(InputError) as caught:
        theory.checked(theory.defaults() | {"law": "nothing"})
    assert caught.value.field == "law"


def test_a_models_bound_is_told_with_its_limits():
    learning = torch.tensor([400.0, 20.0, 1.0], dtype=torch.float64)
    item = bounds.Found(3, Bound(0.04, learning, None, upper=True), None)
    told = theory.numbers(item)
    assert "pictures that the model drew itself" in told and "says nothing" in told and "True" not in told
    assert "<dt>Prior (nats)</dt>" in told and "has no unit" in told
    figure = json.loads(theory.bars(item).plot)
    assert [trace["name"] for trace in figure["data"]] == ["Learning", "Prior"]
    assert figure["layout"]["yaxis"]["type"] == "log"


@pytest.mark.parametrize(("text", "rgb"), [("#ff0080", [1, -1, 1 / 255]), ("rgba(255, 0.0, 128, 1)", [1, -1, 1 / 255])])
def test_colours_of_both_spellings(text, rgb):
    # 128 of 255 lies half a level above the middle: 128 / 127.5 - 1 = 1/255.
    assert steer._rgb(text, "above") == pytest.approx(rgb)


@pytest.mark.parametrize("text", [None, "", "red", "#12", "rgba(1)", "<script>"])
def test_what_is_no_colour_is_refused(text):
    with pytest.raises(InputError, match="colour"):
        steer._rgb(text, "above")
