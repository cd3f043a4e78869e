"""Slim students of the flowers prior, to see what wavelet gates and the frequency loss are worth."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from engine import models
from engine.training import flowers
from engine.training.distillation import Distillation
from engine.training.spec import Spec

TEACHER = "flowers"
WIDTHS = (48, 64, 80)
"""Half the teacher's channels: about a quarter of its multiply-adds."""
STUDENTS = {"flowers_slim": ("wavelet gates and frequency loss", True, True),
            "flowers_slim_plain": ("no wavelet gates", False, True),
            "flowers_slim_nofreq": ("no frequency loss", True, False)}
"""Name -> what is special, with wavelet gates, with frequency loss."""


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The students by name; weights of the teacher and pictures are read when one of them is taken."""
    return {name: partial(_student, data, name) for name in STUDENTS}


def _student(data: Path, name: str) -> Spec:
    """The teacher's training with a smaller network over the same linear base, and the teacher's answers as a goal.

    Raises InputError when the teacher is not there.
    """
    special, gated, frequency = STUDENTS[name]
    model = models.load(TEACHER)
    teacher = copy.deepcopy(model.network).to(memory_format=torch.channels_last)
    options = {**model.card.architecture.options, "widths": WIDTHS, "gated": gated}
    base = {key: value for key, value in teacher.state_dict().items() if "." not in key}
    return replace(flowers.specs(data)[TEACHER](), name=name, task="laboratory", options=options, buffers=base,
                   title=f"Slim prior of flower photographs, 32 px, {special}", learning_rate=1e-3, ema=0.999,
                   loss=Distillation(teacher, frequency=0.1 if frequency else 0.0),
                   note=f"Distilled from {TEACHER}, weights {model.card.sha256[:12]}.")
