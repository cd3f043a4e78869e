"""People's own models in diffusers format: an unconditional or class-conditional pipeline around a UNet2DModel.

Only four files are read (three JSON, one safetensors) and no code comes with them.
"""

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from engine import schedules
from engine.errors import InputError
from engine.models import weights
from engine.models.card import Architecture, Card, ScheduleSpec, read_json
from engine.models.model import Model, fill

INDEX, UNET, SCHEDULER = "model_index.json", "unet/config.json", "scheduler/scheduler_config.json"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
_FILES = (INDEX, UNET, SCHEDULER, WEIGHTS)
_PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
_TABLES = ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid")
_TABLE_FIELDS = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas",
                 "rescale_betas_zero_snr")


def _unusable(what: str, why: str = "", fix: str = "Choose a pipeline around a UNet2DModel.") -> InputError:
    return InputError(what, why, fix, field="model")


def local(text: str) -> Path:
    """The folder behind "local:FOLDER". Raises InputError when it is none, or is a file of weights."""
    if not text:
        raise _unusable("No folder is named.", "A model of your own is given as local:FOLDER.", "Name its folder.")
    place = Path(text).expanduser()
    weights.refuse_pickle(place)
    if not place.is_dir():
        raise _unusable("The model's folder is not there.", "local: needs a folder with " + ", ".join(_FILES) + ".",
                        "Check its name.")
    return place


def fetched(repository: str) -> Path:
    """The folder of a hub model on this machine, downloaded when it is not there yet (JSON and safetensors only)."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", repository, re.ASCII):
        raise _unusable(f"{repository[:60]!r} is not a model of the hub.", "Its form is hub:owner/name.",
                        "Check the name.")

    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    place = ("Without the network put " + ", ".join(_FILES) + " of this model into one folder, keep the sub-folders, "
             "and give local:FOLDER.")
    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(_FILES), etag_timeout=10))
    except GatedRepoError:
        raise _unusable(f"The hub model {repository} is only given out on request.", "This program asks for none.",
                        place) from None
    except OfflineModeIsEnabled:
        raise _unusable(f"The hub model {repository} is not on this machine.", "The hub is switched off here.", place
                        ) from None
    except RepositoryNotFoundError:
        raise _unusable(f"The hub has no public model {repository}.", "The hub itself was reached.",
                        "Check the name.") from None
    except (OSError, ValueError) as error:
        raise _unusable(f"The hub model {repository} could not be fetched.",
                        f"The attempt ended with {type(error).__name__}.", place) from None


def restore(folder: Path, name: str) -> Model:
    """The model in a folder in diffusers format. Raises InputError naming the file or field that cannot be used."""
    _check_index(folder)
    config = read_json(folder / UNET)
    network = UNet2D(config)
    schedule, spec, prediction = _schedule(read_json(folder / SCHEDULER))
    digest = _fill(network, folder)
    classes = network.classes
    card = Card(name=_plain_name(name), title="A model of your own", prediction=prediction, schedule=spec,
                architecture=Architecture(kind="unet2d", options={k: v for k, v in config.items() if k[:1] != "_"}),
                parameters=sum(p.numel() for p in network.parameters()), resolution_px=network.resolution_px,
                classes=[f"class {i}" for i in range(classes)], sha256=digest,
                note="Training data, licence and failures are known to its makers only.")
    return Model(name, network, schedule, card)


def _plain_name(name: str) -> str:
    """The name for the card: a folder's place on the machine stays out of it."""
    return name if name.startswith("hub:") else "local"


def _check_index(folder: Path) -> None:
    index = read_json(folder / INDEX)
    parts = {key: value for key, value in index.items() if key[:1] != "_" and value not in (None, [None, None])}
    if not isinstance(parts.get("unet"), list) or parts["unet"][-1:] != ["UNet2DModel"]:
        raise _unusable("The pipeline has no UNet2DModel.", f"model_index.json names {_listed(parts)}.")
    others = [key for key, value in parts.items() if key not in ("unet", "scheduler") and isinstance(value, list)]
    if others:
        raise _unusable(f"The pipeline also needs {', '.join(others)[:80]}.",
                        "Only pipelines of a network and a noise schedule are supported.")


def _listed(parts: dict[str, Any]) -> str:
    return ", ".join(str(key)[:30] for key in list(parts)[:6]) or "nothing"


