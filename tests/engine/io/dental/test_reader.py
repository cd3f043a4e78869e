"""Whole dentitions through the child process: formats, units, frames, repairs and refusals (rows 19 to 22)."""

import json

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from engine.errors import InputError
from engine.io import child, dental, inputs
from engine.io.dental import sizes
from engine.tasks.base import InputSpec
from tests.engine.io.dental.making import ascii_stl, files, moved, obj, ply, stl, whole, zipped


@pytest.fixture(autouse=True)
def parsed(request, monkeypatch):
    """The parser in this process, which saves a second each time; tests with "child" in their names use a real one."""
    def here(parser, data, kind, field, **limits):
        try:
            return parser(data)
        except InputError as error:
            raise InputError(error.what, error.why, error.fix, field=field) from None

    if "child" not in request.node.name:
        monkeypatch.setattr(child, "parsed", here)


def frame(seed: int = 0, scale: float = 1.0) -> np.ndarray:
    """A random rigid frame in a unit of which `scale` are a millimetre."""
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.random(random_state=seed).as_matrix()
    matrix[:3, 3] = scale * np.array([30.0, -70.0, 110.0])
    return matrix


def test_a_zip_of_stl_files_in_any_frame_and_unit_is_read_back_by_a_child(crowns):
    given = frame(3, 1000.0)
    found = dental.read(zipped(files(moved(crowns, given))))
    assert found.unit == "um" and list(found) == list(crowns)
    assert any("micrometres" in note for note in found.notes) and any("turned by" in note for note in found.notes)
    # Least squares over crooked teeth: the malocclusion itself tilts an arch by a few degrees and shifts it by 1 mm.
    error = found.from_file(11) @ given
    assert np.degrees(Rotation.from_matrix(error[:3, :3]).magnitude()) < 5
    for fdi, (vertices, _) in crowns.items():
        there = cKDTree(vertices @ error[:3, :3].T + error[:3, 3])
        # The vertices are those of the file, less those at the same place; float32 of 1e5 um.
        assert there.query(found.meshes[fdi][0])[0].max() < 0.02
        assert 0.9 < len(found.meshes[fdi][0]) / len(vertices) <= 1


def test_motions_go_to_the_file_and_back(crowns):
    """What a motion does in the program's frame, its form for the file does to the file's own vertices."""
    given = frame(4, 0.1)
    found = dental.read(files(moved(crowns, given)))
    assert found.unit == "cm"
    motion = frame(5)
    vertices = crowns[13][0] @ given[:3, :3].T + given[:3, 3]
    inside = found.to_file(13) @ motion @ found.from_file(13)
    there = vertices @ inside[:3, :3].T + inside[:3, 3]
    mine = vertices @ found.from_file(13)[:3, :3].T + found.from_file(13)[:3, 3]
    expected = (mine @ motion[:3, :3].T + motion[:3, 3]) @ found.to_file(13)[:3, :3].T + found.to_file(13)[:3, 3]
    assert np.allclose(there, expected, atol=1e-9)


def test_files_in_the_programs_frame_keep_it(crowns, tmp_path):
    for name, data in files({fdi: crowns[fdi] for fdi in crowns if fdi < 30}, ascii_stl):
        (tmp_path / name.replace("ascii_stl", "stl")).write_bytes(data)
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "notes.pdf").write_bytes(b"%PDF-1.4")
    found, notes = inputs.read(InputSpec("teeth", "Teeth", "dentition", ""), str(tmp_path), {})
    assert np.array_equal(found.frame, np.eye(4)) and all(fdi < 30 for fdi in found)
    assert "Files that hold no mesh were passed over: 1." in notes


def test_labelled_jaws_of_the_challenge_and_of_ply(crowns):
    jaws = {name: whole({fdi: crowns[fdi] for fdi in crowns if (fdi < 30) == (name == "upper")})
            for name in ("upper", "lower")}
    given = []
    for name, (vertices, faces, labels) in jaws.items():
        told = {"jaw": name, "labels": labels.tolist(), "instances": np.unique(labels, return_inverse=True)[1].tolist()}
        given += [(f"AB_12_{name}.obj", obj(vertices, faces)), (f"AB_12_{name}.json", json.dumps(told).encode())]
    found = dental.read(given)
    assert set(found) == set(crowns) and found.gum is not None
    assert all(np.isclose(found.meshes[fdi][0].mean(0), crowns[fdi][0].mean(0), atol=0.2).all() for fdi in crowns)
    vertices, faces, labels = whole(crowns)
    same = dental.read(ply(vertices, faces, labels))
    assert set(same) == set(crowns)
    assert len(dental.read(ply(vertices, faces, labels), jaw="upper")) == sum(fdi < 30 for fdi in crowns)


def test_what_is_broken_is_repaired_and_said(crowns):
    teeth = dict(crowns)
    vertices, faces = teeth[11]
    teeth[11] = vertices, faces[:, ::-1]
    teeth[12] = teeth[12][0], np.concatenate((teeth[12][1], teeth[12][1][:40]))
    uneven = teeth[13][1].copy()
    uneven[:200] = uneven[:200, ::-1]
    teeth[13] = teeth[13][0], uneven
    odd = np.concatenate((teeth[14][0], [[np.nan, 0, 0]]))
    teeth[14] = odd, np.concatenate((teeth[14][1], [[0, 1, len(odd) - 1]]))
    speck = teeth[15][0].max(0) + np.array([[5.0, 5, 5], [5.3, 5, 5], [5, 5.3, 5]])
    teeth[15] = np.concatenate((teeth[15][0], speck)), np.concatenate((teeth[15][1],
                                                                       [len(teeth[15][0]) + np.arange(3)]))
    found = dental.read(files(teeth, ply))
    notes = " ".join(found.notes)
    for words in ("faced inwards (tooth 11)", "twice were left out (tooth 12)", "some outwards (tooth 13)",
                  "no numbers were left out (tooth 14)", "pieces were left out (tooth 15)"):
        assert words in notes, (words, notes)
    for fdi, (points, triangles) in found.meshes.items():
        corner = points[triangles]
        volume = (corner[:, 0] * np.cross(corner[:, 1], corner[:, 2])).sum() / 6
        assert np.isfinite(points).all() and 50 < volume < 500, fdi  # a crown of 5 to 11 mm each way, outward


