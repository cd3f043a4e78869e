"""One run from start to end: a worker thread computes, the caller receives the newest step now and then."""

import itertools
import logging
import math
import secrets
import statistics
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import InputError
from engine.runtime import computing, device
from engine.runtime.places import Places, Ticket
from engine.runtime.settings import limits
from engine.step import Step

if TYPE_CHECKING:
    from engine.recipe import Recipe
    from engine.tasks.base import Result, Task

HEARTBEAT_S = 0.5
"""An event comes at least this often, so that a caller who can only stop between two events stops soon."""

_LOG = logging.getLogger(__name__)
_PLACES = Places()


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run waits for a free worker. place: 1 is next."""

    place: int


@dataclass(frozen=True, slots=True)
class Working:
    """The run computes. step: the newest step, or None when there is no new one to show.

    finished, total: steps; total is 0 before the first one. calls: network calls so far. left_s: estimated seconds to
    the last step, None before two finished steps. message: all of this in words.
    """

    step: Step | None
    finished: int
    total: int
    calls: int
    left_s: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is complete. seconds: from the start of its computation."""

    result: "Result"
    seconds: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run was stopped from outside. step: the last one that finished, None before the first."""

    step: Step | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended early. message: for people. error_id: of the log entry of a bug, else "". field: see InputError."""

    message: str
    error_id: str = ""
    field: str = ""


_PREPARING = Working(None, 0, 0, 0, None, "preparing")
Event = Waiting | Working | Finished | Stopped | Failed


def execute(task: "Task", inputs: Mapping[str, Any], recipe: "Recipe", every_s: float | None = None,
            stop: threading.Event | None = None) -> Iterator[Event]:
    """Run `task.run(inputs, recipe)` in a worker thread and yield what happens, at last Finished, Stopped or Failed.

    Waiting while all workers are taken, then Working: the first step, the last step, and between them the newest step
    at most once per `every_s` seconds (default: the settings' preview time); steps that come faster are dropped, never
    queued. Without a new step an event with step None comes every HEARTBEAT_S.
    Closing the generator, or setting `stop`, ends the run within one step; closing does not wait for that, and the
    worker's place is free when the computation has really ended. The task computes without gradients unless it enables
    them itself. No exception leaves the generator: each becomes Failed, in words where a person can act on it.
    """
    every_s = limits().preview_s if every_s is None else every_s
    stop = stop or threading.Event()
    try:
        ticket = _PLACES.enter()
    except InputError as busy:
        yield Failed(str(busy))
        return
    run = None
    try:
        while place := _PLACES.wait(ticket, 0 if stop.is_set() else HEARTBEAT_S):
            if stop.is_set():
                yield Stopped(None)
                return
            yield Waiting(place)
        run = _Run(task, inputs, recipe, ticket)
        yield from _watch(run, recipe, every_s, stop)
    finally:
        if run is None:
            _PLACES.leave(ticket)
        else:
            run.stop.set()


def _watch(run: "_Run", recipe: "Recipe", every_s: float, stop: threading.Event) -> Iterator[Event]:
    shown, due = None, 0.0
    yield _PREPARING
    while True:
        step, ended = run.wait(shown, due, stop)
        if stop.is_set():
            yield Stopped(run.last_good(shown, recipe.solver))
            return
        if step is not None:
            trouble = _divergence(step, recipe.solver)
            if trouble is not None:
                yield Failed(str(trouble), field=trouble.field)
                return
            shown, due = step, time.monotonic() + every_s
            yield run.progress(step)
        elif ended:
            yield run.outcome
            return
        else:
            yield run.progress(None)