def _fill(network: nn.Module, folder: Path) -> str:
    if not (folder / WEIGHTS).is_file():
        pickled = next((folder / "unet").glob("diffusion_pytorch_model*.bin"), None)
        if pickled is not None:
            weights.refuse_pickle(pickled)
        raise _unusable("The model's weights are missing.", f"They belong in {WEIGHTS}.", "Put the file there.")
    return fill(network.unet, folder / WEIGHTS)


class UNet2D(nn.Module):
    """diffusers' UNet2DModel with our signature: forward(x (B, C, H, W), t (B,), label (B,) or None) -> (B, C, H, W).

    Built without memory of its own (meta device): a made-up config costs nothing before the weights prove it.
    A network that also predicts a variance gives 2C channels, of which the first half is the prediction.
    """

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        import torch
        from diffusers import UNet2DModel

        _check_config(config)
        try:
            with torch.device("meta"):
                self.unet = UNet2DModel.from_config(config)
        except Exception as error:  # diffusers raises whatever its parts raise on a config that does not fit together
            raise _unusable("The network's config.json cannot be built.", f"{type(error).__name__}: {str(error)[:160]}."
                            ) from None
        settings = self.unet.config
        self.classes = int(settings.num_class_embeds or 0)
        self.channels = int(settings.in_channels)
        side = settings.sample_size
        self.resolution_px = max(side) if isinstance(side, (list, tuple)) else int(side or 0)
        if settings.out_channels not in (self.channels, 2 * self.channels):
            raise _unusable(f"The network turns {self.channels} channels into {settings.out_channels}.",
                            "It must give as many as it takes.")

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        if self.classes and (label is None or bool((label >= self.classes).any())):
            raise InputError("This model has no answer without a class.", f"It knows {self.classes} classes.",
                             "Choose a class and set guidance to 1.", field="guidance")
        if self.unet.config.time_embedding_type == "learned":
            t = t.round().long()
        return self.unet(x, t, class_labels=label if self.classes else None).sample[:, :self.channels]


def _check_config(config: dict[str, Any]) -> None:
    if config.get("_class_name") != "UNet2DModel":
        raise _unusable(f"The network is a {str(config.get('_class_name'))[:40]!r}.", "It must be a UNet2DModel.")
    if config.get("time_embedding_type") == "fourier" or config.get("class_embed_type"):
        raise _unusable("The network's embedding of time or class is of a kind that is not supported.",
                        "Time must be positional or learned, classes numbered.")
    for field, most in (("layers_per_block", 16), ("num_class_embeds", 100_000), ("in_channels", 64)):
        value = config.get(field)
        if value is not None and (type(value) is not int or not 0 <= value <= most):
            raise _unusable(f"{field} is {str(value)[:40]} in the network's config.json.",
                            f"It must be from 0 to {most}.")
    for field in ("down_block_types", "up_block_types", "block_out_channels"):
        value = config.get(field, [])
        if not isinstance(value, list) or len(value) > 12:
            raise _unusable(f"{field} is wrong in the network's config.json.",
                            "It must be a list of at most 12 entries.")


def _schedule(config: dict[str, Any]) -> tuple[schedules.Schedule, ScheduleSpec, str]:
    """The noise schedule of a scheduler's config, what rebuilds it, and the prediction type."""
    kind = config.get("prediction_type", "epsilon")
    if kind not in _PREDICTIONS:
        raise _unusable(f"prediction_type is {str(kind)[:40]!r} in scheduler_config.json.",
                        "Known are " + ", ".join(_PREDICTIONS) + ".")
    steps, table = config.get("num_train_timesteps", 1000), config.get("beta_schedule", "linear")
    if type(steps) is not int or not 2 <= steps <= 100_000:
        raise _unusable(f"num_train_timesteps is {str(steps)[:40]} in scheduler_config.json.",
                        "It must be from 2 to 100000.")
    if table not in _TABLES or config.get("beta_start", config.get("trained_betas")) is None:
        raise _unusable(f"The noise schedule {str(config.get('_class_name'))[:40]!r} is not supported.",
                        "It needs a table of betas: " + ", ".join(_TABLES) + ".")

    from diffusers import DDPMScheduler

    try:
        betas = DDPMScheduler(**{key: config[key] for key in _TABLE_FIELDS if key in config}).betas
        options = {"betas": [float(b) for b in betas.double()]}
        return schedules.vp_discrete(tuple(options["betas"])), ScheduleSpec(name="vp_discrete", options=options), \
            _PREDICTIONS[kind]
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise _unusable("scheduler_config.json gives no usable betas.", f"{str(error)[:160]}.") from None
