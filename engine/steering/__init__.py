"""Posterior samplers: solvers that also agree with a measurement. To add one, write a module and import it here."""

# Importing a module enters its row in the catalogue, in this order.
from engine.steering import afdps, ddnm, ddrm, diffpir, dps, pigdm, red_diff, repaint, replacement, tiramisu  # noqa: F401
from engine.steering.operators import AveragePool, Chain, Identity, Inpaint, Measurement, Operator, compose
from engine.steering.registry import SteeringRow, catalogue, names, row, steer

__all__ = ["AveragePool", "Chain", "Identity", "Inpaint", "Measurement", "Operator", "SteeringRow", "catalogue",
           "compose", "names", "row", "steer"]
