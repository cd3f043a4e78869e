import threading
import time

import pytest

from engine.errors import InputError
from engine.runtime import places as module
from engine.runtime.settings import Limits


@pytest.fixture
def places(monkeypatch):
    monkeypatch.setattr(module, "limits", lambda: Limits(workers=2, queue=3))
    return module.Places()


def test_first_come_first_served(places):
    tickets = [places.enter() for _ in range(5)]
    assert [places.wait(ticket, 0) for ticket in tickets] == [0, 0, 1, 2, 3]
    places.leave(tickets[1])
    assert [places.wait(ticket, 0) for ticket in tickets[3:]] == [2, 3], "nobody overtakes"
    assert places.wait(tickets[2], 0) == 0
    assert places.counts() == (2, 2)


def test_a_full_queue_says_when_to_come_back(places):
    for _ in range(2):
        assert places.wait(places.enter(), 0) == 0
    waiting = [places.enter() for _ in range(3)]
    with pytest.raises(InputError, match=r"3 runs are waiting.*limit is 3.*about 1 min"):
        places.enter()
    places.leave(waiting[1])
    places.enter()


def test_leaving_the_queue_moves_the_others_up_and_twice_is_harmless(places):
    tickets = [places.enter() for _ in range(5)]
    for ticket in tickets[:2]:
        places.wait(ticket, 0)
    places.leave(tickets[2])
    places.leave(tickets[2])
    assert [places.wait(ticket, 0) for ticket in tickets[3:]] == [1, 2]
    for ticket in tickets:
        places.leave(ticket)
    assert places.counts() == (0, 0)


def test_a_waiting_run_starts_as_soon_as_a_place_is_free(places):
    tickets = [places.enter() for _ in range(3)]
    for ticket in tickets[:2]:
        places.wait(ticket, 0)
    threading.Timer(0.05, places.leave, [tickets[0]]).start()
    start = time.monotonic()
    assert places.wait(tickets[2], 10) == 0
    assert time.monotonic() - start < 5
