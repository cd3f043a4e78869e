"""Parts of a picture: definitions, and what cannot be measured."""

import math

import pytest
import torch
import torch.nn.functional as F

from engine.errors import InputError
from engine.steering.operators import AveragePool, Bicubic, CompressedSensing, Grey, Inpaint
from tests.oracles import normal


def test_super_resolution_copies_each_average_over_its_block():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    averages = AveragePool(2).H(x)
    assert averages.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert AveragePool(2).pinv(averages)[0, 0, 0].tolist() == [2.5, 2.5, 4.5, 4.5]


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bicubic_is_the_usual_antialiased_reduction(factor):
    x = normal(2, 3, 64, 32)
    wanted = F.interpolate(x, (64 // factor, 32 // factor), mode="bicubic", antialias=True)
    assert torch.allclose(Bicubic(factor).H(x), wanted, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bicubic_reductions_can_be_undone_without_raising_noise_much(factor):
    singular = []
    Bicubic(factor).by_singular_value(normal(1, 1, 64, 64), lambda s: singular.append(s) or s)
    seen = singular[0][singular[0] > 1e-9]
    assert len(seen) == (64 // factor) ** 2
    assert seen.max() / seen.min() < 10  # each axis passes at least a third of its finest kept wave


def test_grey_is_the_mean_of_the_channels_and_its_inverse_copies_it():
    x = normal(2, 3, 4, 5)
    assert torch.equal(Grey().pinv(Grey().H(x))[:, 1:2], x.mean(1, keepdim=True))


def test_compressed_sensing_mixes_each_block_by_orthonormal_rows():
    operator = CompressedSensing(0.25, block=8, seed=1)
    assert torch.allclose(operator.rows @ operator.rows.T, torch.eye(16, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(operator.rows.abs(), torch.full((16, 64), 1 / 8, dtype=torch.float64))
    x = normal(1, 2, 16, 24)
    other = x.clone()
    other[..., 8:, :] += 1
    changed = (operator.H(x) != operator.H(other)).flatten(-1).any(-1)
    assert operator.H(x).shape == (1, 2, 2, 3, 16)
    assert not changed[:, :, 0].any() and changed[:, :, 1].all()


def test_the_seed_alone_decides_the_mixtures():
    first, again, other = (CompressedSensing(0.5, block=4, seed=seed).rows for seed in (7, 7, 8))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_every_pixel_measured_loses_nothing():
    operator, x = CompressedSensing(1.0, block=4), normal(1, 1, 8, 8)
    assert torch.allclose(operator.pinv(operator.H(x)), x, atol=1e-12)


@pytest.mark.parametrize(("make", "field"), [
    (lambda: AveragePool(0), "factor"), (lambda: Bicubic(2.5), "factor"), (lambda: AveragePool(True), "factor"),
    (lambda: CompressedSensing(0.0), "share"), (lambda: CompressedSensing(1.2), "share"),
    (lambda: CompressedSensing(math.nan), "share"), (lambda: CompressedSensing(0.5, block=12), "block"),
    (lambda: Inpaint(torch.full((4, 4), 0.5)), "mask"), (lambda: Inpaint(torch.full((4, 4), math.nan)), "mask")])
def test_settings_that_cannot_be_used_name_their_field(make, field):
    with pytest.raises(InputError) as error:
        make()
    assert error.value.field == field and error.value.why + error.value.fix


@pytest.mark.parametrize(("operator", "shape"), [
    (AveragePool(4), (1, 3, 10, 8)), (Bicubic(8), (1, 3, 8, 12)), (CompressedSensing(0.5), (1, 1, 40, 64)),
    (Inpaint(torch.ones(8, 8)), (1, 3, 8, 9)), (Inpaint(torch.ones(3, 1, 8, 8)), (2, 3, 8, 8)),
    (Grey(), (1, 1, 8, 8))])
def test_pictures_of_another_size_are_refused(operator, shape):
    with pytest.raises(InputError) as error:
        operator.check(shape)
    assert error.value.what and error.value.why


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_mask_of_all_or_nothing_is_defined(share):
    operator, x = Inpaint(torch.full((8, 8), share)), normal(1, 3, 8, 8)
    assert torch.equal(operator.pinv(operator.H(x)), share * x)
    assert operator.frobenius(x).item() == share * 3 * 64
