"""One run for the page: from checked values to events, with the pace of earlier runs."""

import logging
import secrets
import shutil
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from engine.errors import InputError
from engine.io.save import save_result
from engine.recipe import Recipe
from engine.runtime.execution import Event, Finished, Working, execute
from engine.tasks.base import Result, Task

log = logging.getLogger("diffuscope.page")


class Pace:
    """Seconds per network call and sample of the last steps of each task, and after its last step, to tell how long
    the next run takes."""

    def __init__(self) -> None:
        self._runs: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=15))
        self._ends: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=5))
        self._lock = threading.Lock()

    def note(self, task: str, seconds: float, calls: int, samples: int) -> None:
        """Remember how long some calls of a run took."""
        if calls > 0 and samples > 0:
            with self._lock:
                self._runs[task].append(seconds / calls / samples)

    def note_end(self, task: str, seconds: float) -> None:
        """Remember how long a run took after its last step."""
        with self._lock:
            self._ends[task].append(seconds)

    def end_s(self, task: str) -> float:
        """Seconds from the last step to the result, the median of the last runs; 0 at first."""
        with self._lock:
            ends = list(self._ends[task])
        return median(ends) if ends else 0.0

    def seconds_per_call(self, task: str, samples: int) -> float | None:
        """The median of what was seen last, for this many samples; None at first."""
        with self._lock:
            runs = list(self._runs[task])
        return median(runs) * samples if runs else None


pace = Pace()


def new_id() -> str:
    """An id for a run: says nothing about who runs what."""
    return secrets.token_hex(6)


def new_seed() -> int:
    """A seed below 2**31, drawn by the operating system."""
    return secrets.randbelow(2**31)


def events(task: Task, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Event]:
    """The events of a run; closing this generator stops the run within one step."""
    first: tuple[float, int] | None = None
    last = 0.0
    with closing(execute(task, inputs, recipe)) as stream:
        for event in stream:
            now = time.monotonic()
            if isinstance(event, Working) and event.step is not None:
                # The way to the first step includes loading the weights, which the next run does not do again.
                first = first or (now, event.calls)
                pace.note(task.name, now - first[0], event.calls - first[1], recipe.samples)
                last = now
            elif isinstance(event, Finished) and first is not None:
                pace.note_end(task.name, now - last)
            yield event


@contextmanager
def saved(result: Result) -> Iterator[list[str]]:
    """The result's files in a folder that lives as long as the block. Names are ours, never those of the upload."""
    folder = Path(tempfile.mkdtemp(prefix="diffuscope-"))
    try:
        yield [str(path) for path in save_result(result, folder)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bug(where: str, run: str) -> InputError:
    """What people see of an error that is ours: only an id, whose traceback is in the log."""
    log.exception("%s of run %s failed", where, run)
    return InputError(f"Something went wrong in the program (id {run}).", fix="Please try again or report this id.")
