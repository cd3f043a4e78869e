"""The catalogue of steering samplers: one row each, like the solvers', plus what the row asks of the measurement."""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.errors import InputError
from engine.options import Option, check_all
from engine.steering.operators import Measurement
from engine.step import Step

NEEDS = {"pinv": "a pseudo-inverse of the measurement", "linear": "a linear measurement",
         "svd": "a linear measurement with known singular values", "mask": "a mask of known pixels",
         "gradient": "a gradient of the measurement", "derivative": "the exact derivative of the measurement"}


@dataclass(frozen=True)
class SteeringRow:
    """What people need to know to choose a steering sampler.

    calls(steps, **options): denoiser calls of a run; options left out have their defaults. cost: the same in words.
    needs: what it asks of the operator, one of `NEEDS`, which the operator must have among its `offers`.
    noisy: whether it accounts for noise in the measurement. backprop: whether it differentiates the network.
    learned: keyword argument that a run must supply beside the options, learned for the model ("circuit"), or "".
    Other fields mean what they mean for solvers.
    """

    name: str
    title: str
    hint: str
    paper: str
    cost: str
    steps: tuple[int, int, int]
    calls: Callable[..., int]
    function: Callable[..., Iterator[Step]]
    options: tuple[Option, ...] = ()
    needs: str = "pinv"
    noisy: bool = False
    backprop: bool = False
    spacings: tuple[str, ...] = ()
    tags: frozenset[str] = field(default_factory=frozenset)
    learned: str = ""


_ROWS: dict[str, SteeringRow] = {}


def steering(name: str, *, title: str, hint: str, paper: str, cost: str = "1 network call per step",
             steps: tuple[int, int, int] = (20, 50, 250), calls: Callable[..., int] | None = None,
             options: tuple[Option, ...] = (), needs: str = "pinv", noisy: bool = False, backprop: bool = False,
             spacings: tuple[str, ...] = (), tags: tuple[str, ...] = (), learned: str = ""):
    """Enter a generator function `f(denoise, x, times, schedule, *, y, operator, noise, rng, **options)`."""

    def enter(function):
        assert name not in _ROWS, f"steering sampler {name} is entered twice"
        assert needs in NEEDS, f"no measurement offers {needs}"
        _ROWS[name] = SteeringRow(name, title, hint, paper, cost, steps, calls or _one_call_per_step, function, options,
                                  needs, noisy, backprop, spacings, frozenset(tags), learned)
        return function

    return enter


def catalogue() -> tuple[SteeringRow, ...]:
    """All steering samplers in the order in which they were entered."""
    return tuple(_ROWS.values())


def self_sufficient() -> tuple[SteeringRow, ...]:
    """The samplers that run with every prior: those for which nothing must be learned first."""
    return tuple(entry for entry in _ROWS.values() if not entry.learned)


def names(measurement: Measurement | type[Measurement], held: Collection[str] | None = None) -> tuple[str, ...]:
    """Names of the samplers that can serve a measurement, or a class of them.

    held: what was learned for the prior, of what rows need; None for everything.
    """
    return tuple(entry.name for entry in _ROWS.values() if entry.needs in measurement.offers
                 and (not entry.learned or held is None or entry.learned in held))


def row(name: str) -> SteeringRow:
    """One row. Raises InputError with the known names."""
    if name not in _ROWS:
        raise InputError(f"There is no steering method named {str(name)[:40]!r}.",
                         fix="Choose one of " + ", ".join(_ROWS) + ".", field="method")
    return _ROWS[name]


def steer(name: str, denoise: Callable[..., Tensor], x: Tensor, times: Tensor, schedule, *, y: Tensor,
          operator: Measurement, noise: float = 0.0, rng=None, **options) -> Iterator[Step]:
    """Sample what agrees with the prior behind `denoise` and with the measurement `y = operator.H(picture) + noise`.

    denoise, x, times, schedule, rng: as in `engine.solvers.solve`. y: the measurement, its first axis broadcasts over
    the samples. noise: its standard deviation, in the units of y (pictures in [-1, 1] double a figure quoted for
    [0, 1]). options: the row's, and what must be `learned`. Yields one Step per denoiser call.
    Raises InputError for an unknown method or option, a value out of its range, noise or an operator that the method
    cannot take, what must be learned and is not given, and a measurement that is not finite or not of the size that the
    operator gives.
    """
    entry = row(name)
    check_all(entry.title, entry.options, {k: v for k, v in options.items() if k != entry.learned})
    if not (math.isfinite(noise) and noise >= 0):
        raise InputError(f"The measurement noise is {noise!r}.", "It must be 0 or a positive number.", field="noise")
    if noise > 0 and not entry.noisy:
        raise InputError(f"{entry.title} works with measurements that have no noise, here it is {noise:g}.",
                         fix="Set the noise to 0 or choose another method.", field="noise")
    require(entry.needs, entry.title, operator, noise)
    _check_measurement(x, y, operator)
    if entry.learned and options.get(entry.learned) is None:
        raise InputError(f"{entry.title} needs a {entry.learned} of this model.", "None was found beside its weights.",
                         "Choose another method, or make one with `python -m engine prepare`.", field="method")
    return entry.function(denoise, x, times, schedule, y=y, operator=operator, noise=float(noise), rng=rng, **options)


def require(need: str, title: str, operator: Measurement, noise: float = 0.0) -> None:
    """Raises InputError, naming the methods that can be used, when the operator does not offer what `title` needs."""
    if need in operator.offers:
        return
    able = [r.title for r in catalogue() if r.needs in operator.offers and (r.noisy or not noise) and r.title != title]
    condition = f"{operator.title} with noise" if noise else operator.title
    raise InputError(f"{title} cannot be used for {condition}.", f"It needs {NEEDS[need]}.",
                     f"Choose one of {', '.join(able)}." if able else "Choose another measurement.", field="method")


def _check_measurement(x: Tensor, y: Tensor, operator: Measurement) -> None:
    operator.check(x.shape)
    wanted = tuple(operator.H(torch.zeros_like(x[:1])).shape[1:])
    if tuple(y.shape[1:]) != wanted or len(y) not in (1, len(x)):
        raise InputError(f"The measurement has the shape {tuple(y.shape)}.",
                         f"A run of {len(x)} with {operator.title} needs (1 or {len(x)}, {str(wanted)[1:]}.",
                         "Give a measurement that fits the picture.", field="measurement")
    if not y.isfinite().all():
        raise InputError("The measurement holds numbers that are not finite.", fix="Give one without gaps.",
                         field="measurement")


def _one_call_per_step(steps: int, **_options) -> int:
    return steps
