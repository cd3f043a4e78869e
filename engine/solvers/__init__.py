"""Solvers: generators that carry noise to data. Importing this package fills the catalogue."""

# The order of these imports is the order of the menus.
# isort: off
from engine.solvers.registry import SolverRow, catalogue, count_calls, row, self_sufficient, solve, solver
from engine.solvers import first_order, heun, pndm, dpm_solver, dpmpp, unipc, usf, dpm_solver_v3, transport, resfusion
from engine.solvers import adaptive, time_shift, interpolant
# isort: on

__all__ = ["SolverRow", "adaptive", "catalogue", "count_calls", "dpm_solver", "dpm_solver_v3", "dpmpp", "first_order",
           "heun", "interpolant", "pndm", "resfusion", "row", "self_sufficient", "solve", "solver", "time_shift",
           "transport", "unipc", "usf"]
