"""Who computes and who waits: first come, first served."""

import math
import statistics
import threading
import time
from collections import deque

from engine.errors import InputError
from engine.runtime.settings import limits


class Ticket:
    """One run's place: waiting, then computing. started_at: `time.monotonic()` of the change."""

    __slots__ = ("started_at",)

    def __init__(self):
        self.started_at: float | None = None


class Places:
    """As many places as the settings have workers, with a queue of bounded length in front of them. Thread-safe."""

    def __init__(self):
        self._changed = threading.Condition()
        self._waiting: list[Ticket] = []
        self._computing: set[Ticket] = set()
        self._seconds: deque[float] = deque(maxlen=20)

    def enter(self) -> Ticket:
        """Queue up. Raises InputError when the queue is full, with an estimate of when to come back."""
        with self._changed:
            # Whoever will compute at once does not lengthen the queue.
            ahead = len(self._waiting) - max(0, limits().workers - len(self._computing))
            if ahead >= limits().queue:
                raise InputError(f"The program is busy. {len(self._waiting)} runs are waiting.",
                                 f"The limit is {limits().queue}.", f"Please try again in about {self._minutes()} min.")
            ticket = Ticket()
            self._waiting.append(ticket)
            return ticket

    def wait(self, ticket: Ticket, timeout_s: float) -> int:
        """0 as soon as the run may compute; its place in the queue (1 is next) when the timeout passes first."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_next(ticket), timeout_s)
            if not self._is_next(ticket):
                return self._waiting.index(ticket) + 1
            self._waiting.remove(ticket)
            self._computing.add(ticket)
            ticket.started_at = time.monotonic()
            self._changed.notify_all()
            return 0

    def leave(self, ticket: Ticket) -> None:
        """Give the place, or the place in the queue, to the others. A second call does nothing."""
        with self._changed:
            if ticket in self._computing:
                self._computing.remove(ticket)
                self._seconds.append(time.monotonic() - ticket.started_at)
            elif ticket in self._waiting:
                self._waiting.remove(ticket)
            self._changed.notify_all()

    def counts(self) -> tuple[int, int]:
        """(runs that compute, runs that wait)."""
        with self._changed:
            return len(self._computing), len(self._waiting)

    def _is_next(self, ticket: Ticket) -> bool:
        return self._waiting[0] is ticket and len(self._computing) < limits().workers

    def _minutes(self) -> int:
        typical_s = statistics.median(self._seconds) if self._seconds else 10.0
        return max(1, math.ceil(typical_s * (len(self._waiting) + 1) / limits().workers / 60))
