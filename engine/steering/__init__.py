"""Posterior samplers: solvers that also agree with a measurement. To add one, write a module and import it here."""

from engine.steering import ddnm, repaint, replacement  # noqa: F401  (their rows enter the catalogue)
from engine.steering.operators import AveragePool, Chain, Identity, Inpaint, Measurement, Operator, compose
from engine.steering.registry import SteeringRow, catalogue, row, steer

__all__ = ["AveragePool", "Chain", "Identity", "Inpaint", "Measurement", "Operator", "SteeringRow", "catalogue",
           "compose", "row", "steer"]
