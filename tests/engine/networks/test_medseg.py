"""The spectral filter against its closed form, and the mask networks against the posterior that they correct."""

import math

import pytest
import torch

from engine import denoisers, networks, schedules
from engine.networks.medseg import DynamicEncoding, MedSeg, evidence
from engine.networks.spectral import FrequencyFilter


def _small(**options) -> MedSeg:
    torch.manual_seed(0)
    return MedSeg(**{"widths": (16, 32, 64), "depth": 1, "mask_widths": (16,), "embedding": 32, **options})


def _stirred(network: torch.nn.Module) -> torch.nn.Module:
    """Every part gets random weights, also those that start at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (17, 21)])
def test_a_new_filter_is_the_identity_at_any_size(size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    # float32 transforms of a few thousand numbers: errors of some 1e-7 of the largest.
    assert (FrequencyFilter(3)(x) - x).abs().max() < 1e-5


def test_the_filter_multiplies_the_spectrum():
    module = _stirred(FrequencyFilter(4, side=16))
    x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    weights = torch.complex(1 + module.deviation[0], module.deviation[1])
    expected = torch.fft.irfft2(weights * torch.fft.rfft2(x), s=(16, 16))
    assert (module(x) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("size", [32, 64, 96])
def test_a_wave_is_scaled_by_the_response_at_its_frequency(size):
    """cos(2 pi (u y + v x)) of u = 5/32, v = 3/32 cycles per pixel meets the node (5, 3) at every size."""
    module = FrequencyFilter(1)
    with torch.no_grad():
        module.deviation[0, 0, 5, 3] = 1.5
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    wave = torch.cos(2 * math.pi * (5 * y + 3 * x) / 32)[None, None]
    other = torch.cos(2 * math.pi * (-5 * y + 3 * x) / 32)[None, None]
    assert (module(wave) - 2.5 * wave).abs().max() < 1e-4
    assert (module(other) - other).abs().max() < 1e-4


def test_vertical_frequencies_are_periodic():
    module = FrequencyFilter(1)
    with torch.no_grad():
        module.deviation[0, 0, 16, 0] = 1.0  # half a cycle per pixel, the neighbour of -15/32 and of 15/32
    response = module.response(64, 8).real[0, :, 0]
    assert torch.allclose(response[[31, 32, 33]], torch.tensor([1.5, 2.0, 1.5]))
    assert torch.allclose(response[:31], torch.ones(31)) and torch.allclose(response[34:], torch.ones(30))


def test_every_part_of_the_coupling_learns():
    module = _stirred(DynamicEncoding(16))
    generator = torch.Generator().manual_seed(2)
    picture, mask = (torch.randn(2, 16, 8, 8, generator=generator, requires_grad=True) for _ in range(2))
    module(picture, mask).square().sum().backward()
    for name, parameter in [*module.named_parameters(), ("picture", picture), ("mask", mask)]:
        assert parameter.grad.abs().max() > 0, name


def test_the_coupling_is_the_affinity_of_the_paper():
    module = DynamicEncoding(16)
    picture, mask = torch.randn(2, 1, 16, 8, 8, generator=torch.Generator().manual_seed(2))

    def normal(x):
        return torch.nn.functional.layer_norm(x.permute(0, 2, 3, 1), (16,)).permute(0, 3, 1, 2)

    expected = mask + picture + normal(picture) * normal(mask) * picture
    assert (module(picture, mask) - expected).abs().max() < 1e-4


def test_evidence_is_the_exact_posterior_of_one_pixel():
    alpha, sigma, prior = 0.4, 0.7, 0.3
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    yes = prior * torch.exp(-((x - alpha) ** 2) / (2 * sigma**2))
    no = (1 - prior) * torch.exp(-((x + alpha) ** 2) / (2 * sigma**2))
    logits = math.log(prior / (1 - prior)) + evidence(x, torch.tensor(alpha), torch.tensor(sigma))
    assert (torch.sigmoid(logits) - yes / (yes + no)).abs().max() < 1e-6


def test_a_new_network_is_the_posterior_of_independent_pixels():
    network, schedule = _small(), schedules.vp_linear()
    picture = torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 1, 24, 32, generator=torch.Generator().manual_seed(1))
    x0 = denoisers.from_logits(network, schedule)(x, 0.5, cond=picture)
    alpha, sigma = schedule(0.5)
    assert torch.allclose(x0, torch.tanh(alpha * x / sigma**2), atol=1e-5)  # the prior of a new network is 1/2


@pytest.mark.parametrize("size", [(32, 32), (20, 27)])
def test_an_encoded_picture_answers_like_the_picture(size):
    network = _stirred(_small())
    generator = torch.Generator().manual_seed(0)
    picture, x = torch.randn(2, 3, *size, generator=generator), torch.randn(2, 1, *size, generator=generator)
    t = torch.tensor([0.9, 0.2])
    with torch.no_grad():
        encoded = network.encode(picture)
        assert encoded.shape[-2] % 8 == encoded.shape[-1] % 8 == 0
        assert torch.equal(network(x, t, cond=picture), network(x, t, cond=encoded))
        assert network(x, t, cond=encoded).shape == x.shape


def test_the_answer_for_one_sample_does_not_depend_on_the_others():
    network = _stirred(_small())
    generator = torch.Generator().manual_seed(0)
    picture, x = torch.randn(3, 3, 32, 32, generator=generator), torch.randn(3, 1, 32, 32, generator=generator)
    t = torch.tensor([0.9, 0.5, 0.2])
    with torch.no_grad():
        alone = network(x[1:2], t[1:2], cond=picture[1:2])
        assert (network(x, t, cond=picture)[1:2] - alone).abs().max() < 1e-4


def test_both_networks_are_slim_and_of_equal_size():
    sizes = [networks.parameter_count(networks.build(kind)) for kind in ("medseg", "mask_unet")]
    assert max(sizes) < 8e6 and abs(sizes[0] / sizes[1] - 1) < 0.05


def test_a_plain_unet_ignores_the_noisy_mask():
    torch.manual_seed(0)
    network = _stirred(networks.build("mask_unet", widths=(16, 32), depth=1))
    picture = torch.randn(2, 3, 18, 20, generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 1, 18, 20, generator=torch.Generator().manual_seed(1))
    denoise = denoisers.from_plain_logits(network, schedules.vp_linear())
    with torch.no_grad():
        first, second = denoise(x, 0.9, cond=picture), denoise(-x, 0.1, cond=picture)
    assert torch.equal(first, second) and first.shape == x.shape and first.abs().max() < 1
