"""Measurements: transpose, pseudo-inverse and singular values, in float64 so that only rounding is allowed."""

import pytest
import torch

from engine.steering import AveragePool, Chain, Identity, Inpaint, Operator
from tests.oracles import normal

ROUNDING = 1e-12
SHAPE = (2, 3, 8, 12)


def _known(*shape, seed=3):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6


EXACT = {
    "identity": Identity(),
    "inpaint": Inpaint(_known(8, 12)),
    "inpaint, a mask per sample": Inpaint(_known(2, 1, 8, 12)),
    "averages of 4": AveragePool(2),
    "averages of 16": AveragePool(4),
    "averages, some of them lost": Chain(AveragePool(2), Inpaint(_known(4, 6))),
    "averages of averages": Chain(AveragePool(2), AveragePool(2)),
}
# Losing pixels first leaves up to 4 known in a block of 2 x 2: 4 distinct singular values, so 4 conjugate gradients.
REFINED = Chain(Inpaint(_known(8, 12)), AveragePool(2), refine=4)


@pytest.fixture(params=[*EXACT, "refined"])
def operator(request) -> Operator:
    return EXACT.get(request.param, REFINED)


def test_the_adjoint_is_the_transpose(operator):
    x = normal(*SHAPE)
    seen = operator.H(x)
    y = normal(*seen.shape, seed=1)
    assert torch.allclose((seen * y).sum(), (x * operator.adjoint(y)).sum(), atol=1e-10)


def test_the_pseudo_inverse_satisfies_the_penrose_conditions(operator):
    x = normal(*SHAPE)
    seen = operator.H(x)
    again = operator.H(operator.pinv(seen))
    assert torch.allclose(again, seen, atol=ROUNDING)
    y, z = normal(*seen.shape, seed=1), normal(*SHAPE, seed=2)
    assert torch.allclose(operator.pinv(operator.H(operator.pinv(y))), operator.pinv(y), atol=ROUNDING)
    # P H is an orthogonal projection: symmetric, besides idempotent.
    left, right = operator.pinv(operator.H(x)), operator.pinv(operator.H(z))
    assert torch.allclose((left * z).sum(), (x * right).sum(), atol=1e-10)


@pytest.mark.parametrize("name", EXACT)
def test_scaling_by_singular_values_agrees_with_the_dense_decomposition(name):
    operator = EXACT[name]
    shape = (2, 1, 8, 12) if "sample" in name else (1, 1, 8, 12)
    basis = torch.eye(96, dtype=torch.float64).reshape(96, 1, 8, 12)
    x = normal(*shape)
    for sample in range(len(x)):
        one = Inpaint(operator.known[sample]) if "sample" in name else operator
        dense = one.H(basis).flatten(1).T
        # H' H holds the squares of the singular values: V diag(exp(-s)) V' from its own decomposition.
        squares, axes = torch.linalg.eigh(dense.T @ dense)
        singular = squares.clamp(min=0).sqrt()
        singular[singular < 1e-6] = 0
        wanted = axes @ (torch.exp(-singular) * (axes.T @ x[sample].flatten()))
        given = operator.by_singular_value(x, lambda s: torch.exp(-s))[sample].flatten()
        assert torch.allclose(given, wanted, atol=1e-7)  # the square root halves the digits near 0


def test_the_reverse_chain_alone_is_wrong_when_pixels_are_lost_before_averaging():
    plain = Chain(*REFINED.operators)
    seen = plain.H(normal(*SHAPE))
    assert (plain.H(plain.pinv(seen)) - seen).abs().max() > 0.05


def test_refining_further_than_needed_stays_exact_in_single_precision():
    chain = Chain(*REFINED.operators, refine=30)
    seen = chain.H(normal(*SHAPE).float())
    assert torch.allclose(chain.H(chain.pinv(seen)), seen, atol=1e-5)


def test_super_resolution_copies_each_average_over_its_block():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    averages = AveragePool(2).H(x)
    assert averages.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert AveragePool(2).pinv(averages)[0, 0, 0].tolist() == [2.5, 2.5, 4.5, 4.5]
