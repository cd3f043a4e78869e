"""Fading: what the weights do to members, and that fitting finds a law whose best numbers are known."""

import numpy as np
import pytest
import torch

from engine import schedules
from engine.errors import InputError
from engine.rng import Rng
from engine.tasks.forecast import calibration, sampling
from engine.tasks.forecast.calibration import Cases
from engine.tasks.forecast.data import prepare, withheld
from engine.tasks.forecast.fading import Fading
from engine.tasks.forecast.linear import LAGS
from tests.engine.forecast import small

SCHEDULE = schedules.cosine()
START = np.array(["2006-03-01"] * 4, "datetime64[s]")
PAST = torch.randn(1, LAGS, 12, generator=torch.Generator().manual_seed(0)).expand(4, -1, -1)


@pytest.fixture(scope="module")
def network(record):
    """One whose mean is not that of the linear model."""
    made = small.model(record).network
    torch.nn.init.normal_(made.reader.leave.weight, std=0.05)
    return made


def _ends(network, fading, weight=1.0, count=4):
    network.fading.copy_(fading.numbers())
    emulator = sampling.plain_emulator(network, SCHEDULE)
    emulator = sampling.Emulator(network, emulator.read, emulator.denoise, SCHEDULE, weight)
    moments = emulator.run(PAST[:count], START[:count], 24, 3, Rng(0, count))
    found = torch.stack([moment.state for moment in moments if moment.state is not None])
    network.fading.copy_(Fading().numbers())
    return found


def test_as_it_is_made_it_changes_nothing(network):
    assert not Fading().changes and not Fading(reach_h=5).changes and Fading(mean=0.01).changes
    member, twin, linear = torch.randn(3, 4, 12)
    torch.testing.assert_close(Fading().applied(member, twin, linear, 48), member)
    assert Fading.of(network) == Fading()


def test_weights_start_at_one_and_are_a_half_after_their_time():
    trust, mean, spread = Fading(1 / 48, 1 / 96, 0.9, 1.1, 120).weights([0, 48, 96, 120, 500])
    np.testing.assert_allclose(trust[:2], [1, 0.5])
    np.testing.assert_allclose(mean[[0, 2]], [1, 0.5])
    np.testing.assert_allclose(spread, [0.9, 0.98, 1.06, 1.1, 1.1])


def test_without_trust_the_members_are_those_of_the_linear_model(network):
    from engine.tasks.forecast.sampling import silent

    full, none = _ends(network, Fading()), _ends(network, Fading(network=1e4))
    linear = _ends(silent(network), Fading())
    # float32 states, and x0 = alpha x formed and undone at each solver step.
    torch.testing.assert_close(none, linear, atol=1e-3, rtol=0)
    assert (full - linear).abs().max() > 0.1


def test_the_forecast_without_noise_is_what_is_left_without_spread_and_the_climate_without_a_mean(network, record):
    still = _ends(network, Fading(near=0, far=0))
    told = PAST[0].double().numpy()
    for state in still:
        expected = record.model.mean(told)
        np.testing.assert_allclose(state.numpy(), np.broadcast_to(expected, (4, 12)), atol=1e-3)
        told = np.stack((expected, told[0]))
    torch.testing.assert_close(_ends(network, Fading(mean=1e4, near=0, far=0)), torch.zeros(3, 4, 12), atol=1e-4,
                               rtol=0)


def test_members_stay_the_same_in_any_ensemble_and_guidance_of_zero_knows_no_fading(network):
    fading = Fading(1 / 24, 1 / 48, 0.8, 1.3, 72)
    # bfloat16 convolutions may sum in another order for another batch.
    torch.testing.assert_close(_ends(network, fading)[:, :2], _ends(network, fading, count=2), atol=1e-2, rtol=0)
    torch.testing.assert_close(_ends(network, fading, weight=0.0), _ends(network, Fading()))


def _gaussian(network_error, places=12):
    """Members of a twin law N(l, 1) whose truth is N(0.5 l, 4), and a network that adds noise of its own."""
    rng = np.random.default_rng(0)
    linear = rng.standard_normal((400, 1, places, places)).astype(np.float32)
    twin = linear + rng.standard_normal((400, 10, places, places)).astype(np.float32)
    member = twin + network_error * rng.standard_normal((400, 1, places, places)).astype(np.float32)
    truth = 0.5 * linear[:, 0] + 2 * rng.standard_normal((400, places, places)).astype(np.float32)
    return Cases([100], [(member, twin, linear)], [truth], np.ones(places))


def test_fitting_finds_the_mean_and_the_spread_of_a_known_law_and_drops_a_network_that_is_noise():
    found, left = calibration.fitted(_gaussian(3.0))
    trust, mean, spread = found.weights(100.0)
    # 400 x 144 truths of deviation 2: the slope of the mean is known to a per cent.
    assert mean == pytest.approx(0.5, abs=0.05) and spread == pytest.approx(2, abs=0.1) and trust < 0.15 and left < 0.9
    # With the true law the CRPS is that of a normal one, 2 / sqrt(pi).
    assert _gaussian(3.0).crps(found)[0] == pytest.approx(2 / np.sqrt(np.pi), rel=0.02)


def test_cases_lie_within_the_withheld_days_and_the_linear_model_has_not_seen_them(record, monkeypatch):
    days = withheld(record.field, record.domain)
    held = prepare(record.field, record.domain, left_out=days)
    assert not (held.training & days).any() and (held.training | days)[record.training].all()
    assert np.abs(held.model.transition - record.model.transition).max() > 0
    seen = []
    monkeypatch.setattr(calibration, "ensemble", lambda model, record, at, *rest: (
        seen.append(at), iter([np.zeros((len(at), 1, 8, 12))] * 3))[1])
    found = calibration.cases(held, days, small.model(record).network, SCHEDULE)
    assert len(seen) == 3 and found.hours == [24, 48, 72]
    for at in seen:
        assert len(at) > 20 and all(days[now - 1:now + 4].all() for now in at)


def test_a_network_that_answers_nothing_keeps_its_law(record):
    """On the invented record the linear model is the truth: twins are members, and little is to be gained."""
    days = withheld(record.field, record.domain)
    found = calibration.cases(prepare(record.field, record.domain, left_out=days), days, small.model(record).network,
                              SCHEDULE)
    for member, twin, linear in found.parts:
        np.testing.assert_allclose(member, twin, atol=0.02)
        assert linear.shape[1] == 1
    fading, left = calibration.fitted(found)
    assert left > 0.95
    # 40 starts of some 14 independent stretches.
    assert fading.weights(24.0)[2] == pytest.approx(1, abs=0.15)


def test_models_of_other_kinds_have_none(tmp_path):
    with pytest.raises(InputError, match="has no fading"):
        calibration.prepare_model("flowers", tmp_path)
