"""What the server keeps in memory for a while: by keys that cannot be guessed, bounded in bytes and time."""

import secrets
import threading
import time
from collections import OrderedDict
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class Shelf(Generic[Kept]):
    """Values by key. The ones that were used longest ago go first; all go after `seconds`.

    limit_bytes: of all values together; the newest stays whatever its size.
    """

    def __init__(self, limit_bytes: int, seconds: float):
        self._limit, self._seconds = limit_bytes, seconds
        self._entries: OrderedDict[str, tuple[Kept, int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, value: Kept, size_bytes: int, key: str | None = None) -> str:
        """Keep a value and give its key: a new one, or the given one."""
        key = key or secrets.token_hex(20)
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = (value, size_bytes, time.monotonic())
            self._tidy()
        return key

    def get(self, key: str) -> Kept | None:
        """The value, None when it is not there any more."""
        with self._lock:
            self._tidy()
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def _tidy(self) -> None:
        oldest = time.monotonic() - self._seconds
        for key in [key for key, entry in self._entries.items() if entry[2] < oldest]:
            del self._entries[key]
        while len(self._entries) > 1 and sum(entry[1] for entry in self._entries.values()) > self._limit:
            self._entries.popitem(last=False)
