"""Search for solvers: plans of a given number of calls for a given problem, by evolution and by gradients."""

from engine.search.evolution import search
from engine.search.problem import Problem, Progress, of_mixture, of_model, together
from engine.search.refine import refine

__all__ = ["Problem", "Progress", "of_mixture", "of_model", "refine", "search", "together"]
