"""Randomness as an argument: one CPU stream per sample, so that a seed means the same noise everywhere."""

import hashlib

import torch
from torch import Tensor


class Rng:
    """One `torch.Generator` on the CPU per sample, seeded by (seed, sample index).

    Noise is drawn in float32 on the CPU and then moved, so it depends neither on the device nor on the batch size:
    sample i of a batch of 8 gets the same numbers as sample i drawn alone with `Rng(seed, 1, first=i)`.
    """

    def __init__(self, seed: int, samples: int, first: int = 0):
        self.seed, self.samples, self.first = int(seed), int(samples), int(first)
        self._streams = [_stream(self.seed, self.first + i) for i in range(self.samples)]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal noise, (samples, *shape), float32 on the CPU."""
        return torch.stack([torch.randn(shape, generator=g) for g in self._streams])

    def normal_like(self, x: Tensor) -> Tensor:
        """Standard normal noise with the shape, dtype and device of `x`, whose first axis holds this rng's samples."""
        assert x.shape[0] == self.samples, f"{x.shape[0]} samples asked of an rng of {self.samples}"
        return self.normal(*x.shape[1:]).to(device=x.device, dtype=x.dtype)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), (samples, *shape), float32 on the CPU."""
        return torch.stack([torch.rand(shape, generator=g) for g in self._streams])


def _stream(seed: int, index: int) -> torch.Generator:
    digest = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
