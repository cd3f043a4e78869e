"""Linear measurements against dense linear algebra, in float64 so that only rounding is allowed."""

import pytest
import torch

from engine.steering.operators import Operator
from tests.engine.steering.operators.cases import EXACT, ITERATIVE, LINEAR, SHAPE, dense
from tests.oracles import normal

ROUNDING = 1e-11  # of sums over some hundred numbers, raised by up to 1 / 0.03 where a blur is undone


@pytest.fixture(params=LINEAR)
def operator(request) -> Operator:
    return LINEAR[request.param]


@pytest.fixture(params=EXACT)
def exact(request) -> Operator:
    return EXACT[request.param]


def test_the_adjoint_is_the_transpose(operator):
    x = normal(*SHAPE)
    seen = operator.H(x)
    y = normal(*seen.shape, seed=1)
    assert torch.allclose((seen * y).sum(), (x * operator.adjoint(y)).sum(), atol=1e-10)


@pytest.mark.parametrize("name", [*EXACT, "pixels lost, then averages"])
def test_the_pseudo_inverse_satisfies_the_penrose_conditions(name):
    operator, x = LINEAR[name], normal(*SHAPE)
    seen = operator.H(x)
    assert torch.allclose(operator.H(operator.pinv(seen)), seen, atol=ROUNDING)
    y, z = normal(*seen.shape, seed=1), normal(*SHAPE, seed=2)
    assert torch.allclose(operator.pinv(operator.H(operator.pinv(y))), operator.pinv(y), atol=ROUNDING)
    # P H is an orthogonal projection: symmetric, besides idempotent.
    left, right = operator.pinv(operator.H(x)), operator.pinv(operator.H(z))
    assert torch.allclose((left * z).sum(), (x * right).sum(), atol=1e-10)


@pytest.mark.parametrize("name", ITERATIVE)
def test_thirty_conjugate_gradients_explain_what_a_composition_measured(name):
    operator = ITERATIVE[name]
    seen = operator.H(normal(*SHAPE))
    assert torch.allclose(operator.H(operator.pinv(seen)), seen, atol=1e-8)  # 72 to 200 values, well conditioned


def test_scaling_by_singular_values_agrees_with_the_dense_decomposition(exact):
    x = normal(*SHAPE)
    given = exact.by_singular_value(x, lambda s: torch.exp(-s))
    for sample in range(len(x)):
        matrix = dense(exact, sample)
        # H' H holds the squares of the singular values: V diag(exp(-s)) V' from its own decomposition.
        squares, axes = torch.linalg.eigh(matrix.T @ matrix)
        singular = squares.clamp(min=0).sqrt()
        singular[singular < 1e-6] = 0
        wanted = axes @ (torch.exp(-singular) * (axes.T @ x[sample].flatten()))
        assert torch.allclose(given[sample].flatten(), wanted, atol=1e-7)  # the square root halves the digits near 0


def test_the_unseen_directions_are_told_apart_from_the_seen(exact):
    x = normal(*SHAPE)
    seen = exact.by_singular_value(x, lambda s: (s > 0).double())
    assert torch.allclose(seen, exact.pinv(exact.H(x)), atol=ROUNDING)


@pytest.mark.parametrize("weight", [1e-3, 0.7])
def test_the_signal_solve_agrees_with_the_dense_one(operator, weight):
    b = normal(*SHAPE)
    solved = operator.solve(b, weight)
    for sample in range(len(b)):
        matrix = dense(operator, sample)
        system = matrix.T @ matrix + weight * torch.eye(matrix.shape[1], dtype=torch.float64)
        wanted = torch.linalg.solve(system, b[sample].flatten())
        assert torch.allclose(solved[sample].flatten(), wanted, atol=1e-8)  # 1 / weight times the rounding


@pytest.mark.parametrize(("prior", "noise"), [(0.6, 0.2), (1.0, 1e-4), (0.0, 0.3)])
def test_the_measurement_solve_agrees_with_the_dense_one(operator, prior, noise):
    r = normal(*operator.H(normal(*SHAPE)).shape, seed=1)
    solved = operator.solve_measured(r, prior, noise)
    for sample in range(len(r)):
        matrix = dense(operator, sample)
        system = prior * matrix @ matrix.T + noise * torch.eye(len(matrix), dtype=torch.float64)
        wanted = torch.linalg.solve(system, r[sample].flatten())
        assert torch.allclose(solved[sample].flatten(), wanted, rtol=1e-7, atol=1e-7)


