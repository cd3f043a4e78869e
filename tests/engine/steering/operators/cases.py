"""The operators that every test of linear algebra runs on, for pictures of SHAPE, and their dense matrices."""

import torch
from torch import Tensor

from engine.steering.operators import (
    AveragePool,
    Bicubic,
    Blur,
    Chain,
    CompressedSensing,
    GaussianBlur,
    Grey,
    Identity,
    Inpaint,
    MotionBlur,
    Operator,
    compose,
)
from tests.oracles import normal

SHAPE = (2, 3, 8, 12)


def known(*shape: int, seed: int = 3) -> Tensor:
    """A mask in which 60 % of the pixels are known."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6


LOPSIDED = normal(3, 5, seed=4).abs()

EXACT: dict[str, Operator] = {
    "identity": Identity(),
    "inpaint": Inpaint(known(8, 12)),
    "inpaint, a mask per sample": Inpaint(known(2, 1, 8, 12)),
    "averages of 4": AveragePool(2),
    "averages of 16": AveragePool(4),
    "bicubic, half": Bicubic(2),
    "bicubic, a quarter": Bicubic(4),
    "blur": Blur(LOPSIDED),
    "blur with lost frequencies": GaussianBlur(0.9),
    "motion": MotionBlur(3.7, 30),
    "grey": Grey(),
    "compressed sensing": CompressedSensing(0.3, block=4, seed=5),
    "averages, some of them lost": Chain(AveragePool(2), Inpaint(known(4, 6))),
    "averages of averages": Chain(AveragePool(2), AveragePool(2)),
    "grey, then blurred": compose(Grey(), Blur(LOPSIDED)),
    "grey, averages, some of them lost": compose(Grey(), AveragePool(2), Inpaint(known(4, 6))),
    "a chain within a chain": compose(compose(Grey(), AveragePool(2)), Bicubic(2)),
}
# Losing pixels first leaves up to 4 known in a block of 2 x 2: 4 distinct singular values, so 4 conjugate gradients.
REFINED = Chain(Inpaint(known(8, 12)), AveragePool(2), refine=4)
ITERATIVE: dict[str, Operator] = {"pixels lost, then averages": REFINED,
                                  "blur, then averages": compose(Blur(LOPSIDED), AveragePool(2)),
                                  "blur, then pixels lost": compose(Blur(LOPSIDED, cutoff=0.3), Inpaint(known(8, 12)))}
LINEAR = EXACT | ITERATIVE


def dense(operator: Operator, sample: int = 0) -> Tensor:
    """H of one sample as a matrix (M, D)."""
    if getattr(operator, "known", None) is not None and operator.known.dim() == 4:
        operator = Inpaint(operator.known[sample])
    size = torch.Size(SHAPE[1:]).numel()
    basis = torch.eye(size, dtype=torch.float64).reshape(size, *SHAPE[1:])
    return operator.H(basis).flatten(1).T
