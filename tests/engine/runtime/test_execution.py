import gc
import itertools
import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from engine.errors import InputError
from engine.runtime import execution, places
from engine.runtime.execution import HEARTBEAT_S, Failed, Finished, Stopped, Waiting, Working, execute
from engine.runtime.settings import Limits
from engine.runtime.sharing import shared
from engine.step import Step
from tests.engine.runtime.fakes import SHAPE, FakeTask, exact, recipe

BATCH_TOLERANCE = 1e-4
"""The promise of the design for a run that shares its network calls."""


@pytest.fixture(autouse=True)
def fresh_places(monkeypatch):
    """Each test has its own workers and must leave none of them taken."""
    found = places.Places()
    monkeypatch.setattr(execution, "_PLACES", found)
    yield found
    until(lambda: found.counts() == (0, 0))


def until(condition, timeout_s: float = 5.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def shown(events) -> list[int]:
    return [event.step.index for event in events if isinstance(event, Working) and event.step is not None]


def samples(event) -> torch.Tensor:
    assert isinstance(event, Finished), event
    return torch.from_numpy(event.result.arrays["samples"].values)


def test_a_run_tells_its_steps_and_ends_with_the_result():
    events = list(execute(FakeTask(before=lambda k: time.sleep(0.01)), {}, recipe(), every_s=0))
    assert shown(events) == [1, 2, 3, 4, 5, 6]
    working = [event for event in events if isinstance(event, Working)]
    assert working[0].message == "preparing"
    assert [event.calls for event in working if event.step] == [1, 2, 3, 4, 5, 6]
    assert {event.total for event in working if event.step} == {6}
    assert working[-1].message == "finishing"
    assert samples(events[-1]).shape == (1, *SHAPE)
    assert events[-1].seconds >= 0.06


def test_fast_steps_are_dropped_but_never_the_first_or_the_last():
    assert shown(execute(FakeTask(), {}, recipe(steps=200), every_s=10)) == [1, 200]
    assert shown(execute(FakeTask(before=lambda k: time.sleep(0.002)), {}, recipe(steps=50), every_s=10)) == [1, 50]


def test_frames_keep_their_distance():
    task = FakeTask(before=lambda k: time.sleep(0.003))
    stamps = [time.monotonic() for event in execute(task, {}, recipe(steps=80), every_s=0.05)
              if isinstance(event, Working) and event.step is not None and event.finished < 80]
    assert len(stamps) >= 3
    assert min(b - a for a, b in itertools.pairwise(stamps)) > 0.045


def test_the_estimate_starts_after_two_steps_and_follows_their_time():
    events = list(execute(FakeTask(before=lambda k: time.sleep(0.03)), {}, recipe(steps=6), every_s=0))
    left = {event.finished: event.left_s for event in events if isinstance(event, Working) and event.step is not None}
    assert left[1] is None
    for finished in (2, 3, 4, 5):
        # 30 ms a step plus little; a loaded machine may sleep longer, never shorter.
        assert 0.029 * (6 - finished) <= left[finished] < 0.3 * (6 - finished)
    assert left[6] == 0


def test_the_estimate_is_a_typical_step_times_the_steps_left(monkeypatch):
    monkeypatch.setattr(execution.statistics, "median", lambda values: 2.0)
    events = list(execute(FakeTask(before=lambda k: time.sleep(0.01)), {}, recipe(steps=6), every_s=0))
    left = {event.finished: event.left_s for event in events if isinstance(event, Working) and event.step is not None}
    assert left == {1: None, 2: 8, 3: 6, 4: 4, 5: 2, 6: 0}


def test_a_slow_step_does_not_silence_the_run():
    stamps = [time.monotonic()]
    for _ in execute(FakeTask(before=lambda k: time.sleep(1.2 if k == 3 else 0)), {}, recipe(), every_s=0):
        stamps.append(time.monotonic())
    assert stamps[-1] - stamps[0] > 1.2
    assert max(b - a for a, b in itertools.pairwise(stamps)) < HEARTBEAT_S + 0.4


@pytest.mark.parametrize("at", [0, 1, 4, 8])
def test_closing_ends_the_run_within_one_step(at):
    """at: steps seen before closing: none yet, the first, one in the middle, the last."""
    gates = [threading.Event() for _ in range(10)]
    task = FakeTask(before=lambda k: gates[k].wait(5))
    for gate in gates[:at + 1]:
        gate.set()
    events = execute(task, {}, recipe(steps=8), every_s=0)
    for event in events:
        index = event.step.index if isinstance(event, Working) and event.step else 0
        if index == at and task.started.wait(5):
            break
    start = time.monotonic()
    events.close()
    assert time.monotonic() - start < 0.1, "closing must not wait for the step"
    for gate in gates:
        gate.set()
    assert task.closed.wait(5)
    assert len(task.made) <= at + 1


def test_stop_is_answered_with_the_last_step_even_while_a_step_takes_long():
    gate, stop = threading.Event(), threading.Event()
    task = FakeTask(before=lambda k: gate.wait(5) if k == 4 else None)
    seen = []
    for event in execute(task, {}, recipe(), every_s=0, stop=stop):
        seen.append(event)
        if isinstance(event, Working) and event.finished == 3 and not stop.is_set():
            stop.set()
            start = time.monotonic()
    assert isinstance(seen[-1], Stopped) and seen[-1].step.index == 3
    assert time.monotonic() - start < 0.5
    gate.set()
    assert task.closed.wait(5)
    assert task.made == [1, 2, 3, 4], "the step that was under way is the last"


def test_stop_before_the_start_and_while_waiting(monkeypatch):
    monkeypatch.setattr(places, "limits", lambda: Limits(workers=1))
    gate, stop = threading.Event(), threading.Event()
    first = execute(FakeTask(before=lambda k: gate.wait(5)), {}, recipe())
    assert isinstance(next(first), Working)
    waiting, closed = FakeTask(), FakeTask()
    events = execute(waiting, {}, recipe(), stop=stop)
    assert next(events) == Waiting(1)
    other = execute(closed, {}, recipe())
    assert next(other) == Waiting(2)
    other.close()
    stop.set()
    assert list(events) == [Stopped(None)]
    gate.set()
    assert isinstance(list(first)[-1], Finished)
    assert not waiting.started.is_set() and not closed.started.is_set()
    assert isinstance(list(execute(FakeTask(), {}, recipe()))[-1], Finished)


def test_a_place_is_kept_until_the_computation_has_really_ended(monkeypatch, fresh_places):
    monkeypatch.setattr(places, "limits", lambda: Limits(workers=1))
    gate = threading.Event()
    events = execute(FakeTask(before=lambda k: gate.wait(5)), {}, recipe())
    next(events)
    events.close()
    assert next(execute(FakeTask(), {}, recipe())) == Waiting(1)
    gate.set()
    until(lambda: fresh_places.counts() == (0, 0))


def test_beyond_the_queue_the_program_is_busy(monkeypatch):
    monkeypatch.setattr(places, "limits", lambda: Limits(workers=1, queue=1))
    gate = threading.Event()
    first, second = (execute(FakeTask(before=lambda k: gate.wait(5)), {}, recipe()) for _ in range(2))
    assert isinstance(next(first), Working) and next(second) == Waiting(1)
    refused, = execute(FakeTask(), {}, recipe())
    assert isinstance(refused, Failed) and "busy" in refused.message and refused.error_id == ""
    gate.set()
    assert isinstance(list(first)[-1], Finished) and isinstance(list(second)[-1], Finished)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -2e4])
