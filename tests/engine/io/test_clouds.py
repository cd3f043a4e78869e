"""Clouds out of real files of every kind made here, and files that promise, point elsewhere or hold nonsense.

Parsers run in this process, where that is what is tested; that they run in a child of their own has tests at the end.
"""

import json
import struct

import numpy as np
import pytest
import trimesh

from engine.errors import InputError
from engine.io import child
from engine.io.clouds import CloudFile, parsing, read_cloud
from engine.runtime import settings

POINTS = np.float32(np.random.default_rng(0).normal(size=(300, 3)) * (1, 2, 0.5) + (5, -3, 100))
COLOURS = np.random.default_rng(1).integers(0, 256, (300, 3), np.uint8)


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(child, "parsed", lambda parser, data, kind, field, seconds: parser(data))


def cloud() -> trimesh.PointCloud:
    return trimesh.PointCloud(POINTS, colors=np.column_stack((COLOURS, np.full(300, 255, np.uint8))))


def ball() -> trimesh.Trimesh:
    """A red ball of radius 3 about (1, 2, 3)."""
    mesh = trimesh.creation.icosphere(3, radius=3)
    mesh.apply_translation((1, 2, 3))
    mesh.visual.vertex_colors = np.tile(np.uint8([200, 10, 30, 255]), (len(mesh.vertices), 1))
    return mesh


def exported(what, form: str, **options) -> bytes:
    content = what.export(file_type=form, **options)
    return content.encode() if isinstance(content, str) else content


def ply(declared: int, kind: str = "float", form: str = "binary_little_endian", body: bytes = b"") -> bytes:
    axes = "".join(f"property {kind} {axis}\n" for axis in "xyz")
    return f"ply\nformat {form} 1.0\nelement vertex {declared}\n{axes}end_header\n".encode() + body


def table(columns: np.ndarray, between: str = " ", head: str = "") -> bytes:
    return (head + "\n".join(between.join(f"{value:g}" for value in row) for row in columns)).encode()


def pcd(form: str, body: bytes, count: int = 300) -> bytes:
    return (f"# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z _ rgb\nSIZE 4 4 4 1 4\n"
            f"TYPE F F F U F\nCOUNT 1 1 1 4 1\nWIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\n"
            f"DATA {form}\n").encode() + body


def pcd_records() -> np.ndarray:
    red, green, blue = (COLOURS[:, i].astype(np.uint32) for i in range(3))
    records = np.zeros(300, [("p", "<f4", 3), ("pad", "u1", 4), ("rgb", "<u4")])
    records["p"], records["rgb"] = POINTS, red << 16 | green << 8 | blue
    return records


def in_file(found: CloudFile) -> np.ndarray:
    return found.centre + found.half * found.points


BOTH = np.column_stack((POINTS, COLOURS))


@pytest.mark.parametrize("data, coloured", [
    (exported(cloud(), "ply"), True), (exported(trimesh.Scene([cloud()]), "glb"), True),
    (ply(300, body=POINTS.tobytes()), False), (ply(300, form="ascii", body=table(POINTS)), False),
    (table(np.column_stack((POINTS, COLOURS / 255))).replace(b"\n", b"\nv ").join((b"v ", b"")), True),
    (b"OFF\n300 0 0\n" + table(POINTS), False), (table(POINTS), False), (table(BOTH), True),
    (b"300\n" + table(POINTS), False), (table(BOTH, ",", "x,y,z,red,green,blue\n"), True),
    (table(BOTH[:, [2, 3, 4, 5, 0, 1]], ";", "Z;R;G;B;X;Y\n"), True),
    (table(BOTH, ";", "x;y;z;r;g;b\n").decode().replace(".", ",").encode("utf-16"), True),
    (b"# made by hand\n" + table(POINTS, "\t"), False), (pcd("binary", pcd_records().tobytes()), True),
    (pcd("ascii", table(np.column_stack((POINTS, np.zeros((300, 5)))))), None)],
    ids=["ply", "glb", "binary ply", "ascii ply", "obj", "off", "xyz", "xyzrgb", "counted", "csv", "columns",
         "decimal comma", "tabs", "binary pcd", "ascii pcd"])
def test_every_kind_gives_the_points_and_colours_of_the_file(here, data, coloured):
    found = read_cloud(data)
    # The texts above hold six digits of numbers up to 100.
    assert np.allclose(in_file(found), POINTS, atol=2e-3)
    assert found.points.dtype == np.float32 and np.ptp(found.points, axis=0).max() == pytest.approx(2, abs=1e-5)
    assert np.allclose(found.points.min(0), -found.points.max(0), atol=1e-5) and not found.notes
    if coloured is not None:
        assert (found.colours is not None) == coloured
    if coloured:
        assert found.colours.dtype == np.uint8 and np.abs(found.colours.astype(int) - COLOURS).max() <= 1


