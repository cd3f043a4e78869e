"""Spectrum-aware distillation: a slim network learns from a large one, with weight on what is rare in pictures.

Spectral Diffusion (Yang et al., CVPR 2023, arXiv 2211.17106). On the same noisy picture the student's answer and its
features at every scale should be the teacher's, in the picture plane and, weighted by the inverse of the clean
picture's spectrum, in the frequency plane, where slim networks lose the high ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.training import objective
from engine.training.spec import Batch

WEIGHT_LIMIT = 20.0
"""No frequency counts more than this many times the mean; a handful that are empty would count alone."""
_LEAST_MAGNITUDE = 1e-3
# Share of the features' own power that is added in the fit, so that channels that say the same can be told apart.
_RIDGE = 1e-4


@dataclass(frozen=True, eq=False)
class Distillation:
    """The training objective of a student of `teacher`, both `networks.GaussianUNet` of one schedule and prediction.

    L = L_diffusion + spatial * L_spatial + frequency * L_frequency, the means over the pairs of the squared difference
    and of its weighted spectrum. Pairs are the answers (for v the squared difference is the sum of those of the noise
    and of the clean picture) and the features of every level on the way up, in units of the teacher's deviation.
    The 1 x 1 convolution that turns the student's channels into the teacher's is the best one for the batch
    (`aligned`): what a learnt one tends to, without parameters of its own.
    """

    teacher: nn.Module
    spatial: float = 0.1
    frequency: float = 0.1

    def __call__(self, network: nn.Module, batch: Batch, schedule, prediction: str,
                 generator: torch.Generator) -> Tensor:
        """The loss of one batch; as `engine.training.objective.loss`."""
        x_t, t, target = objective.noised(batch, schedule, prediction, generator)
        teacher = self.teacher.to(x_t.device)
        with torch.no_grad(), features(teacher) as wanted:
            wanted.append(teacher(x_t, t, label=batch.label))
        with features(network) as found:
            found.append(network(x_t, t, label=batch.label))
        error = (found[-1].float() - target).square().mean()
        with torch.autocast(x_t.device.type, enabled=False):
            spatial, frequency = pair_losses(found, wanted, batch.x0)
        return error + self.spatial * spatial + self.frequency * frequency


@contextmanager
def features(network: nn.Module) -> Iterator[list[Tensor]]:
    """A list into which every call puts the features of the network's levels on the way up, the lowest first."""
    found: list[Tensor] = []
    with ExitStack() as hooks:
        for level in network.correction.up_attention:
            hooks.callback(level.register_forward_hook(lambda _, __, out: found.append(out)).remove)
        yield found


def pair_losses(found: Sequence[Tensor], wanted: Sequence[Tensor], clean: Tensor) -> tuple[Tensor, Tensor]:
    """L_spatial and L_frequency of the student's and the teacher's tensors (B, C, H, W), the answers last.

    clean: the pictures (B, 3, h, w), which the weights of the frequencies are from.
    """
    spatial, frequency = [], []
    for i, (own, goal) in enumerate(zip(found, wanted, strict=True)):
        own, goal = own.float().contiguous(), goal.float().contiguous()
        if i + 1 < len(found):
            goal = goal / goal.std().clamp(min=1e-6)
            own = aligned(own, goal)
        spatial.append((own - goal).square().mean())
        frequency.append(frequency_loss(own - goal, clean))
    return torch.stack(spatial).mean(), torch.stack(frequency).mean()


def aligned(own: Tensor, goal: Tensor) -> Tensor:
    """Features (B, C, H, W) through the affine map of the channels that brings them nearest to the goal (B, D, H, W).

    The map is constant for gradients: at the best map the squared difference does not change with it.
    """
    rows = F.pad(own.permute(0, 2, 3, 1).flatten(0, 2), (0, 1), value=1.0)
    with torch.no_grad():
        gram = rows.T @ rows
        ridge = _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), device=gram.device)
        best = torch.linalg.solve(gram + ridge, rows.T @ goal.permute(0, 2, 3, 1).flatten(0, 2))
    mapped = rows @ best
    return mapped.unflatten(0, (len(own), *own.shape[-2:])).permute(0, 3, 1, 2)


def frequency_loss(difference: Tensor, clean: Tensor) -> Tensor:
    """Mean of |DFT of the difference (B, C, H, W)|^2, weighted by `inverse_spectrum`; orthonormal transform."""
    weight = inverse_spectrum(clean, difference.shape[-2:])
    return (weight * torch.fft.fft2(difference, norm="ortho").abs().square()).mean()


@torch.no_grad()
def inverse_spectrum(clean: Tensor, size: Sequence[int]) -> Tensor:
    """Weights (B, 1, H, W) of the frequencies: 1 / magnitude of the clean pictures' spectrum, resized to (H, W) = size.

    The magnitude is the mean over the channels. The weights of a picture have mean 1 before those above WEIGHT_LIMIT
    are cut.
    """
    small = clean.float() if clean.shape[-2:] == tuple(size) else F.interpolate(clean.float(), size=size, mode="area")
    magnitude = torch.fft.fft2(small.contiguous(), norm="ortho").abs().mean(1, keepdim=True)
    weight = 1 / (magnitude + _LEAST_MAGNITUDE)
    return (weight / weight.mean((2, 3), keepdim=True)).clamp(max=WEIGHT_LIMIT)
