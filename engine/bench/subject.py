"""The network that whole runs are timed with: a shipped model where there is one, else random weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine import models, networks, schedules
from engine.models.model import Runner, adapter
from engine.rng import Rng
from engine.runtime import device
from engine.schedules import Schedule

RANDOM_SIDE_PX = 64
QUICK_SIDE_PX = 16


@dataclass(frozen=True)
class Subject:
    """A network and what calling it takes. title: for tables. side_px: of its pictures. classes: number of labels."""

    title: str
    network: torch.nn.Module
    schedule: Schedule
    prediction: str
    side_px: int
    classes: int
    cond_channels: int

    def runner(self, precision: torch.dtype) -> Runner:
        """The bare network in a precision, called as network(x, t, **conditions)."""
        return Runner(self.network, device.choose(), precision)

    def denoiser(self, runner: Runner) -> Callable[..., Tensor]:
        """denoise(x_t, t, **conditions) -> x0 around the bare network, not shared between runs."""
        return adapter(self.prediction)(runner, self.schedule)

    def conditions(self, samples: int, side_px: int, seed: int = 0) -> dict[str, Tensor]:
        """Conditions of the right shape; their content does not change what a call costs."""
        found = {}
        if self.cond_channels:
            found["cond"] = Rng(seed, samples, first=1000).uniform(self.cond_channels, side_px, side_px) * 2 - 1
        if self.classes:
            found["label"] = torch.full((samples,), seed % self.classes)
        return found


def choose(quick: bool) -> Subject:
    """The first shipped U-Net for pictures of any size, else the wavelet U-Net with random weights, as fast as one.

    quick: with pictures so small that everything is fast and no time means anything.
    """
    subject = _choose()
    return replace(subject, side_px=QUICK_SIDE_PX) if quick else subject


def _choose() -> Subject:
    for name in models.names():
        model = models.load(name)
        options = model.card.architecture.options
        if model.card.architecture.kind in ("residual_unet", "wavelet_unet"):
            return Subject(f"model {name}", model.network, model.schedule, model.card.prediction,
                           model.card.resolution_px, options.get("classes", 0), options.get("cond_channels", 0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = networks.build("wavelet_unet")
        # A fresh network answers zero, which would hide differences between batches.
        torch.nn.init.normal_(network.leave.weight, std=0.02)
    title = f"random weights, {networks.parameter_count(network) / 1e6:.1f} M parameters"
    return Subject(title, network, schedules.cosine(), "v", RANDOM_SIDE_PX, 0, 0)