@pytest.mark.parametrize("form", ["ply", "glb", "obj", "stl", "off"])
def test_meshes_are_sampled_evenly(here, form):
    data = exported(ball(), form)
    found = read_cloud(data)
    radii = np.linalg.norm(in_file(found) - (1, 2, 3), axis=1)
    # Faces of the ball lie up to 1.5 % within it.
    assert len(radii) == parsing.SAMPLED and radii.min() > 2.95 and radii.max() < 3.0001
    # Half the area of a ball lies above its centre: 8192 of 16384 points, give or take three deviations of 64.
    assert abs((found.points[:, 1] > 0).sum() - parsing.SAMPLED / 2) < 200
    assert "points were laid evenly on the surface of 1280 faces" in found.notes[0]
    assert np.array_equal(found.points, read_cloud(data).points)
    if form in ("ply", "glb", "obj"):
        assert (np.abs(found.colours.astype(int) - (200, 10, 30)) <= 1).all()


def test_scenes_place_their_parts(here):
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box((1, 1, 1)), transform=trimesh.transformations.translation_matrix((9, 0, 0)))
    scene.add_geometry(trimesh.creation.box((1, 1, 1)))
    found = in_file(read_cloud(exported(scene, "glb")))
    assert found[:, 0].max() == pytest.approx(9.5, abs=1e-3) and found[:, 0].min() == pytest.approx(-0.5, abs=1e-3)
    assert np.mean(found[:, 0] > 5) == pytest.approx(0.5, abs=0.01)


# Row 23
def test_no_point_and_one_point_are_told(here):
    for data, said in ((ply(0), "holds no point"), (b"x,y,z\n", "holds no point"),
                       (table(POINTS[:1]), "holds 1 point to work on. At least 16"),
                       (ply(300, body=np.full((300, 3), np.nan, np.float32).tobytes()), "holds no point")):
        with pytest.raises(InputError, match=said):
            read_cloud(data)


@pytest.mark.parametrize("place", [0.0, 1e30, -7.5])
def test_points_in_one_place_are_told(here, place):
    with pytest.raises(InputError, match="All 300 points lie in one place"):
        read_cloud(ply(300, body=np.full((300, 3), place, np.float32).tobytes()))


def test_points_far_out_and_without_numbers_do_not_shrink_the_rest(here):
    points = POINTS.copy()
    points[7], points[8], points[9, 1] = 1e30, np.inf, np.nan
    found = read_cloud(ply(300, body=points.tobytes()))
    kept = np.delete(POINTS, [7, 8, 9], axis=0)
    assert np.allclose(in_file(found), kept, atol=1e-4)
    assert [note[:8] for note in found.notes] == ["2 points", "1 point "] and "20 times as far" in found.notes[1]


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e6, 1e30])
def test_clouds_of_any_unit_come_out_alike(here, scale):
    found = read_cloud(ply(300, "double", body=(POINTS.astype(float) * scale).tobytes()))
    assert np.allclose(found.points, read_cloud(ply(300, body=POINTS.tobytes())).points, atol=1e-4)


def test_many_points_are_thinned(here, monkeypatch):
    monkeypatch.setenv("DIFFUSCOPE_CLOUD_POINTS", "1000")
    settings.limits.cache_clear()
    try:
        grid = np.int8(np.random.default_rng(0).integers(-100, 100, (10**6, 3)))
        found = read_cloud(ply(10**6, "char", body=grid.tobytes()))
    finally:
        settings.limits.cache_clear()
    assert found.points.shape == (1000, 3) and found.notes == ("The cloud of 1000000 points was thinned to 1000.",)
    # Deviation of the share on one side among a thousand: 1.6 %.
    assert np.mean(found.points > 0) == pytest.approx(0.5, abs=0.05)


# Row 22
@pytest.mark.parametrize("data, said", [
    (ply(10**8), "promises 100000000 vertex"), (ply(10**8, form="ascii", body=b"0 0 0\n"), "promises 100000000 vertex"),
    (ply(10**17), "promises"), (ply(-5), "says '-5' where a number belongs"), (ply(1, "quad"), "type 'quad'"),
    (b"OFF\n100000000 100 0\n0 0 0\n", "promises 100000000 points"), (pcd("binary", b"", 10**8), "100000000 points"),
    (pcd("binary_compressed", b"123"), "compressed"), (ply(3)[:40], "no end"),
    (b"x" * 80 + struct.pack("<I", 10**6) + b"\0" * 50, "no kind that is known"),
    (b"solid".ljust(80, b"\0") + struct.pack("<I", 10**6) + b"\0" * 50, "promises 1000000 triangles"),
    (ply(20, body=b"\0" * 24), "promises 20 vertex")])
def test_promises_that_the_file_does_not_hold_are_refused_unread(here, monkeypatch, data, said):
    monkeypatch.setattr(child, "parsed", None)
    with pytest.raises(InputError, match=said) as caught:
        read_cloud(data)
    assert caught.value.field == "cloud" and caught.value.why and caught.value.fix


def glb(told: dict) -> bytes:
    text = json.dumps({"asset": {"version": "2.0"}} | told).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<III", 0x46546C67, 2, 20 + len(text)) + struct.pack("<II", len(text), 0x4E4F534A) + text


