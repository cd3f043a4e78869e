"""A contest of methods on one measurement: what is compared, checked, and what it will cost."""

import threading
from dataclasses import dataclass
from functools import lru_cache

import torch

from engine import models, steering
from engine.errors import InputError
from engine.io.pictures import Picture
from engine.tasks.inverse import baselines, measurements, methods, solving
from engine.tasks.inverse.solving import Case
from engine.tasks.laboratory import problems

SAME, OWN, EQUAL = "same", "own", "equal"
BUDGETS = {SAME: "The same number of steps for all", OWN: "Each method's usual number of steps",
           EQUAL: "Equal time: what these steps of DDNM take"}
CLASSICAL = "classical:"
"""Before the names of methods without a prior: "classical:bicubic"."""
STEPS, SAMPLES, MOST_METHODS, MOST_SEED = (1, 400), (1, 16), 20, 2**31 - 1
NOISE, GUIDANCE = (0.0, 2.0), (0.0, 20.0)
DRAWING_STEPS = 30
"""Solver steps with which the prior draws a truth."""
_PROBE_NOISE = 0.1
_timing = threading.Lock()
_GRADIENT = 3
"""A call with its gradient takes the time of so many calls, about."""
_CLASSICAL_S = 0.3
"""Seconds of a classical method on a small picture, about."""


@dataclass(frozen=True, eq=False)
class Contest:
    """What to compare. Checked when it is made: raises InputError naming the field.

    methods: names of steering rows and "classical:NAME" (`classical`). noise: None for what is usual of the kind.
    picture: its central square, made small, is the truth; None for one that the prior draws itself, with `draw` as its
    seed, so that the truth follows exactly the law that the methods assume. model, label, guidance: the prior, the
    class that it is told ("" for none), how strongly. budget: of `BUDGETS`; steps: for SAME and EQUAL.
    """

    methods: tuple[str, ...]
    measurement: str = "small4"
    noise: float | None = None
    picture: Picture | None = None
    draw: int = 0
    model: str = "flowers"
    label: str = ""
    guidance: float = 1.0
    budget: str = SAME
    steps: int = 20
    samples: int = 4
    seed: int = 0

    def __post_init__(self):
        kind = measurements.kind(self.measurement)
        object.__setattr__(self, "noise", kind.noise if self.noise is None else self.noise)
        for name, (low, high) in (("steps", STEPS), ("samples", SAMPLES), ("seed", (0, MOST_SEED)),
                                  ("draw", (0, MOST_SEED))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"{name} is {str(value)[:20]}.", f"It must be a whole number from {low} to {high}.",
                                 field=name)
        for name, (low, high) in (("noise", NOISE), ("guidance", GUIDANCE)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"{name} is {str(value)[:20]}.", f"It must be from {low:g} to {high:g}.", field=name)
        for name, known in (("model", priors_known()), ("budget", tuple(BUDGETS))):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {str(getattr(self, name))[:40]!r}.",
                                 fix="Choose one of " + (", ".join(known) or "none yet") + ".", field=name)
        problems.load(self.model).check(self.guidance, self.label)
        self._check_methods()

    def _check_methods(self) -> None:
        if not 1 <= len(set(self.methods)) == len(self.methods) <= MOST_METHODS:
            raise InputError(f"{len(self.methods)} methods were chosen, some of them twice or none.",
                             f"It takes 1 to {MOST_METHODS} different ones.", "Change the choice.", "methods")
        for name in self.methods:
            if str(name).startswith(CLASSICAL):
                if name not in classical(self.measurement):
                    raise InputError(f"{title(name)} is no method for this measurement.",
                                     f"It has {', '.join(map(title, classical(self.measurement))) or 'none'}.",
                                     "Choose another method.", "methods")
            else:
                steering.row(name)

    @property
    def number(self) -> int | None:
        """The class that the prior is told, as it knows it."""
        return problems.load(self.model).labels.index(self.label) if self.label else None


@dataclass(frozen=True)
class Entry:
    """A method's part. steps, calls: 0 for classical ones. able: whether it can serve the measurement."""

    method: str
    title: str
    steps: int
    calls: int
    able: bool


