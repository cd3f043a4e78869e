"""Tables of measurements and how their times are taken."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Row = dict[str, Any]


class Table(NamedTuple):
    """title: what was measured and on what machine, one line. rows: one dict per line, in the same keys."""

    title: str
    rows: list[Row]


def machine(dtype: str = "") -> str:
    """The facts a reader needs to judge a time. dtype: of the measured part, the networks' by default."""
    from engine.runtime import device

    facts = device.facts()
    threads = f"{facts['threads']} thread" + ("" if facts["threads"] == 1 else "s")
    return f"{facts['device']}, {facts['cores']} cores, {threads}, torch {facts['torch']}, {dtype or facts['dtype']}"


def medians_s(jobs: Mapping[str, Callable[[], Any]], repeats: int, shortest_s: float = 0.0) -> dict[str, float]:
    """Median seconds of each job. The jobs take turns, so that a disturbance of the machine meets all of them.

    repeats: turns after one to warm up. shortest_s: go on taking turns for at least so long.
    """
    for job in jobs.values():
        job()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    end = time.perf_counter() + shortest_s
    turns = 0
    while turns < repeats or time.perf_counter() < end:
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
        turns += 1
    return {name: statistics.median(values) for name, values in times.items()}
