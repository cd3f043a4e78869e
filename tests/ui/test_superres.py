"""The super-resolution tab with small networks: when it is there, and that a GeoTIFF keeps its place on the way."""

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from engine import tasks
from engine.io import load_picture
from engine.io.geotiff import GeoPicture, Georeference, encode
from engine.models import shelf
from engine.tasks.superres.task import TASK
from tests.engine.tasks.superres.tiny import ship
from tests.ui.fake_task import stripes
from ui import page
from ui.picture_input import check_offer, picked, picture_of

PLACE = Georeference("EPSG:32633", tuple(from_origin(500_000, 5_400_000, 10, 10))[:6])


@pytest.fixture(scope="module", autouse=True)
def shipped(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    ship(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "ROOT", root)
        yield root


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.tif"
    path.write_bytes(encode(np.ascontiguousarray(stripes(16)), PLACE))
    return path


def _tabs(demo) -> list[str]:
    return [block.label for block in demo.blocks.values() if isinstance(block, gr.Tab)]


def test_the_tab_is_there_with_its_own_settings():
    demo = page.build([TASK])
    assert _tabs(demo)[0] == "Super-resolution"
    visible = {block.elem_id for block in demo.blocks.values() if getattr(block, "elem_id", None) and block.visible}
    assert {f"superres-{name}" for name in ("method", "play", "diversity", "solver", "samples")} <= visible
    assert "superres-guidance" not in visible


def test_without_its_models_there_is_no_tab(tmp_path, monkeypatch):
    assert "superres" in tasks.names()
    monkeypatch.setattr(shelf, "ROOT", tmp_path)
    assert "superres" not in tasks.names()


def test_the_picture_box_keeps_the_place_of_a_geotiff(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    answer = check_offer({"offered": {"path": str(scene), "meta": {"_type": "gradio.FileData"}}, "kind": "picture"})
    picture = picture_of(picked(answer))
    assert answer["error"] == "" and answer["size"] == [16, 16] and answer["picture"]["path"].endswith(".png")
    assert isinstance(picture, GeoPicture) and picture.georeference.transform == PLACE.transform
    assert np.array_equal(picture.pixels, stripes(16))


def test_a_program_gets_geotiffs_back(scene):
    demo = page.build([TASK])
    demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **page.serving())
    try:
        client = Client(demo.local_url, verbose=False)
        answer = client.predict(picture=handle_file(str(scene)), steps=2, samples=2, api_name="/superres")
        files = {Path(file).name.partition("-")[2]: file for file in answer["files"]}
        placed = [path for name, path in files.items() if name.endswith(".tif")]
        assert len(placed) == 3 and load_picture(placed[0]).georeference.transform[0] == 2.5
        with MemoryFile(Path(placed[0]).read_bytes()) as memory, memory.open() as source:
            assert source.crs == "EPSG:32633" and source.shape == (64, 64)
        with pytest.raises(Exception, match="Choose one of"):
            client.predict(picture=handle_file(str(scene)), method="magic", api_name="/superres")
    finally:
        demo.close()
