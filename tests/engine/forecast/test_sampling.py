"""The forecaster: a network that answers 0 is the linear inverse model, and rollouts are what they claim."""

import numpy as np
import pytest
import torch

from engine import networks, schedules
from engine.rng import Rng
from engine.tasks.forecast import sampling, training
from engine.tasks.forecast.linear import LAGS

SCHEDULE = schedules.cosine()
START = np.array(["2006-03-01"] * 3, "datetime64[s]")


@pytest.fixture(scope="module")
def network(record):
    torch.manual_seed(0)
    rows, columns = record.field.values.shape[1:]
    built = networks.build("forecaster", rows=rows, columns=columns, components=record.domain.components,
                           waves=len(record.model.climate.mean), annual=1, hourly=False, width=16, depth=2)
    built.load_state_dict(training.buffers(record), strict=False)
    return built.eval()


def _disturbed(network, scale=0.05):
    """The same network with last layers that are not zero."""
    changed = sampling.silent(network)
    torch.manual_seed(1)
    for last in (changed.reader.leave, changed.shaper.leave):
        torch.nn.init.normal_(last.weight, std=scale)
    return changed


def _ends(emulator, past, start, steps=2, seed=0, **more):
    moments = emulator.run(past, start, 24, steps, Rng(seed, len(past)), **more)
    return [moment.state for moment in moments if moment.state is not None]


def test_an_untrained_network_is_the_linear_inverse_model(network, record):
    past = torch.randn(3, LAGS, 12, generator=torch.Generator().manual_seed(0))
    found = _ends(sampling.plain_emulator(network, SCHEDULE), past, START)
    rng, told = Rng(0, 3), past.double().numpy()
    for state in found:
        # Runs start at the schedule's last time, where 0.9999 of the noise is noise.
        eta = rng.normal(12).double().numpy() * SCHEDULE(SCHEDULE.start)[1]
        expected = record.model.mean(told) + eta @ record.model.noise
        # float32 states and buffers, and x0 = alpha x formed and undone at each solver step.
        np.testing.assert_allclose(state.numpy(), expected, atol=2e-4)
        told = np.stack((expected, told[:, 0]), 1)


def test_other_solvers_approach_the_same_ensemble(network):
    past = torch.zeros(3, LAGS, 12)
    exact, = _ends(sampling.plain_emulator(network, SCHEDULE), past, START, 1)
    errors = []
    for count in (10, 20):
        near, = _ends(sampling.plain_emulator(network, SCHEDULE), past, START, 1, solver="dpmpp_2m", solver_steps=count)
        errors.append(float((near - exact).norm() / exact.norm()))
    assert errors[1] < 0.02 and errors[1] < errors[0] / 2


def test_a_shift_of_the_mean_arrives_in_the_ensemble(network):
    """With v = -sigma m the probability flow adds m to the noise; Heun's rule is exact to its second order."""
    past, shift = torch.zeros(3, LAGS, 12), torch.randn(3, 12, generator=torch.Generator().manual_seed(3))
    plain = sampling.plain_emulator(network, SCHEDULE)
    moved = sampling.Emulator(plain.network, lambda p, w: (shift, plain.read(p, w)[1]), plain.denoise, SCHEDULE)
    more = {"solver_steps": 20, "options": sampling.OPTIONS | {"variant": "heun"}}
    (before,), (after,) = _ends(plain, past, START, 1, **more), _ends(moved, past, START, 1, **more)
    wanted = network.coloured(shift)
    assert float((after - before - wanted).norm() / wanted.norm()) < 0.01


def test_the_deviation_that_is_left_arrives_in_the_ensemble(network):
    """For N(0, b^2) the probability flow turns noise eta into b eta; eight steps of Euler's rule come near."""
    narrow, past = sampling.silent(network), torch.zeros(3, LAGS, 12)
    narrow.breadth.data[0] = torch.log(torch.tensor(0.7))
    (wide,), (found,) = (_ends(sampling.plain_emulator(n, SCHEDULE), past, START, 1) for n in (network, narrow))
    fine, = _ends(sampling.plain_emulator(narrow, SCHEDULE), past, START, 1, solver_steps=80)
    # First order: a tenth of the step, a tenth of the error.
    assert float((fine / wide).mean()) == pytest.approx(0.7, abs=0.005)
    assert float((found / wide).mean()) == pytest.approx(0.7, abs=0.04)


