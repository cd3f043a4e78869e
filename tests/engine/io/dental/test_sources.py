"""Names, tables, labels and headers: judged before anything is parsed."""

import json
import struct
import tracemalloc

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.dental import naming, parsing, sources
from tests.engine.io.dental.making import obj, ply, stl, zipped

TRIANGLE = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]])
STL = stl(*TRIANGLE)


@pytest.mark.parametrize(("name", "fdi"), [
    ("11.stl", 11), ("tooth_36.ply", 36), ("FDI11.obj", 11), ("a/b/Zahn-48.stl", 48),
    ("scan2021_case07_tooth 21.stl", 21), ("12_of_32_tooth11.stl", 11), ("x.12.stl", 12), ("upper.stl", None),
    ("2021.stl", None), ("tooth_19.stl", 19), ("55.stl", 55), ("../../17.stl", 17), ("tooth_111.stl", 111)])
def test_numbers_in_names(name, fdi):
    assert naming.number_in(name) == fdi


@pytest.mark.parametrize("text", ["file,fdi\na.stl,11\nb.stl,12\n", "﻿fdi;file\r\n11;A.STL\r\n12;b.stl\r\n",
                                  "a.stl\t11\nb.stl\t12", '{"a.stl": 11, "b": "12"}'])
def test_tables_in_their_usual_forms(text):
    assert naming.table(text.encode(), "teeth") == {"a": 11, "b": 12}


@pytest.mark.parametrize(("text", "words"), [
    ("a.stl,11\nb.stl,x\n", "Line 2"), ("a.stl,11\na.stl,12\n", "two numbers"), ('{"a": [1]}', "no table"),
    ("a.stl,=cmd()\nb.stl,11", "Line 2|Line 1"), ('{"a": 11', "cannot be read")])
def test_bad_tables_are_refused_with_the_line(text, words):
    with pytest.raises(InputError, match=words):
        naming.table(text.encode() if "cmd" not in text else b"a,11\n" + text.encode(), "teeth")


def labelled(**fields) -> bytes:
    return json.dumps({"jaw": "upper", "labels": [0, 11, 11, 12], "instances": [0, 1, 1, 2]} | fields).encode()


def test_labels_are_read_and_checked():
    assert naming.labels(labelled(), "teeth").fdi.tolist() == [0, 11, 11, 12]
    for fields, words in (({"jaw": "lower"}, "of the other jaw"), ({"instances": [0, 1]}, "4 labels and 2"),
                          ({"instances": [0, 1, 3, 2]}, "Tooth 11 is there more than once"),
                          ({"labels": [0, 1.5, 2, 3]}, "list labels"), ({"labels": "11"}, "list labels")):
        with pytest.raises(InputError, match=words):
            naming.labels(labelled(**fields), "teeth")
    with pytest.raises(InputError, match="cannot be read"):
        naming.labels(b"[" * 100_000, "teeth")


def planned(*files):
    return sources.planned(list(files), "teeth")


def test_files_find_their_teeth():
    found, notes = planned(("11.stl", STL), ("12.ply", ply(*TRIANGLE)), ("b.obj", obj(*TRIANGLE)),
                           ("gum.stl", STL), ("19.stl", STL), ("scan.stl", STL), ("t.csv", b"b.obj,21\n"),
                           ("readme.pdf", b"%PDF"))
    assert [(file.kind, file.fdi) for file in found] == [("STL", 11), ("PLY", 12), ("OBJ", 21), ("STL", 0)]
    assert any("left out: 19" in note for note in notes) and any("names were left out: 1" in note for note in notes)
    assert any("passed over: 1" in note for note in notes)


def test_a_supernumerary_tooth_must_not_share_a_number():
    with pytest.raises(InputError, match="supernumerary"):
        planned(("11.stl", STL), ("tooth11.stl", STL))


