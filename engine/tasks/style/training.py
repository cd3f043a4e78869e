"""Training of the two style models: first the autoencoder, then the latent U-Net on what it encodes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine import metrics
from engine.errors import InputError
from engine.networks.style import PATCH
from engine.tasks.style import sampling, statistics
from engine.tasks.style.material import Material, material, varied
from engine.tasks.style.pool import Pool
from engine.training import pictures
from engine.training.spec import Batch, Spec

LATENTS = 24
_NOISE = 0.08
"""Noise over each latent's deviation while the decoder learns, so that generated latents need not be exact."""
_LICENCES = ("flower_photos CC-BY; grocery MIT; wallpapers CC0, Unsplash, CC BY-SA; scikit-image CC0; EuroSAT MIT; "
             "paintings public domain")
_DATA = "photographs, EuroSAT patches, 12 paintings, and photographs in five styles made by the program"


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The models of this task by name. The second needs the first one shipped."""
    return {"style_autoencoder": partial(_autoencoder, data), "style": partial(_style, data)}


def _autoencoder(data: Path) -> Spec:
    stock = material(data)
    return Spec(
        name="style_autoencoder", task="style", title="Autoencoder of pictures, 8 px patches", kind="patch_autoencoder",
        options={"latents": LATENTS}, schedule=("vp_linear", {}), prediction="x0", resolution_px=64,
        batch=partial(_crops, stock), loss=_rebuilt, validate=partial(_validate_code, stock.held_out),
        sheet=partial(_sheet_code, stock.held_out), data=_DATA, licences=_LICENCES, learning_rate=1e-3,
        buffers=_components(stock), note="Answers decode(encode(x)) at every time.",
        failures=("Fine print, faces of a few pixels and single-pixel grain are smoothed.",))


def _components(stock: Material) -> dict[str, Tensor]:
    """Principal components of 8 px patches: the autoencoder's start."""
    rng = np.random.default_rng(0)
    crops = pictures.to_tensor([varied(stock.draw(64, rng), rng) for _ in range(1200)])
    patches = torch.nn.functional.pixel_unshuffle(crops, PATCH).permute(0, 2, 3, 1).flatten(0, 2).double()
    values, directions = torch.linalg.eigh(torch.cov(patches.T))
    return {"basis": directions.flip(1)[:, :LATENTS].T.float().contiguous(), "centre": patches.mean(0).float(),
            "spread": values.flip(0)[:LATENTS].sqrt().float()}


def _crops(stock: Material, rng: Generator, progress: float) -> Batch:
    return Batch(pictures.to_tensor([varied(stock.draw(64, rng), rng) for _ in range(16)]))


def _rebuilt(network, batch: Batch, schedule, prediction: str, generator: torch.Generator) -> Tensor:
    """Squared error and absolute error of fine differences, which keeps edges and strokes, under noise on latents."""
    latents = network.encode(batch.x0)
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    error = network.decode(latents + _NOISE * network.scale * noise).float() - batch.x0
    fine = sum(error.diff(dim=axis).abs().mean() for axis in (2, 3))
    white = (latents / network.scale).float()
    return 10 * error.square().mean() + 0.5 * fine + 1e-3 * (white.square().mean() - 1).clamp_min(0)


def _validate_code(held_out: np.ndarray, denoise) -> dict[str, float]:
    """PSNR in dB on held-out photographs and paintings at 128 px."""
    x0 = pictures.to_tensor(held_out)
    rebuilt = denoise(x0, 0.5).clamp(-1, 1)
    return {"PSNR dB": round(float(np.mean([metrics.psnr(*pair) for pair in zip(_bytes(rebuilt), held_out)])), 2)}


def _sheet_code(held_out: np.ndarray, denoise) -> np.ndarray:
    x0 = pictures.to_tensor(held_out[:6])
    return pictures.sheet(x0, denoise(x0, 0.5))


def _style(data: Path) -> Spec:
    from engine import models

    if "style_autoencoder" not in models.names():
        raise InputError("There is no autoencoder to train on.", "The style model works on what it encodes.",
                         "Train style_autoencoder first and put it in assets/models.", field="task")
    codec = models.load("style_autoencoder").network
    stock = material(data)
    pool = Pool.drawn(stock, codec, np.random.default_rng(1))
    return Spec(
        name="style", task="style", title="Style transfer of pictures", kind="style_unet",
        options={"latents": LATENTS, "statistics": statistics.COUNT}, schedule=("vp_linear", {}), prediction="v",
        resolution_px=128, batch=pool.batch, validate=partial(_validate, stock.held_out, codec),
        sheet=partial(_sheet, stock.held_out, codec), data=_DATA, licences=_LICENCES, learning_rate=1e-3,
        failures=("Knows a dozen paintings: most hands it meets are new to it.",
                  "Strokes are at most some ten pixels long; composition and figures are never changed."))


def _validate(held_out: np.ndarray, codec, denoise) -> dict[str, float]:
    """Structure kept and style taken, with each held-out picture in the style of the next one."""
    contents, styles = held_out[:8], np.roll(held_out[:8], 1, axis=0)
    out = _bytes(_drawn(contents, styles, codec, denoise))
    wanted, got, had = (statistics.describe(p) for p in (styles, out, contents))
    return {"SSIM to content": _mean(metrics.ssim(_grey(a), _grey(b)) for a, b in zip(out, contents)),
            "style distance": _mean(map(statistics.distance, got, wanted)),
            "style distance, content": _mean(map(statistics.distance, had, wanted))}


def _drawn(contents: np.ndarray, styles: np.ndarray, codec, denoise, **dials: Any) -> Tensor:
    with torch.no_grad():
        told = sampling.told(codec, pictures.to_tensor(contents), pictures.to_tensor(styles))
        return codec.decode(sampling.draw(denoise, told, steps=15, **dials)).clamp(-1, 1)


def _sheet(held_out: np.ndarray, codec, denoise) -> np.ndarray:
    """Columns: content, style, result with three settings of the dials."""
    contents, styles = held_out[:6], np.roll(held_out[:6], 1, axis=0)
    columns = [_drawn(contents, styles, codec, denoise, content=c, style=s) for c, s in ((1, 1), (0.5, 2), (1, 3))]
    return pictures.sheet(pictures.to_tensor(contents), pictures.to_tensor(styles), *columns)


def _bytes(x: Tensor) -> np.ndarray:
    return np.uint8((x.permute(0, 2, 3, 1).float().numpy() * 127.5 + 128).clip(0, 255))


def _grey(picture: np.ndarray) -> np.ndarray:
    return metrics.luminance(picture)


def _mean(values) -> float:
    return round(float(np.mean(list(values))), 3)
