"""The brightening upsampler's network: sizes, what it listens to, and the melding by time."""

import pytest
import torch

from engine import networks, schedules
from engine.networks.illumination import MELDS, Melding

TINY = {"width": 8, "encoder": (1, 1), "middle": 1, "decoder": (1, 1)}


def _randomised(network):
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05, generator=generator)
    return network.eval()


def _normal(*shape, seed=2):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("meld", MELDS)
@pytest.mark.parametrize("size", [(8, 8), (13, 21), (32, 8)])
def test_any_size_comes_back(size, meld):
    network = _randomised(networks.build("illumination", meld=meld, **TINY))
    out = network(_normal(2, 3, *size), torch.tensor([0.2, 1.0]), None, _normal(2, 8, *size, seed=3))
    assert out.shape == (2, 3, *size) and out.isfinite().all()


def test_the_shipped_size_is_slim_and_the_comparison_is_as_large():
    learned, concat = (networks.parameter_count(networks.build("illumination", meld=m)) for m in ("learned", "concat"))
    assert learned < 1.5e6 and concat == pytest.approx(learned, rel=0.02)


@pytest.mark.parametrize("meld", MELDS)
def test_time_state_and_every_part_of_the_condition_matter(meld):
    network = _randomised(networks.build("illumination", meld=meld, **TINY))
    x, cond, t = _normal(2, 3, 16, 16), _normal(2, 8, 16, 16, seed=3), torch.tensor([0.1, 0.6])
    out = network(x, t, cond=cond)
    others = [network(x, t + 0.05, cond=cond), network(x + 0.1, t, cond=cond)]
    others += [network(x, t, cond=cond.index_add(1, torch.tensor([c]), torch.ones(2, 1, 16, 16))) for c in range(8)]
    assert all((out - other).abs().max() > 1e-5 for other in others)


def test_a_new_network_gives_the_linear_base():
    """Where all is noise, the base is the noise itself: u = sigma eps, and resnoise is guessed as eps."""
    network, schedule = networks.build("illumination", **TINY), schedules.residual()
    eps, cond = _normal(1, 3, 16, 16), _normal(1, 8, 16, 16, seed=3)
    sigma, kept = schedule(1.0)[1], schedule.retained(1.0)
    out = network(sigma * eps + (1 - kept) * cond[:, :3], torch.ones(1), cond=cond)
    # At t = 1 nothing of the picture is kept but half of the degraded one, which the base takes off again.
    torch.testing.assert_close(out, eps + (1 - 2 * kept) * cond[:, :3] / sigma, atol=1e-4, rtol=1e-4)


def test_melding_lies_between_state_and_condition():
    state, condition, t = _normal(2, 8, 4, 4), _normal(2, 8, 4, 4, seed=3), torch.tensor([0.0, 1.0])
    melded = Melding("linear", 8, 16)(state, condition, _normal(2, 16), t)
    torch.testing.assert_close(melded, torch.stack((state[0], condition[1])))
    learned = Melding("learned", 8, 16)
    weight = learned.weight(_normal(2, 16), t)
    assert weight.shape == (2, 8) and ((weight > 0) & (weight < 1)).all()
    melded = learned(state, condition, _normal(2, 16), t)
    low, high = torch.minimum(state, condition), torch.maximum(state, condition)
    assert (melded >= low - 1e-6).all() and (melded <= high + 1e-6).all()


def test_weights_of_the_melding_are_shown_per_level():
    t = torch.linspace(0, 1, 5)
    learned = networks.build("illumination", **TINY).correction.weights(t)
    assert [w.shape for w in learned] == [(5, 8), (5, 16), (5, 32)]
    assert all(torch.equal(w[:, 0], t) for w in networks.build("illumination", meld="linear", **TINY)
               .correction.weights(t))
    assert networks.build("illumination", meld="concat", **TINY).correction.weights(t) == []
    with pytest.raises(ValueError, match="none of learned, linear, concat"):
        Melding("sum", 8, 16)