@dataclass(frozen=True)
class Cost:
    """What a contest will take, about. calls: of the network, with those that draw the truth."""

    methods: int
    calls: int
    seconds: float


def priors_known() -> tuple[str, ...]:
    """Names of the models that can be the prior: those that make pictures from noise."""
    return tuple(name for name in problems.names() if not problems.load(name).exact)


def classical(measurement: str) -> tuple[str, ...]:
    """Names of the methods without a prior that fit a kind of measurement."""
    return tuple(CLASSICAL + name for name in baselines.fitting(measurement))


def title(method: str) -> str:
    """The method's name for people."""
    if method.startswith(CLASSICAL):
        name = method.removeprefix(CLASSICAL)
        return name[:1].upper() + name[1:]
    return steering.row(method).title


def lineup(contest: Contest) -> tuple[Entry, ...]:
    """The methods with their steps and calls. For equal time each is timed once and then remembered."""
    measurement = measurements.kind(contest.measurement).make(models.card(contest.model).resolution_px)
    found = []
    for name in contest.methods:
        if name.startswith(CLASSICAL):
            found.append(Entry(name, title(name), 0, 0, True))
            continue
        row = steering.row(name)
        able = row.needs in measurement.offers and (row.noisy or contest.noise == 0)
        steps = _steps(contest, name) if able else 0
        found.append(Entry(name, row.title, steps, row.calls(steps) if able else 0, able))
    return tuple(found)


def plan(contest: Contest) -> Cost:
    """Methods, calls and seconds before anything is started. A few calls are timed once and then remembered."""
    entries = lineup(contest)
    drawing = 0 if contest.picture else DRAWING_STEPS
    steered = [entry for entry in entries if entry.steps]
    work = drawing + sum(entry.calls * (_GRADIENT if steering.row(entry.method).backprop else 1) for entry in steered)
    each = _timed(contest, "noise", True, "ddnm")
    seconds = work * each + _CLASSICAL_S * sum(entry.method.startswith(CLASSICAL) for entry in entries)
    return Cost(len(entries), drawing + sum(entry.calls for entry in entries), seconds)


def _steps(contest: Contest, name: str) -> int:
    if contest.budget == SAME:
        return contest.steps
    if contest.budget == OWN:
        return methods.own_steps(name)
    first = methods.yardstick(_probe(contest.model, contest.measurement, contest.noise > 0))
    allowed, each = contest.steps * _pace(contest, first), _pace(contest, name)
    return methods.equal_steps(allowed, each) if allowed and each else contest.steps


def _pace(contest: Contest, name: str) -> float:
    """Seconds per step of a method on such a case, timed once; 0 for one that cannot start, which will say why."""
    try:
        return _timed(contest, contest.measurement, contest.noise > 0, name)
    except InputError:
        return 0.0


def _guided(contest: Contest) -> tuple[int | None, float]:
    """A class and a guidance that cost the same as the contest's."""
    guided = bool(contest.label) and contest.guidance not in (0, 1)
    return (contest.number, 2.0) if guided else (None, 1.0)


def _timed(contest: Contest, kind: str, noisy: bool, name: str) -> float:
    # One after another: what is timed together is slow, and what is remembered twice may differ.
    with _timing:
        return _remembered(contest.model, kind, noisy, name, contest.samples, *_guided(contest))


@lru_cache(maxsize=256)
def _remembered(model: str, kind: str, noisy: bool, name: str, samples: int, number: int | None,
                guidance: float) -> float:
    _warm(model)
    return methods.step_seconds(_probe(model, kind, noisy), models.load(model), name, samples, guidance, number)


@lru_cache(maxsize=32)
def _probe(model: str, kind: str, noisy: bool) -> Case:
    """A case whose only purpose is to be timed: the measurement of a smooth ramp."""
    side = models.card(model).resolution_px
    ramp = torch.linspace(-0.8, 0.8, side).expand(1, 3, side, side)
    return solving.measured(ramp.contiguous(), kind, 0, _PROBE_NOISE * noisy)


@lru_cache(maxsize=8)
def _warm(model: str) -> None:
    """The first run of a model loads what is slow the first time."""
    methods.step_seconds(_probe(model, "noise", True), models.load(model), "ddnm", 1, steps=2)
