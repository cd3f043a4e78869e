"""Solvers: generators that carry noise to data. Importing this package fills the catalogue."""

# The order of these imports is the order of the menus.
# isort: off
from engine.solvers.registry import SolverRow, catalogue, count_calls, row, self_sufficient, solve, solver
from engine.solvers import first_order, heun, pndm, dpm_solver, dpmpp, unipc, resfusion
# isort: on

__all__ = ["SolverRow", "catalogue", "count_calls", "dpm_solver", "dpmpp", "first_order", "heun", "pndm",
           "resfusion", "row", "self_sufficient", "solve", "solver", "unipc"]
