"""The card that every model carries: what it is, what it was trained on, how well it does, where it fails."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from engine.errors import InputError

FILE = "card.json"
_BYTES = 1_000_000


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Lines = Annotated[list[str], BeforeValidator(_as_list)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Architecture(_Part):
    """kind: a name that `networks.build` knows, or "unet2d" for diffusers' UNet2DModel. options: its arguments."""

    kind: str
    options: dict[str, Any] = {}


class ScheduleSpec(_Part):
    """What `engine.schedules.by_name` rebuilds the schedule from."""

    name: str
    options: dict[str, Any] = {}


class Training(_Part):
    """How the weights came about. minutes: wall time; samples: pictures passed through the network."""

    data: Lines = []
    licences: Lines = []
    command: str = ""
    device: str = ""
    minutes: float = 0.0
    iterations: int = 0
    samples: int = 0


class Card(_Part):
    """A model's description, stored as card.json beside its weights.

    prediction: what the network gives: "eps", "v", "x0", "velocity", "score", "resnoise", "reverting", "regression",
    "logits" or "plain_logits" (`engine.denoisers.from_*`). parameters: their number. resolution_px: side of the
    training pictures. classes: names of the labels, in order. metrics: rows of measured numbers. failures: known ones,
    a sentence each. sha256: of the weights' file.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,199}$")
    task: str = ""
    title: str
    architecture: Architecture
    parameters: int = 0
    schedule: ScheduleSpec
    prediction: str
    resolution_px: int
    classes: Lines = []
    training: Training = Training()
    metrics: list[dict[str, Any]] = []
    failures: Lines = []
    sha256: str = ""
    note: str = ""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The card of a model's folder. Raises InputError when it is missing, damaged or not a card."""
        fields = read_json(folder / FILE)
        try:
            return cls(**fields)
        except (ValidationError, TypeError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": ("card",), "msg": "no names"}
            raise InputError(f"The model's card is wrong at {'.'.join(map(str, first['loc']))[:60]!r}.",
                             first["msg"] + ".", "Take the card that came with the weights.", field="model") from None

    def write(self, folder: Path) -> None:
        """Store the card in a model's folder."""
        (folder / FILE).write_text(json.dumps(self.model_dump(), indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def lines(self) -> Iterator[str]:
        """The card as plain lines for people."""
        training = self.training
        yield f"{self.name}: {self.title}"
        yield (f"  {self.architecture.kind}, {self.parameters / 1e6:.1f} M parameters, {self.resolution_px} px, "
               f"predicts {self.prediction}, schedule {self.schedule.name}")
        if self.classes:
            yield "  classes: " + ", ".join(self.classes[:12]) + (" ..." if len(self.classes) > 12 else "")
        if training.data:
            yield "  trained on: " + "; ".join(training.data) + " (" + "; ".join(training.licences) + ")"
        if training.minutes:
            yield (f"  training: {training.minutes:.0f} min on {training.device}, {training.iterations} iterations, "
                   f"{training.samples} samples: {training.command}")
        for row in self.metrics:
            yield "  measured: " + ", ".join(f"{key} {_plain(value)}" for key, value in row.items())
        for failure in self.failures:
            yield f"  fails: {failure}"
        if self.note:
            yield f"  note: {self.note}"
        yield f"  sha256: {self.sha256}"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a small JSON file of a model. Raises InputError naming the file when it cannot be used."""
    try:
        if path.stat().st_size > _BYTES:
            raise InputError(f"{path.name} has {path.stat().st_size} bytes.", f"The limit is {_BYTES}.", field="model")
        value = json.loads(path.read_bytes())
    except OSError:
        raise InputError(f"The model has no {path.name}.", f"It belongs in {_place(path)}.",
                         "Put the file there or choose another model.", field="model") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path.name} is not JSON.", "It describes the model.", "Fetch the file again.",
                         field="model") from None
    if not isinstance(value, dict):
        raise InputError(f"{path.name} holds no named values.", "It describes the model.", "Fetch the file again.",
                         field="model")
    return value


def _place(path: Path) -> str:
    """Where a file belongs, without the part of the path that names the machine."""
    return "/".join(path.parts[-3:])


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
