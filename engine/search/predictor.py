"""Which of two plans is better, guessed from their decisions: a small network that is fitted to rank."""

import torch
import torch.nn.functional as F
from torch import Tensor

_WIDTH = 64
_MARGIN = 0.1
_STEPS = 300
_RATE = 1e-2
_DECAY = 1e-3


class Predictor:
    """Two layers over the features of a plan; smaller output means a smaller expected error.

    Fitted by the pairwise hinge loss mean max(0, margin - (f(worse) - f(better))) with margin 0.1, as in S3 (Liu et
    al., ICLR 2024): only the order of the scores counts, so that diverging plans do not drown the good ones.
    """

    def __init__(self, features: Tensor, scores: Tensor, seed: int = 0):
        """features (n, f), scores (n,): errors of evaluated plans, inf allowed. seed: of the first weights."""
        features = features.float()
        self._shift, self._scale = features.mean(0), features.std(0, correction=0)
        # A decision that all evaluated plans share says nothing about plans that decide otherwise.
        self._scale[self._scale < 1e-6] = torch.inf
        generator = torch.Generator().manual_seed(seed)
        width = features.shape[1]
        self._weights = [torch.randn(width, _WIDTH, generator=generator) / width**0.5, torch.zeros(_WIDTH),
                         torch.randn(_WIDTH, 1, generator=generator) / _WIDTH**0.5]
        self._fit(features, scores)

    def __call__(self, features: Tensor) -> Tensor:
        """Predicted ranks (n,) of plans with these features (n, f), in no unit."""
        with torch.no_grad():
            return self._value(features.float())

    def _value(self, features: Tensor) -> Tensor:
        first, bias, last = self._weights
        return (F.silu((features - self._shift) / self._scale @ first + bias) @ last)[:, 0]

    def _fit(self, features: Tensor, scores: Tensor) -> None:
        better, worse = (scores[:, None] < scores[None]).nonzero(as_tuple=True)
        if not len(better):
            return
        for weight in self._weights:
            weight.requires_grad_()
        optimiser = torch.optim.AdamW(self._weights, lr=_RATE, weight_decay=_DECAY)
        with torch.enable_grad():
            for _ in range(_STEPS):
                value = self._value(features)
                loss = (_MARGIN - value[worse] + value[better]).clamp_min(0).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        for weight in self._weights:
            weight.requires_grad_(False)
