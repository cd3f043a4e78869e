"""A server and a Chromium for the browser tests. Without a Chromium they are skipped, except in CI, where they fail."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
FLAGS = ["--no-sandbox", "--disable-gpu"]


@dataclass
class Server:
    """Where the page is, and the file in which the fake tasks write what they do."""

    url: str
    trace: Path

    def count(self, line: str) -> int:
        """How often a fake task has written this line, such as "restoration closed"."""
        return self.trace.read_text().splitlines().count(line) if self.trace.exists() else 0


@dataclass
class Watched:
    """An open page and all that should not happen on it."""

    page: object
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def _served(folder: Path, *names: str) -> Iterator[Server]:
    """A page of these fake tasks, of the real ones without names, served by another process. See serve.py."""
    trace = folder / "trace.txt"
    process = subprocess.Popen([sys.executable, str(HERE / "serve.py"), *([str(trace)] if names else []), *names],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http"), "the server did not start"
        yield Server(url, trace)
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """serving(*names) gives a page of these fake tasks, of the real ones without names, until the test file is done."""
    with ExitStack() as stack:
        yield lambda *names: stack.enter_context(_served(tmp_path_factory.mktemp("served"), *names))


@pytest.fixture(scope="module")
def url(serving, request: pytest.FixtureRequest) -> str:
    """The page of the tasks that the test file names in TASKS."""
    return serving(*request.module.TASKS).url


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page that most test files share: a fast inpainting and a slow restoration."""
    with _served(tmp_path_factory.mktemp("served"), "inpainting", "restoration") as found:
        yield found


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs a Chromium for the browser tests; install the package chromium.")
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import expect, sync_playwright

    # A test machine may be busy; what is expected usually comes within a second.
    expect.set_options(timeout=30_000)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        # One context for all tests keeps the page's files in the cache, which halves the time of a test.
        yield browser.new_context()
        browser.close()


@pytest.fixture
def open_page(chromium, server):
    """Opens pages that are watched, with no settings kept from before, and closes them after the test. ready: what
    stands on the page once its scripts have run."""
    pages = []

    def opened(url: str = server.url, width: int = 1280, height: int = 900, scheme: str = "light",
               ready: str = ".pic[data-state]") -> Watched:
        watched = Watched(chromium.new_page())
        page = watched.page
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.on("console", lambda line: watched.errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: watched.errors.append(str(error)))
        page.on("request", lambda request: _note(watched, request.url, url))
        page.goto(url)
        page.locator(".run-button").first.wait_for()
        page.locator(ready).first.wait_for()
        return watched

    yield opened
    for page in pages:
        if not page.is_closed():
            page.evaluate("localStorage.clear()")
            page.close()


@pytest.fixture
def watched(open_page, url):
    """Opens the page of the test file's TASKS."""
    return partial(open_page, url)


@pytest.fixture
def choose_tab():
    """choose_tab(page, name) presses a tab, also where the screen is too narrow to show it."""

    def choose(page, name: str) -> None:
        tab = page.get_by_role("tab", name=name, exact=True)
        if not tab.first.is_visible():
            for menu in page.locator(".overflow-menu > button:visible").all():
                menu.click()
                entry = page.locator(".overflow-dropdown button:visible").filter(has_text=name)
                if entry.count():
                    entry.first.click()
                    return
                menu.click()
        tab.first.click()

    return choose


def _note(watched: Watched, target: str, home: str) -> None:
    watched.requests.append(target)
    if not target.startswith((home.rstrip("/"), "data:", "blob:")):
        watched.outside.append(target)
