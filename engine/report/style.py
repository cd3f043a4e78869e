"""What the measurements of style transfer say."""

from collections.abc import Iterable, Sequence

from engine.report.tables import Row, groups, mean, number, table, verdict

_FIGURES = {"ssim": ("SSIM of the lightness", 3), "edges": ("edges kept", 3), "style_distance": ("style distance", 3),
            "seconds": ("seconds", 2)}
_OURS, _COLOURS, _ALONE = "ours", "colours, Reinhard", "the autoencoder alone"


def style(rows: Sequence[Row]) -> Iterable[str]:
    """One table of methods and dials, and what the goals say."""
    pairs = [row for row in rows if row["method"] != _ALONE]
    yield (f"Means over {pairs[0]['pictures']} pairs of Kodak pictures and styles, 192 px: parts of paintings, and "
           "hands made by the program. Structure kept: SSIM and the correlation of edges with the photograph. Style "
           "taken: the distance of colour and wavelet statistics to the style.")
    yield table([{"method": row["method"], "content": _dial(row["content"]), "style": _dial(row["style"])}
                 | {shown: number(row[key], digits) for key, (shown, digits) in _FIGURES.items()} for row in pairs])
    ours = [row for row in pairs if row["method"] == _OURS]
    colours = next((row for row in pairs if row["method"] == _COLOURS), None)
    code = next((row for row in rows if row["method"] == _ALONE), None)
    if not ours or colours is None:
        return
    kept, taken = _trend(ours, "content", "style", "ssim"), -_trend(ours, "style", "content", "style_distance")
    default = ours[0]
    share = 1 - default["style_distance"] / colours["style_distance"]
    demands = {f"SSIM follows the content weight with {kept:.2f}": kept >= 0.9,
               f"style follows its weight with {taken:.2f}": taken >= 0.9,
               f"style distance {100 * share:.0f} % below Reinhard's": share >= 0.3,
               f"SSIM {default['ssim']:.2f} at the default": default["ssim"] >= 0.5}
    if code is not None:
        yield f"The learned model's autoencoder alone gives back the Kodak pictures with {code['psnr_db']:.2f} dB."
    yield verdict("both measures follow their dial (rank correlation at least 0.9); at the default a style distance "
                  "30 % below colour transfer's and SSIM at least 0.5", len(demands),
                  [words for words, met in demands.items() if not met])


def _dial(value: object) -> str:
    return "" if value == "" else f"{value:g}"


def _trend(rows: Sequence[Row], dial: str, other: str, figure: str) -> float:
    """Mean over the other dial's positions of the rank correlation of a figure with a dial."""
    from scipy.stats import spearmanr

    found = []
    for group in groups(rows, other).values():
        if len(group) > 2:
            found.append(float(spearmanr([row[dial] for row in group], [row[figure] for row in group]).statistic))
    return mean(found)
