"""Jobs of the laboratory in the runtime's worker: items in order, and a stop that ends the computation."""

import threading
import time

import torch

from engine.recipe import Recipe
from engine.runtime.execution import Failed
from engine.step import Step
from engine.tasks.laboratory.work import executed

RECIPE = Recipe(task="laboratory", solver="ddim", steps=5)


def _step(index, nfe):
    return Step(index, 9, 0.5, 0.5, torch.zeros(1), torch.zeros(1), nfe)


def test_items_come_in_order_and_calls_are_counted_through():
    def job():
        yield from ("a", _step(1, 2), _step(2, 4), "b", _step(1, 3), "c")

    found = list(executed(job(), 3, RECIPE))
    assert [item for item in found if isinstance(item, str)] == ["a", "b", "c"]
    assert max(event.calls for event in found if hasattr(event, "calls")) == 7


def test_a_job_without_steps_is_stopped_too():
    made, ended = [], threading.Event()

    def job():
        try:
            while len(made) < 2000:
                time.sleep(0.005)
                made.append(len(made))
                yield made[-1]
        finally:
            ended.set()

    events = executed(job(), 2000, RECIPE)
    assert next(item for item in events if isinstance(item, int)) == 0
    events.close()
    assert ended.wait(5) and len(made) < 1000


def test_an_error_of_a_job_becomes_words():
    def job():
        yield "a"
        raise ValueError("a secret")

    *_, last = executed(job(), 1, RECIPE)
    assert isinstance(last, Failed) and "secret" not in last.message
