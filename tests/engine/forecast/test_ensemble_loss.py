"""Scores that teach: closed forms, what they are blind to, and that a member is one step of the sampler."""

import numpy as np
import pytest
import torch

from engine import schedules
from engine.rng import Rng
from engine.tasks.forecast import ensemble_loss, metrics, sampling, training, world
from engine.tasks.forecast.ensemble_loss import Harmonics, crps
from engine.tasks.forecast.linear import LAGS
from engine.training.spec import Batch
from tests.engine.forecast import small

SCHEDULE, WORLD = schedules.cosine(), world.WORLD
HARMONICS = Harmonics(WORLD.sphere)


@pytest.fixture(scope="module")
def network():
    return small.model(world.history(seed=1)).network


def _white(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_score_of_a_normal_law_is_its_closed_form():
    members, truth = _white(10, 200_000), _white(200_000, seed=1)
    # 2e5 draws: the standard error is 0.0012.
    assert float(crps(members, truth).mean()) == pytest.approx(np.pi**-0.5, abs=0.006)
    assert float(crps(members, truth, fair=0).mean()) == pytest.approx(1.1 * np.pi**-0.5, abs=0.006)
    assert torch.equal(crps(members[:1], truth), (members[0] - truth).abs())


def test_it_is_the_score_that_forecasts_are_judged_by():
    members, truth = _white(7, 3, 5, 6), _white(3, 5, 6, seed=1)
    wanted = metrics.fair_crps(members.transpose(0, 1).numpy(), truth.numpy(), np.ones(5))
    assert float(crps(members, truth).mean()) == pytest.approx(wanted, abs=1e-5)


def test_members_around_the_truth_are_drawn_together_unless_the_score_is_fair():
    for fair, pull in ((0.0, 0.25), (1.0, 0.0)):
        members = torch.tensor([[-1.0], [2.0]], requires_grad=True)
        crps(members, torch.zeros(1), fair).sum().backward()
        torch.testing.assert_close(members.grad[:, 0], torch.tensor([-pull, pull]))


def test_the_transform_is_that_of_the_world_and_strengths_forget_where_waves_are():
    maps = WORLD.sphere.synthesis(WORLD.noise(np.random.default_rng(0), 4))
    told = torch.from_numpy(maps).float()
    np.testing.assert_allclose(HARMONICS.analysis(told).numpy(), WORLD.sphere.analysis(maps), atol=1e-5)
    turned = told.roll(9, -1)
    torch.testing.assert_close(HARMONICS.strengths(turned), HARMONICS.strengths(told), atol=1e-4, rtol=1e-4)
    members, truth = told[:3, None], told[3:]
    apart = [float(HARMONICS.loss(shown, truth, spectral=weight)) for shown in (members, members.roll(9, -1))
             for weight in (0.0, 1.0)]
    # Turning the members changes what the grid says, and leaves the spectral part.
    assert abs(apart[2] - apart[0]) > 1e-3 and apart[3] - apart[2] == pytest.approx(apart[1] - apart[0], abs=1e-4)


def test_white_errors_are_a_field_on_the_sphere_with_the_spectrum_of_one_step(network):
    found = HARMONICS.strengths(network.noise_maps(_white(400, network.components))).square().mean(0)
    twice = torch.tensor([1.0] + [2.0] * 21)
    by_degree = (found * twice).sum(-1)[1:]
    wanted = torch.from_numpy((2 * np.arange(22) + 1) * WORLD.power * (1 - WORLD.memory**2))[1:].float()
    # 400 draws of 3 numbers at least, and the law is learned from a history: a tenth.
    torch.testing.assert_close(by_degree, wanted, rtol=0.12, atol=0)


def test_a_member_is_one_step_of_the_sampler(network):
    torch.nn.init.normal_(network.shaper.leave.weight, std=0.05)
    past, start = torch.zeros(3, LAGS, network.components), np.array(["2001-03-01"] * 3, "datetime64[s]")
    emulator = sampling.plain_emulator(network, SCHEDULE)
    moment, = emulator.run(past, start, 6, 1, Rng(0, 3), solver_steps=1)
    when = torch.from_numpy(np.stack(sampling.phases(start), -1)).float()
    noise = Rng(0, 3).normal(network.components)
    found = network.linear(past) + network.coloured(ensemble_loss.drawn(network, SCHEDULE, past, when, noise))
    plain = network.linear(past) + network.coloured(noise)
    torch.nn.init.zeros_(network.shaper.leave.weight)
    # The sampler may run in bfloat16.
    torch.testing.assert_close(found, moment.state, atol=0.02, rtol=0)
    assert (found - plain).abs().max() > 0.05


def test_the_untrained_generator_has_the_optimal_score_and_learns_by_all_its_parts(network):
    torch.manual_seed(0)
    x0 = _white(8, network.components, seed=3)
    batch = Batch(x0, conditions={"past": torch.randn(8, LAGS, network.components), "when": torch.rand(8, 2)})
    network.requires_grad_(True)
    made = ensemble_loss.loss(Harmonics(WORLD.sphere), 4, network, batch, SCHEDULE, "v",
                              torch.Generator().manual_seed(0))
    made.backward()
    assert network.shaper.leave.weight.grad.abs().max() > 0 and network.reader.leave.weight.grad.abs().max() > 0
    network.requires_grad_(False)
    noise = torch.stack([network.noise_maps(_white(8, network.components, seed=k)) for k in range(10, 14)])
    grid = HARMONICS.loss(noise, network.noise_maps(x0), spectral=0)
    # 8 maps of some 200 independent places.
    assert float(grid) == pytest.approx(WORLD.optimal_crps(1), rel=0.06)
    assert float(grid) < float(made.detach()) < 1.5 * float(grid)


def test_it_is_a_way_of_training_the_model_of_the_world(monkeypatch):
    short = world.history(seed=2)
    monkeypatch.setattr(world, "history", lambda: short)
    made = training.specs(None)["forecast_sphere_crps"]()
    assert made.start_from == "forecast_sphere" and made.loss.func is ensemble_loss.loss
    assert made.options == training.specs(None)["forecast_sphere"]().options
