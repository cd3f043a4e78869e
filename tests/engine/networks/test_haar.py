"""The Haar transform against pywavelets, and the gates around it."""

import numpy as np
import pytest
import pywt
import torch

from engine.networks import haar


def _picture(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_bands_are_those_of_pywavelets():
    x = _picture(1, 1, 12, 20)
    ll, (lh, hl, hh) = pywt.dwt2(x[0, 0].numpy(), "haar")
    for ours, theirs in zip(haar.analyse(x), (ll, lh, hl, hh)):
        np.testing.assert_allclose(ours[0, 0].numpy(), theirs, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 2, 2), (1, 4, 16, 8)])
def test_synthesis_inverts_analysis_and_keeps_energy(shape):
    x = _picture(*shape)
    bands = haar.to_bands(x)
    torch.testing.assert_close(haar.from_bands(bands), x, atol=1e-12, rtol=0)
    torch.testing.assert_close(bands.square().sum(), x.square().sum())


def test_gated_down_starts_near_average_pooling():
    """All gates of a new layer are constants: sigmoid(2) for LL and 1/2 for the rest."""
    layer = haar.GatedDown(8).double()
    x = _picture(2, 8, 6, 6)
    ll, lh, hl, hh = haar.analyse(x)
    expected = torch.sigmoid(torch.tensor(2.0, dtype=torch.float64)) * ll + 0.5 * (lh + hl + hh)
    torch.testing.assert_close(layer(x), expected)


def test_gates_depend_on_the_picture_once_trained():
    layer = haar.GatedDown(8)
    torch.nn.init.normal_(layer.gate.rule[-1].weight, generator=torch.Generator().manual_seed(0))
    dark, bright = layer.gate(torch.full((1, 8, 4, 4), -1.0)), layer.gate(torch.full((1, 8, 4, 4), 1.0))
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(dark, bright))
    assert all(((g > 0) & (g < 1)).all() for g in dark)


def test_gated_up_doubles_the_sides():
    assert haar.GatedUp(8, 6)(torch.zeros(2, 8, 5, 7)).shape == (2, 6, 10, 14)
