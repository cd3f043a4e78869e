"""Each real task once: the example that is loaded at the start runs to its end in a fresh page."""

import os

import pytest
from playwright.sync_api import expect

from engine import models, tasks
from ui.page import MODE_OF

TASKS = ()
"""The real ones."""


@pytest.mark.parametrize("name", tasks.names())
def test_the_first_example_runs(name, watched):
    missing = set(tasks.load(name).models) - set(models.names())
    if missing and not os.environ.get("CI"):
        pytest.skip(f"weights are missing: {', '.join(sorted(missing))}")
    found = watched()
    page = found.page
    lead = MODE_OF.get(name, name)
    page.get_by_role("tab", name=tasks.load(lead).title, exact=True).first.click()
    if lead in MODE_OF.values():
        page.get_by_role("tab", name=tasks.load(name).title, exact=True).last.click()
    page.click(f"#{name}-run")
    # Ten seconds is what a run may take on two free cores; a test machine may be busy.
    expect(page.locator(f"#{name}-viewer .dv")).to_have_attribute("data-phase", "done", timeout=60_000)
    expect(page.locator(f"#{name}-result :is(img, canvas):visible").first).to_be_visible()
    assert page.locator(f"#{name}-viewer .dv-grid :is(img, canvas)").count() >= 1
    assert found.outside == [] and found.errors == []