def test_units_that_cannot_be_told_are_asked_for(crowns):
    found = dental.read(files(moved(crowns, np.diag([4.0, 4.0, 4.0, 1.0]))))
    assert found.unit == "" and "could not be told" in found.notes[-1]
    with pytest.raises(InputError, match="unit cannot be told") as caught:
        found.in_unit("auto")
    assert caught.value.field == "unit"
    with pytest.raises(InputError, match="mm wide"):
        found.in_unit("inch")


def test_another_unit_changes_lengths_and_the_way_back(crowns):
    read = dental.read(files(crowns))
    found = dental.Dentition(read.meshes, "", read.frame, None, ("x",)).in_unit("mm")
    assert found.unit == "mm" and np.allclose(found.meshes[11][0], read.meshes[11][0])
    with pytest.raises(InputError, match="In inches the crowns would be"):
        read.in_unit("inch")
    small = dental.Dentition({fdi: (v / 25.4, f) for fdi, (v, f) in read.meshes.items()}, "", np.eye(4), None, ("x",))
    inches = small.in_unit("inch")
    assert np.allclose(inches.meshes[11][0], read.meshes[11][0])
    assert np.allclose(inches.to_file(11)[:3, :3], np.eye(3) / 25.4)
    assert read.digest() == dental.read(files(crowns)).digest() != inches.in_unit("auto").digest()


@pytest.mark.parametrize(("given", "words"), [
    (lambda c: files({fdi: c[fdi] for fdi in (11, 21, 22)}), "There are 3 teeth"),
    (lambda c: [*files(c), ("again_11.stl", stl(*c[11]))], "Tooth 11 is there more than once"),
    (lambda c: files({fdi: (v - v.mean(0), f) for fdi, (v, f) in c.items()}), "lie in one place"),
    (lambda c: files(moved(c, np.diag([-1.0, 1, 1, 1]))), "are a mirror image"),
    (lambda c: files({fdi: m for fdi, m in moved(c, np.diag([-1.0, 1, 1, 1])).items() if fdi > 30}),
     "are a mirror image"),
    (lambda c: files(dict(c) | {13: c[43], 43: c[13]}), "Teeth 13 and 43 lie in the other jaw"),
    (lambda c: [("jaw.stl", stl(*whole(c)[:2]))], "The teeth have no numbers"),
    (lambda c: [("11.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n"), *files(c)[1:]], "A triangle names vertex 8"),
    (lambda c: [("11.obj", b"v 0 0 0\nv 1 0 x\nf 1 2 1\n"), *files(c)[1:]], "mesh of tooth 11 is damaged"),
    (lambda c: [("11.stl", b"solid a\nendsolid a\n"), *files(c)[1:]], "tooth 11"),
])
def test_what_cannot_be_used_is_refused_by_name(crowns, given, words):
    order = {fdi: crowns[fdi] for fdi in (11, *(fdi for fdi in crowns if fdi != 11))}
    with pytest.raises(InputError, match=words) as caught:
        dental.read(given(order), "teeth")
    assert caught.value.field == "teeth" and caught.value.fix


def test_a_jaw_that_lies_upside_down_is_turned(crowns):
    lower = {fdi: mesh for fdi, mesh in crowns.items() if fdi > 30}
    found = dental.read(files({fdi: m for fdi, m in crowns.items() if fdi < 30}
                              | moved(lower, np.diag([-1.0, -1, 1, 1]))))
    assert found.lower_frame is not None
    notes = " ".join(found.notes)
    assert "lower teeth were turned by 1" in notes and "upside down" in notes and "do not meet" in notes
    level = [np.mean([found.meshes[fdi][0][:, 1].mean() for fdi in found if (fdi < 30) == up]) for up in (True, False)]
    assert level[0] - level[1] > 3  # crowns of 7 mm that overlap by 2


def test_a_child_tells_what_is_wrong(crowns):
    empty = "11.ply", ply(crowns[11][0], crowns[11][1][:0])
    with pytest.raises(InputError, match="tooth 11 has 0 triangles") as caught:
        dental.read([empty, *files({fdi: crowns[fdi] for fdi in (12, 13, 21, 22)})], "teeth")
    assert caught.value.field == "teeth"


def test_wishes_for_units_and_jaws_are_checked():
    for wrong in ({"unit": "feet"}, {"jaw": "left"}):
        with pytest.raises(InputError, match="Choose one of"):
            dental.read(b"x", **wrong)


def test_sizes():
    box = np.array(np.meshgrid([0, 5.0], [0, 9.0], [0, 7.0])).reshape(3, -1).T
    assert np.isclose(sizes.width(box), 7.0)
    assert [sizes.unit_of(scale, 8 / scale) for scale in (1.0, 1e-3, 10.0, 1000.0, 25.4, 4.0)] == [
        "mm", "um", "cm", "m", "inch", ""]
    assert sizes.unit_of(1.0, 40.0) == sizes.unit_of(0.0, 8.0) == ""
