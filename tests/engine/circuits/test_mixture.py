"""Mixture circuits: queries against dense Gaussian algebra, against sums over a fine grid, and identities."""

import math

import pytest
import torch

from engine.circuits import Circuit, Evidence, Statement
from engine.errors import InputError
from engine.rng import Rng
from tests.oracles import normal

SHAPE, K, D = (1, 2, 3), 3, 4
P = math.prod(SHAPE)
# Pixels: known, softly known twice, unknown, known, unknown.
VARIANCE = torch.tensor([0.0, 0.3, 0.05, math.inf, 0.0, math.inf], dtype=torch.float64)
VALUE = 0.7 * normal(2, *SHAPE, seed=5)


def circuit(children=K, latents=D, pixels=SHAPE, rest=0.07) -> Circuit:
    size = math.prod(pixels)
    directions = torch.linalg.qr(normal(size, size, seed=1)).Q[:, :latents]
    return Circuit(normal(children, seed=2).exp(), normal(children, latents, seed=3),
                   0.4 * normal(children, latents, seed=4).exp(), 0.2 * normal(size, seed=6), directions, rest, pixels)


CIRCUIT = circuit()


def dense(law: Circuit):
    """Weight, mean (P,) and covariance (P, P) of each child over the pixels."""
    for weight, mean, variance in zip(law.weights, law.means, law.variances):
        covariance = (law.directions * variance) @ law.directions.T + law.rest * torch.eye(len(law.mean)).double()
        yield weight, law.mean + law.directions @ mean, covariance


def by_bayes(law: Circuit, rows, value, noise):
    """Posterior shares, means and covariances of the children, and log p(value), for value = rows x + N(0, noise)."""
    logs, means, covariances = [], [], []
    for weight, mean, covariance in dense(law):
        seen = rows @ covariance @ rows.T + torch.diag(noise)
        gain = torch.linalg.solve(seen, rows @ covariance).T
        gap = value - rows @ mean
        logs.append(weight.log() - (gap @ torch.linalg.solve(seen, gap) + torch.logdet(2 * math.pi * seen)) / 2)
        means.append(mean + gain @ gap)
        covariances.append(covariance - gain @ rows @ covariance)
    logs = torch.stack(logs)
    return logs.softmax(0), torch.stack(means), torch.stack(covariances), logs.logsumexp(0)


def moments(shares, means, covariances):
    mean = shares @ means
    gaps = means - mean
    return mean, torch.einsum("k,kpq->pq", shares, covariances + gaps[:, :, None] * gaps[:, None])


def expected(value, statements=()):
    told = VARIANCE.isfinite()
    rows = torch.cat([torch.eye(P).double()[told], *(s.weights.flatten(1) for s in statements)])
    values = torch.cat([value.flatten()[told], *(s.value for s in statements)])
    return by_bayes(CIRCUIT, rows, values, torch.cat([VARIANCE[told], *(s.variance for s in statements)]))


STATED = Statement(normal(2, *SHAPE, seed=8), torch.tensor([0.5, -1.0]).double(), torch.tensor([0.02, 0.4]).double())


@pytest.mark.parametrize("statements", [(), (STATED,), (STATED, Statement.mean_colour(
    torch.tensor([[False, True, True], [False, False, True]]), (0.3,), 0.1))], ids=["pixels", "stated", "colour"])
