"""Compositions: what the reverse chain can do and when conjugate gradients must help."""

import pytest
import torch

from engine.errors import InputError
from engine.steering.operators import (
    HDR,
    JPEG,
    AveragePool,
    Chain,
    GaussianBlur,
    Grey,
    Inpaint,
    NonlinearChain,
    compose,
)
from tests.engine.steering.operators.cases import REFINED, SHAPE, known
from tests.oracles import normal


def test_the_reverse_chain_alone_is_wrong_when_pixels_are_lost_before_averaging():
    plain = Chain(*REFINED.operators)
    seen = plain.H(normal(*SHAPE))
    assert (plain.H(plain.pinv(seen)) - seen).abs().max() > 0.05


def test_refining_further_than_needed_stays_exact_in_single_precision():
    chain = Chain(*REFINED.operators, refine=30)
    seen = chain.H(normal(*SHAPE).float())
    assert torch.allclose(chain.H(chain.pinv(seen)), seen, atol=1e-5)


def test_compose_refines_only_where_the_reverse_chain_is_not_exact():
    assert compose(Grey(), AveragePool(2), Inpaint(known(4, 6))).refine == 0
    assert compose(Inpaint(known(8, 12)), AveragePool(2)).refine > 0
    single = Grey()
    assert compose(single) is single


def test_a_chain_is_called_after_its_parts():
    assert compose(Grey(), Inpaint(known(4, 6))).title == "inpainting after colourisation"


def test_each_part_checks_what_reaches_it():
    compose(AveragePool(2), Inpaint(known(4, 6))).check(SHAPE)
    with pytest.raises(InputError, match="mask"):
        compose(AveragePool(2), Inpaint(known(8, 12))).check(SHAPE)
    with pytest.raises(InputError, match="colour"):
        compose(Grey(), Grey()).check(SHAPE)


def test_nonlinear_compositions_offer_what_all_parts_offer():
    stored_small = compose(AveragePool(2), JPEG(50))
    assert isinstance(stored_small, NonlinearChain) and stored_small.offers == {"pinv", "gradient"}
    assert not stored_small.linear and not stored_small.differentiable
    bright = compose(GaussianBlur(0.5), HDR())
    x = normal(1, 3, 16, 16)
    assert torch.equal(bright.H(x), HDR().H(GaussianBlur(0.5).H(x)))
    assert bright.differentiable and bright.offers == {"pinv", "gradient", "derivative"}
    assert torch.allclose(stored_small.pinv(stored_small.H(normal(1, 3, 32, 32)))[..., ::2, ::2],
                          stored_small.H(normal(1, 3, 32, 32)))
