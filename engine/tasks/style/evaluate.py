"""Structure kept and style taken, over the dials and beside classical transfers, in one run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import metrics, models
from engine.io.pictures import Picture, to_pixels
from engine.tasks.measuring import Averages, pictures_in, timed
from engine.tasks.style import baselines, canvas, examples, sampling, statistics
from engine.tasks.style.procedural import STYLES

CONTENTS, SIDE_PX = 6, 192
DIALS = tuple((content, style) for content in (0.3, 1.0, 3.0) for style in (0.4, 0.7, 1.0))
_NETWORK, _CODEC = "style", "style_autoencoder"
Apply = Callable[[np.ndarray, np.ndarray], np.ndarray]


def evaluate(task, data: str, limit: int | None = None) -> list[dict[str, Any]]:
    """One row per method and dial position, means over pairs of Kodak pictures (at most `limit`) and styles.

    Styles: paintings, and the hands made by the program on a picture of scikit-image. ssim: of the lightness to the
    content; edges: correlation of the magnitudes of their gradients; style_distance: root mean square difference of
    `statistics.describe`. Where the learned model of ArtFusion and its autoencoder are shipped, they are measured,
    too. Of paintings only the lowest quarters serve, which that training has not seen.
    """
    most = CONTENTS if limit is None else min(limit, CONTENTS)
    contents = [canvas.fitted(pixels, SIDE_PX) for pixels in pictures_in(Path(data) / "kodak24", most)]
    styles = list(_styles(Path(data)))
    averages = Averages("method", "content", "style")
    for number, content in enumerate(contents):
        for style in styles[number % 3::3]:
            for (method, *dials), apply in _methods(task, number):
                drawn, seconds = timed(apply, content, style)
                averages.add((method, *dials), _figures(drawn, content, style) | {"seconds": seconds})
    return [*averages.rows(), *_autoencoder(Path(data))]


def _methods(task, seed: int) -> Iterator[tuple[tuple, Apply]]:
    yield ("the photograph", "", ""), lambda content, style: content
    yield ("colours, Reinhard", "", ""), baselines.reinhard
    yield ("colours, histograms", "", ""), baselines.histograms
    yield ("wavelet statistics, fitted", "", ""), baselines.fitted_bands
    if {_NETWORK, _CODEC} <= set(models.names()):
        yield ("ArtFusion, learned", "", ""), _learned(seed)
    chosen = {setting.name: setting.default for setting in task.settings}
    for content, style in dict.fromkeys(((chosen["content_weight"], chosen["style_weight"]), *DIALS)):
        recipe = task.defaults.replace(seed=seed, options={"content_weight": content, "style_weight": style,
                                                           "size": str(SIDE_PX)})

        def ours(photograph: np.ndarray, hand: np.ndarray, recipe=recipe) -> np.ndarray:
            *_, result = task.run({"content": Picture(photograph), "style": Picture(hand)}, recipe)
            return result.arrays["samples"].values[0]

        yield ("ours", content, style), ours


def _styles(data: Path) -> Iterator[np.ndarray]:
    for painting in pictures_in(data / "style_pd"):
        yield canvas.fitted(painting[-max(painting.shape[0] // 4, 96):], SIDE_PX)
    for hand in STYLES:
        yield canvas.fitted(examples.styled("rocket", hand), SIDE_PX)


@torch.no_grad()
def _learned(seed: int) -> Apply:
    model, codec = models.load(_NETWORK), models.load(_CODEC).network

    @torch.no_grad()
    def draw(content: np.ndarray, style: np.ndarray) -> np.ndarray:
        told = sampling.told(codec, canvas.padded(content), canvas.padded(style))
        drawn = codec.decode(sampling.draw(model.denoiser, told, seed=seed))
        return to_pixels(drawn.clamp(-1, 1))[0, :content.shape[0], :content.shape[1]]

    return draw


def _figures(drawn: np.ndarray, content: np.ndarray, style: np.ndarray) -> dict[str, float]:
    lightness, shown = metrics.luminance(content), metrics.luminance(drawn)
    wanted, got = (statistics.describe(one[None])[0] for one in (style, drawn))
    return {"ssim": metrics.ssim(shown, lightness), "edges": _edges(shown, lightness),
            "style_distance": statistics.distance(got, wanted)}


def _edges(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(*(np.hypot(*np.gradient(v)).ravel() for v in (a, b)))[0, 1])


@torch.no_grad()
def _autoencoder(data: Path) -> Iterator[dict[str, Any]]:
    if _CODEC not in models.names():
        return
    codec = models.load(_CODEC).network
    found = []
    for pixels in pictures_in(data / "kodak24"):
        rebuilt = codec.decode(codec.encode(canvas.padded(pixels)))[..., :pixels.shape[0], :pixels.shape[1]]
        found.append(metrics.psnr(to_pixels(rebuilt)[0], pixels))
    yield {"method": "the autoencoder alone", "content": "", "style": "",
           "psnr_db": round(float(np.mean(found)), 2), "pictures": len(found)}
