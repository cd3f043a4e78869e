"""The controls of the shipped forecast task."""

import inspect

import gradio as gr
import pytest

from engine.tasks.forecast.task import TASK
from ui import settings
from ui.api import endpoint
from ui.controls import Controls
from ui.forecast.tab import ForecastTab


@pytest.fixture(scope="module")
def controls():
    with gr.Blocks():
        return Controls(TASK)


def test_every_choice_that_is_shown_at_first_is_one_of_its_choices(controls):
    """Solvers share names of options but not their choices, and gradio refuses a run with a foreign one."""
    shown = settings.shown(TASK, settings.defaults(TASK))
    menus = {name: part for name, part in controls.parts.items() if name in shown and isinstance(part, gr.Dropdown)}
    assert "solver.last_step" in menus or "solver.variant" in menus
    for name, part in menus.items():
        assert part.value in [value for _, value in part.choices], name


def test_a_unit_is_offered_where_maps_have_a_physical_one():
    start = settings.defaults(TASK)
    for domain in ("auto", *TASK.offered):
        shown = settings.shown(TASK, settings.adapted(TASK, start | {"task.domain": domain}))
        assert ("task.unit" in shown) == (domain != "sphere") and "task.days" in shown


def test_the_tab_is_built_from_the_task_alone():
    with gr.Blocks():
        tab = ForecastTab(TASK)
    assert {name for name in ("task.start", "task.unit", "task.threshold")} <= set(tab.controls.parts)
    assert len(tab.example_buttons) == len(TASK.examples)


def test_programs_may_leave_the_file_out():
    parameters = inspect.signature(endpoint(TASK)).parameters
    assert parameters["field"].default is None and parameters["days"].annotation is float
