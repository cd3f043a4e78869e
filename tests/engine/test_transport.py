"""Fitting semi-discrete transport: energy and gradient, cases solved by hand, equal masses, prepared targets."""

import math

import pytest
import torch

from engine import exact, schedules
from engine.solvers.transport import Transport
from engine.transport import coordinates, diffuse, energy, fit, masses, nearest, prepare
from tests.oracles import normal

VP = schedules.vp_linear()
POINTS, HEIGHTS = normal(12, 2, seed=1), 0.3 * normal(12, seed=2)
DRAWS = 2000


def noise(seed=3, draws=DRAWS, size=2):
    """The noise that `masses` draws from a generator of this seed."""
    return torch.randn(draws, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_gradient_is_the_slope_of_the_energy():
    counted = masses(POINTS, HEIGHTS, DRAWS, torch.Generator().manual_seed(3)) - 1 / 12
    for i in range(12):
        step = torch.zeros(12, dtype=torch.float64)
        # So small that none of the draws changes its cell: the energy is linear there.
        step[i] = 1e-9
        slope = (energy(noise(), POINTS, HEIGHTS + step) - energy(noise(), POINTS, HEIGHTS - step)) / 2e-9
        assert slope.item() == pytest.approx(counted[i].item(), abs=1e-6)


def test_the_energy_is_convex():
    a, b = HEIGHTS, normal(12, seed=4)
    values = torch.stack([energy(noise(), POINTS, a + share * (b - a)) for share in torch.linspace(-1, 2, 31)])
    bends = values[2:] - 2 * values[1:-1] + values[:-2]
    assert bends.min() > -1e-12 and bends.max() > 1e-3


@pytest.mark.parametrize("targets", [[[0.8, 0.6], [-0.8, -0.6]], [[1.0, 0.5], [1.0, -0.5]]])
def test_two_targets_of_one_length_share_the_plane_at_their_bisector(targets):
    targets = torch.tensor(targets, dtype=torch.float64)
    found = fit(targets, iterations=300)
    # The wall lies (h_1 - h_0) / |y_0 - y_1| from the origin; the mass beside it follows from the normal density.
    wall = (found.heights[1] - found.heights[0]) / (targets[0] - targets[1]).norm()
    assert abs(wall.item()) < 5 * found.floor * math.sqrt(2 * math.pi)
    transport = Transport(targets, torch.zeros(2).double(), 1.0, 1.0)
    x = noise()
    nearer = (x @ targets.T).argmax(1)
    assert transport.carry(x).equal(targets[nearer])


def test_on_the_line_the_map_is_monotone_and_cuts_at_the_quantiles():
    count = 20
    targets = normal(count, 1, seed=8).sort(0).values
    found = fit(targets, iterations=1500)
    # Four times the spread that counting alone gives to perfect heights.
    assert (found.masses - 1 / count).abs().max() < 4 * found.floor and found.empty == 0
    assert found.gradient < 3 * found.floor
    walls = -found.heights.diff() / targets[:, 0].diff()
    quantiles = torch.special.ndtri(torch.arange(1, count) / count).double()
    density = (-quantiles.square() / 2).exp() / math.sqrt(2 * math.pi)
    # A wall gathers the counting errors of all cells on one side.
    assert ((walls - quantiles).abs() * density).max() < 4 * found.floor * math.sqrt(count)
    x = noise(size=1).sort(0).values
    assert Transport(targets, found.heights, 1.0, 1.0).carry(x)[:, 0].diff().min() >= 0


def test_many_dimensions_are_fitted_in_the_span_of_the_targets():
    targets = 2 + normal(40, 3, 10, 10, seed=9)
    points, scale = coordinates(targets)
    flat = (targets - targets.mean(0)).flatten(1)
    assert points.shape == (40, 40)
    torch.testing.assert_close(points @ points.T * scale**2, flat @ flat.T)
    found = fit(targets, iterations=400)
    assert (found.masses - 1 / 40).abs().max() < 0.1 / 40
    # The map counts the same masses with all 300 dimensions of noise.
    draws = 4000
    index = Transport(targets, found.heights, 1.0, 1.0).locate(normal(draws, 3, 10, 10, seed=10)).index
    spread = math.sqrt(1 / 40 / draws)
    assert (index.bincount(minlength=40) / draws - 1 / 40).abs().max() < 4 * spread + 0.1 / 40


def test_a_common_shift_moves_no_wall():
    shifted = Transport(POINTS + torch.tensor([3.0, -2.0]), HEIGHTS, 1.0, 1.0)
    assert shifted.locate(noise()).index.equal(Transport(POINTS, HEIGHTS, 1.0, 1.0).locate(noise()).index)


def test_targets_are_diffused_samples():
    law, log_snr = exact.toy(), -0.5
    clean = law.sample(4000, torch.Generator().manual_seed(0))
    alpha, sigma = VP(VP.time_at(log_snr))
    found = diffuse(clean, VP, log_snr)
    rest = (found - alpha * clean) / sigma
    # Three standard errors of a mean and of a variance of normal numbers.
    assert rest.mean(0).abs().max() < 3 / math.sqrt(4000)
    assert (rest.var(0) - 1).abs().max() < 3 * math.sqrt(2 / 4000)


def test_a_prepared_transport_holds_the_model_s_own_samples():
    law, seen = exact.toy(), []
    transport, found = prepare(law.denoiser(VP), VP, (2,), count=100, log_snr=-0.5, steps=15, iterations=200,
                               model_sha256="ab", on_progress=lambda done, total: seen.append((done, total)))
    assert transport.targets.shape == (100, 2) and transport.log_snr == pytest.approx(-0.5)
    assert transport.source == "model" and transport.model_sha256 == "ab" and found.empty == 0
    assert transport.targets.equal(transport.targets.half().float()) and transport.heights is found.heights
    assert seen[0] == (64, 100) and seen[-1] == (200, 200)
    marginal = law.marginal(*VP(VP.time_at(-0.5)))
    mean = marginal.weights @ marginal.means
    variance = marginal.weights @ (marginal.variances[:, None] + marginal.means**2) - mean**2
    assert ((transport.targets.mean(0) - mean).abs() < 4 * (variance / 100).sqrt()).all()
    again, _ = prepare(law.denoiser(VP), VP, (2,), count=100, log_snr=-0.5, steps=15, iterations=1)
    assert again.targets.equal(transport.targets)


def test_given_pictures_are_named_as_such():
    data = normal(20, 2)
    transport, _ = prepare(None, VP, (2,), data=data, iterations=1)
    assert transport.source == "data"
    torch.testing.assert_close(transport.targets.double(), diffuse(data, VP, transport.log_snr), rtol=0, atol=2e-3)


def test_nearest_neighbours():
    known = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 6.0]])
    report = nearest(torch.tensor([[0.0, 0.5], [4.0, 3.0]]), known)
    assert report.index.tolist() == [0, 1] and report.copies.tolist() == [True, False]
    # Root mean squares over 2 numbers; the neighbours among the known lie at 4, 4 and 6.
    torch.testing.assert_close(report.distance, torch.tensor([0.5, 3.0]) / math.sqrt(2))
    assert report.usual == pytest.approx(4 / math.sqrt(2))
