"""Jobs of many runs in the runtime's worker: places, live steps and Stop as for any task."""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

from engine.errors import InputError
from engine.recipe import Recipe
from engine.runtime import device
from engine.runtime.execution import Failed, Finished, Stopped, Waiting, Working, execute
from engine.step import Step

Item = TypeVar("Item")
Event = Waiting | Working | Failed | Stopped


def executed(job: Iterator[Step | Item], steps: int, recipe: Recipe) -> Iterator[Item | Event]:
    """Run `job` in a worker; yield its items in order and the runtime's events between them.

    job: yields the steps of all its runs, and whatever else as an item. steps: how many it will make, about; Working
    counts them through. recipe: named in messages. Closing the generator ends the job within one step.
    """
    found: deque[Item] = deque()
    with closing(execute(_Job(job, steps, found), {}, recipe)) as events:
        for event in events:
            while found:
                yield found.popleft()
            if not isinstance(event, Finished):
                yield event


def reason_of(error: Exception) -> str:
    """What to tell of an error that ends one run of a job only; "" for a bug."""
    if isinstance(error, InputError):
        return str(error)
    if device.out_of_memory(error):
        device.drop_caches()
        return "The memory ran out. Please choose fewer samples."
    return ""


class _Job:
    """The part of a task that `execute` uses. Items leave by the side door `found`, steps are numbered through."""

    def __init__(self, job: Iterator[Step | Item], steps: int, found: deque):
        self._job, self._total, self._found = job, steps, found

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Any]:
        done = calls = latest = 0
        try:
            for item in self._job:
                if not isinstance(item, Step):
                    self._found.append(item)
                    # Nobody needs what is yielded here; between two items a stop is seen.
                    yield True
                    continue
                done += 1
                # Every run counts its calls from 1.
                calls += item.nfe - (latest if item.nfe > latest else 0)
                latest = item.nfe
                yield replace(item, index=done, total=max(done, self._total), nfe=calls)
        finally:
            self._job.close()
        # `execute` waits for one thing that is no Step as the sign of a complete run.
        yield True
