"""Drawn masks follow the law that the network describes, and tiles change nothing of importance."""

import torch

from engine import schedules
from engine.networks.medseg import MedSeg, evidence
from engine.tasks.segmentation import sampling


def _one_coin(chance: float):
    """The exact denoiser of a mask that is all 1 with this chance, else all -1, whatever the picture."""
    schedule, prior = schedules.vp_linear(), torch.tensor(chance).logit()

    def denoise(x, t, cond):
        alpha, sigma = (torch.tensor(v) for v in schedule(float(t)))
        return torch.tanh((prior + evidence(x, alpha, sigma).sum(dim=(1, 2, 3), keepdim=True)) / 2).expand(x.shape)

    return denoise


def test_samples_are_as_frequent_as_the_chance_says():
    cond = torch.zeros(2, 3, 8, 8)
    drawn = sampling.draw(_one_coin(0.3), cond, samples=400, steps=20)
    assert drawn.shape == (400, 2, 8, 8)
    each = drawn.mean(dim=(2, 3))
    assert ((each < 0.05) | (each > 0.95)).float().mean() > 0.9  # whole masks, no mixtures
    # 800 draws: a standard error of 0.016; as much again for the error of 20 steps.
    assert abs(float(drawn.mean()) - 0.3) < 0.06


def test_a_seed_gives_the_same_masks_and_another_one_others():
    cond = torch.zeros(1, 3, 8, 8)
    first, again, other = (sampling.draw(_one_coin(0.5), cond, 16, 5, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_picture_of_one_tile_is_encoded_whole_and_a_large_one_in_parts():
    torch.manual_seed(0)
    network = MedSeg(widths=(16, 32), depth=1, mask_widths=(16,), embedding=16).eval()
    with torch.no_grad():
        small = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
        assert torch.equal(sampling.encoded_by_tiles(network.encode, small), network.encode(small))
        even = torch.full((1, 3, 128, 240), 0.3)  # every tile of it looks the same, up to its borders
        whole = sampling.encoded_by_tiles(network.encode, even)
    assert whole.shape == (1, 2, 128, 240)
    assert torch.allclose(whole[..., 64, 40:88], whole[..., 64, 152:200], atol=0.02)
