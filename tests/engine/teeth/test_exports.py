"""Files of an arrangement: in the coordinates of the files that were read, the same bytes each time, nothing else in
them."""

import csv
import io
import json
import zipfile
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from engine.io.dental import Dentition
from engine.io.save import save_result
from engine.tasks.teeth import exports, report
from engine.tasks.teeth.rendering import Surface
from engine.tasks.teeth.task import TASK


@pytest.fixture(scope="module")
def scanned(dentition) -> Dentition:
    """The dentition as if its files were in centimetres and in another frame."""
    frame = np.eye(4)
    frame[:3, :3], frame[:3, 3] = Rotation.random(random_state=2).as_matrix(), (10, 20, -30)
    return replace(dentition, unit="cm", frame=frame, notes=("<script>alert(1)</script>", "unit"))


@pytest.fixture(scope="module")
def result(scanned):
    recipe = TASK.defaults.replace(steps=2, samples=2, options=TASK.defaults.options | {"stage_mm": 1.0,
                                                                                        "stage_deg": 5.0})
    with torch.no_grad():
        *_, last = TASK.run({"teeth": scanned}, recipe)
    return last


def meshes_in(data: bytes) -> dict[str, trimesh.Trimesh]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: trimesh.load(io.BytesIO(archive.read(name)), file_type="stl", process=False)
                for name in archive.namelist()}


def expected(scanned: Dentition, fdi: int, motion: np.ndarray) -> np.ndarray:
    """Triangles' corners of a moved tooth in the file's coordinates, from the definition."""
    vertices, faces = scanned.meshes[fdi]
    moved = vertices @ motion[:3, :3].T + motion[:3, 3]
    home = np.linalg.inv(scanned.frame)
    return ((moved @ home[:3, :3].T + home[:3, 3]) / 10)[faces]


def test_the_goal_opens_elsewhere_and_lies_where_the_file_did(result, scanned):
    found = meshes_in(result.files["goal.zip"])
    assert list(found) == [f"{fdi}.stl" for fdi in result.arrays["fdi"].values]
    for fdi, motion in zip(result.arrays["fdi"].values.tolist(), result.arrays["goal"].values):
        assert np.allclose(found[f"{fdi}.stl"].triangles, expected(scanned, fdi, motion), atol=1e-5)  # cm, float32
        assert found[f"{fdi}.stl"].volume > 0


def test_every_stage_holds_every_tooth(result, scanned):
    found = meshes_in(result.files["stages.zip"])
    stages, fdi = result.arrays["stages"].values, result.arrays["fdi"].values.tolist()
    assert list(found) == [f"stage-{k + 1:02d}/{number}.stl" for k in range(len(stages)) for number in fdi]
    assert np.allclose(found[f"stage-01/{fdi[3]}.stl"].triangles, expected(scanned, fdi[3], stages[0][3]), atol=1e-5)


def test_stages_that_would_be_too_many_bytes_are_thinned_from_the_last(scanned, monkeypatch):
    size = sum(84 + 50 * len(faces) for _, faces in scanned.meshes.values())
    monkeypatch.setattr(exports, "limits", lambda: type("Limits", (), {"scan_bytes": 2 * size}))
    assert exports.stride(scanned, 2) == 1 and exports.stride(scanned, 5) == 3
    stages = np.broadcast_to(np.eye(4), (5, 1, 4, 4))
    assert [name for name, _ in exports._staged(scanned, [11], stages)] == ["stage-02/11.stl", "stage-05/11.stl"]


def test_matrices_act_on_the_files_own_coordinates(result, scanned):
    sheet = json.loads(result.files["motions.json"])
    assert "p_after = M p_before" in sheet["convention"] and sheet["file unit"] == "cm"
    assert sheet["recipe"]["task"] == "teeth" and sheet["notice"].startswith("Research use")
    for index, tooth in enumerate(sheet["teeth"]):
        inside, outside = (np.array(tooth["goal"][name]) for name in ("anatomy", "file"))
        assert np.allclose(inside, result.arrays["goal"].values[index], atol=1e-5)
        corner = scanned.meshes[tooth["fdi"]][0][:5]
        home = scanned.to_file(tooth["fdi"])
        before = corner @ home[:3, :3].T + home[:3, 3]
        moved = corner @ inside[:3, :3].T + inside[:3, 3]
        after = before @ outside[:3, :3].T + outside[:3, 3]
        assert np.allclose(after, moved @ home[:3, :3].T + home[:3, 3], atol=1e-4)  # cm; six digits in the file
        assert np.array(tooth["stages"]["file"]).shape == (len(result.arrays["stages"].values), 4, 4)


def test_the_table_has_a_line_per_tooth(result):
    rows = list(csv.DictReader(io.StringIO(result.files["movement.csv"].decode())))
    assert [int(row["tooth"]) for row in rows] == result.arrays["fdi"].values.tolist()
    found = np.array([[float(row[f"{name} ({unit})"]) for name, unit in (("mesial", "mm"), ("torque", "deg"))]
                      for row in rows])
    assert np.allclose(found, result.arrays["movement"].values[:, [0, 5]], atol=6e-4)  # three digits
    assert "total (mm)" in rows[0] and "total (deg) spread" in rows[0]


class Tags(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.seen: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def test_the_report_is_one_escaped_page_without_links(result):
    text = result.files["report.html"].decode()
    tags = Tags(text).seen
    images = [attrs["src"] for tag, attrs in tags if tag == "img"]
    assert len(images) == 10 and all(src.startswith("data:image/png;base64,") for src in images)
    assert all("alt" in attrs for tag, attrs in tags if tag == "img")
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe", "a", "form")]
    assert "&lt;script&gt;" in text and "http" not in text and report.NOTICE in text
    assert len([tag for tag, _ in tags if tag == "tr"]) > len(result.arrays["fdi"].values)


def test_the_same_result_gives_the_same_files(result, tmp_path):
    for name in result.files:
        assert result.files[name] == result.files[name], name
    first = [path.name for path in save_result(result, tmp_path / "a")]
    second = [path.name for path in save_result(result, tmp_path / "b")]
    assert first == second
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in first)
    assert {name.split("-", 2)[2] for name in first if not name.endswith(".json") or "motions" in name} == set(
        result.files)


def test_thinned_surfaces_keep_their_place_and_size():
    ball = trimesh.creation.icosphere(5, 5.0)
    found = report.thinned(Surface(np.array(ball.vertices), np.array(ball.faces)), 2000)
    assert len(found.faces) <= 2000
    radius = np.linalg.norm(found.vertices[np.unique(found.faces)], axis=1)
    assert radius.min() > 4.8 and radius.max() <= 5.0
    kept = Surface(np.array(ball.vertices), np.array(ball.faces[:100]))
    assert report.thinned(kept, 2000) is kept
