"""Small super-resolution models with random weights, as files, for tests of what is around them."""

from pathlib import Path

import torch

from engine import models, networks
from engine.tasks.superres.satellite import MODELS, PREDICTIONS

_UNET = {"widths": [16, 16], "depth": 1, "attention": 0, "norm_kind": "pixel"}
_OTHERS = {
    "flowers_x4": ("residual_unet", _UNET | {"cond_channels": 3}, "residual", "resnoise", 128),
    "flowers": ("wavelet_unet", _UNET | {"classes": 5, "stem": False}, "cosine", "v", 32),
    "illumination": ("illumination", {"width": 8, "encoder": [1, 1], "middle": 1, "decoder": [1, 1]}, "residual",
                     "resnoise", 64)}
OPTIONS = {"width": 8, "encoder": [1, 1], "middle": 1, "decoder": [1, 1]}


def ship(root: Path) -> None:
    """Both models of satellite pictures below `root`, as a shelf holds them."""
    for name, prediction in zip(MODELS.values(), PREDICTIONS):
        _save(root, name, "eanet", OPTIONS, "mean_reverting", prediction, 64)


def ship_others(root: Path, *names: str) -> None:
    """Models of photographs, and of those in the dark, below `root`."""
    for name in names:
        _save(root, name, *_OTHERS[name])


def _save(root: Path, name: str, kind: str, options: dict, schedule: str, prediction: str, side: int) -> None:
    network = networks.build(kind, **options)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05, generator=generator)
    card = models.Card(name=name, task="superres", title=name, resolution_px=side, prediction=prediction,
                       architecture={"kind": kind, "options": options}, schedule={"name": schedule, "options": {}},
                       classes=list("abcde") if "classes" in options else [])
    models.save(network, card, root / name)