@pytest.mark.parametrize("data, said", [
    (glb({"buffers": [{"uri": "file:///etc/hostname", "byteLength": 3}]}), "points to another file"),
    (glb({"images": [{"uri": "http://127.0.0.1:9/x.png"}]}), "points to another file"),
    (glb({"extensionsRequired": ["KHR_draco_mesh_compression"]}), "compressed"),
    (glb({"accessors": [{"count": 10**9, "componentType": 5126, "type": "VEC3"}]}), "promises 1000000000 values"),
    (glb({"accessors": [{"count": 10**9, "componentType": 5126, "type": "VEC3", "bufferView": 0}],
          "bufferViews": [{"byteLength": 12}]}), "promises 1000000000 values"),
    (glb({"nodes": [{}] * 10_001}), "10001 nodes"), (glb({"accessors": [7]}), "contradicts"),
    (glb({})[:-4], "promises"), (json.dumps({"asset": {"version": "2.0"}}).encode(), "glTF file in text form")])
def test_gltf_reads_nothing_but_itself(here, monkeypatch, data, said):
    monkeypatch.setattr(child, "parsed", None)
    with pytest.raises(InputError, match=said):
        read_cloud(data)


def test_files_beside_an_obj_are_not_opened(here, tmp_path, monkeypatch):
    (tmp_path / "secret.mtl").write_text("newmtl a\nKd 1 0 0\n")
    monkeypatch.chdir(tmp_path)
    found = read_cloud(f"mtllib secret.mtl\nmtllib {tmp_path}/secret.mtl\nusemtl a\n".encode()
                       + exported(trimesh.creation.box(), "obj"))
    assert found.colours is None and "materials, which is not read" in found.notes[0]


# Row 21
def test_faces_with_bad_corners_are_named_or_left_out(here):
    for face in ("f 1 2 9", "f 1 2 -9"):
        with pytest.raises(InputError, match=r"do not fit together|names point"):
            read_cloud(f"v 0 0 0\nv 1 0 0\nv 0 1 0\n{face}\n".encode())
    mesh = ball()
    vertices = mesh.vertices.copy()
    vertices[0] = np.nan
    broken = trimesh.Trimesh(vertices, mesh.faces, process=False)
    found = read_cloud(exported(broken, "ply"))
    assert "faces have corners that are no numbers" in found.notes[0] and np.isfinite(found.points).all()
    doubled = trimesh.Trimesh(mesh.vertices, np.concatenate((mesh.faces, mesh.faces[:, ::-1])), process=False)
    assert len(read_cloud(exported(doubled, "ply")).points) == parsing.SAMPLED


def test_faces_beyond_the_limit_are_refused(here, monkeypatch):
    monkeypatch.setenv("DIFFUSCOPE_MESH_FACES", "100")
    settings.limits.cache_clear()
    try:
        for form in ("ply", "stl", "off", "obj", "glb"):
            with pytest.raises(InputError, match=r"1280 faces\. The limit is 100"):
                read_cloud(exported(ball(), form))
    finally:
        settings.limits.cache_clear()


# Row 26
@pytest.mark.parametrize("data, said", [
    (table(POINTS) + b"\n=cmd|'/c calc' 2 3", "Line 301 has no number in column 1"),
    (table(POINTS, ",", "x,y,z\n") + b"\n1,2", "Line 302 has too few columns"),
    (table(POINTS, ",", "x,y,height\n"), "no column z"), (table(POINTS[:, :2]), "2 columns"),
    (b"1 " * 10**5, "100000 columns"), (b"one two three\n" * 20, "no column x")])
def test_tables_that_cannot_be_read_name_line_and_column(here, data, said):
    with pytest.raises(InputError, match=said):
        read_cloud(data)


def test_normals_are_not_taken_for_colours(here):
    assert read_cloud(table(np.column_stack((POINTS, np.random.default_rng(0).normal(size=(300, 3)))))).colours is None


@pytest.mark.parametrize("data, said", [
    (b"", "empty"), (b" \n\t", "empty"), (b"\x89PNG\r\n\x1a\n1234", "PNG file"), (b"PK\3\4" + b"0" * 90, "ZIP file"),
    (bytes(range(256)) * 4, "no kind that is known"), (b'{"a": 1}', "JSON file")])
def test_other_kinds_of_files_are_named(data, said):
    with pytest.raises(InputError, match=said) as caught:
        read_cloud(data, "shape")
    assert caught.value.field == "shape"


def test_a_turned_cloud_keeps_its_shape():
    found = CloudFile(POINTS, COLOURS).turned(np.float32([[1, 0, 0], [0, 0, -1], [0, 1, 0]]))
    # z up becomes y up, and what pointed away points to the back.
    assert np.allclose(found.points, POINTS[:, [0, 2, 1]] * (1, 1, -1)) and found.colours is COLOURS


def test_files_are_parsed_in_a_child_of_their_own(tmp_path):
    path = tmp_path / "shape.bin"
    path.write_bytes(exported(cloud(), "ply"))
    found = read_cloud(path)
    assert np.allclose(in_file(found), POINTS, atol=1e-4) and np.array_equal(found.colours, COLOURS)
    with pytest.raises(InputError, match="one place") as caught:
        read_cloud(table(np.ones((20, 3))), "shape")
    assert caught.value.field == "shape"