class _Run:
    """The worker thread and its mailbox, which holds the newest step, and the first until it was taken."""

    def __init__(self, task: "Task", inputs: Mapping[str, Any], recipe: "Recipe", ticket: Ticket):
        self.stop = threading.Event()
        self.outcome: Finished | Failed | None = None
        self._changed = threading.Condition()
        self._first: Step | None = None
        self._newest: Step | None = None
        self._due = 0.0
        self._finished_at: deque[float] = deque(maxlen=6)
        self._left_s: float | None = None
        threading.Thread(target=self._work, args=(task, inputs, recipe, ticket), name="run", daemon=True).start()

    def wait(self, shown: Step | None, due: float, stop: threading.Event) -> tuple[Step | None, bool]:
        """(a step newer than `shown` once it is `due`, else None; whether the run has ended).

        Returns after HEARTBEAT_S at the latest, soon after `stop` is set, and at once when the run ends.
        """
        until = time.monotonic() + HEARTBEAT_S
        with self._changed:
            self._due = due
            while True:
                now = time.monotonic()
                fresh = self._first or (self._newest if self._newest is not shown else None)
                ended = self.outcome is not None
                if ended or stop.is_set() or now >= until or (fresh is not None and now >= due):
                    self._first = None
                    return (fresh if ended or now >= due else None), ended
                wake = min(until, due) if fresh is not None else until
                # `stop` belongs to the caller and cannot ring here, so look at it a few times a second.
                self._changed.wait(min(wake - now, 0.1))

    def last_good(self, shown: Step | None, solver: str) -> Step | None:
        """The newest step, or the one shown last when the run has diverged since."""
        with self._changed:
            newest = self._newest
        return shown if newest is None or _divergence(newest, solver) else newest

    def progress(self, step: Step | None) -> Working:
        with self._changed:
            newest, left_s, ended = self._newest, self._left_s, self.outcome is not None
        if newest is None:
            return _PREPARING
        at = step or newest
        if at.index >= at.total or ended:
            return Working(step, at.index, at.total, at.nfe, 0.0, "finishing")
        words = f"step {at.index}/{at.total}, {at.nfe} calls" + ("" if left_s is None else f", {_seconds(left_s)} left")
        return Working(step, at.index, at.total, at.nfe, left_s, words)

    def _work(self, task: "Task", inputs: Mapping[str, Any], recipe: "Recipe", ticket: Ticket) -> None:
        started, ran_out = time.monotonic(), False
        try:
            outcome = Finished(self._consume(task, inputs, recipe), time.monotonic() - started)
        except InputError as error:
            outcome = Failed(str(error), field=error.field)
        except BaseException as error:
            # Whatever happened, the caller must hear of the end.
            ran_out = device.out_of_memory(error)
            outcome = _memory_failure(self._newest, recipe) if ran_out else _bug(error)
        if ran_out:
            device.drop_caches()
        _PLACES.leave(ticket)
        with self._changed:
            self.outcome = outcome
            self._changed.notify_all()

    def _consume(self, task: "Task", inputs: Mapping[str, Any], recipe: "Recipe") -> "Result | None":
        result = None
        computing.alone()
        with torch.no_grad():
            items = task.run(inputs, recipe)
            try:
                while not self.stop.is_set() and (item := next(items, None)) is not None:
                    if isinstance(item, Step):
                        self._put(item)
                    else:
                        result = item
            finally:
                items.close()
        assert result is not None or self.stop.is_set(), "the task ended without a result"
        return result

    def _put(self, step: Step) -> None:
        now = time.monotonic()
        with self._changed:
            if self._newest is None:
                self._first = step
            self._newest = step
            self._finished_at.append(now)
            times = list(self._finished_at)
            if len(times) > 1:
                typical_s = statistics.median(b - a for a, b in itertools.pairwise(times))
                self._left_s = typical_s * (step.total - step.index)
            # Waking a caller who would not act costs the run time.
            if now >= self._due:
                self._changed.notify_all()


def _divergence(step: Step, solver: str) -> InputError | None:
    """What to tell when a state of the run is not finite or is too large; None when all is well."""
    peaks = [float(torch.linalg.vector_norm(x.detach().float(), math.inf)) for x in (step.x, step.x0)]
    bound = limits().state_bound
    if all(peak <= bound for peak in peaks):
        return None
    found = f"values up to {max(peaks):.1e}" if all(map(math.isfinite, peaks)) else "values that are not finite"
    return InputError(
        f"The solver {solver[:40]} diverged at step {step.index} of {step.total}, at noise level {step.sigma:.3g}.",
        f"The state has {found}, the limit is {bound:g}.",
        "Please take more steps, a lower guidance or a solver of lower order.", field="solver")


def _memory_failure(step: Step | None, recipe: "Recipe") -> Failed:
    at = "before the first step" if step is None else f"after step {step.index} of {step.total}"
    size = "" if recipe.size is None else f" of {recipe.size[1]} x {recipe.size[0]} px"
    samples = f"{recipe.samples} sample" + ("" if recipe.samples == 1 else "s")
    return Failed(str(InputError(f"The memory ran out {at}.", f"{samples}{size} did not fit.",
                                 "Please choose fewer samples or a smaller picture.")), field="samples")


def _bug(error: BaseException) -> Failed:
    """Log where it happened and answer with the entry's id. The error's own text may hold data and is left out."""
    error_id = secrets.token_hex(4)
    frames = traceback.extract_tb(error.__traceback__)
    _LOG.error("error %s: %s in %s", error_id, type(error).__name__,
               " > ".join(f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in frames))
    return Failed(f"Something went wrong inside the program. The error number is {error_id}. "
                  "Your inputs and settings are kept, please try again.", error_id)


def _seconds(seconds: float) -> str:
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{max(1, round(seconds))} s"
