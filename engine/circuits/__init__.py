"""Probabilistic circuits: laws of pictures in which every conditional that one asks for is exact."""

from engine.circuits.evidence import Evidence, Statement
from engine.circuits.mixture import Circuit, Posterior
from engine.circuits.storing import FILE, data_digest, read, write

__all__ = ["FILE", "Circuit", "Evidence", "Posterior", "Statement", "data_digest", "read", "write"]
