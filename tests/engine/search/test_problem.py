"""Problems: their references, their seeds, and several as one."""

import math

import pytest
import torch

from engine import exact, grids, schedules
from engine.search import of_mixture, together
from engine.solvers.plan import Plan, StepPlan
from engine.solvers.plans_named import named

SCHEDULE = schedules.vp_linear()


def gaussian(mean: float = 0.0, variance: float = 1.0) -> exact.Mixture:
    return exact.mixture([1.0], [[mean, mean]], [variance])


def test_the_reference_of_a_gaussian_is_its_affine_map():
    law = of_mixture(gaussian(0.5, 0.25), SCHEDULE)
    x, wanted = law.case(1, 16)
    alpha, sigma = SCHEDULE(SCHEDULE.start)
    # The flow of a Gaussian keeps (x - alpha mean) / standard deviation.
    spread = math.sqrt(alpha**2 * 0.25 + sigma**2)
    torch.testing.assert_close(wanted, 0.5 + 0.5 * (x - alpha * 0.5) / spread, rtol=0, atol=1e-6)


def test_noise_of_the_unit_law_is_scaled_to_the_schedule():
    x = of_mixture(gaussian(), schedules.edm()).draw(0, 4000)
    # The standard deviation of 8000 numbers is known to 0.8 %; five times that.
    assert float(x.std()) == pytest.approx(math.hypot(1, 80), rel=0.04)


def test_cases_are_computed_once_and_differ_by_seed():
    law = of_mixture(exact.toy(), SCHEDULE, steps=20)
    assert law.case(1, 4)[1] is law.case(1, 4)[1]
    assert not torch.equal(law.case(1, 4)[0], law.case(2, 4)[0])


def test_finer_plans_are_nearer_and_diverging_ones_infinitely_far():
    law = of_mixture(exact.toy(), SCHEDULE, steps=100)
    errors = [law.error(named("ddim", grids.make("log_snr", SCHEDULE, n), SCHEDULE), 0, 32) for n in (5, 10, 20)]
    assert errors == sorted(errors, reverse=True)
    wild = tuple(StepPlan(gain=(1e6, 1e6)) for _ in range(60))
    levels = (*torch.linspace(law.start_log_snr, 3.0, 60).tolist(), math.inf)
    assert law.error(Plan(levels, wild), 0, 4) == math.inf


def test_several_problems_as_one_answer_as_each_alone():
    laws = [of_mixture(part, SCHEDULE, steps=50) for part in exact.toy().split()]
    both = together(*laws)
    x, wanted = both.case(5, 7)
    assert x.shape == wanted.shape == (7, 2)
    for i, (law, share, end) in enumerate(zip(laws, x.tensor_split(2), wanted.tensor_split(2))):
        torch.testing.assert_close(share, law.draw(5 + i, len(share)))
        torch.testing.assert_close(end, law.reference(share), rtol=0, atol=1e-12)
        torch.testing.assert_close(both.denoise(x, torch.full((7,), 0.4)).tensor_split(2)[i], law.denoise(share, 0.4))
