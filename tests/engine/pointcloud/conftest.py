"""Untrained networks on the shelf, and samples of few points, for tests of whole runs."""

import pytest
import torch

from engine import denoisers, models, networks, schedules
from engine.tasks.pointcloud import captions, stages
from engine.tasks.pointcloud.shapes import PARTS

POINTS = 64
_SIZES = {"cloud_geometry": {"rounds": 1, "capsules": 4},
          "cloud_colour": {"rounds": 1, "parts": len(PARTS), "palette": captions.colour_words()}}


class _Model:
    """What the task needs of an `engine.models.Model`: an untrained network whose last layer is stirred."""

    def __init__(self, kind: str):
        torch.manual_seed(0)
        self.name = kind
        self.network = networks.build(kind, words=captions.vocabulary(), width=64, latent=64, latents=8,
                                      **_SIZES[kind]).eval()
        torch.nn.init.normal_(self.network.out.weight, std=0.1)
        self.schedule = schedules.cosine()
        self.denoiser = denoisers.from_v(self.network, self.schedule)
        self.card = models.Card(name=kind, title=kind, architecture={"kind": kind}, schedule={"name": "cosine"},
                                prediction="v", resolution_px=64)


@pytest.fixture
def untrained(monkeypatch) -> int:
    """How many points a sample has."""
    there = {kind: _Model(kind) for kind in _SIZES}
    monkeypatch.setattr(models, "load", there.__getitem__)
    monkeypatch.setattr(stages, "POINTS", POINTS)
    return POINTS
