"""Plans: every decision of a solver as data, step by step, independent of schedule and model.

The space is the one of USF (Liu et al., ICLR 2024, "A Unified Sampling Framework for Solver Searching"): where a run
stops, and per step the prediction that is extrapolated, the Taylor order, the start, the estimates of the derivatives,
their relaxation and the corrector. `engine.solvers.usf` runs a plan, `engine.search` finds one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor

from engine.errors import InputError

VERSION = 1
TEXT_BYTES = 1_000_000
MAX_STEPS = 1000
MAX_ORDER = 4
PREDICTIONS = ("noise", "data", "v3")
RELAXATIONS = ("none", "bh1", "bh2", "plus", "minus", "linear")  # the last takes a coefficient
CORRECTORS = ("none", "pseudo")
AFS = ("none", "zero_x0")
_HIGHEST = 100.0  # of a finite log-SNR
_LARGEST = 1e6  # of every other number
# How far a level may lie before the start of a schedule and still count as its start: rounding of stored times.
_START_SLACK = 1e-6


@dataclass(frozen=True)
class Derivative:
    """How one derivative in log-SNR is estimated at a step's start.

    points: the predictions that are compared with the one at the start, counted back from the newest (-1), distinct;
    derivative d needs at least d of them. relaxation: a factor 1 + O(h) on the derivative, see `usf.relaxation`; for
    "linear" it is 1 + coefficient h.
    """

    points: tuple[int, ...]
    relaxation: str = "none"
    coefficient: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "points", _sequence(self.points, "points of a derivative"))
        for point in self.points:
            _whole(point, "A point of a derivative", -MAX_STEPS, -1)
        if not self.points or len(set(self.points)) < len(self.points):
            raise _wrong(f"A derivative has the points {list(self.points)}.", "It needs at least one, each once.")
        _choice(self.relaxation, "A relaxation", RELAXATIONS)
        object.__setattr__(self, "coefficient", _number(self.coefficient, "A relaxation's coefficient"))
        if self.coefficient and self.relaxation != "linear":
            raise _wrong(f"The relaxation {self.relaxation} has the coefficient {self.coefficient:g}.",
                         "Only linear takes one.")


@dataclass(frozen=True)
class StepPlan:
    """The decisions of one step, which ends at the next level.

    prediction: what is extrapolated: "noise" (eps), "data" (x0) or "v3" (DPM-Solver-v3, needs the model's statistics).
    order: 1 to 4; order - 1 derivatives. start: -1 continues from the newest state (multistep), -p from the state p - 1
    levels before it (single step; the levels in between were its inner nodes). corrector: "pseudo" repeats the step one
    order higher with the prediction at its end, which costs no call. corrector_relaxation: of its first derivative.
    gain, corrector_gain: refined factors on the weights of the state, of its prediction and of every difference
    (`union`, and for the corrector the new point last); empty means 1.
    """

    prediction: str = "data"
    order: int = 1
    start: int = -1
    derivatives: tuple[Derivative, ...] = ()
    corrector: str = "none"
    corrector_relaxation: str = "none"
    gain: tuple[float, ...] = ()
    corrector_gain: tuple[float, ...] = ()

    def __post_init__(self):
        for name in ("derivatives", "gain", "corrector_gain"):
            object.__setattr__(self, name, _sequence(getattr(self, name), name))
        _choice(self.prediction, "A prediction", PREDICTIONS)
        _whole(self.order, "An order", 1, MAX_ORDER)
        _whole(self.start, "A start", -MAX_STEPS, -1)
        _choice(self.corrector, "A corrector", CORRECTORS)
        _choice(self.corrector_relaxation, "A corrector's relaxation", RELAXATIONS[:-1])
        if len(self.derivatives) != self.order - 1:
            raise _wrong(f"A step of order {self.order} has {len(self.derivatives)} derivatives.",
                         f"It needs {self.order - 1}.")
        for d, derivative in enumerate(self.derivatives, 1):
            if len(derivative.points) < d:
                raise _wrong(f"Derivative {d} is estimated from {len(derivative.points)} points.", f"It needs {d}.")
            if self.start in derivative.points:
                raise _wrong(f"A step that starts at {self.start} also lists {self.start} as a point.",
                             "A derivative compares other points with the start.")
        if self.prediction == "v3" and self.order + (self.corrector != "none") > MAX_ORDER:
            raise _wrong(f"A v3 step of order {self.order} has a corrector.", f"Its order would be above {MAX_ORDER}.")
        self._check_gains()

    def _check_gains(self) -> None:
        corrected = self.corrector != "none"
        if self.corrector_relaxation != "none" and not corrected:
            raise _wrong(f"A step without corrector has the corrector's relaxation {self.corrector_relaxation}.")
        for name, values, wanted in (("gain", self.gain, 2 + len(self.union)),
                                     ("corrector_gain", self.corrector_gain, 3 + len(self.union) if corrected else 0)):
            object.__setattr__(self, name, tuple(_number(value, f"A {name}") for value in values))
            if values and len(values) != wanted:
                raise _wrong(f"A step has {len(values)} values of {name}.", f"It needs {wanted} or none.")

    @cached_property
    def union(self) -> tuple[int, ...]:
        """All points of its derivatives, newest first."""
        return tuple(sorted({p for d in self.derivatives for p in d.points}, reverse=True))


@dataclass(frozen=True)
class Plan:
    """A whole run. Immutable; every way of making one raises InputError (field "plan") that names what is wrong.

    log_snr: N + 1 rising values of log(alpha / sigma), one per level of the run; the last may be inf (sigma = 0) and
    the first -inf (alpha = 0). steps: N. afs (analytical first step): "zero_x0" takes x0 = 0 at the first level instead
    of a call. title, model, model_sha256: what it is for; score: its validated error; found: how it was found.
    """

    log_snr: tuple[float, ...]
    steps: tuple[StepPlan, ...]
    afs: str = "none"
    title: str = ""
    model: str = ""
    model_sha256: str = ""
    score: float | None = None
    found: str = ""

    def __post_init__(self):
        for name in ("log_snr", "steps"):
            object.__setattr__(self, name, _sequence(getattr(self, name), name))
        _choice(self.afs, "The first step (afs)", AFS)
        for name in ("title", "model", "model_sha256", "found"):
            if not isinstance(getattr(self, name), str):
                raise _wrong(f"The plan's {name} is no text.")
        if self.score is not None:
            object.__setattr__(self, "score", _number(self.score, "The plan's score"))
        self._check_levels()
        for i, step in enumerate(self.steps):
            try:
                self._check_step(i, step)
            except InputError as error:
                raise _wrong(f"Step {i + 1} of {len(self.steps)} cannot be made. {error.what}", error.why) from None

    def _check_levels(self) -> None:
        if not 1 <= len(self.steps) <= MAX_STEPS:
            raise _wrong(f"The plan has {len(self.steps)} steps.", f"It needs 1 to {MAX_STEPS}.")
        if len(self.log_snr) != len(self.steps) + 1:
            raise _wrong(f"The plan has {len(self.log_snr)} levels and {len(self.steps)} steps.",
                         "It needs one level more than steps.")
        levels = tuple(v if v in (-math.inf, math.inf) else _number(v, "A level", _HIGHEST) for v in self.log_snr)
        object.__setattr__(self, "log_snr", levels)
        for i, (before, after) in enumerate(pairwise(levels)):
            if not before < after:
                raise _wrong(f"The log-SNR goes from {before:g} to {after:g} in step {i + 1}.", "It must rise.")
        if self.calls < 1:
            raise _wrong("The plan never asks the model.", "Its only step is made without a call (afs).")

    def _check_step(self, i: int, step: StepPlan) -> None:
        oldest = -(i + 1)
        for point in (step.start, *step.union):
            if point < oldest:
                raise _wrong(f"It looks {-point} predictions back.", f"Only {i + 1} are known by then.")
        start, end = self.log_snr[self.node(i, step.start)], self.log_snr[i + 1]
        open_ended = not (math.isfinite(start) and math.isfinite(end))
        if open_ended and (step.order > 1 or step.corrector != "none" or step.prediction == "v3"):
            raise _wrong(f"It goes from log-SNR {start:g} to {end:g}.",
                         "Next to an infinite level only order 1 in noise or data form without corrector is defined.")
        if any(not math.isfinite(self.log_snr[self.node(i, p)]) for p in step.union):
            raise _wrong("It compares with the prediction at an infinite log-SNR.")
        if step.corrector != "none" and i == len(self.steps) - 1:
            raise _wrong("It is the last one and has a corrector.", "That would cost one more call.")

    @staticmethod
    def node(i: int, point: int) -> int:
        """Number of the level at which step i (from 0) finds `point`, which counts back from the newest (-1)."""
        return i + 1 + point

    @property
    def calls(self) -> int:
        """Denoiser calls of a run."""
        return len(self.steps) - (self.afs != "none")

    def times(self, schedule) -> Tensor:
        """The N + 1 decreasing times at which `schedule` has these levels, float64.

        Raises InputError when the plan starts with more noise than the schedule does, or when two levels fall together.
        """
        first = schedule.log_snr(schedule.start)
        if self.log_snr[0] < first - _START_SLACK:
            raise _wrong(f"The plan starts at log-SNR {self.log_snr[0]:.4g}.",
                         f"This model's noise schedule starts at {first:.4g}.", "Choose a plan made for this model.")
        times = [schedule.time_at(level) if level < math.inf else 0.0 for level in self.log_snr]
        if self.log_snr[0] <= first + _START_SLACK:
            times[0] = schedule.start
        for i, (before, after) in enumerate(pairwise(times)):
            if not after < before:
                raise _wrong(f"Step {i + 1} of the plan goes from log-SNR {self.log_snr[i]:g} to "
                             f"{self.log_snr[i + 1]:g}.", "This model's noise schedule cannot tell these levels apart.")
        return torch.tensor(times, dtype=torch.float64)

    def write(self) -> str:
        """JSON on one line; equal plans give equal text. Infinite levels are written as "inf" and "-inf"."""
        values = asdict(self)
        values["log_snr"] = [v if math.isfinite(v) else str(v) for v in self.log_snr]
        return json.dumps({"version": VERSION, **values}, sort_keys=True, allow_nan=False)

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """The plan in a JSON text: `Plan.read(plan.write()) == plan`. Raises InputError for everything else."""
        values = _parsed(text)
        version = values.pop("version", None)
        if version != VERSION or isinstance(version, bool):
            raise _wrong(f"The plan's version is {_shown(version)}.", f"This program reads version {VERSION}.")
        levels = _sequence(values.get("log_snr"), "log_snr")
        values["log_snr"] = tuple({"inf": math.inf, "-inf": -math.inf}.get(v, v) if isinstance(v, str) else v
                                  for v in levels)
        values["steps"] = tuple(_step(entry) for entry in _sequence(values.get("steps"), "steps"))
        return _made(cls, values)


def _step(entry: Any) -> StepPlan:
    if isinstance(entry, dict) and "derivatives" in entry:
        listed = _sequence(entry["derivatives"], "derivatives")
        entry = {**entry, "derivatives": tuple(_made(Derivative, value) for value in listed)}
    return _made(StepPlan, entry)


def _made(kind: type, values: Any):
    """One of the classes above from its JSON object."""
    if not isinstance(values, Mapping):
        raise _wrong(f"The plan has {_shown(values)} in place of a list of named settings.")
    known = {f.name for f in fields(kind)}
    for key in values:
        if key not in known:
            raise _wrong(f"The plan has the unknown setting {_shown(key)}.", fix="Use one of " + ", ".join(known) + ".")
    try:
        return kind(**values)
    except TypeError as error:
        raise _wrong("A setting of the plan is missing or of the wrong kind.", f"{error}."[:120]) from None


def _parsed(text: str | bytes) -> dict[str, Any]:
    if len(text) > TEXT_BYTES:
        raise _wrong(f"The plan has {len(text)} bytes.", f"The limit is {TEXT_BYTES}.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _wrong("The plan is not readable.", "It must be JSON as this program saves it.") from None
    if not isinstance(value, dict):
        raise _wrong("The file holds no plan.", "A plan is a list of named settings.")
    return value


def _wrong(what: str, why: str = "", fix: str = "Choose another plan, or search for one.") -> InputError:
    return InputError(what, why, fix, "plan")


def _sequence(value: Any, name: str) -> tuple:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(f"The plan's {name} is {_shown(value)}.", "It must be a list.")
    return tuple(value)


def _number(value: Any, label: str, limit: float = _LARGEST) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= limit:
        raise _wrong(f"{label} is {_shown(value)}.", f"It must be a number from -{limit:g} to {limit:g}.")
    return float(value)


def _whole(value: Any, label: str, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _wrong(f"{label} is {_shown(value)}.", f"It must be a whole number from {low} to {high}.")


def _choice(value: Any, label: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise _wrong(f"{label} is {_shown(value)}.", "It must be one of " + ", ".join(allowed) + ".")


def _shown(value: Any) -> str:
    return repr(value)[:40]