def test_without_noise_the_measurement_solve_is_the_pseudo_inverse(operator):
    r = operator.H(normal(*SHAPE))
    explained = operator.adjoint(operator.solve_measured(r, 0.5, 0.0)) * 0.5
    assert torch.allclose(operator.H(explained), r, atol=1e-8)


@pytest.mark.parametrize("variances", [(0.7, 0.2), (1.0, 0.0), (0.0, 0.3)])
def test_the_correction_is_the_measurement_solve_brought_back(operator, variances):
    r = operator.H(normal(*SHAPE))
    wanted = operator.adjoint(operator.solve_measured(r, *variances))
    assert torch.allclose(operator.correction(r, *variances), wanted, atol=1e-7)


@pytest.mark.parametrize("weight", [0.3, 1e-3])
def test_the_proximal_step_minimises_its_two_terms(operator, weight):
    x0, y = normal(*SHAPE), operator.H(normal(*SHAPE, seed=1)) + 0.1
    x = operator.proximal(x0, y, weight)
    slope = operator.adjoint(operator.H(x) - y) + weight * (x - x0)
    assert slope.abs().max() < 1e-10


@pytest.mark.parametrize("weight", [0.0, 1e-9])
def test_a_proximal_step_of_no_weight_explains_the_measurement_in_single_precision(exact, weight):
    x0, y = normal(*SHAPE).float(), exact.H(normal(*SHAPE, seed=1).float())
    x = exact.proximal(x0, y, weight)
    assert torch.allclose(exact.H(x), y, atol=2e-5)
    unseen = (x - x0) - exact.pinv(exact.H(x - x0))
    assert unseen.abs().max() < 2e-5 / 0.03  # rounding, raised where a blur is undone


@pytest.mark.parametrize("noise", [1e-6, 1e-4])
def test_little_noise_keeps_the_measurement_solve_accurate_in_single_precision(exact, noise):
    r = exact.H(normal(*SHAPE))
    wanted = exact.solve_measured(r, 1.0, noise)
    given = exact.solve_measured(r.float(), 1.0, noise).double()
    assert (given - wanted).norm() < 1e-3 * wanted.norm()


def test_a_sample_is_solved_alike_alone_and_beside_others():
    operator, b = ITERATIVE["blur, then pixels lost"], normal(*SHAPE)
    b[1] *= 1e6
    for solve in (lambda x: operator.solve(x, 0.01), lambda x: operator.pinv(operator.H(x))):
        assert torch.allclose(solve(b)[:1], solve(b[:1]), atol=1e-12)


def test_the_frobenius_norm_is_that_of_the_dense_matrix(exact):
    given = exact.frobenius(normal(*SHAPE))
    wanted = torch.stack([dense(exact, sample).square().sum() for sample in range(len(given))])
    assert torch.allclose(given, wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ITERATIVE)
def test_the_estimated_frobenius_norm_comes_close(name):
    matrix = dense(ITERATIVE[name])
    # Variance of one probe: twice the squared entries of H'H off its diagonal; 32 probes, four standard errors.
    gram = matrix.T @ matrix
    spread = (2 * (gram.square().sum() - gram.diagonal().square().sum()) / 32).sqrt()
    assert (ITERATIVE[name].frobenius(normal(*SHAPE)) - gram.trace()).abs().max() < 4 * spread


def test_single_precision_stays_single_and_explains_the_measurement(operator):
    x = normal(*SHAPE).float()
    seen = operator.H(x)
    assert seen.dtype == operator.adjoint(seen).dtype == operator.pinv(seen).dtype == torch.float32
    assert operator.solve(x, 0.1).dtype == operator.solve_measured(seen, 1.0, 0.1).dtype == torch.float32
    if "svd" in operator.offers:
        assert torch.allclose(operator.H(operator.pinv(seen)), seen, atol=2e-5)


def test_an_operator_works_on_whatever_device_the_picture_is(exact):
    x = torch.empty(SHAPE, device="meta")
    seen = exact.H(x)
    for signal in (exact.adjoint(seen), exact.pinv(seen), exact.by_singular_value(x, torch.exp), exact.solve(x, 0.1)):
        assert signal.device.type == "meta" and signal.shape == x.shape


def test_gradients_flow_through_the_measurement(operator):
    x = normal(*SHAPE).requires_grad_()
    seen = operator.H(x)
    (gradient,) = torch.autograd.grad(seen.square().sum() / 2, x)
    assert torch.allclose(gradient, operator.adjoint(seen.detach()), atol=ROUNDING)


def test_the_flags_say_what_is_offered(operator):
    assert operator.linear and operator.differentiable
    assert ("svd" in operator.offers) == (operator in EXACT.values())
