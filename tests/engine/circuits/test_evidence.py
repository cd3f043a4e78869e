"""Soft evidence: how two pieces combine, and what a noisy state says."""

import math

import pytest
import torch

from engine.circuits import Evidence, Statement
from engine.errors import InputError


def test_precisions_add_up_and_nothing_is_neutral():
    value = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0]])
    first = Evidence(value, torch.tensor([0.5, 0.0, math.inf, math.inf, 0.0]))
    second = Evidence(-value, torch.tensor([1.5, 2.0, 0.5, math.inf, 0.0]))
    both = first & second
    assert both.variance.flatten().tolist() == pytest.approx([0.375, 0, 0.5, math.inf, 0])
    assert both.value[0, :3].tolist() == pytest.approx([0.5, 1, -1]) and float(both.value[0, 4]) == 1
    assert torch.equal((second & first).variance, both.variance)


def test_a_state_without_signal_says_nothing():
    x = torch.ones(2, 3)
    assert Evidence.of_state(x, 0.0, 1.0).variance.isinf().all()
    told = Evidence.of_state(x, 0.5, 0.2)
    assert float(told.value[0, 0]) == 2 and float(told.variance.flatten()[0]) == pytest.approx(0.16)


def test_a_mean_colour_is_the_mean_over_the_area():
    area = torch.tensor([[True, False], [True, True]])
    picture = torch.arange(12.0).reshape(3, 2, 2).double()
    stated = Statement.mean_colour(area, (0.1, 0.2, 0.3), 0.5)
    found = (stated.weights * picture).sum((1, 2, 3))
    torch.testing.assert_close(found, picture[:, area].mean(1))
    assert stated.variance.tolist() == [0.25] * 3


@pytest.mark.parametrize(("value", "variance"), [(0.0, -1.0), (0.0, math.nan), (math.nan, 1.0), (math.inf, 1.0)])
def test_impossible_evidence_is_refused(value, variance):
    with pytest.raises(InputError):
        Evidence(torch.full((1, 2), value), torch.tensor([variance]))
