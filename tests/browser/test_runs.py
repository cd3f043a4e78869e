"""Runs that are stopped, doubled, queued behind, or left alone by a closed page. A network call takes 0.2 s here."""

import re
import time

import pytest
from playwright.sync_api import expect

TASK = "restoration"
STEP_S = 0.2


@pytest.fixture
def page(open_page):
    page = open_page().page
    page.get_by_role("tab", name="Restoration").click()
    page.locator(f"#{TASK}-run").wait_for()
    page.wait_for_load_state("networkidle")
    return page


def _viewer(page):
    return page.locator(f"#{TASK}-viewer .dv")


def _until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def _start(page, steps=100):
    box = page.locator(f"#{TASK}-steps input[type=number]")
    box.fill(str(steps))
    box.press("Tab")
    page.click(f"#{TASK}-run")
    expect(page.locator(f"#{TASK}-viewer .dv-status")).to_have_text(re.compile(r"step [2-9]\d*/"), timeout=10_000)


def test_stop_acts_within_one_step_and_the_next_run_works(page, server):
    _start(page)
    closed = server.count(f"{TASK} closed")
    page.click(f"#{TASK}-stop")
    stopped_at = server.count(f"{TASK} call")
    assert _until(lambda: server.count(f"{TASK} closed") == closed + 1, 3)
    # One call may be under way when Stop is pressed, and the request takes its way to the server during another.
    assert server.count(f"{TASK} call") - stopped_at <= 2
    expect(_viewer(page)).to_have_attribute("data-phase", "stopped")
    expect(page.locator(f"#{TASK}-viewer .dv-status")).to_have_text(re.compile(r"stopped at \d+/100"))
    expect(page.locator(f"#{TASK}-viewer .dv-grid img")).to_have_count(1)
    time.sleep(3 * STEP_S)
    expect(_viewer(page)).to_have_attribute("data-phase", "stopped")

    page.click(f"#{TASK}-new-seed")
    _start(page)
    page.keyboard.press("Escape")
    expect(_viewer(page)).to_have_attribute("data-phase", "stopped")


def test_a_second_click_and_the_keys_start_one_run(page, server):
    before = server.count(f"{TASK} closed")
    box = page.locator(f"#{TASK}-steps input[type=number]")
    box.fill("4")
    box.press("Tab")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    page.locator(f"#{TASK}-run").dispatch_event("click")
    expect(_viewer(page)).to_have_attribute("data-phase", "done", timeout=15_000)
    time.sleep(6 * STEP_S)
    assert server.count(f"{TASK} closed") == before + 1


def test_a_closed_page_frees_its_run(page, server):
    closed = server.count(f"{TASK} closed")
    _start(page)
    page.close()
    assert _until(lambda: server.count(f"{TASK} closed") == closed + 1, 5)
    calls = server.count(f"{TASK} call")
    time.sleep(3 * STEP_S)
    assert server.count(f"{TASK} call") == calls


def test_a_third_run_sees_its_place_in_the_queue(open_page, server):
    pages = []
    for _ in range(3):
        page = open_page().page
        page.get_by_role("tab", name="Restoration").click()
        page.locator(f"#{TASK}-run").wait_for()
        page.wait_for_load_state("networkidle")
        pages.append(page)
    for page in pages[:2]:
        _start(page)
    pages[2].click(f"#{TASK}-run")
    expect(pages[2].locator(f"#{TASK}-viewer .dv-status")).to_have_text("queued, place 1", timeout=10_000)
    pages[0].click(f"#{TASK}-stop")
    expect(pages[2].locator(f"#{TASK}-viewer .dv-status")).to_have_text(re.compile(r"step \d+/"), timeout=10_000)
