"""Multiply-adds counted by hand."""

import pytest
import torch
from torch import nn

from engine import models, networks
from engine.networks.blocks import Attention
from engine.networks.cost import multiply_adds, picture_multiply_adds
from engine.training.slim import TEACHER, WIDTHS


def test_one_convolution():
    """Every output pixel of every output channel sums kernel x kernel x input channels products."""
    convolution = nn.Conv2d(5, 7, 3, padding=1)
    assert multiply_adds(convolution, torch.zeros(1, 5, 10, 12)) == 10 * 12 * 7 * 5 * 9
    assert multiply_adds(convolution, torch.zeros(4, 5, 10, 12)) == 4 * 10 * 12 * 7 * 5 * 9
    assert multiply_adds(nn.Conv2d(8, 8, 3, stride=2, groups=4), torch.zeros(1, 8, 9, 9)) == 4 * 4 * 8 * 2 * 9


def test_one_linear_map_and_what_costs_nothing():
    assert multiply_adds(nn.Linear(6, 11), torch.zeros(3, 6)) == 3 * 6 * 11
    assert multiply_adds(nn.Sequential(nn.GroupNorm(2, 4), nn.SiLU(), nn.AvgPool2d(2)), torch.zeros(1, 4, 8, 8)) == 0


def test_attention_counts_its_maps_and_both_products():
    pixels, channels = 6 * 6, 64
    expected = pixels * channels * (3 * channels + channels) + 2 * pixels * pixels * channels
    assert multiply_adds(Attention(channels, "group"), torch.zeros(1, channels, 6, 6)) == expected


def test_the_base_of_a_network_counts_too():
    """Base: there and back along every direction. Correction: one level of one block, all of it by hand."""
    options = {"components": 10, "size": 8, "widths": (16,), "depth": 1, "attention": 0, "stem": False, "embedding": 32}
    network = networks.build("gaussian_unet", **options)
    pixels = 8 * 8
    base = 2 * 3 * pixels * 10
    time = 64 * 32 + 32 * 32
    down = middle = pixels * 2 * 16 * 16 * 9 + 32 * 2 * 16
    up = pixels * (32 * 16 * 9 + 16 * 16 * 9 + 32 * 16) + 32 * 2 * 16
    ends = 2 * pixels * 3 * 16 * 9
    assert picture_multiply_adds(network, (3, 8, 8)) == base + time + down + middle + up + ends


@pytest.mark.skipif(TEACHER not in models.names(), reason="these weights are not installed")
def test_students_have_a_quarter_of_the_teachers_cost_and_equal_ones_among_them():
    options = models.card(TEACHER).architecture.options
    shape, classes = (3, options["size"], options["size"]), options["classes"]
    large = picture_multiply_adds(networks.build("gaussian_unet", **options), shape, classes)
    gated, plain = (networks.build("gaussian_unet", **{**options, "widths": WIDTHS, "gated": gated})
                    for gated in (True, False))
    costs = [picture_multiply_adds(network, shape, classes) for network in (gated, plain)]
    assert 0.2 < costs[0] / large < 0.3
    # Spectral Diffusion is compared at equal multiply-adds; the method card allows 3 %.
    assert costs[1] == pytest.approx(costs[0], rel=0.03)
    assert networks.parameter_count(plain) <= networks.parameter_count(gated) <= 2_000_000
