"""Kernel distance between sets of pictures, on the features of a random network: no trained weights are needed."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_WIDTHS = (32, 64, 128)
_SUBSETS, _SUBSET = 20, 100


def features(pictures: Tensor) -> Tensor:
    """(B, 448) float64 features of pictures (B, 3, H, W) in [-1, 1], H and W at least 8.

    Three levels of 3 x 3 filters with fixed orthogonal random weights, leaky ReLU and 2 x 2 averages; of every channel
    the mean and the standard deviation over the picture. They see colour and texture, not objects.
    """
    generator = torch.Generator().manual_seed(0)
    x, found = pictures.float(), []
    for width in _WIDTHS:
        weight = torch.empty(width, x.shape[1], 3, 3)
        torch.nn.init.orthogonal_(weight, gain=2**0.5, generator=generator)
        x = F.leaky_relu(F.conv2d(x, weight, padding=1), 0.2)
        found += [x.mean((2, 3)), x.std((2, 3))]
        x = F.avg_pool2d(x, 2)
    return torch.cat(found, 1).double()


def kernel_distance(x: Tensor, y: Tensor) -> tuple[float, float]:
    """1000 MMD^2 between features (B, d) and (C, d), without bias, and its standard deviation over random subsets.

    Kernel (x.y / d + 1)^3 (Binkowski et al., "Demystifying MMD GANs", 2018) on features that are standardised by y. 0
    for the same law; the subsets, at most 100 and half of a set, are drawn with a fixed seed.
    """
    mean, spread = y.mean(0), y.std(0).clamp_min(1e-6)
    x, y = (x - mean) / spread, (y - mean) / spread
    size = max(2, min(_SUBSET, len(x) // 2, len(y) // 2))
    generator = torch.Generator().manual_seed(0)
    values = [1000 * _mmd2(*(z[torch.randperm(len(z), generator=generator)[:size]] for z in (x, y)))
              for _ in range(_SUBSETS)]
    return 1000 * _mmd2(x, y), float(np.std(values))


def _mmd2(x: Tensor, y: Tensor) -> float:
    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def off_diagonal(gram: Tensor) -> Tensor:
        return (gram.sum() - gram.trace()) / (len(gram) * (len(gram) - 1))

    return float(off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean())
