"""What the measurements of `python -m engine bench` say."""

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile

from engine.report.tables import Row, cell, folded, keys, table, verdict

MOST_ROWS = 14
"""A table with more rows than this is folded up, so that the section stays readable."""


def bench(tables: Sequence[Row]) -> Iterable[str]:
    for measured in tables:
        rows = measured["rows"]
        text = table([{key: cell(row.get(key)) for key in keys(rows)} for row in rows])
        yield f"**{measured['title']}**\n\n{text}" if len(rows) <= MOST_ROWS else folded(measured["title"], text)
        for column, (goal, met) in _BENCH_GOALS.items():
            if rows and column in rows[0]:
                missed = [f"{_label(row)} ({cell(row[column])})" for row in rows if not met(row)]
                yield verdict(goal, len(rows), missed)


def _label(row: Row) -> str:
    """What a row is about: the values that stand before its first measured number."""
    return " ".join(str(value) for value in takewhile(lambda value: not isinstance(value, float), row.values()))


def _cheap(row: Row) -> bool:
    less = row.get("diffusers ms") is None or row["ours ms"] < row["diffusers ms"]
    return less and (row["solver"] in _TWO_CALLS or row["over bare ms"] <= 0.05)


_TWO_CALLS = ("heun", "dpmpp_2s")
_BENCH_GOALS: dict[str, tuple[str, Callable[[Row], bool]]] = {
    "over bare ms": ("a step below the one of diffusers, and at most 0.05 ms over the bare arithmetic (solvers with "
                     "one call a step)", _cheap),
    "ratio": ("a run with previews at most at 1.05 times its bare network calls", lambda row: row["ratio"] <= 1.05),
    "throughput": ("runs at once at least at 1.3 times the throughput of the same runs one after another",
                   lambda row: row["throughput"] >= 1.3),
    "ours / diffusers": ("the best of ours at most at half the error of the best of diffusers",
                         lambda row: row["ours / diffusers"] <= 0.5),
}
