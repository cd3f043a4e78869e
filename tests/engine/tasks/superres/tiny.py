"""Small super-resolution models with random weights, as files, for tests of what is around them."""

from pathlib import Path

import torch

from engine import models, networks
from engine.tasks.superres.task import MODELS, PREDICTIONS

OPTIONS = {"width": 8, "encoder": [1, 1], "middle": 1, "decoder": [1, 1]}


def ship(root: Path) -> None:
    """Both models of the task below `root`, as a shelf holds them."""
    for name, prediction in zip(MODELS.values(), PREDICTIONS):
        network = networks.build("eanet", **OPTIONS)
        generator = torch.Generator().manual_seed(0)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.05, generator=generator)
        card = models.Card(name=name, task="superres", title=name, resolution_px=64, prediction=prediction,
                           architecture={"kind": "eanet", "options": OPTIONS},
                           schedule={"name": "mean_reverting", "options": {}})
        models.save(network, card, root / name)
