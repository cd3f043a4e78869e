"""The spectrum of a shipped model's steps in a browser: the slider works in the page alone."""

import pytest
from playwright.sync_api import expect

from engine.tasks.laboratory import spectrum

pytestmark = pytest.mark.skipif(not spectrum.names(), reason="no weights are installed")
FINISH_MS = 60_000
_CURVE = "document.querySelector('#spectrum-chart .js-plotly-plot').data[1].y[0]"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_slider_moves_the_curves_without_the_server(open_page, choose_tab, width, scheme):
    watched = open_page(width=width, scheme=scheme)
    page = watched.page
    choose_tab(page, "Laboratory")
    choose_tab(page, "Spectrum")
    if width < 768:  # the slider, whose first sight starts a run, lies below the screen
        page.click("#spectrum-run")
    expect(page.locator("#spectrum-progress .lp")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)
    expect(page.locator("#spectrum-chart .scatterlayer .trace")).to_have_count(4, timeout=FINISH_MS)
    slider, words = page.locator("#spectrum-slider input"), page.locator(".sp-words")
    expect(words).to_contain_text("Step 6 of 10")
    before, power = len(watched.requests), page.evaluate(_CURVE)
    slider.fill("10")
    expect(words).to_have_text("The finished pictures, after 10 steps.")
    assert page.evaluate(_CURVE) > power
    slider.press("ArrowLeft")
    expect(words).to_contain_text("Step 10 of 10")
    assert [url for url in watched.requests[before:] if not url.startswith("data:")] == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert watched.errors == [] and watched.outside == []
