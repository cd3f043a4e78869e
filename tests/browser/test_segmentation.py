"""Segmentation in the browser: scans and slices, a mask that is looked at and corrected, many pictures in a row."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.ui.segmentation.fake_scan_task import DISCS, SIDE_PX, discs

TASKS = ("segmentation", "restoration")
FINISH_MS = 30_000
MASK = "#segmentation-mask"


def _run(page):
    page.click("#segmentation-run")
    expect(page.locator("#segmentation-viewer .dv")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text("area")


def _area(page):
    text = page.locator(f"{MASK} .mk-counts").inner_text()
    return int(re.sub(r"\D", "", re.search(r"area ([\d\s]+) px", text).group(1)))


def _at(page, row, column):
    """Screen coordinates of a pixel of the picture, which stands whole in the middle of its stage."""
    box = page.locator(f"{MASK} .mk-stage").bounding_box()
    unit = min(box["width"], box["height"]) / SIDE_PX
    return (box["x"] + box["width"] / 2 + (column + 0.5 - SIDE_PX / 2) * unit,
            box["y"] + box["height"] / 2 + (row + 0.5 - SIDE_PX / 2) * unit)


def _stroke(page, start, end):
    page.locator(f"{MASK} .mk-stage").scroll_into_view_if_needed()
    page.mouse.move(*_at(page, *start))
    page.mouse.down()
    page.mouse.move(*_at(page, *end), steps=8)
    page.mouse.up()


def _downloads(page, place):
    page.locator(f"{place} a").first.wait_for()
    found = {}
    for link in page.locator(f"{place} a").all():
        with page.expect_download() as download:
            link.click()
        path = download.value.path()
        found[download.value.suggested_filename] = path.read_bytes()
    return found


def test_the_threshold_and_the_views_need_no_server(watched):
    found = watched()
    page = found.page
    _run(page)
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text(f"{len(DISCS)} nuclei")
    before, requests = _area(page), len(found.requests)
    page.locator(f"{MASK} .mk-threshold").fill("180")
    expect(page.locator(f"{MASK} .mk-at")).to_have_text("0.90")
    page.wait_for_function(f"document.querySelector('{MASK} .mk-counts').textContent.indexOf('area') > 0")
    assert _area(page) < before
    page.locator(f"{MASK} .mk-threshold").fill("100")
    page.click(f"{MASK} [data-view=sample]")
    expect(page.locator(f"{MASK} .mk-thumbs button")).to_have_count(4)
    page.click(f"{MASK} .mk-next")
    expect(page.locator(f"{MASK} .mk-words")).to_contain_text("Sample 2 of 4")
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text("Sample 2 of 4")
    for view, word in (("agreement", "all 4"), ("doubt", "standard deviation")):
        page.click(f"{MASK} [data-view={view}]")
        expect(page.locator(f"{MASK} .mk-high")).to_contain_text(word)
    page.click(f"{MASK} [data-view=fused]")
    assert _area(page) == before
    assert [target for target in found.requests[requests:] if not target.startswith(("data:", "blob:"))] == []
    assert found.errors == []


def test_a_corrected_mask_is_what_was_drawn(watched):
    page = watched().page
    _run(page)
    before = _area(page)
    page.click(f"{MASK} [data-tool=paint]")
    _stroke(page, (80, 80), (80, 88))
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text(f"{len(DISCS) + 1} nuclei")
    painted = _area(page)
    assert painted > before
    page.click(f"{MASK} [data-tool=erase]")
    row, column, radius = DISCS[2]
    _stroke(page, (row, column - radius - 5), (row, column + radius + 5))
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text(f"{len(DISCS) + 2} nuclei")
    erased = _area(page)
    assert erased < painted
    page.keyboard.press("Control+z")
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text(f"{len(DISCS) + 1} nuclei")
    assert _area(page) == painted
    page.keyboard.press("Control+Shift+z")
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text(f"{len(DISCS) + 2} nuclei")

    page.click(f"{MASK} .mk-save")
    expect(page.locator("#segmentation-corrected")).to_contain_text("Corrected by hand", timeout=FINISH_MS)
    files = _downloads(page, "#segmentation-corrected-files")
    mask = np.asarray(Image.open(io.BytesIO(files["segmentation-mask-corrected.png"]))) > 0
    assert mask.sum() == erased and mask[80, 84] and not mask[row, column]
    sheet = json.loads(files["segmentation-mask-corrected.json"])
    assert sheet["measurements"]["Count"] == len(DISCS) + 2 and sheet["measurements"]["Area (px)"] == erased

    page.click(f"{MASK} .mk-reset")
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text(f"{len(DISCS)} nuclei")
    assert _area(page) == before


def _slice(page, change, at):
    page.click(f"{MASK} .mk-{change}")
    expect(page.locator(f"{MASK} .mk-slice-at")).to_have_text(at)


def test_corrections_of_several_slices_stay_with_them_and_are_saved_together(watched):
    found = watched()
    page = found.page
    page.get_by_role("button", name="Stack").click()
    expect(page.locator("#segmentation-slice")).to_be_visible()
    page.locator("#segmentation-every_slice input").check()
    _run(page)
    counts, undo = page.locator(f"{MASK} .mk-counts"), page.locator(f"{MASK} .mk-undo")
    expect(page.locator(f"{MASK} .mk-slice-at")).to_have_text("2 of 3")
    middle = _area(page)
    page.click(f"{MASK} [data-tool=paint]")
    _stroke(page, (80, 80), (80, 88))
    expect(counts).to_contain_text("Corrected")
    painted = _area(page)
    _slice(page, "after", "3 of 3")
    expect(undo).to_be_disabled()
    last = _area(page)
    assert "Corrected" not in counts.inner_text()
    _stroke(page, (10, 85), (14, 85))
    expect(counts).to_contain_text("Corrected")
    _stroke(page, (50, 85), (54, 85))
    expect(page.locator(f"{MASK} .mk-edited")).to_contain_text("slices 2, 3")
    _slice(page, "before", "2 of 3")
    assert _area(page) == painted
    undo.click()
    expect(undo).to_be_disabled()
    assert _area(page) == middle
    page.click(f"{MASK} .mk-redo")
    page.locator(f"{MASK} .mk-stage").focus()
    page.keyboard.press("PageDown")
    expect(page.locator(f"{MASK} .mk-slice-at")).to_have_text("3 of 3")
    both = _area(page)
    undo.click()
    assert last < _area(page) < both
    page.click(f"{MASK} .mk-redo")

    page.click(f"{MASK} .mk-save")
    expect(page.locator("#segmentation-corrected")).to_contain_text("Slices 2 to 3", timeout=FINISH_MS)
    files = _downloads(page, "#segmentation-corrected-files")
    with zipfile.ZipFile(io.BytesIO(files["segmentation-masks-corrected.zip"])) as whole:
        masks = [np.asarray(Image.open(io.BytesIO(whole.read(name)))) > 0 for name in sorted(whole.namelist())]
    assert [mask.sum() for mask in masks[1:]] == [painted, both] and masks[1][80, 84] and masks[2][52, 85]
    assert found.errors == []


def test_a_run_of_another_slice_keeps_the_corrections_of_the_first(watched):
    page = watched().page
    page.get_by_role("button", name="Stack").click()
    expect(page.locator("#segmentation-slice")).to_be_visible()
    _run(page)
    expect(page.locator(f"{MASK} .mk-slices")).to_be_hidden()
    page.locator(f"{MASK} .mk-threshold").fill("120")
    page.click(f"{MASK} [data-tool=paint]")
    _stroke(page, (80, 80), (80, 88))
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text("Corrected")
    painted = _area(page)
    box = page.locator("#segmentation-slice input[type=number]")
    box.fill("3")
    box.press("Tab")
    _run(page)
    expect(page.locator(f"{MASK} .mk-slice-at")).to_have_text("3 of 3")
    expect(page.locator(f"{MASK} .mk-at")).to_have_text("0.60")
    expect(page.locator(f"{MASK} .mk-edited")).to_contain_text("slice 2")
    _slice(page, "before", "2 of 3")
    assert _area(page) == painted
    page.click(f"{MASK} .mk-undo")
    expect(page.locator(f"{MASK} .mk-counts")).not_to_contain_text("Corrected")


def test_the_mask_is_corrected_by_keyboard_and_survives_other_tabs(watched):
    page = watched().page
    _run(page)
    page.click(f"{MASK} [data-tool=paint]")
    page.locator(f"{MASK} .mk-stage").focus()
    size = page.locator(f"{MASK} .mk-px").inner_text()
    page.keyboard.press("]")
    assert page.locator(f"{MASK} .mk-px").inner_text() != size
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text("Corrected: 4 nuclei")
    page.click(f"{MASK} .mk-save")
    expect(page.locator("#segmentation-corrected")).to_contain_text("Corrected by hand", timeout=FINISH_MS)
    page.get_by_role("tab", name="Restoration").click()
    page.wait_for_timeout(300)
    page.get_by_role("tab", name="Segmentation").click()
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text("Corrected: 4 nuclei")


def test_zoom_keeps_to_the_picture_and_the_wheel_scrolls_a_page_that_nobody_works_on(watched):
    page = watched().page
    _run(page)
    stage = page.locator(f"{MASK} .mk-stage")
    stage.scroll_into_view_if_needed()
    row, column, _ = DISCS[0]
    page.mouse.move(*_at(page, row, column))
    expect(page.locator(f"{MASK} .mk-read")).to_contain_text("Nucleus 1")
    expect(page.locator(f"{MASK} .mk-read")).to_contain_text("4 of 4 samples")
    page.locator(f"{MASK} .mk-list summary").click()
    page.locator(f"{MASK} .mk-rows button").nth(2).click()
    expect(page.locator(f"{MASK} .mk-read")).to_contain_text("Nucleus 3")
    page.evaluate(f"document.querySelector('{MASK} .mk-stage').scrollIntoView()")
    stage.hover(position={"x": 40, "y": 40})
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, -150)
    page.wait_for_timeout(400)
    assert page.evaluate("scrollY") < before
    stage.hover(position={"x": 40, "y": 240})
    stage.focus()
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, -150)
    page.wait_for_timeout(200)
    assert page.evaluate("scrollY") == before


def test_a_volume_has_slices_and_what_does_not_concern_a_picture_is_hidden(watched, tmp_path):
    found = watched()
    page = found.page
    expect(page.locator("#segmentation-slice")).to_be_hidden()
    page.get_by_role("button", name="Stack").click()
    expect(page.locator("#segmentation-slice")).to_be_visible()
    image = page.locator("#segmentation-picture .pic-image")
    note = page.locator("#segmentation-picture .pic-note")
    expect(note).to_contain_text("Slice 2 of 3.")
    middle = image.get_attribute("src")
    box = page.locator("#segmentation-slice input[type=number]")
    box.fill("3")
    box.press("Tab")
    expect(note).to_contain_text("Slice 3 of 3.")
    assert image.get_attribute("src") != middle
    _run(page)
    expect(page.locator(f"{MASK} .mk-counts")).to_contain_text("mm²")

    Image.fromarray(np.full((40, 60, 3), (90, 20, 30), np.uint8)).save(tmp_path / "colour.png")
    page.locator("#segmentation-picture .pic-file").set_input_files(tmp_path / "colour.png")
    expect(page.locator("#segmentation-slice")).to_be_hidden()
    expect(page.locator("#segmentation-centre")).to_be_hidden()
    assert found.errors == []


def test_a_bad_file_leaves_the_picture(watched, tmp_path):
    page = watched().page
    (tmp_path / "bad.dcm").write_text("this is no picture")
    before = page.locator("#segmentation-picture .pic-image").get_attribute("src")
    page.locator("#segmentation-picture .pic-file").set_input_files(tmp_path / "bad.dcm")
    error = page.locator("#segmentation-picture .pic-error")
    expect(error).not_to_be_empty()
    assert "bad" not in error.inner_text() and "/tmp" not in error.inner_text()
    assert page.locator("#segmentation-picture .pic-image").get_attribute("src") == before
    _run(page)


def test_several_files_are_slices_and_many_pictures_make_a_table(watched, tmp_path):
    page = watched().page
    for number in (1, 2):
        Image.fromarray(np.uint8(discs() * number / 2)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_text("no picture")
    paths = [tmp_path / f"{number}.png" for number in (1, 2, 3)]
    page.locator("#segmentation-picture .pic-file").set_input_files(paths[:2])
    expect(page.locator("#segmentation-picture .pic-note")).to_contain_text("of 2")

    page.locator("#segmentation-batch button.label-wrap").click()
    page.locator("#segmentation-batch-given input[type=file]").set_input_files(paths)
    expect(page.locator("#segmentation-batch-cost")).to_contain_text("3 files")
    page.click("#segmentation-batch-run")
    lines = page.locator("#segmentation-batch-table tbody tr")
    expect(lines).to_have_count(3)
    expect(page.locator("#segmentation-batch-progress .dv-status")).to_contain_text("finished in", timeout=FINISH_MS)
    states = [line.locator("td").last.inner_text() for line in lines.all()]
    assert states[:2] == ["done", "done"] and "Scans must be PNG" in states[2]
    (_, data), = _downloads(page, "#segmentation-batch-zip").items()
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        names = whole.namelist()
        assert {"picture-01-mask.png", "picture-02-mask.png", "recipe.json", "table.csv"} <= set(names)
        assert whole.read("table.csv").decode().count("\n") == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(watched, width, scheme):
    page = watched(width=width, height=844, scheme=scheme).page
    _run(page)
    for view in ("fused", "sample", "agreement", "doubt"):
        page.click(f"{MASK} [data-view={view}]")
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
