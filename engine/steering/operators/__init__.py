"""What was measured of a picture. `compose(first, second, ...)` chains any of these."""

from engine.steering.operators.base import Identity, Measurement, Operator
from engine.steering.operators.blur import Blur, GaussianBlur, MotionBlur
from engine.steering.operators.chain import Chain, NonlinearChain, compose
from engine.steering.operators.colour import Grey
from engine.steering.operators.nonlinear import HDR, JPEG, PhaseRetrieval
from engine.steering.operators.sampling import AveragePool, Bicubic, CompressedSensing, Inpaint

__all__ = ["HDR", "JPEG", "AveragePool", "Bicubic", "Blur", "Chain", "CompressedSensing", "GaussianBlur", "Grey",
           "Identity", "Inpaint", "Measurement", "MotionBlur", "NonlinearChain", "Operator", "PhaseRetrieval",
           "compose"]
