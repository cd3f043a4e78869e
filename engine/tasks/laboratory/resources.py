"""What some solvers need beside their options: searched plans, model statistics, transport maps."""

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.models import shelf
from engine.solvers import SolverRow, statistics, transport
from engine.solvers.plan import Plan

ASSETS = Path(__file__).resolve().parents[3] / "assets"
"""plans/*.json; models/NAME/ has what belongs to a model, problems/NAME/ what belongs to a known law."""


_FILES = {"statistics": statistics.FILE, "transport": transport.FILE}


def resources(row: SolverRow, problem: str, steps: int, sha256: str = "",
              given: Sequence[Plan] = ()) -> dict[str, Any]:
    """The keyword arguments that a solver needs beside its options, and those that it may take and that are there.

    problem: its name. steps: of the run. sha256: of the model's weights, "" for a known law. given: plans of a person,
    which come before the stored ones. Raises InputError when nothing that fits is there, or it is another model's.
    """
    found = {}
    if row.needs == "plan":
        found["plan"] = plan(problem, steps, sha256, given)
    elif row.needs:
        found[row.needs] = _stored(problem, row.needs, sha256)
    for kind in row.takes:
        if _path(problem, kind, sha256).is_file():
            found[kind] = _stored(problem, kind, sha256)
    return found


def plan(problem: str, calls: int, sha256: str = "", given: Sequence[Plan] = ()) -> Plan:
    """The best plan with so many calls for a problem. Raises InputError with the numbers of calls that there are."""
    fitting = [found for found in given if found.calls == calls]
    stored = [found for found in plans() if found.model == problem and found.model_sha256 in ("", sha256)]
    fitting = fitting or [found for found in stored if found.calls == calls]
    if not fitting:
        known = sorted({found.calls for found in (*given, *stored)})
        raise InputError(f"There is no searched plan of {calls} calls for {problem[:60]}.",
                         "There are plans of " + ", ".join(map(str, known)) + " calls." if known else "There is none.",
                         "Choose such a number of steps, or search for a plan." if known else "Search for one first.",
                         "steps")
    return min(fitting, key=lambda found: math.inf if found.score is None else found.score)


def plans() -> tuple[Plan, ...]:
    """All stored plans. A file that is no plan raises InputError."""
    return tuple(_plan(path, path.stat().st_mtime_ns) for path in sorted((ASSETS / "plans").glob("*.json")))


@lru_cache(maxsize=256)
def _plan(path: Path, changed_ns: int) -> Plan:
    return Plan.read(path.read_bytes())


def _stored(problem: str, kind: str, sha256: str) -> Any:
    path = _path(problem, kind, sha256)
    if not path.is_file():
        raise InputError(f"There is no {kind} file for {problem[:60]}.",
                         f"It belongs in {'/'.join(path.parts[-4:])}.", "Choose another solver, or make the file.",
                         "solver")
    return _read(path, path.stat().st_mtime_ns, sha256)


def _path(problem: str, kind: str, sha256: str) -> Path:
    return (shelf.ROOT if sha256 else ASSETS / "problems") / problem / _FILES[kind]


@lru_cache(maxsize=8)
def _read(path: Path, changed_ns: int, sha256: str) -> Any:
    if path.name == statistics.FILE:
        return statistics.Statistics.read(path, sha256)
    return transport.read(path, sha256)