def test_conditionals_are_those_of_dense_algebra(statements):
    found = CIRCUIT.condition(Evidence(VALUE, VARIANCE.reshape(SHAPE)), [statements])
    for b in range(2):
        shares, means, covariances, log_likelihood = expected(VALUE[b], statements)
        mean, covariance = moments(shares, means, covariances)
        torch.testing.assert_close(found.shares[b], shares, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(found.mean[b].flatten(), mean, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(found.variance[b].flatten(), covariance.diag(), rtol=1e-7, atol=1e-9)
        assert float(found.log_likelihood[b]) == pytest.approx(float(log_likelihood), abs=1e-8)


def test_conditionals_are_those_of_a_sum_over_all_pictures():
    """Two pixels on a grid of 400 x 400 values, each picture weighed by hand."""
    law = circuit(2, 1, (2,), 0.1)
    axis = torch.linspace(-6, 6, 400, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    cell = (axis[1] - axis[0]) ** 2
    density = law.log_likelihood(x).exp() * cell
    # A smooth law whose tails end within the grid: the sum is exact to rounding.
    assert float(density.sum()) == pytest.approx(1, abs=1e-6)
    value, variance = torch.tensor([[0.4, -0.3]]).double(), torch.tensor([0.2, 0.6]).double()
    weighed = density * (-(x - value) ** 2 / (2 * variance)).sum(1).exp() / (2 * math.pi * variance.prod().sqrt())
    found = law.condition(Evidence(value, variance))
    assert float(found.log_likelihood[0]) == pytest.approx(float(weighed.sum().log()), abs=1e-6)
    posterior = weighed / weighed.sum()
    mean = posterior @ x
    torch.testing.assert_close(found.mean[0], mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.variance[0], posterior @ (x - mean) ** 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("statements", [(), (STATED,)], ids=["pixels", "stated"])
def test_samples_have_the_posterior_s_moments_and_keep_what_is_known(statements):
    count = 4000
    evidence = Evidence(VALUE[:1].expand(count, -1, -1, -1), VARIANCE.reshape(SHAPE))
    x = CIRCUIT.condition(evidence, [statements]).sample(Rng(0, count)).flatten(1)
    mean, covariance = moments(*expected(VALUE[0], statements)[:3])
    # Standard errors of a mean and of a covariance of 4000 draws, times four and a half, for 27 numbers.
    allowed = 4.5 * (covariance.diag() / count).sqrt() + 1e-9
    assert ((x.mean(0) - mean).abs() < allowed).all()
    spread = covariance.diag().sqrt()
    assert ((torch.cov(x.T) - covariance).abs() < 4.5 * 2 ** 0.5 * spread * spread[:, None] / count ** 0.5 + 1e-9).all()
    torch.testing.assert_close(x[:, VARIANCE == 0], evidence.value.flatten(1)[:, VARIANCE == 0], rtol=0, atol=1e-12)


def test_without_evidence_the_law_itself_is_left():
    nothing = CIRCUIT.condition(Evidence(VALUE, torch.tensor(math.inf)))
    parts = list(dense(CIRCUIT))
    mean, covariance = moments(torch.stack([w for w, _, _ in parts]), torch.stack([m for _, m, _ in parts]),
                               torch.stack([c for _, _, c in parts]))
    torch.testing.assert_close(nothing.mean[0].flatten(), mean)
    torch.testing.assert_close(nothing.variance[1].flatten(), covariance.diag())
    torch.testing.assert_close(CIRCUIT.pixel_variance().flatten(), covariance.diag())
    torch.testing.assert_close(nothing.shares[0], CIRCUIT.weights)
    assert nothing.log_likelihood.tolist() == pytest.approx([0, 0], abs=1e-12)


def test_with_everything_known_the_picture_is_left():
    all_known = CIRCUIT.condition(Evidence(VALUE, torch.zeros(1)))
    torch.testing.assert_close(all_known.mean, VALUE)
    assert float(all_known.variance.max()) == 0
    torch.testing.assert_close(all_known.log_likelihood, CIRCUIT.log_likelihood(VALUE))


def test_what_lies_under_unknown_pixels_has_no_influence():
    hidden = VALUE.clone().flatten(1)
    hidden[:, VARIANCE.isinf()] += 100
    first, second = (CIRCUIT.condition(Evidence(v, VARIANCE.reshape(SHAPE)))
                     for v in (VALUE, hidden.reshape(VALUE.shape)))
    assert torch.equal(first.mean, second.mean) and torch.equal(first.shares, second.shares)


def test_samples_do_not_depend_on_the_batch_and_may_have_masks_of_their_own():
    own = torch.stack([VARIANCE, VARIANCE.flip(0)]).reshape(2, *SHAPE)
    both = CIRCUIT.condition(Evidence(VALUE, own), [[STATED]])
    for b in range(2):
        alone = CIRCUIT.condition(Evidence(VALUE[b:b + 1], own[b]), [[STATED]])
        torch.testing.assert_close(both.mean[b:b + 1], alone.mean)
        torch.testing.assert_close(both.variance[b:b + 1], alone.variance)
        torch.testing.assert_close(both.sample(Rng(3, 2))[b:b + 1], alone.sample(Rng(3, 1, first=b)))


def test_less_sharpness_comes_nearer_to_the_weights():
    exact, softer, blind = (CIRCUIT.condition(Evidence(VALUE, VARIANCE.reshape(SHAPE)), sharpness=s).shares
                            for s in (1.0, 0.3, 0.0))
    torch.testing.assert_close(blind, CIRCUIT.weights.expand(2, -1))
    assert ((softer - blind).abs().sum() < (exact - blind).abs().sum())


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 3), (1, 6)])
def test_evidence_of_another_shape_is_refused(shape):
    with pytest.raises(InputError) as error:
        CIRCUIT.condition(Evidence(torch.zeros(1, *shape), torch.zeros(1)))
    assert error.value.field == "evidence"


@pytest.mark.parametrize("change", [{"rest": 0.0}, {"weights": torch.tensor([1.0, 0.0, 1.0])},
                                    {"means": torch.full((K, D), math.nan)}, {"variances": torch.ones(K, D + 1)},
                                    {"variances": -torch.ones(K, D)}, {"shape": (1, 2, 2)}])
def test_a_law_that_is_none_is_refused(change):
    fields = {name: getattr(CIRCUIT, name) for name in ("weights", "means", "variances", "mean", "directions", "rest",
                                                        "shape")}
    with pytest.raises(InputError):
        Circuit(**fields | change)