def test_a_diverging_run_stops_and_says_where(poison):
    def denoise(x, t):
        calls.append(t)
        return torch.full_like(x, poison) if len(calls) == 3 else exact(x, t)

    calls = []
    task = FakeTask(denoise, before=lambda k: time.sleep(0.01))
    events = list(execute(task, {}, recipe("dpmpp_2m", steps=30), every_s=0))
    assert shown(events)[-1] == 2, "the last good preview is kept"
    failed = events[-1]
    assert isinstance(failed, Failed) and failed.error_id == "" and failed.field == "solver"
    assert "dpmpp_2m" in failed.message and "step 3 of 30" in failed.message and "noise level" in failed.message
    assert task.closed.wait(5) and len(task.made) < 10


@pytest.mark.parametrize("broken", ["x", "x0"])
def test_state_and_estimate_are_both_watched(broken):
    class Broken:
        def run(self, inputs, recipe):
            fine, poison = torch.zeros(1, 2), torch.tensor([[1.0, math.nan]])
            yield Step(1, 2, 0.5, 0.5, poison if broken == "x" else fine, poison if broken == "x0" else fine, 1)

    assert "not finite" in list(execute(Broken(), {}, recipe()))[-1].message


def test_a_large_but_allowed_state_passes():
    events = list(execute(FakeTask(lambda x, t: torch.full_like(x, 9e3)), {}, recipe(steps=3), every_s=0))
    assert isinstance(events[-1], Finished)


def test_a_divergence_between_previews_is_found_at_the_end():
    task = FakeTask(lambda x, t: torch.full_like(x, math.nan) if float(t) < 0.5 else exact(x, t))
    events = list(execute(task, {}, recipe(steps=40), every_s=10))
    assert isinstance(events[-1], Failed) and "not finite" in events[-1].message


