"""The pace of earlier runs, and what a run of the page leaves of it."""

import pytest

from engine.io.pictures import Picture
from engine.runtime.execution import Finished
from tests.ui.fake_task import FakeTask, stripes
from ui import runs


@pytest.fixture
def pace(monkeypatch):
    monkeypatch.setattr(runs, "pace", runs.Pace())
    return runs.pace


def test_the_time_after_the_last_step_is_the_median_of_the_last_runs(pace):
    assert pace.end_s("teeth") == 0
    for seconds in (90.0, 1.0, 5.0, 4.0, 2.0, 3.0):
        pace.note_end("teeth", seconds)
    assert pace.end_s("teeth") == 3 and pace.end_s("style") == 0


def test_a_finished_run_is_remembered_and_a_stopped_one_is_not(pace, monkeypatch):
    noted = []
    monkeypatch.setattr(pace, "note_end", lambda task, seconds: noted.append((task, seconds)))
    task = FakeTask()
    with_steps = runs.events(task, {"picture": Picture(stripes())}, task.defaults.replace(steps=3))
    next(with_steps)
    with_steps.close()
    assert noted == []
    *_, last = runs.events(task, {"picture": Picture(stripes())}, task.defaults.replace(steps=3))
    assert isinstance(last, Finished) and [task for task, _ in noted] == ["restoration"] and noted[0][1] >= 0
