"""What is kept for a while: by key, within its bytes, until its time is over."""

from ui import shelf
from ui.shelf import Shelf


def test_the_ones_used_longest_ago_go_first():
    kept = Shelf(10, 60)
    first, second = kept.put("a", 5), kept.put("b", 5)
    assert first != second and kept.get(first) == "a"
    third = kept.put("c", 5)
    assert (kept.get(first), kept.get(second), kept.get(third)) == ("a", None, "c")


def test_the_newest_stays_whatever_its_size():
    kept = Shelf(10, 60)
    kept.put("a", 5)
    assert kept.get(kept.put("b", 50)) == "b"


def test_all_go_after_their_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(shelf.time, "monotonic", lambda: now[0])
    kept = Shelf(10, 60)
    key = kept.put("a", 1)
    now[0] += 59
    assert kept.get(key) == "a"
    now[0] += 2
    assert kept.get(key) is None


def test_a_key_can_be_given_and_its_value_replaced():
    kept = Shelf(10, 60)
    kept.put("a", 4, "key")
    kept.put("b", 4, "key")
    assert kept.get("key") == "b" and kept.get("nothing") is None