def raising(error):
    def before(k):
        if k == 3:
            raise error
    return before


def test_an_input_error_is_shown_word_for_word():
    error = InputError("The mask is empty.", "It must mark an area.", "Please paint one.", field="mask")
    events = list(execute(FakeTask(before=raising(error)), {}, recipe(), every_s=0))
    assert shown(events)[-1] == 2
    assert events[-1] == Failed("The mask is empty. It must mark an area. Please paint one.", "", "mask")


def test_a_bug_shows_and_logs_an_id_and_no_data(caplog):
    with caplog.at_level(logging.ERROR):
        failed = list(execute(FakeTask(before=raising(ValueError("Jane Doe, born 1970"))), {}, recipe()))[-1]
    assert isinstance(failed, Failed) and len(failed.error_id) == 8 and failed.error_id in failed.message
    assert failed.error_id in caplog.text and "ValueError" in caplog.text and "fakes.py" in caplog.text
    assert "Jane" not in caplog.text + failed.message
    other = list(execute(FakeTask(before=raising(ValueError())), {}, recipe()))[-1]
    assert other.error_id != failed.error_id


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")])
def test_running_out_of_memory_fails_alone_and_suggests_less(error):
    failed = list(execute(FakeTask(before=raising(error)), {}, recipe(samples=4)))[-1]
    assert failed.error_id == "" and failed.field == "samples"
    assert "memory ran out after step 2 of 6" in failed.message and "4 samples" in failed.message
    assert isinstance(list(execute(FakeTask(), {}, recipe()))[-1], Finished)


def test_a_task_without_a_result_is_a_bug():
    class Empty:
        def run(self, inputs, recipe):
            yield from ()

    failed, = (event for event in execute(Empty(), {}, recipe()) if not isinstance(event, Working))
    assert isinstance(failed, Failed) and failed.error_id


def test_two_runs_share_network_calls_and_get_what_they_get_alone(monkeypatch):
    monkeypatch.setattr(places, "limits", lambda: Limits(workers=6))

    def slow(x, t):
        batches.append(x.shape[0])
        time.sleep(0.003)
        return exact(x, t)

    wanted = [("ddim", 12, 1), ("dpmpp_2m", 9, 2), ("ddpm", 15, 1), ("heun", 6, 1)]
    recipes = [recipe(name, steps, seed=k, samples=count) for k, (name, steps, count) in enumerate(wanted)]
    alone = [samples(list(execute(FakeTask(shared(exact)), {}, r))[-1]) for r in recipes]
    again = [samples(list(execute(FakeTask(shared(exact)), {}, r))[-1]) for r in recipes]
    assert all(torch.equal(a, b) for a, b in zip(alone, again, strict=True))
    batches, network = [], shared(slow)
    with ThreadPoolExecutor(4) as pool:
        merged = list(pool.map(lambda r: samples(list(execute(FakeTask(network), {}, r))[-1]), recipes))
    assert max(batches) >= 3
    for a, b in zip(alone, merged, strict=True):
        assert (a - b).abs().max() < BATCH_TOLERANCE


def test_a_stopped_run_leaves_no_other_waiting():
    network = shared(lambda x, t: time.sleep(0.005) or exact(x, t))
    stopped = execute(FakeTask(network), {}, recipe(steps=500), every_s=0)
    going = execute(FakeTask(network), {}, recipe(steps=20), every_s=0)
    next(going)
    for event in stopped:
        if event.finished >= 3:
            break
    stopped.close()
    assert isinstance(list(going)[-1], Finished)


def test_a_hundred_runs_leave_nothing_behind():
    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    def one(k: int) -> None:
        events = execute(FakeTask(network, before=raising(ValueError()) if k % 5 == 3 else lambda k: None), {},
                         recipe(steps=4), every_s=0)
        for event in events:
            if k % 5 == 4 and isinstance(event, Working) and event.step is not None:
                break
        events.close()

    network = shared(exact)
    logging.disable(logging.ERROR)
    try:
        for k in range(5):
            one(k)
        until(lambda: not any(thread.name == "run" for thread in threading.enumerate()))
        before, threads = tensors(), threading.active_count()
        for k in range(100):
            one(k)
        until(lambda: not any(thread.name == "run" for thread in threading.enumerate()))
        assert tensors() <= before and threading.active_count() <= threads
        assert len(network._expected) <= 1 and not network._waiting
    finally:
        logging.disable(logging.NOTSET)


def test_the_task_computes_without_gradients():
    seen = []
    list(execute(FakeTask(lambda x, t: seen.append(torch.is_grad_enabled()) or exact(x, t)), {}, recipe()))
    assert set(seen) == {False}