def test_colouring_agrees_with_the_linear_model_and_with_maps(network, record):
    eta = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(network.coloured(eta).numpy(), eta.numpy() @ record.model.noise, atol=1e-4)
    np.testing.assert_allclose(network.noise_maps(eta).numpy(), network.maps(network.coloured(eta)).numpy(), atol=1e-4)
    np.testing.assert_allclose(network.maps(eta).numpy(), record.model.space.anomalies(eta.double().numpy()),
                               atol=1e-4)
    # A whitened map is damped, most where patterns are weak, and never turned around.
    ratio = network.whitened(network.noise_maps(eta)) / eta
    power = network.levels.square()
    torch.testing.assert_close(ratio, (power / (power + power.mean())).expand(5, -1), atol=1e-3, rtol=1e-3)


def test_members_do_not_depend_on_how_many_there_are(network):
    emulator = sampling.plain_emulator(_disturbed(network), SCHEDULE)
    past = torch.randn(1, LAGS, 12, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)
    three, one = _ends(emulator, past, START), _ends(emulator, past[:1], START[:1])
    for many, single in zip(three, one):
        # bfloat16 convolutions may sum in another order for another batch.
        torch.testing.assert_close(many[:1], single, atol=1e-2, rtol=0)
    assert (three[0][0] - three[0][1]).abs().max() > 0.1


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(network):
    emulator = sampling.plain_emulator(_disturbed(network), SCHEDULE)
    past = torch.zeros(3, LAGS, 12)
    first, again, other = (_ends(emulator, past, START, 1, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_reading_once_is_reading_at_every_call(network):
    changed = _disturbed(network)
    past, when = torch.randn(3, LAGS, 12), torch.rand(3, 2)
    x, t = torch.randn(3, 12), torch.tensor([0.2, 0.5, 0.9])
    with torch.no_grad():
        shift, features = changed.read(past, when)
        once = changed(x, t, cond=features, shift=changed.trusted(shift))
        torch.testing.assert_close(once, changed(x, t, past=past, when=when))
    assert once.abs().max() > 1e-3


def test_a_forecast_has_its_shape_unit_and_lead_order(network, record):
    from types import SimpleNamespace

    runner = sampling.plain_emulator(network, SCHEDULE)
    model = SimpleNamespace(network=network, schedule=SCHEDULE, denoiser=runner.denoise, __hash__=None)
    values, times = record.field.values, record.field.times
    at = int(np.flatnonzero(record.judged)[20])
    maps = sampling.forecast(_Hashable(model), values[at - 1:at + 1], times[at], 24, (1, 3), 5, 0)
    assert maps.shape == (5, 2, 8, 12) and maps.dtype == np.float32
    climate = record.model.climate.mean_at(times[at])
    assert np.abs(maps - climate).max() < 8 * record.field.values.std()
    # Spread grows with lead, and the first lead is nearer to the truth than the last.
    assert maps[:, 0].std(0).mean() < maps[:, 1].std(0).mean()


class _Hashable:
    def __init__(self, model):
        self.network, self.schedule, self.denoiser = model.network, model.schedule, model.denoiser


def test_what_is_stored_comes_back_from_the_weights(network, record):
    climate, space = sampling.climate_of(network), sampling.space_of(network)
    times, values = record.field.times[:50], record.field.values[:50].astype(np.float64)
    np.testing.assert_allclose(climate.anomalies(values, times), record.model.climate.anomalies(values, times),
                               atol=1e-3)
    np.testing.assert_allclose(space.states(values - 280), record.model.space.states(values - 280), atol=1e-2)


@pytest.mark.parametrize("shape, wraps", [((17, 33), False), ((8, 12), True)])
def test_half_the_grid_and_back_keeps_places(shape, wraps):
    from engine.networks.forecaster import Halve, doubled

    halve = Halve(1, 1, wraps)
    torch.nn.init.zeros_(halve.bias)
    torch.nn.init.zeros_(halve.weight)
    halve.weight.data[..., 1:3, 1:3] = 1 / 4
    y, x = torch.meshgrid(torch.arange(float(shape[0])), torch.arange(float(shape[1])), indexing="ij")
    plane = (y + (0 if wraps else 1) * 2 * x)[None, None]
    with torch.no_grad():
        back = doubled(halve(plane), shape, wraps)
    assert back.shape == plane.shape
    # Means of two and linear interpolation keep a plane, away from edges that are repeated.
    torch.testing.assert_close(back[..., 2:-2, 2:-2], plane[..., 2:-2, 2:-2])
    if wraps:
        wave = torch.cos(2 * torch.pi * x / shape[1])[None, None]
        with torch.no_grad():
            there, turned = (doubled(halve(v), shape, wraps) for v in (wave, wave.roll(2, -1)))
        torch.testing.assert_close(there.roll(2, -1), turned)
