"""The bound of the laboratory: truth below it, and what is left of it for a model."""

import pytest
import torch

from engine import exact, schedules
from engine.step import Step
from engine.tasks.laboratory import bounds, problems


@pytest.mark.parametrize("error", [0.0, 0.2])
def test_the_truth_lies_below_the_bound(error):
    found = bounds.of_line("cosine", 20, "posterior", error)
    assert found.steps == 20 and 0 < found.true <= found.bound.total_variation


class _Normal:
    """A "model" whose pictures are normal numbers of deviation .2, where everything is known."""

    trained = schedules.cosine()
    law = exact.mixture([1.0], [[0.0] * 12], [0.04])

    def denoiser(self):
        plain = self.law.denoiser(self.trained)
        return lambda x, t: plain(x.flatten(1), t).reshape(x.shape)

    def noise(self, rng):
        return rng.normal(3, 2, 2).double()


def test_a_models_bound_is_measured_on_its_own_pictures(monkeypatch):
    monkeypatch.setattr(problems, "load", lambda name: _Normal())
    with torch.no_grad():
        *steps, found = bounds.of_model("any", 30)
    assert all(isinstance(step, Step) and step.total == bounds.calls(30) for step in steps)
    assert len(steps) == bounds.DRAWN_STEPS and bounds.calls(5) == bounds.DRAWN_STEPS + 5
    assert found.true is None and found.bound.upper and found.bound.discretisation is None
    # Of eps in x_t = alpha x0 + sigma eps nobody can predict more than all but this share; the denoiser of the law
    # predicts that much. 8 pictures of 12 numbers leave a spread of sqrt(2 / 96) = .14, of which three are allowed.
    chain = bounds.theory.chain(_Normal.trained, 30)
    signal, noise = 0.04 * chain.retained[1:], 1 - chain.retained[1:]
    least = bounds.theory._learning(chain, chain.betas, 12 * signal / (signal + noise))
    assert float(found.bound.learning.sum()) == pytest.approx(float(least.sum()), rel=0.43)
