"""What the training loop needs to know about one model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Training pictures in [-1, 1]: x0 (B, C, H, W), label (B,) int64 or None, cond (B, Cc, H, W) or None.

    weight (B, 1, H, W) or None: how much each pixel's error counts. Point sets, motions and fields have other shapes.
    conditions: further arguments of the network by name, first axis B.
    """

    x0: Tensor
    label: Tensor | None = None
    cond: Tensor | None = None
    weight: Tensor | None = None
    conditions: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Spec:
    """One trainable model: what it is, where its batches come from, how it is judged.

    batch(rng, progress): a batch; progress runs from 0 to 1 over the minutes budget, for curricula.
    validate(denoise): held-out numbers; sheet(denoise): a picture (H, W, 3) uint8 of held-out examples.
    The card's architecture is (kind, options); schedule is (name, options) of `engine.schedules.by_name`.
    start_from: name of a model whose matching weights are the starting point, "" for random weights.
    loss: the objective, in place of the one that belongs to the prediction (`engine.training.objective.loss`).
    """

    name: str
    task: str
    title: str
    options: Mapping[str, Any]
    schedule: tuple[str, Mapping[str, Any]]
    prediction: str
    resolution_px: int
    batch: Callable[[Generator, float], Batch]
    validate: Callable[[Callable], dict[str, float]]
    sheet: Callable[[Callable], np.ndarray]
    data: str
    licences: str
    kind: str = "wavelet_unet"
    classes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    learning_rate: float = 5e-4
    ema: float = 0.999
    start_from: str = ""
    note: str = ""
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    loss: Callable[..., Tensor] | None = None
