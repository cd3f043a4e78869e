"""The catalogue of solvers. One row per solver feeds the dropdown, its hint, the CLI, the docs and the tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.errors import InputError
from engine.options import Option, check_all
from engine.rng import Rng
from engine.step import Step


@dataclass(frozen=True)
class SolverRow:
    """What people need to know to choose a solver.

    calls(steps): denoiser calls of a run of `steps` steps from noise with some signal to clean data (sigma = 0);
    `count_calls` counts for any times. order: what the default options reach. steps: (fewest, default, most) that make
    sense. deterministic: with the default options.
    spacings: the grids it accepts, by name; empty means all. paper: where it comes from.
    needs: keyword argument that a run must supply beside the options ("plan", "statistics", "transport"), or "".
    takes: further ones that it may supply.
    """

    name: str
    title: str
    order: int
    nfe_per_step: float
    deterministic: bool
    hint: str
    paper: str
    steps: tuple[int, int, int]
    calls: Callable[[int], int]
    function: Callable[..., Iterator[Step]]
    options: tuple[Option, ...] = ()
    spacings: tuple[str, ...] = ()
    tags: frozenset[str] = field(default_factory=frozenset)
    needs: str = ""
    takes: tuple[str, ...] = ()


_ROWS: dict[str, SolverRow] = {}


def solver(name: str, *, title: str, order: int, nfe_per_step: float = 1, deterministic: bool = True, hint: str,
           paper: str, steps: tuple[int, int, int] = (5, 20, 100), calls: Callable[[int], int] | None = None,
           options: tuple[Option, ...] = (), spacings: tuple[str, ...] = (), tags: tuple[str, ...] = (),
           needs: str = "", takes: tuple[str, ...] = ()):
    """Enter a generator function `f(denoise, x, times, schedule, rng=None, **options)` in the catalogue."""

    def enter(function):
        assert name not in _ROWS, f"solver {name} is entered twice"
        _ROWS[name] = SolverRow(name, title, order, nfe_per_step, deterministic, hint, paper, steps,
                                calls or (lambda n: round(n * nfe_per_step)), function, options, spacings,
                                frozenset(tags), needs, takes)
        return function

    return enter


def catalogue() -> tuple[SolverRow, ...]:
    """All solvers in the order in which they were entered."""
    return tuple(_ROWS.values())


def self_sufficient() -> tuple[SolverRow, ...]:
    """The solvers that run on every denoiser: those that need no plan, statistics or transport made for it."""
    return tuple(entry for entry in _ROWS.values() if not entry.needs)


def row(name: str) -> SolverRow:
    """One row. Raises InputError with the known names."""
    if name not in _ROWS:
        raise InputError(f"There is no solver named {str(name)[:40]!r}.",
                         fix="Choose one of " + ", ".join(_ROWS) + ".", field="solver")
    return _ROWS[name]


def solve(name: str, denoise: Callable[..., Tensor], x: Tensor, times: Tensor, schedule, rng=None,
          **options) -> Iterator[Step]:
    """Run the named solver from `x` at times[0] to times[-1] and yield a Step after each step.

    denoise(x_t, t) -> x0: posterior mean, shapes (B, *). x: state at times[0]. times: decreasing, N+1 values
    (`engine.grids`). schedule: (alpha, sigma) of t. rng: needed by stochastic solvers, one stream per sample.
    options: the row's options, and what it needs and takes (`SolverRow.needs`, `.takes`) by those names.
    Raises InputError for an unknown solver, an unknown option, a value outside its range, or a need that is not met.
    """
    entry = row(name)
    check_all(entry.title, entry.options, {k: v for k, v in options.items() if k not in (entry.needs, *entry.takes)})
    if entry.needs and options.get(entry.needs) is None:
        raise InputError(f"{entry.title} needs a {entry.needs} of this model.", "None was found beside its weights.",
                         "Choose another solver, or make one with `python -m engine prepare`.", "solver")
    return entry.function(denoise, x, times, schedule, rng=rng, **options)


def count_calls(name: str, times: Tensor, schedule, **options) -> int:
    """Denoiser calls that a run over these times will make, found by running the solver on one number."""
    *_, last = solve(name, lambda x, t: x, torch.zeros(1), times, schedule, rng=Rng(0, 1), **options)
    return last.nfe
