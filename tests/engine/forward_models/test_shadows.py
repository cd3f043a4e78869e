"""Points of which only shadows are seen, against laws whose conditional is known."""

import math

import pytest
import torch

from engine import grids, schedules, solvers
from engine.exact import Mixture
from engine.forward_models import Rendered, Seen, loss, shadows
from tests.engine.steering.cases import PRIOR
from tests.oracles import normal

COSINE = schedules.cosine()
CHAINS = 4000
CLUSTERS = Mixture(torch.tensor([0.6, 0.4]).double(), torch.tensor([[0.6, 0.5], [0.2, -0.7]]).double(),
                   torch.tensor([0.09, 0.04]).double())


def angles(degrees: float, count: int = CHAINS, dtype=torch.float64) -> torch.Tensor:
    return torch.full((count, 1), math.radians(degrees), dtype=dtype)


def sampled(estimate, context: Seen, view: torch.Tensor, steps: int = 40) -> torch.Tensor:
    """Points (B, 2): the signal after a run of second order on their shadow under another angle."""
    denoise = Rendered(estimate, shadows.render, COSINE, context, view)
    x = normal(len(view), 1, seed=5).to(view)
    times = grids.make("uniform", COSINE, steps)
    for step in solvers.solve("heun", denoise, x, times, COSINE):
        final = step.x
    found = denoise.signal
    assert torch.allclose(shadows.render(found, view), final, atol=1e-5)
    return found


def drawn(law, count: int, generator: torch.Generator) -> torch.Tensor:
    """Points of the correlated Gaussian of the other oracles."""
    noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return law.mean + noise @ torch.linalg.cholesky(law.covariance).T


def test_two_shadows_determine_a_point():
    triple = shadows.triple(normal(50, 2), torch.Generator().manual_seed(0))
    between = (triple.target.view - triple.context.view).sin().abs()
    assert between.min() >= math.sin(shadows.LEAST_ANGLE) - 1e-12
    rows = torch.stack([shadows.direction(seen.view) for seen in triple[:2]], 1)
    points = torch.linalg.solve(rows, torch.cat([seen.observation for seen in triple[:2]], 1))
    assert torch.allclose(shadows.render(points, triple.other.view), triple.other.observation)


@pytest.mark.parametrize("degrees", [40.0, 90.0, 140.0])
def test_the_exact_estimate_samples_the_points_behind_a_shadow(degrees):
    """Given the first coordinate 0.4 the second is a mixture, whatever shadow the run was on."""
    seen = 0.4
    variances, means = CLUSTERS.variances, CLUSTERS.means
    shares = (CLUSTERS.weights.log() - variances.log() / 2 - (seen - means[:, 0]) ** 2 / (2 * variances)).softmax(0)
    mean = shares @ means[:, 1]
    variance = shares @ (variances + (means[:, 1] - mean) ** 2)
    context = Seen(torch.full((CHAINS, 1), seen, dtype=torch.float64), angles(0))
    points = sampled(shadows.exact(CLUSTERS), context, angles(degrees))
    assert (points[:, 0] - seen).abs().max() < 1e-9
    # std 0.6: 4000 chains leave 5 standard errors of 0.05 in the mean and 0.04 in the variance.
    assert abs(points[:, 1].mean() - mean) < 0.05 and abs(points[:, 1].var() - variance) < 0.04
    assert abs((points[:, 1] > 0).double().mean() - shares[0]) < 0.05


def given(count: int, generator: torch.Generator):
    """Shadows of points of that Gaussian, single precision."""
    return shadows.triple(drawn(PRIOR, count, generator).float(), generator)


@pytest.fixture(scope="module")
def guesser():
    torch.manual_seed(0)
    network = shadows.Guesser(64, 0.5)
    losses = shadows.train(network, given, COSINE, rounds=2000)
    assert sum(losses[-100:]) < 0.8 * sum(losses[:100])
    return network.requires_grad_(False)


def test_from_shadows_alone_it_learns_which_points_belong_to_one(guesser):
    """The card's noise-free posterior behind a first coordinate of 0.9: mean 0.28 and variance 0.09."""
    single = torch.float32
    points = sampled(guesser, Seen(torch.full((CHAINS, 1), 0.9), angles(0, dtype=single)), angles(70, dtype=single))
    assert abs(points[:, 1].mean() - 0.28) < 0.06 and abs(points[:, 1].var() - 0.09) < 0.03


def test_the_law_of_the_points_comes_back_from_shadows_of_all_angles(guesser):
    seen = given(CHAINS, torch.Generator().manual_seed(9))
    points = sampled(guesser, seen.context, seen.target.view)
    assert (points.mean(0) - PRIOR.mean).abs().max() < 0.05
    assert (points.T.cov() - PRIOR.covariance).abs().max() < 0.03


def test_only_a_third_view_tells_where_across_the_line_a_point_lies():
    """The target alone pulls an estimate along its own direction."""
    seen = shadows.triple(normal(30, 2), torch.Generator().manual_seed(1))
    across = shadows.direction(seen.target.view + math.pi / 2)
    for other in (0.0, 1.0):
        point = normal(30, 2, seed=8).requires_grad_()
        loss(lambda *_, point=point: point, shadows.render, COSINE, seen, torch.full((30,), 0.5), normal(30, 1),
             other).backward()
        assert ((point.grad * across).sum(1).abs().max() > 1e-3) == (other > 0)
        assert (point.grad * shadows.direction(seen.target.view)).abs().max() > 1e-3
