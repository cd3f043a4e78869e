"""Patients and models that the tests of contrast synthesis make themselves."""

from pathlib import Path

import numpy as np
import torch

from engine import models, networks
from engine.tasks.contrast.data import FOLDER, HELD_OUT
from engine.tasks.contrast.phantom import head
from engine.tasks.contrast.targets import TARGETS

SIDE_PX = 64
OPTIONS = {"cond_channels": 2, "widths": (16, 32), "depth": 1, "attention": 0, "embedding": 32}


def slices(count: int, seed: int, side: int = SIDE_PX) -> np.ndarray:
    """A patient as in the files, (count, 4, side, side) uint8, each channel stretched by itself."""
    pairs = [head(side, seed + i)[:2] for i in range(count)]
    before, after = (np.stack(v) for v in zip(*pairs))
    channels = [before / before.max() * 230, after / after.max() * 250, before, before]
    return np.uint8(np.stack(channels, 1))


def write(root: Path) -> Path:
    """Two patients to learn from and the one left out, as npz below `root`."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    for seed, name in enumerate(("one", "two", HELD_OUT)):
        np.savez(folder / f"{name}.npz", slices=slices(4, 10 * seed))
    return root


def ship(root: Path, noise: float = 0.05) -> None:
    """A small model for each target below `root`, as a shelf holds them. noise: deviation of the random weights."""
    for target in TARGETS.values():
        options = {"base": target.base, "deviation": target.deviation, "spread": target.spread} | OPTIONS
        network = networks.build("contrast_unet", **options)
        generator = torch.Generator().manual_seed(0)
        for parameter in network.parameters() if noise else ():
            torch.nn.init.normal_(parameter, std=noise, generator=generator)
        card = models.Card(name=target.model, task="contrast", title=target.model, resolution_px=128, prediction="x0",
                           architecture={"kind": "contrast_unet", "options": options},
                           schedule={"name": "cosine", "options": {}})
        models.save(network, card, root / target.model)
