"""What every visitor meets: the page loads alone, fits, keeps settings, and survives bad files."""

import json
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from engine.io.save import read_recipe

FINISH_MS = 20_000


def _status(page, task="inpainting"):
    return page.locator(f"#{task}-viewer .dv-status")


def _run(page, task="inpainting"):
    page.click(f"#{task}-run")
    expect(page.locator(f"#{task}-viewer .dv")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)


def _saved_settings_arrive(page):
    # The start-up restore is an event of its own; a change made before it would be overwritten.
    page.wait_for_load_state("networkidle")


def _set_number(page, selector, value):
    box = page.locator(f"{selector} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def test_the_page_loads_without_outside_requests_or_errors(open_page):
    watched = open_page()
    page = watched.page
    assert page.get_by_role("tab").all_inner_texts()[:4] == ["Inpainting", "Restoration", "Laboratory", "Models"]
    for name in ("Restoration", "Laboratory", "Models", "Inpainting"):
        page.get_by_role("tab", name=name, exact=True).click()
        page.wait_for_timeout(300)
    assert watched.outside == [] and watched.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(open_page, choose_tab, width, scheme, tmp_path):
    page = open_page(width=width, height=844, scheme=scheme).page
    _run(page)
    for name in ("Inpainting", "Restoration", "Laboratory", "Models"):
        choose_tab(page, name)
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(background.removeprefix("rgb(").split(",")[0])
    assert red > 200 if scheme == "light" else red < 50
    assert len(page.screenshot(path=tmp_path / "page.png", full_page=True)) > 20_000


def test_a_run_shows_frames_finishes_and_can_be_looked_through(open_page, tmp_path):
    watched = open_page()
    page = watched.page
    _run(page)
    expect(_status(page)).to_contain_text("finished in")
    expect(page.locator("#inpainting-viewer .dv-grid img")).to_have_count(1)
    assert page.locator("#inpainting-viewer .dv-grid img").get_attribute("src").startswith("data:image/jpeg;base64,")
    expect(page.locator("#inpainting-slider img").first).to_be_visible()

    scrub = page.locator("#inpainting-viewer .dv-scrub input")
    frames = int(scrub.get_attribute("max")) + 1
    assert 3 <= frames <= 32
    before = len(watched.requests)
    scrub.fill("0")
    expect(page.locator("#inpainting-viewer .dv-step")).to_contain_text("Step 1 of 20")
    page.get_by_role("button", name="Both").first.click()
    expect(page.locator("#inpainting-viewer .dv-grid img")).to_have_count(2)
    assert [url for url in watched.requests[before:] if not url.startswith("data:")] == []

    with page.expect_download() as download:
        page.locator("#inpainting-files a").first.click()
    path = tmp_path / "result.png"
    download.value.save_as(path)
    recipe, notes = read_recipe(path)
    assert (recipe.task, recipe.solver, recipe.steps, notes) == ("inpainting", "dpmpp_2m", 20, ())
    assert watched.errors == [] and watched.outside == []


def test_settings_survive_a_reload(open_page):
    page = open_page().page
    _saved_settings_arrive(page)
    _set_number(page, "#inpainting-steps", 33)
    page.locator("#inpainting-solver input").click()
    page.get_by_role("option", name="DDIM", exact=True).click()
    expect(page.locator("#inpainting-cost")).to_contain_text("33 steps")
    page.wait_for_timeout(500)
    page.reload()
    expect(page.locator("#inpainting-steps input[type=number]")).to_have_value("33")
    expect(page.locator("#inpainting-solver input")).to_have_value("DDIM")
    expect(page.locator("#inpainting-cost")).to_contain_text("33 steps")


def test_settings_that_a_solver_ignores_are_hidden(open_page):
    page = open_page().page
    _saved_settings_arrive(page)
    page.locator("#inpainting-advanced button").first.click()
    expect(page.locator("#inpainting-eta")).to_have_count(0)
    page.locator("#inpainting-solver input").click()
    page.get_by_role("option", name="DDIM", exact=True).click()
    expect(page.locator("#inpainting-eta")).to_be_visible()
    page.locator("#inpainting-solver input").click()
    page.get_by_role("option", name="S-PNDM", exact=True).click()
    expect(page.locator("#inpainting-eta")).to_have_count(0)
    expect(page.locator("#inpainting-spacing")).to_have_count(0)


def test_a_bad_file_is_refused_in_words_and_nothing_is_lost(open_page, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("this is no picture")
    page = open_page().page
    before = page.locator("#inpainting-picture .pic-image").get_attribute("src")
    page.locator("#inpainting-picture .pic-file").set_input_files(bad)
    error = page.locator("#inpainting-picture .pic-error")
    expect(error).not_to_be_empty()
    assert "/tmp" not in error.inner_text() and "Error" not in error.inner_text()
    assert page.locator("#inpainting-picture .pic-image").get_attribute("src") == before
    _run(page)


def test_a_good_file_becomes_the_picture(open_page, tmp_path):
    good = tmp_path / "good.webp"
    Image.new("RGB", (90, 40), (200, 30, 30)).save(good)
    page = open_page().page
    page.locator("#inpainting-picture .pic-file").set_input_files(good)
    expect(page.locator("#inpainting-picture .pic-image")).to_have_attribute("alt", "The picture, 90 by 40 pixels")
    page.click("#inpainting-run")
    expect(page.locator("#inpainting-message .notice")).to_contain_text("Paint over what you want to replace")
    page.get_by_role("button", name="Dismiss the message").first.click()
    expect(page.locator("#inpainting-message .notice")).to_be_hidden()
    canvas = page.locator("#inpainting-picture .pic-mask")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    _run(page)


def test_a_wrong_number_is_named_at_its_field(open_page):
    page = open_page().page
    _saved_settings_arrive(page)
    page.locator("#inpainting-seed input").fill("")
    page.locator("#inpainting-seed input").press("Tab")
    page.click("#inpainting-run")
    expect(page.locator("#inpainting-message .notice")).to_contain_text("The seed is empty")
    expect(page.locator("#inpainting-seed")).to_have_class(re.compile("field-error"))
    page.click("#inpainting-new-seed")
    _run(page)
    expect(page.locator("#inpainting-message .notice")).to_be_hidden()


def test_loading_settings_lists_the_changes_and_asks(open_page, tmp_path):
    page = open_page().page
    _saved_settings_arrive(page)
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"version": 1, "task": "inpainting", "solver": "heun", "steps": 12, "seed": 77,
                                "options": {"damage": "noise", "strength": 0.25}}))
    page.locator("#inpainting-advanced button").first.click()
    page.locator("#inpainting-recipe-file input[type=file]").set_input_files(file)
    changes = page.locator(".changes-list").first
    expect(changes).to_contain_text("steps: 20 to 12")
    expect(changes).to_contain_text("solver: dpmpp_2m to heun")
    expect(page.locator("#inpainting-steps input[type=number]")).to_have_value("20")
    page.click("#inpainting-apply")
    expect(page.locator("#inpainting-steps input[type=number]")).to_have_value("12")
    expect(page.locator("#inpainting-seed input")).to_have_value("77")
    expect(page.locator("#inpainting-solver input")).to_have_value("Heun (EDM)")
    expect(page.locator("#inpainting-strength input[type=number]")).to_have_value("0.25")
