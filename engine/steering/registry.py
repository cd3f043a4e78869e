"""The catalogue of steering samplers: one row each, like the solvers', plus what the row asks of the measurement."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torch import Tensor

from engine.errors import InputError
from engine.options import Option, check_all
from engine.steering.operators import Operator
from engine.step import Step


@dataclass(frozen=True)
class SteeringRow:
    """What people need to know to choose a steering sampler.

    calls(steps, **options): denoiser calls of a run; options left out have their defaults. cost: the same in words.
    needs: what it asks of the operator, "pinv" (linear with a pseudo-inverse) or "gradient" (differentiable).
    noisy: whether it accounts for noise in the measurement. backprop: whether it differentiates the network.
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


_ROWS: dict[str, SteeringRow] = {}


def steering(name: str, *, title: str, hint: str, paper: str, cost: str = "1 network call per step",
             steps: tuple[int, int, int] = (20, 50, 250), calls: Callable[..., int] | None = None,
             options: tuple[Option, ...] = (), needs: str = "pinv", noisy: bool = False, backprop: bool = False,
             spacings: tuple[str, ...] = (), tags: tuple[str, ...] = ()):
    """Enter a generator function `f(denoise, x, times, schedule, *, y, operator, noise, rng, **options)`."""

    def enter(function):
        assert name not in _ROWS, f"steering sampler {name} is entered twice"
        _ROWS[name] = SteeringRow(name, title, hint, paper, cost, steps, calls or _one_call_per_step, function, options,
                                  needs, noisy, backprop, spacings, frozenset(tags))
        return function

    return enter


def catalogue() -> tuple[SteeringRow, ...]:
    """All steering samplers in the order in which they were entered."""
    return tuple(_ROWS.values())


def row(name: str) -> SteeringRow:
    """One row. Raises InputError with the known names."""
    if name not in _ROWS:
        raise InputError(f"There is no steering method named {str(name)[:40]!r}.",
                         fix="Choose one of " + ", ".join(_ROWS) + ".", field="method")
    return _ROWS[name]


def steer(name: str, denoise: Callable[..., Tensor], x: Tensor, times: Tensor, schedule, *, y: Tensor,
          operator: Operator, noise: float = 0.0, rng=None, **options) -> Iterator[Step]:
    """Sample what agrees with the prior behind `denoise` and with the measurement `y = operator.H(picture) + noise`.

    denoise, x, times, schedule, rng: as in `engine.solvers.solve`. y: the measurement, its first axis broadcasts over
    the samples. noise: its standard deviation, in the units of y (pictures in [-1, 1] double a figure quoted for
    [0, 1]). Yields one Step per denoiser call.
    Raises InputError for an unknown method or option, a value out of its range, or noise that the method cannot take.
    """
    entry = row(name)
    check_all(entry.title, entry.options, options)
    if not (math.isfinite(noise) and noise >= 0):
        raise InputError(f"The measurement noise is {noise!r}.", "It must be 0 or a positive number.", field="noise")
    if noise > 0 and not entry.noisy:
        raise InputError(f"{entry.title} works with measurements that have no noise, here it is {noise:g}.",
                         fix="Set the noise to 0 or choose another method.", field="noise")
    return entry.function(denoise, x, times, schedule, y=y, operator=operator, noise=float(noise), rng=rng, **options)


def _one_call_per_step(steps: int, **_options) -> int:
    return steps
