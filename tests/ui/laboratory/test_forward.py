"""The view of forward models: what it asks for, what it shows of a run, and what it refuses."""

import json
import math
import re

import gradio as gr
import pytest

from engine.errors import InputError
from engine.forward_models.study import run
from ui.laboratory import forward, forward_drawn

TWO = forward.defaults() | {"seen": forward.TWO}
MOTION = forward.defaults() | {"toy": "motion", "samples": 20}


def found(values):
    *_, last = run(forward.study(values))
    return last


def test_fresh_values_can_run_and_come_back():
    start = forward.defaults()
    assert forward.study(start).noise is None and forward.study(TWO).noise == start["noise"]
    assert forward.study(start).view == start["angle"] and forward.study(MOTION).view == start["time"]
    kept = json.loads(json.dumps(MOTION | {"steps": 7, "seen": "two", "time": 0.5}))
    assert forward.cleaned(kept) == kept


@pytest.mark.parametrize("stored", [None, ["x"], {"toy": "x"}, {"toy": ["x"]}, {"steps": "x", "seed": -5},
                                    {"angle": 5}, {"samples": 10_000}, {"seen": {}}, {"noise": "x", "seen": "two"}])
def test_what_a_browser_kept_is_taken_only_when_it_is_good(stored):
    assert forward.cleaned(stored) == forward.defaults()


@pytest.mark.parametrize(("change", "field"), [
    ({"toy": "x"}, "toy"), ({"angle": 10}, "angle"), ({"angle": None}, "angle"), ({"seen": "three"}, "seen"),
    ({"seen": "two", "noise": math.nan}, "noise"), ({"toy": "motion", "time": 2.0}, "time"), ({"steps": 2.5}, "steps"),
    ({"steps": None}, "steps"), ({"seed": -1}, "seed"), ({"draw": None}, "draw"), ({"samples": 0}, "samples"),
    ({"solver": "resfusion"}, "solver")])
def test_bad_values_name_their_control_in_the_cost_line_too(change, field):
    values = forward.defaults() | change
    with pytest.raises(InputError) as caught:
        forward.study(values)
    assert caught.value.field == field and str(caught.value) == forward.cost(values).removeprefix("<p>")[:-4]


def test_the_cost_counts_calls():
    # Heun looks twice in each step but the last.
    assert forward.cost(forward.defaults()).startswith("<p>39 network calls on 200 samples")
    assert forward.cost(TWO | {"solver": "ddim", "samples": 1}).startswith("<p>20 network calls on 1 sample,")


@pytest.mark.parametrize("values", [forward.defaults(), TWO, MOTION, MOTION | {"seen": "two", "samples": 1}])
def test_the_slider_ends_with_what_the_chart_shows(values):
    ours = found(values)
    at = len(ours.moments) - 1
    told = json.loads(json.dumps(forward_drawn.steps("r1", ours, at)))
    shares, exact = json.loads(forward_drawn.drawn(ours.study, ours).plot)["data"]
    assert len(told["steps"]) == values["steps"] and told["steps"][at]["y"] == [shares["y"]]
    assert told["traces"] == [0] and told["chart"] == forward_drawn.CHART
    assert sum(shares["y"]) == pytest.approx(1) and sum(exact["y"]) == pytest.approx(1)
    assert len(shares["x"]) == len(shares["y"]) == len(exact["y"])
    assert f"Step 1 of {values['steps']}" in told["steps"][0]["words"] and "no noise" in told["steps"][at]["words"]
    assert all(step["picture"].startswith("data:image/png") for step in told["steps"])


@pytest.mark.parametrize(("values", "cells"), [(forward.defaults(), 4), (TWO, 4), (MOTION, 12),
                                               (MOTION | {"samples": 2}, 8)])
def test_the_sheet_has_a_cell_for_all_that_it_lays_out(values, cells):
    sheet = forward_drawn.sheet("r1", found(values))
    layout = sheet["layout"]
    places = {(0, r, c) for r, row in enumerate(layout["columns"]) for c in range(len(row))}
    assert {tuple(cell["index"]) for cell in sheet["cells"]} == places and len(places) == cells
    assert len(layout["rows"]) == len(layout["columns"]) and sheet["legend"]
    never = [cell for cell in sheet["cells"] if "never given" in cell["words"]]
    assert len(never) == (values["seen"] == forward.ONE)


def test_a_sample_s_own_way_stands_under_its_picture():
    ours = found(MOTION)
    cells = {cell["name"]: cell for cell in forward_drawn.sheet("r1", ours)["cells"]}
    way = ours.study.model.bins[int(ours.study.model.bin(ours.study.scene, ours.signal[:1]))]
    assert cells["Sample 1"]["words"][0].startswith(way)


def test_the_numbers_are_those_of_the_run():
    ours = found(TWO)
    table = forward_drawn.numbers(ours)
    assert f"{ours.spread:.3f}" in table and f"{ours.study.answer.spread:.3f}" in table
    assert f"{ours.fits()[1].miss:.3f}" in table and "given with noise 0.3" in table
    assert "never given" in forward_drawn.numbers(found(forward.defaults()))
    assert " %" in table and not re.search(r"\d%", table)


def _view():
    with gr.Blocks():
        return forward.ForwardView()


def test_a_run_of_the_panel_ends_with_everything_shown():
    view = _view()
    updates = list(view._run(*((MOTION | {"steps": 5})[name] for name in view.form.parts)))
    told = [update[view.card.progress] for update in updates if view.card.progress in update]
    assert told[-1]["phase"] == "done" and any(line["text"].startswith("step ") for line in told)
    shown = {part: value for update in updates for part, value in update.items()}
    assert {view.sheet, view.slider, view.chart, view.numbers} <= set(shown)
    assert shown[view.sheet]["run"] == shown[view.slider]["run"] == told[-1]["run"]


def test_a_run_can_be_stopped_and_the_next_one_works():
    view = _view()
    values = [(MOTION | {"steps": 100, "samples": 400})[name] for name in view.form.parts]
    running = view._run(*values)
    while not next(running)[view.card.progress]["text"].startswith("step "):
        pass
    running.close()
    *_, last = view._run(*((MOTION | {"steps": 2})[name] for name in view.form.parts))
    assert last[view.card.progress]["phase"] == "done"


def test_a_run_that_cannot_start_says_so_at_its_control():
    view = _view()
    refused, = view._run(*((forward.defaults() | {"angle": 200})[name] for name in view.form.parts))
    assert refused[view.card.message]["field"] == "forward-angle" and refused[view.card.progress]["phase"] == "failed"


def test_controls_follow_the_toy():
    view = _view()
    parts = view.form.parts
    found = view._change_toy(*MOTION.values())
    assert found[parts["angle"]]["visible"] is False and found[parts["time"]]["visible"] is True
    assert found[parts["noise"]]["value"] == 4 and found[parts["noise"]]["visible"] is False
    assert view._fit(*TWO.values())[parts["noise"]]["visible"] is True
    assert "value" not in view._fit(*TWO.values())[parts["steps"]]
