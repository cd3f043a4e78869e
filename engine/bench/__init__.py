"""Measurements of the engine itself: what it costs beyond the arithmetic and the network, and how exact it is."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from engine.bench.table import Table
from engine.errors import InputError

_MODULES = {"overhead": "overhead", "run": "whole_run", "sharing": "together", "accuracy": "accuracy",
            "solvers": "solvers", "slim": "slim"}
_WITH_DATA = frozenset({"solvers", "slim"})

__all__ = ["Table", "names", "run"]


def names() -> tuple[str, ...]:
    """The measurements that `run` knows."""
    return tuple(_MODULES)


def run(name: str | None = None, quick: bool = False, data: Path | None = None) -> list[Table]:
    """The tables of one measurement, or of all. quick: few repeats, enough to see that it works, too few to quote.

    data: folder of pictures for the measurements that compare with real ones. Raises InputError for an unknown name.
    """
    if name is not None and name not in _MODULES:
        raise InputError(f"There is no measurement named {str(name)[:40]!r}.",
                         fix="Choose one of " + ", ".join(_MODULES) + ".", field="name")
    tables: list[Table] = []
    for module in _MODULES.values() if name is None else [_MODULES[name]]:
        measure: Callable[..., list[Table]] = import_module(f"engine.bench.{module}").measure
        tables += measure(quick, data) if module in _WITH_DATA else measure(quick)
    return tables
