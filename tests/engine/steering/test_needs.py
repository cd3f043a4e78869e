"""What steering methods ask of a measurement, and how they say no."""

import pytest
import torch

from engine import grids, schedules
from engine.errors import InputError
from engine.rng import Rng
from engine.steering import catalogue, row, steer
from engine.steering.operators import (
    HDR,
    JPEG,
    AveragePool,
    Bicubic,
    Blur,
    CompressedSensing,
    Grey,
    Identity,
    Inpaint,
    PhaseRetrieval,
    compose,
)
from engine.steering.registry import NEEDS, require
from tests.oracles import normal

SCHEDULE = schedules.cosine()
SIZE = (2, 3, 16, 16)


def run(name, operator, y, noise=0.0, steps=6):
    times = grids.make("uniform", SCHEDULE, steps)
    return steer(name, lambda x, t: 0.5 * x, normal(*SIZE), times, SCHEDULE, y=y, operator=operator, noise=noise,
                 rng=Rng(0, 2))


def test_every_row_asks_for_something_known():
    assert {entry.needs for entry in catalogue()} <= set(NEEDS)


def test_a_method_that_cannot_serve_names_those_that_can():
    operator = compose(Inpaint(torch.eye(16)), AveragePool(2))
    with pytest.raises(InputError) as error:
        run("repaint", operator, operator.H(normal(*SIZE)))
    assert error.value.field == "method" and "singular values" in error.value.why
    assert "DDNM" in error.value.fix and "RePaint" not in error.value.fix


@pytest.mark.parametrize("name", ["ddnm", "repaint", "replacement"])
def test_linear_methods_refuse_phase_retrieval(name):
    operator = PhaseRetrieval()
    with pytest.raises(InputError, match="phase retrieval") as error:
        run(name, operator, operator.H(normal(*SIZE)))
    assert all(entry.title not in error.value.fix for entry in catalogue() if entry.needs in ("pinv", "svd"))


def test_noise_can_ask_for_more():
    operator = JPEG(30)
    y = operator.H(0.3 * normal(1, *SIZE[1:]))
    last = list(run("ddnm", operator, y))[-1]
    assert (operator.H(last.x) - y).abs().mean() < 0.2 * y.abs().mean()
    with pytest.raises(InputError, match="JPEG repair with noise"):
        run("ddnm", operator, y, noise=0.1)


def test_require_passes_what_is_offered():
    require("mask", "Any method", Inpaint(torch.ones(2, 2)))
    with pytest.raises(InputError, match="mask of known pixels"):
        require("mask", "Any method", Grey())


@pytest.mark.parametrize("operator", [Bicubic(4), Grey(), CompressedSensing(0.3, 8), Blur(torch.ones(3, 3)), Identity(),
                                      compose(Grey(), Bicubic(2))], ids=lambda operator: operator.title)
@pytest.mark.parametrize("name", ["ddnm", "replacement"])
def test_without_noise_every_linear_measurement_is_explained(name, operator):
    y = operator.H(normal(*SIZE).clamp(-1, 1))
    steps = list(run(name, operator, y))
    assert torch.allclose(operator.H(steps[-1].x), y, atol=1e-10)


@pytest.mark.parametrize("operator", [Bicubic(4), Blur(torch.ones(3, 3)), CompressedSensing(0.3, 8)],
                         ids=lambda operator: operator.title)
def test_with_noise_every_decomposed_measurement_can_be_used(operator):
    y = operator.H(normal(*SIZE).clamp(-1, 1))
    assert all(torch.isfinite(step.x).all() for step in run("ddnm", operator, y, noise=0.1))


@pytest.mark.parametrize(("operator", "shape"), [
    (AveragePool(4), (1, 3, 8, 8)), (AveragePool(4), (3, 3, 4, 4)), (Inpaint(torch.ones(16, 16)), (1, 1, 16, 16)),
    (HDR(), (3, 16, 16)), (Grey(), (1, 3, 16, 16))])
def test_a_measurement_of_another_size_is_refused(operator, shape):
    with pytest.raises(InputError) as error:
        run("ddnm", operator, torch.zeros(shape))
    assert error.value.field == "measurement" and error.value.why and error.value.fix


def test_a_measurement_with_gaps_is_refused():
    with pytest.raises(InputError, match="not finite"):
        run("ddnm", Identity(), torch.full((1, 3, 16, 16), torch.nan))


def test_a_picture_that_the_operator_cannot_measure_is_refused():
    with pytest.raises(InputError, match="multiples of 5"):
        run("ddnm", AveragePool(5), torch.zeros(1, 3, 3, 3))


def test_noise_is_checked_before_the_operator():
    with pytest.raises(InputError) as error:
        run("ddnm", PhaseRetrieval(), torch.zeros(1), noise=-1.0)
    assert error.value.field == "noise"
    assert row("ddnm").noisy
