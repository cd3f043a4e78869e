"""Precision weighting: identities, and a law whose predictability is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from engine import schedules
from engine.rng import Rng
from engine.tasks.forecast import precision, sampling
from engine.tasks.forecast.law import Law
from engine.tasks.forecast.linear import LAGS
from engine.tasks.forecast.precision import Attentive
from engine.tasks.forecast.task import weighed
from tests.engine.forecast import small

SCHEDULE = schedules.cosine()
START = np.array(["2006-03-01"] * 40, "datetime64[s]")


@pytest.fixture(scope="module")
def network(record):
    made = small.model(record).network
    for last in (made.reader.leave, made.shaper.leave):
        torch.nn.init.normal_(last.weight, std=0.05)
    return made


def _end(network, denoise=None, members=6):
    """The state after one step, and the estimates of its diffusion."""
    emulator = sampling.plain_emulator(network, SCHEDULE)
    if denoise is not None:
        emulator = replace(emulator, denoise=denoise(emulator.denoise))
    moments = list(emulator.run(torch.zeros(members, LAGS, 12), START[:members], 24, 1, Rng(0, members)))
    return moments[-1].state, [moment.step.x0 for moment in moments]


def test_maps_and_errors_are_each_others_inverse(network):
    eta = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network.unmapped(network.noise_maps(eta)), eta, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.0])
def test_without_attention_it_is_plain_guidance(network, weight):
    plain, _ = _end(network, lambda denoise: weighed(denoise, SCHEDULE, weight))
    found, _ = _end(network, lambda denoise: Attentive(denoise, SCHEDULE, network, weight, 0.0))
    # float32, to the map and back at each of eight calls.
    torch.testing.assert_close(found, plain, atol=1e-3, rtol=0)


def test_a_flat_precision_is_a_constant_guidance(network, monkeypatch):
    monkeypatch.setattr(precision, "unsettled", lambda seen: torch.ones_like(seen[0]))
    monkeypatch.setattr(precision, "_BEGUN", -1.0)
    calls = []

    def counted(denoise):
        def called(x, t, **cond):
            calls.append(float(t))
            return denoise(x, t, **cond)
        return Attentive(called, SCHEDULE, network, 1.0, 1.0)

    found, _ = _end(network, counted)
    # One estimate has nothing to be compared with, so the first call has the weight alone.
    plain, _ = _end(network, lambda denoise: lambda x, t, **cond: weighed(
        denoise, SCHEDULE, 1.0 if float(t) == calls[0] else 1.5)(x, t, **cond))
    torch.testing.assert_close(found, plain, atol=1e-3, rtol=0)
    assert len(calls) == sampling.STEPS


def test_attention_moves_what_the_network_says_and_forgets_between_steps_in_time(network):
    plain, _ = _end(network)
    found, _ = _end(network, lambda denoise: Attentive(denoise, SCHEDULE, network, 1.0, 2.0))
    assert (found - plain).abs().max() > 1e-3
    guided = Attentive(lambda x, t: torch.zeros_like(x), SCHEDULE, network, 1.0, 2.0)
    x = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
    first = [guided(x, t) for t in (0.9, 0.5, 0.1)]
    for before, after in zip(first, [guided(x, t) for t in (0.9, 0.5, 0.1)]):
        assert torch.equal(before, after)


def test_ranks_go_from_the_least_to_the_most_settled_and_flat_maps_are_a_half():
    found = precision.ranked(np.array([[[3.0, 1.0], [2.0, 9.0]], [[4.0, 4.0], [4.0, 4.0]]]))
    np.testing.assert_allclose(found, [[[1 / 3, 1], [2 / 3, 0]], [[0.5, 0.5], [0.5, 0.5]]], atol=1e-6)
    for still in ([torch.ones(2, 4, 5)] * 3, [torch.rand(2, 4, 5)]):
        assert not precision.unsettled(still).any()


def test_the_precision_of_the_linear_law_follows_its_known_variance(network):
    """Its estimates grow towards the noise that is drawn, so that their movement is the law's one-step variance."""
    silent = sampling.silent(network)
    # Some places are made six times as unsure as others.
    silent.roots.mul_(torch.linspace(0.5, 3, 96))
    _, estimates = _end(silent, members=40)
    found = precision.of_members(estimates, silent)
    _, spread = next(Law.of(silent).forecast(np.zeros((LAGS, 12))))
    assert spearmanr(found.ravel(), -spread.ravel()).statistic > 0.9
    assert found.min() == 0 and found.max() == 1
    assert precision.of_members(estimates[:1], silent) is None
