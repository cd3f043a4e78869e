"""The view of inverse problems in a browser, with few steps and samples."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

FINISH_MS = 90_000


@pytest.fixture
def opened(open_page, choose_tab):
    """A watched page whose view is open and set to few steps and three samples of no class."""
    def opened(**size):
        watched = open_page(**size)
        page = watched.page
        page.wait_for_load_state("networkidle")
        choose_tab(page, "Laboratory")
        choose_tab(page, "Inverse problems")
        if "width" not in size:
            # What the view starts itself as soon as its table is seen takes longer than needed here.
            expect(page.locator("#inverse-cost")).to_contain_text("about", timeout=FINISH_MS)
            page.click("#inverse-stop")
        for name, value in (("steps", 4), ("samples", 3)):
            _fill(page, name, value)
        _pick(page, "#inverse-label", "anything it knows")
        return watched

    return opened


def _fill(page, name, value):
    box = page.locator(f"#inverse-{name} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def _pick(page, selector, option):
    page.locator(f"{selector} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def _run(page, phase="done"):
    page.click("#inverse-run")
    page.wait_for_timeout(300)
    expect(page.locator("#inverse-progress .lp")).to_have_attribute("data-phase", phase, timeout=FINISH_MS)


def test_methods_fill_in_fail_in_words_and_can_be_exported(opened, tmp_path):
    watched = opened()
    page = watched.page
    _pick(page, "#inverse-measurement", "JPEG of quality 10")
    expect(page.locator("#inverse-methods")).to_contain_text("DDRM (not for this measurement)")
    expect(page.locator("#inverse-cost")).to_contain_text("(3 cannot be used here), 34 network", timeout=FINISH_MS)
    _run(page)
    # Truth and measurement, then mean, three samples and spread of the one method that can serve.
    expect(page.locator("#inverse-sheet .ls-cell img")).to_have_count(7)
    expect(page.locator("#inverse-sheet .ls-wide .ls-reason")).to_have_count(3)
    expect(page.locator("#inverse-sheet .ls-reason").first).to_contain_text("DDRM cannot be used for JPEG")
    rows = page.locator("#inverse-scores tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(1)).to_contain_text("cannot be used here, see above")

    with page.expect_download() as download:
        page.locator("#inverse-files a", has_text=re.compile("KB|B")).nth(1).click()
    download.value.save_as(tmp_path / "inverse.json")
    numbers = json.loads((tmp_path / "inverse.json").read_text())
    assert [bool(cell["reason"]) for cell in numbers["cells"]] == [False, True, True, True]
    assert watched.errors == [] and watched.outside == []


def test_figures_are_sorted_and_pictures_compared_without_the_server(opened):
    watched = opened()
    page = watched.page
    _run(page)
    expect(page.locator("#inverse-sheet .ls-cell img")).to_have_count(2 + 4 * 5 + 1)
    before = len(watched.requests)
    titles = page.locator("#inverse-scores .sc-sort")
    titles.nth(0).click()
    values = [float(text.lstrip("★ ")) for text in
              page.locator("#inverse-scores tbody td:nth-child(2)").all_inner_texts()]
    assert values == sorted(values, reverse=True) and len(values) == 5
    expect(page.locator("#inverse-scores tbody tr").first.locator("td").first).to_have_class("sc-best")
    expect(page.locator("#inverse-scores th[aria-sort=descending]")).to_have_count(1)
    page.locator("#inverse-sheet .ls-cell").nth(0).click()
    page.locator("#inverse-sheet .ls-cell").nth(2).click()
    expect(page.locator(".ls-pair-text:visible")).to_have_text("Left: Truth. Right: DDNM, Mean.")
    assert [url for url in watched.requests[before:] if not url.startswith("data:")] == []


def test_stop_keeps_what_was_found(opened):
    page = opened().page
    _fill(page, "steps", 400)
    page.click("#inverse-run")
    expect(page.locator("#inverse-sheet .ls-cell img")).to_have_count(2, timeout=FINISH_MS)
    # The network computes while the page draws; on a busy machine a click takes its time.
    page.click("#inverse-stop", timeout=FINISH_MS)
    expect(page.locator("#inverse-progress .lp")).to_have_attribute("data-phase", "stopped")
    page.wait_for_timeout(1500)
    expect(page.locator("#inverse-sheet .ls-cell img")).to_have_count(2)
    _fill(page, "steps", 3)
    _run(page)


def test_a_picture_of_ones_own_is_measured_on_a_phone(opened, tmp_path):
    watched = opened(width=390, height=844, scheme="dark")
    page = watched.page
    page.locator("#inverse-source label").nth(1).click()
    expect(page.locator("#inverse-picture")).to_contain_text("up to 20 MB")
    _run(page, "failed")
    expect(page.locator("#inverse-message .notice")).to_contain_text("There is no picture")
    ramp = np.uint8(np.linspace(0, 255, 96)[:, None, None].repeat(64, 1).repeat(3, 2))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    page.locator("#inverse-picture input[type=file]").set_input_files(str(tmp_path / "ramp.png"))
    expect(page.locator("#inverse-picture .pic")).to_have_attribute("data-state", "full")
    _run(page)
    expect(page.locator("#inverse-sheet .ls-cell").first).to_contain_text("yours, made small")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert watched.errors == [] and watched.outside == []
