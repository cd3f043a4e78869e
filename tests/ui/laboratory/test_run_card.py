"""A run of the laboratory in events: progress, items, errors in words, and a clean end."""

import json

import gradio as gr
import numpy as np

from engine.errors import InputError
from engine.runtime.execution import Failed, Stopped, Waiting, Working
from engine.tasks.laboratory.compare import Axis, Cell, Comparison
from ui.laboratory import charts, compare, drawers
from ui.laboratory.run_card import RunCard


def _told(make):
    with gr.Blocks():
        card = RunCard("compare", "<p></p>")
    updates = card.follow("run", make, lambda item: ({}, f"item {item}", 0.5), dict, lambda event: "counted")
    told, message = [], None
    for update in updates:
        told.append(update[card.progress])
        message = update.get(card.message, message)
    return told, message


def test_events_and_items_are_told_in_order():
    def work():
        yield Waiting(2)
        yield Working(None, 0, 0, 0, None, "")
        yield 7
        yield Working(None, 0, 0, 0, None, "")
        yield Working(None, 3, 6, 3, None, "")

    told, message = _told(work)
    assert [line["text"] for line in told[:-1]] == ["preparing", "queued, place 2", "preparing", "item 7", "item 7",
                                                    "counted"]
    assert told[-1]["phase"] == "done" and told[-1]["text"].startswith("finished in") and message is None
    assert {line["run"] for line in told} == {"run"}


def test_errors_end_a_run_in_words():
    def refused():
        yield 1
        raise InputError("The plan is bad.", field="solver")

    def broken():
        yield 1
        raise ValueError("a secret")

    told, message = _told(refused)
    assert told[-1]["phase"] == "failed" and message == {"kind": "error", "text": "The plan is bad.",
                                                         "field": "compare-solver"}
    told, message = _told(broken)
    assert told[-1]["phase"] == "failed" and "secret" not in message["text"] and "id" in message["text"]
    assert _told(lambda: (event for event in [Failed("No.")]))[1]["text"] == "No."
    assert _told(lambda: (event for event in [Stopped(None)]))[0][-1]["phase"] == "stopped"


def test_a_cell_is_drawn_with_its_numbers_or_its_reason():
    wanted = Comparison((Axis("solver", ("ddim", "heun")), Axis("steps", (5, 10))))
    good = Cell((1, 0), {}, np.zeros((8, 8, 3), np.uint8), 0.125, None, 9, 0.2)
    shown = compare.drawn(wanted, good)
    assert shown["index"] == [0, 1, 0] and shown["name"] == "Solver Heun (EDM), Steps 5"
    assert shown["words"] == ["error 0.125", "9 calls, 0.2 s"] and shown["picture"].startswith("data:image/png;base64,")
    bad = compare.drawn(wanted, Cell((0, 1), {}, None, None, None, 0, 0.0, "It diverged."))
    assert (bad["reason"], bad["words"], bad["picture"]) == ("It diverged.", [], None)


def test_a_chart_is_plain_json_without_values_that_json_lacks():
    data = charts.figure([charts.line(0, "A", [1, 2], [0.5, float("nan")])], "x", "y", log="xy")
    whole = json.loads(data.plot, parse_constant=lambda name: 1 / 0)
    assert whole["data"][0]["y"] == [0.5, None] and whole["layout"]["xaxis"]["type"] == "log"
    assert {"1", "2", "5"} <= set(whole["layout"]["xaxis"]["ticktext"]) and whole["config"]["displayModeBar"] is False


def test_lines_differ_without_colour():
    looks = {(line["marker"]["symbol"], line["line"]["dash"]) for line in
             (charts.line(i, "", [], []) for i in range(12))}
    assert len(looks) == 12


def test_every_drawer_states_what_people_look_for():
    from engine.solvers import catalogue

    for row in catalogue():
        text = drawers.drawer(row)
        assert all(word in text for word in ("**Paper:**", "**Order:**", "**Calls:**", "**Good range:**", "$$"))
        assert "\n\n\n" not in text
