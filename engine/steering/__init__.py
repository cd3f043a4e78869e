"""Posterior samplers: solvers that also agree with a measurement. To add one, write a module and import it here."""

# Importing a module enters its row in the catalogue; the order of these imports is the order of the menus.
# isort: off
from engine.steering import ddrm, ddnm, diffpir, pigdm, dps, replacement, repaint, red_diff, afdps, tiramisu  # noqa: F401
# isort: on
from engine.steering.operators import AveragePool, Chain, Identity, Inpaint, Measurement, Operator, compose
from engine.steering.registry import SteeringRow, catalogue, names, row, steer

__all__ = ["AveragePool", "Chain", "Identity", "Inpaint", "Measurement", "Operator", "SteeringRow", "catalogue",
           "compose", "names", "row", "steer"]
