"""All ways from noise to data by name: solvers, and posterior samplers, which also agree with a measurement."""

from typing import Any

from engine import solvers, steering
from engine.errors import InputError
from engine.recipe import Recipe
from engine.solvers import SolverRow
from engine.steering import SteeringRow

Row = SolverRow | SteeringRow


def row(name: str) -> Row:
    """The row of a solver or of a steering sampler; no name stands for both. Raises InputError."""
    for entry in (*solvers.catalogue(), *steering.catalogue()):
        if entry.name == name:
            return entry
    raise InputError(f"There is no solver named {str(name)[:40]!r}.", "Solvers are known by short names.",
                     "Take a name that the page or the command solvers shows.", "solver")


def options(recipe: Recipe) -> dict[str, Any]:
    """The recipe's options that belong to its sampler."""
    known = {option.name for option in row(recipe.solver).options}
    return {name: value for name, value in recipe.options.items() if name in known}


def calls(recipe: Recipe) -> int:
    """Network calls of the recipe's sampler."""
    entry = row(recipe.solver)
    return entry.calls(recipe.steps) if isinstance(entry, SolverRow) else entry.calls(recipe.steps, **options(recipe))


def hint(name: str) -> str:
    """What it is good for, and for steering samplers what it costs and which measurements it takes, in a few words."""
    entry = row(name)
    if isinstance(entry, SolverRow):
        return entry.hint
    fewest, usual, _ = entry.steps
    noise = "knows of noise" if entry.noisy else "takes no noise"
    return f"{entry.hint} {entry.cost[0].upper()}{entry.cost[1:]}; {noise}; {fewest} steps and more, usually {usual}."