@pytest.mark.parametrize(("name", "data", "words"), [
    ("11.stl", STL[:80] + struct.pack("<I", 10_000_000) + STL[84:], "promises 10000000|of no kind"),
    ("11.stl", b"solid" + STL[5:80] + struct.pack("<I", 7) + STL[84:], "promises 7 triangles"),
    ("11.stl", STL[:-9], "promises 1 triangles|of no kind"),
    ("11.ply", ply(*TRIANGLE).replace(b"vertex 3", b"vertex 100000000"), "promises 100000000"),
    ("11.obj", b"mtllib ../secret.mtl\n" + obj(*TRIANGLE), "materials elsewhere"),
    ("11.obj", b"mtllib http://a/b.mtl\n" + obj(*TRIANGLE), "materials elsewhere"),
    ("11.glb", b"glTF" + bytes(40), "glTF"), ("11.svg", b"<svg xmlns='x'/>", "SVG"), ("11.stl", b"hello", "no kind"),
    ("11.png", b"\x89PNG\r\n\x1a\n", "PNG"),
])
def test_headers_are_judged_before_parsing(name, data, words):
    tracemalloc.start()
    with pytest.raises(InputError, match=words) as caught:
        planned((name, data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000 and caught.value.field == "teeth"


def test_a_binary_stl_may_begin_with_solid_and_materials_in_the_folder_are_passed_over():
    found, notes = planned(("11.stl", b"solid" + STL[5:]), ("12.obj", b"mtllib a.mtl\n" + obj(*TRIANGLE)))
    assert [file.kind for file in found] == ["STL", "OBJ"] and any("materials" in note for note in notes)


def test_zips_are_refused_unread_and_files_need_content():
    with pytest.raises(InputError, match="leads out of its folder"):
        sources.named(zipped([("../11.stl", STL)]), "teeth")
    with pytest.raises(InputError, match="times its size"):
        sources.named(zipped([("11.stl", bytes(1_000_000))]), "teeth")
    assert sources.named(zipped([("u/11.stl", STL), ("__MACOSX/._11.stl", b"x")]), "teeth") == [("u/11.stl", STL)]
    for nothing in (b"", [], [("11.stl", b"")]):
        with pytest.raises(InputError, match=r"empty|no file"):
            sources.named(nothing, "teeth")
    with pytest.raises(InputError, match="limit is 50 MB"):
        sources.named([("11.stl", bytes(51_000_000))], "teeth")
    with pytest.raises(InputError, match="501 files"):
        sources.named([(f"{k}.stl", b"x") for k in range(501)], "teeth")


def test_obj_keeps_every_vertex_in_order():
    """Labels count on it: unused vertices stay, quads are split, negative numbers count from the end."""
    text = b"v 0 0 0\nv 9 9 9\nv 1 0 0 .5 .5 .5\nv 1 1 0\nv 0 1 0\nusemtl a\nf 1/1 3/2 4/3 5/4\no b\nf -1 -2 -3\n"
    vertices, faces, _ = parsing._read(parsing.Source("OBJ", text))
    assert vertices.shape == (5, 3) and faces.tolist() == [[0, 2, 3], [0, 3, 4], [4, 3, 2]]


def test_a_triangle_belongs_to_the_label_of_two_corners():
    points = np.random.default_rng(0).normal(size=(6, 3))
    faces = np.array([[0, 1, 2], [1, 2, 3], [3, 4, 5], [2, 3, 5]])
    notes: list[str] = []
    found = dict(parsing._split(points, faces, np.array([11, 11, 11, 12, 12, 19]), notes))
    assert {fdi: mesh[1].tolist() for fdi, mesh in found.items()} == {
        0: [[2, 3, 5]], 11: [[0, 1, 2], [1, 2, 3]], 12: [[3, 4, 5]]}
    assert not notes
    dict(parsing._split(points, faces, np.array([11, 11, 11, 19, 19, 19]), notes))
    assert "19" in notes[0]
