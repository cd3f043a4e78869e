"""The finished forecast: what is told beside the maps."""

import gradio as gr
import numpy as np
import pytest

from engine.recipe import Recipe
from engine.tasks.base import Result
from tests.ui.forecast.fake_forecast_task import FakeForecastTask
from ui.assets import web
from ui.forecast import view as view_module
from ui.forecast.tab import ForecastTab
from ui.forecast.view import NOTICE, SCRIPTS, ForecastView


@pytest.fixture
def view():
    with gr.Blocks():
        return ForecastView("forecast")


def _result(**options):
    recipe = Recipe(task="forecast", solver="ddim", steps=1, samples=4, options={"days": 3.0, **options})
    return next(item for item in FakeForecastTask().run({}, recipe) if isinstance(item, Result))


def test_it_warns_and_draws_coasts_of_the_region(view):
    updates = view.show(_result(), ["a.nc"], {})
    assert NOTICE in updates[view.title] and "4 members, 3 lead times" in updates[view.title]
    message = updates[view.view]
    assert message["invented"] and "invented start" in updates[view.title]
    assert "invented" not in view.show(_result(), [], {"field": object()})[view.title]
    coast = np.concatenate([np.array(line) for line in message["coast"]])
    assert len(coast) > 100 and coast.min(0).tolist() >= [-80, 20] and (coast.max(0) <= [0, 60]).all()
    assert "This is a test double." in updates[view.numbers] and updates[view.files] == ["a.nc"]


def test_what_was_thinned_stands_in_the_notes(view, monkeypatch):
    monkeypatch.setattr(view_module.pack, "MESSAGE_BYTES", 12_000)
    assert "lead time" in view.show(_result(days=9.0), [], {})[view.numbers]


def test_the_unit_of_the_run_is_that_of_the_page(view):
    message = view.show(_result(domain="temperature", unit="F"), [], {})[view.view]
    assert message["unit"] == "F" and message["members"]["offset"] < 70 < message["members"]["offset"] + 120


def test_the_scripts_are_one_and_fetch_nothing():
    script = "".join(map(web, SCRIPTS)) + web("forecast_file.js")
    assert "fetch(" not in script and "http:" not in script.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in script and "innerHTML" not in script


def test_the_start_of_a_file_is_not_kept_for_the_next_visit():
    with gr.Blocks():
        tab = ForecastTab(FakeForecastTask())
    restored = tab._restore({"task.start": "2008-07-01T00:00", "task.days": 3.0})
    assert restored[tab.controls.parts["task.days"]]["value"] == 3.0
    assert restored[tab.controls.parts["task.start"]].get("value", "") == ""
