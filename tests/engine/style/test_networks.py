import pytest
import torch

from engine import networks
from engine.networks.style import PATCH

STATISTICS = 7


@pytest.fixture
def codec():
    """An autoencoder whose components are the first 24 unit vectors turned at random, and no trained correction."""
    network = networks.build("patch_autoencoder", latents=24, widths=(8, 16, 16))
    generator = torch.Generator().manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(3 * PATCH**2, 3 * PATCH**2, generator=generator))
    network.load_state_dict({"basis": turn[:24], "centre": turn[30], "spread": torch.linspace(2, 0.5, 24)},
                            strict=False)
    return network.eval()


@pytest.fixture
def style():
    return networks.build("style_unet", latents=4, statistics=STATISTICS, squeezed=4, embedding=16, features=(8, 8),
                          widths=(16, 16), depth=1).eval()


def _told(count, has_structure=1.0, has_style=1.0):
    generator = torch.Generator().manual_seed(1)
    return {"structure": torch.randn(count, 4, 8, 8, generator=generator), "detail": torch.full((count,), 0.5),
            "has_structure": torch.full((count,), has_structure), "has_style": torch.full((count,), has_style),
            "style": torch.randn(count, 4, 8, 8, generator=generator),
            "statistics": torch.randn(count, STATISTICS, generator=generator)}


def _awake(network):
    """Layers that start at zero get weights, so that conditions can have an effect."""
    generator = torch.Generator().manual_seed(2)
    for parameter in network.parameters():
        if parameter.count_nonzero() == 0:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


@torch.no_grad()
def test_what_was_encoded_comes_back_exactly(codec):
    latents = torch.randn(2, 24, 5, 3)
    assert torch.allclose(codec.encode(codec.decode(latents)), latents, atol=1e-4)


@torch.no_grad()
def test_the_untrained_code_is_the_projection_on_the_components(codec):
    pictures = torch.randn(1, 3, 16, 24)
    once = codec(pictures)
    assert torch.allclose(codec(once), once, atol=1e-4)
    assert (pictures - once).square().sum() < pictures.square().sum()


@torch.no_grad()
def test_a_step_is_shown_by_the_components(codec):
    latents = torch.randn(1, 24, 2, 2)
    assert torch.allclose(codec.preview(latents), codec.decode(latents), atol=1e-5)
    assert not torch.allclose(_awake(codec).decode(latents), codec.preview(latents), atol=1e-3)


@torch.no_grad()
def test_a_larger_picture_is_drawn_as_its_parts_are(codec):
    """All is local: far from the cut, half a picture is encoded like the whole one."""
    pictures = torch.randn(1, 3, 64, 256)
    network = _awake(codec)
    assert torch.allclose(network.encode(pictures)[..., :8], network.encode(pictures[..., :128])[..., :8], atol=1e-4)


@torch.no_grad()
def test_conditions_that_are_not_told_have_no_effect(style):
    network, x, t = _awake(style), torch.randn(2, 4, 8, 8), torch.tensor([0.3, 0.7])
    told = _told(2)
    other = {"structure": -told["structure"], "style": -told["style"], "statistics": -told["statistics"]}
    assert not torch.allclose(network(x, t, **told), network(x, t, **told | other), atol=1e-4)
    silent = _told(2, has_structure=0.0, has_style=0.0)
    assert torch.equal(network(x, t, **silent), network(x, t, **silent | other))


@torch.no_grad()
def test_style_has_no_place(style):
    """Style numbers do not change when the style picture is mirrored, up to borders of the strided layer."""
    latents = torch.randn(1, 4, 8, 8).repeat(1, 1, 4, 4)
    numbers = torch.zeros(1, STATISTICS)
    moved = style.style_of(latents.roll((8, 16), (2, 3)), numbers)
    assert torch.allclose(style.style_of(latents, numbers), moved, atol=1e-5)


@torch.no_grad()
def test_a_mixture_is_taken_in_place_of_a_picture(style):
    network, x, t = _awake(style), torch.randn(2, 4, 8, 8), torch.tensor([0.3, 0.7])
    told = _told(2)
    mixture = {"embedded": network.style_of(told.pop("style"), told.pop("statistics"))}
    assert torch.allclose(network(x, t, **told, **mixture), network(x, t, **_told(2)), atol=1e-6)
