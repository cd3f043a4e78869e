"""The results section of the README, made from the measurements in assets/results and from nothing else.

Each file there was written by `evaluate --json` or `bench --json`; what it holds is told from its rows.
"""

import json
from pathlib import Path

from engine.errors import InputError
from engine.report import bench, clinical, forecast, pictures, shapes, steering, style, superres
from engine.report.tables import Row

ROOT = Path(__file__).resolve().parents[2]
README, RESULTS = ROOT / "README.md", ROOT / "assets" / "results"
BEGIN, END = "<!-- results -->", "<!-- /results -->"


_NOTHING = ("Nothing was measured yet. `python -m engine evaluate TASK --data DIR --json assets/results/TASK.json` and "
            "`python -m engine bench --json assets/results/bench.json` measure, `python -m engine report` writes the "
            "tables here.")
_COLUMNS = {
    "restoration": {"degradation", "method", "psnr_db", "ssim", "seconds", "pictures"},
    "inpainting": {"set", "hole", "method", "psnr_db", "ssim", "spectral_error", "boundary_jump", "seconds",
                   "pictures"},
    "superres": {"method", "psnr_db", "ssim", "spectral_error", "high_spectral_error", "consistency", "seconds",
                 "pictures"},
    "steering": {"problem", "method", "budget", "steps", "samples", "psnr_db", "psnr_mean_db", "spectral_error",
                 "consistency", "coverage", "seconds", "pictures"},
    "segmentation": {"set", "method", "dice", "brier", "calibration_error", "doubt_auroc", "seconds", "pictures"},
    "contrast": {"method", "target", "told", "samples", "mae", "psnr_db", "ssim", "slices"},
    "teeth": {"crowns", "set", "method", "add_mm", "rotation_deg", "collisions", "six_keys", "seconds", "patients"},
    "pointcloud": {"source", "method"},
    "forecast": {"record", "method"},
    "style": {"method", "content", "style", "pictures"},
    "bench": {"title", "rows"},
}


def write(readme: Path = README, results: Path = RESULTS) -> bool:
    """Put the section into the README; whether that changed it. Raises InputError for a file that cannot be used."""
    try:
        text = readme.read_text(encoding="utf-8")
        new = placed(text, section(results))
        if new != text:
            readme.write_text(new, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{readme.name} could not be read and written.",
                         f"{error.strerror or 'The system refused it'}.", "Check its place.", field="readme") from None
    return new != text


def placed(text: str, section: str) -> str:
    """The text with what stands between the two markers replaced. Raises InputError unless each is there once."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        raise InputError("The README has no place for the results.", f"It needs {BEGIN} and {END} once, in this order.",
                         "Add the two lines.", field="readme")
    return f"{before}{BEGIN}\n{section}\n{END}{after}"


def section(results: Path = RESULTS) -> str:
    """The Markdown of all measurements in a folder: tasks, then bench, each by file name."""
    files = [(path, *_read(path)) for path in sorted(results.glob("*.json"))] if results.is_dir() else []
    parts = []
    for kind, show in _SECTIONS.items():
        for path, found, rows in files:
            if found == kind:
                title = _TITLES.get(kind, kind.capitalize()) + ("" if path.stem == kind else f", {path.stem}")
                parts += [f"### {title}", *show(rows)]
    return "\n\n".join(parts) or _NOTHING


def _read(path: Path) -> tuple[str, list[Row]]:
    """What kind of measurement a file holds, and its rows."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        rows = None
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        for kind, columns in _COLUMNS.items():
            if all(columns <= row.keys() for row in rows):
                return kind, rows
    raise InputError(f"{path.name[:60]} holds no measurement.", "It must be what evaluate or bench wrote with --json.",
                     "Measure again, or take the file away.", field="results")


_TITLES = {"superres": "Super-resolution", "steering": "Steering one prior",
           "contrast": "Contrast synthesis", "teeth": "Tooth arrangement", "pointcloud": "Sketch to 3-D",
           "forecast": "Forecast maps", "style": "Style transfer"}
_SECTIONS = {"restoration": pictures.restoration, "inpainting": pictures.inpainting, "superres": superres.superres,
             "steering": steering.steering, "segmentation": clinical.segmentation, "contrast": clinical.contrast,
             "teeth": shapes.teeth, "pointcloud": shapes.pointcloud, "forecast": forecast.forecast,
             "style": style.style, "bench": bench.bench}
