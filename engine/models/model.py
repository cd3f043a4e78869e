"""A model in memory: network, schedule and card, and the one denoiser that all runs share."""

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from engine import denoisers, networks, schedules
from engine.errors import InputError
from engine.models import weights
from engine.models.card import Card
from engine.schedules import Schedule


@dataclass(eq=False)
class Model:
    """A loaded model. network: float32 parameters, evaluation mode, on the processor; schedule; card."""

    name: str
    network: nn.Module = field(repr=False)
    schedule: Schedule
    card: Card
    _denoiser: Callable[..., Tensor] | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def denoiser(self) -> Callable[..., Tensor]:
        """denoise(x_t, t, **cond) -> x0 on the chosen device, whose calls are batched across all runs of this process.

        x_t (B, C, H, W) float32, t a float or (B,), conditions with first axis B. The answer is float32 and lies where
        x_t lies.
        """
        with self._lock:
            if self._denoiser is None:
                from engine.runtime import device as devices
                from engine.runtime import sharing

                device = devices.choose()
                runner = Runner(self.network, device, devices.precision(device))
                self._denoiser = sharing.shared(adapter(self.card.prediction)(runner, self.schedule))
            return self._denoiser


def adapter(prediction: str) -> Callable:
    """`engine.denoisers.from_*` for what the card says that the network predicts."""
    found = getattr(denoisers, f"from_{prediction}", None)
    if found is None:
        raise InputError(f"The card says that the network predicts {prediction[:40]!r}.", "No such kind is known.",
                         "Take the card that came with the weights.", field="model")
    return found


class Runner:
    """Calls a network on a device in a precision: network(x, t, **cond) with inputs from anywhere, float32 out.

    In bfloat16 a copy of the network keeps its convolutions and matrices in bfloat16, so that autocast need not convert
    them at every call (measured: 8 % of a call at 32 px, 2 % at 128 px); norms, embeddings and the rest stay float32.
    Gradients flow to `x`, never to weights.
    """

    def __init__(self, network: nn.Module, device: torch.device, precision: torch.dtype):
        self.device, self.precision = device, precision
        network = copy.deepcopy(network).requires_grad_(False).eval().to(device)
        self._flat = not any(p.dim() > 4 for p in network.parameters())
        if self._flat:
            network = network.to(memory_format=torch.channels_last)
        if precision != torch.float32:
            for module in network.modules():
                if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
                    module.to(precision)
        self.network = network

    def __call__(self, x: Tensor, t: Tensor, **cond: Tensor | None) -> Tensor:
        cond = {name: None if value is None else value.to(self.device) for name, value in cond.items()}
        layout = torch.channels_last if self._flat and x.dim() == 4 else torch.preserve_format
        inputs = x.to(self.device, torch.float32, memory_format=layout)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            out = self.network(inputs, t.to(self.device), **cond)
        return out.to(x.device, torch.float32)


def restore(folder: Path, name: str) -> Model:
    """The model in a folder of ours (model.safetensors, card.json), its weights proven to be those of the card."""
    card = Card.read(folder)
    if not card.sha256:
        raise InputError("The model's card names no SHA-256.", "Weights are only read when their hash is known.",
                         "Take the card that came with the weights.", field="model")
    if card.architecture.kind not in networks.kinds():
        raise InputError(f"The model's architecture {card.architecture.kind[:40]!r} is unknown.",
                         "Known are " + ", ".join(networks.kinds()) + ".", field="model")
    adapter(card.prediction)
    try:
        network = networks.build(card.architecture.kind, **card.architecture.options)
        schedule = schedules.by_name(card.schedule.name, **card.schedule.options)
    except (TypeError, ValueError) as error:
        raise InputError("The model's card cannot be built.", f"{str(error)[:200]}.", field="model") from None
    fill(network, folder / weights.FILE, card.sha256)
    return Model(name, network, schedule, card)


def fill(network: nn.Module, path: Path, sha256: str = "") -> str:
    """Put the checked tensors of a safetensors file into a network and give the file's SHA-256.

    A network on the meta device takes the file's tensors as its own.
    """
    state = network.state_dict()
    tensors, digest = weights.read(path, {key: tuple(value.shape) for key, value in state.items()}, sha256)
    network.load_state_dict(tensors, assign=any(value.is_meta for value in state.values()))
    network.requires_grad_(False).eval()
    return digest


def save(network: nn.Module, card: Card, folder: Path | str) -> Card:
    """Store a network's weights (16 bit) and its card; the card comes back with hash and parameter count."""
    folder = Path(folder)
    digest = weights.write(network, folder)
    card = card.model_copy(update={"sha256": digest, "parameters": networks.parameter_count(network)})
    card.write(folder)
    return card
